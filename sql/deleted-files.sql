-- question: Which files were deleted or renamed below a path, by whom?
-- parameter: under path = /; only names below this directory, or this one, before the deed or behind it
-- window: 1 day
-- tags: files, accountability
-- example: vestige report deleted-files /var/log --since yesterday
-- column: operations; delete or rename
-- column: new_path; the name behind, of a rename
-- column: command; the command line of the program
-- schedule: file_access; subject path, new_path, application
SELECT h.name AS host, f.created_at, COALESCE(f.login_username, f.login_uid) AS login_user,
       COALESCE(f.username, f.uid) AS username, f.application, f.pid, f.operations, f.path, f.new_path,
       p.cmdline AS command, f.host_id AS row_host_id, f.id AS row_id,
       GREATEST(f.batch, COALESCE(f.settle_batch, 0), COALESCE(f.end_batch, 0)) AS row_batch
  FROM file_access f
  JOIN enrolment h ON h.host_id = f.host_id
  LEFT JOIN process p ON p.host_id = f.host_id AND p.id = f.process_id
   AND p.day = DATE('1970-01-01' + INTERVAL f.process_id DIV 1000000 SECOND)
 WHERE f.day >= :since_day AND f.created_at >= :since AND f.created_at <= :until
   AND (FIND_IN_SET('delete', f.operations) OR FIND_IN_SET('rename', f.operations))
   AND (f.path = :under OR f.new_path = :under
        OR (f.path >= CONCAT(TRIM(TRAILING '/' FROM :under), '/')
            AND f.path < CONCAT(TRIM(TRAILING '/' FROM :under), '0'))
        OR (f.new_path >= CONCAT(TRIM(TRAILING '/' FROM :under), '/')
            AND f.new_path < CONCAT(TRIM(TRAILING '/' FROM :under), '0')))
   AND (:host_id IS NULL OR f.host_id = :host_id)
   AND (:any_login OR f.login_uid <=> :login_uid)
 ORDER BY f.created_at, f.host_id, f.id
 LIMIT :row_limit
