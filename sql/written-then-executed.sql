-- question: Which programs were run from a file that somebody had written or renamed to that name before?
-- parameter: tolerance_s number = 1; the file's time, which is the one when the kernel's events were
--     read, may be so many seconds behind that of the program
-- window: 1 day
-- tags: files, programs, disguise
-- example: vestige report written-then-executed --since yesterday
-- column: created_at; when the program began
-- column: exe; its file
-- column: written_at; when the file was last written, or got this name, before that
-- column: writer; the program that did so
-- column: writer_login_user; the login user of that program
-- column: how; the operations: write, or rename
-- schedule: process; subject exe, login_user, writer_login_user
SELECT w.host, w.created_at, w.login_user, w.username, w.pid, w.exe, w.written_at, w.writer,
       w.writer_login_user, w.how, w.row_exe_sha256, w.row_file_access_id, w.row_host_id, w.row_id,
       w.row_batch
  FROM (SELECT STRAIGHT_JOIN h.name AS host, p.created_at,
               COALESCE(p.login_username, p.login_uid) AS login_user,
               COALESCE(p.username, p.uid) AS username, p.pid, p.exe, f.created_at AS written_at,
               f.application AS writer, COALESCE(f.login_username, f.login_uid) AS writer_login_user,
               f.operations AS how, p.exe_sha256 AS row_exe_sha256, f.id AS row_file_access_id,
               p.host_id AS row_host_id, p.id AS row_id,
               GREATEST(p.batch, COALESCE(p.settle_batch, 0), f.batch, COALESCE(f.end_batch, 0))
                 AS row_batch,
               ROW_NUMBER() OVER (PARTITION BY p.host_id, p.id
                                  ORDER BY f.created_at > p.created_at,
                                           ABS(TIMESTAMPDIFF(MICROSECOND, f.created_at, p.created_at)),
                                           f.id DESC) AS place
          FROM process p
          JOIN (SELECT a.host_id, a.id, a.created_at, a.application, a.login_uid, a.login_username,
                       a.operations, a.batch, a.end_batch,
                       MD5(COALESCE(a.new_path, a.path)) AS name_hash,
                       COALESCE(a.new_path, a.path) AS name
                  FROM file_access a FORCE INDEX (PRIMARY)
                 WHERE a.day >= :since_day + INTERVAL 1 DAY AND a.day < :until_day
                   AND a.created_at >= :since AND a.created_at <= :until
                   AND (FIND_IN_SET('write', a.operations) OR FIND_IN_SET('rename', a.operations))
                   AND (:host_id IS NULL OR a.host_id = :host_id)
                 UNION ALL
                SELECT a.host_id, a.id, a.created_at, a.application, a.login_uid, a.login_username,
                       a.operations, a.batch, a.end_batch,
                       MD5(COALESCE(a.new_path, a.path)) AS name_hash,
                       COALESCE(a.new_path, a.path) AS name
                  FROM file_access a FORCE INDEX (created)
                 WHERE (a.day = :since_day OR a.day >= :until_day)
                   AND a.created_at >= :since AND a.created_at <= :until
                   AND (FIND_IN_SET('write', a.operations) OR FIND_IN_SET('rename', a.operations))
                   AND (:host_id IS NULL OR a.host_id = :host_id)
                 LIMIT 18446744073709551615) f ON f.name_hash = MD5(p.exe) AND f.host_id = p.host_id
           AND f.name = p.exe
           AND f.created_at <= p.created_at + INTERVAL LEAST(:tolerance_s, 1000000000) SECOND
          JOIN enrolment h ON h.host_id = p.host_id
         WHERE p.day >= :since_day AND p.created_at >= :since AND p.created_at <= :until
           AND (:host_id IS NULL OR p.host_id = :host_id)
           AND (:any_login OR p.login_uid <=> :login_uid)) w
 WHERE w.place = 1
 ORDER BY w.created_at, w.row_host_id, w.row_id
 LIMIT :row_limit
