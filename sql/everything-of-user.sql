-- question: What did this login user do, in order: sessions, logins, programs, connections, files, and calls to the kernel?
-- parameter: user user; who logged in, whatever su, sudo or setuid came later
-- window: 1 day
-- tags: accountability, user
-- example: vestige report everything-of-user user=alice --since yesterday --on web1
-- column: what; session, login, program, connection, port, file, or the kind of kernel event
-- column: username; as whom it was done; of a session or login: whose it is
-- column: application; the program
-- column: detail; the command, the peer, the file, what the call was about
-- column: result; the exit status, the state of the connection, what was done with the file, success or failure
-- column: ended_at; when it was over; empty: it goes on
WITH own_name AS (
  SELECT DISTINCT a.host_id, a.username
    FROM account a
   WHERE a.uid = :user
     AND (a.destroyed_at IS NULL OR a.destroyed_at >= :since) AND (:host_id IS NULL OR a.host_id = :host_id)
), deed AS (
  (SELECT s.host_id, s.created_at, 'session' AS what, s.leader_pid AS pid, s.username,
          s.service AS application,
          CONCAT_WS(' ', CONCAT('from ', COALESCE(s.remote_name COLLATE utf8mb4_nopad_bin, s.remote_address)),
                    IF(s.remote_name IS NULL, NULL, s.remote_address), CONCAT('on ', s.tty)) AS detail,
          s.end_cause AS result, s.destroyed_at AS ended_at, 'session' AS row_table, s.id AS row_id
     FROM session s
    WHERE s.login_uid = :user AND (:host_id IS NULL OR s.host_id = :host_id)
      AND s.created_at >= :since AND s.created_at <= :until AND s.day >= :since_day
    ORDER BY s.created_at, s.id LIMIT :row_limit)
   UNION ALL
  (SELECT t.host_id, t.created_at, 'login', NULL, t.username, t.service,
          CONCAT_WS(' ', CONCAT('from ', t.remote_address), CONCAT('on ', t.tty)), t.result,
          t.destroyed_at, 'auth_attempt', t.id
     FROM own_name o
     JOIN auth_attempt t ON t.host_id = o.host_id AND t.username = o.username
    WHERE t.created_at >= :since AND t.created_at <= :until AND t.day >= :since_day
    ORDER BY t.created_at, t.id LIMIT :row_limit)
   UNION ALL
  (SELECT p.host_id, p.created_at, 'program', p.pid,
          CONCAT_WS('/', COALESCE(p.username, p.uid),
                    IF(p.uid = p.euid, NULL, COALESCE(p.effective_username, p.euid))),
          COALESCE(p.exe, p.comm), p.cmdline,
          CASE WHEN p.exit_signal > 0 THEN CONCAT('signal ', p.exit_signal)
               WHEN p.exit_code IS NOT NULL THEN CONCAT('exit status ', p.exit_code)
               ELSE p.end_cause END,
          p.destroyed_at, 'process', p.id
     FROM process p
    WHERE p.login_uid = :user AND (:host_id IS NULL OR p.host_id = :host_id)
      AND p.created_at >= :since AND p.created_at <= :until AND p.day >= :since_day
    ORDER BY p.created_at, p.id LIMIT :row_limit)
   UNION ALL
  (SELECT e.host_id, e.created_at, IF(e.direction = 'listen', 'port', 'connection'), e.pid,
          COALESCE(e.username, e.uid), e.application,
          CONCAT_WS(' ', e.protocol, e.direction,
                    IF(e.direction = 'out', NULL, COALESCE(e.local_name COLLATE utf8mb4_nopad_bin, CONCAT_WS(' ', e.local_address, e.local_port))),
                    IF(e.direction IN ('out', 'in'), CONCAT_WS(' ', e.remote_address, e.remote_port, e.remote_name COLLATE utf8mb4_nopad_bin), NULL)),
          e.status, e.destroyed_at, 'endpoint', e.id
     FROM endpoint e
    WHERE e.login_uid = :user AND (:host_id IS NULL OR e.host_id = :host_id)
      AND e.created_at >= :since AND e.created_at <= :until AND e.day >= :since_day
    ORDER BY e.created_at, e.id LIMIT :row_limit)
   UNION ALL
  (SELECT f.host_id, f.created_at, 'file', f.pid, COALESCE(f.username, f.uid), f.application,
          CONCAT_WS(' -> ', f.path, f.new_path), f.operations, f.destroyed_at, 'file_access', f.id
     FROM file_access f
    WHERE f.login_uid = :user AND (:host_id IS NULL OR f.host_id = :host_id)
      AND f.created_at >= :since AND f.created_at <= :until AND f.day >= :since_day
    ORDER BY f.created_at, f.id LIMIT :row_limit)
   UNION ALL
  (SELECT k.host_id, k.created_at, k.kind, k.pid, COALESCE(k.username, k.uid), k.application,
          k.target, k.result, k.destroyed_at, 'kernel_event', k.id
     FROM kernel_event k
    WHERE k.login_uid = :user AND (:host_id IS NULL OR k.host_id = :host_id)
      AND k.created_at >= :since AND k.created_at <= :until AND k.day >= :since_day
    ORDER BY k.created_at, k.id LIMIT :row_limit)
)
SELECT h.name AS host, d.created_at, d.what, d.username, d.pid, d.application, d.detail, d.result,
       d.ended_at, d.host_id AS row_host_id, d.row_table, d.row_id
  FROM deed d
  JOIN enrolment h ON h.host_id = d.host_id
 ORDER BY d.created_at, d.host_id, d.row_id
 LIMIT :row_limit
