-- The tree of a process: the rows of one pid in the window, or one row by its id; the images that
-- followed by exec, and the descendants. Empty when nothing of that kind is asked.
tree AS (
  SELECT p.host_id, p.id, p.destroyed_at, p.boot_id, p.session_id
    FROM process p
   WHERE :process IS NOT NULL AND p.host_id = :host_id AND p.pid = :process
     AND p.day <= :until_day AND p.created_at <= :until
     AND (p.destroyed_at IS NULL OR p.destroyed_at >= :since)
  UNION
  SELECT p.host_id, p.id, p.destroyed_at, p.boot_id, p.session_id
    FROM process p
   WHERE p.host_id = :host_id AND p.id = :process_row AND p.day = :process_day
  UNION
  SELECT p.host_id, p.id, p.destroyed_at, p.boot_id, p.session_id
    FROM tree t JOIN process p ON p.host_id = t.host_id AND p.parent_id = t.id
   WHERE p.day <= :until_day
  UNION
  SELECT p.host_id, p.id, p.destroyed_at, p.boot_id, p.session_id
    FROM tree t JOIN process p ON p.host_id = t.host_id AND p.created_at = t.destroyed_at
                              AND p.previous_id = t.id
   WHERE p.day <= :until_day
)
