-- question: Who loaded modules, mounted, traced, changed namespaces, loaded BPF programs or set the clock?
-- parameter: kind text = none; module_load, mount, ptrace, setns, bpf_load, clock_set, signal ...
-- window: 1 days
-- tags: kernel, accountability
-- example: vestige report kernel-events kind=module_load --since "30d ago"
-- column: user; as whom the program ran
-- column: target; module, path, process, namespaces, program or amount
-- column: command; of the program that did it. Vestige's own work is left out
-- schedule: kernel_event; subject host, kind, target, login_user
SELECT h.name AS host, k.created_at AS at, COALESCE(k.login_username, k.login_uid) AS login_user,
       COALESCE(k.username, k.uid) AS user, k.kind, k.target, k.result, k.application, k.pid, p.exe,
       p.cmdline AS command, k.host_id AS row_host_id, k.id AS row_id,
       GREATEST(k.batch, COALESCE(k.settle_batch, 0), COALESCE(k.end_batch, 0)) AS row_batch,
       k.process_id AS row_process_id
  FROM kernel_event k
  JOIN enrolment h ON h.host_id = k.host_id
  LEFT JOIN process p ON p.host_id = k.host_id AND p.id = k.process_id
    AND p.day = DATE('1970-01-01' + INTERVAL k.process_id DIV 1000000 SECOND)
 WHERE k.created_at >= :since AND k.created_at <= :until AND k.day >= :since_day
   AND COALESCE(p.own, 0) = 0
   AND (:kind IS NULL OR k.kind = :kind)
   AND (:host_id IS NULL OR k.host_id = :host_id)
   AND (:any_login OR k.login_uid <=> :login_uid)
 ORDER BY k.created_at, k.host_id, k.id
 LIMIT :row_limit
