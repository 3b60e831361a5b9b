SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', MIN(p.created_at)) AS begin_us,
       TIMESTAMPDIFF(MICROSECOND, '1970-01-01',
                     MAX(COALESCE(p.destroyed_at, UTC_TIMESTAMP(6)))) AS end_us
  FROM tree t JOIN process p ON p.host_id = t.host_id AND p.id = t.id
                            AND p.day = DATE('1970-01-01' + INTERVAL t.id DIV 1000000 SECOND)
