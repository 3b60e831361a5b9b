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
  FROM (WITH RECURSIVE above (host_id, id, node_id, parent_id, previous_id, node_at, depth, first_at,
                              last_at) AS (
          SELECT p.host_id, p.id, p.id, p.parent_id, p.previous_id, p.created_at, 0, p.created_at,
                 p.created_at
            FROM process p
           WHERE p.day >= :since_day AND p.day <= :until_day
             AND p.created_at >= :since AND p.created_at <= :until
             AND (:program IS NULL OR p.comm = :program)
             AND (:host_id IS NULL OR p.host_id = :host_id)
             AND (:any_login OR p.login_uid <=> :login_uid)
           UNION
          SELECT STRAIGHT_JOIN t.host_id, t.id, n.id, n.parent_id, n.previous_id, n.created_at, t.depth + 1,
                 LEAST(t.first_at, t.node_at), GREATEST(t.last_at, t.node_at)
            FROM above t
            JOIN process n FORCE INDEX (PRIMARY) ON n.host_id = t.host_id AND n.id = t.parent_id
             AND n.day = DATE('1970-01-01' + INTERVAL t.parent_id DIV 1000000 SECOND)
           UNION
          SELECT STRAIGHT_JOIN t.host_id, t.id, n.id, IF(t.parent_id <=> n.parent_id, NULL, n.parent_id),
                 n.previous_id, n.created_at, t.depth,
                 LEAST(t.first_at, t.node_at), GREATEST(t.last_at, t.node_at)
            FROM above t
            JOIN process n FORCE INDEX (PRIMARY) ON n.host_id = t.host_id AND n.id = t.previous_id
             AND n.day = DATE('1970-01-01' + INTERVAL t.previous_id DIV 1000000 SECOND)
             AND n.destroyed_at = t.node_at),
        tree AS (
          SELECT STRAIGHT_JOIN t.host_id, t.id, t.depth, e.id AS endpoint_id, e.created_at AS connected_at
            FROM above t
            JOIN endpoint e FORCE INDEX (process) ON e.host_id = t.host_id AND e.process_id = t.node_id
            JOIN process r FORCE INDEX (PRIMARY) ON r.host_id = t.host_id AND r.id = t.node_id
             AND r.day = DATE('1970-01-01' + INTERVAL t.node_id DIV 1000000 SECOND)
           WHERE NOT :any_login AND t.node_id <> t.id AND e.created_at <= t.first_at
             AND (e.destroyed_at IS NULL
                  OR e.destroyed_at >= t.last_at - INTERVAL LEAST(:within_s, 1000000000) SECOND)
             AND e.day <= :until_day
             AND e.direction IN ('in', 'out') AND (:direction IS NULL OR e.direction = :direction)
             AND (e.status = 'established' OR e.status IS NULL)
             AND (:loopback OR NOT (e.remote_address LIKE '127.%' OR e.remote_address = '::1'))
             AND COALESCE(r.own, 0) = 0
           UNION ALL
          SELECT STRAIGHT_JOIN t.host_id, t.id, t.depth, e.id AS endpoint_id, e.created_at AS connected_at
            FROM above t
            JOIN (SELECT c.host_id, c.id, c.process_id, c.created_at, c.destroyed_at
                    FROM endpoint c
                   WHERE :any_login AND c.day <= :until_day AND c.created_at <= :until
                     AND (c.destroyed_at IS NULL
                          OR c.destroyed_at >= :since - INTERVAL LEAST(:within_s, 1000000000) SECOND)
                     AND c.direction IN ('in', 'out') AND (:direction IS NULL OR c.direction = :direction)
                     AND (c.status = 'established' OR c.status IS NULL)
                     AND (:loopback OR NOT (c.remote_address LIKE '127.%' OR c.remote_address = '::1'))
                     AND (:host_id IS NULL OR c.host_id = :host_id)
                   LIMIT 18446744073709551615) e ON e.host_id = t.host_id AND e.process_id = t.node_id
            JOIN process r FORCE INDEX (PRIMARY) ON r.host_id = t.host_id AND r.id = t.node_id
             AND r.day = DATE('1970-01-01' + INTERVAL t.node_id DIV 1000000 SECOND)
           WHERE :any_login AND t.node_id <> t.id AND e.created_at <= t.first_at
             AND (e.destroyed_at IS NULL
                  OR e.destroyed_at >= t.last_at - INTERVAL LEAST(:within_s, 1000000000) SECOND)
             AND COALESCE(r.own, 0) = 0)
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
          JOIN process p FORCE INDEX (PRIMARY) ON p.host_id = t.host_id AND p.id = t.id
           AND p.day = DATE('1970-01-01' + INTERVAL t.id DIV 1000000 SECOND)
          JOIN endpoint e FORCE INDEX (PRIMARY) ON e.host_id = t.host_id AND e.id = t.endpoint_id
           AND e.day = DATE('1970-01-01' + INTERVAL t.endpoint_id DIV 1000000 SECOND)
          JOIN enrolment h ON h.host_id = t.host_id
         WHERE p.created_at >= t.connected_at AND p.created_at >= :since
           AND p.id <> e.process_id
           AND (:program IS NULL OR p.comm = :program)
           AND (:any_login OR p.login_uid <=> :login_uid)) s
 WHERE s.place = 1
 ORDER BY s.created_at, s.row_host_id, s.row_id
 LIMIT :row_limit
