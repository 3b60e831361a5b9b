-- question: When was who in which group?
-- parameter: groupname text = none; only this group
-- parameter: username text = none; only this user
-- window: all
-- tags: accounts, accountability
-- example: vestige report membership groupname=sudo username=alice
-- column: kind; member: listed in the group; own: the group is that of the account
-- column: since; since when it has been known to be so
-- column: until; empty: it still is
-- schedule: group_member; subject host, groupname, username
SELECT h.name AS host, m.groupname, m.username, m.kind, m.created_at AS since, m.destroyed_at AS until,
       m.host_id AS row_host_id, m.id AS row_id, m.batch AS row_batch
  FROM (SELECT host_id, id, groupname, username, 'member' AS kind, created_at, destroyed_at,
               GREATEST(batch, COALESCE(end_batch, 0)) AS batch
          FROM group_member
         WHERE day <= :until_day AND created_at <= :until
           AND (destroyed_at IS NULL OR destroyed_at >= :since)
           AND (:groupname IS NULL OR groupname = :groupname)
           AND (:username IS NULL OR username = :username)
           AND (:host_id IS NULL OR host_id = :host_id)
         UNION ALL
        SELECT a.host_id, a.id, g.groupname, a.username, 'own', GREATEST(a.created_at, g.created_at),
               NULLIF(LEAST(COALESCE(a.destroyed_at, '9999-12-31'), COALESCE(g.destroyed_at, '9999-12-31')),
                      '9999-12-31'), GREATEST(a.batch, COALESCE(a.end_batch, 0))
          FROM account a
          JOIN account_group g ON g.host_id = a.host_id AND g.gid = a.gid
            AND g.created_at < COALESCE(a.destroyed_at, '9999-12-31')
            AND a.created_at < COALESCE(g.destroyed_at, '9999-12-31')
         WHERE a.day <= :until_day AND a.created_at <= :until
           AND (a.destroyed_at IS NULL OR a.destroyed_at >= :since)
           AND (:groupname IS NULL OR g.groupname = :groupname)
           AND (:username IS NULL OR a.username = :username)
           AND (:host_id IS NULL OR a.host_id = :host_id)) m
  JOIN enrolment h ON h.host_id = m.host_id
 ORDER BY m.created_at, m.host_id, m.groupname, m.username, m.id
 LIMIT :row_limit
