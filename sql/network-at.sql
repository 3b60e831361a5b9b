-- question: Which addresses and routes did each host have at a moment?
-- parameter: at time = now; the moment
-- parameter: address address = none; only this address
-- tags: state, network
-- example: vestige report network-at at="2026-01-01 03:00" address=192.0.2.7
-- column: kind; interface, address or route
-- column: subject; the address or the destination, with its prefix length
-- column: mac; of the interface
-- column: since; since when it has been known to be so
SELECT h.name AS host, n.kind, n.interface, n.subject, n.mac, n.gateway, n.table_id, n.metric,
       n.created_at AS since, n.destroyed_at AS ended_at, n.host_id AS row_host_id, n.id AS row_id
  FROM (SELECT host_id, id, IF(address IS NULL, 'interface', 'address') AS kind, interface,
               CONCAT(address, '/', prefix_length) AS subject, mac, NULL AS gateway, NULL AS table_id,
               NULL AS metric, created_at, destroyed_at
          FROM interface_address
         WHERE day <= :at_day AND created_at <= :at AND (destroyed_at IS NULL OR destroyed_at > :at)
           AND (:address IS NULL OR address = :address)
           AND (:host_id IS NULL OR host_id = :host_id)
         UNION ALL
        SELECT host_id, id, 'route', interface, CONCAT(destination, '/', prefix_length), NULL, gateway,
               table_id, metric, created_at, destroyed_at
          FROM route
         WHERE day <= :at_day AND created_at <= :at AND (destroyed_at IS NULL OR destroyed_at > :at)
           AND (:address IS NULL OR destination = :address OR gateway = :address)
           AND (:host_id IS NULL OR host_id = :host_id)) n
  JOIN enrolment h ON h.host_id = n.host_id
 ORDER BY h.name, n.host_id, n.kind, n.interface, n.subject, n.table_id, n.metric, n.id
 LIMIT :row_limit
