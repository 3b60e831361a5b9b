-- question: Which connections and open ports did the process with this pid have?
-- parameter: pid number; its process id
-- parameter: at time = none; only of the process that had this pid then: a pid is used again
-- window: 1 days
-- tags: network, process, seed
-- example: vestige report endpoints-of-process pid=4711 at="2011-04-12 09:30" --on web1
-- column: application; the name that the program had at that moment
-- column: username; as whom it ran
-- column: pid_source; exact: the kernel named the process; inferred: it is likely
-- column: ended_at; when it was closed; empty: it is open
-- column: command; how the process was started
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
  LEFT JOIN process p ON p.host_id = e.host_id AND p.id = e.process_id
   AND p.day = DATE('1970-01-01' + INTERVAL e.process_id DIV 1000000 SECOND)
 WHERE e.pid = :pid
   AND (:at IS NULL OR (p.created_at <= :at AND (p.destroyed_at IS NULL OR p.destroyed_at > :at)))
   AND e.created_at <= :until AND (e.destroyed_at IS NULL OR e.destroyed_at >= :since)
   AND e.day <= :until_day
   AND (:host_id IS NULL OR e.host_id = :host_id)
   AND (:any_login OR e.login_uid <=> :login_uid)
 ORDER BY e.created_at, e.host_id, e.id
 LIMIT :row_limit
