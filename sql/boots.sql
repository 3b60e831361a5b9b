-- question: When did each host boot, and how did that boot end?
-- window: all
-- tags: state, coverage
-- example: vestige report boots --on web1 --since "30d ago"
-- column: how; clean: a shutdown was announced; unclean: none was; unknown; runs: it has not ended
-- column: watched_from; when the first source began to watch in that boot; empty: never
-- schedule: boot; subject host, booted_at, how
SELECT h.name AS host, b.created_at AS booted_at, b.destroyed_at AS ended_at,
       CASE WHEN b.destroyed_at IS NULL THEN 'runs' WHEN b.ended_clean THEN 'clean'
            WHEN b.ended_clean = 0 THEN 'unclean' ELSE 'unknown' END AS how,
       (SELECT MIN(c.created_at) FROM coverage c WHERE c.host_id = b.host_id AND c.boot_id = b.boot_id)
         AS watched_from,
       b.kernel, b.command_line, b.boot_id, b.host_id AS row_host_id, b.id AS row_id,
       GREATEST(b.batch, COALESCE(b.settle_batch, 0), COALESCE(b.end_batch, 0)) AS row_batch
  FROM boot b
  JOIN enrolment h ON h.host_id = b.host_id
 WHERE b.day <= :until_day AND b.created_at <= :until
   AND (b.destroyed_at IS NULL OR b.destroyed_at >= :since)
   AND (:host_id IS NULL OR b.host_id = :host_id)
 ORDER BY h.name, b.host_id, b.created_at, b.id
 LIMIT :row_limit
