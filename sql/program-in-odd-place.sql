-- question: Which programs and scripts were run from a temporary or hidden place?
-- window: 1 days
-- tags: disguise, process
-- example: vestige report program-in-odd-place --since yesterday
-- column: login_user; who had logged in, whatever su, sudo or setuid came later
-- column: username; as whom it was started
-- column: place; temporary, memory (a file system without a disk), device (a file in /dev), hidden (a name that begins with a dot)
-- column: file; the program or script in that place
-- column: program; what ran: the file itself, or its interpreter
-- column: command; how it was started
-- schedule: process; subject file, login_user

-- The script is the first word behind the interpreter's options, seen from the directory where the
-- interpreter was started; text behind -c or -e and modules behind -m are none.
WITH started AS (
  SELECT p.host_id, p.id, p.exe, p.cwd,
         CASE WHEN SUBSTRING_INDEX(p.exe, '/', -1) LIKE '%awk' AND p.arguments NOT LIKE '-f %' THEN NULL
              WHEN p.exe LIKE '%/busybox' AND p.comm NOT IN ('sh', 'ash', 'hush') THEN NULL
              WHEN SUBSTRING_INDEX(p.exe, '/', -1) REGEXP '^(perl|python|pypy|ruby|php|lua|node|nodejs|tclsh|wish|expect|guile|bash|rbash|dash|sh|ksh|mksh|zsh|fish|csh|tcsh|awk|gawk|mawk|busybox)[0-9.]*$'
              THEN LEFT(p.arguments, 4096) END AS words,
         GREATEST(p.batch, COALESCE(p.settle_batch, 0), COALESCE(p.end_batch, 0)) AS batch
    FROM process p
   WHERE p.created_at >= :since AND p.created_at <= :until AND p.day >= :since_day
     AND NOT COALESCE(p.own, 0)
     AND (:host_id IS NULL OR p.host_id = :host_id)
     AND (:any_login OR p.login_uid <=> :login_uid)
), split AS (
  SELECT s.*, REGEXP_SUBSTR(words, '^(-[^ ]+ )*') AS options FROM started s
), scripts AS (
  SELECT s.*,
         CASE WHEN options REGEXP '^(-[^ ]+ )*-[A-Za-z]*[ceEm] $' THEN NULL
              ELSE TRIM(BOTH '''' FROM REGEXP_SUBSTR(SUBSTRING(words, 1 + CHAR_LENGTH(options)), '^(''[^'']*''|[^ ''-][^ ]*)'))
         END AS script
    FROM split s
), files AS (
  SELECT host_id, id, exe AS file, batch FROM scripts
   UNION ALL
  SELECT host_id, id,
         IF(script LIKE '/%', script, CONCAT(TRIM(TRAILING '/' FROM cwd), '/', TRIM(LEADING './' FROM script))), batch
    FROM scripts WHERE script <> ''
), placed AS (
  SELECT f.*,
         CASE WHEN file REGEXP '^/(dev/shm|run/shm|run/user)/' THEN 'memory'
              WHEN file LIKE '/memfd:%' THEN 'memory'
              WHEN file REGEXP '^/(tmp|var/tmp|usr/tmp)/' THEN 'temporary'
              WHEN file LIKE '/dev/%' AND file NOT LIKE '/dev/fd/%' THEN 'device'
              WHEN file REGEXP '/[.]([^./]|[.][^/])' THEN 'hidden' END AS place
    FROM files f
)
SELECT h.name AS host, p.created_at,
       COALESCE(p.login_username, p.login_uid) AS login_user,
       COALESCE(p.username, p.uid) AS username,
       p.pid,
       CONCAT(f.place, IF(f.place <> 'hidden' AND f.file REGEXP '/[.]([^./]|[.][^/])', ', hidden', '')) AS place,
       f.file, p.exe AS program, p.cmdline AS command, p.exe_sha256 AS sha256,
       p.host_id AS row_host_id, p.id AS row_id, f.batch AS row_batch
  FROM placed f
  JOIN process p ON p.host_id = f.host_id AND p.id = f.id
   AND p.day = DATE('1970-01-01' + INTERVAL f.id DIV 1000000 SECOND)
  JOIN enrolment h ON h.host_id = p.host_id
 WHERE f.place IS NOT NULL
 ORDER BY p.created_at, p.host_id, p.id, f.file
 LIMIT :row_limit
