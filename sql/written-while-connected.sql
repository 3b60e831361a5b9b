-- question: Which files were written by a process while it had a connection, and with whom?
-- parameter: under path = /; only files below this directory, or this one
-- parameter: loopback number = 0; 1: connections within the host, too
-- parameter: tolerance_s number = 1; a connection may have ended so many seconds before the file's time,
--     which is the one when the kernel's events were read
-- window: 1 day
-- tags: files, network, download
-- example: vestige report written-while-connected /tmp --since today
-- column: direction; out: the process had connected; in: it had accepted the connection
-- column: remote; name of the other end, or its address where it has none
-- column: connected_at; when the connection began
-- column: bytes_received; of the whole connection; known at its end
-- schedule: file_access; subject path, application, remote
SELECT STRAIGHT_JOIN h.name AS host, f.created_at, COALESCE(f.login_username, f.login_uid) AS login_user,
       COALESCE(f.username, f.uid) AS username, f.application, f.pid, f.path, f.size, e.direction,
       COALESCE(e.remote_name, e.remote_address) AS remote, e.remote_port, e.created_at AS connected_at,
       e.bytes_received, e.remote_address AS row_remote_address, e.id AS row_endpoint_id,
       f.host_id AS row_host_id, f.id AS row_id,
       GREATEST(f.batch, COALESCE(f.end_batch, 0), e.batch, COALESCE(e.settle_batch, 0),
                COALESCE(e.end_batch, 0)) AS row_batch
  FROM file_access f IGNORE INDEX (PRIMARY)
  JOIN (SELECT STRAIGHT_JOIN c.host_id, c.id, c.process_id, c.created_at, c.destroyed_at
          FROM (SELECT DISTINCT a.host_id, a.process_id
                  FROM file_access a IGNORE INDEX (PRIMARY)
                 WHERE NOT :any_login AND a.day >= :since_day AND a.created_at >= :since
                   AND a.created_at <= :until AND FIND_IN_SET('write', a.operations)
                   AND (:host_id IS NULL OR a.host_id = :host_id)
                   AND a.login_uid <=> :login_uid
                 LIMIT 18446744073709551615) q
          JOIN endpoint c FORCE INDEX (process) ON c.host_id = q.host_id AND c.process_id = q.process_id
         WHERE c.day >= :since_day AND c.day <= :until_day AND c.created_at <= :until
           AND (c.destroyed_at IS NULL
                OR c.destroyed_at >= :since - INTERVAL LEAST(:tolerance_s, 1000000000) SECOND)
           AND c.direction IN ('in', 'out') AND c.remote_address IS NOT NULL
           AND (c.status = 'established' OR c.status IS NULL)
           AND (:loopback OR NOT (c.remote_address LIKE '127.%' OR c.remote_address = '::1'))
        UNION ALL
        SELECT c.host_id, c.id, c.process_id, c.created_at, c.destroyed_at
          FROM endpoint c
         WHERE :any_login AND c.day >= :since_day AND c.day <= :until_day AND c.created_at <= :until
           AND (c.destroyed_at IS NULL
                OR c.destroyed_at >= :since - INTERVAL LEAST(:tolerance_s, 1000000000) SECOND)
           AND c.direction IN ('in', 'out') AND c.remote_address IS NOT NULL
           AND (c.status = 'established' OR c.status IS NULL)
           AND (:loopback OR NOT (c.remote_address LIKE '127.%' OR c.remote_address = '::1'))
           AND (:host_id IS NULL OR c.host_id = :host_id)
        UNION ALL
        SELECT STRAIGHT_JOIN c.host_id, c.id, c.process_id, c.created_at, c.destroyed_at
          FROM (SELECT b.host_id, b.id, b.day
                  FROM endpoint b
                 WHERE b.day < :since_day
                   AND (b.destroyed_at IS NULL
                OR b.destroyed_at >= :since - INTERVAL LEAST(:tolerance_s, 1000000000) SECOND)
                   AND (:host_id IS NULL OR b.host_id = :host_id)
                 LIMIT 18446744073709551615) k
          JOIN endpoint c FORCE INDEX (PRIMARY) ON c.host_id = k.host_id AND c.id = k.id AND c.day = k.day
         WHERE c.created_at <= :until
           AND c.direction IN ('in', 'out') AND c.remote_address IS NOT NULL
           AND (c.status = 'established' OR c.status IS NULL)
           AND (:loopback OR NOT (c.remote_address LIKE '127.%' OR c.remote_address = '::1'))
        LIMIT 18446744073709551615) s ON s.host_id = f.host_id AND s.process_id = f.process_id
   AND s.created_at <= COALESCE(f.destroyed_at, s.created_at)
   AND (s.destroyed_at IS NULL
        OR s.destroyed_at >= f.created_at - INTERVAL LEAST(:tolerance_s, 1000000000) SECOND)
  JOIN endpoint e FORCE INDEX (PRIMARY) ON e.host_id = s.host_id AND e.id = s.id
   AND e.day = DATE('1970-01-01' + INTERVAL s.id DIV 1000000 SECOND)
  JOIN enrolment h ON h.host_id = f.host_id
 WHERE f.day >= :since_day AND f.created_at >= :since AND f.created_at <= :until
   AND FIND_IN_SET('write', f.operations)
   AND (f.path = :under
        OR (f.path >= CONCAT(TRIM(TRAILING '/' FROM :under), '/')
            AND f.path < CONCAT(TRIM(TRAILING '/' FROM :under), '0')))
   AND (:host_id IS NULL OR f.host_id = :host_id)
   AND (:any_login OR f.login_uid <=> :login_uid)
 ORDER BY f.created_at, f.host_id, f.id, e.id
 LIMIT :row_limit
