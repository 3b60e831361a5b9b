-- The rows that were alive in the window are found by their keys, in four parts, each of which an index
-- answers alone: begun in the window; begun before (by the id: recorded before it or shortly after its
-- beginning) and ended later; or not ended; and begun before, but recorded later, by an agent that was not
-- there then. So neither what was over nor what came later is read.
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
        SELECT host_id, id, day FROM file_access FORCE INDEX (created)
         WHERE host_id = :host_id AND created_at < :since AND id >= :late_id
           AND day >= :late_day AND day <= :until_day) k
  STRAIGHT_JOIN file_access f ON f.host_id = k.host_id AND f.id = k.id AND f.day = k.day
 WHERE f.created_at <= :until AND (f.destroyed_at IS NULL OR f.destroyed_at >= :since
        OR f.created_at >= :since)
   AND (:any_login OR f.login_uid <=> :login_uid)
   AND (:any_process OR f.process_id IN (SELECT id FROM tree))
 ORDER BY f.created_at, f.id
 LIMIT :row_limit
