-- question: What has been found that should not be: tampered logs, empty passwords, sessions without a leader ...?
-- parameter: class text = none; only of this class
-- window: 7 days
-- tags: findings
-- example: vestige report findings class=wtmp_shrank --since "30d ago"
-- column: host; (server): the server concluded it about itself
-- column: first_at; when it was seen first
-- column: last_at; when it was seen last; empty: it still is so
-- column: subject; what it is true of
SELECT COALESCE(h.name, IF(f.host_id = 0, '(server)', f.host_id)) AS host, f.created_at AS first_at,
       f.destroyed_at AS last_at, f.class, f.subject, f.detail, f.host_id AS row_host_id, f.id AS row_id
  FROM finding f
  LEFT JOIN enrolment h ON h.host_id = f.host_id
 WHERE f.day <= :until_day AND f.created_at <= :until
   AND (f.destroyed_at IS NULL OR f.destroyed_at >= :since)
   AND (:class IS NULL OR f.class = CONVERT(:class USING ascii))
   AND (:host_id IS NULL OR f.host_id = :host_id)
 ORDER BY f.created_at, f.host_id, f.id
 LIMIT :row_limit
