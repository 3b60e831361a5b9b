-- question: Which programs, of which users, had connections with this remote name or address?
-- parameter: remote text; a remote name or address
-- parameter: port number = none; only this remote port
-- window: 7 days
-- tags: network, seed
-- example: vestige report who-contacted remote=irc.example.net port=6670
-- column: login_user; who had logged in, whatever su, sudo or setuid came later
-- column: username; as whom the program ran
-- column: application; the name that the program had at that moment
-- column: program; the file that it was
-- column: connections; how many there were, also those that failed
-- column: first_seen; when the first of them began
-- column: last_seen; when the last of them began
-- schedule: endpoint; subject application, program, username, login_user
WITH contact AS (
  SELECT e.host_id, e.id FROM endpoint e
   WHERE e.remote_name = :remote AND e.created_at <= :until
     AND (e.destroyed_at IS NULL OR e.destroyed_at >= :since)
  UNION
  SELECT e.host_id, e.id FROM endpoint e
   WHERE e.remote_address = INET6_NTOA(INET6_ATON(:remote))
     AND e.created_at <= :until
     AND (e.destroyed_at IS NULL OR e.destroyed_at >= :since)
  UNION
  -- Contacts from before the name was known: the host learned it for this address later.
  SELECT e.host_id, e.id
    FROM address_name n
    STRAIGHT_JOIN endpoint e FORCE INDEX (remote_address) ON e.remote_address = n.address AND e.host_id = n.host_id
   WHERE n.name = :remote AND n.day <= :until_day AND e.remote_name IS NULL
     AND e.created_at <= :until
     AND (e.destroyed_at IS NULL OR e.destroyed_at >= :since)
     AND (n.destroyed_at IS NULL OR n.destroyed_at >= e.created_at)
)
SELECT h.name AS host,
       COALESCE(e.login_username, e.login_uid) AS login_user,
       COALESCE(e.username, e.uid) AS username,
       e.application, p.exe AS program,
       COUNT(*) AS connections, MIN(e.created_at) AS first_seen, MAX(e.created_at) AS last_seen,
       e.host_id AS row_host_id, MAX(e.id) AS row_id,
       MAX(GREATEST(e.batch, COALESCE(e.settle_batch, 0), COALESCE(e.end_batch, 0))) AS row_batch
  FROM contact c
  JOIN endpoint e FORCE INDEX (PRIMARY) ON e.host_id = c.host_id AND e.id = c.id
   AND e.day = DATE('1970-01-01' + INTERVAL c.id DIV 1000000 SECOND)
  JOIN enrolment h ON h.host_id = e.host_id
  LEFT JOIN process p FORCE INDEX (PRIMARY) ON p.host_id = e.host_id AND p.id = e.process_id
   AND p.day = DATE('1970-01-01' + INTERVAL e.process_id DIV 1000000 SECOND)
 WHERE (:port IS NULL OR e.remote_port = :port)
   AND (:host_id IS NULL OR e.host_id = :host_id)
   AND (:any_login OR e.login_uid <=> :login_uid)
 GROUP BY e.host_id, h.name, e.login_uid, e.login_username, e.uid, e.username, e.application, p.exe
 ORDER BY first_seen, row_host_id, row_id
 LIMIT :row_limit
