SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', s.created_at) AS begin_us,
       TIMESTAMPDIFF(MICROSECOND, '1970-01-01', s.destroyed_at) AS end_us,
       COALESCE((SELECT MAX(p.login_username) FROM process p
                  WHERE p.host_id = s.host_id AND p.id = s.process_id
                    AND p.day = DATE('1970-01-01' + INTERVAL s.process_id DIV 1000000 SECOND)
                    AND p.login_uid = s.login_uid),
                IF(s.service IN ('su', 'sudo'), NULL, s.username), s.login_uid) AS login_user,
       s.username AS user,
       s.leader_pid AS pid,
       s.process_id AS process_row,
       CONCAT_WS(' ', s.username, s.service) AS label,
       CONCAT_WS(' ', COALESCE(s.username, 'somebody'), CONCAT('by ', s.service),
                 CONCAT('from ', COALESCE(s.remote_name COLLATE utf8mb4_nopad_bin, s.remote_address)), CONCAT('on ', s.tty),
                 CONCAT('session ', s.session_id)) AS begin_text,
       CONCAT(CONCAT_WS(' ', COALESCE(s.username, 'somebody'), CONCAT('by ', s.service),
                        CONCAT('session ', s.session_id)), ': ', s.end_cause) AS end_text,
       s.*
  FROM session s
 WHERE s.host_id = :host_id AND s.created_at <= :until
   AND (s.destroyed_at IS NULL OR s.destroyed_at >= :since)
   AND (:any_login OR s.login_uid <=> :login_uid)
   AND (:any_process OR (s.boot_id, s.session_id) IN (SELECT boot_id, session_id FROM tree))
 ORDER BY s.created_at, s.id
 LIMIT :row_limit
