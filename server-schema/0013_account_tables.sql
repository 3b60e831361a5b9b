-- Accounts, groups and their members, and findings: tables, and the accounts' rights on their
-- append-only views, which get their meaning in the next file (see 0001_tables.sql and
-- 0002_accounts.sql).
--
-- A row of the first three says what a line of passwd, shadow, group or gshadow says, from when to
-- when; primary membership is a matter of gid and no row. No hash of a password is here. A row of
-- `finding` is something that should not be; it lives from when it was first seen to when it was last.
--
-- seen_by of `account`: inotify is a line of the files. agent is a user who is not in them but in
-- rows, whom the agent has asked the name service switch for (LDAP, sssd ...): of such only those
-- are here, with what was said when they last were asked for, and nothing of their passwords.

CREATE TABLE IF NOT EXISTS account (
  host_id         INT UNSIGNED    NOT NULL,
  id              BIGINT UNSIGNED NOT NULL,
  day             DATE            NOT NULL,
  created_at      DATETIME(6)     NOT NULL,
  destroyed_at    DATETIME(6)     NULL,
  end_cause       ENUM('exit','exec','closed','removed','reconciled','reboot','unknown') NULL,
  seen_by         SET('audit','connector','taskstats','proc','sock_diag','bpf','fanotify','inotify','udev','utmp','agent','rtnetlink') NOT NULL,
  username        VARCHAR(1024)   NOT NULL,
  uid             INT UNSIGNED    NULL,
  gid             INT UNSIGNED    NULL,
  gecos           TEXT            NULL,
  home            TEXT            NULL,
  shell           TEXT            NULL,
  password_state  ENUM('empty','locked','set','absent') NULL COMMENT 'absent: not where it is said to be; NULL: unknown',
  password_digest VARCHAR(16)     CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'keyed, without the lock: another one is another password; no more can be told from it',
  batch           BIGINT UNSIGNED NOT NULL,
  settle_batch    BIGINT UNSIGNED NULL,
  end_batch       BIGINT UNSIGNED NULL,
  PRIMARY KEY (host_id, id, day),
  KEY created (host_id, created_at),
  KEY destroyed (host_id, destroyed_at),
  KEY username (username(191), created_at),
  KEY uid (uid, created_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
PARTITION BY RANGE COLUMNS (day) (
  PARTITION p_later VALUES LESS THAN (MAXVALUE)
);

CREATE TABLE IF NOT EXISTS account_group (
  host_id         INT UNSIGNED    NOT NULL,
  id              BIGINT UNSIGNED NOT NULL,
  day             DATE            NOT NULL,
  created_at      DATETIME(6)     NOT NULL,
  destroyed_at    DATETIME(6)     NULL,
  end_cause       ENUM('exit','exec','closed','removed','reconciled','reboot','unknown') NULL,
  seen_by         SET('audit','connector','taskstats','proc','sock_diag','bpf','fanotify','inotify','udev','utmp','agent','rtnetlink') NOT NULL,
  groupname       VARCHAR(1024)   NOT NULL,
  gid             INT UNSIGNED    NULL,
  password_state  ENUM('empty','locked','set','absent') NULL COMMENT 'absent: not where it is said to be; NULL: unknown',
  password_digest VARCHAR(16)     CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'keyed, without the lock: another one is another password; no more can be told from it',
  batch           BIGINT UNSIGNED NOT NULL,
  settle_batch    BIGINT UNSIGNED NULL,
  end_batch       BIGINT UNSIGNED NULL,
  PRIMARY KEY (host_id, id, day),
  KEY created (host_id, created_at),
  KEY destroyed (host_id, destroyed_at),
  KEY groupname (groupname(191), created_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
PARTITION BY RANGE COLUMNS (day) (
  PARTITION p_later VALUES LESS THAN (MAXVALUE)
);

CREATE TABLE IF NOT EXISTS group_member (
  host_id      INT UNSIGNED    NOT NULL,
  id           BIGINT UNSIGNED NOT NULL,
  day          DATE            NOT NULL,
  created_at   DATETIME(6)     NOT NULL,
  destroyed_at DATETIME(6)     NULL,
  end_cause    ENUM('exit','exec','closed','removed','reconciled','reboot','unknown') NULL,
  seen_by      SET('audit','connector','taskstats','proc','sock_diag','bpf','fanotify','inotify','udev','utmp','agent','rtnetlink') NOT NULL,
  groupname    VARCHAR(1024)   NOT NULL,
  username     VARCHAR(1024)   NOT NULL,
  batch        BIGINT UNSIGNED NOT NULL,
  settle_batch BIGINT UNSIGNED NULL,
  end_batch    BIGINT UNSIGNED NULL,
  PRIMARY KEY (host_id, id, day),
  KEY created (host_id, created_at),
  KEY destroyed (host_id, destroyed_at),
  KEY groupname (groupname(191), created_at),
  KEY username (username(191), created_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
PARTITION BY RANGE COLUMNS (day) (
  PARTITION p_later VALUES LESS THAN (MAXVALUE)
);

CREATE TABLE IF NOT EXISTS finding (
  host_id      INT UNSIGNED    NOT NULL,
  id           BIGINT UNSIGNED NOT NULL,
  day          DATE            NOT NULL,
  created_at   DATETIME(6)     NOT NULL,
  destroyed_at DATETIME(6)     NULL,
  end_cause    ENUM('exit','exec','closed','removed','reconciled','reboot','unknown') NULL,
  seen_by      SET('audit','connector','taskstats','proc','sock_diag','bpf','fanotify','inotify','udev','utmp','agent','rtnetlink') NOT NULL,
  class        VARCHAR(64)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  subject      VARCHAR(4096)   NOT NULL COMMENT 'what it is true of',
  detail       TEXT            NULL COMMENT 'for people',
  batch        BIGINT UNSIGNED NOT NULL,
  settle_batch BIGINT UNSIGNED NULL,
  end_batch    BIGINT UNSIGNED NULL,
  PRIMARY KEY (host_id, id, day),
  KEY created (host_id, created_at),
  KEY destroyed (host_id, destroyed_at),
  KEY class (class, created_at),
  KEY subject (subject(191), created_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
PARTITION BY RANGE COLUMNS (day) (
  PARTITION p_later VALUES LESS THAN (MAXVALUE)
);

EXECUTE IMMEDIATE IF(@@innodb_compression_algorithm <> 'none' AND @@innodb_file_per_table,
  'ALTER TABLE account PAGE_COMPRESSED = 1 PAGE_COMPRESSION_LEVEL = 1', 'DO 0');
EXECUTE IMMEDIATE IF(@@innodb_compression_algorithm <> 'none' AND @@innodb_file_per_table,
  'ALTER TABLE account_group PAGE_COMPRESSED = 1 PAGE_COMPRESSION_LEVEL = 1', 'DO 0');
EXECUTE IMMEDIATE IF(@@innodb_compression_algorithm <> 'none' AND @@innodb_file_per_table,
  'ALTER TABLE group_member PAGE_COMPRESSED = 1 PAGE_COMPRESSION_LEVEL = 1', 'DO 0');
EXECUTE IMMEDIATE IF(@@innodb_compression_algorithm <> 'none' AND @@innodb_file_per_table,
  'ALTER TABLE finding PAGE_COMPRESSED = 1 PAGE_COMPRESSION_LEVEL = 1', 'DO 0');

GRANT SELECT, INSERT, UPDATE ON account TO vestige_owner@localhost;
GRANT SELECT, INSERT, UPDATE ON account_group TO vestige_owner@localhost;
GRANT SELECT, INSERT, UPDATE ON group_member TO vestige_owner@localhost;
GRANT SELECT, INSERT, UPDATE ON finding TO vestige_owner@localhost;
GRANT SELECT, INSERT, CREATE, ALTER, DROP ON account TO vestige_maintainer@localhost;
GRANT SELECT, INSERT, CREATE, ALTER, DROP ON account_group TO vestige_maintainer@localhost;
GRANT SELECT, INSERT, CREATE, ALTER, DROP ON group_member TO vestige_maintainer@localhost;
GRANT SELECT, INSERT, CREATE, ALTER, DROP ON finding TO vestige_maintainer@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW account_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, username, uid, gid, gecos, home,
       shell, password_state, password_digest, destroyed_at, end_cause
  FROM account WHERE FALSE WITH CHECK OPTION;
GRANT INSERT ON account_in TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW account_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM account WHERE FALSE WITH CHECK OPTION;
GRANT SELECT, UPDATE ON account_open TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW account_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM account WHERE FALSE WITH CHECK OPTION;
GRANT SELECT (host_id, id, day), UPDATE (destroyed_at, end_cause, end_batch)
  ON account_end TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW account_group_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, groupname, gid, password_state,
       password_digest, destroyed_at, end_cause
  FROM account_group WHERE FALSE WITH CHECK OPTION;
GRANT INSERT ON account_group_in TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW account_group_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM account_group WHERE FALSE WITH CHECK OPTION;
GRANT SELECT, UPDATE ON account_group_open TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW account_group_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM account_group WHERE FALSE WITH CHECK OPTION;
GRANT SELECT (host_id, id, day), UPDATE (destroyed_at, end_cause, end_batch)
  ON account_group_end TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW group_member_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, groupname, username, destroyed_at,
       end_cause
  FROM group_member WHERE FALSE WITH CHECK OPTION;
GRANT INSERT ON group_member_in TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW group_member_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM group_member WHERE FALSE WITH CHECK OPTION;
GRANT SELECT, UPDATE ON group_member_open TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW group_member_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM group_member WHERE FALSE WITH CHECK OPTION;
GRANT SELECT (host_id, id, day), UPDATE (destroyed_at, end_cause, end_batch)
  ON group_member_end TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW finding_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, class, subject, detail,
       destroyed_at, end_cause
  FROM finding WHERE FALSE WITH CHECK OPTION;
GRANT INSERT ON finding_in TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW finding_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM finding WHERE FALSE WITH CHECK OPTION;
GRANT SELECT, UPDATE ON finding_open TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW finding_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM finding WHERE FALSE WITH CHECK OPTION;
GRANT SELECT (host_id, id, day), UPDATE (destroyed_at, end_cause, end_batch)
  ON finding_end TO vestige_agent;
