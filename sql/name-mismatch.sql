-- question: Which processes had a name that does not fit the program they ran?
-- window: 1 day
-- tags: disguise, process
-- example: vestige report name-mismatch --since yesterday
-- column: login_user; who had logged in, whatever su, sudo or setuid came later
-- column: username; as whom it was started
-- column: name; what it was called
-- column: seen_in; comm: its name for the kernel; argv0: as ps shows it; renamed: it gave itself that name while it ran; endpoint: when it made a connection
-- column: program; the file that it was
-- column: command; how it was started
-- schedule: process; subject name, program

-- A name fits that is a part of the program's (python3 of python3.11, sh of dash, vi of vim.basic), that
-- has it in it (tmux: server), and that of the script which is executed. Programs that go by many names
-- are left out, and so are the names of threads, unless they are those of well-known services.
WITH noted AS (
  SELECT c.host_id, c.process_id AS id, 'renamed' AS seen_in, c.new_value AS name, c.batch
    FROM process_change c
   WHERE c.kind = 'comm'
     AND c.created_at >= :since AND c.created_at <= :until AND c.day >= :since_day
     AND (:host_id IS NULL OR c.host_id = :host_id)
   UNION ALL
  SELECT e.host_id, e.process_id, 'endpoint', e.application, e.batch
    FROM endpoint e
   WHERE (e.application REGEXP '^(.?(crond?|atd|init|systemd.*|sshd.*|httpd|apache2?|nginx|named|ntpd|chronyd|rsyslogd|syslogd|udevd|getty|agetty|login|inetd|xinetd|cupsd|smbd|dbus-daemon|dockerd|containerd|postfix|master|sendmail|exim4?|mysqld|mariadbd|postgres|java)|kworker.*|ksoftirqd.*|kthreadd|migration.*|rcu_.*|watchdog.*|[[].*)$')
     AND e.created_at >= :since AND e.created_at <= :until AND e.day >= :since_day
     AND (:host_id IS NULL OR e.host_id = :host_id)
     AND (:any_login OR e.login_uid <=> :login_uid)
), own_names AS (
  SELECT p.host_id, p.id, IF(side.shown, 'argv0', 'comm') AS seen_in,
         IF(side.shown, LEFT(p.argv0, 255), p.comm) AS name,
         IF(side.shown, SUBSTRING_INDEX(SUBSTRING_INDEX(SUBSTRING_INDEX(
           TRIM(LEADING '-' FROM LEFT(p.argv0, 4096)), ' ', 1), ':', 1), '/', -1), p.comm) AS word,
         p.batch, p.arguments,
         SUBSTRING_INDEX(TRIM(TRAILING ' (deleted)' FROM p.exe), '/', -1) AS base
    FROM process p
    STRAIGHT_JOIN (SELECT 0 AS shown UNION ALL SELECT 1) side
   WHERE (NOT side.shown OR p.argv0 <> '')
     AND p.exe IS NOT NULL AND NOT COALESCE(p.own, 0)
     AND p.created_at >= :since AND p.created_at <= :until AND p.day >= :since_day
     AND (:host_id IS NULL OR p.host_id = :host_id)
     AND (:any_login OR p.login_uid <=> :login_uid)
), judged AS (
  SELECT host_id, id, seen_in, name, word, batch, base, CONCAT('/', LEFT(arguments, 4096)) AS words
    FROM own_names
   WHERE (word = '' OR LOCATE(word, base) = 0) AND LOCATE(LEFT(base, 15), name) = 0
   UNION ALL
  SELECT n.host_id, n.id, n.seen_in, n.name, n.name, n.batch,
         SUBSTRING_INDEX(TRIM(TRAILING ' (deleted)' FROM p.exe), '/', -1), CONCAT('/', LEFT(p.arguments, 4096))
    FROM noted n
    JOIN process p FORCE INDEX (PRIMARY) ON p.host_id = n.host_id AND p.id = n.id
     AND p.day = DATE('1970-01-01' + INTERVAL n.id DIV 1000000 SECOND)
   WHERE p.exe IS NOT NULL AND NOT COALESCE(p.own, 0)
     AND (:any_login OR p.login_uid <=> :login_uid)
), strange AS (
  SELECT host_id, id, GROUP_CONCAT(DISTINCT seen_in ORDER BY seen_in SEPARATOR ', ') AS seen_in,
         word, MIN(name) AS name, MAX(batch) AS batch
    FROM judged
   WHERE (word = '' OR LOCATE(word, base) = 0) AND LOCATE(LEFT(base, 15), name) = 0
     AND (LOCATE(CONCAT('/', word), words) = 0 OR seen_in = 'argv0')
     AND word <> 'exe'
     AND base NOT REGEXP '^(busybox|toybox|coreutils|kmod|systemctl|systemd|systemd-executor|udevadm|resolvectl|xtables-.*|vim.*|nano|less|mariadb.*|exim4|killall5|pgrep|tset|tic|newgrp|sudo|lvm|dmsetup|mke2fs|e2fsck|tune2fs|mkfs[.].*|fsck[.].*|xz|bzip2|unzip|zstd|setarch|traceroute.*|ssh|.*g[+][+]-?[0-9]*|.*gcc-[0-9]+|runc|crun|bubblewrap)$'
   GROUP BY host_id, id, word
)
SELECT h.name AS host, p.created_at,
       COALESCE(p.login_username, p.login_uid) AS login_user,
       COALESCE(p.username, p.uid) AS username,
       p.pid, s.name, s.seen_in, p.exe AS program, p.cmdline AS command,
       p.host_id AS row_host_id, p.id AS row_id,
       GREATEST(s.batch, p.batch, COALESCE(p.settle_batch, 0), COALESCE(p.end_batch, 0)) AS row_batch
  FROM strange s
  STRAIGHT_JOIN process p FORCE INDEX (PRIMARY) ON p.host_id = s.host_id AND p.id = s.id
   AND p.day = DATE('1970-01-01' + INTERVAL s.id DIV 1000000 SECOND)
  JOIN enrolment h ON h.host_id = p.host_id
 ORDER BY p.created_at, p.host_id, p.id, s.name
 LIMIT :row_limit
