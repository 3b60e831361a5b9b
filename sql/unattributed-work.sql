-- question: What ran for no login user (services, cron, containers, D-Bus), and who probably asked for it?
-- parameter: seconds number = 5; how long before it a client program may have been started
-- parameter: asked number = none; 1: only what somebody may have asked for
-- parameter: container_clients text = docker,podman,nerdctl,crictl,ctr,kubectl,runc,lxc,machinectl; programs that ask for work in containers, with commas between
-- parameter: service_clients text = systemctl,systemd-run,service,invoke-rc.d,busctl,dbus-send,gdbus,pkexec,loginctl,virsh; that ask services, by D-Bus too
-- parameter: cron_clients text = at,batch,crontab; that ask cron and at
-- window: 1 hours
-- tags: accountability, unattributed
-- example: vestige report unattributed-work --on web1 --since "2h ago" asked=1
-- column: kind; container, cron, d-bus or service; unknown: where it comes from was not recorded
-- column: started_by; the engine, cron or bus it comes from; of a service its main program
-- column: asked_by; the login user who probably asked for it
-- column: certainty; probable: that user had just started a client program for this kind of work, and it still ran; possible: that user alone was logged in; empty: nobody is known. Never more than that
-- column: asked_with; the client program's command
-- column: logged_in; all who were logged in at that moment
-- schedule: process; subject host, exe, asked_by
WITH RECURSIVE ancestor AS (
  -- Keys only, and the texts at the end. Up to what is known to start work for others, or to the child of
  -- the first process.
  SELECT p.host_id, p.id, p.created_at, p.container IS NOT NULL AS contained, p.parent_id, p.ppid, p.comm,
         0 AS n
    FROM (SELECT host_id, id, day FROM process FORCE INDEX (login)
           WHERE login_uid IS NULL AND created_at >= :since AND created_at <= :until AND day >= :since_day
             AND (:host_id IS NULL OR host_id = :host_id)
           LIMIT 18446744073709551615) k
    STRAIGHT_JOIN process p FORCE INDEX (PRIMARY) ON p.host_id = k.host_id AND p.id = k.id AND p.day = k.day
   WHERE COALESCE(p.own, 0) = 0 AND p.cmdline IS NOT NULL
   UNION ALL
  SELECT a.host_id, a.id, a.created_at, a.contained, p.parent_id, p.ppid, p.comm, a.n + 1
    FROM ancestor a
    STRAIGHT_JOIN process p FORCE INDEX (PRIMARY) ON p.host_id = a.host_id AND p.id = a.parent_id
      AND p.day = DATE('1970-01-01' + INTERVAL a.parent_id DIV 1000000 SECOND)
   WHERE a.n < 16 AND a.ppid > 1
     AND (a.n = 0 OR a.comm NOT IN ('cron', 'crond', 'anacron', 'atd', 'dbus-daemon', 'dbus-broker',
          'dbus-broker-lau', 'containerd-shim', 'containerd', 'dockerd', 'conmon', 'kubelet'))
), client AS (
  SELECT q.host_id, q.id, q.created_at, q.destroyed_at, q.login_uid,
         FIND_IN_SET(q.comm, :container_clients) > 0 AS for_container,
         FIND_IN_SET(q.comm, :service_clients) > 0 AS for_service,
         FIND_IN_SET(q.comm, :cron_clients) > 0 AS for_cron
    FROM process q
   WHERE q.created_at >= :since - INTERVAL :seconds SECOND AND q.created_at <= :until
     AND q.day >= :since_day AND q.login_uid IS NOT NULL
     AND (FIND_IN_SET(q.comm, :container_clients) OR FIND_IN_SET(q.comm, :service_clients)
          OR FIND_IN_SET(q.comm, :cron_clients))
     AND (:host_id IS NULL OR q.host_id = :host_id)
   LIMIT 18446744073709551615
), asked AS (
  -- One line through all of it: what is named twice would be worked out twice.
  SELECT w.host_id, w.id, w.created_at, w.kind, w.started_by, c.id AS client_id,
         c.login_uid AS client_login_uid,
         ROW_NUMBER() OVER (PARTITION BY w.host_id, w.id ORDER BY c.created_at DESC, c.id DESC) AS nth
    FROM (SELECT host_id, id, created_at, comm AS started_by,
                 CASE WHEN contained
                        OR comm IN ('containerd-shim', 'containerd', 'dockerd', 'conmon', 'kubelet')
                        THEN 'container'
                      WHEN comm IN ('cron', 'crond', 'anacron', 'atd') THEN 'cron'
                      WHEN comm IN ('dbus-daemon', 'dbus-broker', 'dbus-broker-lau') THEN 'd-bus'
                      WHEN ppid = 1 THEN 'service' ELSE 'unknown' END AS kind
            FROM (SELECT host_id, id, created_at, contained, comm, ppid,
                         ROW_NUMBER() OVER (PARTITION BY host_id, id ORDER BY n DESC) AS nth
                    FROM ancestor) s
           WHERE nth = 1) w
    LEFT JOIN client c ON c.host_id = w.host_id AND c.created_at <= w.created_at
      AND c.created_at >= w.created_at - INTERVAL :seconds SECOND
      AND (c.destroyed_at IS NULL OR c.destroyed_at >= w.created_at)
      AND CASE w.kind WHEN 'container' THEN c.for_container WHEN 'cron' THEN c.for_cron
                      WHEN 'unknown' THEN 0 ELSE c.for_service END
), present AS (
  SELECT a.host_id, a.id, a.kind, a.started_by, a.client_id, a.client_login_uid,
         COUNT(DISTINCT s.user) AS n_users, MIN(s.login_uid) AS login_uid,
         GROUP_CONCAT(DISTINCT s.user ORDER BY 1 SEPARATOR ', ') AS users
    FROM asked a
    LEFT JOIN (SELECT host_id, created_at, destroyed_at, login_uid, COALESCE(username, login_uid) AS user
                 FROM session
                WHERE day <= :until_day AND created_at <= :until
                  AND (destroyed_at IS NULL OR destroyed_at >= :since)
                  AND COALESCE(username, login_uid) IS NOT NULL
                  AND COALESCE(service, '') NOT IN ('su', 'sudo', 'cron', 'systemd-user')
                  AND (:host_id IS NULL OR host_id = :host_id)
                LIMIT 18446744073709551615) s
      ON s.host_id = a.host_id AND s.created_at <= a.created_at
     AND (s.destroyed_at IS NULL OR s.destroyed_at >= a.created_at)
   WHERE a.nth = 1
   GROUP BY a.host_id, a.id, a.kind, a.started_by, a.client_id, a.client_login_uid
)
SELECT h.name AS host, p.created_at AS at, COALESCE(p.username, p.uid) AS user, p.exe,
       p.cmdline AS command, w.kind, w.started_by, p.container,
       COALESCE(c.login_username, c.login_uid, IF(w.n_users = 1, w.users, NULL)) AS asked_by,
       CASE WHEN w.client_id IS NOT NULL THEN 'probable' WHEN w.n_users = 1 THEN 'possible' END
         AS certainty,
       c.cmdline AS asked_with, w.users AS logged_in, w.host_id AS row_host_id, w.id AS row_id,
       GREATEST(p.batch, COALESCE(p.settle_batch, 0), COALESCE(p.end_batch, 0)) AS row_batch,
       w.client_id AS row_client_id
  FROM present w
  STRAIGHT_JOIN enrolment h ON h.host_id = w.host_id
  STRAIGHT_JOIN process p FORCE INDEX (PRIMARY) ON p.host_id = w.host_id AND p.id = w.id
    AND p.day = DATE('1970-01-01' + INTERVAL w.id DIV 1000000 SECOND)
  LEFT JOIN process c FORCE INDEX (PRIMARY) ON c.host_id = w.host_id AND c.id = w.client_id
    AND c.day = DATE('1970-01-01' + INTERVAL w.client_id DIV 1000000 SECOND)
 WHERE (:asked IS NULL OR :asked = 0 OR w.client_id IS NOT NULL OR w.n_users = 1)
   AND (:any_login OR COALESCE(w.client_login_uid, IF(w.n_users = 1, w.login_uid, NULL)) <=> :login_uid)
 ORDER BY p.created_at, p.host_id, p.id
 LIMIT :row_limit
