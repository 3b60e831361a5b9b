-- question: Which hosts have sent nothing for a while, and did they say that they go down?
-- parameter: minutes number = 10; silent for at least so long
-- parameter: at time = now; the moment that is looked at
-- tags: fleet, coverage
-- example: vestige report silent-hosts minutes=60
-- column: last_received_at; when the server got the last batch; empty: never
-- column: silent_minutes; since then, or since it was enrolled
-- column: last_evidence_at; the time of the last row in that batch, by the host's clock
-- column: last_boot; how its last boot ended: clean, unclean, or runs as far as anybody knows
SELECT host, last_received_at, TIMESTAMPDIFF(MINUTE, COALESCE(last_received_at, enrolled_at), :at)
         AS silent_minutes, last_evidence_at, enrolled_at,
       (SELECT CASE WHEN b.destroyed_at IS NULL OR b.destroyed_at > :at THEN 'runs'
                    WHEN b.ended_clean THEN 'clean' WHEN b.ended_clean = 0 THEN 'unclean' END
          FROM boot b WHERE b.host_id = row_host_id AND b.created_at <= :at AND b.day <= :at_day
         ORDER BY b.created_at DESC, b.id DESC LIMIT 1) AS last_boot, row_host_id
  FROM (SELECT e.name AS host, e.created_at AS enrolled_at, e.host_id AS row_host_id,
               (SELECT b.received_at FROM batch b WHERE b.host_id = e.host_id AND b.received_at <= :at
                 ORDER BY b.batch DESC LIMIT 1) AS last_received_at,
               (SELECT b.last_time FROM batch b WHERE b.host_id = e.host_id AND b.received_at <= :at
                 ORDER BY b.batch DESC LIMIT 1) AS last_evidence_at
          FROM enrolment e
         WHERE e.created_at <= :at AND (e.retired_at IS NULL OR e.retired_at > :at)
           AND (e.revoked_at IS NULL OR e.revoked_at > :at)
           AND (:host_id IS NULL OR e.host_id = :host_id)) one
 WHERE COALESCE(last_received_at, enrolled_at) <= :at - INTERVAL :minutes MINUTE
 ORDER BY silent_minutes DESC, row_host_id
 LIMIT :row_limit
