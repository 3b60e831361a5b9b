-- question: Which connections out were made by users who had not logged in?
-- parameter: username text = none; only of this user, by name, or by number where it has none
-- parameter: loopback number = 0; 1: connections within the host, too
-- window: 1 day
-- tags: network, services, unattributed
-- example: vestige report connections-without-login username=nobody --since today
-- column: username; whose rights the program had; what Vestige itself asks for is left out
-- column: connections; how many there were to that address and port
-- column: started_by; the program that started it; one of several, where there are several
SELECT h.name AS host, COALESCE(e.username, e.uid) AS username, e.application, e.protocol,
       e.remote_address, e.remote_port, MAX(e.remote_name) AS remote_name, COUNT(*) AS connections,
       MIN(e.created_at) AS first_connection, MAX(e.created_at) AS last_connection,
       SUM(e.bytes_sent) AS bytes_sent, SUM(e.bytes_received) AS bytes_received,
       MAX(q.comm) AS started_by, e.host_id AS row_host_id, MIN(e.id) AS row_id
  FROM endpoint e
  JOIN enrolment h ON h.host_id = e.host_id
  LEFT JOIN process p ON p.host_id = e.host_id AND p.id = e.process_id
   AND p.day = DATE('1970-01-01' + INTERVAL e.process_id DIV 1000000 SECOND)
  LEFT JOIN process q ON q.host_id = p.host_id AND q.id = p.parent_id
   AND q.day = DATE('1970-01-01' + INTERVAL p.parent_id DIV 1000000 SECOND)
 WHERE e.day >= :since_day AND e.created_at >= :since AND e.created_at <= :until
   AND e.direction = 'out' AND e.login_uid IS NULL
   AND COALESCE(p.own, 0) = 0
   AND (:username IS NULL OR COALESCE(e.username, e.uid) = :username)
   AND (:loopback OR COALESCE(e.remote_address NOT LIKE '127.%' AND e.remote_address <> '::1', TRUE))
   AND (:host_id IS NULL OR e.host_id = :host_id)
 GROUP BY e.host_id, e.uid, e.username, e.application, e.protocol, e.remote_address, e.remote_port
 ORDER BY first_connection, row_host_id, row_id
 LIMIT :row_limit
