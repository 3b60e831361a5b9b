-- What was alive in the window is found by key, in parts that an index answers alone: what began in it;
-- what ended in it or later, or not at all, and had been recorded by late_id. That is shortly after the
-- window; of one login user, shortly after its beginning, and what began before and was recorded later
-- is a part of its own, so that not everybody's rows are read.
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
  FROM (SELECT host_id, id, day FROM process
         WHERE host_id = :host_id AND day >= :since_day
           AND created_at >= :since AND created_at <= :until
           AND (:any_login OR login_uid <=> :login_uid)
        UNION
        SELECT host_id, id, day FROM process FORCE INDEX (destroyed)
         WHERE host_id = :host_id AND destroyed_at >= :since AND id < :late_id AND day <= :late_day
        UNION
        SELECT host_id, id, day FROM process FORCE INDEX (destroyed)
         WHERE host_id = :host_id AND destroyed_at IS NULL AND id < :late_id AND day <= :late_day
        UNION
        SELECT host_id, id, day FROM process FORCE INDEX (login)
         WHERE NOT :any_login AND login_uid <=> :login_uid AND host_id = :host_id
           AND created_at < :since AND id >= :late_id AND day >= :since_day AND day <= :until_day) k
  STRAIGHT_JOIN process p ON p.host_id = k.host_id AND p.id = k.id AND p.day = k.day
 WHERE p.created_at <= :until AND (p.destroyed_at IS NULL OR p.destroyed_at >= :since
        OR p.created_at >= :since)
   AND (:any_login OR p.login_uid <=> :login_uid)
   AND (:any_process OR p.id IN (SELECT id FROM tree))
 ORDER BY p.created_at, p.id
 LIMIT :row_limit
