-- Sessions and attempts to log in: the tables, and the accounts' rights on their append-only views, which
-- get their meaning in the next file (see 0001_tables.sql and 0002_accounts.sql).
--
-- The processes of a session s are those of process p with
--   p.host_id = s.host_id AND p.boot_id = s.boot_id AND p.session_id = s.session_id
-- and, so that the key `login` of process finds them,
--   p.login_uid = s.login_uid AND p.created_at >= s.created_at - INTERVAL 2 SECOND
--   AND p.created_at <= COALESCE(s.destroyed_at + INTERVAL 2 SECOND, p.created_at)
-- (audit's clock is some milliseconds late, and the session decides anyway), so there is no further key
-- in that large table. created_at of a row may be long before it was recorded:
-- what stands in wtmp and btmp at the first start is read, too.

CREATE TABLE IF NOT EXISTS session (
  host_id        INT UNSIGNED    NOT NULL,
  id             BIGINT UNSIGNED NOT NULL,
  day            DATE            NOT NULL,
  created_at     DATETIME(6)     NOT NULL,
  destroyed_at   DATETIME(6)     NULL,
  end_cause      ENUM('exit','exec','closed','removed','reconciled','reboot','unknown') NULL,
  seen_by        SET('audit','connector','taskstats','proc','sock_diag','bpf','fanotify','inotify','udev','utmp','agent','rtnetlink') NOT NULL,
  boot_id        UUID            NULL COMMENT 'NULL: of a boot before the first record',
  session_id     INT UNSIGNED    NULL COMMENT 'audit session',
  login_uid      INT UNSIGNED    NULL COMMENT 'who logged in; NULL: unset',
  username       VARCHAR(1024)   NULL COMMENT 'whose session it is',
  tty            VARCHAR(1024)   NULL,
  service        VARCHAR(1024)   NULL COMMENT 'sshd, login, su, sudo, cron, systemd-user ...',
  leader_pid     INT UNSIGNED    NULL,
  process_id     BIGINT UNSIGNED NULL COMMENT 'id of the row of the leader',
  remote_address VARCHAR(45)     CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'as inet_ntop writes it',
  remote_name    VARCHAR(1024)   COLLATE utf8mb4_bin NULL,
  batch          BIGINT UNSIGNED NOT NULL,
  settle_batch   BIGINT UNSIGNED NULL,
  end_batch      BIGINT UNSIGNED NULL,
  PRIMARY KEY (host_id, id, day),
  KEY created (host_id, created_at),
  KEY destroyed (host_id, destroyed_at),
  KEY login (login_uid, created_at),
  KEY user (username(191), created_at),
  KEY remote_address (remote_address, created_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
PARTITION BY RANGE COLUMNS (day) (
  PARTITION p_later VALUES LESS THAN (MAXVALUE)
);

CREATE TABLE IF NOT EXISTS auth_attempt (
  host_id        INT UNSIGNED    NOT NULL,
  id             BIGINT UNSIGNED NOT NULL,
  day            DATE            NOT NULL,
  created_at     DATETIME(6)     NOT NULL,
  destroyed_at   DATETIME(6)     NULL,
  end_cause      ENUM('exit','exec','closed','removed','reconciled','reboot','unknown') NULL,
  seen_by        SET('audit','connector','taskstats','proc','sock_diag','bpf','fanotify','inotify','udev','utmp','agent','rtnetlink') NOT NULL,
  username       VARCHAR(1024)   NULL COMMENT 'as it was given; there may be no such user. NULL: not said',
  service        VARCHAR(1024)   NULL COMMENT 'sshd, login, su, sudo ...',
  result         ENUM('success','failure') NOT NULL,
  remote_address VARCHAR(45)     CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'as inet_ntop writes it',
  tty            VARCHAR(1024)   NULL,
  process_id     BIGINT UNSIGNED NULL COMMENT 'id of the row of the program that decided',
  batch          BIGINT UNSIGNED NOT NULL,
  settle_batch   BIGINT UNSIGNED NULL,
  end_batch      BIGINT UNSIGNED NULL,
  PRIMARY KEY (host_id, id, day),
  KEY created (host_id, created_at),
  KEY user (username(191), created_at),
  KEY remote_address (remote_address, created_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
PARTITION BY RANGE COLUMNS (day) (
  PARTITION p_later VALUES LESS THAN (MAXVALUE)
);

EXECUTE IMMEDIATE IF(@@innodb_compression_algorithm <> 'none' AND @@innodb_file_per_table,
  'ALTER TABLE session PAGE_COMPRESSED = 1 PAGE_COMPRESSION_LEVEL = 1', 'DO 0');
EXECUTE IMMEDIATE IF(@@innodb_compression_algorithm <> 'none' AND @@innodb_file_per_table,
  'ALTER TABLE auth_attempt PAGE_COMPRESSED = 1 PAGE_COMPRESSION_LEVEL = 1', 'DO 0');

GRANT SELECT, INSERT, UPDATE ON session TO vestige_owner@localhost;
GRANT SELECT, INSERT, UPDATE ON auth_attempt TO vestige_owner@localhost;
GRANT SELECT, INSERT, CREATE, ALTER, DROP ON session TO vestige_maintainer@localhost;
GRANT SELECT, INSERT, CREATE, ALTER, DROP ON auth_attempt TO vestige_maintainer@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW session_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, boot_id, session_id, login_uid,
       username, tty, service, leader_pid, process_id, remote_address, remote_name, destroyed_at,
       end_cause
  FROM session WHERE FALSE WITH CHECK OPTION;
GRANT INSERT ON session_in TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW session_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM session WHERE FALSE WITH CHECK OPTION;
GRANT SELECT, UPDATE ON session_open TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW session_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM session WHERE FALSE WITH CHECK OPTION;
GRANT SELECT (host_id, id, day), UPDATE (destroyed_at, end_cause, end_batch)
  ON session_end TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW auth_attempt_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, username, service, result,
       remote_address, tty, process_id, destroyed_at, end_cause
  FROM auth_attempt WHERE FALSE WITH CHECK OPTION;
GRANT INSERT ON auth_attempt_in TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW auth_attempt_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM auth_attempt WHERE FALSE WITH CHECK OPTION;
GRANT SELECT, UPDATE ON auth_attempt_open TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW auth_attempt_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM auth_attempt WHERE FALSE WITH CHECK OPTION;
GRANT SELECT (host_id, id, day), UPDATE (destroyed_at, end_cause, end_batch)
  ON auth_attempt_end TO vestige_agent;
