-- question: Which connections and listening sockets were open at a moment, and whose were they?
-- parameter: at time = now; the moment
-- parameter: port number = none; only with this port, at either end
-- tags: state, network
-- example: vestige report endpoints-at at="2h ago" port=22
-- column: since; when it was made, or first seen
-- column: local; address and port, or the path of a UNIX socket
-- column: remote; address and port
-- column: pid_source; exact: the kernel named the process; inferred: it follows from what else is known
SELECT h.name AS host, e.created_at AS since, COALESCE(e.login_username, e.login_uid) AS login_user,
       COALESCE(e.username, e.uid) AS user, e.application, e.pid, e.pid_source, e.protocol, e.direction,
       COALESCE(CONCAT(e.local_address, ' ', e.local_port), e.local_name) AS local,
       CONCAT(e.remote_address, ' ', e.remote_port) AS remote, e.remote_name, e.status,
       e.destroyed_at AS ended_at, e.host_id AS row_host_id, e.id AS row_id,
       e.process_id AS row_process_id
  FROM endpoint e
  JOIN enrolment h ON h.host_id = e.host_id
 WHERE e.day <= :at_day AND e.created_at <= :at AND (e.destroyed_at IS NULL OR e.destroyed_at > :at)
   AND (:port IS NULL OR e.local_port = :port OR e.remote_port = :port)
   AND (:host_id IS NULL OR e.host_id = :host_id)
   AND (:any_login OR e.login_uid <=> :login_uid)
 ORDER BY h.name, e.host_id, e.created_at, e.id
 LIMIT :row_limit
