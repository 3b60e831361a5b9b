-- question: Where did this file come from: who made, wrote, renamed and erased it under all of its names,
--     and was it downloaded?
-- parameter: path path; a name that it had; the names before are followed back
-- parameter: tolerance_s number = 1; a connection may have ended so many seconds before the file's time,
--     which is the one when the kernel's events were read
-- window: 30 days
-- tags: files, network, download
-- example: vestige report origin-of-file /home/alice/pictures/image.jpg
-- column: operations; what was done with it
-- column: path; its name then
-- column: new_path; the name behind, of a rename
-- column: direction; of the connection that the process had meanwhile; out: it had connected; empty: none
-- column: remote; name of the other end, or its address where it has none
-- column: bytes_received; by that connection
-- column: command; the command line of the program
SELECT h.name AS host, f.created_at, COALESCE(f.login_username, f.login_uid) AS login_user,
       COALESCE(f.username, f.uid) AS username, f.application, f.operations, f.path, f.new_path,
       f.size, e.direction, COALESCE(e.remote_name, e.remote_address) AS remote, e.remote_port,
       e.bytes_received, p.cmdline AS command, f.host_id AS row_host_id, f.id AS row_id,
       e.id AS row_endpoint_id
  FROM (WITH RECURSIVE renames AS (
          SELECT r.host_id, r.path, r.new_path, r.created_at
            FROM file_access r FORCE INDEX (PRIMARY)
           WHERE r.new_path IS NOT NULL
             AND r.day >= :since_day + INTERVAL 1 DAY AND r.day < :until_day
             AND r.created_at >= :since AND r.created_at <= :until
             AND (:host_id IS NULL OR r.host_id = :host_id)
           UNION ALL
          SELECT r.host_id, r.path, r.new_path, r.created_at
            FROM file_access r FORCE INDEX (created)
           WHERE r.new_path IS NOT NULL
             AND (r.day = :since_day OR r.day >= :until_day)
             AND r.created_at >= :since AND r.created_at <= :until
             AND (:host_id IS NULL OR r.host_id = :host_id)),
        names (host_id, path, until_at) AS (
          SELECT g.host_id, CAST(:path AS CHAR(20000)), CAST(:until AS DATETIME(6)) FROM enrolment g
           UNION
          SELECT r.host_id, CAST(r.path AS CHAR(20000)), r.created_at
            FROM names n
            JOIN renames r ON r.host_id = n.host_id AND r.new_path = n.path
             AND r.created_at <= n.until_at)
        SELECT DISTINCT a.*
          FROM names n
          JOIN file_access a ON a.host_id = n.host_id AND a.path = n.path
           AND a.created_at <= n.until_at
         WHERE a.day >= :since_day AND a.created_at >= :since AND a.created_at <= :until
           AND (:host_id IS NULL OR a.host_id = :host_id)
           AND (FIND_IN_SET('write', a.operations) OR FIND_IN_SET('create', a.operations)
                OR FIND_IN_SET('rename', a.operations) OR FIND_IN_SET('delete', a.operations))) f
  JOIN enrolment h ON h.host_id = f.host_id
  LEFT JOIN process p ON p.host_id = f.host_id AND p.id = f.process_id
   AND p.day = DATE('1970-01-01' + INTERVAL f.process_id DIV 1000000 SECOND)
  LEFT JOIN endpoint e ON e.host_id = f.host_id AND e.process_id = f.process_id
   AND e.day <= :until_day AND e.direction IN ('in', 'out') AND e.remote_address IS NOT NULL
   AND (e.status = 'established' OR e.status IS NULL)
   AND e.created_at <= COALESCE(f.destroyed_at, e.created_at)
   AND (e.destroyed_at IS NULL
        OR e.destroyed_at >= f.created_at - INTERVAL LEAST(:tolerance_s, 1000000000) SECOND)
 ORDER BY f.created_at, f.host_id, f.id, e.id
 LIMIT :row_limit
