-- question: Which devices were plugged in, or were there, while this user was logged in?
-- parameter: user user; who logged in
-- parameter: present number = 0; 1: also what had been plugged in before and was still there
-- window: 30 days
-- tags: accountability, user, device
-- example: vestige report devices-while-user user=alice
-- column: created_at; when it was plugged in
-- column: removed_at; when it was taken away; empty: it is there
-- column: users_logged_in; all who were logged in when it appeared
-- column: session_from; where the user's session came from
-- column: session_since; when it had begun

-- Without present=1 what belongs to the machine's start is left out: it was there before anybody was
-- known to be logged in.
WITH during AS (
  SELECT d.host_id, d.id, s.id AS session_row
    FROM device d
    JOIN session s ON s.host_id = d.host_id AND s.login_uid = :user
     AND s.created_at <= d.created_at AND (s.destroyed_at IS NULL OR s.destroyed_at >= d.created_at)
   WHERE d.created_at >= :since AND d.created_at <= :until AND d.day >= :since_day
     AND (:host_id IS NULL OR d.host_id = :host_id)
   UNION ALL
  SELECT d.host_id, d.id, NULL
    FROM device d
    JOIN account a ON a.host_id = d.host_id AND a.uid = :user AND a.day <= :until_day
     AND a.created_at <= d.created_at AND (a.destroyed_at IS NULL OR a.destroyed_at >= d.created_at)
   WHERE d.created_at >= :since AND d.created_at <= :until AND d.day >= :since_day
     AND (:host_id IS NULL OR d.host_id = :host_id)
     AND FIND_IN_SET(a.username, d.users_logged_in)
   UNION ALL
  SELECT d.host_id, d.id, s.id
    FROM session s
    JOIN device d ON d.host_id = s.host_id AND d.day <= :until_day
     AND d.created_at < s.created_at AND (d.destroyed_at IS NULL OR d.destroyed_at >= s.created_at)
   WHERE :present AND s.login_uid = :user AND s.created_at <= :until
     AND (s.destroyed_at IS NULL OR s.destroyed_at >= :since)
     AND (d.destroyed_at IS NULL OR d.destroyed_at >= :since)
     AND (:host_id IS NULL OR s.host_id = :host_id)
), device_of AS (
  SELECT host_id, id, MIN(session_row) AS session_row FROM during GROUP BY host_id, id
)
SELECT h.name AS host, d.created_at, d.subsystem, d.vendor, d.model, d.serial, d.devnode, d.devpath,
       d.driver, d.destroyed_at AS removed_at, d.users_logged_in,
       COALESCE(s.remote_name, s.remote_address) AS session_from, s.created_at AS session_since,
       d.host_id AS row_host_id, d.id AS row_id
  FROM device_of o
  JOIN device d FORCE INDEX (PRIMARY) ON d.host_id = o.host_id AND d.id = o.id
   AND d.day = DATE('1970-01-01' + INTERVAL o.id DIV 1000000 SECOND)
  JOIN enrolment h ON h.host_id = o.host_id
  LEFT JOIN session s FORCE INDEX (PRIMARY) ON s.host_id = o.host_id AND s.id = o.session_row
   AND s.day = DATE('1970-01-01' + INTERVAL o.session_row DIV 1000000 SECOND)
 ORDER BY d.created_at, d.host_id, d.id
 LIMIT :row_limit
