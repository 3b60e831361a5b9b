-- question: Which scripts, shells and other interpreted programs had network connections?
-- window: 1 day
-- tags: disguise, network
-- example: vestige report interpreter-connections --on web1 --since "2h ago"
-- column: first_seen; when the first of these connections began
-- column: login_user; who had logged in, whatever su, sudo or setuid came later
-- column: username; as whom it ran
-- column: application; the name that it had at that moment
-- column: program; the interpreter
-- column: command; how it was started
-- column: connections; how many of this process with this peer
-- column: last_seen; when the last of them began
-- schedule: endpoint; subject program, username, remote_address, remote_port
SELECT h.name AS host, MIN(e.created_at) AS first_seen,
       COALESCE(e.login_username, e.login_uid) AS login_user,
       COALESCE(e.username, e.uid) AS username,
       e.pid, e.application, p.exe AS program, p.cmdline AS command, e.direction, e.protocol,
       e.remote_address, IF(e.direction = 'out', e.remote_port, NULL) AS remote_port,
       MAX(e.remote_name) AS remote_name,
       IF(e.direction = 'out', NULL, e.local_port) AS local_port,
       COUNT(*) AS connections, SUM(e.bytes_sent) AS bytes_sent, SUM(e.bytes_received) AS bytes_received,
       MAX(e.created_at) AS last_seen,
       e.host_id AS row_host_id, MAX(e.id) AS row_id,
       MAX(GREATEST(e.batch, COALESCE(e.settle_batch, 0), COALESCE(e.end_batch, 0))) AS row_batch
  FROM endpoint e
  JOIN enrolment h ON h.host_id = e.host_id
  JOIN process p FORCE INDEX (PRIMARY) ON p.host_id = e.host_id AND p.id = e.process_id
   AND p.day = DATE('1970-01-01' + INTERVAL e.process_id DIV 1000000 SECOND)
 WHERE e.created_at >= :since AND e.created_at <= :until AND e.day >= :since_day
   AND NOT e.protocol <=> 'unix' AND NOT e.direction <=> 'local'
   AND SUBSTRING_INDEX(TRIM(TRAILING ' (deleted)' FROM p.exe), '/', -1) REGEXP '^(perl|python|pypy|ruby|php|php-cgi|php-fpm|lua|node|nodejs|tclsh|wish|expect|guile|bash|rbash|dash|sh|ksh|mksh|zsh|fish|csh|tcsh|awk|gawk|mawk|busybox)[0-9.]*$'
   AND (:host_id IS NULL OR e.host_id = :host_id)
   AND (:any_login OR e.login_uid <=> :login_uid)
 GROUP BY e.host_id, e.process_id, e.pid, e.application, e.uid, e.login_uid, e.direction, e.protocol, e.remote_address,
          IF(e.direction = 'out', e.remote_port, NULL), IF(e.direction = 'out', NULL, e.local_port)
 ORDER BY first_seen, row_host_id, row_id
 LIMIT :row_limit
