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
  -- What is recursive here, though it adds nothing, is worked out once.
  SELECT o.host_id, o.id, o.created_at, o.destroyed_at, o.batch, o.login_uid, o.login_username, o.uid,
         o.username, o.application, o.protocol, o.local_address, o.local_port, o.remote_address,
         o.remote_port, o.bytes_sent, o.bytes_received
    FROM endpoint o
   WHERE o.created_at >= :since AND o.created_at <= :until AND o.day >= :since_day
     AND o.direction = 'out' AND o.local_address NOT LIKE '127.%' AND o.local_address <> '::1'
     AND (:port IS NULL OR o.remote_port = :port)
     AND (:any_login OR o.login_uid <=> :login_uid)
   UNION ALL
  SELECT * FROM departed WHERE FALSE
), accepted AS (
  -- All that was accepted from these addresses, and may still have been open.
  SELECT i.host_id, i.id, i.created_at, i.destroyed_at, i.batch, i.uid, i.username, i.application,
         i.protocol, i.local_address, i.local_port, i.remote_address, i.remote_port, i.bytes_sent,
         i.bytes_received
    FROM (SELECT DISTINCT local_address FROM departed) d
    STRAIGHT_JOIN endpoint i ON i.remote_address = d.local_address AND i.direction = 'in'
      AND i.day >= :since_day AND (:port IS NULL OR i.local_port = :port)
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
