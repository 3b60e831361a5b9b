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
  FROM (SELECT a.host_id, a.id, a.day FROM file_access a
         WHERE a.host_id = :host_id AND a.day >= :since_day
           AND a.created_at >= :since AND a.created_at <= :until
        UNION ALL
        SELECT b.host_id, b.id, b.day FROM file_access b
         WHERE b.host_id = :host_id AND b.day <= :until_day AND b.created_at < :since
           AND (b.destroyed_at IS NULL OR b.destroyed_at >= :since)) k
  JOIN file_access f ON f.host_id = k.host_id AND f.id = k.id AND f.day = k.day
 WHERE (:any_login OR f.login_uid <=> :login_uid)
   AND (:any_process OR f.process_id IN (SELECT id FROM tree))
 ORDER BY f.created_at, f.id
 LIMIT :row_limit
