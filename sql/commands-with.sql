-- question: Which commands had this text in their command line, and who ran them?
-- parameter: word text; an address, a name, an option, a part of a path ...; as it was recorded
-- parameter: program text = none; only this program, by name or whole path
-- window: 7 days
-- tags: process, accountability, seed
-- example: vestige report commands-with 192.0.2.66 program=perl --login-user unset
-- column: login_user; who had logged in, whatever su, sudo or setuid came later
-- column: username; as whom it was started
-- column: ended_at; when it ended, or became another program; empty: it lives
-- schedule: process; subject program, login_user, username
SELECT h.name AS host, p.created_at,
       COALESCE(p.login_username, p.login_uid) AS login_user,
       COALESCE(p.username, p.uid) AS username,
       p.pid, p.ppid, p.exe AS program, p.cmdline AS command, p.cwd, p.destroyed_at AS ended_at,
       p.exit_code, p.host_id AS row_host_id, p.id AS row_id,
       GREATEST(p.batch, COALESCE(p.settle_batch, 0), COALESCE(p.end_batch, 0)) AS row_batch
  FROM process p
  JOIN enrolment h ON h.host_id = p.host_id
 WHERE p.day <= :until_day AND p.created_at <= :until
   AND (p.destroyed_at IS NULL OR p.destroyed_at >= :since)
   AND (LOCATE(:word, p.argv0) > 0 OR LOCATE(:word, p.arguments) > 0 OR LOCATE(:word, p.cmdline) > 0)
   AND (:program IS NULL OR p.comm = :program OR p.exe = :program
        OR SUBSTRING_INDEX(p.exe, '/', -1) = :program)
   AND (:host_id IS NULL OR p.host_id = :host_id)
   AND (:any_login OR p.login_uid <=> :login_uid)
 ORDER BY p.created_at, p.host_id, p.id
 LIMIT :row_limit
