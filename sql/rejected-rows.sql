-- question: Which rows did the server refuse, and why?
-- window: 30 days
-- tags: coverage, integrity
-- example: vestige report rejected-rows --on web1
-- column: received_at; when the server got it
-- column: line; its number in the batch
-- column: error; the server's number for it
-- column: text; the whole line of the journal
SELECT h.name AS host, r.received_at, r.table_name, r.batch, r.line, r.error, r.message, r.text,
       r.host_id AS row_host_id, r.id AS row_uuid
  FROM rejected r
  JOIN enrolment h ON h.host_id = r.host_id
 WHERE r.received_at >= :since AND r.received_at <= :until
   AND (:host_id IS NULL OR r.host_id = :host_id)
 ORDER BY r.received_at, r.host_id, r.batch, r.line, r.id
 LIMIT :row_limit
