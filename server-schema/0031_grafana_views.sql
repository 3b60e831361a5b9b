-- Views for Grafana's MySQL data source, and the role that can read them and nothing else.
--
-- Whoever may edit a dashboard may send any SQL, so these views hold what dashboards are for: no
-- arguments of programs, no working directories, no digests of passwords. Each has a column `time` (UTC:
-- the data source's session time zone has to be +00:00), columns that are labels, and `value`.
-- $__timeFilter(time) alone would read all partitions; `day` leaves out those before the window:
--   AND day >= DATE(FROM_UNIXTIME($__unixEpochFrom() - 3600))
-- without an upper bound, because what was found later has a later day.

GRANT SELECT ON enrolment TO vestige_owner@localhost;
GRANT SELECT ON batch TO vestige_owner@localhost;
CREATE ROLE IF NOT EXISTS vestige_grafana;

-- value: seconds of CPU, as far as they are known.
CREATE OR REPLACE ALGORITHM = MERGE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW v_time_process AS
SELECT t.created_at AS `time`, t.day, h.name AS host, t.comm AS application, t.exe AS program,
       COALESCE(t.username, t.uid) AS username, COALESCE(t.login_username, t.login_uid, 'unset') AS login_user,
       t.container, t.destroyed_at AS time_end, t.end_cause, t.exit_code,
       (t.cpu_user_us + t.cpu_system_us) / 1000000 AS `value`, t.host_id, t.id
  FROM process t JOIN enrolment h ON h.host_id = t.host_id
 WHERE t.own IS NULL OR t.own = 0;

-- value: 1.
CREATE OR REPLACE ALGORITHM = MERGE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW v_time_process_change AS
SELECT t.created_at AS `time`, t.day, h.name AS host, t.kind, t.old_value, t.new_value, 1 AS `value`,
       t.host_id, t.id
  FROM process_change t JOIN enrolment h ON h.host_id = t.host_id;

-- value: bytes both ways, as far as they are known.
CREATE OR REPLACE ALGORITHM = MERGE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW v_time_endpoint AS
SELECT t.created_at AS `time`, t.day, h.name AS host, t.application, COALESCE(t.username, t.uid) AS username,
       COALESCE(t.login_username, t.login_uid, 'unset') AS login_user, t.protocol, t.direction, t.status,
       t.local_address, t.local_port, t.remote_address, t.remote_port, t.remote_name,
       t.destroyed_at AS time_end, t.bytes_sent, t.bytes_received,
       COALESCE(t.bytes_sent, 0) + COALESCE(t.bytes_received, 0) AS `value`, t.host_id, t.id
  FROM endpoint t JOIN enrolment h ON h.host_id = t.host_id;

-- value: opens, at least so many.
CREATE OR REPLACE ALGORITHM = MERGE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW v_time_file_access AS
SELECT t.created_at AS `time`, t.day, h.name AS host, t.application, COALESCE(t.username, t.uid) AS username,
       COALESCE(t.login_username, t.login_uid, 'unset') AS login_user, t.path, t.operations,
       t.destroyed_at AS time_end, t.size, COALESCE(t.opens, 0) AS `value`, t.host_id, t.id
  FROM file_access t JOIN enrolment h ON h.host_id = t.host_id;

-- value: seconds that it lasted; NULL: it goes on.
CREATE OR REPLACE ALGORITHM = MERGE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW v_time_session AS
SELECT t.created_at AS `time`, t.day, h.name AS host, COALESCE(t.username, t.login_uid) AS username, t.service, t.tty,
       t.remote_address, t.remote_name, t.destroyed_at AS time_end,
       TIMESTAMPDIFF(SECOND, t.created_at, t.destroyed_at) AS `value`, t.host_id, t.id
  FROM session t JOIN enrolment h ON h.host_id = t.host_id;

-- value: 1.
CREATE OR REPLACE ALGORITHM = MERGE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW v_time_auth_attempt AS
SELECT t.created_at AS `time`, t.day, h.name AS host, t.username, t.service, t.result, t.remote_address,
       1 AS `value`, t.host_id, t.id
  FROM auth_attempt t JOIN enrolment h ON h.host_id = t.host_id;

-- value: 1.
CREATE OR REPLACE ALGORITHM = MERGE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW v_time_device AS
SELECT t.created_at AS `time`, t.day, h.name AS host, t.subsystem, t.vendor, t.model, t.serial, t.users_logged_in,
       t.destroyed_at AS time_end, 1 AS `value`, t.host_id, t.id
  FROM device t JOIN enrolment h ON h.host_id = t.host_id;

-- value: 1.
CREATE OR REPLACE ALGORITHM = MERGE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW v_time_kernel_event AS
SELECT t.created_at AS `time`, t.day, h.name AS host, t.kind, t.target, t.result, t.application,
       COALESCE(t.username, t.uid) AS username, COALESCE(t.login_username, t.login_uid, 'unset') AS login_user,
       1 AS `value`, t.host_id, t.id
  FROM kernel_event t JOIN enrolment h ON h.host_id = t.host_id;

-- value: 1.
CREATE OR REPLACE ALGORITHM = MERGE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW v_time_finding AS
SELECT t.created_at AS `time`, t.day, h.name AS host, t.class, t.subject, t.destroyed_at AS time_end, 1 AS `value`,
       t.host_id, t.id
  FROM finding t JOIN enrolment h ON h.host_id = t.host_id;

-- value: how many were missed; NULL: the kernel does not say.
CREATE OR REPLACE ALGORITHM = MERGE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW v_time_gap AS
SELECT t.created_at AS `time`, t.day, h.name AS host, t.source, t.cause, t.unit, t.destroyed_at AS time_end,
       COALESCE(t.`count`, t.count_at_least) AS `value`, t.host_id, t.id
  FROM gap t JOIN enrolment h ON h.host_id = t.host_id;

-- value: 1.
CREATE OR REPLACE ALGORITHM = MERGE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW v_time_coverage AS
SELECT t.created_at AS `time`, t.day, h.name AS host, t.source, t.mode, t.destroyed_at AS time_end, 1 AS `value`,
       t.host_id, t.id
  FROM coverage t JOIN enrolment h ON h.host_id = t.host_id;

-- A host that still ships. value: seconds between the last line of a batch and its arrival.
CREATE OR REPLACE ALGORITHM = MERGE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW v_time_batch AS
SELECT t.received_at AS `time`, DATE(t.received_at) AS day, h.name AS host, t.batch, t.n_lines,
       t.verified_at IS NOT NULL AS verified,
       TIMESTAMPDIFF(MICROSECOND, t.last_time, t.received_at) / 1000000 AS `value`, t.host_id
  FROM batch t JOIN enrolment h ON h.host_id = t.host_id;

-- The hosts, for the variable of a dashboard.
CREATE OR REPLACE ALGORITHM = MERGE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW v_time_host AS
SELECT h.created_at AS `time`, h.name AS host, 1 AS `value`, h.host_id
  FROM enrolment h WHERE h.retired_at IS NULL;

GRANT SELECT ON v_time_process TO vestige_grafana;
GRANT SELECT ON v_time_process_change TO vestige_grafana;
GRANT SELECT ON v_time_endpoint TO vestige_grafana;
GRANT SELECT ON v_time_file_access TO vestige_grafana;
GRANT SELECT ON v_time_session TO vestige_grafana;
GRANT SELECT ON v_time_auth_attempt TO vestige_grafana;
GRANT SELECT ON v_time_device TO vestige_grafana;
GRANT SELECT ON v_time_kernel_event TO vestige_grafana;
GRANT SELECT ON v_time_finding TO vestige_grafana;
GRANT SELECT ON v_time_gap TO vestige_grafana;
GRANT SELECT ON v_time_coverage TO vestige_grafana;
GRANT SELECT ON v_time_batch TO vestige_grafana;
GRANT SELECT ON v_time_host TO vestige_grafana;
