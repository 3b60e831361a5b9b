-- Connections, the names of addresses, interface addresses and routes: tables, and the accounts' rights
-- on their append-only views, which get their meaning in the next file (see 0001_tables.sql and
-- 0002_accounts.sql).
--
-- Addresses are text as inet_ntop writes it (an INET6 column refuses 1.2.3.4, and finds nothing when
-- asked for it); subnets are a matter of INET6_ATON(). Names are compared with blanks at their end
-- ignored, because LUARM's queries have them there.

CREATE TABLE IF NOT EXISTS endpoint (
  host_id        INT UNSIGNED    NOT NULL,
  id             BIGINT UNSIGNED NOT NULL,
  day            DATE            NOT NULL,
  created_at     DATETIME(6)     NOT NULL,
  destroyed_at   DATETIME(6)     NULL,
  end_cause      ENUM('exit','exec','closed','removed','reconciled','reboot','unknown') NULL,
  seen_by        SET('audit','connector','taskstats','proc','sock_diag','bpf','fanotify','inotify','udev','utmp','agent','rtnetlink') NOT NULL,
  process_id     BIGINT UNSIGNED NULL COMMENT 'id of the row of the program that opened, accepted or listened',
  pid            INT UNSIGNED    NULL,
  pid_source     ENUM('exact','inferred') NULL COMMENT 'exact: the kernel named the process; NULL: nobody knows',
  application    VARCHAR(255)    NULL COMMENT 'comm at that moment',
  uid            INT UNSIGNED    NULL,
  username       VARCHAR(255)    NULL,
  login_uid      INT UNSIGNED    NULL COMMENT 'who logged in; NULL: unset',
  login_username VARCHAR(255)    NULL,
  protocol       VARCHAR(32)     CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'tcp, udp, raw, packet, unix ...',
  direction      ENUM('out','in','listen','local') NULL,
  remote_address VARCHAR(45)     CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'as inet_ntop writes it',
  remote_port    INT UNSIGNED    NULL,
  interface      VARCHAR(64)     NULL,
  netns          BIGINT UNSIGNED NULL COMMENT 'inode number of the network namespace',
  cookie         BIGINT UNSIGNED NULL,
  status         ENUM('requested','established','failed','refused','listening','closed') NULL COMMENT 'NULL: not known yet',
  local_address  VARCHAR(45)     CHARACTER SET ascii COLLATE ascii_bin NULL,
  local_port     INT UNSIGNED    NULL,
  local_name     VARCHAR(1024)   COLLATE utf8mb4_bin NULL COMMENT 'of a UNIX socket its path, @ for an abstract one',
  remote_name    VARCHAR(1024)   COLLATE utf8mb4_bin NULL COMMENT 'as known when the row was settled; see address_name',
  bytes_sent     BIGINT UNSIGNED NULL COMMENT 'payload; NULL: the kernel does not say',
  bytes_received BIGINT UNSIGNED NULL,
  batch          BIGINT UNSIGNED NOT NULL,
  settle_batch   BIGINT UNSIGNED NULL,
  end_batch      BIGINT UNSIGNED NULL,
  PRIMARY KEY (host_id, id, day),
  KEY created (host_id, created_at),
  KEY destroyed (host_id, destroyed_at),
  KEY login (login_uid, created_at),
  KEY process (host_id, process_id),
  KEY remote_name (remote_name(191), created_at),
  KEY remote_address (remote_address, created_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
PARTITION BY RANGE COLUMNS (day) (
  PARTITION p_later VALUES LESS THAN (MAXVALUE)
);

CREATE TABLE IF NOT EXISTS address_name (
  host_id      INT UNSIGNED    NOT NULL,
  id           BIGINT UNSIGNED NOT NULL,
  day          DATE            NOT NULL,
  created_at   DATETIME(6)     NOT NULL,
  destroyed_at DATETIME(6)     NULL,
  end_cause    ENUM('exit','exec','closed','removed','reconciled','reboot','unknown') NULL,
  seen_by      SET('audit','connector','taskstats','proc','sock_diag','bpf','fanotify','inotify','udev','utmp','agent','rtnetlink') NOT NULL,
  address      VARCHAR(45)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  name         VARCHAR(1024)   COLLATE utf8mb4_bin NULL COMMENT 'NULL: there is none',
  source       ENUM('hosts','dns') NULL COMMENT 'how it was learned',
  batch        BIGINT UNSIGNED NOT NULL,
  settle_batch BIGINT UNSIGNED NULL,
  end_batch    BIGINT UNSIGNED NULL,
  PRIMARY KEY (host_id, id, day),
  KEY created (host_id, created_at),
  KEY address (address, created_at),
  KEY name (name(191), created_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
PARTITION BY RANGE COLUMNS (day) (
  PARTITION p_later VALUES LESS THAN (MAXVALUE)
);

CREATE TABLE IF NOT EXISTS interface_address (
  host_id       INT UNSIGNED    NOT NULL,
  id            BIGINT UNSIGNED NOT NULL,
  day           DATE            NOT NULL,
  created_at    DATETIME(6)     NOT NULL,
  destroyed_at  DATETIME(6)     NULL,
  end_cause     ENUM('exit','exec','closed','removed','reconciled','reboot','unknown') NULL,
  seen_by       SET('audit','connector','taskstats','proc','sock_diag','bpf','fanotify','inotify','udev','utmp','agent','rtnetlink') NOT NULL,
  interface     VARCHAR(64)     NOT NULL,
  mac           VARCHAR(95)     CHARACTER SET ascii COLLATE ascii_bin NULL,
  address       VARCHAR(45)     CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'NULL: the interface itself',
  prefix_length TINYINT UNSIGNED NULL,
  family        ENUM('inet','inet6') NULL,
  batch         BIGINT UNSIGNED NOT NULL,
  settle_batch  BIGINT UNSIGNED NULL,
  end_batch     BIGINT UNSIGNED NULL,
  PRIMARY KEY (host_id, id, day),
  KEY created (host_id, created_at),
  KEY destroyed (host_id, destroyed_at),
  KEY address (address, created_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
PARTITION BY RANGE COLUMNS (day) (
  PARTITION p_later VALUES LESS THAN (MAXVALUE)
);

CREATE TABLE IF NOT EXISTS route (
  host_id       INT UNSIGNED    NOT NULL,
  id            BIGINT UNSIGNED NOT NULL,
  day           DATE            NOT NULL,
  created_at    DATETIME(6)     NOT NULL,
  destroyed_at  DATETIME(6)     NULL,
  end_cause     ENUM('exit','exec','closed','removed','reconciled','reboot','unknown') NULL,
  seen_by       SET('audit','connector','taskstats','proc','sock_diag','bpf','fanotify','inotify','udev','utmp','agent','rtnetlink') NOT NULL,
  destination   VARCHAR(45)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  prefix_length TINYINT UNSIGNED NOT NULL,
  gateway       VARCHAR(45)     CHARACTER SET ascii COLLATE ascii_bin NULL,
  interface     VARCHAR(64)     NULL,
  table_id      INT UNSIGNED    NULL,
  metric        INT UNSIGNED    NULL,
  family        ENUM('inet','inet6') NULL,
  batch         BIGINT UNSIGNED NOT NULL,
  settle_batch  BIGINT UNSIGNED NULL,
  end_batch     BIGINT UNSIGNED NULL,
  PRIMARY KEY (host_id, id, day),
  KEY created (host_id, created_at),
  KEY destroyed (host_id, destroyed_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
PARTITION BY RANGE COLUMNS (day) (
  PARTITION p_later VALUES LESS THAN (MAXVALUE)
);

EXECUTE IMMEDIATE IF(@@innodb_compression_algorithm <> 'none' AND @@innodb_file_per_table,
  'ALTER TABLE endpoint PAGE_COMPRESSED = 1 PAGE_COMPRESSION_LEVEL = 1', 'DO 0');
EXECUTE IMMEDIATE IF(@@innodb_compression_algorithm <> 'none' AND @@innodb_file_per_table,
  'ALTER TABLE address_name PAGE_COMPRESSED = 1 PAGE_COMPRESSION_LEVEL = 1', 'DO 0');
EXECUTE IMMEDIATE IF(@@innodb_compression_algorithm <> 'none' AND @@innodb_file_per_table,
  'ALTER TABLE interface_address PAGE_COMPRESSED = 1 PAGE_COMPRESSION_LEVEL = 1', 'DO 0');
EXECUTE IMMEDIATE IF(@@innodb_compression_algorithm <> 'none' AND @@innodb_file_per_table,
  'ALTER TABLE route PAGE_COMPRESSED = 1 PAGE_COMPRESSION_LEVEL = 1', 'DO 0');

GRANT SELECT, INSERT, UPDATE ON endpoint TO vestige_owner@localhost;
GRANT SELECT, INSERT, UPDATE ON address_name TO vestige_owner@localhost;
GRANT SELECT, INSERT, UPDATE ON interface_address TO vestige_owner@localhost;
GRANT SELECT, INSERT, UPDATE ON route TO vestige_owner@localhost;
GRANT SELECT, INSERT, CREATE, ALTER, DROP ON endpoint TO vestige_maintainer@localhost;
GRANT SELECT, INSERT, CREATE, ALTER, DROP ON address_name TO vestige_maintainer@localhost;
GRANT SELECT, INSERT, CREATE, ALTER, DROP ON interface_address TO vestige_maintainer@localhost;
GRANT SELECT, INSERT, CREATE, ALTER, DROP ON route TO vestige_maintainer@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW endpoint_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, process_id, pid, pid_source,
       application, uid, username, login_uid, login_username, protocol, direction, remote_address,
       remote_port, interface, netns, cookie, status, local_address, local_port, local_name,
       remote_name, destroyed_at, end_cause, bytes_sent, bytes_received
  FROM endpoint WHERE FALSE WITH CHECK OPTION;
GRANT INSERT ON endpoint_in TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW endpoint_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, bytes_sent, bytes_received, end_batch
  FROM endpoint WHERE FALSE WITH CHECK OPTION;
GRANT SELECT, UPDATE ON endpoint_open TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW endpoint_end AS
SELECT host_id, id, day, destroyed_at, end_cause, bytes_sent, bytes_received, end_batch
  FROM endpoint WHERE FALSE WITH CHECK OPTION;
GRANT SELECT (host_id, id, day), UPDATE (destroyed_at, end_cause, bytes_sent, bytes_received,
  end_batch)
  ON endpoint_end TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW endpoint_unsettled AS
SELECT host_id, id, day, status, local_address, local_port, local_name, remote_name, settle_batch
  FROM endpoint WHERE FALSE WITH CHECK OPTION;
GRANT SELECT, UPDATE ON endpoint_unsettled TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW endpoint_settle AS
SELECT host_id, id, day, status, local_address, local_port, local_name, remote_name, settle_batch
  FROM endpoint WHERE FALSE WITH CHECK OPTION;
GRANT SELECT (host_id, id, day), UPDATE (status, local_address, local_port, local_name, remote_name,
  settle_batch)
  ON endpoint_settle TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW address_name_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, address, name, source, destroyed_at,
       end_cause
  FROM address_name WHERE FALSE WITH CHECK OPTION;
GRANT INSERT ON address_name_in TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW address_name_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM address_name WHERE FALSE WITH CHECK OPTION;
GRANT SELECT, UPDATE ON address_name_open TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW address_name_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM address_name WHERE FALSE WITH CHECK OPTION;
GRANT SELECT (host_id, id, day), UPDATE (destroyed_at, end_cause, end_batch)
  ON address_name_end TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW interface_address_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, interface, mac, address,
       prefix_length, family, destroyed_at, end_cause
  FROM interface_address WHERE FALSE WITH CHECK OPTION;
GRANT INSERT ON interface_address_in TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW interface_address_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM interface_address WHERE FALSE WITH CHECK OPTION;
GRANT SELECT, UPDATE ON interface_address_open TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW interface_address_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM interface_address WHERE FALSE WITH CHECK OPTION;
GRANT SELECT (host_id, id, day), UPDATE (destroyed_at, end_cause, end_batch)
  ON interface_address_end TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW route_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, destination, prefix_length, gateway,
       interface, table_id, metric, family, destroyed_at, end_cause
  FROM route WHERE FALSE WITH CHECK OPTION;
GRANT INSERT ON route_in TO vestige_agent;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW route_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM route WHERE FALSE WITH CHECK OPTION;
GRANT SELECT, UPDATE ON route_open TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW route_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM route WHERE FALSE WITH CHECK OPTION;
GRANT SELECT (host_id, id, day), UPDATE (destroyed_at, end_cause, end_batch)
  ON route_end TO vestige_agent;
