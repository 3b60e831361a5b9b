-- question: Which files did this login user use, and what was done with them?
-- parameter: user user; who logged in, whatever su, sudo or setuid came later
-- parameter: operation text = none; only where this was done: read, write, execute, create, delete, rename or attributes
-- parameter: under path = none; only this path and what is below it
-- window: 1 day
-- tags: accountability, user, files
-- example: vestige report files-of-user user=alice operation=delete under=/srv
-- column: username; as whom it was done
-- column: application; the program's name at that moment
-- column: new_path; of a rename: where it is now
-- column: operations; all that was done between created_at and ended_at; empty: it is open
-- column: opens; at least so often
-- column: command; how the program was started
SELECT h.name AS host, f.created_at, COALESCE(f.username, f.uid) AS username, f.pid, f.application,
       f.operations, f.path, f.new_path, f.opens, f.size, f.destroyed_at AS ended_at,
       p.cmdline AS command,
       f.host_id AS row_host_id, f.id AS row_id
  FROM file_access f
  JOIN enrolment h ON h.host_id = f.host_id
  LEFT JOIN process p FORCE INDEX (PRIMARY) ON p.host_id = f.host_id AND p.id = f.process_id
   AND p.day = DATE('1970-01-01' + INTERVAL f.process_id DIV 1000000 SECOND)
 WHERE f.login_uid = :user
   AND f.created_at >= :since AND f.created_at <= :until AND f.day >= :since_day
   AND (:host_id IS NULL OR f.host_id = :host_id)
   AND (:operation IS NULL OR FIND_IN_SET(:operation, f.operations))
   AND (:under IS NULL
        OR f.path = :under OR (f.path >= CONCAT(:under, '/') AND f.path < CONCAT(:under, '0'))
        OR f.new_path = :under OR (f.new_path >= CONCAT(:under, '/') AND f.new_path < CONCAT(:under, '0')))
 ORDER BY f.created_at, f.host_id, f.id
 LIMIT :row_limit
