-- question: Who stopped, ended or moved the recorder, or changed audit, and when did it not run?
-- window: 30 days
-- tags: completeness, accountability
-- example: vestige report recorder-disturbed --on web1
-- column: what; signal, tamper: it was moved to another control group; audit_change: rules or settings
--     of audit; not_run: its threads got no processor for over two seconds
-- column: detail; which signal, what was reached for or changed; or for how long nothing was read
-- column: user; as whom the sender ran. Of a signal by the kernel: who was running just then
-- column: command; of the sender
-- schedule: kernel_event; subject host, what, detail, pid
SELECT d.host, d.at, d.what, d.detail, d.login_user, d.user, d.pid, d.application,
       (SELECT p.cmdline FROM process p
         WHERE p.host_id = d.row_host_id AND p.id = d.process_id
           AND p.day = DATE('1970-01-01' + INTERVAL d.process_id DIV 1000000 SECOND)) AS command,
       d.row_host_id, d.row_id, d.row_batch, d.process_id AS row_process_id
  FROM (
    SELECT h.name AS host, k.created_at AS at, k.kind AS what, k.target AS detail,
           COALESCE(k.login_username, k.login_uid) AS login_user, COALESCE(k.username, k.uid) AS user,
           k.pid, k.application, k.host_id AS row_host_id, k.id AS row_id,
           GREATEST(k.batch, COALESCE(k.settle_batch, 0), COALESCE(k.end_batch, 0)) AS row_batch,
           k.process_id, k.login_uid
      FROM kernel_event k
      JOIN enrolment h ON h.host_id = k.host_id
     WHERE k.kind IN ('signal', 'tamper', 'audit_change') AND k.created_at >= :since AND k.created_at <= :until AND k.day >= :since_day
       AND (:host_id IS NULL OR k.host_id = :host_id)
    UNION ALL
    SELECT h.name, f.created_at, 'not_run', f.detail, NULL, NULL, NULL, NULL, f.host_id, f.id,
           GREATEST(f.batch, COALESCE(f.settle_batch, 0), COALESCE(f.end_batch, 0)), NULL, NULL
      FROM finding f
      JOIN enrolment h ON h.host_id = f.host_id
     WHERE f.class = 'agent-did-not-run' AND f.created_at >= :since AND f.created_at <= :until
       AND f.day >= :since_day
       AND (:host_id IS NULL OR f.host_id = :host_id)
  ) d
 WHERE (:any_login OR (d.what <> 'not_run' AND d.login_uid <=> :login_uid))
 ORDER BY d.at, d.row_host_id, d.row_id
 LIMIT :row_limit
