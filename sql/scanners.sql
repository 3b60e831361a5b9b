-- question: Which processes tried many ports or addresses that refused them or did not answer?
-- parameter: attempts number = 20; at least so many that came to nothing
-- window: 1 day
-- tags: network, scan
-- example: vestige report scanners attempts=100 --since today
-- column: attempts; how many came to nothing: refused and failed together
-- column: addresses; how many different ones were tried in vain
-- column: ports; how many different ones were tried in vain
-- column: command; the command line of the program
-- schedule: endpoint; subject application, login_user, username
SELECT h.name AS host, COALESCE(e.login_username, e.login_uid) AS login_user,
       COALESCE(e.username, e.uid) AS username, e.application, e.pid, COUNT(*) AS attempts,
       SUM(e.status = 'refused') AS refused, SUM(e.status = 'failed') AS failed,
       COUNT(DISTINCT e.remote_address) AS addresses, COUNT(DISTINCT e.remote_port) AS ports,
       MIN(e.created_at) AS first_attempt, MAX(e.created_at) AS last_attempt, p.cmdline AS command,
       e.host_id AS row_host_id, MAX(e.id) AS row_id,
       MAX(GREATEST(e.batch, COALESCE(e.settle_batch, 0), COALESCE(e.end_batch, 0))) AS row_batch
  FROM endpoint e
  JOIN enrolment h ON h.host_id = e.host_id
  LEFT JOIN process p ON p.host_id = e.host_id AND p.id = e.process_id
   AND p.day = DATE('1970-01-01' + INTERVAL e.process_id DIV 1000000 SECOND)
 WHERE e.day >= :since_day AND e.created_at >= :since AND e.created_at <= :until
   AND e.direction = 'out' AND e.status IN ('refused', 'failed')
   AND (:host_id IS NULL OR e.host_id = :host_id)
   AND (:any_login OR e.login_uid <=> :login_uid)
 GROUP BY e.host_id, e.process_id, e.pid, e.application, e.login_uid, e.login_username, e.uid, e.username
HAVING COUNT(*) >= :attempts
 ORDER BY first_attempt, row_host_id, row_id
 LIMIT :row_limit
