-- question: Who tried this port, from where, in which hours, and what came of it?
-- parameter: port number; the port that was tried: of these hosts, or by them elsewhere
-- parameter: from_hour number = 0; only from this hour of the day on (UTC)
-- parameter: to_hour number = 23; only up to this hour of the day (UTC); before from_hour: over midnight
-- parameter: from_address address = none; only remote addresses from this one on
-- parameter: to_address address = none; only remote addresses up to this one
-- window: 1 day
-- tags: network, scan
-- example: vestige report port-probes 22 from_hour=1 to_hour=4 --since yesterday
-- column: hour; its beginning
-- column: side; here: a host was tried, what it accepted is told; there: a host tried others
-- column: remote_address; who tried, or who was tried
-- column: accepted; how many became a connection
-- column: refused; how many the other side refused
-- column: failed; how many had no answer, or are not known to have had one
SELECT h.name AS host, TIMESTAMP(DATE(e.created_at), MAKETIME(HOUR(e.created_at), 0, 0)) AS hour,
       IF(e.direction = 'in', 'here', 'there') AS side, e.protocol, e.remote_address,
       MAX(e.remote_name) AS remote_name, COUNT(*) AS probes,
       SUM(e.status <=> 'established' OR e.status <=> 'closed') AS accepted,
       SUM(e.status <=> 'refused') AS refused,
       SUM(NOT (e.status <=> 'established' OR e.status <=> 'closed' OR e.status <=> 'refused')) AS failed,
       MIN(e.created_at) AS first_probe, MAX(e.created_at) AS last_probe,
       e.host_id AS row_host_id, MIN(e.id) AS row_id
  FROM endpoint e
  JOIN enrolment h ON h.host_id = e.host_id
 WHERE e.day >= :since_day AND e.created_at >= :since AND e.created_at <= :until
   AND ((e.direction = 'in' AND e.local_port = :port) OR (e.direction = 'out' AND e.remote_port = :port))
   AND IF(:from_hour <= :to_hour,
          HOUR(e.created_at) BETWEEN :from_hour AND :to_hour,
          HOUR(e.created_at) >= :from_hour OR HOUR(e.created_at) <= :to_hour)
   AND (:from_address IS NULL
        OR (LENGTH(INET6_ATON(e.remote_address)) = LENGTH(INET6_ATON(:from_address))
            AND INET6_ATON(e.remote_address) >= INET6_ATON(:from_address)))
   AND (:to_address IS NULL
        OR (LENGTH(INET6_ATON(e.remote_address)) = LENGTH(INET6_ATON(:to_address))
            AND INET6_ATON(e.remote_address) <= INET6_ATON(:to_address)))
   AND (:host_id IS NULL OR e.host_id = :host_id)
   AND (:any_login OR e.login_uid <=> :login_uid)
 GROUP BY e.host_id, hour, side, e.protocol, e.remote_address
 ORDER BY hour, host, side, probes DESC, e.remote_address, row_id
 LIMIT :row_limit
