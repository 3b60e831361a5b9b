-- question: What ran as this account?
-- parameter: account text; the name of the account, or its number if it has none
-- window: 1 day
-- tags: process, account, seed
-- example: vestige report commands-of-account account=nobody --since yesterday
-- column: login_user; who had logged in, whatever su, sudo or setuid came later
-- column: username; the account as whose it was started
-- column: effective_user; with whose rights
-- column: program; the file that it was
-- column: ended_at; when it ended, or became another program; empty: it lives
SELECT h.name AS host, p.created_at,
       COALESCE(p.login_username, p.login_uid) AS login_user,
       COALESCE(p.username, p.uid) AS username,
       COALESCE(p.effective_username, p.euid) AS effective_user,
       p.pid, p.ppid, p.exe AS program, p.cmdline AS command, p.cwd,
       p.destroyed_at AS ended_at, p.end_cause, p.exit_code,
       p.host_id AS row_host_id, p.id AS row_id
  FROM (SELECT host_id, id, day FROM process
         WHERE username = :account
           AND created_at >= :since AND created_at <= :until AND day >= :since_day
         UNION ALL
        SELECT host_id, id, day FROM process
         WHERE username IS NULL AND CAST(uid AS CHAR) = :account
           AND created_at >= :since AND created_at <= :until AND day >= :since_day) f
  JOIN process p FORCE INDEX (PRIMARY) ON p.host_id = f.host_id AND p.id = f.id AND p.day = f.day
  JOIN enrolment h ON h.host_id = p.host_id
 WHERE (:host_id IS NULL OR p.host_id = :host_id)
   AND (:any_login OR p.login_uid <=> :login_uid)
 ORDER BY p.created_at, p.host_id, p.id
 LIMIT :row_limit
