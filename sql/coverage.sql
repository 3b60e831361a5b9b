-- question: What was watched on each host, from when to when, how, and with what left out?
-- parameter: source text = none; only this one: audit, connector, sock_diag, fanotify ...
-- window: 7 days
-- tags: coverage
-- example: vestige report coverage --on web1 --since "30d ago" source=audit
-- column: mode; in which way; off: not at all
-- column: since; from when on; the row ends when anything about it changes
-- column: until; empty: it still is watched so
-- column: unwatched_s; seconds before it in which this source did not watch, since it did for the first time
-- column: detail; what it reads and what is left out
SELECT h.name AS host, c.source, c.mode, c.since, c.until, c.end_cause,
       IF(c.earlier < c.since,
          ROUND(TIMESTAMPDIFF(MICROSECOND, c.earlier, c.since) / 1000000, 3), NULL) AS unwatched_s,
       c.detail, c.host_id AS row_host_id, c.id AS row_id
  FROM (SELECT host_id, id, source, mode, detail, end_cause, created_at AS since, destroyed_at AS until,
               MAX(COALESCE(destroyed_at, '9999-12-31')) OVER (
                 PARTITION BY host_id, source ORDER BY created_at, id
                 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS earlier
          FROM coverage
         WHERE day <= :until_day AND created_at <= :until
           AND (:source IS NULL OR source = :source)
           AND (:host_id IS NULL OR host_id = :host_id)) c
  JOIN enrolment h ON h.host_id = c.host_id
 WHERE c.until IS NULL OR c.until >= :since
 ORDER BY h.name, c.host_id, c.source, c.since, c.id
 LIMIT :row_limit
