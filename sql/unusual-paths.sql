-- question: Which login users used files in directories where they never did before?
-- parameter: baseline number = 30; so many days before the window say what is usual
-- parameter: quiet number = 5; a baseline with activity on fewer days is called quiet
-- parameter: depth number = 3; directories are told apart by so many names: /srv/www/shop is 3
-- window: 1 day
-- tags: accountability, user, unusual
-- example: vestige report unusual-paths --login-user alice depth=2
-- column: directory; the first names of the files' paths
-- column: files; how many rows of files there are
-- column: operations; what was done, of all of them
-- column: example; the path of one of them
-- column: baseline; good; quiet: active on few days before, so that much looks unusual; none: on none
-- column: baseline_days; on how many days before the window the user was active there
-- schedule: file_access; subject login_user, directory

-- Most of what is usual was also done in the last three days; only for the rest is the whole baseline read.
WITH used AS (
  SELECT f.host_id, f.login_uid, SUBSTRING_INDEX(f.path, '/', 1 + LEAST(CHAR_LENGTH(f.path) - CHAR_LENGTH(REPLACE(f.path, '/', '')) - 1, :depth)) AS directory,
         MAX(f.login_username) AS login_username, COUNT(*) AS files,
         BIT_OR(f.operations + 0) AS done, MIN(f.path) AS example,
         MIN(f.created_at) AS first_seen, MAX(f.created_at) AS last_seen, MAX(f.id) AS row_id,
         MAX(GREATEST(f.batch, COALESCE(f.settle_batch, 0), COALESCE(f.end_batch, 0))) AS row_batch
    FROM file_access f
   WHERE f.login_uid IS NOT NULL
     AND f.created_at >= :since AND f.created_at <= :until AND f.day >= :since_day
     AND (:host_id IS NULL OR f.host_id = :host_id)
     AND (:any_login OR f.login_uid <=> :login_uid)
   GROUP BY f.host_id, f.login_uid, directory
), recent AS (
  SELECT DISTINCT host_id, login_uid,
         UNHEX(SHA2(SUBSTRING_INDEX(path, '/', 1 + LEAST(CHAR_LENGTH(path) - CHAR_LENGTH(REPLACE(path, '/', '')) - 1, :depth)), 256)) AS digest
    FROM file_access IGNORE INDEX (PRIMARY)
   WHERE login_uid IS NOT NULL
     AND created_at >= :since - INTERVAL LEAST(:baseline, 3) DAY AND created_at < :since
     AND day >= :since_day - INTERVAL LEAST(:baseline, 3) DAY
     AND (:host_id IS NULL OR host_id = :host_id)
     AND (:any_login OR login_uid <=> :login_uid)
), usual AS (
  SELECT DISTINCT host_id, login_uid,
         UNHEX(SHA2(SUBSTRING_INDEX(path, '/', 1 + LEAST(CHAR_LENGTH(path) - CHAR_LENGTH(REPLACE(path, '/', '')) - 1, :depth)), 256)) AS digest
    FROM file_access IGNORE INDEX (PRIMARY)
   WHERE login_uid IS NOT NULL
     AND created_at >= :since - INTERVAL LEAST(:baseline, 36500) DAY AND created_at < :since
     AND day >= :since_day - INTERVAL LEAST(:baseline, 36500) DAY
     AND (:host_id IS NULL OR host_id = :host_id)
     AND (:any_login OR login_uid <=> :login_uid)
), days AS (
  SELECT host_id, login_uid, COUNT(DISTINCT DATE(created_at)) AS days
    FROM file_access IGNORE INDEX (PRIMARY)
   WHERE login_uid IS NOT NULL AND created_at >= :since - INTERVAL LEAST(:baseline, 36500) DAY AND created_at < :since
     AND day >= :since_day - INTERVAL LEAST(:baseline, 36500) DAY
     AND (:host_id IS NULL OR host_id = :host_id)
     AND (:any_login OR login_uid <=> :login_uid)
   GROUP BY host_id, login_uid
)
SELECT h.name AS host, COALESCE(r.login_username, r.login_uid) AS login_user,
       IF(r.directory = '', '/', r.directory) AS directory, r.files,
       MAKE_SET(r.done, 'read', 'write', 'execute', 'create', 'delete', 'rename', 'attributes') AS operations,
       r.example, r.first_seen, r.last_seen,
       CASE WHEN d.days IS NULL THEN 'none' WHEN d.days < :quiet THEN 'quiet' ELSE 'good' END AS baseline,
       COALESCE(d.days, 0) AS baseline_days,
       r.host_id AS row_host_id, r.row_id, r.row_batch
  FROM used r
  JOIN enrolment h ON h.host_id = r.host_id
  LEFT JOIN recent c ON c.host_id = r.host_id AND c.login_uid = r.login_uid AND c.digest = UNHEX(SHA2(r.directory, 256))
  LEFT JOIN usual u ON c.digest IS NULL
   AND u.host_id = r.host_id AND u.login_uid = r.login_uid AND u.digest = UNHEX(SHA2(r.directory, 256))
  LEFT JOIN days d ON d.host_id = r.host_id AND d.login_uid = r.login_uid
 WHERE c.digest IS NULL AND u.digest IS NULL
 ORDER BY r.first_seen, r.host_id, r.login_uid, r.directory
 LIMIT :row_limit
