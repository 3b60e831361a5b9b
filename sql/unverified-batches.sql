-- question: How many batches of each host are not verified, since when, and which numbers came twice or not at all?
-- window: 7 days
-- tags: coverage, integrity
-- example: vestige report unverified-batches --since "30d ago"
-- column: batches; how many the server got in this window
-- column: unverified; how many of them are not verified
-- column: unverified_lines; lines in these
-- column: unverified_since; when the first of these arrived
-- column: recovered; how many were sealed after a crash
-- column: doubled; numbers that came with two hashes: one of them is false
-- column: missing; numbers between the first and the last that did not come in this window
SELECT h.name AS host, COUNT(*) AS batches, SUM(b.verified_at IS NULL) AS unverified,
       SUM(IF(b.verified_at IS NULL, b.n_lines, 0)) AS unverified_lines,
       MIN(IF(b.verified_at IS NULL, b.received_at, NULL)) AS unverified_since,
       MAX(IF(b.verified_at IS NULL, b.received_at, NULL)) AS unverified_until,
       SUM(b.recovered) AS recovered, COUNT(*) - COUNT(DISTINCT b.batch) AS doubled,
       MAX(b.batch) - MIN(b.batch) + 1 - COUNT(DISTINCT b.batch) AS missing, b.host_id AS row_host_id
  FROM batch b
  JOIN enrolment h ON h.host_id = b.host_id
 WHERE b.received_at >= :since AND b.received_at <= :until
   AND (:host_id IS NULL OR b.host_id = :host_id)
 GROUP BY b.host_id, h.name
HAVING unverified > 0 OR doubled > 0 OR missing > 0
 ORDER BY doubled DESC, unverified DESC, b.host_id
 LIMIT :row_limit
