-- question: Which files were read by a process that then sent many bytes out?
-- parameter: bytes number = 1000000; more than so many bytes, over all connections that ended after the
--     file was opened
-- parameter: under path = /; only files below this directory, or this one
-- parameter: loopback number = 0; 1: connections within the host, too
-- parameter: tolerance_s number = 1; a connection may have ended so many seconds before the file's time,
--     which is the one when the kernel's events were read
-- window: 1 day
-- tags: files, network, exfiltration
-- example: vestige report read-then-sent bytes=10000000 under=/srv --since this-week
-- column: created_at; when the file was opened
-- column: bytes_sent; to all of them; known at the end of each connection, and of TCP only
-- column: connections; how many there were
-- column: remotes; names of the other ends, or their addresses where they have none
-- schedule: file_access; subject path, application, login_user
SELECT STRAIGHT_JOIN h.name AS host, f.created_at, COALESCE(f.login_username, f.login_uid) AS login_user,
       COALESCE(f.username, f.uid) AS username, f.application, f.pid, f.path, f.size AS file_size,
       SUM(e.bytes_sent) AS bytes_sent, COUNT(*) AS connections,
       GROUP_CONCAT(DISTINCT COALESCE(e.remote_name, e.remote_address)
                    ORDER BY e.created_at SEPARATOR ' ') AS remotes,
       f.host_id AS row_host_id, f.id AS row_id,
       MAX(GREATEST(f.batch, COALESCE(f.end_batch, 0), e.batch, COALESCE(e.settle_batch, 0),
                    COALESCE(e.end_batch, 0))) AS row_batch
  FROM file_access f IGNORE INDEX (PRIMARY)
  JOIN (SELECT STRAIGHT_JOIN c.host_id, c.id, c.process_id, c.destroyed_at
          FROM (SELECT DISTINCT a.host_id, a.process_id
                  FROM file_access a IGNORE INDEX (PRIMARY)
                 WHERE NOT :any_login AND a.day >= :since_day AND a.created_at >= :since
                   AND a.created_at <= :until AND (FIND_IN_SET('read', a.operations) OR a.operations IS NULL)
                   AND (:host_id IS NULL OR a.host_id = :host_id)
                   AND a.login_uid <=> :login_uid
                 LIMIT 18446744073709551615) q
          JOIN endpoint c FORCE INDEX (process) ON c.host_id = q.host_id AND c.process_id = q.process_id
         WHERE c.day >= :since_day AND c.day <= :until_day AND c.created_at <= :until
           AND c.destroyed_at >= :since - INTERVAL LEAST(:tolerance_s, 1000000000) SECOND
           AND c.bytes_sent > 0 AND c.direction IN ('in', 'out')
           AND (:loopback OR NOT (c.remote_address LIKE '127.%' OR c.remote_address = '::1'))
        UNION ALL
        SELECT c.host_id, c.id, c.process_id, c.destroyed_at
          FROM endpoint c
         WHERE :any_login AND c.day >= :since_day AND c.day <= :until_day AND c.created_at <= :until
           AND c.destroyed_at >= :since - INTERVAL LEAST(:tolerance_s, 1000000000) SECOND
           AND c.bytes_sent > 0 AND c.direction IN ('in', 'out')
           AND (:loopback OR COALESCE(c.remote_address NOT LIKE '127.%' AND c.remote_address <> '::1', TRUE))
           AND (:host_id IS NULL OR c.host_id = :host_id)
        UNION ALL
        SELECT STRAIGHT_JOIN c.host_id, c.id, c.process_id, c.destroyed_at
          FROM (SELECT b.host_id, b.id, b.day
                  FROM endpoint b
                 WHERE b.day < :since_day
                   AND b.destroyed_at >= :since - INTERVAL LEAST(:tolerance_s, 1000000000) SECOND
                   AND (:host_id IS NULL OR b.host_id = :host_id)
                 LIMIT 18446744073709551615) k
          JOIN endpoint c FORCE INDEX (PRIMARY) ON c.host_id = k.host_id AND c.id = k.id AND c.day = k.day
         WHERE c.created_at <= :until
           AND c.bytes_sent > 0 AND c.direction IN ('in', 'out')
           AND (:loopback OR NOT (c.remote_address LIKE '127.%' OR c.remote_address = '::1'))
        LIMIT 18446744073709551615) s ON s.host_id = f.host_id AND s.process_id = f.process_id
   AND s.destroyed_at >= f.created_at - INTERVAL LEAST(:tolerance_s, 1000000000) SECOND
  JOIN endpoint e FORCE INDEX (PRIMARY) ON e.host_id = s.host_id AND e.id = s.id
   AND e.day = DATE('1970-01-01' + INTERVAL s.id DIV 1000000 SECOND)
  JOIN enrolment h ON h.host_id = f.host_id
 WHERE f.day >= :since_day AND f.created_at >= :since AND f.created_at <= :until
   AND (FIND_IN_SET('read', f.operations) OR f.operations IS NULL)
   AND (f.path = :under
        OR (f.path >= CONCAT(TRIM(TRAILING '/' FROM :under), '/')
            AND f.path < CONCAT(TRIM(TRAILING '/' FROM :under), '0')))
   AND (:host_id IS NULL OR f.host_id = :host_id)
   AND (:any_login OR f.login_uid <=> :login_uid)
 GROUP BY f.host_id, f.id, f.day
HAVING SUM(e.bytes_sent) > :bytes
 ORDER BY f.created_at, f.host_id, f.id
 LIMIT :row_limit
