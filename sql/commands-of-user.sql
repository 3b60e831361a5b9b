-- question: Which commands did this login user run, also as somebody else?
-- parameter: user user; who logged in, whatever su, sudo or setuid came later
-- window: 1 days
-- tags: accountability, user, process
-- example: vestige report commands-of-user user=alice --since yesterday
-- column: username; as whom it was started
-- column: effective_user; with whose rights
-- column: session; the number of the session for audit
-- column: ended_at; when it ended, or became another program; empty: it lives
SELECT h.name AS host, p.created_at, p.session_id AS session, p.tty,
       COALESCE(p.username, p.uid) AS username,
       COALESCE(p.effective_username, p.euid) AS effective_user,
       p.pid, p.ppid, p.exe AS program, p.cmdline AS command, p.cwd,
       p.destroyed_at AS ended_at, p.end_cause, p.exit_code, p.exit_signal,
       p.host_id AS row_host_id, p.id AS row_id
  FROM process p
  JOIN enrolment h ON h.host_id = p.host_id
 WHERE p.login_uid = :user
   AND p.created_at >= :since AND p.created_at <= :until AND p.day >= :since_day
   AND (:host_id IS NULL OR p.host_id = :host_id)
 ORDER BY p.created_at, p.host_id, p.id
 LIMIT :row_limit
