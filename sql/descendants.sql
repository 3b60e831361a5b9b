-- question: What did the process with this pid start, and that in turn?
-- parameter: pid number; its process id; all that had it in the window
-- parameter: depth number = 50; so many generations at most
-- window: 1 day
-- tags: process, seed
-- example: vestige report descendants pid=4711 --on web1 --since "2011-04-12 09:00"
-- column: generation; 0 is that process, 1 are its children
-- column: login_user; who had logged in, whatever su, sudo or setuid came later
-- column: username; as whom it was started
-- column: effective_user; with whose rights
-- column: ended_at; when it ended, or became another program; empty: it lives

-- What ended before the window stays in the walk: its children may live in it.
WITH RECURSIVE tree (host_id, id, generation, previous_id) AS (
  SELECT p.host_id, p.id, 0, p.previous_id
    FROM process p
   WHERE p.pid = :pid AND p.day <= :until_day AND p.created_at <= :until
     AND (p.destroyed_at IS NULL OR p.destroyed_at >= :since)
     AND (:host_id IS NULL OR p.host_id = :host_id)
     AND (:any_login OR p.login_uid <=> :login_uid)
   UNION
  SELECT p.host_id, p.id, t.generation + 1, NULL
    FROM tree t
    STRAIGHT_JOIN process p FORCE INDEX (parent) ON p.host_id = t.host_id AND p.parent_id = t.id
   WHERE t.generation < LEAST(:depth, 500)
     AND p.day <= :until_day AND p.created_at <= :until
   UNION
  SELECT b.host_id, b.id, 0, b.previous_id
    FROM tree t
    STRAIGHT_JOIN process b FORCE INDEX (PRIMARY) ON b.host_id = t.host_id AND b.id = t.previous_id
     AND b.day = DATE('1970-01-01' + INTERVAL t.previous_id DIV 1000000 SECOND)
) CYCLE host_id, id RESTRICT
SELECT h.name AS host, t.generation, p.created_at, p.pid, p.ppid,
       COALESCE(p.login_username, p.login_uid) AS login_user,
       COALESCE(p.username, p.uid) AS username,
       COALESCE(p.effective_username, p.euid) AS effective_user,
       p.exe AS program, p.cmdline AS command,
       p.destroyed_at AS ended_at, p.end_cause, p.exit_code,
       p.host_id AS row_host_id, p.id AS row_id
  FROM tree t
  JOIN process p FORCE INDEX (PRIMARY) ON p.host_id = t.host_id AND p.id = t.id
   AND p.day = DATE('1970-01-01' + INTERVAL t.id DIV 1000000 SECOND)
  JOIN enrolment h ON h.host_id = t.host_id
 WHERE p.destroyed_at IS NULL OR p.destroyed_at >= :since
 ORDER BY p.created_at, p.host_id, p.id
 LIMIT :row_limit
