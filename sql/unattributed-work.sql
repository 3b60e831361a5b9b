-- question: What ran for no login user (services, cron, containers, D-Bus), and who probably asked for it?
-- parameter: seconds number = 5; how long before it a client program may have been started
-- parameter: clients text = systemctl,systemd-run,service,busctl,dbus-send,gdbus,pkexec,machinectl,loginctl,docker,podman,nerdctl,crictl,ctr,kubectl,runc,lxc,virsh,at,batch,crontab; programs by which people ask others to do something, with commas between
-- parameter: asked number = none; 1: only what somebody may have asked for
-- window: 1 hours
-- tags: accountability, unattributed
-- example: vestige report unattributed-work --on web1 --since "2h ago" asked=1
-- column: kind; container, cron, d-bus, service, or the program that its ancestors come from
-- column: started_by; the nearest ancestor that is known to start work, or else the farthest one that is known
-- column: asked_by; the login user who probably asked for it
-- column: certainty; probable: that user had just started a client program, and it still ran; possible: that user alone was logged in; empty: nobody is known. Never more than that
-- column: asked_with; the client program's command
-- column: logged_in; all who were logged in at that moment
-- schedule: process; subject host, exe, asked_by
WITH RECURSIVE work AS (
  SELECT p.host_id, p.id, p.day, p.created_at, p.destroyed_at, p.boot_id, p.pid, p.parent_id, p.comm, p.exe,
         p.cmdline, p.container, p.username, p.uid, p.batch, p.settle_batch, p.end_batch
    FROM process p
   WHERE p.created_at >= :since AND p.created_at <= :until AND p.day >= :since_day
     AND p.login_uid IS NULL AND COALESCE(p.own, 0) = 0 AND p.cmdline IS NOT NULL
     AND (:host_id IS NULL OR p.host_id = :host_id)
   ORDER BY p.created_at, p.host_id, p.id
   LIMIT 20000
), ancestor AS (
  SELECT host_id, id, parent_id, created_at, CAST(NULL AS CHAR(255)) AS comm, 0 AS n FROM work
   UNION ALL
  SELECT a.host_id, a.id, p.parent_id, a.created_at, p.comm, a.n + 1
    FROM ancestor a
    JOIN process p ON p.host_id = a.host_id AND p.id = a.parent_id
      AND p.day = DATE('1970-01-01' + INTERVAL a.parent_id DIV 1000000 SECOND)
   WHERE a.n < 12 AND COALESCE(a.comm, '') NOT IN ('cron', 'crond', 'anacron', 'atd', 'dbus-daemon',
         'dbus-broker', 'dbus-broker-lau', 'containerd-shim', 'containerd', 'dockerd', 'conmon',
         'kubelet', 'runc', 'systemd', 'init', 'sshd')
), starter AS (
  SELECT host_id, id, comm FROM (
    SELECT host_id, id, comm, ROW_NUMBER() OVER (PARTITION BY host_id, id ORDER BY n DESC) AS nth
      FROM ancestor WHERE n > 0) one
   WHERE nth = 1
), client AS (
  SELECT q.host_id, q.id, q.created_at, q.destroyed_at, q.cmdline, q.login_uid,
         COALESCE(q.login_username, q.login_uid) AS login_user
    FROM process q
   WHERE q.created_at >= :since - INTERVAL :seconds SECOND AND q.created_at <= :until
     AND q.day >= :since_day AND q.login_uid IS NOT NULL AND FIND_IN_SET(q.comm, :clients) > 0
     AND (:host_id IS NULL OR q.host_id = :host_id)
), asked AS (
  SELECT w.host_id, w.id, c.login_uid, c.login_user, c.cmdline, c.id AS client_id,
         ROW_NUMBER() OVER (PARTITION BY w.host_id, w.id ORDER BY c.created_at DESC, c.id DESC) AS nth
    FROM work w
    JOIN client c ON c.host_id = w.host_id AND c.created_at <= w.created_at
      AND c.created_at >= w.created_at - INTERVAL :seconds SECOND
      AND (c.destroyed_at IS NULL OR c.destroyed_at >= w.created_at)
), present AS (
  SELECT w.host_id, w.id, COUNT(DISTINCT s.login_uid) AS n_users, MIN(s.login_uid) AS login_uid,
         GROUP_CONCAT(DISTINCT COALESCE(s.username, s.login_uid) ORDER BY 1 SEPARATOR ', ') AS users
    FROM work w
    JOIN session s ON s.host_id = w.host_id AND s.created_at <= w.created_at
      AND (s.destroyed_at IS NULL OR s.destroyed_at >= w.created_at)
      AND s.login_uid IS NOT NULL
      AND COALESCE(s.service, '') NOT IN ('su', 'sudo', 'cron', 'systemd-user')
      AND s.created_at <= :until AND s.day <= :until_day
      AND (s.destroyed_at IS NULL OR s.destroyed_at >= :since)
   GROUP BY w.host_id, w.id
)
SELECT h.name AS host, w.created_at AS at, COALESCE(w.username, w.uid) AS user, w.exe,
       w.cmdline AS command,
       CASE WHEN w.container IS NOT NULL
              OR st.comm IN ('containerd-shim', 'containerd', 'dockerd', 'conmon', 'kubelet', 'runc')
              THEN 'container'
            WHEN st.comm IN ('cron', 'crond', 'anacron', 'atd') THEN 'cron'
            WHEN st.comm IN ('dbus-daemon', 'dbus-broker', 'dbus-broker-lau') THEN 'd-bus'
            WHEN st.comm IN ('systemd', 'init') OR st.comm IS NULL THEN 'service'
            ELSE st.comm END AS kind,
       st.comm AS started_by, w.container,
       COALESCE(a.login_user, IF(pr.n_users = 1, pr.users, NULL)) AS asked_by,
       CASE WHEN a.id IS NOT NULL THEN 'probable' WHEN pr.n_users = 1 THEN 'possible' END AS certainty,
       a.cmdline AS asked_with, pr.users AS logged_in, w.host_id AS row_host_id, w.id AS row_id,
       GREATEST(w.batch, COALESCE(w.settle_batch, 0), COALESCE(w.end_batch, 0)) AS row_batch,
       a.client_id AS row_client_id
  FROM work w
  JOIN enrolment h ON h.host_id = w.host_id
  LEFT JOIN starter st ON st.host_id = w.host_id AND st.id = w.id
  LEFT JOIN asked a ON a.host_id = w.host_id AND a.id = w.id AND a.nth = 1
  LEFT JOIN present pr ON pr.host_id = w.host_id AND pr.id = w.id
 WHERE (:asked IS NULL OR :asked = 0 OR a.id IS NOT NULL OR pr.n_users = 1)
   AND (:any_login OR COALESCE(a.login_uid, IF(pr.n_users = 1, pr.login_uid, NULL)) <=> :login_uid)
 ORDER BY w.created_at, w.host_id, w.id
 LIMIT :row_limit
