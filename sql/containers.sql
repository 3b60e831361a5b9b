-- question: Which containers ran, from when to when, and what ran in them?
-- parameter: container text = none; only this one: its id, or how that begins
-- window: 1 days
-- tags: containers, unattributed
-- example: vestige report containers --on web1
-- column: first_at; when the first of its processes of that window began
-- column: last_at; when the last one began
-- column: alive; how many of them have not ended
-- column: programs; names of what ran there
-- column: login_users; who had logged in; unset: nobody
SELECT h.name AS host, p.container, MIN(p.created_at) AS first_at, MAX(p.created_at) AS last_at,
       COUNT(*) AS processes, SUM(p.destroyed_at IS NULL) AS alive,
       GROUP_CONCAT(DISTINCT p.comm ORDER BY p.comm SEPARATOR ', ') AS programs,
       GROUP_CONCAT(DISTINCT COALESCE(p.username, p.uid) ORDER BY 1 SEPARATOR ', ') AS users,
       GROUP_CONCAT(DISTINCT COALESCE(p.login_username, p.login_uid, 'unset') ORDER BY 1 SEPARATOR ', ')
         AS login_users,
       p.host_id AS row_host_id, MIN(p.id) AS row_id
  FROM process p
  JOIN enrolment h ON h.host_id = p.host_id
 WHERE p.day <= :until_day AND p.created_at <= :until
   AND (p.destroyed_at IS NULL OR p.destroyed_at >= :since)
   AND p.container IS NOT NULL
   AND (:container IS NULL OR LEFT(p.container, CHAR_LENGTH(:container)) = :container)
   AND (:host_id IS NULL OR p.host_id = :host_id)
   AND (:any_login OR p.login_uid <=> :login_uid)
 GROUP BY p.host_id, h.name, p.container
 ORDER BY first_at, p.host_id, p.container
 LIMIT :row_limit
