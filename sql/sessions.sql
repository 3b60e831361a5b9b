-- question: Who was logged in, from where, from when to when?
-- parameter: service text = none; only this one: sshd, login, su, sudo, cron ...
-- parameter: remote text = none; only from this name or address
-- window: 7 days
-- tags: accountability, user, session
-- example: vestige report sessions --login-user alice service=sshd
-- column: login_user; who logged in first; su and sudo do not change that
-- column: username; whose session it is
-- column: session; its number for audit
-- column: ended_at; empty: it goes on
-- column: seconds; how long it lasted, or lasts
-- column: end_cause; closed; exit (its first process is gone); reconciled (it was over when the recorder started again); reboot
SELECT h.name AS host, s.created_at, s.destroyed_at AS ended_at,
       TIMESTAMPDIFF(SECOND, s.created_at, COALESCE(s.destroyed_at, :until)) AS seconds,
       COALESCE((SELECT MAX(p.login_username) FROM process p
                  WHERE p.host_id = s.host_id AND p.id = s.process_id
                    AND p.day = DATE('1970-01-01' + INTERVAL s.process_id DIV 1000000 SECOND)),
                s.login_uid) AS login_user,
       s.username, s.service, s.tty, s.remote_address, s.remote_name, s.session_id AS session, s.leader_pid,
       s.end_cause,
       s.host_id AS row_host_id, s.id AS row_id
  FROM session s
  JOIN enrolment h ON h.host_id = s.host_id
 WHERE s.created_at <= :until
   AND (s.destroyed_at IS NULL OR s.destroyed_at >= :since)
   AND (:service IS NULL OR s.service = :service)
   AND (:remote IS NULL OR s.remote_name = :remote
        OR s.remote_address = INET6_NTOA(INET6_ATON(:remote)))
   AND (:host_id IS NULL OR s.host_id = :host_id)
   AND (:any_login OR s.login_uid <=> :login_uid)
 ORDER BY s.created_at, s.host_id, s.id
 LIMIT :row_limit
