-- question: Who read, wrote, executed, made, renamed, changed or deleted this file?
-- parameter: path path; the file, by a name that it had; also of what a name was given to or taken from
-- window: 7 days
-- tags: files, accountability
-- example: vestige report who-touched /etc/shadow --since today
-- column: created_at; when it was opened, or what was done at one moment
-- column: destroyed_at; when it was closed, or its program ended; empty while it is open
-- column: operations; what was done with it; empty while it is open, for it is known at its end only
-- column: path; the name before, of a rename
-- column: new_path; the name behind, of a rename
-- column: command; the command line of the program, which may have ended long ago
SELECT h.name AS host, f.created_at, f.destroyed_at,
       COALESCE(f.login_username, f.login_uid) AS login_user,
       COALESCE(f.username, f.uid) AS username, f.application, f.pid, f.operations, f.path, f.new_path,
       p.cmdline AS command,
       f.host_id AS row_host_id, f.id AS row_id
  FROM (SELECT a.*
          FROM file_access a
         WHERE a.path = :path
           AND a.day <= :until_day AND a.created_at <= :until
           AND (a.destroyed_at IS NULL OR a.destroyed_at >= :since)
           AND (:host_id IS NULL OR a.host_id = :host_id)
           AND (:any_login OR a.login_uid <=> :login_uid)
         UNION ALL
        SELECT b.*
          FROM file_access b
         WHERE b.new_path = :path AND b.path <> :path
           AND b.day >= :since_day AND b.created_at >= :since AND b.created_at <= :until
           AND (:host_id IS NULL OR b.host_id = :host_id)
           AND (:any_login OR b.login_uid <=> :login_uid)) f
  JOIN enrolment h ON h.host_id = f.host_id
  LEFT JOIN process p ON p.host_id = f.host_id AND p.id = f.process_id
   AND p.day = DATE('1970-01-01' + INTERVAL f.process_id DIV 1000000 SECOND)
 ORDER BY f.created_at, f.host_id, f.id
 LIMIT :row_limit
