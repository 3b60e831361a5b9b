-- question: Which files below a path did users touch, and what did they do with them?
-- parameter: path path; the directory
-- window: 1 day
-- tags: files, accountability
-- example: vestige report files-under /srv/payroll --login-user alice --since this-week
-- column: path; of a rename, the name before and the name behind are two rows, if both are below it
-- column: operations; all that this user did with it, whatever the program
-- column: times; how many uses of the file these were
-- column: programs; the names of the programs
SELECT h.name AS host, f.path, COALESCE(f.login_username, f.login_uid) AS login_user,
       COALESCE(f.username, f.uid) AS username,
       MAKE_SET(BIT_OR(f.deeds), 'read', 'write', 'execute', 'create', 'delete', 'rename',
                'attributes') AS operations,
       COUNT(*) AS times, GROUP_CONCAT(DISTINCT f.application ORDER BY f.application) AS programs,
       MIN(f.created_at) AS first_touched, MAX(f.created_at) AS last_touched,
       f.host_id AS row_host_id, MIN(f.id) AS row_id
  FROM (SELECT a.host_id, a.id, a.created_at, a.path, a.operations + 0 AS deeds, a.application,
               a.login_uid, a.login_username, a.uid, a.username
          FROM file_access a
         WHERE a.day >= :since_day AND a.created_at >= :since AND a.created_at <= :until
           AND (a.path = :path
                OR (a.path >= CONCAT(TRIM(TRAILING '/' FROM :path), '/')
                    AND a.path < CONCAT(TRIM(TRAILING '/' FROM :path), '0')))
           AND (:host_id IS NULL OR a.host_id = :host_id)
           AND (:any_login OR a.login_uid <=> :login_uid)
         UNION ALL
        SELECT b.host_id, b.id, b.created_at, b.new_path, b.operations + 0, b.application,
               b.login_uid, b.login_username, b.uid, b.username
          FROM file_access b
         WHERE b.day >= :since_day AND b.created_at >= :since AND b.created_at <= :until
           AND (b.new_path = :path
                OR (b.new_path >= CONCAT(TRIM(TRAILING '/' FROM :path), '/')
                    AND b.new_path < CONCAT(TRIM(TRAILING '/' FROM :path), '0')))
           AND (:host_id IS NULL OR b.host_id = :host_id)
           AND (:any_login OR b.login_uid <=> :login_uid)) f
  JOIN enrolment h ON h.host_id = f.host_id
 GROUP BY f.host_id, f.path, f.login_uid, f.login_username, f.uid, f.username
 ORDER BY host, f.path, first_touched, row_id
 LIMIT :row_limit
