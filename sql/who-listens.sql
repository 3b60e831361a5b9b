-- question: Who listens on the hosts, since when, and started by whom?
-- parameter: at time = now; the moment that is asked about
-- parameter: port number = none; only this port
-- parameter: protocol text = none; only this protocol: tcp, udp, unix ...; without it all but unix
-- tags: network, services, state
-- example: vestige report who-listens port=22 at="1h ago" --on web1
-- column: created_at; since when
-- column: local_name; of a UNIX socket its path
-- column: command; the command line of the program
-- column: parent; the program that started it
-- column: parent_command; the command line of that program
SELECT h.name AS host, e.created_at, COALESCE(e.login_username, e.login_uid) AS login_user,
       COALESCE(e.username, e.uid) AS username, e.application, e.pid, e.protocol, e.local_address,
       e.local_port, e.local_name, p.cmdline AS command, q.comm AS parent, q.cmdline AS parent_command,
       e.host_id AS row_host_id, e.id AS row_id
  FROM endpoint e
  JOIN enrolment h ON h.host_id = e.host_id
  LEFT JOIN process p ON p.host_id = e.host_id AND p.id = e.process_id
   AND p.day = DATE('1970-01-01' + INTERVAL e.process_id DIV 1000000 SECOND)
  LEFT JOIN process q ON q.host_id = p.host_id AND q.id = p.parent_id
   AND q.day = DATE('1970-01-01' + INTERVAL p.parent_id DIV 1000000 SECOND)
 WHERE e.day <= :at_day AND e.created_at <= :at AND (e.destroyed_at IS NULL OR e.destroyed_at > :at)
   AND e.direction = 'listen'
   AND (:port IS NULL OR e.local_port = :port)
   AND (e.protocol = CONVERT(:protocol USING ascii) OR (:protocol IS NULL AND NOT e.protocol <=> 'unix'))
   AND (:host_id IS NULL OR e.host_id = :host_id)
   AND (:any_login OR e.login_uid <=> :login_uid)
 ORDER BY host, e.protocol, e.local_port, e.local_name, e.local_address, e.id
 LIMIT :row_limit
