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
WITH RECURSIVE work AS (
  SELECT p.host_id, p.id, p.created_at, p.parent_id, p.ppid, p.comm, p.exe, p.cmdline, p.container,
         COALESCE(p.username, p.uid) AS user,
         GREATEST(p.batch, COALESCE(p.settle_batch, 0), COALESCE(p.end_batch, 0)) AS batch
    FROM process p
   WHERE p.created_at >= :since AND p.created_at <= :until AND p.day >= :since_day
     AND p.login_uid IS NULL AND COALESCE(p.own, 0) = 0 AND p.cmdline IS NOT NULL
     AND (:host_id IS NULL OR p.host_id = :host_id)
), ancestor AS (
  -- Up to what is known to start work for others, or to the child of the first process.
  SELECT host_id, id, parent_id, ppid, comm, 0 AS n FROM work
   UNION ALL
  SELECT a.host_id, a.id, p.parent_id, p.ppid, p.comm, a.n + 1
    FROM ancestor a
    JOIN process p ON p.host_id = a.host_id AND p.id = a.parent_id
      AND p.day = DATE('1970-01-01' + INTERVAL a.parent_id DIV 1000000 SECOND)
   WHERE a.n < 16 AND a.ppid > 1
     AND (a.n = 0 OR a.comm NOT IN ('cron', 'crond', 'anacron', 'atd', 'dbus-daemon', 'dbus-broker',
          'dbus-broker-lau', 'containerd-shim', 'containerd', 'dockerd', 'conmon', 'kubelet'))
), traced AS (
  SELECT w.*, s.started_by,
         CASE WHEN w.container IS NOT NULL
                OR s.started_by IN ('containerd-shim', 'containerd', 'dockerd', 'conmon', 'kubelet')
                THEN 'container'
              WHEN s.started_by IN ('cron', 'crond', 'anacron', 'atd') THEN 'cron'
              WHEN s.started_by IN ('dbus-daemon', 'dbus-broker', 'dbus-broker-lau') THEN 'd-bus'
              WHEN s.ppid = 1 THEN 'service' ELSE 'unknown' END AS kind
    FROM work w
    JOIN (SELECT host_id, id, comm AS started_by, ppid,
                 ROW_NUMBER() OVER (PARTITION BY host_id, id ORDER BY n DESC) AS nth
            FROM ancestor) s ON s.host_id = w.host_id AND s.id = w.id AND s.nth = 1
   UNION ALL
  -- What is recursive is worked out once, anything else once for each place that names it.
  SELECT * FROM traced WHERE FALSE
), client AS (
  SELECT q.host_id, q.id, q.created_at, q.destroyed_at, q.cmdline, q.login_uid,
         COALESCE(q.login_username, q.login_uid) AS login_user,
         FIND_IN_SET(q.comm, :container_clients) > 0 AS for_container,
         FIND_IN_SET(q.comm, :service_clients) > 0 AS for_service,
         FIND_IN_SET(q.comm, :cron_clients) > 0 AS for_cron
    FROM process q
   WHERE q.created_at >= :since - INTERVAL :seconds SECOND AND q.created_at <= :until
     AND q.day >= :since_day AND q.login_uid IS NOT NULL
     AND (FIND_IN_SET(q.comm, :container_clients) OR FIND_IN_SET(q.comm, :service_clients)
          OR FIND_IN_SET(q.comm, :cron_clients))
     AND (:host_id IS NULL OR q.host_id = :host_id)
), asked AS (
  SELECT w.host_id, w.id, c.login_uid, c.login_user, c.cmdline, c.id AS client_id,
         ROW_NUMBER() OVER (PARTITION BY w.host_id, w.id ORDER BY c.created_at DESC, c.id DESC) AS nth
    FROM traced w
    JOIN client c ON c.host_id = w.host_id AND c.created_at <= w.created_at
      AND c.created_at >= w.created_at - INTERVAL :seconds SECOND
      AND (c.destroyed_at IS NULL OR c.destroyed_at >= w.created_at)
      AND CASE w.kind WHEN 'container' THEN c.for_container WHEN 'cron' THEN c.for_cron
                      WHEN 'unknown' THEN 0 ELSE c.for_service END
), present AS (
  SELECT w.host_id, w.id, COUNT(DISTINCT COALESCE(s.username, s.login_uid)) AS n_users,
         MIN(s.login_uid) AS login_uid,
         GROUP_CONCAT(DISTINCT COALESCE(s.username, s.login_uid) ORDER BY 1 SEPARATOR ', ') AS users
    FROM traced w
    JOIN (SELECT host_id, created_at, destroyed_at, login_uid, username FROM session
           WHERE day <= :until_day AND created_at <= :until
             AND (destroyed_at IS NULL OR destroyed_at >= :since)
             AND COALESCE(username, login_uid) IS NOT NULL
             AND COALESCE(service, '') NOT IN ('su', 'sudo', 'cron', 'systemd-user')
             AND (:host_id IS NULL OR host_id = :host_id)) s
      ON s.host_id = w.host_id AND s.created_at <= w.created_at
     AND (s.destroyed_at IS NULL OR s.destroyed_at >= w.created_at)
   GROUP BY w.host_id, w.id
)
SELECT h.name AS host, w.created_at AS at, w.user, w.exe, w.cmdline AS command, w.kind, w.started_by,
       w.container, COALESCE(a.login_user, IF(pr.n_users = 1, pr.users, NULL)) AS asked_by,
       CASE WHEN a.id IS NOT NULL THEN 'probable' WHEN pr.n_users = 1 THEN 'possible' END AS certainty,
       a.cmdline AS asked_with, pr.users AS logged_in, w.host_id AS row_host_id, w.id AS row_id,
       w.batch AS row_batch, a.client_id AS row_client_id
  FROM traced w
  JOIN enrolment h ON h.host_id = w.host_id
  LEFT JOIN asked a ON a.host_id = w.host_id AND a.id = w.id AND a.nth = 1
  LEFT JOIN present pr ON pr.host_id = w.host_id AND pr.id = w.id
 WHERE (:asked IS NULL OR :asked = 0 OR a.id IS NOT NULL OR pr.n_users = 1)
   AND (:any_login OR COALESCE(a.login_uid, IF(pr.n_users = 1, pr.login_uid, NULL)) <=> :login_uid)
 ORDER BY w.created_at, w.host_id, w.id
 LIMIT :row_limit
