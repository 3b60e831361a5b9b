-- What an agent may do with the columns of 0025: see 0003_views.sql.

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW process_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, boot_id, pid, start_ticks, ppid,
       parent_id, previous_id, uid, username, euid, effective_username, gid, egid, container,
       pid_ns, mnt_ns, net_ns, own, unaudited, comm, exe, argv0, arguments, argc, masked, cwd,
       tty, exe_sha256, exe_size, exe_modified_at, session_id, login_uid, login_username,
       destroyed_at, end_cause, cpu_user_us, cpu_system_us, max_rss_kib, read_bytes, write_bytes, exit_uid,
       exit_code, exit_signal
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

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW process_unsettled AS
SELECT host_id, id, day, comm, exe, argv0, arguments, argc, masked, cwd, tty, exe_sha256, exe_size,
       exe_modified_at, session_id, login_uid, login_username, settle_batch
  FROM process
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND comm IS NULL AND exe IS NULL AND exe_sha256 IS NULL AND exe_size IS NULL
   AND exe_modified_at IS NULL AND argv0 IS NULL AND arguments IS NULL AND argc IS NULL
   AND masked IS NULL AND cwd IS NULL AND tty IS NULL AND session_id IS NULL AND login_uid IS NULL
   AND login_username IS NULL AND settle_batch IS NULL;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW process_settle AS
SELECT host_id, id, day, comm, exe, argv0, arguments, argc, masked, cwd, tty, exe_sha256, exe_size,
       exe_modified_at, session_id, login_uid, login_username, settle_batch
  FROM process_unsettled
 WHERE settle_batch IS NOT NULL
    OR (comm IS NULL AND exe IS NULL AND exe_sha256 IS NULL AND exe_size IS NULL
        AND exe_modified_at IS NULL AND argv0 IS NULL AND arguments IS NULL AND argc IS NULL
        AND masked IS NULL AND cwd IS NULL AND tty IS NULL AND session_id IS NULL AND login_uid IS NULL
        AND login_username IS NULL)
  WITH LOCAL CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW batch_in AS
SELECT host_id, batch, hash, previous_hash, format, boot_id, first_time, last_time, n_lines,
       births, cursors, recovered, server_offset_us, digests, signature
  FROM batch
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
  WITH CASCADED CHECK OPTION;
