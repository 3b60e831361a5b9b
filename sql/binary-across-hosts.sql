-- question: On which hosts, and by whom, was this very program run?
-- parameter: program text; its SHA-256, or its whole path
-- window: 7 days
-- tags: fleet, programs
-- example: vestige report binary-across-hosts program=/usr/bin/nc.traditional
-- column: sha256; of the file that was executed; empty: it was not read
-- column: runs; how often
-- column: login_users; who had logged in; unset: nobody
-- column: last_seen; when the last run began
SELECT h.name AS host, p.exe, p.exe_sha256 AS sha256, COUNT(*) AS runs,
       MIN(p.created_at) AS first_seen, MAX(p.created_at) AS last_seen,
       GROUP_CONCAT(DISTINCT COALESCE(p.login_username, p.login_uid, 'unset') ORDER BY 1 SEPARATOR ', ')
         AS login_users,
       GROUP_CONCAT(DISTINCT COALESCE(p.username, p.uid) ORDER BY 1 SEPARATOR ', ') AS users,
       p.host_id AS row_host_id, MIN(p.id) AS row_id
  FROM process p
  JOIN enrolment h ON h.host_id = p.host_id
 WHERE (p.exe_sha256 = CONVERT(:program USING ascii) OR p.exe = :program)
   AND p.created_at >= :since AND p.created_at <= :until AND p.day >= :since_day
   AND (:host_id IS NULL OR p.host_id = :host_id)
   AND (:any_login OR p.login_uid <=> :login_uid)
 GROUP BY p.host_id, h.name, p.exe, p.exe_sha256
 ORDER BY first_seen, p.host_id, p.exe, p.exe_sha256
 LIMIT :row_limit
