-- question: Which login users were active at hours of the day at which they never were before?
-- parameter: baseline number = 30; so many days before the window say what is usual
-- parameter: quiet number = 5; a baseline with activity on fewer days is called quiet
-- window: 1 days
-- tags: accountability, user, unusual
-- example: vestige report unusual-hours baseline=60 --since yesterday
-- column: hour; of the day, in UTC
-- column: programs; how many were started in that hour of the day
-- column: baseline; good; quiet: active on few days before, so that much looks unusual; none: on none
-- column: baseline_days; on how many days before the window the user was active there
-- schedule: process; subject login_user, hour
WITH active AS (
  SELECT p.host_id, p.login_uid, HOUR(p.created_at) AS hour, MAX(p.login_username) AS login_username,
         COUNT(*) AS programs, MIN(p.created_at) AS first_seen, MAX(p.created_at) AS last_seen,
         MAX(p.id) AS row_id,
         MAX(GREATEST(p.batch, COALESCE(p.settle_batch, 0), COALESCE(p.end_batch, 0))) AS row_batch
    FROM process p
   WHERE p.login_uid IS NOT NULL
     AND p.created_at >= :since AND p.created_at <= :until AND p.day >= :since_day
     AND (:host_id IS NULL OR p.host_id = :host_id)
     AND (:any_login OR p.login_uid <=> :login_uid)
   GROUP BY p.host_id, p.login_uid, HOUR(p.created_at)
), usual AS (
  SELECT host_id, login_uid, HOUR(created_at) AS hour, COUNT(DISTINCT DATE(created_at)) AS days
    FROM process
   WHERE login_uid IS NOT NULL AND created_at >= :since - INTERVAL LEAST(:baseline, 36500) DAY AND created_at < :since
     AND day >= :since_day - INTERVAL LEAST(:baseline, 36500) DAY
     AND (:host_id IS NULL OR host_id = :host_id)
     AND (:any_login OR login_uid <=> :login_uid)
   GROUP BY host_id, login_uid, HOUR(created_at)
), days AS (
  SELECT host_id, login_uid, COUNT(DISTINCT DATE(created_at)) AS days
    FROM process
   WHERE login_uid IS NOT NULL AND created_at >= :since - INTERVAL LEAST(:baseline, 36500) DAY AND created_at < :since
     AND day >= :since_day - INTERVAL LEAST(:baseline, 36500) DAY
     AND (:host_id IS NULL OR host_id = :host_id)
     AND (:any_login OR login_uid <=> :login_uid)
   GROUP BY host_id, login_uid
)
SELECT h.name AS host, COALESCE(a.login_username, a.login_uid) AS login_user, a.hour, a.programs,
       a.first_seen, a.last_seen,
       CASE WHEN d.days IS NULL THEN 'none' WHEN d.days < :quiet THEN 'quiet' ELSE 'good' END AS baseline,
       COALESCE(d.days, 0) AS baseline_days,
       a.host_id AS row_host_id, a.row_id, a.row_batch
  FROM active a
  JOIN enrolment h ON h.host_id = a.host_id
  LEFT JOIN usual u ON u.host_id = a.host_id AND u.login_uid = a.login_uid AND u.hour = a.hour
  LEFT JOIN days d ON d.host_id = a.host_id AND d.login_uid = a.login_uid
 WHERE u.hour IS NULL
 ORDER BY a.first_seen, a.host_id, a.login_uid, a.hour
 LIMIT :row_limit
