-- question: Did this program contact this address and port, when, and as whom?
-- parameter: program text; name or whole path of the program, as it was recorded
-- parameter: address address; the remote address
-- parameter: port number = none; only this remote port
-- window: 7 days
-- tags: network, programs
-- example: vestige report did-contact nmap 192.0.2.7 port=22 --login-user toma
-- column: status; how far it came; empty: not known yet
-- column: command; the command line of the program
SELECT h.name AS host, e.created_at, e.destroyed_at,
       COALESCE(e.login_username, e.login_uid) AS login_user,
       COALESCE(e.username, e.uid) AS username, e.application, e.pid, e.protocol, e.direction, e.status,
       e.local_port, e.remote_port, e.remote_name, e.bytes_sent, e.bytes_received, p.cmdline AS command,
       e.host_id AS row_host_id, e.id AS row_id
  FROM endpoint e
  JOIN enrolment h ON h.host_id = e.host_id
  LEFT JOIN process p ON p.host_id = e.host_id AND p.id = e.process_id
   AND p.day = DATE('1970-01-01' + INTERVAL e.process_id DIV 1000000 SECOND)
 WHERE e.remote_address = :address
   AND e.day <= :until_day AND e.created_at <= :until
   AND (e.destroyed_at IS NULL OR e.destroyed_at >= :since)
   AND (e.application = :program OR p.exe = :program OR SUBSTRING_INDEX(p.exe, '/', -1) = :program)
   AND (:port IS NULL OR e.remote_port = :port)
   AND (:host_id IS NULL OR e.host_id = :host_id)
   AND (:any_login OR e.login_uid <=> :login_uid)
 ORDER BY e.created_at, e.host_id, e.id
 LIMIT :row_limit
