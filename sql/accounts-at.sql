-- question: Which accounts did each host have at a moment, and in which groups were they?
-- parameter: at time = now; the moment
-- parameter: username text = none; only this one
-- tags: state, accounts
-- example: vestige report accounts-at --on web1 at="2026-01-01"
-- column: password; set, locked, empty or absent; empty here: nobody knows
-- column: group_name; the group of its own number
-- column: member_of; further groups
-- column: since; since when it has been known to be so
SELECT h.name AS host, a.username, a.uid, a.gid,
       (SELECT MIN(g.groupname) FROM account_group g WHERE g.host_id = a.host_id AND g.gid = a.gid
           AND g.day <= :at_day AND g.created_at <= :at
           AND (g.destroyed_at IS NULL OR g.destroyed_at > :at)) AS group_name,
       (SELECT GROUP_CONCAT(DISTINCT m.groupname ORDER BY m.groupname SEPARATOR ', ')
          FROM group_member m WHERE m.username = a.username AND m.host_id = a.host_id
           AND m.day <= :at_day AND m.created_at <= :at
           AND (m.destroyed_at IS NULL OR m.destroyed_at > :at)) AS member_of,
       a.home, a.shell, a.password_state AS password, a.created_at AS since, a.destroyed_at AS ended_at,
       a.host_id AS row_host_id, a.id AS row_id
  FROM account a
  JOIN enrolment h ON h.host_id = a.host_id
 WHERE a.day <= :at_day AND a.created_at <= :at AND (a.destroyed_at IS NULL OR a.destroyed_at > :at)
   AND (:username IS NULL OR a.username = :username)
   AND (:host_id IS NULL OR a.host_id = :host_id)
 ORDER BY h.name, a.host_id, a.uid, a.username, a.id
 LIMIT :row_limit
