-- question: Which files below a path did users touch, and what did they do with them?
-- parameter: path path; the directory; of renames, the names before count
-- window: 1 day
-- tags: files, accountability
-- example: vestige report files-under /srv/payroll --login-user alice --since this-week
-- column: operations; all that this user did with it, whatever the program
-- column: times; how many uses of the file these were
-- column: programs; the names of the programs
SELECT h.name AS host, f.path, COALESCE(f.login_username, f.login_uid) AS login_user,
       COALESCE(f.username, f.uid) AS username,
       MAKE_SET(BIT_OR(f.operations + 0), 'read', 'write', 'execute', 'create', 'delete', 'rename',
                'attributes') AS operations,
       COUNT(*) AS times, GROUP_CONCAT(DISTINCT f.application ORDER BY f.application) AS programs,
       MIN(f.created_at) AS first_touched, MAX(f.created_at) AS last_touched,
       f.host_id AS row_host_id, MIN(f.id) AS row_id
  FROM file_access f
  JOIN enrolment h ON h.host_id = f.host_id
 WHERE f.day >= :since_day AND f.created_at >= :since AND f.created_at <= :until
   AND (f.path = :path
        OR (f.path >= CONCAT(TRIM(TRAILING '/' FROM :path), '/')
            AND f.path < CONCAT(TRIM(TRAILING '/' FROM :path), '0')))
   AND (:host_id IS NULL OR f.host_id = :host_id)
   AND (:any_login OR f.login_uid <=> :login_uid)
 GROUP BY f.host_id, f.path, f.login_uid, f.login_username, f.uid, f.username
 ORDER BY host, f.path, first_touched, row_id
 LIMIT :row_limit
