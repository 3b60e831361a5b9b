-- question: Which host and interface had this address at a moment?
-- parameter: address address; the address
-- parameter: at time = now; the moment that is asked about
-- tags: network, state
-- example: vestige report who-had-address 192.0.2.7 at="2026-11-20 03:00"
-- column: created_at; since when; for what the recorder found, when it first looked
-- column: destroyed_at; until when; empty: it still has it
SELECT h.name AS host, a.interface, a.mac, a.address, a.prefix_length, a.created_at, a.destroyed_at,
       a.host_id AS row_host_id, a.id AS row_id
  FROM interface_address a
  JOIN enrolment h ON h.host_id = a.host_id
 WHERE a.address = :address
   AND a.day <= :at_day AND a.created_at <= :at AND (a.destroyed_at IS NULL OR a.destroyed_at > :at)
   AND (:host_id IS NULL OR a.host_id = :host_id)
 ORDER BY host, a.interface, a.id
 LIMIT :row_limit
