-- question: What ran in this container, in order, as whom, and with whom logged in?
-- parameter: container text; its id, or how that begins
-- window: 1 days
-- tags: containers, unattributed
-- example: vestige report in-container 3f2a9c --since "2h ago"
-- column: ended_at; empty: it has not
-- column: login_user; who had logged in; empty: nobody, or nobody knows
-- schedule: process; subject host, container, exe
SELECT h.name AS host, p.created_at AS at, COALESCE(p.login_username, p.login_uid) AS login_user,
       COALESCE(p.username, p.uid) AS user, p.pid, p.ppid, p.exe, p.cmdline AS command,
       p.destroyed_at AS ended_at, p.exit_code, p.container, p.host_id AS row_host_id, p.id AS row_id,
       GREATEST(p.batch, COALESCE(p.settle_batch, 0), COALESCE(p.end_batch, 0)) AS row_batch
  FROM process p
  JOIN enrolment h ON h.host_id = p.host_id
 WHERE p.created_at >= :since AND p.created_at <= :until AND p.day >= :since_day
   AND LEFT(p.container, CHAR_LENGTH(:container)) = :container
   AND (:host_id IS NULL OR p.host_id = :host_id)
   AND (:any_login OR p.login_uid <=> :login_uid)
 ORDER BY p.created_at, p.host_id, p.id
 LIMIT :row_limit
