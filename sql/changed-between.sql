-- question: What is different on a host at --until from what was at --since: accounts, groups, members, listeners, devices, addresses, routes, long-running programs, the system?
-- parameter: kind text = none; only of this kind, as in the column
-- parameter: long number = 600; a program runs long from so many seconds on
-- window: 1 days
-- tags: state, changes
-- example: vestige report changed-between --on web1 --since "2026-01-01" --until "2026-02-01"
-- column: kind; account, group, member, listener, device, address, route, program, system or boot
-- column: subject; which one
-- column: before_it; what was known of it at --since; empty: it was not there, or nobody watched
-- column: after_it; what is known of it at --until; empty: it is not there
-- column: changed_at; the last change between
SELECT h.name AS host, c.kind, c.subject, c.before_it, c.after_it, c.changed_at, c.host_id AS row_host_id,
       c.id AS row_id
  FROM (SELECT host_id, kind, subject,
               GROUP_CONCAT(DISTINCT IF(was, state, NULL) ORDER BY state SEPARATOR '; ') AS before_it,
               GROUP_CONCAT(DISTINCT IF(is_there, state, NULL) ORDER BY state SEPARATOR '; ') AS after_it,
               MAX(IF(is_there, IF(was, NULL, created_at), destroyed_at)) AS changed_at, MAX(id) AS id
          FROM (SELECT host_id, id, created_at, destroyed_at, 'account' AS kind, username AS subject,
                       CONCAT_WS(' ', 'uid', uid, 'gid', gid, home, shell, 'password', password_state,
                                 password_digest) AS state,
                       created_at <= :since AS was,
                       destroyed_at IS NULL OR destroyed_at > :until AS is_there
                  FROM account
                 WHERE day <= :until_day AND created_at <= :until
                   AND (destroyed_at IS NULL OR destroyed_at > :since)
                 UNION ALL
                SELECT host_id, id, created_at, destroyed_at, 'group', groupname,
                       CONCAT_WS(' ', 'gid', gid, 'password', password_state, password_digest),
                       created_at <= :since, destroyed_at IS NULL OR destroyed_at > :until
                  FROM account_group
                 WHERE day <= :until_day AND created_at <= :until
                   AND (destroyed_at IS NULL OR destroyed_at > :since)
                 UNION ALL
                SELECT host_id, id, created_at, destroyed_at, 'member', CONCAT(groupname, ': ', username),
                       'member', created_at <= :since, destroyed_at IS NULL OR destroyed_at > :until
                  FROM group_member
                 WHERE day <= :until_day AND created_at <= :until
                   AND (destroyed_at IS NULL OR destroyed_at > :since)
                 UNION ALL
                SELECT host_id, id, created_at, destroyed_at, 'listener',
                       CONVERT(CONCAT_WS(' ', protocol, COALESCE(CONCAT(local_address, ' ', local_port),
                                                         local_name))
                               USING utf8mb4) COLLATE utf8mb4_nopad_bin,
                       CONCAT_WS(' as ', COALESCE(application, 'nobody knows'), COALESCE(username, uid)),
                       created_at <= :since, destroyed_at IS NULL OR destroyed_at > :until
                  FROM endpoint
                 WHERE day <= :until_day AND created_at <= :until
                   AND (destroyed_at IS NULL OR destroyed_at > :since)
                   AND direction = 'listen' AND (:host_id IS NULL OR host_id = :host_id)
                 UNION ALL
                SELECT host_id, id, created_at, destroyed_at, 'device', devpath,
                       CONCAT_WS(' ', subsystem, devnode, vendor, model, serial),
                       created_at <= :since, destroyed_at IS NULL OR destroyed_at > :until
                  FROM device
                 WHERE day <= :until_day AND created_at <= :until
                   AND (destroyed_at IS NULL OR destroyed_at > :since)
                 UNION ALL
                SELECT host_id, id, created_at, destroyed_at, 'address',
                       CONCAT_WS(' ', interface, CONVERT(CONCAT(address, '/', prefix_length)
                                                         USING utf8mb4) COLLATE utf8mb4_nopad_bin),
                       CONVERT(COALESCE(mac, 'there') USING utf8mb4) COLLATE utf8mb4_nopad_bin,
                       created_at <= :since, destroyed_at IS NULL OR destroyed_at > :until
                  FROM interface_address
                 WHERE day <= :until_day AND created_at <= :until
                   AND (destroyed_at IS NULL OR destroyed_at > :since)
                 UNION ALL
                SELECT host_id, id, created_at, destroyed_at, 'route',
                       CONVERT(CONCAT_WS(' ', CONCAT(destination, '/', prefix_length), 'table', table_id)
                               USING utf8mb4) COLLATE utf8mb4_nopad_bin,
                       CONVERT(CONCAT_WS(' ', gateway, interface, 'metric', metric)
                               USING utf8mb4) COLLATE utf8mb4_nopad_bin,
                       created_at <= :since, destroyed_at IS NULL OR destroyed_at > :until
                  FROM route
                 WHERE day <= :until_day AND created_at <= :until
                   AND (destroyed_at IS NULL OR destroyed_at > :since)
                 UNION ALL
                SELECT host_id, id, created_at, destroyed_at, 'program', COALESCE(cmdline, exe),
                       CONCAT_WS(' as ', exe, COALESCE(username, uid)),
                       created_at <= :since - INTERVAL :long SECOND,
                       (destroyed_at IS NULL OR destroyed_at > :until)
                         AND created_at <= :until - INTERVAL :long SECOND
                  FROM process
                 WHERE day <= :until_day AND created_at <= :until - INTERVAL :long SECOND
                   AND (destroyed_at IS NULL OR destroyed_at > :since)
                   AND exe IS NOT NULL AND COALESCE(own, 0) = 0
                   AND (:host_id IS NULL OR host_id = :host_id)
                 UNION ALL
                SELECT host_id, id, created_at, destroyed_at, 'system', 'system',
                       CONCAT_WS(', ', name, os_name, os_version, kernel, architecture, vendor, model,
                                 time_zone),
                       created_at <= :since, destroyed_at IS NULL OR destroyed_at > :until
                  FROM host
                 WHERE day <= :until_day AND created_at <= :until
                   AND (destroyed_at IS NULL OR destroyed_at > :since)
                 UNION ALL
                SELECT host_id, id, created_at, destroyed_at, 'boot', 'boot', CONCAT('booted at ', created_at),
                       created_at <= :since, destroyed_at IS NULL OR destroyed_at > :until
                  FROM boot
                 WHERE day <= :until_day AND created_at <= :until
                   AND (destroyed_at IS NULL OR destroyed_at > :since)) every
         WHERE (was OR is_there) AND (:host_id IS NULL OR host_id = :host_id)
           AND (:kind IS NULL OR kind = :kind)
         GROUP BY host_id, kind, subject) c
  JOIN enrolment h ON h.host_id = c.host_id
 WHERE NOT c.before_it <=> c.after_it
 ORDER BY h.name, c.host_id, c.kind, c.subject
 LIMIT :row_limit
