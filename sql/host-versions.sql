-- question: Which system, version and kernel did each host have at a moment?
-- parameter: at time = now; the moment
-- tags: fleet, state
-- example: vestige report host-versions at="2026-01-01"
-- column: name; what it calls itself
-- column: since; since when it has been known to be so
-- column: booted_at; when its boot of that moment began
SELECT h.name AS host, f.name, f.os_name, f.os_version, f.kernel, f.architecture, f.vendor, f.model,
       f.created_at AS since,
       (SELECT MAX(b.created_at) FROM boot b WHERE b.host_id = f.host_id AND b.created_at <= :at
           AND b.day <= :at_day) AS booted_at,
       f.time_zone, f.machine_id, f.host_id AS row_host_id, f.id AS row_id
  FROM host f
  JOIN enrolment h ON h.host_id = f.host_id
 WHERE f.day <= :at_day AND f.created_at <= :at AND (f.destroyed_at IS NULL OR f.destroyed_at > :at)
   AND (:host_id IS NULL OR f.host_id = :host_id)
 ORDER BY h.name, f.host_id, f.id
 LIMIT :row_limit
