-- question: What have two hosts not in common: accounts, groups, members, listening ports, programs that ran, the system?
-- parameter: host host; the one, by name or number
-- parameter: other host; the other
-- parameter: kind text = none; only of this kind, as in the column
-- window: 1 days
-- tags: state, changes, fleet
-- example: vestige report differs-between-hosts web1 web2 --until "2026-01-01"
-- column: kind; account, group, member, listener, program or system
-- column: subject; which one; of a program its path
-- column: on_host; what is known of it on the first host at --until, of a program the SHA-256 of what ran; empty: nothing
-- column: on_other; likewise on the other
SELECT kind, subject,
       GROUP_CONCAT(DISTINCT IF(host_id = :host, state, NULL) ORDER BY state SEPARATOR '; ') AS on_host,
       GROUP_CONCAT(DISTINCT IF(host_id = :other, state, NULL) ORDER BY state SEPARATOR '; ') AS on_other,
       MAX(IF(host_id = :host, id, NULL)) AS row_id, :host AS row_host_id,
       MAX(IF(host_id = :other, id, NULL)) AS row_other_id, :other AS row_other_host_id
  FROM (SELECT host_id, id, 'account' AS kind, username AS subject,
               CONCAT_WS(' ', 'uid', uid, 'gid', gid, home, shell, 'password', password_state) AS state
          FROM account
         WHERE host_id IN (:host, :other) AND day <= :until_day AND created_at <= :until
           AND (destroyed_at IS NULL OR destroyed_at > :until)
         UNION ALL
        SELECT host_id, id, 'group', groupname, CONCAT_WS(' ', 'gid', gid) FROM account_group
         WHERE host_id IN (:host, :other) AND day <= :until_day AND created_at <= :until
           AND (destroyed_at IS NULL OR destroyed_at > :until)
         UNION ALL
        SELECT host_id, id, 'member', CONCAT(groupname, ': ', username), 'member' FROM group_member
         WHERE host_id IN (:host, :other) AND day <= :until_day AND created_at <= :until
           AND (destroyed_at IS NULL OR destroyed_at > :until)
         UNION ALL
        SELECT host_id, id, 'listener', CONCAT_WS(' ', protocol, local_port),
               COALESCE(application, 'nobody knows')
          FROM endpoint
         WHERE host_id IN (:host, :other) AND day <= :until_day AND created_at <= :until
           AND (destroyed_at IS NULL OR destroyed_at > :until)
           AND direction = 'listen' AND local_port IS NOT NULL
         UNION ALL
        SELECT host_id, MIN(id), 'program', exe, COALESCE(exe_sha256, 'not read') FROM process
         WHERE host_id IN (:host, :other) AND created_at >= :since AND created_at <= :until
           AND day >= :since_day AND exe IS NOT NULL AND COALESCE(own, 0) = 0
         GROUP BY host_id, exe, exe_sha256
         UNION ALL
        SELECT host_id, id, 'system', 'system',
               CONCAT_WS(', ', os_name, os_version, kernel, architecture, vendor, model, time_zone)
          FROM host
         WHERE host_id IN (:host, :other) AND day <= :until_day AND created_at <= :until
           AND (destroyed_at IS NULL OR destroyed_at > :until)) every
 WHERE :kind IS NULL OR kind = :kind
 GROUP BY kind, subject
HAVING NOT on_host <=> on_other
 ORDER BY kind, subject
 LIMIT :row_limit
