SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', p.created_at) AS begin_us,
       TIMESTAMPDIFF(MICROSECOND, '1970-01-01', p.destroyed_at) AS end_us,
       COALESCE(p.login_username, p.login_uid) AS login_user,
       COALESCE(p.username, p.uid) AS user,
       p.pid,
       p.id AS process_row,
       COALESCE(p.comm, p.argv0, p.exe, '?') AS label,
       COALESCE(p.cmdline, p.exe, CONCAT('[', p.comm, ']'), '?') AS begin_text,
       CONCAT(COALESCE(p.comm, '?'), ': ',
              CASE WHEN p.exit_signal > 0 THEN CONCAT('signal ', p.exit_signal)
                   WHEN p.end_cause = 'exit' THEN CONCAT('exit ', COALESCE(p.exit_code, '?'))
                   ELSE p.end_cause END) AS end_text,
       p.*
  FROM (SELECT a.host_id, a.id, a.day FROM process a
         WHERE a.host_id = :host_id AND a.day >= :since_day
           AND a.created_at >= :since AND a.created_at <= :until
        UNION ALL
        SELECT b.host_id, b.id, b.day FROM process b
         WHERE b.host_id = :host_id AND b.day <= :until_day AND b.created_at < :since
           AND (b.destroyed_at IS NULL OR b.destroyed_at >= :since)) k
  JOIN process p ON p.host_id = k.host_id AND p.id = k.id AND p.day = k.day
 WHERE (:any_login OR p.login_uid <=> :login_uid)
   AND (:any_process OR p.id IN (SELECT id FROM tree))
 ORDER BY p.created_at, p.id
 LIMIT :row_limit
