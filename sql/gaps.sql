-- question: What was not seen: by which source, when, how much, and why?
-- parameter: source text = none; only of this one
-- window: 7 days
-- tags: coverage
-- example: vestige report gaps --on web1 --since "30d ago"
-- column: since; what is missing is from this time on
-- column: unit; what is counted
-- column: count; empty: the kernel does not say how many
-- schedule: gap; subject host, source, cause
SELECT h.name AS host, g.created_at AS since, g.destroyed_at AS until, g.source, g.cause, g.unit, g.`count`,
       g.count_at_least, g.count_at_most, g.detail, g.host_id AS row_host_id, g.id AS row_id,
       GREATEST(g.batch, COALESCE(g.settle_batch, 0), COALESCE(g.end_batch, 0)) AS row_batch
  FROM gap g
  JOIN enrolment h ON h.host_id = g.host_id
 WHERE g.day <= :until_day AND g.created_at <= :until
   AND (g.destroyed_at IS NULL OR g.destroyed_at >= :since)
   AND (:source IS NULL OR g.source = :source)
   AND (:host_id IS NULL OR g.host_id = :host_id)
 ORDER BY g.created_at, g.host_id, g.id
 LIMIT :row_limit
