-- question: Which connections came in, from where, and which program took them?
-- parameter: port number = none; only this local port
-- parameter: remote text = none; only from this name or address, as it was recorded
-- parameter: loopback number = 0; 1: connections within the host, too
-- window: 1 day
-- tags: network, services
-- example: vestige report incoming-connections port=22 --on web1 --since yesterday
-- column: destroyed_at; when it ended; empty while it is open
SELECT h.name AS host, e.created_at, e.destroyed_at, e.remote_address, e.remote_port, e.remote_name,
       e.protocol, e.local_address, e.local_port, e.application, e.pid,
       COALESCE(e.username, e.uid) AS username, COALESCE(e.login_username, e.login_uid) AS login_user,
       e.bytes_sent, e.bytes_received, e.host_id AS row_host_id, e.id AS row_id
  FROM endpoint e
  JOIN enrolment h ON h.host_id = e.host_id
 WHERE e.day <= :until_day AND e.created_at <= :until
   AND (e.destroyed_at IS NULL OR e.destroyed_at >= :since)
   AND e.direction = 'in'
   AND (:port IS NULL OR e.local_port = :port)
   AND (:remote IS NULL OR e.remote_address = INET6_NTOA(INET6_ATON(:remote)) OR e.remote_name = :remote)
   AND (:loopback OR COALESCE(e.remote_address NOT LIKE '127.%' AND e.remote_address <> '::1', TRUE))
   AND (:host_id IS NULL OR e.host_id = :host_id)
   AND (:any_login OR e.login_uid <=> :login_uid)
 ORDER BY e.created_at, e.host_id, e.id
 LIMIT :row_limit
