-- What was alive in the window is found by key, in parts that an index answers alone: what began in it;
-- what ended in it or later, or not at all, and had been recorded by late_id. That is shortly after the
-- window; of one login user, shortly after its beginning, and what began before and was recorded later
-- is a part of its own, so that not everybody's rows are read.
SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', e.created_at) AS begin_us,
       TIMESTAMPDIFF(MICROSECOND, '1970-01-01', e.destroyed_at) AS end_us,
       COALESCE(e.login_username, e.login_uid) AS login_user,
       COALESCE(e.username, e.uid) AS user,
       e.pid,
       e.process_id AS process_row,
       CASE WHEN e.direction IN ('out', 'in')
            THEN CONCAT_WS(' ', COALESCE(e.remote_name COLLATE utf8mb4_nopad_bin, e.remote_address, '?'), e.remote_port)
            ELSE CONCAT_WS(' ', COALESCE(e.local_name COLLATE utf8mb4_nopad_bin, e.local_address, '?'), e.local_port)
       END AS label,
       CONCAT_WS(' ', e.protocol,
                 CASE e.direction WHEN 'out' THEN 'to' WHEN 'in' THEN 'from'
                                  WHEN 'listen' THEN 'listening on' ELSE 'at' END,
                 CASE WHEN e.direction IN ('out', 'in')
                      THEN CONCAT_WS(' ', e.remote_name COLLATE utf8mb4_nopad_bin,
                                     IF(e.remote_name IS NULL, COALESCE(e.remote_address, '?'),
                                        CONCAT('(', e.remote_address, ')')),
                                     CONCAT('port ', e.remote_port))
                      ELSE CONCAT_WS(' ', COALESCE(e.local_name COLLATE utf8mb4_nopad_bin, e.local_address, '?'),
                                     CONCAT('port ', e.local_port)) END,
                 IF(e.direction = 'in', CONCAT('at port ', e.local_port), NULL),
                 CONCAT('by ', e.application),
                 IF(e.status IN ('failed', 'refused'), e.status, NULL)) AS begin_text,
       CONCAT(CONCAT_WS(' ', e.protocol,
                        CASE WHEN e.direction IN ('out', 'in')
                             THEN CONCAT_WS(' ', COALESCE(e.remote_name COLLATE utf8mb4_nopad_bin, e.remote_address, '?'),
                                            CONCAT('port ', e.remote_port))
                             ELSE CONCAT_WS(' ', COALESCE(e.local_name COLLATE utf8mb4_nopad_bin, e.local_address, '?'),
                                            CONCAT('port ', e.local_port)) END),
              ': ', CONCAT_WS(', ', e.end_cause, CONCAT('sent ', e.bytes_sent),
                              CONCAT('received ', e.bytes_received))) AS end_text,
       e.*
  FROM (SELECT host_id, id, day FROM endpoint
         WHERE host_id = :host_id AND day >= :since_day
           AND created_at >= :since AND created_at <= :until
           AND (:any_login OR login_uid <=> :login_uid)
        UNION
        SELECT host_id, id, day FROM endpoint FORCE INDEX (destroyed)
         WHERE host_id = :host_id AND destroyed_at >= :since AND id < :late_id AND day <= :late_day
        UNION
        SELECT host_id, id, day FROM endpoint FORCE INDEX (destroyed)
         WHERE host_id = :host_id AND destroyed_at IS NULL AND id < :late_id AND day <= :late_day
        UNION
        SELECT host_id, id, day FROM endpoint FORCE INDEX (login)
         WHERE NOT :any_login AND login_uid <=> :login_uid AND host_id = :host_id
           AND created_at < :since AND id >= :late_id AND day >= :since_day AND day <= :until_day) k
  STRAIGHT_JOIN endpoint e ON e.host_id = k.host_id AND e.id = k.id AND e.day = k.day
 WHERE e.created_at <= :until AND (e.destroyed_at IS NULL OR e.destroyed_at >= :since
        OR e.created_at >= :since)
   AND (:any_login OR e.login_uid <=> :login_uid)
   AND (:any_process OR e.process_id IN (SELECT id FROM tree))
 ORDER BY e.created_at, e.id
 LIMIT :row_limit
