-- question: Who was logged in at a moment, from where?
-- parameter: at time = now; the moment
-- tags: state, accountability
-- example: vestige report sessions-at at="yesterday 23:00"
-- column: since; when the session was opened
-- column: login_user; who had logged in first, whatever su and sudo did later
-- column: user; whose session it is
-- column: programs; how many programs of this session ran at that moment, known by its number
SELECT h.name AS host, s.created_at AS since, s.username AS user,
       COALESCE((SELECT MAX(a.username) FROM account a WHERE a.uid = s.login_uid
                    AND a.host_id = s.host_id AND a.created_at <= :at
                    AND (a.destroyed_at IS NULL OR a.destroyed_at > :at)), s.login_uid) AS login_user,
       s.service, s.tty, s.remote_address, s.remote_name, s.session_id, s.leader_pid,
       (SELECT COUNT(*) FROM process p WHERE p.login_uid = s.login_uid AND p.host_id = s.host_id
           AND p.session_id = s.session_id AND p.boot_id = s.boot_id AND p.day <= :at_day
           AND p.created_at <= :at AND (p.destroyed_at IS NULL OR p.destroyed_at > :at)) AS programs,
       s.destroyed_at AS ended_at, s.host_id AS row_host_id, s.id AS row_id
  FROM session s
  JOIN enrolment h ON h.host_id = s.host_id
 WHERE s.created_at <= :at AND (s.destroyed_at IS NULL OR s.destroyed_at > :at)
   AND (:host_id IS NULL OR s.host_id = :host_id)
   AND (:any_login OR s.login_uid <=> :login_uid)
 ORDER BY h.name, s.host_id, s.created_at, s.id
 LIMIT :row_limit
