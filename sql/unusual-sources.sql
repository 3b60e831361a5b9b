-- question: Which users logged in from addresses from which they never came before?
-- parameter: baseline number = 30; so many days before the window say what is usual
-- parameter: quiet number = 5; a baseline with activity on fewer days is called quiet
-- window: 1 days
-- tags: accountability, user, unusual
-- example: vestige report unusual-sources --login-user alice --since this-week
-- column: username; whose session it is
-- column: sessions; how many from there
-- column: baseline; good; quiet: active on few days before, so that much looks unusual; none: on none
-- column: baseline_days; on how many days before the window the user was active there
-- schedule: session; subject username, remote_address
WITH came AS (
  SELECT s.host_id, s.username, s.remote_address, MAX(s.remote_name) AS remote_name,
         GROUP_CONCAT(DISTINCT s.service ORDER BY s.service SEPARATOR ' ') AS services,
         COUNT(*) AS sessions, MIN(s.created_at) AS first_seen, MAX(s.created_at) AS last_seen,
         MAX(s.id) AS row_id,
         MAX(GREATEST(s.batch, COALESCE(s.settle_batch, 0), COALESCE(s.end_batch, 0))) AS row_batch
    FROM session s
   WHERE s.remote_address IS NOT NULL
     AND s.created_at >= :since AND s.created_at <= :until AND s.day >= :since_day
     AND (:host_id IS NULL OR s.host_id = :host_id)
     AND (:any_login OR s.login_uid <=> :login_uid)
   GROUP BY s.host_id, s.username, s.remote_address
), usual AS (
  SELECT host_id, username, remote_address, COUNT(DISTINCT DATE(created_at)) AS days
    FROM session
   WHERE remote_address IS NOT NULL AND created_at >= :since - INTERVAL LEAST(:baseline, 36500) DAY AND created_at < :since
     AND day >= :since_day - INTERVAL LEAST(:baseline, 36500) DAY
     AND (:host_id IS NULL OR host_id = :host_id)
     AND (:any_login OR login_uid <=> :login_uid)
   GROUP BY host_id, username, remote_address
), days AS (
  SELECT host_id, username, COUNT(DISTINCT DATE(created_at)) AS days
    FROM session
   WHERE remote_address IS NOT NULL AND created_at >= :since - INTERVAL LEAST(:baseline, 36500) DAY AND created_at < :since
     AND day >= :since_day - INTERVAL LEAST(:baseline, 36500) DAY
     AND (:host_id IS NULL OR host_id = :host_id)
     AND (:any_login OR login_uid <=> :login_uid)
   GROUP BY host_id, username
)
SELECT h.name AS host, c.username, c.remote_address, c.remote_name, c.services, c.sessions,
       c.first_seen, c.last_seen,
       CASE WHEN d.days IS NULL THEN 'none' WHEN d.days < :quiet THEN 'quiet' ELSE 'good' END AS baseline,
       COALESCE(d.days, 0) AS baseline_days,
       c.host_id AS row_host_id, c.row_id, c.row_batch
  FROM came c
  JOIN enrolment h ON h.host_id = c.host_id
  LEFT JOIN usual u ON u.host_id = c.host_id AND u.username <=> c.username
   AND u.remote_address = c.remote_address
  LEFT JOIN days d ON d.host_id = c.host_id AND d.username <=> c.username
 WHERE u.remote_address IS NULL
 ORDER BY c.first_seen, c.host_id, c.username, c.remote_address
 LIMIT :row_limit
