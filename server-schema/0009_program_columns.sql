-- Size and time of the file that a process executed, beside its digest, and the agents' right to settle
-- them.
--
-- A column privilege on a view over a view is refused (error 1356). So process_settle is a view of
-- the table until the next file; it has the rows that it always has, so that an agent which happens
-- to settle some just then is not refused.

ALTER TABLE process WAIT 5
  ADD COLUMN IF NOT EXISTS exe_size BIGINT UNSIGNED NULL
    COMMENT 'bytes of the file that exe names, as it was executed' AFTER exe_sha256,
  ADD COLUMN IF NOT EXISTS exe_modified_at DATETIME(6) NULL
    COMMENT 'when its contents were last changed' AFTER exe_size;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW process_settle AS
SELECT host_id, id, day, comm, exe, argv0, arguments, argc, cwd, tty, exe_sha256, exe_size,
       exe_modified_at, session_id, login_uid, login_username, settle_batch
  FROM process
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND comm IS NULL AND exe IS NULL AND exe_sha256 IS NULL AND exe_size IS NULL
   AND exe_modified_at IS NULL AND argv0 IS NULL AND arguments IS NULL AND argc IS NULL
   AND cwd IS NULL AND tty IS NULL AND session_id IS NULL AND login_uid IS NULL
   AND login_username IS NULL AND settle_batch IS NULL;
GRANT UPDATE (exe_size, exe_modified_at) ON process_settle TO vestige_agent;
