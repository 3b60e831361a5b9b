-- question: Which processes ran a program whose file was deleted, moved or replaced, or never had a name?
-- window: 1 day
-- tags: disguise, process, files
-- example: vestige report deleted-program --since yesterday
-- column: login_user; who had logged in, whatever su, sudo or setuid came later
-- column: username; as whom it was started
-- column: what; deleted before: already when it was started or first seen; in memory: no file at all; deleted, moved, replaced: while it ran (an upgrade replaces)
-- column: deleted_at; when that was
-- column: deleted_by; the command that did it
-- column: program; the file that it was
-- column: command; how it was started
-- schedule: process; subject program, what

-- The files are read once for both names of a rename.
WITH gone AS (
  SELECT f.host_id, f.created_at, f.process_id,
         IF(side.new, f.new_path, f.path) AS path,
         IF(side.new, 'replaced', IF(FIND_IN_SET('delete', f.operations), 'deleted', 'moved')) AS what,
         CRC32(IF(side.new, f.new_path, f.path)) AS crc,
         GREATEST(f.batch, COALESCE(f.end_batch, 0)) AS batch
    FROM file_access f
    STRAIGHT_JOIN (SELECT 0 AS new UNION ALL SELECT 1) side
   WHERE (FIND_IN_SET('delete', f.operations) OR FIND_IN_SET('rename', f.operations))
     AND (NOT side.new OR f.new_path IS NOT NULL AND FIND_IN_SET('rename', f.operations))
     AND f.created_at >= :since AND f.created_at <= :until AND f.day >= :since_day
     AND (:host_id IS NULL OR f.host_id = :host_id)
   LIMIT 18446744073709551615
), found AS (
  SELECT p.host_id, p.id, NULL AS deleted_at, NULL AS by_id, p.exe,
         IF(p.exe LIKE '/memfd:%', 'in memory', 'deleted before') AS what,
         GREATEST(p.batch, COALESCE(p.settle_batch, 0), COALESCE(p.end_batch, 0)) AS batch
    FROM process p
   WHERE (p.exe LIKE '% (deleted)' OR p.exe LIKE '/memfd:%')
     AND p.day <= :until_day AND p.created_at <= :until
     AND (p.destroyed_at IS NULL OR p.destroyed_at >= :since)
     AND NOT COALESCE(p.own, 0)
     AND (:host_id IS NULL OR p.host_id = :host_id)
     AND (:any_login OR p.login_uid <=> :login_uid)
   UNION ALL
  SELECT p.host_id, p.id, g.created_at, g.process_id, p.exe, g.what,
         GREATEST(p.batch, COALESCE(p.settle_batch, 0), COALESCE(p.end_batch, 0), g.batch)
    FROM process p
    JOIN gone g ON g.host_id = p.host_id AND g.crc = CRC32(p.exe) AND g.path = p.exe
     AND p.created_at <= g.created_at AND (p.destroyed_at IS NULL OR p.destroyed_at >= g.created_at)
   WHERE p.exe IS NOT NULL
     AND p.day <= :until_day AND p.created_at <= :until
     AND (p.destroyed_at IS NULL OR p.destroyed_at >= :since)
     AND NOT COALESCE(p.own, 0)
     AND (:host_id IS NULL OR p.host_id = :host_id)
     AND (:any_login OR p.login_uid <=> :login_uid)
)
SELECT h.name AS host, p.created_at,
       COALESCE(p.login_username, p.login_uid) AS login_user,
       COALESCE(p.username, p.uid) AS username,
       p.pid, d.what, d.deleted_at, remover.cmdline AS deleted_by,
       p.exe AS program, p.cmdline AS command, p.exe_sha256 AS sha256, p.destroyed_at AS ended_at,
       d.host_id AS row_host_id, d.id AS row_id, d.batch AS row_batch
  FROM found d
  STRAIGHT_JOIN process p FORCE INDEX (PRIMARY) ON p.host_id = d.host_id AND p.id = d.id
   AND p.day = DATE('1970-01-01' + INTERVAL d.id DIV 1000000 SECOND)
  JOIN enrolment h ON h.host_id = d.host_id
  LEFT JOIN process remover FORCE INDEX (PRIMARY) ON remover.host_id = d.host_id AND remover.id = d.by_id
   AND remover.day = DATE('1970-01-01' + INTERVAL d.by_id DIV 1000000 SECOND)
 ORDER BY p.created_at, d.host_id, d.id, d.deleted_at, d.what
 LIMIT :row_limit
