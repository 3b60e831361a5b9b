-- question: Which programs, told by their contents, were run on few hosts only?
-- parameter: hosts number = 1; on at most so many of all
-- parameter: runs number = 1000000000; and at most so often
-- window: 1 days
-- tags: fleet, programs, detection
-- example: vestige report rare-binaries hosts=2 --since "7d ago"
-- column: exe; where it lay; one of several, where there are several
-- column: hosts; on how many hosts it was run
-- column: host; the first of them
-- column: login_users; who had logged in; unset: nobody
-- column: modified_at; when the file's contents were last changed before it was run
SELECT MIN(p.exe) AS exe, COUNT(DISTINCT p.host_id) AS hosts,
       (SELECT h.name FROM enrolment h WHERE h.host_id = MIN(p.host_id)) AS host, COUNT(*) AS runs,
       MIN(p.created_at) AS first_seen, MAX(p.created_at) AS last_seen,
       GROUP_CONCAT(DISTINCT COALESCE(p.login_username, p.login_uid, 'unset') ORDER BY 1 SEPARATOR ', ')
         AS login_users,
       MAX(p.exe_modified_at) AS modified_at, p.exe_sha256 AS sha256,
       MIN(p.host_id) AS row_host_id, MIN(p.id) AS row_id
  FROM process p
 WHERE p.created_at >= :since AND p.created_at <= :until AND p.day >= :since_day
   AND p.exe_sha256 IS NOT NULL
 GROUP BY p.exe_sha256
HAVING COUNT(DISTINCT p.host_id) <= :hosts AND COUNT(*) <= :runs
   AND MAX(:host_id IS NULL OR p.host_id = :host_id)
   AND MAX(:any_login OR p.login_uid <=> :login_uid)
 ORDER BY hosts, runs, first_seen, sha256
 LIMIT :row_limit
