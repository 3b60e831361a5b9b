-- question: Who was logged in from two places at the same time, on one host or on several?
-- parameter: loopback number = 0; 1: also from the host itself
-- window: 7 days
-- tags: accountability, session, fleet
-- example: vestige report simultaneous-sessions --since "30d ago"
-- column: host; where the later session is
-- column: created_at; when it began, the other one being open
-- column: username; whose sessions they are; on all hosts, by name
-- column: other_host; where the other session is
-- column: other_address; where that one came from
-- column: other_since; when it had begun
-- column: together_until; when the first of the two ended; empty: both go on
-- schedule: session; subject username, remote_address, other_address
SELECT h.name AS host, s.created_at, s.username, s.service, s.remote_address, s.remote_name,
       g.name AS other_host, o.remote_address AS other_address, o.created_at AS other_since,
       NULLIF(LEAST(COALESCE(s.destroyed_at, '9999-12-31'), COALESCE(o.destroyed_at, '9999-12-31')),
              '9999-12-31') AS together_until,
       s.host_id AS row_host_id, s.id AS row_id, o.host_id AS row_other_host_id, o.id AS row_other_id,
       GREATEST(s.batch, COALESCE(s.settle_batch, 0), COALESCE(s.end_batch, 0)) AS row_batch
  FROM session s
  JOIN session o ON o.username = s.username AND o.remote_address <> s.remote_address
   AND (o.created_at < s.created_at
        OR (o.created_at = s.created_at AND (o.host_id, o.id) < (s.host_id, s.id)))
   AND (o.destroyed_at IS NULL OR o.destroyed_at >= s.created_at)
  JOIN enrolment h ON h.host_id = s.host_id
  JOIN enrolment g ON g.host_id = o.host_id
 WHERE s.created_at <= :until
   AND (s.destroyed_at IS NULL OR s.destroyed_at >= :since)
   AND (o.destroyed_at IS NULL OR o.destroyed_at >= :since)
   AND (:loopback OR NOT (s.remote_address LIKE '127.%' OR s.remote_address = '::1'
                          OR o.remote_address LIKE '127.%' OR o.remote_address = '::1'))
   AND (:host_id IS NULL OR s.host_id = :host_id OR o.host_id = :host_id)
   AND (:any_login OR s.login_uid <=> :login_uid)
 ORDER BY s.created_at, s.host_id, s.id, o.host_id, o.id
 LIMIT :row_limit
