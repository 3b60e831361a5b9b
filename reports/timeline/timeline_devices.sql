-- A device has no user of its own: it is shown with who was logged in when it appeared.
SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', d.created_at) AS begin_us,
       TIMESTAMPDIFF(MICROSECOND, '1970-01-01', d.destroyed_at) AS end_us,
       NULL AS login_user,
       NULL AS user,
       NULL AS pid,
       NULL AS process_row,
       CONCAT_WS(' ', d.subsystem,
                 COALESCE(d.model, d.devnode, SUBSTRING_INDEX(d.devpath, '/', -1))) AS label,
       CONCAT_WS(' ', d.subsystem, d.vendor, d.model, d.serial, COALESCE(d.devnode, d.devpath),
                 CONCAT('logged in: ', NULLIF(d.users_logged_in, ''))) AS begin_text,
       CONCAT(CONCAT_WS(' ', d.subsystem, d.model, COALESCE(d.devnode, d.devpath)), ': ',
              d.end_cause) AS end_text,
       d.*
  FROM device d
 WHERE d.host_id = :host_id AND d.created_at <= :until
   AND (d.destroyed_at IS NULL OR d.destroyed_at >= :since)
   AND (:any_login OR (:login_uid IS NULL AND d.users_logged_in = '')
        OR FIND_IN_SET(:login_name, d.users_logged_in))
   AND :any_process
 ORDER BY d.created_at, d.id
 LIMIT :row_limit
