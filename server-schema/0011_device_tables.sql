-- Devices: the table, and the accounts' rights on its append-only views, which get their meaning in the
-- next file (see 0001_tables.sql and 0002_accounts.sql).
--
-- A device is known by its path in /sys. What it is on has the beginning of its path: a partition that
-- of its disk, a disk that of the USB device. `device` is the number of a block device as file_access has
-- it: see README.md for the question what was done on a stick. The driver settles, when it is bound.

CREATE TABLE IF NOT EXISTS device (
  host_id         INT UNSIGNED    NOT NULL,
  id              BIGINT UNSIGNED NOT NULL,
  day             DATE            NOT NULL,
  created_at      DATETIME(6)     NOT NULL,
  destroyed_at    DATETIME(6)     NULL,
  end_cause       ENUM('exit','exec','closed','removed','reconciled','reboot','unknown') NULL,
  seen_by         SET('audit','connector','taskstats','proc','sock_diag','bpf','fanotify','inotify','udev','utmp','agent','rtnetlink') NOT NULL,
  subsystem       VARCHAR(255)    NULL COMMENT 'block, usb, net ...',
  devpath         TEXT            NOT NULL COMMENT 'in /sys, without it',
  devnode         TEXT            NULL COMMENT 'in /dev; NULL: it has none',
  device          VARCHAR(21)     CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'major:minor of a block device',
  vendor          TEXT            NULL,
  model           TEXT            NULL,
  serial          TEXT            NULL,
  vendor_id       VARCHAR(255)    NULL,
  model_id        VARCHAR(255)    NULL,
  users_logged_in TEXT            NULL COMMENT 'when it appeared: names by commas; empty: nobody; NULL: nobody knows',
  driver          VARCHAR(255)    NULL COMMENT 'the first one that was bound',
  batch           BIGINT UNSIGNED NOT NULL,
  settle_batch    BIGINT UNSIGNED NULL,
  end_batch       BIGINT UNSIGNED NULL,
  PRIMARY KEY (host_id, id, day),
  KEY created (host_id, created_at),
  KEY destroyed (host_id, destroyed_at),
  KEY serial (serial(64), created_at),
  KEY device (host_id, device, created_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
PARTITION BY RANGE COLUMNS (day) (
  PARTITION p_later VALUES LESS THAN (MAXVALUE)
);

EXECUTE IMMEDIATE IF(@@innodb_compression_algorithm <> 'none' AND @@innodb_file_per_table,
  'ALTER TABLE device PAGE_COMPRESSED = 1 PAGE_COMPRESSION_LEVEL = 1', 'DO 0');

GRANT SELECT, INSERT, UPDATE ON device TO vestige_owner@localhost;
GRANT SELECT, INSERT, CREATE, ALTER, DROP ON device TO vestige_maintainer@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW device_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, subsystem, devpath, devnode, device,
       vendor, model, serial, vendor_id, model_id, users_logged_in, driver, destroyed_at, end_cause
  FROM device WHERE FALSE WITH CHECK OPTION;
GRANT INSERT ON device_in TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW device_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM device WHERE FALSE WITH CHECK OPTION;
GRANT SELECT, UPDATE ON device_open TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW device_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM device WHERE FALSE WITH CHECK OPTION;
GRANT SELECT (host_id, id, day), UPDATE (destroyed_at, end_cause, end_batch)
  ON device_end TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW device_unsettled AS
SELECT host_id, id, day, driver, settle_batch
  FROM device WHERE FALSE WITH CHECK OPTION;
GRANT SELECT, UPDATE ON device_unsettled TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW device_settle AS
SELECT host_id, id, day, driver, settle_batch
  FROM device WHERE FALSE WITH CHECK OPTION;
GRANT SELECT (host_id, id, day), UPDATE (driver, settle_batch) ON device_settle TO vestige_agent;
