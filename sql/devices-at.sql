-- question: Which devices were there at a moment, since when, and who was logged in when they appeared?
-- parameter: at time = now; the moment
-- parameter: subsystem text = none; only of this one: block, usb, net ...
-- tags: state, devices
-- example: vestige report devices-at subsystem=usb --on web1
-- column: since; when it appeared, or was first seen
-- column: logged_in; who was logged in then
SELECT h.name AS host, d.created_at AS since, d.subsystem, d.devnode, d.vendor, d.model, d.serial,
       d.driver, d.users_logged_in AS logged_in, d.devpath, d.destroyed_at AS ended_at,
       d.host_id AS row_host_id, d.id AS row_id
  FROM device d
  JOIN enrolment h ON h.host_id = d.host_id
 WHERE d.day <= :at_day AND d.created_at <= :at AND (d.destroyed_at IS NULL OR d.destroyed_at > :at)
   AND (:subsystem IS NULL OR d.subsystem = :subsystem)
   AND (:host_id IS NULL OR d.host_id = :host_id)
 ORDER BY h.name, d.host_id, d.created_at, d.devpath, d.id
 LIMIT :row_limit
