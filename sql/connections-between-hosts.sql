-- question: Which connections went from one recorded host to another, with the users and programs at both ends?
-- parameter: port number = none; only this port of the accepting host
-- parameter: tolerance number = 5; seconds by which the two ends may differ, once each time is corrected by the measured offset of its host's clock
-- window: 1 hours
-- tags: fleet, network
-- example: vestige report connections-between-hosts port=5432 --on web1
-- column: at; when it was made, by the server's clock
-- column: from_user; as whom the connecting program ran
-- column: to_program; the program that accepted it
-- column: to_user; as whom that one ran
-- column: apart_s; seconds between the two ends' beginnings, after the correction
-- column: tolerance_s; how many were allowed
WITH RECURSIVE departed AS (
  -- What is recursive here, though it adds nothing, is worked out once. Keys first: of one user; of one
  -- host, what went to the addresses it is known to have, and what it made to where something came from
  -- these; or all.
  SELECT o.host_id, o.id, o.created_at, o.destroyed_at, o.batch, o.login_uid, o.login_username, o.uid,
         o.username, o.application, o.protocol, o.local_address, o.local_port, o.remote_address,
         o.remote_port, o.bytes_sent, o.bytes_received
    FROM (SELECT u.host_id, u.id, u.day FROM endpoint u FORCE INDEX (login)
           WHERE :login_uid IS NOT NULL AND u.login_uid = :login_uid
             AND u.created_at >= :since AND u.created_at <= :until AND u.day >= :since_day
           UNION ALL
          SELECT t.host_id, t.id, t.day
            FROM (SELECT DISTINCT address FROM interface_address
                   WHERE host_id = :host_id AND :login_uid IS NULL) a
            STRAIGHT_JOIN endpoint t FORCE INDEX (remote_address) ON t.remote_address = a.address
              AND t.host_id <> :host_id AND t.created_at >= :since AND t.created_at <= :until
              AND t.day >= :since_day
           UNION ALL
          SELECT f.host_id, f.id, f.day
            FROM (SELECT DISTINCT i.local_address
                    FROM (SELECT n.host_id, n.id, n.day
                            FROM (SELECT DISTINCT address FROM interface_address
                                   WHERE host_id = :host_id AND :login_uid IS NULL
                                     AND address NOT LIKE '127.%' AND address <> '::1') a
                            STRAIGHT_JOIN endpoint n FORCE INDEX (remote_address)
                              ON n.remote_address = a.address AND n.host_id <> :host_id
                             AND n.day >= :since_day AND n.created_at <= :until + INTERVAL 1 DAY
                           LIMIT 18446744073709551615) n
                    STRAIGHT_JOIN endpoint i FORCE INDEX (PRIMARY) ON i.host_id = n.host_id
                      AND i.id = n.id AND i.day = n.day AND i.direction = 'in'
                      AND (:port IS NULL OR i.local_port = :port)) a
            STRAIGHT_JOIN endpoint f FORCE INDEX (remote_address) ON f.remote_address = a.local_address
              AND f.host_id = :host_id AND f.created_at >= :since AND f.created_at <= :until
              AND f.day >= :since_day
           UNION ALL
          SELECT e.host_id, e.id, e.day FROM endpoint e
           WHERE :host_id IS NULL AND :login_uid IS NULL AND e.direction = 'out'
             AND e.created_at >= :since AND e.created_at <= :until AND e.day >= :since_day
           LIMIT 18446744073709551615) k
    STRAIGHT_JOIN endpoint o FORCE INDEX (PRIMARY) ON o.host_id = k.host_id AND o.id = k.id AND o.day = k.day
   WHERE o.direction = 'out' AND o.local_address NOT LIKE '127.%' AND o.local_address <> '::1'
     AND (:port IS NULL OR o.remote_port = :port)
     AND (:any_login OR o.login_uid <=> :login_uid)
   UNION ALL
  SELECT * FROM departed WHERE FALSE
), accepted AS (
  -- All that was accepted from these addresses, a day (for clocks) after the window at the latest.
  SELECT i.host_id, i.id, i.created_at, i.destroyed_at, i.batch, i.uid, i.username, i.application,
         i.protocol, i.local_address, i.local_port, i.remote_address, i.remote_port, i.bytes_sent,
         i.bytes_received
    FROM (SELECT n.host_id, n.id, n.day
            FROM (SELECT local_address, MAX(:host_id IS NULL OR host_id = :host_id) AS any_host
                    FROM departed GROUP BY local_address) d
            STRAIGHT_JOIN endpoint n FORCE INDEX (remote_address) ON n.remote_address = d.local_address
              AND n.day >= :since_day AND n.created_at <= :until + INTERVAL 1 DAY
              AND (d.any_host OR n.host_id = :host_id)
           LIMIT 18446744073709551615) k
    STRAIGHT_JOIN endpoint i FORCE INDEX (PRIMARY) ON i.host_id = k.host_id AND i.id = k.id AND i.day = k.day
      AND i.direction = 'in' AND (:port IS NULL OR i.local_port = :port)
   UNION ALL
  SELECT * FROM accepted WHERE FALSE
)
SELECT at, from_host, login_user, from_user, from_program, from_address, to_host, to_address, to_program,
       to_user, bytes_sent, bytes_received,
       ROUND(TIMESTAMPDIFF(MICROSECOND, at, accepted_at) / 1000000, 3) AS apart_s,
       :tolerance AS tolerance_s, row_host_id, row_id, row_other_host_id, row_other_id
  FROM (SELECT o.created_at + INTERVAL COALESCE(
                 (SELECT b.server_offset_us FROM batch b WHERE b.host_id = o.host_id
                     AND b.batch = o.batch ORDER BY b.received_at LIMIT 1), 0) MICROSECOND AS at,
               o.destroyed_at + INTERVAL COALESCE(
                 (SELECT b.server_offset_us FROM batch b WHERE b.host_id = o.host_id
                     AND b.batch = o.batch ORDER BY b.received_at LIMIT 1), 0) MICROSECOND AS ended_at,
               i.created_at + INTERVAL COALESCE(
                 (SELECT b.server_offset_us FROM batch b WHERE b.host_id = i.host_id
                     AND b.batch = i.batch ORDER BY b.received_at LIMIT 1), 0) MICROSECOND AS accepted_at,
               i.destroyed_at + INTERVAL COALESCE(
                 (SELECT b.server_offset_us FROM batch b WHERE b.host_id = i.host_id
                     AND b.batch = i.batch ORDER BY b.received_at LIMIT 1), 0) MICROSECOND
                 AS other_ended_at,
               fh.name AS from_host, COALESCE(o.login_username, o.login_uid) AS login_user,
               COALESCE(o.username, o.uid) AS from_user, o.application AS from_program,
               CONCAT(o.local_address, ' ', o.local_port) AS from_address, th.name AS to_host,
               CONCAT(o.remote_address, ' ', o.remote_port) AS to_address,
               i.application AS to_program, COALESCE(i.username, i.uid) AS to_user,
               COALESCE(o.bytes_sent, i.bytes_received) AS bytes_sent,
               COALESCE(o.bytes_received, i.bytes_sent) AS bytes_received,
               o.host_id AS row_host_id, o.id AS row_id, i.host_id AS row_other_host_id,
               i.id AS row_other_id
          FROM departed o
          JOIN accepted i ON i.remote_address = o.local_address AND i.remote_port = o.local_port
            AND i.local_address = o.remote_address AND i.local_port = o.remote_port
            AND i.protocol = o.protocol AND i.host_id <> o.host_id
          JOIN enrolment fh ON fh.host_id = o.host_id
          JOIN enrolment th ON th.host_id = i.host_id
         WHERE (:host_id IS NULL OR o.host_id = :host_id OR i.host_id = :host_id)
           AND (EXISTS (SELECT 1 FROM interface_address x WHERE x.address = o.local_address
                           AND x.host_id = o.host_id)
                OR NOT EXISTS (SELECT 1 FROM interface_address x WHERE x.address = o.local_address
                                  AND x.host_id = i.host_id))) pair
 WHERE (other_ended_at IS NULL OR at <= other_ended_at + INTERVAL :tolerance SECOND)
   AND (ended_at IS NULL OR ended_at + INTERVAL :tolerance SECOND >= accepted_at)
 ORDER BY at, row_host_id, row_id
 LIMIT :row_limit
