-- question: Which destinations did a program or a host contact that it had not contacted before?
-- parameter: baseline_days number = 14; nobody was contacted there in so many days before; days of which
--     there is no evidence make all destinations new
-- parameter: program text = none; only this program, by its name
-- parameter: per_program number = 1; 1: new for this program of the host; 0: new for the whole host
-- parameter: loopback number = 0; 1: connections within the host, too
-- window: 1 day
-- tags: network, baseline
-- example: vestige report first-seen-destinations baseline_days=14 per_program=0 --on web1
-- column: created_at; the first contact
-- column: status; what came of it; empty: not known yet
-- schedule: endpoint; subject application, remote_address
SELECT h.name AS host, n.created_at, COALESCE(n.login_username, n.login_uid) AS login_user,
       COALESCE(n.username, n.uid) AS username, n.application, n.pid, n.protocol, n.remote_address,
       n.remote_port, n.remote_name, n.status, n.bytes_sent, n.bytes_received,
       n.host_id AS row_host_id, n.id AS row_id,
       GREATEST(n.batch, COALESCE(n.settle_batch, 0), COALESCE(n.end_batch, 0)) AS row_batch
  FROM (SELECT e.*,
               ROW_NUMBER() OVER (PARTITION BY e.host_id, IF(:per_program, e.application, NULL),
                                               e.remote_address
                                  ORDER BY e.created_at, e.id) AS place
          FROM endpoint e
         WHERE e.day >= :since_day AND e.created_at >= :since AND e.created_at <= :until
           AND e.direction = 'out' AND e.remote_address IS NOT NULL
           AND (:program IS NULL OR e.application = :program)
           AND (:loopback OR NOT (e.remote_address LIKE '127.%' OR e.remote_address = '::1'))
           AND (:host_id IS NULL OR e.host_id = :host_id)) n
  JOIN enrolment h ON h.host_id = n.host_id
  LEFT JOIN process p ON p.host_id = n.host_id AND p.id = n.process_id
   AND p.day = DATE('1970-01-01' + INTERVAL n.process_id DIV 1000000 SECOND)
  LEFT JOIN (SELECT DISTINCT MD5(CONCAT_WS(' ', c.host_id, c.remote_address,
                                           IF(:per_program, c.application, NULL))) AS subject
               FROM endpoint c FORCE INDEX (PRIMARY)
              WHERE c.day >= :since_day - INTERVAL LEAST(:baseline_days, 100000) DAY
                AND c.day <= :until_day
                AND c.created_at >= :since - INTERVAL LEAST(:baseline_days, 100000) DAY
                AND c.created_at < :since AND c.direction = 'out'
                AND (:program IS NULL OR c.application = :program)
                AND (:host_id IS NULL OR c.host_id = :host_id)) b
    ON b.subject = MD5(CONCAT_WS(' ', n.host_id, n.remote_address,
                                 IF(:per_program, n.application, NULL)))
 WHERE n.place = 1 AND COALESCE(p.own, 0) = 0
   AND (:any_login OR n.login_uid <=> :login_uid)
   AND b.subject IS NULL
 ORDER BY n.created_at, n.host_id, n.id
 LIMIT :row_limit
