-- Accounts and privileges of the append-only views.
--
-- vestige_owner is the views' definer: locked, it can do nothing but what the views need.
-- vestige_maintainer is the definer of procedures and events: locked too, kept apart so that no view
-- can reach what maintenance needs. Agents get the role vestige_agent, people vestige_reader.
--
-- A column privilege on a view over a view is refused (error 1356). So each of these views exists
-- here first over its table, with no row in it, is granted, and gets its meaning in the next file.
-- This file runs once only, before any agent can use what it makes.

CREATE USER IF NOT EXISTS vestige_owner@localhost
  IDENTIFIED VIA mysql_native_password USING 'invalid' ACCOUNT LOCK;
CREATE USER IF NOT EXISTS vestige_maintainer@localhost
  IDENTIFIED VIA mysql_native_password USING 'invalid' ACCOUNT LOCK;
CREATE ROLE IF NOT EXISTS vestige_agent;
CREATE ROLE IF NOT EXISTS vestige_reader;
CREATE ROLE IF NOT EXISTS vestige_admin;

GRANT SELECT, SHOW VIEW ON * TO vestige_reader;
GRANT SELECT, SHOW VIEW, EXECUTE, EVENT ON * TO vestige_admin;
GRANT INSERT, UPDATE ON enrolment TO vestige_admin;
GRANT SELECT (version) ON schema_version TO vestige_agent;

GRANT SELECT, INSERT, UPDATE ON process TO vestige_owner@localhost;
GRANT SELECT, INSERT, UPDATE ON process_change TO vestige_owner@localhost;
GRANT SELECT, INSERT, UPDATE ON host TO vestige_owner@localhost;
GRANT SELECT, INSERT, UPDATE ON boot TO vestige_owner@localhost;
GRANT SELECT, INSERT, UPDATE ON coverage TO vestige_owner@localhost;
GRANT SELECT, INSERT, UPDATE ON gap TO vestige_owner@localhost;
GRANT SELECT, INSERT ON batch TO vestige_owner@localhost;
GRANT SELECT, INSERT ON rejected TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW process_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, boot_id, pid, start_ticks, ppid,
       parent_id, previous_id, uid, username, euid, effective_username, gid, egid, container,
       pid_ns, mnt_ns, net_ns, own, unaudited, comm, exe, exe_sha256, argv0, arguments, argc, cwd,
       tty, session_id, login_uid, login_username, destroyed_at, end_cause, cpu_user_us,
       cpu_system_us, max_rss_kib, read_bytes, write_bytes, exit_uid, exit_code, exit_signal
  FROM process WHERE FALSE WITH CHECK OPTION;
GRANT INSERT ON process_in TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW process_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, cpu_user_us, cpu_system_us,
       max_rss_kib, read_bytes, write_bytes, exit_uid, exit_code, exit_signal, end_batch
  FROM process WHERE FALSE WITH CHECK OPTION;
GRANT SELECT, UPDATE ON process_open TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW process_end AS
SELECT host_id, id, day, destroyed_at, end_cause, cpu_user_us, cpu_system_us, max_rss_kib,
       read_bytes, write_bytes, exit_uid, exit_code, exit_signal, end_batch
  FROM process WHERE FALSE WITH CHECK OPTION;
GRANT SELECT (host_id, id, day), UPDATE (destroyed_at, end_cause, cpu_user_us, cpu_system_us,
  max_rss_kib, read_bytes, write_bytes, exit_uid, exit_code, exit_signal, end_batch)
  ON process_end TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW process_unsettled AS
SELECT host_id, id, day, comm, exe, exe_sha256, argv0, arguments, argc, cwd, tty, session_id,
       login_uid, login_username, settle_batch
  FROM process WHERE FALSE WITH CHECK OPTION;
GRANT SELECT, UPDATE ON process_unsettled TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW process_settle AS
SELECT host_id, id, day, comm, exe, exe_sha256, argv0, arguments, argc, cwd, tty, session_id,
       login_uid, login_username, settle_batch
  FROM process WHERE FALSE WITH CHECK OPTION;
GRANT SELECT (host_id, id, day), UPDATE (comm, exe, exe_sha256, argv0, arguments, argc, cwd, tty,
  session_id, login_uid, login_username, settle_batch)
  ON process_settle TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW process_change_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, process_id, kind, old_value,
       new_value, destroyed_at, end_cause
  FROM process_change WHERE FALSE WITH CHECK OPTION;
GRANT INSERT ON process_change_in TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW process_change_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM process_change WHERE FALSE WITH CHECK OPTION;
GRANT SELECT, UPDATE ON process_change_open TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW process_change_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM process_change WHERE FALSE WITH CHECK OPTION;
GRANT SELECT (host_id, id, day), UPDATE (destroyed_at, end_cause, end_batch)
  ON process_change_end TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW host_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, name, machine_id, os_name,
       os_version, kernel, architecture, vendor, model, time_zone, destroyed_at, end_cause
  FROM host WHERE FALSE WITH CHECK OPTION;
GRANT INSERT ON host_in TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW host_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM host WHERE FALSE WITH CHECK OPTION;
GRANT SELECT, UPDATE ON host_open TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW host_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM host WHERE FALSE WITH CHECK OPTION;
GRANT SELECT (host_id, id, day), UPDATE (destroyed_at, end_cause, end_batch)
  ON host_end TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW boot_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, boot_id, kernel, command_line,
       destroyed_at, end_cause
  FROM boot WHERE FALSE WITH CHECK OPTION;
GRANT INSERT ON boot_in TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW boot_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM boot WHERE FALSE WITH CHECK OPTION;
GRANT SELECT, UPDATE ON boot_open TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW boot_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM boot WHERE FALSE WITH CHECK OPTION;
GRANT SELECT (host_id, id, day), UPDATE (destroyed_at, end_cause, end_batch)
  ON boot_end TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW coverage_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, boot_id, source, mode, detail,
       destroyed_at, end_cause
  FROM coverage WHERE FALSE WITH CHECK OPTION;
GRANT INSERT ON coverage_in TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW coverage_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM coverage WHERE FALSE WITH CHECK OPTION;
GRANT SELECT, UPDATE ON coverage_open TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW coverage_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM coverage WHERE FALSE WITH CHECK OPTION;
GRANT SELECT (host_id, id, day), UPDATE (destroyed_at, end_cause, end_batch)
  ON coverage_end TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW gap_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, boot_id, source, cause, unit,
       `count`, count_at_least, count_at_most, detail, destroyed_at, end_cause
  FROM gap WHERE FALSE WITH CHECK OPTION;
GRANT INSERT ON gap_in TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW gap_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM gap WHERE FALSE WITH CHECK OPTION;
GRANT SELECT, UPDATE ON gap_open TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW gap_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM gap WHERE FALSE WITH CHECK OPTION;
GRANT SELECT (host_id, id, day), UPDATE (destroyed_at, end_cause, end_batch)
  ON gap_end TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW batch_in AS
SELECT host_id, batch, hash, previous_hash, format, boot_id, first_time, last_time, n_lines,
       cursors, recovered, server_offset_us, digests
  FROM batch WHERE FALSE WITH CHECK OPTION;
GRANT INSERT ON batch_in TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW rejected_in AS
SELECT host_id, batch, line, table_name, text, error, message
  FROM rejected WHERE FALSE WITH CHECK OPTION;
GRANT INSERT ON rejected_in TO vestige_agent;
