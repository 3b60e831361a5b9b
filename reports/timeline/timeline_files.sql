-- What was alive in the window is found by key, in parts that an index answers alone: what began in it;
-- what ended in it or later, or not at all, and had been recorded by late_id. That is shortly after the
-- window; of one login user, shortly after its beginning, and what began before and was recorded later
-- is a part of its own, so that not everybody's rows are read.
SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', f.created_at) AS begin_us,
       TIMESTAMPDIFF(MICROSECOND, '1970-01-01', f.destroyed_at) AS end_us,
       COALESCE(f.login_username, f.login_uid) AS login_user,
       COALESCE(f.username, f.uid) AS user,
       f.pid,
       f.process_id AS process_row,
       SUBSTRING_INDEX(f.path, '/', -1) AS label,
       CONCAT_WS(' ', f.path, CONCAT('by ', f.application)) AS begin_text,
       CONCAT(f.path, ': ',
              CONCAT_WS(', ', COALESCE(REPLACE(f.operations, ',', ', '), 'closed'),
                        CONCAT('now ', f.new_path), CONCAT(f.size, ' bytes'))) AS end_text,
       f.*
  FROM (SELECT host_id, id, day FROM file_access
         WHERE host_id = :host_id AND day >= :since_day
           AND created_at >= :since AND created_at <= :until
           AND (:any_login OR login_uid <=> :login_uid)
        UNION
        SELECT host_id, id, day FROM file_access FORCE INDEX (destroyed)
         WHERE host_id = :host_id AND destroyed_at >= :since AND id < :late_id AND day <= :late_day
        UNION
        SELECT host_id, id, day FROM file_access FORCE INDEX (destroyed)
         WHERE host_id = :host_id AND destroyed_at IS NULL AND id < :late_id AND day <= :late_day
        UNION
        SELECT host_id, id, day FROM file_access FORCE INDEX (login)
         WHERE NOT :any_login AND login_uid <=> :login_uid AND host_id = :host_id
           AND created_at < :since AND id >= :late_id AND day >= :since_day AND day <= :until_day) k
  STRAIGHT_JOIN file_access f ON f.host_id = k.host_id AND f.id = k.id AND f.day = k.day
 WHERE f.created_at <= :until AND (f.destroyed_at IS NULL OR f.destroyed_at >= :since
        OR f.created_at >= :since)
   AND (:any_login OR f.login_uid <=> :login_uid)
   AND (:any_process OR f.process_id IN (SELECT id FROM tree))
 ORDER BY f.created_at, f.id
 LIMIT :row_limit
