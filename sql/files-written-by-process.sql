-- question: Which files did a process and its descendants write, make, rename or delete?
-- parameter: pid number; a process that lived in the window; of a number that was used again, each
-- parameter: under path = /; only files below this directory, or this one
-- window: 1 day
-- tags: files, process
-- example: vestige report files-written-by-process 8343 under=/tmp --on web1
-- column: depth; 0: the process itself; 1: a child of it, and so on
SELECT h.name AS host, f.created_at, f.depth, COALESCE(f.login_username, f.login_uid) AS login_user,
       COALESCE(f.username, f.uid) AS username, f.application, f.pid, f.operations, f.path, f.new_path,
       f.size, f.host_id AS row_host_id, f.id AS row_id
  FROM (WITH RECURSIVE family (host_id, id, destroyed_at, depth) AS (
          SELECT r.host_id, r.id, r.destroyed_at, 0
            FROM process r
           WHERE r.pid = :pid AND r.day <= :until_day AND r.created_at <= :until
             AND (r.destroyed_at IS NULL OR r.destroyed_at >= :since)
             AND (:host_id IS NULL OR r.host_id = :host_id)
           UNION
          SELECT STRAIGHT_JOIN c.host_id, c.id, c.destroyed_at, m.depth + 1
            FROM family m
            JOIN process c FORCE INDEX (parent) ON c.host_id = m.host_id AND c.parent_id = m.id
             AND c.day <= :until_day AND c.created_at <= :until
           UNION
          SELECT STRAIGHT_JOIN n.host_id, n.id, n.destroyed_at, m.depth
            FROM family m
            JOIN process n FORCE INDEX (created) ON n.host_id = m.host_id AND n.created_at = m.destroyed_at
             AND n.previous_id = m.id AND n.day <= :until_day)
        SELECT STRAIGHT_JOIN a.*, MIN(m.depth) AS depth
          FROM family m
          JOIN file_access a FORCE INDEX (process) ON a.host_id = m.host_id AND a.process_id = m.id
           AND a.day >= :since_day AND a.created_at >= :since AND a.created_at <= :until
           AND (FIND_IN_SET('write', a.operations) OR FIND_IN_SET('create', a.operations)
                OR FIND_IN_SET('delete', a.operations) OR FIND_IN_SET('rename', a.operations))
           AND (:any_login OR a.login_uid <=> :login_uid)
           AND (a.path = :under
                OR (a.path >= CONCAT(TRIM(TRAILING '/' FROM :under), '/')
                    AND a.path < CONCAT(TRIM(TRAILING '/' FROM :under), '0'))
                OR a.new_path = :under
                OR (a.new_path >= CONCAT(TRIM(TRAILING '/' FROM :under), '/')
                    AND a.new_path < CONCAT(TRIM(TRAILING '/' FROM :under), '0')))
         GROUP BY a.host_id, a.id) f
  JOIN enrolment h ON h.host_id = f.host_id
 ORDER BY f.created_at, f.host_id, f.id
 LIMIT :row_limit
