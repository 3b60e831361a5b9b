-- question: Who was connected with this address, or listened on it, at a moment?
-- parameter: address address; a local or remote one
-- parameter: at time = now; the moment that is asked about
-- tags: network, state
-- example: vestige report endpoints-of-address 192.0.2.7 at="2026-11-20 03:00"
-- column: created_at; since when
-- column: local_address; 0.0.0.0 or ::, when a program listened on all addresses of a host that had this
--     one
SELECT h.name AS host, e.created_at, COALESCE(e.login_username, e.login_uid) AS login_user,
       COALESCE(e.username, e.uid) AS username, e.application, e.pid, e.protocol, e.direction, e.status,
       e.local_address, e.local_port, e.remote_address, e.remote_port, e.remote_name,
       e.host_id AS row_host_id, e.id AS row_id
  FROM endpoint e
  JOIN enrolment h ON h.host_id = e.host_id
 WHERE e.day <= :at_day AND e.created_at <= :at AND (e.destroyed_at IS NULL OR e.destroyed_at > :at)
   AND (e.local_address = :address OR e.remote_address = :address
        OR (e.direction = 'listen' AND e.local_address IN ('0.0.0.0', '::')
            AND EXISTS (SELECT 1 FROM interface_address a
                         WHERE a.address = :address AND a.host_id = e.host_id
                           AND (e.local_address = '::' OR a.family = 'inet')
                           AND a.day <= :at_day AND a.created_at <= :at
                           AND (a.destroyed_at IS NULL OR a.destroyed_at > :at))))
   AND (:host_id IS NULL OR e.host_id = :host_id)
   AND (:any_login OR e.login_uid <=> :login_uid)
 ORDER BY e.created_at, e.host_id, e.id
 LIMIT :row_limit
