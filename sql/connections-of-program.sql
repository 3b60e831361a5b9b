-- question: Which connections did this program have, in their order?
-- parameter: program text; name or whole path of the program, as it was recorded
-- window: 1 day
-- tags: network, programs
-- example: vestige report connections-of-program chrome --login-user nathanp --since yesterday
-- column: created_at; when it began, or when the program began to listen
-- column: destroyed_at; when it ended; empty while it is open
-- column: status; how far it came; empty: not known yet
SELECT h.name AS host, e.created_at, e.destroyed_at,
       COALESCE(e.login_username, e.login_uid) AS login_user,
       COALESCE(e.username, e.uid) AS username, e.application, e.pid, e.protocol, e.direction, e.status,
       e.local_address, e.local_port, e.remote_address, e.remote_port, e.remote_name, e.bytes_sent,
       e.bytes_received, e.host_id AS row_host_id, e.id AS row_id
  FROM endpoint e
  JOIN enrolment h ON h.host_id = e.host_id
  LEFT JOIN process p ON p.host_id = e.host_id AND p.id = e.process_id
   AND p.day = DATE('1970-01-01' + INTERVAL e.process_id DIV 1000000 SECOND)
 WHERE e.day <= :until_day AND e.created_at <= :until
   AND (e.destroyed_at IS NULL OR e.destroyed_at >= :since)
   AND (e.application = :program OR p.exe = :program OR SUBSTRING_INDEX(p.exe, '/', -1) = :program)
   AND (:host_id IS NULL OR e.host_id = :host_id)
   AND (:any_login OR e.login_uid <=> :login_uid)
 ORDER BY e.created_at, e.host_id, e.id
 LIMIT :row_limit
