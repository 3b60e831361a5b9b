-- Files in use: the table, and the accounts' rights on its append-only views, which get their meaning in
-- the next file (see 0001_tables.sql and 0002_accounts.sql).
--
-- What was done with a file, how often and what became of it belong to the end of a row: they are NULL
-- while it is open. Paths are text of any length; a query by path compares the whole of it, the key is
-- its beginning.

CREATE TABLE IF NOT EXISTS file_access (
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
  path           TEXT            NOT NULL COMMENT 'as the host sees it',
  new_path       TEXT            NULL COMMENT 'of a rename: where it is now',
  inherited      BOOLEAN         NULL COMMENT 'its open was not seen: it was opened before, or by another process',
  path_at_read   BOOLEAN         NULL COMMENT 'the path is that of the moment when the event was read',
  device         VARCHAR(21)     CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'major:minor',
  inode          BIGINT UNSIGNED NULL,
  operations     SET('read','write','execute','create','delete','rename','attributes') NULL,
  opens          INT UNSIGNED    NULL COMMENT 'at least so often; NULL: unknown, or not opened',
  mode           INT UNSIGNED    NULL COMMENT 'type and permissions as in stat(2), see OCT()',
  size           BIGINT UNSIGNED NULL COMMENT 'bytes, at the end',
  batch          BIGINT UNSIGNED NOT NULL,
  settle_batch   BIGINT UNSIGNED NULL,
  end_batch      BIGINT UNSIGNED NULL,
  PRIMARY KEY (host_id, id, day),
  KEY created (host_id, created_at),
  KEY destroyed (host_id, destroyed_at),
  KEY login (login_uid, created_at),
  KEY process (host_id, process_id),
  KEY path (path(191), created_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
PARTITION BY RANGE COLUMNS (day) (
  PARTITION p_later VALUES LESS THAN (MAXVALUE)
);

EXECUTE IMMEDIATE IF(@@innodb_compression_algorithm <> 'none' AND @@innodb_file_per_table,
  'ALTER TABLE file_access PAGE_COMPRESSED = 1 PAGE_COMPRESSION_LEVEL = 1', 'DO 0');

GRANT SELECT, INSERT, UPDATE ON file_access TO vestige_owner@localhost;
GRANT SELECT, INSERT, CREATE, ALTER, DROP ON file_access TO vestige_maintainer@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW file_access_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, process_id, pid, application, uid,
       username, login_uid, login_username, path, new_path, inherited, path_at_read, device, inode,
       destroyed_at, end_cause, operations, opens, mode, size
  FROM file_access WHERE FALSE WITH CHECK OPTION;
GRANT INSERT ON file_access_in TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW file_access_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, operations, opens, mode, size,
       end_batch
  FROM file_access WHERE FALSE WITH CHECK OPTION;
GRANT SELECT, UPDATE ON file_access_open TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW file_access_end AS
SELECT host_id, id, day, destroyed_at, end_cause, operations, opens, mode, size, end_batch
  FROM file_access WHERE FALSE WITH CHECK OPTION;
GRANT SELECT (host_id, id, day), UPDATE (destroyed_at, end_cause, operations, opens, mode, size,
  end_batch)
  ON file_access_end TO vestige_agent;
