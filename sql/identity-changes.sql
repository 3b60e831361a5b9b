-- question: Who became somebody else: by su, sudo, a setuid program, or by itself?
-- window: 1 days
-- tags: accountability, user, process
-- example: vestige report identity-changes --login-user alice --since yesterday
-- column: login_user; who had logged in; that never changes
-- column: how; su, sudo and the like; setuid program: it has its owner's rights; by PROGRAM: that program changed its user
-- column: from_user; real and effective user before, where they differ
-- column: to_user; and after
-- column: program; what runs as the new user
-- column: command; how it was started
-- schedule: process; subject login_user, how, from_user, to_user

-- A program as it was executed is compared with the one that it replaced, or that forked it; what a
-- program changed and took into no other one is there by itself. The back and forth of a program that
-- is setuid itself is left out.
WITH changed AS (
  SELECT p.host_id, p.created_at, p.login_uid, p.login_username, p.pid, p.exe, p.cmdline,
         CASE WHEN p.uid <> p.euid THEN 'setuid program'
              WHEN SUBSTRING_INDEX(b.exe, '/', -1) IN ('su', 'sudo', 'doas', 'pkexec', 'runuser', 'setpriv', 'login', 'sshd', 'sshd-session', 'cron', 'crond', 'systemd', 'systemd-executor')
              THEN SUBSTRING_INDEX(b.exe, '/', -1)
              ELSE CONCAT('by ', COALESCE(SUBSTRING_INDEX(b.exe, '/', -1), b.comm, '?')) END AS how,
         CONCAT_WS('/', COALESCE(b.username, b.uid),
                   IF(b.uid = b.euid, NULL, COALESCE(b.effective_username, b.euid))) AS from_user,
         CONCAT_WS('/', COALESCE(p.username, p.uid),
                   IF(p.uid = p.euid, NULL, COALESCE(p.effective_username, p.euid))) AS to_user,
         p.id, GREATEST(p.batch, COALESCE(p.settle_batch, 0), COALESCE(p.end_batch, 0)) AS batch
    FROM process p
    JOIN process b ON b.host_id = p.host_id AND b.id = COALESCE(p.previous_id, p.parent_id)
     AND b.day = DATE('1970-01-01' + INTERVAL COALESCE(p.previous_id, p.parent_id) DIV 1000000 SECOND)
   WHERE p.created_at >= :since AND p.created_at <= :until AND p.day >= :since_day
     AND (p.uid <> b.uid OR p.euid <> b.euid) AND NOT COALESCE(p.own, 0)
     AND (:host_id IS NULL OR p.host_id = :host_id)
     AND (:any_login OR p.login_uid <=> :login_uid)
   UNION ALL
  SELECT c.host_id, c.created_at, p.login_uid, p.login_username, p.pid, p.exe, p.cmdline,
         CONCAT('by ', COALESCE(SUBSTRING_INDEX(p.exe, '/', -1), p.comm, '?')),
         c.old_value, c.new_value,
         p.id, c.batch
    FROM process_change c
    JOIN process p ON p.host_id = c.host_id AND p.id = c.process_id
     AND p.day = DATE('1970-01-01' + INTERVAL c.process_id DIV 1000000 SECOND)
   WHERE c.kind = 'uid' AND p.uid = p.euid
     AND c.created_at >= :since AND c.created_at <= :until AND c.day >= :since_day
     AND NOT COALESCE(p.own, 0)
     AND NOT EXISTS (SELECT 1 FROM process n
                      WHERE n.host_id = p.host_id AND n.parent_id = p.parent_id AND n.previous_id = p.id
                        AND n.day >= :since_day)
     AND (:host_id IS NULL OR c.host_id = :host_id)
     AND (:any_login OR p.login_uid <=> :login_uid)
)
SELECT h.name AS host, c.created_at, COALESCE(c.login_username, c.login_uid) AS login_user,
       c.how, c.from_user, c.to_user, c.pid, c.exe AS program, c.cmdline AS command,
       c.host_id AS row_host_id, c.id AS row_id, c.batch AS row_batch
  FROM changed c
  JOIN enrolment h ON h.host_id = c.host_id
 ORDER BY c.created_at, c.host_id, c.id, c.from_user
 LIMIT :row_limit
