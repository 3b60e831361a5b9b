-- Spans of the window in which a source that this host has was not open; the time since the last batch
-- when it is over a minute ago; the whole window when nothing was ever watched. A hole counts when it
-- is longer than the millisecond that ending one row and beginning the next may take. Sources that began and
-- ended together are one row.
WITH watched AS (
  SELECT source, created_at AS begin_, COALESCE(destroyed_at, UTC_TIMESTAMP(6)) AS end_
    FROM coverage
   WHERE host_id = :host_id
     AND COALESCE(mode, '') NOT IN ('off', 'none', 'unavailable', 'failed')),
known AS (SELECT DISTINCT source FROM coverage WHERE host_id = :host_id),
range_ AS (SELECT CAST(:since AS DATETIME(6)) AS since_,
                  LEAST(CAST(:until AS DATETIME(6)), UTC_TIMESTAMP(6)) AS until_),
edges AS (
  SELECT source, begin_, end_ FROM watched
  UNION ALL SELECT source, since_, since_ FROM known JOIN range_
  UNION ALL SELECT source, until_, until_ FROM known JOIN range_),
span AS (
  SELECT source, begin_,
         MAX(end_) OVER (PARTITION BY source ORDER BY begin_, end_
                         ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before_
    FROM edges),
hole AS (
  SELECT source, GREATEST(before_, since_) AS created_at, LEAST(begin_, until_) AS destroyed_at,
         'not watched' AS why
    FROM span JOIN range_
   WHERE before_ + INTERVAL 1000 MICROSECOND < begin_ AND before_ < until_ AND begin_ > since_
  UNION ALL
  SELECT 'agent', GREATEST(b.last_time, since_), until_, 'nothing came'
    FROM batch b JOIN range_
   WHERE b.host_id = :host_id AND b.last_time < until_ - INTERVAL 60 SECOND
     AND b.batch = (SELECT MAX(batch) FROM batch l WHERE l.host_id = :host_id)
  UNION ALL
  SELECT 'agent', since_, until_, 'nothing was ever watched'
    FROM range_ WHERE NOT EXISTS (SELECT 1 FROM coverage WHERE host_id = :host_id)),
together AS (
  SELECT GROUP_CONCAT(source ORDER BY source SEPARATOR ', ') AS source, why,
         MIN(created_at) AS created_at, MAX(destroyed_at) AS destroyed_at
    FROM hole
   WHERE created_at < destroyed_at
   GROUP BY why, TIMESTAMPDIFF(SECOND, '1970-01-01', created_at),
            TIMESTAMPDIFF(SECOND, '1970-01-01', destroyed_at))
SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', created_at) AS begin_us,
       TIMESTAMPDIFF(MICROSECOND, '1970-01-01', destroyed_at) AS end_us,
       NULL AS login_user,
       NULL AS user,
       NULL AS pid,
       NULL AS process_row,
       source AS label,
       CONCAT(source, ': ', why) AS begin_text,
       CONCAT(source, ': end of: ', why) AS end_text,
       source, why, created_at, destroyed_at
  FROM together
 ORDER BY created_at, source
 LIMIT :row_limit
