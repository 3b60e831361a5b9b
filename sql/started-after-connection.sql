-- question: Which programs were started by a process, or below it, after it had got a connection?
-- parameter: program text = none; only this program that was started, by its name
-- parameter: direction text = none; in: only after a connection that was accepted; out: only after one
--     that was made
-- parameter: within_s number = 60; the connection may have ended so many seconds before
-- parameter: loopback number = 0; 1: after connections within the host, too
-- window: 1 day
-- tags: network, process, intrusion
-- example: vestige report started-after-connection sh direction=in --since today
-- column: created_at; when the program began
-- column: depth; 0: the process with the connection became this program; 1: it is its child, and so on
-- column: command; its command line
-- column: connected_by; the program with the connection, the nearest and last before it began
-- column: remote; name of the other end, or its address where it has none
-- column: connected_at; when the connection began
-- schedule: process; subject application, connected_by, remote
SELECT s.host, s.created_at, s.depth, s.login_user, s.username, s.application, s.pid, s.command,
       s.connected_by, s.direction, s.remote, s.local_port, s.remote_port, s.connected_at,
       s.row_remote_address, s.row_endpoint_id, s.row_host_id, s.row_id, s.row_batch
  FROM (WITH RECURSIVE tree (host_id, id, created_at, image_end, depth, endpoint_id, connected_at,
                             allowed_until) AS (
          SELECT e.host_id, p.id, p.created_at, p.destroyed_at, 0, e.id, e.created_at,
                 COALESCE(e.destroyed_at + INTERVAL LEAST(:within_s, 1000000000) SECOND,
                          CAST('9999-12-31' AS DATETIME(6)))
            FROM endpoint e
            JOIN process p ON p.host_id = e.host_id AND p.id = e.process_id
             AND p.day = DATE('1970-01-01' + INTERVAL e.process_id DIV 1000000 SECOND)
           WHERE e.day <= :until_day AND e.created_at <= :until
             AND (e.destroyed_at IS NULL
                  OR e.destroyed_at >= :since - INTERVAL LEAST(:within_s, 1000000000) SECOND)
             AND e.direction IN ('in', 'out') AND (:direction IS NULL OR e.direction = :direction)
             AND (e.status = 'established' OR e.status IS NULL)
             AND (:loopback OR NOT (e.remote_address LIKE '127.%' OR e.remote_address = '::1'))
             AND (:host_id IS NULL OR e.host_id = :host_id)
             AND COALESCE(p.own, 0) = 0
           UNION
          SELECT STRAIGHT_JOIN c.host_id, c.id, c.created_at, c.destroyed_at, t.depth + 1, t.endpoint_id,
                 t.connected_at, t.allowed_until
            FROM tree t
            JOIN process c FORCE INDEX (parent) ON c.host_id = t.host_id AND c.parent_id = t.id
             AND c.created_at >= t.connected_at AND c.created_at <= t.allowed_until
             AND c.day <= :until_day AND c.created_at <= :until
           UNION
          SELECT STRAIGHT_JOIN n.host_id, n.id, n.created_at, n.destroyed_at, t.depth, t.endpoint_id,
                 t.connected_at, t.allowed_until
            FROM tree t
            JOIN process n FORCE INDEX (created) ON n.host_id = t.host_id AND n.created_at = t.image_end
             AND n.previous_id = t.id
             AND n.created_at >= t.connected_at AND n.created_at <= t.allowed_until
             AND n.day <= :until_day)
        SELECT STRAIGHT_JOIN h.name AS host, p.created_at, t.depth,
               COALESCE(p.login_username, p.login_uid) AS login_user,
               COALESCE(p.username, p.uid) AS username, p.comm AS application, p.pid, p.cmdline AS command,
               e.application AS connected_by, e.direction,
               COALESCE(e.remote_name, e.remote_address) AS remote, e.local_port, e.remote_port,
               t.connected_at, e.remote_address AS row_remote_address, e.id AS row_endpoint_id,
               p.host_id AS row_host_id, p.id AS row_id,
               GREATEST(p.batch, COALESCE(p.settle_batch, 0), COALESCE(p.end_batch, 0), e.batch,
                        COALESCE(e.settle_batch, 0), COALESCE(e.end_batch, 0)) AS row_batch,
               ROW_NUMBER() OVER (PARTITION BY p.host_id, p.id
                                  ORDER BY t.depth, t.connected_at DESC, t.endpoint_id DESC) AS place
          FROM tree t
          JOIN process p ON p.host_id = t.host_id AND p.id = t.id
           AND p.day = DATE('1970-01-01' + INTERVAL t.id DIV 1000000 SECOND)
          JOIN endpoint e ON e.host_id = t.host_id AND e.id = t.endpoint_id
           AND e.day = DATE('1970-01-01' + INTERVAL t.endpoint_id DIV 1000000 SECOND)
          JOIN enrolment h ON h.host_id = t.host_id
         WHERE p.created_at >= t.connected_at AND p.created_at >= :since
           AND p.id <> e.process_id
           AND (:program IS NULL OR p.comm = :program)
           AND (:any_login OR p.login_uid <=> :login_uid)) s
 WHERE s.place = 1
 ORDER BY s.created_at, s.row_host_id, s.row_id
 LIMIT :row_limit
