-- The tables: processes, the host and its boots, what was watched, what was missed, and the seals of
-- the batches.
--
-- Each file may be run again from its beginning (an interrupted migration is), and names no
-- database: it works in the one that is selected.
--
-- Keys: `id` is microseconds since 1970 (UTC) at the moment of recording, given by the agent and
-- unique per host; `day` is the UTC day in `id`, demanded by the views and never changed. `process`
-- and `process_change` grow by the million and have one partition a day, made ahead by
-- vestige_make_partitions(). Its first run splits `p_later`, the catch-all behind the last day (rows
-- in it are a finding), and keeps `p_before` for days before the first. The other tables stay small
-- and have none.
--
-- Only the columns without which a row means nothing are NOT NULL: a value that no source gave must
-- not cost the row.

CREATE TABLE IF NOT EXISTS schema_version (
  version    INT UNSIGNED NOT NULL,
  name       VARCHAR(255) NOT NULL,
  applied_at DATETIME(6)  NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  checksum   VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'SHA-256 of the file',
  PRIMARY KEY (version)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS enrolment (
  host_id    INT UNSIGNED NOT NULL AUTO_INCREMENT,
  name       VARCHAR(255) NOT NULL,
  account    VARCHAR(255) NOT NULL COMMENT 'as CREATE USER has it: agent_<host_id>@<from where>',
  created_at DATETIME(6)  NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  revoked_at DATETIME(6)  NULL COMMENT 'its credential was taken away',
  retired_at DATETIME(6)  NULL COMMENT 'the host is gone; silence is expected',
  PRIMARY KEY (host_id),
  UNIQUE KEY name (name)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS process (
  host_id            INT UNSIGNED    NOT NULL,
  id                 BIGINT UNSIGNED NOT NULL,
  day                DATE            NOT NULL,
  created_at         DATETIME(6)     NOT NULL,
  destroyed_at       DATETIME(6)     NULL,
  end_cause          ENUM('exit','exec','closed','removed','reconciled','reboot','unknown') NULL,
  seen_by            SET('audit','connector','taskstats','proc','sock_diag','bpf','fanotify','inotify','udev','utmp','agent') NOT NULL,
  boot_id            UUID            NOT NULL,
  pid                INT UNSIGNED    NOT NULL,
  start_ticks        BIGINT UNSIGNED NULL COMMENT 'clock ticks between boot and fork',
  ppid               INT UNSIGNED    NULL,
  parent_id          BIGINT UNSIGNED NULL COMMENT 'id of the row that forked it',
  previous_id        BIGINT UNSIGNED NULL COMMENT 'id of the image that this exec replaced',
  comm               VARCHAR(255)    NULL,
  exe                TEXT            NULL,
  exe_sha256         VARCHAR(64)     CHARACTER SET ascii COLLATE ascii_bin NULL,
  argv0              LONGTEXT        NULL,
  arguments          LONGTEXT        NULL COMMENT 'behind argv0, quoted as a shell reads them',
  cmdline            LONGTEXT        GENERATED ALWAYS AS (
                                       CASE WHEN argv0 IS NULL THEN arguments
                                            WHEN arguments = '' THEN argv0
                                            ELSE CONCAT_WS(' ', argv0, arguments) END) VIRTUAL,
  argc               INT UNSIGNED    NULL,
  cwd                TEXT            NULL,
  tty                VARCHAR(255)    NULL,
  session_id         INT UNSIGNED    NULL COMMENT 'audit session',
  login_uid          INT UNSIGNED    NULL COMMENT 'who logged in, whatever su, sudo or setuid came later; NULL: unset',
  login_username     VARCHAR(255)    NULL,
  uid                INT UNSIGNED    NULL,
  username           VARCHAR(255)    NULL,
  euid               INT UNSIGNED    NULL,
  effective_username VARCHAR(255)    NULL,
  gid                INT UNSIGNED    NULL,
  egid               INT UNSIGNED    NULL,
  container          VARCHAR(255)    NULL,
  pid_ns             BIGINT UNSIGNED NULL,
  mnt_ns             BIGINT UNSIGNED NULL,
  net_ns             BIGINT UNSIGNED NULL,
  cpu_user_us        BIGINT UNSIGNED NULL,
  cpu_system_us      BIGINT UNSIGNED NULL,
  max_rss_kib        BIGINT UNSIGNED NULL,
  read_bytes         BIGINT UNSIGNED NULL,
  write_bytes        BIGINT UNSIGNED NULL,
  exit_uid           INT UNSIGNED    NULL,
  exit_code          TINYINT UNSIGNED NULL,
  exit_signal        TINYINT UNSIGNED NULL,
  own                TINYINT UNSIGNED NULL COMMENT '1: a process of Vestige itself',
  unaudited          TINYINT UNSIGNED NULL COMMENT '1: forked before audit was on, so audit never speaks of it',
  batch              BIGINT UNSIGNED NOT NULL,
  settle_batch       BIGINT UNSIGNED NULL,
  end_batch          BIGINT UNSIGNED NULL,
  PRIMARY KEY (host_id, id, day),
  KEY created (host_id, created_at),
  KEY destroyed (host_id, destroyed_at),
  KEY login (login_uid, created_at),
  KEY parent (host_id, parent_id),
  KEY user (username, created_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
PARTITION BY RANGE COLUMNS (day) (
  PARTITION p_later VALUES LESS THAN (MAXVALUE)
);

CREATE TABLE IF NOT EXISTS process_change (
  host_id      INT UNSIGNED    NOT NULL,
  id           BIGINT UNSIGNED NOT NULL,
  day          DATE            NOT NULL,
  created_at   DATETIME(6)     NOT NULL,
  destroyed_at DATETIME(6)     NULL,
  end_cause    ENUM('exit','exec','closed','removed','reconciled','reboot','unknown') NULL,
  seen_by      SET('audit','connector','taskstats','proc','sock_diag','bpf','fanotify','inotify','udev','utmp','agent') NOT NULL,
  process_id   BIGINT UNSIGNED NOT NULL,
  kind         ENUM('uid','gid','login_uid','sid','comm') NOT NULL,
  old_value    TEXT            NULL,
  new_value    TEXT            NULL,
  batch        BIGINT UNSIGNED NOT NULL,
  settle_batch BIGINT UNSIGNED NULL,
  end_batch    BIGINT UNSIGNED NULL,
  PRIMARY KEY (host_id, id, day),
  KEY created (host_id, created_at),
  KEY process (host_id, process_id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
PARTITION BY RANGE COLUMNS (day) (
  PARTITION p_later VALUES LESS THAN (MAXVALUE)
);

CREATE TABLE IF NOT EXISTS host (
  host_id      INT UNSIGNED    NOT NULL,
  id           BIGINT UNSIGNED NOT NULL,
  day          DATE            NOT NULL,
  created_at   DATETIME(6)     NOT NULL,
  destroyed_at DATETIME(6)     NULL,
  end_cause    ENUM('exit','exec','closed','removed','reconciled','reboot','unknown') NULL,
  seen_by      SET('audit','connector','taskstats','proc','sock_diag','bpf','fanotify','inotify','udev','utmp','agent') NOT NULL,
  name         VARCHAR(255)    NOT NULL,
  machine_id   VARCHAR(64)     NULL,
  os_name      VARCHAR(255)    NULL,
  os_version   VARCHAR(255)    NULL,
  kernel       VARCHAR(255)    NULL,
  architecture VARCHAR(255)    NULL,
  vendor       VARCHAR(255)    NULL,
  model        VARCHAR(255)    NULL,
  time_zone    VARCHAR(255)    NULL,
  batch        BIGINT UNSIGNED NOT NULL,
  settle_batch BIGINT UNSIGNED NULL,
  end_batch    BIGINT UNSIGNED NULL,
  PRIMARY KEY (host_id, id, day),
  KEY created (host_id, created_at),
  KEY name (name, created_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS boot (
  host_id      INT UNSIGNED    NOT NULL,
  id           BIGINT UNSIGNED NOT NULL,
  day          DATE            NOT NULL,
  created_at   DATETIME(6)     NOT NULL,
  destroyed_at DATETIME(6)     NULL,
  end_cause    ENUM('exit','exec','closed','removed','reconciled','reboot','unknown') NULL,
  seen_by      SET('audit','connector','taskstats','proc','sock_diag','bpf','fanotify','inotify','udev','utmp','agent') NOT NULL,
  boot_id      UUID            NOT NULL,
  kernel       VARCHAR(255)    NULL,
  command_line TEXT            NULL,
  batch        BIGINT UNSIGNED NOT NULL,
  settle_batch BIGINT UNSIGNED NULL,
  end_batch    BIGINT UNSIGNED NULL,
  PRIMARY KEY (host_id, id, day),
  KEY created (host_id, created_at),
  KEY destroyed (host_id, destroyed_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS coverage (
  host_id      INT UNSIGNED    NOT NULL,
  id           BIGINT UNSIGNED NOT NULL,
  day          DATE            NOT NULL,
  created_at   DATETIME(6)     NOT NULL,
  destroyed_at DATETIME(6)     NULL,
  end_cause    ENUM('exit','exec','closed','removed','reconciled','reboot','unknown') NULL,
  seen_by      SET('audit','connector','taskstats','proc','sock_diag','bpf','fanotify','inotify','udev','utmp','agent') NOT NULL,
  boot_id      UUID            NOT NULL,
  source       VARCHAR(64)     NOT NULL,
  mode         VARCHAR(255)    NULL,
  detail       TEXT            NULL,
  batch        BIGINT UNSIGNED NOT NULL,
  settle_batch BIGINT UNSIGNED NULL,
  end_batch    BIGINT UNSIGNED NULL,
  PRIMARY KEY (host_id, id, day),
  KEY created (host_id, created_at),
  KEY destroyed (host_id, destroyed_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS gap (
  host_id        INT UNSIGNED    NOT NULL,
  id             BIGINT UNSIGNED NOT NULL,
  day            DATE            NOT NULL,
  created_at     DATETIME(6)     NOT NULL,
  destroyed_at   DATETIME(6)     NULL,
  end_cause      ENUM('exit','exec','closed','removed','reconciled','reboot','unknown') NULL,
  seen_by        SET('audit','connector','taskstats','proc','sock_diag','bpf','fanotify','inotify','udev','utmp','agent') NOT NULL,
  boot_id        UUID            NOT NULL,
  source         VARCHAR(64)     NOT NULL,
  cause          VARCHAR(64)     NOT NULL,
  unit           ENUM('process','event','record','row') NOT NULL,
  `count`        BIGINT UNSIGNED NULL COMMENT 'NULL: the kernel does not say how many',
  count_at_least BIGINT UNSIGNED NULL,
  count_at_most  BIGINT UNSIGNED NULL,
  detail         TEXT            NULL,
  batch          BIGINT UNSIGNED NOT NULL,
  settle_batch   BIGINT UNSIGNED NULL,
  end_batch      BIGINT UNSIGNED NULL,
  PRIMARY KEY (host_id, id, day),
  KEY created (host_id, created_at),
  KEY destroyed (host_id, destroyed_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- Two hashes for one number are both kept (a finding): whoever forges a number ahead of the agent
-- must not make the agent believe that its own batch is there already.
CREATE TABLE IF NOT EXISTS batch (
  host_id          INT UNSIGNED    NOT NULL,
  batch            BIGINT UNSIGNED NOT NULL,
  hash             BINARY(32)      NOT NULL,
  previous_hash    BINARY(32)      NOT NULL,
  format           INT UNSIGNED    NOT NULL,
  boot_id          UUID            NOT NULL,
  first_time       DATETIME(6)     NOT NULL,
  last_time        DATETIME(6)     NOT NULL,
  n_lines          INT UNSIGNED    NOT NULL,
  cursors          TEXT            NULL,
  recovered        TINYINT UNSIGNED NOT NULL COMMENT '1: sealed by a start after a crash',
  server_offset_us BIGINT          NULL COMMENT 'the server''s clock minus the agent''s',
  digests          LONGBLOB        NULL COMMENT 'table, verb, id and digest of each line, sorted',
  received_at      DATETIME(6)     NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'by the server',
  verified_at      DATETIME(6)     NULL COMMENT 'by the server',
  PRIMARY KEY (host_id, batch, hash),
  KEY received (received_at),
  KEY first (host_id, first_time)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- The key is no number that counts up, which would tell an agent what the other hosts do; and not
-- (host_id, batch, line), which a thief could occupy ahead of the agent.
CREATE TABLE IF NOT EXISTS rejected (
  id          UUID            NOT NULL DEFAULT (UUID()),
  host_id     INT UNSIGNED    NOT NULL,
  batch       BIGINT UNSIGNED NOT NULL,
  line        INT UNSIGNED    NOT NULL,
  table_name  VARCHAR(64)     NOT NULL,
  text        LONGTEXT        NOT NULL,
  error       INT UNSIGNED    NOT NULL,
  message     TEXT            NOT NULL,
  received_at DATETIME(6)     NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  PRIMARY KEY (id),
  KEY line (host_id, batch, line),
  KEY received (received_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS maintenance_run (
  id          BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  name        VARCHAR(64)     NOT NULL,
  started_at  DATETIME(6)     NOT NULL,
  finished_at DATETIME(6)     NULL,
  result      ENUM('running','success','failure') NOT NULL,
  message     TEXT            NOT NULL,
  PRIMARY KEY (id),
  KEY name (name, started_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- Pages compressed where the server can: 179 bytes a row on disk instead of 587, at the same speed of
-- inserts. Level 1 gives the same size as 6, because holes are punched in whole blocks, for half of the
-- processor time.
EXECUTE IMMEDIATE IF(@@innodb_compression_algorithm <> 'none' AND @@innodb_file_per_table,
  'ALTER TABLE process PAGE_COMPRESSED = 1 PAGE_COMPRESSION_LEVEL = 1', 'DO 0');
EXECUTE IMMEDIATE IF(@@innodb_compression_algorithm <> 'none' AND @@innodb_file_per_table,
  'ALTER TABLE process_change PAGE_COMPRESSED = 1 PAGE_COMPRESSION_LEVEL = 1', 'DO 0');
