-- question: Which connections and open ports belong to this row of process?
-- parameter: process number; the id of the row, as it stands in row_id of other answers
-- window: all
-- tags: network, process, seed
-- example: vestige report endpoints-of-row process=1302599400123456 --on web1
-- column: application; the name that the program had at that moment
-- column: username; as whom it ran
-- column: pid_source; exact: the kernel named the process; inferred: it is likely
-- column: ended_at; when it was closed; empty: it is open
-- column: command; how the process was started
SELECT h.name AS host, e.created_at,
       COALESCE(e.login_username, e.login_uid) AS login_user,
       COALESCE(e.username, e.uid) AS username,
       e.pid, e.application, e.protocol, e.direction, e.status,
       COALESCE(e.local_address, e.local_name) AS local_address, e.local_port,
       e.remote_address, e.remote_port, e.remote_name,
       e.bytes_sent, e.bytes_received, e.destroyed_at AS ended_at, e.pid_source,
       p.cmdline AS command,
       e.host_id AS row_host_id, e.id AS row_id
  FROM process p
  JOIN endpoint e ON e.host_id = p.host_id AND e.process_id = p.id
  JOIN enrolment h ON h.host_id = p.host_id
 WHERE p.id = :process AND p.day = DATE('1970-01-01' + INTERVAL :process DIV 1000000 SECOND)
   AND e.created_at >= :since AND e.created_at <= :until AND e.day >= :since_day
   AND (:host_id IS NULL OR p.host_id = :host_id)
   AND (:any_login OR p.login_uid <=> :login_uid)
 ORDER BY e.created_at, e.host_id, e.id
 LIMIT :row_limit
