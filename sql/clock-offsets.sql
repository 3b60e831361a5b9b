-- question: How far from the server's clock was each host's, as measured with each batch, and who set it?
-- window: 1 days
-- tags: fleet, coverage, time
-- example: vestige report clock-offsets --since "7d ago"
-- column: batches; how many were measured
-- column: last_offset_ms; the server's clock less the host's: add it to a time of that host
-- column: spread_ms; between the least and the most
-- column: clock_events; how often the clock was set or jumped
SELECT h.name AS host, COUNT(*) AS batches, MIN(b.received_at) AS first_at, MAX(b.received_at) AS last_at,
       ROUND((SELECT l.server_offset_us FROM batch l WHERE l.host_id = b.host_id
                 AND l.received_at >= :since AND l.received_at <= :until
               ORDER BY l.batch DESC LIMIT 1) / 1000, 3) AS last_offset_ms,
       ROUND(MIN(b.server_offset_us) / 1000, 3) AS least_ms,
       ROUND(MAX(b.server_offset_us) / 1000, 3) AS most_ms,
       ROUND((MAX(b.server_offset_us) - MIN(b.server_offset_us)) / 1000, 3) AS spread_ms,
       (SELECT COUNT(*) FROM kernel_event k WHERE k.kind IN ('clock_set', 'clock_step')
           AND k.host_id = b.host_id AND k.created_at >= :since AND k.created_at <= :until
           AND k.day >= :since_day) AS clock_events,
       b.host_id AS row_host_id
  FROM batch b
  JOIN enrolment h ON h.host_id = b.host_id
 WHERE b.received_at >= :since AND b.received_at <= :until AND b.server_offset_us IS NOT NULL
   AND (:host_id IS NULL OR b.host_id = :host_id)
 GROUP BY b.host_id, h.name
 ORDER BY ABS(last_offset_ms) DESC, b.host_id
 LIMIT :row_limit
