-- question: Who went from which host to which, by which program, and as whom were they there?
-- parameter: tolerance number = 5; seconds by which the two ends of a connection may differ, once each time is corrected by the measured offset of its host's clock
-- parameter: hops number = 8; the longest chain
-- window: 1 days
-- tags: fleet, network, accountability
-- example: vestige report movement-between-hosts --login-user alice --since "2d ago"
-- column: chain; rows of one chain have the same number, that of its first connection
-- column: hop; 1 is the first step of a chain
-- column: at; when the connection was made, by the server's clock
-- column: path; the chain so far, in words
-- column: from_user; as whom the connecting program ran
-- column: came_from; where the session on the host it started from came from; empty: nobody says
-- column: to_user; whose session was opened on the other host
-- column: became; whom su or sudo made of the session there
-- column: until; when that session ended, by the server's clock; empty: it has not
-- column: session_by; exact: the session's leader, or who forked it, had accepted this very connection; probable: what fits best by address, time or an inferred process
-- column: apart_s; seconds between the two ends' beginnings, after the correction
-- column: tolerance_s; how many were allowed
-- column: row_other_host_id; the host at the other end, and the rows there
-- schedule: session; subject from_host, login_user, to_host, to_user
WITH RECURSIVE visit AS (
  -- Sessions that came from an address, and who leads them; with --on (a chain goes through any host)
  -- from an address that some host is known to have. What is recursive here, though it adds
  -- nothing, is worked out once; anything else would be once for each place that names it.
  SELECT s.host_id, s.id AS session_row, s.process_id AS leader_id, s.batch AS session_batch,
         s.end_batch AS session_end_batch, s.boot_id, s.session_id, s.login_uid, s.username, s.service,
         s.created_at AS opened_at, s.destroyed_at AS closed_at, s.remote_address,
         l.parent_id, l.created_at AS born_at, f.parent_id AS grandparent_id,
         f.created_at AS parent_born_at, g.parent_id AS great_id
    FROM (SELECT s.host_id, s.id, s.day
            FROM (SELECT DISTINCT address FROM interface_address WHERE :host_id IS NOT NULL) a
            STRAIGHT_JOIN session s FORCE INDEX (remote_address) ON s.remote_address = a.address
              AND s.created_at >= :since AND s.created_at <= :until AND s.day >= :since_day
           UNION ALL
          SELECT s.host_id, s.id, s.day FROM session s
           WHERE :host_id IS NULL AND s.created_at >= :since AND s.created_at <= :until
             AND s.day >= :since_day AND s.remote_address IS NOT NULL) k
    STRAIGHT_JOIN session s FORCE INDEX (PRIMARY) ON s.host_id = k.host_id AND s.id = k.id AND s.day = k.day
    STRAIGHT_JOIN process l FORCE INDEX (PRIMARY) ON l.host_id = s.host_id AND l.id = s.process_id
      AND l.day = DATE('1970-01-01' + INTERVAL s.process_id DIV 1000000 SECOND)
    LEFT JOIN process f FORCE INDEX (PRIMARY) ON f.host_id = l.host_id AND f.id = l.parent_id
      AND f.day = DATE('1970-01-01' + INTERVAL l.parent_id DIV 1000000 SECOND)
    LEFT JOIN process g FORCE INDEX (PRIMARY) ON g.host_id = f.host_id AND g.id = f.parent_id
      AND g.day = DATE('1970-01-01' + INTERVAL f.parent_id DIV 1000000 SECOND)
   WHERE s.remote_address NOT LIKE '127.%' AND s.remote_address <> '::1'
     AND COALESCE(s.service, '') NOT IN ('su', 'sudo')
   UNION ALL
  SELECT * FROM visit WHERE FALSE
), accepted AS (
  -- What their leaders and those above them accepted, and what nobody knows who accepted.
  SELECT i.host_id, i.id, i.process_id, i.pid_source, i.protocol, i.local_address, i.local_port,
         i.remote_address, i.remote_port, i.created_at, i.destroyed_at, i.batch
    FROM (SELECT DISTINCT visit.host_id, CASE way.n WHEN 1 THEN leader_id WHEN 2 THEN parent_id
                                                   WHEN 3 THEN grandparent_id WHEN 4 THEN great_id END AS id
            FROM visit
            JOIN (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3
                   UNION ALL SELECT 4) way) v
    STRAIGHT_JOIN endpoint i FORCE INDEX (process) ON i.host_id = v.host_id AND i.process_id <=> v.id
      AND i.direction = 'in' AND i.day >= :since_day
   UNION ALL
  SELECT * FROM accepted WHERE FALSE
), arrival AS (
  -- The connection that the leader of each, or who forked it, accepted last.
  SELECT * FROM (
    SELECT v.*, i.id AS in_id, i.protocol, i.local_address, i.local_port, i.remote_port,
           i.created_at AS accepted_at, i.destroyed_at AS ended_at,
           COALESCE((SELECT b.server_offset_us FROM batch b WHERE b.host_id = i.host_id
                        AND b.batch = i.batch ORDER BY b.received_at LIMIT 1), 0) AS offset_us,
           i.pid_source = 'exact' AND i.process_id IN (v.leader_id, v.parent_id, v.grandparent_id, v.great_id)
             AS by_process,
           i.created_at <= IF(i.process_id = v.grandparent_id, v.parent_born_at, v.born_at) AS in_time,
           COUNT(*) OVER (PARTITION BY v.host_id, v.session_row, i.process_id) AS n_of_process,
           ROW_NUMBER() OVER (
             PARTITION BY v.host_id, v.session_row
             ORDER BY i.process_id IS NULL,
                      i.created_at <= IF(i.process_id = v.grandparent_id, v.parent_born_at, v.born_at) DESC,
                      i.created_at DESC, i.id DESC) AS nth
      FROM visit v
      JOIN accepted i ON i.host_id = v.host_id AND i.remote_address = v.remote_address
        AND i.created_at <= LEAST(v.opened_at, v.born_at) + INTERVAL :tolerance SECOND
        AND (i.destroyed_at IS NULL OR i.destroyed_at >= v.opened_at)
        AND COALESCE(i.process_id IN (v.leader_id, v.parent_id, v.grandparent_id, v.great_id), 1)) one
   WHERE nth = 1
   UNION ALL
  SELECT * FROM arrival WHERE FALSE
), departed AS (
  -- All that went to where they arrived, begun a day (for clocks) after their end at the latest; with
  -- --on, only by hosts that have the other address.
  SELECT o.host_id AS from_host_id, o.id AS out_id, o.process_id, o.created_at AS out_at,
         o.destroyed_at AS out_ended_at, o.batch AS out_batch, o.protocol, o.local_address, o.local_port,
         o.remote_address, o.remote_port
    FROM (SELECT DISTINCT e.host_id, e.id, e.day, w.local_port
            FROM (SELECT a.local_address, a.local_port, x.host_id,
                         MAX(COALESCE(a.ended_at, '9000-01-01')) + INTERVAL :tolerance SECOND
                           + INTERVAL 1 DAY AS latest
                    FROM arrival a
                    LEFT JOIN interface_address x ON :host_id IS NOT NULL AND x.address = a.remote_address
                   GROUP BY a.local_address, a.local_port, x.host_id) w
            STRAIGHT_JOIN endpoint e FORCE INDEX (remote_address) ON e.remote_address = w.local_address
              AND e.created_at <= w.latest AND e.day >= :since_day
              AND (:host_id IS NULL OR e.host_id = w.host_id)
           LIMIT 18446744073709551615) k
    STRAIGHT_JOIN endpoint o FORCE INDEX (PRIMARY) ON o.host_id = k.host_id AND o.id = k.id AND o.day = k.day
      AND o.remote_port = k.local_port AND o.direction = 'out'
   UNION ALL
  SELECT * FROM departed WHERE FALSE
), pair AS (
  -- The same connection as the other host saw it. An address that only the accepting host has is not
  -- where somebody came from.
  SELECT o.from_host_id, o.out_id, o.process_id, o.out_at, o.out_ended_at, a.*,
         COALESCE((SELECT b.server_offset_us FROM batch b WHERE b.host_id = o.from_host_id
                      AND b.batch = o.out_batch ORDER BY b.received_at LIMIT 1), 0) AS out_offset_us
    FROM arrival a
    JOIN departed o ON o.remote_address = a.local_address AND o.remote_port = a.local_port
      AND o.local_address = a.remote_address AND o.local_port = a.remote_port
      AND o.protocol = a.protocol AND o.from_host_id <> a.host_id
   WHERE EXISTS (SELECT 1 FROM interface_address x WHERE x.address = o.local_address
                    AND x.host_id = o.from_host_id)
      OR NOT EXISTS (SELECT 1 FROM interface_address x WHERE x.address = o.local_address
                        AND x.host_id = a.host_id)
), hop AS (
  SELECT p.*, c.comm AS program, c.boot_id AS from_boot, c.session_id AS from_session,
         c.login_uid AS from_login_uid, COALESCE(c.login_username, c.login_uid) AS login_user,
         COALESCE(c.username, c.uid) AS from_user, fh.name AS from_host, th.name AS to_host,
         ROUND(TIMESTAMPDIFF(MICROSECOND, p.out_at + INTERVAL p.out_offset_us MICROSECOND,
                             p.accepted_at + INTERVAL p.offset_us MICROSECOND) / 1000000, 3) AS apart_s
    FROM pair p
    JOIN enrolment fh ON fh.host_id = p.from_host_id
    JOIN enrolment th ON th.host_id = p.host_id
    LEFT JOIN process c FORCE INDEX (PRIMARY) ON c.host_id = p.from_host_id AND c.id = p.process_id
      AND c.day = DATE('1970-01-01' + INTERVAL p.process_id DIV 1000000 SECOND)
   WHERE (p.ended_at IS NULL
          OR p.out_at + INTERVAL p.out_offset_us MICROSECOND
             <= p.ended_at + INTERVAL p.offset_us MICROSECOND + INTERVAL :tolerance SECOND)
     AND (p.out_ended_at IS NULL
          OR p.out_ended_at + INTERVAL p.out_offset_us MICROSECOND + INTERVAL :tolerance SECOND
             >= p.accepted_at + INTERVAL p.offset_us MICROSECOND)
   UNION ALL
  SELECT * FROM hop WHERE FALSE
), above AS (
  -- The connecting programs, those that they were before, and all that started them.
  SELECT from_host_id AS host_id, out_id, process_id AS id, 0 AS n FROM hop WHERE process_id IS NOT NULL
   UNION
  SELECT a.host_id, a.out_id, IF(way.n, p.parent_id, p.previous_id), a.n + 1
    FROM above a
    JOIN process p FORCE INDEX (PRIMARY) ON p.host_id = a.host_id AND p.id = a.id
      AND p.day = DATE('1970-01-01' + INTERVAL a.id DIV 1000000 SECOND)
    JOIN (SELECT 0 AS n UNION ALL SELECT 1) way
   WHERE a.n < 40 AND IF(way.n, p.parent_id, p.previous_id) IS NOT NULL
), link AS (
  -- The arrival in whose session a connection was made: by the session's number, or because the
  -- session's leader is above the connecting program.
  SELECT h.from_host_id, h.out_id, MAX(b.session_row) AS session_row
    FROM hop h
    JOIN hop b ON b.host_id = h.from_host_id AND b.opened_at <= h.out_at + INTERVAL :tolerance SECOND
      AND ((b.boot_id = h.from_boot AND b.session_id = h.from_session)
           OR b.leader_id IN (SELECT a.id FROM above a WHERE a.host_id = h.from_host_id
                                 AND a.out_id = h.out_id))
   GROUP BY h.from_host_id, h.out_id
), chain AS (
  SELECT hop.*, 1 AS n, hop.out_id AS first_id, hop.from_host_id AS first_host_id,
         CAST(CONCAT(COALESCE(login_user, from_user, 'somebody'), ' on ', from_host,
                     IF(login_user IS NULL OR from_user = login_user, '',
                        COALESCE(CONCAT(', as ', from_user), '')),
                     ', by ', COALESCE(program, 'something'), ', then ',
                     COALESCE(username, 'somebody'), ' on ', to_host) AS CHAR(8000)) AS path
    FROM hop
   WHERE NOT EXISTS (SELECT 1 FROM link WHERE link.from_host_id = hop.from_host_id
                        AND link.out_id = hop.out_id)
   UNION ALL
  SELECT hop.*, c.n + 1, c.first_id, c.first_host_id,
         CONCAT(c.path, IF(hop.from_user = c.username, '', COALESCE(CONCAT(', as ', hop.from_user), '')),
                ', by ', COALESCE(hop.program, 'something'), ', then ',
                COALESCE(hop.username, 'somebody'), ' on ', hop.to_host)
    FROM chain c
    JOIN link ON link.from_host_id = c.host_id AND link.session_row = c.session_row
    JOIN hop ON hop.from_host_id = link.from_host_id AND hop.out_id = link.out_id
   WHERE c.n < :hops
), asked AS (
  SELECT chain.*,
         MAX(:host_id IS NULL OR from_host_id = :host_id OR host_id = :host_id)
           OVER (PARTITION BY first_host_id, first_id) AS of_host,
         MAX(:any_login OR from_login_uid <=> :login_uid OR COALESCE(login_uid = :login_uid, 0))
           OVER (PARTITION BY first_host_id, first_id) AS of_login
    FROM chain
)
SELECT first_id AS chain, n AS hop, out_at + INTERVAL out_offset_us MICROSECOND AS at, path, from_host,
       login_user, from_user,
       (SELECT MIN(COALESCE(s.remote_name, s.remote_address)) FROM session s
         WHERE s.login_uid = asked.from_login_uid AND s.host_id = asked.from_host_id
           AND s.boot_id = asked.from_boot AND s.session_id = asked.from_session) AS came_from,
       program, to_host, username AS to_user, service,
       (SELECT GROUP_CONCAT(DISTINCT s.username ORDER BY s.username SEPARATOR ', ') FROM session s
         WHERE s.login_uid = asked.login_uid AND s.host_id = asked.host_id
           AND s.boot_id = asked.boot_id AND s.session_id = asked.session_id
           AND s.service IN ('su', 'sudo', 'su-l', 'sudo-i', 'runuser')) AS became,
       closed_at + INTERVAL offset_us MICROSECOND AS until,
       IF(by_process AND (in_time OR n_of_process = 1), 'exact', 'probable') AS session_by, apart_s,
       :tolerance AS tolerance_s, host_id AS row_host_id, session_row AS row_id,
       GREATEST(session_batch, COALESCE(session_end_batch, 0)) AS row_batch, in_id AS row_endpoint_id,
       from_host_id AS row_other_host_id, out_id AS row_other_endpoint_id,
       process_id AS row_other_process_id
  FROM asked
 WHERE of_host AND of_login
 ORDER BY first_host_id, first_id, n, at, out_id
 LIMIT :row_limit
