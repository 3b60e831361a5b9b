-- What an agent may do: add rows of its own host, settle each once, end each once.
--
-- Per table X:
--   X_in         INSERT: the host of the session's own account; the day of the id; plausible times;
--                the end columns all set, by this batch, or none
--   X_end        UPDATE of the end columns of a row of X_open: all at once, plausible, once
--   X_settle     UPDATE of the settle columns of a row of X_unsettled: once, if the insert had none
-- X_open and X_unsettled choose the rows that may still be changed; agents have no right on them. The
-- views' own conditions then hold for the row as it is after the change (check option), so that a
-- row leaves X_open or X_unsettled properly or not at all.
--
-- USER() is the account that connected, whatever the definer of the view; only enrolment makes
-- accounts named agent_<host_id>. Nothing relies on CHECK constraints, on strict mode or on any
-- other thing that a session can switch off. `a IS NULL` is written out for each column: a condition
-- on a concatenation would not see an empty string.
--
-- Times are plausible from 1970 (a clock that starts there is evidence too) to 400 days ahead of
-- the server's (a clock a year ahead likewise). The days are taken from the row's side, because
-- arithmetic on a date that no calendar has (2026-02-31, which a session can allow) gives NULL, and
-- a condition that is NULL refuses the row.

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW process_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, boot_id, pid, start_ticks, ppid,
       parent_id, previous_id, uid, username, euid, effective_username, gid, egid, container,
       pid_ns, mnt_ns, net_ns, own, unaudited, comm, exe, exe_sha256, argv0, arguments, argc, cwd,
       tty, session_id, login_uid, login_username, destroyed_at, end_cause, cpu_user_us,
       cpu_system_us, max_rss_kib, read_bytes, write_bytes, exit_uid, exit_code, exit_signal
  FROM process
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND day = DATE('1970-01-01' + INTERVAL id DIV 1000000 SECOND)
   AND created_at >= '1970-01-01' AND created_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6)
   AND ((destroyed_at >= created_at AND end_cause > 0 AND end_batch = batch
         AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
     OR (destroyed_at IS NULL AND end_cause IS NULL AND cpu_user_us IS NULL
         AND cpu_system_us IS NULL AND max_rss_kib IS NULL AND read_bytes IS NULL
         AND write_bytes IS NULL AND exit_uid IS NULL AND exit_code IS NULL
         AND exit_signal IS NULL AND end_batch IS NULL))
  WITH CASCADED CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW process_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, cpu_user_us, cpu_system_us,
       max_rss_kib, read_bytes, write_bytes, exit_uid, exit_code, exit_signal, end_batch
  FROM process
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND destroyed_at IS NULL;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW process_end AS
SELECT host_id, id, day, destroyed_at, end_cause, cpu_user_us, cpu_system_us, max_rss_kib,
       read_bytes, write_bytes, exit_uid, exit_code, exit_signal, end_batch
  FROM process_open
 WHERE (destroyed_at IS NULL AND end_cause IS NULL AND cpu_user_us IS NULL
        AND cpu_system_us IS NULL AND max_rss_kib IS NULL AND read_bytes IS NULL
        AND write_bytes IS NULL AND exit_uid IS NULL AND exit_code IS NULL
        AND exit_signal IS NULL AND end_batch IS NULL)
    OR (destroyed_at >= created_at AND end_cause > 0 AND end_batch IS NOT NULL
        AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
  WITH LOCAL CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW process_unsettled AS
SELECT host_id, id, day, comm, exe, exe_sha256, argv0, arguments, argc, cwd, tty, session_id,
       login_uid, login_username, settle_batch
  FROM process
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND comm IS NULL AND exe IS NULL AND exe_sha256 IS NULL AND argv0 IS NULL AND arguments IS NULL
   AND argc IS NULL AND cwd IS NULL AND tty IS NULL AND session_id IS NULL
   AND login_uid IS NULL AND login_username IS NULL AND settle_batch IS NULL;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW process_settle AS
SELECT host_id, id, day, comm, exe, exe_sha256, argv0, arguments, argc, cwd, tty, session_id,
       login_uid, login_username, settle_batch
  FROM process_unsettled
 WHERE settle_batch IS NOT NULL
    OR (comm IS NULL AND exe IS NULL AND exe_sha256 IS NULL AND argv0 IS NULL
        AND arguments IS NULL AND argc IS NULL AND cwd IS NULL AND tty IS NULL
        AND session_id IS NULL AND login_uid IS NULL AND login_username IS NULL)
  WITH LOCAL CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW process_change_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, process_id, kind, old_value,
       new_value, destroyed_at, end_cause
  FROM process_change
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND day = DATE('1970-01-01' + INTERVAL id DIV 1000000 SECOND)
   AND created_at >= '1970-01-01' AND created_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6)
   AND ((destroyed_at >= created_at AND end_cause > 0 AND end_batch = batch
         AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
     OR (destroyed_at IS NULL AND end_cause IS NULL AND end_batch IS NULL))
  WITH CASCADED CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW process_change_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM process_change
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND destroyed_at IS NULL;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW process_change_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM process_change_open
 WHERE (destroyed_at IS NULL AND end_cause IS NULL AND end_batch IS NULL)
    OR (destroyed_at >= created_at AND end_cause > 0 AND end_batch IS NOT NULL
        AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
  WITH LOCAL CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW host_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, name, machine_id, os_name,
       os_version, kernel, architecture, vendor, model, time_zone, destroyed_at, end_cause
  FROM host
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND day = DATE('1970-01-01' + INTERVAL id DIV 1000000 SECOND)
   AND created_at >= '1970-01-01' AND created_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6)
   AND ((destroyed_at >= created_at AND end_cause > 0 AND end_batch = batch
         AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
     OR (destroyed_at IS NULL AND end_cause IS NULL AND end_batch IS NULL))
  WITH CASCADED CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW host_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM host
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND destroyed_at IS NULL;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW host_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM host_open
 WHERE (destroyed_at IS NULL AND end_cause IS NULL AND end_batch IS NULL)
    OR (destroyed_at >= created_at AND end_cause > 0 AND end_batch IS NOT NULL
        AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
  WITH LOCAL CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW boot_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, boot_id, kernel, command_line,
       destroyed_at, end_cause
  FROM boot
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND day = DATE('1970-01-01' + INTERVAL id DIV 1000000 SECOND)
   AND created_at >= '1970-01-01' AND created_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6)
   AND ((destroyed_at >= created_at AND end_cause > 0 AND end_batch = batch
         AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
     OR (destroyed_at IS NULL AND end_cause IS NULL AND end_batch IS NULL))
  WITH CASCADED CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW boot_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM boot
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND destroyed_at IS NULL;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW boot_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM boot_open
 WHERE (destroyed_at IS NULL AND end_cause IS NULL AND end_batch IS NULL)
    OR (destroyed_at >= created_at AND end_cause > 0 AND end_batch IS NOT NULL
        AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
  WITH LOCAL CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW coverage_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, boot_id, source, mode, detail,
       destroyed_at, end_cause
  FROM coverage
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND day = DATE('1970-01-01' + INTERVAL id DIV 1000000 SECOND)
   AND created_at >= '1970-01-01' AND created_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6)
   AND ((destroyed_at >= created_at AND end_cause > 0 AND end_batch = batch
         AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
     OR (destroyed_at IS NULL AND end_cause IS NULL AND end_batch IS NULL))
  WITH CASCADED CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW coverage_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM coverage
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND destroyed_at IS NULL;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW coverage_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM coverage_open
 WHERE (destroyed_at IS NULL AND end_cause IS NULL AND end_batch IS NULL)
    OR (destroyed_at >= created_at AND end_cause > 0 AND end_batch IS NOT NULL
        AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
  WITH LOCAL CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW gap_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, boot_id, source, cause, unit,
       `count`, count_at_least, count_at_most, detail, destroyed_at, end_cause
  FROM gap
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND day = DATE('1970-01-01' + INTERVAL id DIV 1000000 SECOND)
   AND created_at >= '1970-01-01' AND created_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6)
   AND ((destroyed_at >= created_at AND end_cause > 0 AND end_batch = batch
         AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
     OR (destroyed_at IS NULL AND end_cause IS NULL AND end_batch IS NULL))
  WITH CASCADED CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW gap_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM gap
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND destroyed_at IS NULL;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW gap_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM gap_open
 WHERE (destroyed_at IS NULL AND end_cause IS NULL AND end_batch IS NULL)
    OR (destroyed_at >= created_at AND end_cause > 0 AND end_batch IS NOT NULL
        AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
  WITH LOCAL CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW batch_in AS
SELECT host_id, batch, hash, previous_hash, format, boot_id, first_time, last_time, n_lines,
       cursors, recovered, server_offset_us, digests
  FROM batch
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
  WITH CASCADED CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW rejected_in AS
SELECT host_id, batch, line, table_name, text, error, message
  FROM rejected
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
  WITH CASCADED CHECK OPTION;
