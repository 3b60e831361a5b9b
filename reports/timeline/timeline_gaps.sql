SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', g.created_at) AS begin_us,
       TIMESTAMPDIFF(MICROSECOND, '1970-01-01', g.destroyed_at) AS end_us,
       NULL AS login_user,
       NULL AS user,
       NULL AS pid,
       NULL AS process_row,
       CONCAT(g.source, ' ', g.cause) AS label,
       CONCAT(g.source, ' ', g.cause, ': ',
              CASE WHEN g.`count` IS NOT NULL THEN g.`count`
                   WHEN g.count_at_least IS NOT NULL THEN CONCAT('at least ', g.count_at_least)
                   ELSE 'an unknown number of' END,
              ' ', g.unit,
              CASE WHEN g.`count` = 1 THEN '' WHEN g.unit = 'process' THEN 'es' ELSE 's' END,
              ' not seen') AS begin_text,
       CONCAT(g.source, ' ', g.cause, ': seen again') AS end_text,
       g.*
  FROM gap g
 WHERE g.host_id = :host_id AND g.created_at <= :until
   AND (g.destroyed_at IS NULL OR g.destroyed_at >= :since)
 ORDER BY g.created_at, g.id
 LIMIT :row_limit
