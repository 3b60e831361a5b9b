-- question: On which hosts was this login user, when, from where, and as whom did they run programs there?
-- parameter: user user; the login user, by name or number
-- window: 7 days
-- tags: fleet, accountability
-- example: vestige report user-across-hosts alice --since "30d ago"
-- column: as_users; all users as whom their programs ran
-- column: sessions; how many audit sessions their programs belonged to
-- column: came_from; where their sessions came from
-- column: last_seen; when the last of the programs began
SELECT h.name AS host, MIN(p.created_at) AS first_seen, MAX(p.created_at) AS last_seen,
       MAX(p.login_username) AS login_user,
       GROUP_CONCAT(DISTINCT COALESCE(p.username, p.uid) ORDER BY 1 SEPARATOR ', ') AS as_users,
       COUNT(*) AS programs, COUNT(DISTINCT p.boot_id, p.session_id) AS sessions,
       (SELECT GROUP_CONCAT(DISTINCT COALESCE(s.remote_name, s.remote_address) ORDER BY 1 SEPARATOR ', ')
          FROM session s WHERE s.login_uid = :user AND s.host_id = p.host_id
           AND s.created_at >= :since AND s.created_at <= :until) AS came_from,
       p.host_id AS row_host_id, MIN(p.id) AS row_id
  FROM process p
  JOIN enrolment h ON h.host_id = p.host_id
 WHERE p.login_uid = :user AND p.created_at >= :since AND p.created_at <= :until
   AND p.day >= :since_day
   AND (:host_id IS NULL OR p.host_id = :host_id)
 GROUP BY p.host_id, h.name
 ORDER BY first_seen, p.host_id
 LIMIT :row_limit
