-- Kernel events: the table, and the accounts' rights on its append-only views, which get their meaning in
-- the next file (see 0001_tables.sql and 0002_accounts.sql).
--
-- A row is one moment: destroyed_at is created_at, end_cause is closed. Of clock_step, seen_by is agent
-- (it saw the clock jump) or utmp (wtmp tells of it).

CREATE TABLE IF NOT EXISTS kernel_event (
  host_id        INT UNSIGNED    NOT NULL,
  id             BIGINT UNSIGNED NOT NULL,
  day            DATE            NOT NULL,
  created_at     DATETIME(6)     NOT NULL,
  destroyed_at   DATETIME(6)     NULL,
  end_cause      ENUM('exit','exec','closed','removed','reconciled','reboot','unknown') NULL,
  seen_by        SET('audit','connector','taskstats','proc','sock_diag','bpf','fanotify','inotify','udev','utmp','agent','rtnetlink') NOT NULL,
  process_id     BIGINT UNSIGNED NULL COMMENT 'id of the row of the program that did it; NULL: nobody knows',
  pid            INT UNSIGNED    NULL,
  application    VARCHAR(255)    NULL COMMENT 'comm at that moment',
  uid            INT UNSIGNED    NULL,
  username       VARCHAR(255)    NULL,
  login_uid      INT UNSIGNED    NULL COMMENT 'who logged in; NULL: unset',
  login_username VARCHAR(255)    NULL,
  kind           ENUM('module_load','module_unload','mount','remount','umount','ptrace','setns','unshare','clone',
                      'bpf_load','io_uring_setup','kexec_load','clock_set','clock_step') NOT NULL,
  target         TEXT            NULL COMMENT 'module, path, process, namespaces, program, amount; NULL: unknown',
  result         ENUM('success','failure') NULL,
  batch          BIGINT UNSIGNED NOT NULL,
  settle_batch   BIGINT UNSIGNED NULL,
  end_batch      BIGINT UNSIGNED NULL,
  PRIMARY KEY (host_id, id, day),
  KEY created (host_id, created_at),
  KEY login (login_uid, created_at),
  KEY process (host_id, process_id),
  KEY kind (kind, created_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
PARTITION BY RANGE COLUMNS (day) (
  PARTITION p_later VALUES LESS THAN (MAXVALUE)
);

EXECUTE IMMEDIATE IF(@@innodb_compression_algorithm <> 'none' AND @@innodb_file_per_table,
  'ALTER TABLE kernel_event PAGE_COMPRESSED = 1 PAGE_COMPRESSION_LEVEL = 1', 'DO 0');

GRANT SELECT, INSERT, UPDATE ON kernel_event TO vestige_owner@localhost;
GRANT SELECT, INSERT, CREATE, ALTER, DROP ON kernel_event TO vestige_maintainer@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW kernel_event_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, process_id, pid, application, uid,
       username, login_uid, login_username, kind, target, result, destroyed_at, end_cause
  FROM kernel_event WHERE FALSE WITH CHECK OPTION;
GRANT INSERT ON kernel_event_in TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW kernel_event_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM kernel_event WHERE FALSE WITH CHECK OPTION;
GRANT SELECT, UPDATE ON kernel_event_open TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW kernel_event_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM kernel_event WHERE FALSE WITH CHECK OPTION;
GRANT SELECT (host_id, id, day), UPDATE (destroyed_at, end_cause, end_batch)
  ON kernel_event_end TO vestige_agent;
