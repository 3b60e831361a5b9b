-- question: Which programs ran on the hosts, how often, and by how many users?
-- window: 1 day
-- tags: process, overview
-- example: vestige report programs-of-host --on web1 --since today
-- column: runs; how many program images began in the window
-- column: users; how many different login users they had, those without a login counted as one
SELECT h.name AS host, p.exe, COUNT(*) AS runs,
       COUNT(DISTINCT COALESCE(p.login_uid, 4294967295)) AS users,
       MIN(p.created_at) AS first_seen, MAX(p.created_at) AS last_seen
  FROM process p
  JOIN enrolment h ON h.host_id = p.host_id
 WHERE p.day >= :since_day AND p.created_at >= :since AND p.created_at <= :until
   AND (:host_id IS NULL OR p.host_id = :host_id)
   AND (:any_login OR p.login_uid <=> :login_uid)
 GROUP BY p.host_id, p.exe
 ORDER BY runs DESC, host, p.exe
 LIMIT :row_limit
