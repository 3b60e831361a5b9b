-- The tree of a process: the rows of one pid in the window, or one row by its id; the images that
-- followed by exec, and the descendants.
tree AS (
  SELECT p.host_id, p.id, p.destroyed_at, p.boot_id, p.session_id
    FROM (SELECT host_id, id, day FROM process
         WHERE host_id = :host_id AND day >= :since_day
           AND created_at >= :since AND created_at <= :until AND :process IS NOT NULL
        UNION
        SELECT host_id, id, day FROM process FORCE INDEX (destroyed)
         WHERE host_id = :host_id AND destroyed_at >= :since AND id < :late_id AND day <= :late_day
           AND :process IS NOT NULL
        UNION
        SELECT host_id, id, day FROM process FORCE INDEX (destroyed)
         WHERE host_id = :host_id AND destroyed_at IS NULL AND id < :late_id AND day <= :late_day
           AND :process IS NOT NULL) k
  STRAIGHT_JOIN process p
      ON p.host_id = k.host_id AND p.id = k.id AND p.day = k.day
   WHERE p.pid = :process AND p.created_at <= :until
     AND (p.destroyed_at IS NULL OR p.destroyed_at >= :since OR p.created_at >= :since)
  UNION
  SELECT p.host_id, p.id, p.destroyed_at, p.boot_id, p.session_id
    FROM process p
   WHERE p.host_id = :host_id AND p.id = :process_row AND p.day = :process_day
  UNION
  SELECT p.host_id, p.id, p.destroyed_at, p.boot_id, p.session_id
    FROM tree t STRAIGHT_JOIN process p FORCE INDEX (parent)
      ON p.host_id = t.host_id AND p.parent_id = t.id
   WHERE p.day <= :until_day
  UNION
  SELECT p.host_id, p.id, p.destroyed_at, p.boot_id, p.session_id
    FROM tree t STRAIGHT_JOIN process p FORCE INDEX (created)
      ON p.host_id = t.host_id AND p.created_at = t.destroyed_at AND p.previous_id = t.id
   WHERE p.day <= :until_day
)
