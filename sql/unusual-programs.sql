-- question: Which login users ran programs that they never ran before?
-- parameter: baseline number = 30; so many days before the window say what is usual
-- parameter: quiet number = 5; a baseline with activity on fewer days is called quiet
-- window: 1 day
-- tags: accountability, user, unusual
-- example: vestige report unusual-programs --login-user alice baseline=90
-- column: program; the file that ran
-- column: runs; how often
-- column: command; how it was started, one of these times
-- column: baseline; good; quiet: active on few days before, so that much looks unusual; none: on none
-- column: baseline_days; on how many days before the window the user was active there
-- schedule: process; subject login_user, program

-- Most of what is usual was also done in the last three days; only for the rest is the whole baseline read.
WITH ran AS (
  SELECT p.host_id, p.login_uid, p.exe, MAX(p.login_username) AS login_username,
         COUNT(*) AS runs, MIN(p.created_at) AS first_seen, MAX(p.created_at) AS last_seen,
         MAX(p.id) AS row_id,
         MAX(GREATEST(p.batch, COALESCE(p.settle_batch, 0), COALESCE(p.end_batch, 0))) AS row_batch
    FROM process p
   WHERE p.login_uid IS NOT NULL AND p.exe IS NOT NULL
     AND p.created_at >= :since AND p.created_at <= :until AND p.day >= :since_day
     AND (:host_id IS NULL OR p.host_id = :host_id)
     AND (:any_login OR p.login_uid <=> :login_uid)
   GROUP BY p.host_id, p.login_uid, p.exe
), recent AS (
  SELECT DISTINCT host_id, login_uid, UNHEX(SHA2(exe, 256)) AS digest
    FROM process IGNORE INDEX (PRIMARY)
   WHERE login_uid IS NOT NULL AND exe IS NOT NULL AND created_at >= :since - INTERVAL LEAST(:baseline, 3) DAY AND created_at < :since
     AND day >= :since_day - INTERVAL LEAST(:baseline, 3) DAY
     AND (:host_id IS NULL OR host_id = :host_id)
     AND (:any_login OR login_uid <=> :login_uid)
), usual AS (
  SELECT DISTINCT host_id, login_uid, UNHEX(SHA2(exe, 256)) AS digest
    FROM process IGNORE INDEX (PRIMARY)
   WHERE login_uid IS NOT NULL AND exe IS NOT NULL AND created_at >= :since - INTERVAL LEAST(:baseline, 36500) DAY AND created_at < :since
     AND day >= :since_day - INTERVAL LEAST(:baseline, 36500) DAY
     AND (:host_id IS NULL OR host_id = :host_id)
     AND (:any_login OR login_uid <=> :login_uid)
), days AS (
  SELECT host_id, login_uid, COUNT(DISTINCT DATE(created_at)) AS days
    FROM process IGNORE INDEX (PRIMARY)
   WHERE login_uid IS NOT NULL AND created_at >= :since - INTERVAL LEAST(:baseline, 36500) DAY AND created_at < :since
     AND day >= :since_day - INTERVAL LEAST(:baseline, 36500) DAY
     AND (:host_id IS NULL OR host_id = :host_id)
     AND (:any_login OR login_uid <=> :login_uid)
   GROUP BY host_id, login_uid
)
SELECT h.name AS host, COALESCE(r.login_username, r.login_uid) AS login_user, r.exe AS program,
       r.runs, p.cmdline AS command, r.first_seen, r.last_seen,
       CASE WHEN d.days IS NULL THEN 'none' WHEN d.days < :quiet THEN 'quiet' ELSE 'good' END AS baseline,
       COALESCE(d.days, 0) AS baseline_days,
       r.host_id AS row_host_id, r.row_id, r.row_batch
  FROM ran r
  JOIN enrolment h ON h.host_id = r.host_id
  LEFT JOIN recent c ON c.host_id = r.host_id AND c.login_uid = r.login_uid AND c.digest = UNHEX(SHA2(r.exe, 256))
  LEFT JOIN usual u ON c.digest IS NULL
   AND u.host_id = r.host_id AND u.login_uid = r.login_uid AND u.digest = UNHEX(SHA2(r.exe, 256))
  LEFT JOIN days d ON d.host_id = r.host_id AND d.login_uid = r.login_uid
  LEFT JOIN process p FORCE INDEX (PRIMARY) ON p.host_id = r.host_id AND p.id = r.row_id
   AND p.day = DATE('1970-01-01' + INTERVAL r.row_id DIV 1000000 SECOND)
 WHERE c.digest IS NULL AND u.digest IS NULL
 ORDER BY r.first_seen, r.host_id, r.login_uid, r.exe
 LIMIT :row_limit
