-- question: Which users and programs sent and received most?
-- parameter: loopback number = 0; 1: connections within the host, too
-- window: 1 day
-- tags: network, overview
-- example: vestige report top-talkers --on web1 --since yesterday --limit 20
-- column: connections; that were open in the window
-- column: remotes; how many remote addresses they had
-- column: bytes_sent; over the whole life of those that have ended; TCP only
SELECT h.name AS host, COALESCE(e.login_username, e.login_uid) AS login_user,
       COALESCE(e.username, e.uid) AS username, e.application, COUNT(*) AS connections,
       COUNT(DISTINCT e.remote_address) AS remotes, COALESCE(SUM(e.bytes_sent), 0) AS bytes_sent,
       COALESCE(SUM(e.bytes_received), 0) AS bytes_received, MIN(e.created_at) AS first_connection,
       MAX(e.created_at) AS last_connection, e.host_id AS row_host_id, MIN(e.id) AS row_id
  FROM endpoint e
  JOIN enrolment h ON h.host_id = e.host_id
 WHERE e.day <= :until_day AND e.created_at <= :until
   AND (e.destroyed_at IS NULL OR e.destroyed_at >= :since)
   AND e.direction IN ('in', 'out')
   AND (:loopback OR COALESCE(e.remote_address NOT LIKE '127.%' AND e.remote_address <> '::1', TRUE))
   AND (:host_id IS NULL OR e.host_id = :host_id)
   AND (:any_login OR e.login_uid <=> :login_uid)
 GROUP BY e.host_id, e.login_uid, e.login_username, e.uid, e.username, e.application
 ORDER BY COALESCE(SUM(e.bytes_sent), 0) + COALESCE(SUM(e.bytes_received), 0) DESC, host, row_id
 LIMIT :row_limit
