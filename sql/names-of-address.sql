-- question: Which names did an address have, or which addresses a name, as the hosts were told?
-- parameter: remote text; an address or a name
-- window: 30 days
-- tags: network, names
-- example: vestige report names-of-address 192.0.2.7
-- column: name; empty: the host was told that there is none
-- column: source; the hosts file, or dns
-- column: created_at; since when
-- column: destroyed_at; until when another answer came; empty: there was none yet
SELECT h.name AS host, n.address, n.name, n.source, n.created_at, n.destroyed_at,
       n.host_id AS row_host_id, n.id AS row_id
  FROM address_name n
  JOIN enrolment h ON h.host_id = n.host_id
 WHERE (n.address = INET6_NTOA(INET6_ATON(:remote)) OR n.name = :remote)
   AND n.day <= :until_day AND n.created_at <= :until
   AND (n.destroyed_at IS NULL OR n.destroyed_at >= :since)
   AND (:host_id IS NULL OR n.host_id = :host_id)
 ORDER BY n.created_at, n.host_id, n.id
 LIMIT :row_limit
