-- question: Which connections lasted longer than a given time?
-- parameter: seconds number = 86400; longer than so many seconds
-- parameter: loopback number = 0; 1: connections within the host, too
-- window: 1 day
-- tags: network, tunnel
-- example: vestige report long-connections seconds=28800 --on web1
-- column: destroyed_at; when it ended; empty while it is open
-- column: lasted_s; how many seconds it lasted, or has lasted at the end of the window
SELECT h.name AS host, e.created_at, e.destroyed_at,
       TIMESTAMPDIFF(SECOND, e.created_at, LEAST(COALESCE(e.destroyed_at, :until), :until)) AS lasted_s,
       COALESCE(e.login_username, e.login_uid) AS login_user,
       COALESCE(e.username, e.uid) AS username, e.application, e.pid, e.protocol, e.direction,
       e.local_port, e.remote_address, e.remote_port, e.remote_name, e.bytes_sent, e.bytes_received,
       e.host_id AS row_host_id, e.id AS row_id
  FROM endpoint e
  JOIN enrolment h ON h.host_id = e.host_id
 WHERE e.day <= :until_day AND e.created_at <= :until
   AND (e.destroyed_at IS NULL OR e.destroyed_at >= :since)
   AND e.direction IN ('in', 'out')
   AND TIMESTAMPDIFF(MICROSECOND, e.created_at, LEAST(COALESCE(e.destroyed_at, :until), :until))
         > :seconds * 1e6
   AND (:loopback OR COALESCE(e.remote_address NOT LIKE '127.%' AND e.remote_address <> '::1', TRUE))
   AND (:host_id IS NULL OR e.host_id = :host_id)
   AND (:any_login OR e.login_uid <=> :login_uid)
 ORDER BY e.created_at, e.host_id, e.id
 LIMIT :row_limit
