-- question: What did this program do: when did it run, with which files and connections, in what order?
-- parameter: program text; name or whole path of the program, as it was recorded
-- window: 1 day
-- tags: process, programs, files, network
-- example: vestige report history-of-program nmap --login-user toma --since yesterday
-- column: at; of files, when the kernel's events were read: some milliseconds late
-- column: what; began, ended, file or connection
-- column: deed; of a file the operations, of a connection its direction and status, of an end the cause
-- column: object; the command line, the file, or the other end
SELECT h.name AS host, d.at, COALESCE(d.login_username, d.login_uid) AS login_user,
       COALESCE(d.username, d.uid) AS username, d.pid, d.what, d.deed, d.object, d.row_table,
       d.host_id AS row_host_id, d.id AS row_id
  FROM (WITH runs AS (
          SELECT p.host_id, p.id, p.day
            FROM process p
           WHERE p.day <= :until_day AND p.created_at <= :until
             AND (p.destroyed_at IS NULL OR p.destroyed_at >= :since)
             AND (p.comm = :program OR p.exe = :program OR SUBSTRING_INDEX(p.exe, '/', -1) = :program)
             AND (:host_id IS NULL OR p.host_id = :host_id)
             AND (:any_login OR p.login_uid <=> :login_uid)
           LIMIT 18446744073709551615)
        SELECT STRAIGHT_JOIN p.created_at AS at, p.login_username, p.login_uid, p.username, p.uid, p.pid,
               1 AS place, 'began' AS what, NULL AS deed, p.cmdline AS object, 'process' AS row_table,
               p.host_id, p.id
          FROM runs r
          JOIN process p ON p.host_id = r.host_id AND p.id = r.id AND p.day = r.day
         WHERE p.created_at >= :since
         UNION ALL
        SELECT STRAIGHT_JOIN p.destroyed_at, p.login_username, p.login_uid, p.username, p.uid, p.pid, 3,
               'ended', CONCAT_WS(' ', p.end_cause, IF(p.exit_signal > 0, NULL, p.exit_code),
                                  CONCAT('signal ', NULLIF(p.exit_signal, 0))) COLLATE utf8mb4_nopad_bin,
               p.cmdline, 'process', p.host_id, p.id
          FROM runs r
          JOIN process p ON p.host_id = r.host_id AND p.id = r.id AND p.day = r.day
         WHERE p.destroyed_at <= :until
         UNION ALL
        SELECT STRAIGHT_JOIN f.created_at, f.login_username, f.login_uid, f.username, f.uid, f.pid, 2,
               'file', f.operations, CONCAT_WS(' -> ', f.path, f.new_path), 'file_access', f.host_id, f.id
          FROM runs r
          JOIN file_access f FORCE INDEX (process) ON f.host_id = r.host_id AND f.process_id = r.id
           AND f.day >= :since_day AND f.created_at >= :since AND f.created_at <= :until
         UNION ALL
        SELECT STRAIGHT_JOIN e.created_at, e.login_username, e.login_uid, e.username, e.uid, e.pid, 2,
               'connection', CONCAT_WS(' ', e.direction, e.status) COLLATE utf8mb4_nopad_bin,
               CONCAT_WS(' ', e.protocol, COALESCE(e.remote_address, e.local_address),
                         COALESCE(e.remote_port, e.local_port), CONVERT(e.remote_name USING utf8mb4))
                 COLLATE utf8mb4_nopad_bin,
               'endpoint', e.host_id, e.id
          FROM runs r
          JOIN endpoint e FORCE INDEX (process) ON e.host_id = r.host_id AND e.process_id = r.id
           AND e.day >= :since_day AND e.created_at >= :since AND e.created_at <= :until) d
  JOIN enrolment h ON h.host_id = d.host_id
 ORDER BY d.at, d.place, d.host_id, d.id
 LIMIT :row_limit
