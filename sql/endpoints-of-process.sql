-- question: Which connections and open ports did the process with this pid have?
-- parameter: pid number; its process id
-- parameter: at time = none; only of the process that had this pid then: a pid is used again
-- window: 1 day
-- tags: network, process, seed
-- example: vestige report endpoints-of-process pid=4711 at="2011-04-12 09:30" --on web1
-- column: application; the name that the program had at that moment
-- column: username; as whom it ran
-- column: pid_source; exact: the kernel named the process; inferred: it is likely
-- column: ended_at; when it was closed; empty: it is open
-- column: command; how the process was started
WITH RECURSIVE image (host_id, root, id, previous_id, created_at, destroyed_at) AS (
  -- All programs that a process was, one after the other: a connection outlives an exec.
  SELECT e.host_id, p.id, p.id, p.previous_id, p.created_at, p.destroyed_at
    FROM endpoint e
    JOIN process p FORCE INDEX (PRIMARY) ON p.host_id = e.host_id AND p.id = e.process_id
     AND p.day = DATE('1970-01-01' + INTERVAL e.process_id DIV 1000000 SECOND)
   WHERE :at IS NOT NULL AND e.pid = :pid AND e.created_at <= :until AND e.day <= :until_day
     AND (e.destroyed_at IS NULL OR e.destroyed_at >= :since)
     AND (:host_id IS NULL OR e.host_id = :host_id)
   UNION
  SELECT b.host_id, i.root, b.id, b.previous_id, b.created_at, b.destroyed_at
    FROM image i
    STRAIGHT_JOIN process b FORCE INDEX (PRIMARY) ON b.host_id = i.host_id AND b.id = i.previous_id
     AND b.day = DATE('1970-01-01' + INTERVAL i.previous_id DIV 1000000 SECOND)
   UNION
  SELECT n.host_id, i.root, n.id, n.previous_id, n.created_at, n.destroyed_at
    FROM image i
    STRAIGHT_JOIN process n FORCE INDEX (created) ON n.host_id = i.host_id
     AND n.created_at = i.destroyed_at AND n.previous_id = i.id
)
SELECT h.name AS host, e.created_at,
       COALESCE(e.login_username, e.login_uid) AS login_user,
       COALESCE(e.username, e.uid) AS username,
       e.application, e.protocol, e.direction, e.status,
       COALESCE(e.local_address, e.local_name) AS local_address, e.local_port,
       e.remote_address, e.remote_port, e.remote_name,
       e.bytes_sent, e.bytes_received, e.destroyed_at AS ended_at, e.pid_source,
       p.cmdline AS command,
       e.host_id AS row_host_id, e.id AS row_id
  FROM endpoint e
  JOIN enrolment h ON h.host_id = e.host_id
  LEFT JOIN process p FORCE INDEX (PRIMARY) ON p.host_id = e.host_id AND p.id = e.process_id
   AND p.day = DATE('1970-01-01' + INTERVAL e.process_id DIV 1000000 SECOND)
 WHERE e.pid = :pid
   AND (:at IS NULL OR (e.host_id, e.process_id) IN (
         SELECT i.host_id, i.root FROM image i
          WHERE i.created_at <= :at AND (i.destroyed_at IS NULL OR i.destroyed_at > :at)))
   AND e.created_at <= :until AND (e.destroyed_at IS NULL OR e.destroyed_at >= :since)
   AND e.day <= :until_day
   AND (:host_id IS NULL OR e.host_id = :host_id)
   AND (:any_login OR e.login_uid <=> :login_uid)
 ORDER BY e.created_at, e.host_id, e.id
 LIMIT :row_limit
