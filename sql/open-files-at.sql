-- question: Which files were in use at a moment, by whom?
-- parameter: at time = now; the moment
-- parameter: path path = none; only this one, and what is below it
-- tags: state, files
-- example: vestige report open-files-at path=/var/lib/mysql at="2h ago" --on db1
-- column: since; when this process was first seen with it
-- column: operations; what it did with it, all in all
SELECT h.name AS host, f.created_at AS since, COALESCE(f.login_username, f.login_uid) AS login_user,
       COALESCE(f.username, f.uid) AS user, f.application, f.pid, f.operations, f.path, f.new_path, f.size,
       f.destroyed_at AS ended_at, f.host_id AS row_host_id, f.id AS row_id,
       f.process_id AS row_process_id
  FROM file_access f
  JOIN enrolment h ON h.host_id = f.host_id
 WHERE f.day <= :at_day AND f.created_at <= :at AND (f.destroyed_at IS NULL OR f.destroyed_at > :at)
   AND (:path IS NULL OR f.path = :path
        OR (f.path >= CONCAT(TRIM(TRAILING '/' FROM :path), '/')
            AND f.path < CONCAT(TRIM(TRAILING '/' FROM :path), '0')))
   AND (:host_id IS NULL OR f.host_id = :host_id)
   AND (:any_login OR f.login_uid <=> :login_uid)
 ORDER BY h.name, f.host_id, f.path, f.id
 LIMIT :row_limit
