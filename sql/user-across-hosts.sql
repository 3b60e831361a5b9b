-- question: On which hosts was this login user, when, from where, and as whom did they run programs there?
-- parameter: user text; the login user, by name, whatever number that is on each host, or by number, whatever the name
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
          FROM session s WHERE s.login_uid = p.login_uid AND s.host_id = p.host_id
           AND s.created_at >= :since AND s.created_at <= :until) AS came_from,
       p.host_id AS row_host_id, MIN(p.id) AS row_id
  FROM (SELECT uid AS number, username AS name FROM account WHERE username = :user AND uid IS NOT NULL
         UNION
        SELECT CAST(:user AS UNSIGNED), NULL FROM DUAL WHERE :user REGEXP '^[0-9]{1,10}$'
         UNION
        SELECT u.login_uid, :user
          FROM (SELECT DISTINCT login_uid FROM process WHERE login_uid IS NOT NULL) u
         WHERE (SELECT q.login_username FROM process q
                 WHERE q.login_uid = u.login_uid AND q.login_username IS NOT NULL LIMIT 1) = :user) n
  JOIN process p ON p.login_uid = n.number
   AND (n.name IS NULL OR p.login_username = n.name
        OR (p.login_username IS NULL
            AND EXISTS (SELECT 1 FROM account a
                         WHERE a.host_id = p.host_id AND a.uid = p.login_uid AND a.username = n.name)))
  JOIN enrolment h ON h.host_id = p.host_id
 WHERE p.created_at >= :since AND p.created_at <= :until
   AND p.day >= :since_day
   AND (:host_id IS NULL OR p.host_id = :host_id)
 GROUP BY p.host_id, h.name, p.login_uid
 ORDER BY first_seen, p.host_id, p.login_uid
 LIMIT :row_limit
