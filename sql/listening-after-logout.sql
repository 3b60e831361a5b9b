-- question: Which programs of login users listened after the session that they belong to was over?
-- parameter: protocol text = none; only this protocol: tcp, udp, unix ...; without it all but unix
-- window: 7 days
-- tags: network, services, accountability
-- example: vestige report listening-after-logout --on web1
-- column: created_at; when it began to listen
-- column: destroyed_at; when it ended; empty while it listens
-- column: session; the number of the session for audit
-- column: logged_out_at; when the last session with this number ended
-- schedule: endpoint; subject application, login_user, protocol, local_port
SELECT h.name AS host, e.created_at, e.destroyed_at, COALESCE(e.login_username, e.login_uid) AS login_user,
       COALESCE(e.username, e.uid) AS username, e.application, e.pid, e.protocol, e.local_address,
       e.local_port, e.local_name, p.session_id AS session, MAX(s.destroyed_at) AS logged_out_at,
       p.cmdline AS command, e.host_id AS row_host_id, e.id AS row_id,
       MAX(GREATEST(e.batch, COALESCE(e.settle_batch, 0), COALESCE(e.end_batch, 0), s.batch,
                    COALESCE(s.end_batch, 0))) AS row_batch
  FROM endpoint e
  JOIN process p FORCE INDEX (PRIMARY) ON p.host_id = e.host_id AND p.id = e.process_id
   AND p.day = DATE('1970-01-01' + INTERVAL e.process_id DIV 1000000 SECOND)
  JOIN session s ON s.host_id = p.host_id AND s.session_id = p.session_id AND s.boot_id = p.boot_id
   AND s.created_at <= :until
  JOIN enrolment h ON h.host_id = e.host_id
 WHERE e.day <= :until_day AND e.created_at <= :until
   AND (e.destroyed_at IS NULL OR e.destroyed_at >= :since)
   AND e.direction = 'listen' AND e.login_uid IS NOT NULL
   AND (e.protocol = CONVERT(:protocol USING ascii) OR (:protocol IS NULL AND NOT e.protocol <=> 'unix'))
   AND (:host_id IS NULL OR e.host_id = :host_id)
   AND (:any_login OR e.login_uid <=> :login_uid)
 GROUP BY e.host_id, e.id, e.day
HAVING SUM(s.destroyed_at IS NULL) = 0 AND logged_out_at <= :until
   AND (e.destroyed_at IS NULL OR e.destroyed_at > logged_out_at)
 ORDER BY e.created_at, e.host_id, e.id
 LIMIT :row_limit
