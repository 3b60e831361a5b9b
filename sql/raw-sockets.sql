-- question: Which programs had raw or packet sockets, with which packets are made or overheard?
-- window: 1 day
-- tags: network, sniffer
-- example: vestige report raw-sockets --since this-week
-- column: created_at; when the socket was first seen
-- column: destroyed_at; when it was seen no more; empty while it is open
-- column: command; the command line of the program
-- schedule: endpoint; subject application, protocol, username
SELECT h.name AS host, e.created_at, e.destroyed_at,
       COALESCE(e.login_username, e.login_uid) AS login_user,
       COALESCE(e.username, e.uid) AS username, e.application, e.pid, e.protocol, e.interface,
       p.cmdline AS command, e.host_id AS row_host_id, e.id AS row_id,
       GREATEST(e.batch, COALESCE(e.settle_batch, 0), COALESCE(e.end_batch, 0)) AS row_batch
  FROM endpoint e
  JOIN enrolment h ON h.host_id = e.host_id
  LEFT JOIN process p ON p.host_id = e.host_id AND p.id = e.process_id
   AND p.day = DATE('1970-01-01' + INTERVAL e.process_id DIV 1000000 SECOND)
 WHERE e.day <= :until_day AND e.created_at <= :until
   AND (e.destroyed_at IS NULL OR e.destroyed_at >= :since)
   AND e.protocol IN ('raw', 'packet')
   AND (:host_id IS NULL OR e.host_id = :host_id)
   AND (:any_login OR e.login_uid <=> :login_uid)
 ORDER BY e.created_at, e.host_id, e.id
 LIMIT :row_limit
