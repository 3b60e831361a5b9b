-- question: Which interfaces, addresses and routes came and went?
-- parameter: interface text = none; only of this interface
-- window: 1 day
-- tags: network, changes
-- example: vestige report network-changes --on gateway --since yesterday
-- column: at; when it happened; what was there when the recorder first looked came then
-- column: what; interface, address or route
-- column: address; of a route its destination; empty: the interface itself
SELECT h.name AS host, c.at, c.deed, c.what, c.interface, c.address, c.prefix_length, c.gateway, c.metric,
       c.mac, c.row_table, c.row_host_id, c.row_id
  FROM (SELECT a.created_at AS at, 'came' AS deed, IF(a.address IS NULL, 'interface', 'address') AS what,
               a.interface, a.address, a.prefix_length, NULL AS gateway, NULL AS metric, a.mac,
               'interface_address' AS row_table, a.host_id AS row_host_id, a.id AS row_id
          FROM interface_address a
         WHERE a.day >= :since_day AND a.created_at >= :since AND a.created_at <= :until
         UNION ALL
        SELECT a.destroyed_at, 'went', IF(a.address IS NULL, 'interface', 'address'), a.interface,
               a.address, a.prefix_length, NULL, NULL, a.mac, 'interface_address', a.host_id, a.id
          FROM interface_address a
         WHERE a.day <= :until_day AND a.destroyed_at >= :since AND a.destroyed_at <= :until
         UNION ALL
        SELECT r.created_at, 'came', 'route', r.interface, r.destination, r.prefix_length, r.gateway,
               r.metric, NULL, 'route', r.host_id, r.id
          FROM route r
         WHERE r.day >= :since_day AND r.created_at >= :since AND r.created_at <= :until
         UNION ALL
        SELECT r.destroyed_at, 'went', 'route', r.interface, r.destination, r.prefix_length, r.gateway,
               r.metric, NULL, 'route', r.host_id, r.id
          FROM route r
         WHERE r.day <= :until_day AND r.destroyed_at >= :since AND r.destroyed_at <= :until) c
  JOIN enrolment h ON h.host_id = c.row_host_id
 WHERE (:interface IS NULL OR c.interface = :interface)
   AND (:host_id IS NULL OR c.row_host_id = :host_id)
 ORDER BY c.at, host, c.row_id, c.deed
 LIMIT :row_limit
