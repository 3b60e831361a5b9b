-- question: Which processes ran at a moment?
-- parameter: at time = now; the moment
-- parameter: program text = none; only this one, by its whole path or its name
-- tags: state, process
-- example: vestige report processes-at at="2026-01-01 03:00" --on web1
-- column: since; when this program image began
-- column: own; 1: a process of Vestige itself
SELECT h.name AS host, p.created_at AS since, COALESCE(p.login_username, p.login_uid) AS login_user,
       COALESCE(p.username, p.uid) AS user, p.pid, p.ppid, p.comm, p.exe, p.cmdline AS command, p.tty,
       p.session_id, p.container, p.own, p.destroyed_at AS ended_at, p.host_id AS row_host_id,
       p.id AS row_id
  FROM process p
  JOIN enrolment h ON h.host_id = p.host_id
 WHERE p.day <= :at_day AND p.created_at <= :at AND (p.destroyed_at IS NULL OR p.destroyed_at > :at)
   AND (:program IS NULL OR p.exe = :program OR p.comm = :program)
   AND (:host_id IS NULL OR p.host_id = :host_id)
   AND (:any_login OR p.login_uid <=> :login_uid)
 ORDER BY h.name, p.host_id, p.created_at, p.id
 LIMIT :row_limit
