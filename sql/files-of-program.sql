-- question: Which files did this program use below a path, and in what order?
-- parameter: program text; name or whole path of the program, as it was recorded
-- parameter: under path = /; only files below this directory, or this one
-- window: 1 day
-- tags: files, programs
-- example: vestige report files-of-program httpd under=/usr --since yesterday
-- column: created_at; when it was opened, as far as the kernel tells: some milliseconds late, so what
--     one process did within them may be in another order
-- column: operations; what was done with it; empty while it is open
SELECT h.name AS host, f.created_at, COALESCE(f.login_username, f.login_uid) AS login_user,
       COALESCE(f.username, f.uid) AS username, f.application, f.pid, f.operations, f.path, f.new_path,
       f.host_id AS row_host_id, f.id AS row_id
  FROM file_access f
  JOIN enrolment h ON h.host_id = f.host_id
  LEFT JOIN process p ON p.host_id = f.host_id AND p.id = f.process_id
   AND p.day = DATE('1970-01-01' + INTERVAL f.process_id DIV 1000000 SECOND)
 WHERE f.day >= :since_day AND f.created_at >= :since AND f.created_at <= :until
   AND (f.application = :program OR p.exe = :program OR SUBSTRING_INDEX(p.exe, '/', -1) = :program)
   AND (f.path = :under
        OR (f.path >= CONCAT(TRIM(TRAILING '/' FROM :under), '/')
            AND f.path < CONCAT(TRIM(TRAILING '/' FROM :under), '0'))
        OR f.new_path = :under
        OR (f.new_path >= CONCAT(TRIM(TRAILING '/' FROM :under), '/')
            AND f.new_path < CONCAT(TRIM(TRAILING '/' FROM :under), '0')))
   AND (:host_id IS NULL OR f.host_id = :host_id)
   AND (:any_login OR f.login_uid <=> :login_uid)
 ORDER BY f.created_at, f.host_id, f.id
 LIMIT :row_limit
