-- The rows that were alive in the window are found by their keys, in four parts, each of which an index
-- answers alone: begun in the window; begun before (by the id: recorded before it or shortly after its
-- beginning) and ended later; or not ended; and begun before, but recorded later, by an agent that was not
-- there then. So neither what was over nor what came later is read.
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
        SELECT host_id, id, day FROM endpoint FORCE INDEX (created)
         WHERE host_id = :host_id AND created_at < :since AND id >= :late_id
           AND day >= :late_day AND day <= :until_day) k
  STRAIGHT_JOIN endpoint e ON e.host_id = k.host_id AND e.id = k.id AND e.day = k.day
 WHERE e.created_at <= :until AND (e.destroyed_at IS NULL OR e.destroyed_at >= :since
        OR e.created_at >= :since)
   AND (:any_login OR e.login_uid <=> :login_uid)
   AND (:any_process OR e.process_id IN (SELECT id FROM tree))
 ORDER BY e.created_at, e.id
 LIMIT :row_limit
