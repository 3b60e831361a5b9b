-- question: Which users read this file, with which programs, and how often?
-- parameter: path path; the file
-- window: 1 day
-- tags: files, accountability
-- example: vestige report who-read /etc/shadow --since today
-- column: times; by how many runs of the program; a file that is still open counts, for what is done
--     with it is known at its end
-- column: first_read; when the first of them opened it
-- column: last_read; when the last of them opened it
SELECT h.name AS host, COALESCE(f.login_username, f.login_uid) AS login_user,
       COALESCE(f.username, f.uid) AS username, f.application, p.exe AS program,
       COUNT(DISTINCT COALESCE(f.process_id, f.id)) AS times,
       MIN(f.created_at) AS first_read, MAX(f.created_at) AS last_read,
       f.host_id AS row_host_id, MIN(f.id) AS row_id
  FROM file_access f
  JOIN enrolment h ON h.host_id = f.host_id
  LEFT JOIN process p ON p.host_id = f.host_id AND p.id = f.process_id
   AND p.day = DATE('1970-01-01' + INTERVAL f.process_id DIV 1000000 SECOND)
 WHERE f.path = :path
   AND f.day <= :until_day AND f.created_at <= :until
   AND (f.destroyed_at IS NULL OR f.destroyed_at >= :since)
   AND (FIND_IN_SET('read', f.operations) OR f.operations IS NULL)
   AND (:host_id IS NULL OR f.host_id = :host_id)
   AND (:any_login OR f.login_uid <=> :login_uid)
 GROUP BY f.host_id, f.login_uid, f.login_username, f.uid, f.username, f.application, p.exe
 ORDER BY first_read, row_host_id, row_id
 LIMIT :row_limit
