-- question: Which programs led to the process with this pid: what it was before, who started it, and so on to the first?
-- parameter: pid number; its process id
-- parameter: at time = now; when it had this pid
-- tags: process, seed
-- example: vestige report ancestry pid=4711 at="2011-04-12 09:30" --on web1
-- column: step; 0 is the process itself, each step is one further back
-- column: relation; itself, was before (the same process, which then executed the other program) or parent
-- column: login_user; who had logged in, whatever su, sudo or setuid came later
-- column: username; as whom it was started
-- column: effective_user; with whose rights
-- column: ended_at; when it ended, or became the other program; empty: it lives
WITH RECURSIVE chain (host_id, id, parent_id, previous_id, step, relation, root) AS (
  SELECT p.host_id, p.id, p.parent_id, p.previous_id, 0,
         CAST('itself' AS CHAR(10)), p.id
    FROM process p
   WHERE p.pid = :pid AND p.day <= :at_day AND p.created_at <= :at
     AND (p.destroyed_at IS NULL OR p.destroyed_at > :at)
     AND (:host_id IS NULL OR p.host_id = :host_id)
     AND (:any_login OR p.login_uid <=> :login_uid)
   UNION
  SELECT p.host_id, p.id, p.parent_id, p.previous_id, c.step + 1,
         IF(c.previous_id IS NULL, 'parent', 'was before'), c.root
    FROM chain c
    JOIN process p ON p.host_id = c.host_id AND p.id = COALESCE(c.previous_id, c.parent_id)
     AND p.day = DATE('1970-01-01' + INTERVAL COALESCE(c.previous_id, c.parent_id) DIV 1000000 SECOND)
   WHERE c.step < 500
) CYCLE host_id, id, root RESTRICT
SELECT h.name AS host, c.step, c.relation, p.pid,
       COALESCE(p.login_username, p.login_uid) AS login_user,
       COALESCE(p.username, p.uid) AS username,
       COALESCE(p.effective_username, p.euid) AS effective_user,
       p.comm, p.exe AS program, p.cmdline AS command, p.cwd,
       p.created_at, p.destroyed_at AS ended_at,
       p.host_id AS row_host_id, p.id AS row_id
  FROM chain c
  JOIN process p ON p.host_id = c.host_id AND p.id = c.id
   AND p.day = DATE('1970-01-01' + INTERVAL c.id DIV 1000000 SECOND)
  JOIN enrolment h ON h.host_id = c.host_id
 ORDER BY c.host_id, c.root, c.step
 LIMIT :row_limit
