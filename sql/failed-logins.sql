-- question: Which attempts to log in failed?
-- parameter: name text = none; only under this name, as it was given; there may be no such user
-- parameter: address address = none; only from this address
-- parameter: service text = none; only at this one: sshd, login, su, sudo ...
-- window: 1 days
-- tags: accountability, session
-- example: vestige report failed-logins name=root service=sshd
-- column: name; the name that was given; empty: none was
-- column: program; who decided
-- schedule: auth_attempt; subject name, service, remote_address
SELECT h.name AS host, a.created_at, a.username AS name, a.service, a.remote_address, a.tty,
       p.pid, p.exe AS program,
       a.host_id AS row_host_id, a.id AS row_id,
       GREATEST(a.batch, COALESCE(a.settle_batch, 0), COALESCE(a.end_batch, 0)) AS row_batch
  FROM auth_attempt a
  JOIN enrolment h ON h.host_id = a.host_id
  LEFT JOIN process p ON p.host_id = a.host_id AND p.id = a.process_id
   AND p.day = DATE('1970-01-01' + INTERVAL a.process_id DIV 1000000 SECOND)
 WHERE a.result = 'failure'
   AND a.created_at >= :since AND a.created_at <= :until AND a.day >= :since_day
   AND (:name IS NULL OR a.username = :name)
   AND (:address IS NULL OR a.remote_address = :address)
   AND (:service IS NULL OR a.service = :service)
   AND (:host_id IS NULL OR a.host_id = :host_id)
 ORDER BY a.created_at, a.host_id, a.id
 LIMIT :row_limit
