-- question: What was done with the files of a device, such as a USB stick, while it was there?
-- parameter: device text; its serial number, model, node (/dev/sdb1), number (8:17) or path in /sys; what
--     is on it, such as its partitions, belongs to it
-- window: 30 days
-- tags: files, devices, accountability
-- example: vestige report files-of-device 0123456789 --since this-month
-- column: node; the part of the device that the file is on
-- column: users_logged_in; who was logged in when the device appeared; empty: nobody
-- column: plugged_at; when it appeared
SELECT STRAIGHT_JOIN h.name AS host, f.created_at, COALESCE(f.login_username, f.login_uid) AS login_user,
       COALESCE(f.username, f.uid) AS username, f.application, f.pid, f.operations, f.path, f.new_path,
       f.size, part.devnode AS node, MAX(part.users_logged_in) AS users_logged_in,
       MIN(part.plugged_at) AS plugged_at, f.host_id AS row_host_id, f.id AS row_id
  FROM (SELECT STRAIGHT_JOIN p.host_id, p.device, p.devnode, p.created_at, p.destroyed_at,
               whole.users_logged_in, whole.created_at AS plugged_at
          FROM device whole
          JOIN device p ON p.host_id = whole.host_id AND p.device IS NOT NULL
           AND (p.devpath = whole.devpath
                OR (p.devpath >= CONCAT(whole.devpath, '/') AND p.devpath < CONCAT(whole.devpath, '0')))
           AND p.created_at <= COALESCE(whole.destroyed_at, p.created_at)
           AND COALESCE(p.destroyed_at, whole.created_at) >= whole.created_at
         WHERE :device IN (whole.serial, whole.model, whole.devnode, whole.device, whole.devpath)
           AND whole.day <= :until_day AND whole.created_at <= :until
           AND (whole.destroyed_at IS NULL OR whole.destroyed_at >= :since)
           AND p.day <= :until_day AND p.created_at <= :until
           AND (:host_id IS NULL OR whole.host_id = :host_id)
         LIMIT 18446744073709551615) part
  JOIN file_access f ON f.host_id = part.host_id AND f.device = part.device
   AND f.created_at <= COALESCE(part.destroyed_at, f.created_at)
   AND COALESCE(f.destroyed_at, part.created_at) >= part.created_at
  JOIN enrolment h ON h.host_id = f.host_id
 WHERE f.day >= :since_day AND f.created_at >= :since AND f.created_at <= :until
   AND (:host_id IS NULL OR f.host_id = :host_id)
   AND (:any_login OR f.login_uid <=> :login_uid)
 GROUP BY f.host_id, f.id, f.day, part.devnode
 ORDER BY f.created_at, f.host_id, f.id, part.devnode
 LIMIT :row_limit
