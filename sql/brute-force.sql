-- question: From which addresses were logins tried again and again, under which names, and did one succeed?
-- parameter: least number = 5; addresses with so many failures or more, on all hosts together
-- window: 1 day
-- tags: accountability, session, network
-- example: vestige report brute-force least=20 --since this-week
-- column: host; one of the hosts that were tried; the numbers are those of all
-- column: failures; how many failed
-- column: names; how many different names were given
-- column: tried; the names, the first hundred characters of them
-- column: hosts; on how many hosts
-- column: first_seen; the first failure
-- column: last_seen; the last one
-- column: succeeded; how many logins from there succeeded in the window
-- column: success_at; the first of those
-- column: failures_here; how many failed on this host
-- schedule: auth_attempt; subject remote_address
SELECT h.name AS host, t.remote_address, t.failures, t.names, t.tried, t.hosts, t.first_seen, t.last_seen,
       t.succeeded, t.success_at, o.failures_here, o.host_id AS row_host_id, o.row_id, o.row_batch
  FROM (SELECT a.remote_address, SUM(a.result = 'failure') AS failures,
               COUNT(DISTINCT IF(a.result = 'failure', a.username, NULL)) AS names,
               LEFT(GROUP_CONCAT(DISTINCT IF(a.result = 'failure', a.username, NULL) ORDER BY a.username SEPARATOR ' '), 100) AS tried,
               COUNT(DISTINCT a.host_id) AS hosts,
               MIN(IF(a.result = 'failure', a.created_at, NULL)) AS first_seen,
               MAX(IF(a.result = 'failure', a.created_at, NULL)) AS last_seen,
               SUM(a.result = 'success') AS succeeded,
               MIN(IF(a.result = 'success', a.created_at, NULL)) AS success_at
          FROM auth_attempt a
         WHERE a.remote_address IS NOT NULL
           AND a.created_at >= :since AND a.created_at <= :until AND a.day >= :since_day
           AND (:host_id IS NULL OR a.host_id = :host_id)
         GROUP BY a.remote_address
        HAVING failures >= :least) t
  JOIN (SELECT a.host_id, a.remote_address, SUM(a.result = 'failure') AS failures_here, MAX(a.id) AS row_id,
               MAX(GREATEST(a.batch, COALESCE(a.settle_batch, 0), COALESCE(a.end_batch, 0))) AS row_batch
          FROM auth_attempt a
         WHERE a.remote_address IS NOT NULL
           AND a.created_at >= :since AND a.created_at <= :until AND a.day >= :since_day
           AND (:host_id IS NULL OR a.host_id = :host_id)
         GROUP BY a.host_id, a.remote_address) o ON o.remote_address = t.remote_address
  JOIN enrolment h ON h.host_id = o.host_id
 ORDER BY t.failures DESC, t.remote_address, o.host_id
 LIMIT :row_limit
