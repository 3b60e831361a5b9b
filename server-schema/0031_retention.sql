-- Retention: how long rows are kept, who may not be touched, and the job that drops the rest.
--
-- Nothing is dropped until the administrator sets a policy: to keep is the mistake that can be mended.
-- A row may go when its day is behind the horizon of its table (today minus the days to keep), and stays
-- nevertheless for one of these reasons:
--   open      it has no end
--   ended     it it ended at the horizon or later: part of its life is in the window
--   held      a hold that is not released covers its host, its user and its time
--   late      a batch that has a line of it arrived at the horizon or later
--   referred  a row that stays cannot be read without it: the process of an endpoint, file, event or
--             session; the parents and former images of a process; its session, the leader of that and
--             how he logged in; of the changes of a process the last of each kind before the horizon;
--             the boot and the host of its time; the rows that a finding names
--
-- A partition is rewritten in place: what stays is copied into `retention_rewrite`, a table of the same
-- form, which is exchanged with the partition; what was there is then dropped with it. From the last look
-- at the rows to the exchange no agent may change these days, or its row would be lost. LOCK TABLES does
-- not bear an exchange inside of a procedure, and holds for one node of a cluster only. So two triggers
-- refuse changes of days behind the horizon, by an error after which an agent ships the same batch again
-- (1205); to make them waits for the transactions that are under way. Rows of other days are not held up.
--
-- What a run is doing is in `retention_step`, which is the guard, too: a run that ended half way is mended by
-- the next one from what stands there. retention_log gets its rows before the exchange; whether it took
-- place is told by a row that must be gone (probe_*).
--
-- The bodies hold semicolons: see 0004_maintenance.sql for another delimiter.

CREATE TABLE IF NOT EXISTS retention (
  table_name VARCHAR(64)  NOT NULL COMMENT '*: every table that has no row of its own',
  keep_days  INT UNSIGNED NULL COMMENT 'NULL: for ever',
  changed_at DATETIME(6)  NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  changed_by VARCHAR(384) NOT NULL,
  PRIMARY KEY (table_name)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- Never deleted from: who made the evidence short-lived must be known when it is gone.
CREATE TABLE IF NOT EXISTS retention_change (
  id         BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  table_name VARCHAR(64)     NOT NULL COMMENT '*: all tables; hour: when the job runs',
  old_value  INT UNSIGNED    NULL COMMENT 'days to keep; NULL: for ever, or no policy',
  new_value  INT UNSIGNED    NULL,
  changed_at DATETIME(6)     NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  changed_by VARCHAR(384)    NOT NULL,
  PRIMARY KEY (id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- Never deleted from, either: a hold ends by being released.
CREATE TABLE IF NOT EXISTS hold (
  id          BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  host_id     INT UNSIGNED    NULL COMMENT 'NULL: all hosts',
  login_uid   INT UNSIGNED    NULL COMMENT 'number of a user; NULL here and in username: all users',
  username    VARCHAR(255)    NULL,
  since       DATETIME(6)     NULL COMMENT 'rows that lived in this time; NULL: from the first on',
  until       DATETIME(6)     NULL COMMENT 'NULL: what is still to come, too',
  reason      TEXT            NOT NULL,
  case_name   VARCHAR(255)    NULL,
  created_at  DATETIME(6)     NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  created_by  VARCHAR(384)    NOT NULL,
  released_at DATETIME(6)     NULL,
  released_by VARCHAR(384)    NULL,
  PRIMARY KEY (id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS retention_log (
  id         BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  run_id     BIGINT UNSIGNED NOT NULL COMMENT 'of maintenance_run',
  table_name VARCHAR(64)     NOT NULL COMMENT 'batch: digests of old seals',
  day        DATE            NOT NULL COMMENT 'of the rows; of seals the day on which they arrived',
  host_id    INT UNSIGNED    NULL COMMENT 'NULL: of no host, or of all',
  first_id   BIGINT UNSIGNED NULL COMMENT 'of the rows that were dropped; of seals numbers of batches',
  last_id    BIGINT UNSIGNED NULL,
  n_dropped  BIGINT UNSIGNED NOT NULL,
  n_kept     BIGINT UNSIGNED NOT NULL COMMENT 'of that day and host',
  horizon    DATETIME(6)     NOT NULL COMMENT 'what was older could go',
  dropped_at DATETIME(6)     NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  PRIMARY KEY (id),
  KEY days (table_name, host_id, day),
  KEY run (run_id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- One row: the run that is at work, and its step.
CREATE TABLE IF NOT EXISTS retention_step (
  one            TINYINT UNSIGNED NOT NULL,
  run_hour       TINYINT UNSIGNED NOT NULL DEFAULT 3 COMMENT 'of the day in UTC: when the job runs',
  run_id         BIGINT UNSIGNED  NULL COMMENT 'NULL: nothing is at work',
  node           VARCHAR(255)     NULL COMMENT 'the server whose connection it is',
  connection     BIGINT UNSIGNED  NULL,
  moved_at       DATETIME(6)      NULL COMMENT 'when this step began',
  step           VARCHAR(16)      NULL COMMENT 'look, form, gate, copy, exchange, drop, merge, delete, seal',
  table_name     VARCHAR(64)      NULL,
  partition_name VARCHAR(64)      NULL,
  last_hold      BIGINT UNSIGNED  NULL COMMENT 'that the run knows of',
  last_log       BIGINT UNSIGNED  NULL COMMENT 'exchange: rows of retention_log behind it are of this step',
  probe_host     INT UNSIGNED     NULL COMMENT 'exchange: a row that goes',
  probe_id       BIGINT UNSIGNED  NULL,
  probe_day      DATE             NULL,
  PRIMARY KEY (one)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
INSERT IGNORE INTO retention_step (one) VALUES (1);

-- Batches of which rows were dropped: their seals are looked at by the end of the run.
CREATE TABLE IF NOT EXISTS retention_seal (
  host_id INT UNSIGNED    NOT NULL,
  batch   BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (host_id, batch)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

GRANT CREATE TEMPORARY TABLES ON * TO vestige_maintainer@localhost;
GRANT SELECT, INSERT, CREATE, ALTER, DROP ON retention_rewrite TO vestige_maintainer@localhost;
GRANT SELECT, INSERT, CREATE, ALTER, DROP ON retention_form TO vestige_maintainer@localhost;
GRANT SELECT, INSERT, UPDATE ON retention TO vestige_maintainer@localhost;
GRANT INSERT ON retention_change TO vestige_maintainer@localhost;
GRANT SELECT, INSERT, UPDATE ON hold TO vestige_maintainer@localhost;
GRANT SELECT, INSERT, DELETE ON retention_log TO vestige_maintainer@localhost;
GRANT SELECT, UPDATE ON retention_step TO vestige_maintainer@localhost;
GRANT SELECT, INSERT, DELETE ON retention_seal TO vestige_maintainer@localhost;
GRANT SELECT ON enrolment TO vestige_maintainer@localhost;
GRANT SELECT, UPDATE (digests) ON batch TO vestige_maintainer@localhost;
GRANT SELECT, DELETE ON rejected TO vestige_maintainer@localhost;
GRANT DELETE ON maintenance_run TO vestige_maintainer@localhost;
GRANT SELECT, DELETE ON schedule_run TO vestige_maintainer@localhost;
GRANT SELECT, DELETE ON schedule_finding TO vestige_maintainer@localhost;
GRANT SELECT, DELETE ON notification TO vestige_maintainer@localhost;
GRANT SELECT, DELETE ON host TO vestige_maintainer@localhost;
GRANT SELECT, DELETE ON boot TO vestige_maintainer@localhost;
GRANT SELECT, DELETE ON coverage TO vestige_maintainer@localhost;
GRANT SELECT, DELETE ON gap TO vestige_maintainer@localhost;
GRANT TRIGGER ON process TO vestige_maintainer@localhost;
GRANT TRIGGER ON process_change TO vestige_maintainer@localhost;
GRANT TRIGGER ON endpoint TO vestige_maintainer@localhost;
GRANT TRIGGER ON address_name TO vestige_maintainer@localhost;
GRANT TRIGGER ON interface_address TO vestige_maintainer@localhost;
GRANT TRIGGER ON route TO vestige_maintainer@localhost;
GRANT TRIGGER ON file_access TO vestige_maintainer@localhost;
GRANT TRIGGER ON device TO vestige_maintainer@localhost;
GRANT TRIGGER ON account TO vestige_maintainer@localhost;
GRANT TRIGGER ON account_group TO vestige_maintainer@localhost;
GRANT TRIGGER ON group_member TO vestige_maintainer@localhost;
GRANT TRIGGER ON finding TO vestige_maintainer@localhost;
GRANT TRIGGER ON session TO vestige_maintainer@localhost;
GRANT TRIGGER ON auth_attempt TO vestige_maintainer@localhost;
GRANT TRIGGER ON kernel_event TO vestige_maintainer@localhost;

-- --- the step that a run is in, and what is left of one that ended in it

CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_retention_step(IN now_doing VARCHAR(16), IN of_table VARCHAR(64),
                                   IN of_partition VARCHAR(64))
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  UPDATE retention_step
     SET step = now_doing, table_name = of_table, partition_name = of_partition,
         moved_at = UTC_TIMESTAMP(6)
   WHERE one = 1;
  COMMIT;
END;

-- The batches of the rows in retention_rewrite, for vestige_retention_seals.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost PROCEDURE vestige_retention_harvest()
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  EXECUTE IMMEDIATE 'INSERT IGNORE INTO retention_seal (host_id, batch)'
    ' SELECT DISTINCT host_id, batch FROM retention_rewrite WHERE batch > 0';
  EXECUTE IMMEDIATE 'INSERT IGNORE INTO retention_seal (host_id, batch)'
    ' SELECT DISTINCT host_id, end_batch FROM retention_rewrite WHERE end_batch <> batch';
  EXECUTE IMMEDIATE 'INSERT IGNORE INTO retention_seal (host_id, batch)'
    ' SELECT DISTINCT host_id, settle_batch FROM retention_rewrite WHERE settle_batch IS NOT NULL';
  COMMIT;
END;

-- A change of a table's form, again as long as somebody holds the table.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost PROCEDURE vestige_retention_do(IN change_text LONGTEXT)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE n_attempts INT DEFAULT 0;

  attempt: LOOP
    SET n_attempts = n_attempts + 1;
    BEGIN
      DECLARE EXIT HANDLER FOR 1205, 1213
      BEGIN
        IF n_attempts >= 6 THEN
          RESIGNAL;
        END IF;
        CALL vestige_kill_agents();
        DO SLEEP(n_attempts - 1);
      END;
      EXECUTE IMMEDIATE change_text;
      LEAVE attempt;
    END;
  END LOOP;
END;

-- Opens the gate and removes the table that the exchange needs. Of an exchange that may have been
-- made or not, the row that had to go tells: if it is still in its table, nothing was dropped.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost PROCEDURE vestige_retention_mend(IN at_end TINYINT)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE left_step, left_table, left_partition VARCHAR(64);
  DECLARE log_end, gone_id BIGINT UNSIGNED;
  DECLARE gone_host INT UNSIGNED;
  DECLARE gone_day DATE;

  SELECT step, table_name, partition_name, last_log, probe_host, probe_id, probe_day
    INTO left_step, left_table, left_partition, log_end, gone_host, gone_id, gone_day
    FROM retention_step WHERE one = 1;
  IF left_step = 'exchange' THEN
    SET @vestige_n = 0;
    EXECUTE IMMEDIATE CONCAT('SELECT COUNT(*) INTO @vestige_n FROM `', left_table, '` WHERE host_id = ?'
                             ' AND id = ? AND day = ?') USING gone_host, gone_id, gone_day;
    IF @vestige_n = 0 THEN
      SET left_step = 'drop';
    ELSE
      DELETE FROM retention_log WHERE id > log_end
         AND run_id = (SELECT run_id FROM retention_step WHERE one = 1) AND table_name = left_table;
      COMMIT;
    END IF;
  END IF;
  CALL vestige_retention_do('DROP TRIGGER IF EXISTS retention_gate_insert');
  CALL vestige_retention_do('DROP TRIGGER IF EXISTS retention_gate_update');
  IF left_step = 'drop' AND EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE()
                                       AND table_name = 'retention_rewrite') THEN
    CALL vestige_retention_harvest();
  END IF;
  CALL vestige_retention_do('DROP TABLE IF EXISTS retention_rewrite');
  IF at_end THEN
    CALL vestige_retention_do('DROP TABLE IF EXISTS retention_form');
  END IF;
  CALL vestige_retention_step(NULL, NULL, NULL);
END;

-- Takes the guard; `run` stays NULL when another run has it. A run whose connection is gone, or that is
-- of a server that has been started since, is over; of another node of a cluster only time can tell.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_retention_begin(OUT run BIGINT UNSIGNED)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE other_run, other_connection BIGINT UNSIGNED;
  DECLARE other_node VARCHAR(255);
  DECLARE other_step VARCHAR(200);
  DECLARE other_moved, server_start DATETIME(6);
  DECLARE is_over INT;
  DECLARE my_node VARCHAR(255) DEFAULT CONCAT_WS(' ', @@hostname, @@socket);
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;

  SET run = NULL;
  SELECT UTC_TIMESTAMP(6) - INTERVAL variable_value SECOND INTO server_start
    FROM information_schema.global_status WHERE variable_name = 'UPTIME';
  COMMIT;
  START TRANSACTION;
  SELECT run_id, node, connection, moved_at, CONCAT_WS(' ', step, table_name, partition_name)
    INTO other_run, other_node, other_connection, other_moved, other_step
    FROM retention_step WHERE one = 1 FOR UPDATE;
  SET is_over = other_run IS NULL
    OR (other_node = my_node
        AND (other_connection = CONNECTION_ID() OR other_moved < server_start
             OR NOT EXISTS (SELECT 1 FROM information_schema.processlist
                             WHERE id = other_connection AND command NOT IN ('Sleep', 'Daemon'))))
    OR (other_node <> my_node AND other_moved < UTC_TIMESTAMP(6) - INTERVAL 12 HOUR);
  IF is_over THEN
    INSERT INTO maintenance_run (name, started_at, result, message)
    VALUES ('retention', UTC_TIMESTAMP(6), 'running', '');
    SET run = LAST_INSERT_ID();
    UPDATE maintenance_run
       SET result = 'failure', finished_at = UTC_TIMESTAMP(6),
           message = CONCAT('it was interrupted: ', COALESCE(NULLIF(other_step, ''), 'between two steps'))
     WHERE id = other_run AND result = 'running';
    UPDATE retention_step SET node = my_node, connection = CONNECTION_ID(), moved_at = UTC_TIMESTAMP(6)
     WHERE one = 1;
  END IF;
  COMMIT;
  IF is_over THEN
    CALL vestige_retention_mend(1);
    UPDATE retention_step SET run_id = run WHERE one = 1;
    COMMIT;
  END IF;
END;

-- --- what may go: the tables, the holds

-- Into vestige_retention_table: each table whose policy lets rows go, with its horizon, the columns that
-- can be copied, and the condition under which a hold covers a row `x` of it. A hold of a user holds of
-- the same hosts and time also what is no user's: addresses, devices, accounts, what was watched.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_retention_tables(IN today DATE)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE n_holds, n_user_holds INT;
  DECLARE a_hold, users, is_held TEXT;

  CREATE OR REPLACE TEMPORARY TABLE vestige_retention_table (
    n           INT UNSIGNED    NOT NULL AUTO_INCREMENT,
    name        VARCHAR(64)     NOT NULL,
    horizon     DATETIME(6)     NOT NULL,
    first_day   DATE            NOT NULL COMMENT 'that stays',
    first_id    BIGINT UNSIGNED NOT NULL,
    partitioned TINYINT         NOT NULL,
    has_process TINYINT         NOT NULL,
    is_held     TEXT            NOT NULL,
    columns     TEXT            NOT NULL,
    PRIMARY KEY (n),
    UNIQUE KEY name (name)
  ) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
  CREATE OR REPLACE TEMPORARY TABLE vestige_held_process (
    host_id INT UNSIGNED    NOT NULL,
    id      BIGINT UNSIGNED NOT NULL,
    hold_id BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (host_id, id, hold_id)
  ) ENGINE = InnoDB;

  UPDATE retention_step SET last_hold = (SELECT COALESCE(MAX(id), 0) FROM hold)
   WHERE one = 1 AND connection = CONNECTION_ID() AND run_id IS NOT NULL;
  COMMIT;
  SELECT COUNT(*), COALESCE(SUM(login_uid IS NOT NULL OR username IS NOT NULL), 0)
    INTO n_holds, n_user_holds FROM hold WHERE released_at IS NULL;
  SET a_hold = 'EXISTS (SELECT 1 FROM hold h WHERE h.released_at IS NULL'
               ' AND (h.host_id IS NULL OR h.host_id = x.host_id)'
               ' AND (h.until IS NULL OR x.created_at <= h.until)'
               ' AND (h.since IS NULL OR x.destroyed_at IS NULL OR x.destroyed_at >= h.since)';
  FOR t IN (SELECT c.table_name AS name,
                   GROUP_CONCAT(IF(c.is_generated = 'NEVER', CONCAT('`', c.column_name, '`'), NULL)
                                ORDER BY c.ordinal_position) AS copied,
                   SUM(c.column_name = 'process_id') AS has_process,
                   SUM(c.column_name = 'login_uid') AS has_login_uid, SUM(c.column_name = 'uid') AS has_uid,
                   SUM(c.column_name = 'login_username') AS has_login_name,
                   MAX(p.partition_name IS NOT NULL) AS is_partitioned,
                   MAX(COALESCE(own.table_name, every.table_name)) AS has_policy,
                   MAX(IF(own.table_name IS NULL, every.keep_days, own.keep_days)) AS days
              FROM information_schema.columns c
              LEFT JOIN information_schema.partitions p ON p.table_schema = c.table_schema
               AND p.table_name = c.table_name AND p.partition_name = 'p_later'
              LEFT JOIN retention own ON own.table_name = c.table_name
              LEFT JOIN retention every ON every.table_name = '*'
             WHERE c.table_schema = DATABASE()
               AND (p.partition_name IS NOT NULL OR c.table_name IN ('host', 'boot', 'coverage', 'gap'))
             GROUP BY c.table_name ORDER BY c.table_name) DO
    IF t.days IS NOT NULL THEN
      SET users = CASE
        WHEN t.name = 'process_change' THEN ' AND h.login_uid IS NULL AND h.username IS NULL'
        WHEN t.name IN ('process', 'endpoint', 'file_access', 'kernel_event', 'session', 'auth_attempt') THEN
          CONCAT(' AND ((h.login_uid IS NULL AND h.username IS NULL)',
                 IF(t.has_login_uid, ' OR x.login_uid = h.login_uid', ''),
                 IF(t.has_uid, ' OR x.uid = h.login_uid', ''),
                 IF(t.has_login_name, ' OR x.login_username = h.username', ''),
                 ' OR x.username = h.username)')
        ELSE '' END;
      SET is_held = IF(n_holds = 0, 'FALSE', CONCAT(a_hold, users, ')'));
      IF n_user_holds > 0 AND t.has_process THEN
        SET is_held = CONCAT('(', is_held, ' OR ', a_hold, ' AND EXISTS (SELECT 1 FROM vestige_held_process p'
                             ' WHERE p.host_id = x.host_id AND p.id = x.process_id AND p.hold_id = h.id)))');
      END IF;
      INSERT INTO vestige_retention_table (name, horizon, first_day, first_id, partitioned, has_process,
                                           is_held, columns)
      VALUES (t.name, today - INTERVAL t.days DAY, today - INTERVAL t.days DAY,
              TIMESTAMPDIFF(MICROSECOND, '1970-01-01', today - INTERVAL t.days DAY), t.is_partitioned,
              t.has_process, is_held, t.copied);
    END IF;
  END FOR;
  -- The processes of held users, for rows that know their process and not its user.
  IF n_user_holds > 0 THEN
    INSERT INTO vestige_held_process
    SELECT DISTINCT x.host_id, x.id, h.id
      FROM process x
      JOIN hold h ON h.released_at IS NULL AND (h.login_uid IS NOT NULL OR h.username IS NOT NULL)
       AND (h.host_id IS NULL OR h.host_id = x.host_id) AND (h.until IS NULL OR x.created_at <= h.until)
       AND (h.since IS NULL OR x.destroyed_at IS NULL OR x.destroyed_at >= h.since)
       AND (x.login_uid = h.login_uid OR x.uid = h.login_uid OR x.login_username = h.username
            OR x.username = h.username)
     WHERE x.day < (SELECT MAX(first_day) FROM vestige_retention_table WHERE has_process);
  END IF;
END;

-- Into vestige_retention_part: what has days behind the horizon. What is before the first day has no
-- partition of its own, and is looked at whatever its bound.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost PROCEDURE vestige_retention_parts()
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  CREATE OR REPLACE TEMPORARY TABLE vestige_retention_part (
    n       INT UNSIGNED    NOT NULL,
    place   INT UNSIGNED    NOT NULL,
    name    VARCHAR(64)     NULL COMMENT 'NULL: the table has no partitions',
    n_rows  BIGINT UNSIGNED NULL COMMENT 'before they were looked at',
    n_bytes DOUBLE          NULL COMMENT 'of a row, about',
    PRIMARY KEY (n, place)
  ) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
  INSERT INTO vestige_retention_part (n, place, name, n_bytes)
  SELECT t.n, COALESCE(p.partition_ordinal_position, 1), p.partition_name,
         (p.data_length + p.index_length) / NULLIF(p.table_rows, 0)
    FROM vestige_retention_table t
    JOIN information_schema.partitions p ON p.table_schema = DATABASE() AND p.table_name = t.name
   WHERE p.partition_name IS NULL OR p.partition_name = 'p_before'
      OR (p.partition_description <> 'MAXVALUE'
          AND CAST(TRIM(BOTH '''' FROM p.partition_description) AS DATE) <= t.first_day);
END;

-- --- what stays: vestige_keep

-- The rows of one part that stay for a reason of their own.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_retention_look(IN table_n INT UNSIGNED, IN part_place INT UNSIGNED)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE t_name, p_name VARCHAR(64);
  DECLARE t_horizon DATETIME(6);
  DECLARE t_day DATE;
  DECLARE t_held, part, named TEXT;

  SELECT t.name, t.horizon, t.first_day, t.is_held, p.name INTO t_name, t_horizon, t_day, t_held, p_name
    FROM vestige_retention_table t JOIN vestige_retention_part p ON p.n = t.n
   WHERE t.n = table_n AND p.place = part_place;
  SET part = CONCAT('`', t_name, '`', COALESCE(CONCAT(' PARTITION (`', p_name, '`)'), ''));
  SET named = IF(EXISTS (SELECT 1 FROM vestige_keep_named WHERE n = table_n),
                 CONCAT(' WHEN EXISTS (SELECT 1 FROM vestige_keep_named k WHERE k.n = ', table_n,
                        ' AND k.host_id = x.host_id AND k.id = x.id) THEN ''referred'''), '');
  SET @vestige_n = 0;
  EXECUTE IMMEDIATE CONCAT('SELECT COUNT(*) INTO @vestige_n FROM ', part);
  UPDATE vestige_retention_part SET n_rows = @vestige_n WHERE n = table_n AND place = part_place;
  -- Whether a batch is late is asked for last, and of rows of one batch one after the other.
  EXECUTE IMMEDIATE CONCAT(
    'INSERT IGNORE INTO vestige_keep (n, host_id, id, day, reason, batch, settle_batch, end_batch)'
    ' SELECT ', table_n, ', c.* FROM (SELECT x.host_id, x.id, x.day, CASE WHEN x.day >= ? THEN ''inside'''
    ' WHEN x.destroyed_at IS NULL THEN ''open'' WHEN x.destroyed_at >= ? THEN ''ended'''
    ' WHEN ', t_held, ' THEN ''held'''
    ' WHEN EXISTS (SELECT 1 FROM batch b WHERE b.host_id = x.host_id AND b.batch = x.batch AND b.received_at >= ?)'
    ' OR (x.settle_batch IS NOT NULL AND EXISTS (SELECT 1 FROM batch b WHERE b.host_id = x.host_id'
    ' AND b.batch = x.settle_batch AND b.received_at >= ?))'
    ' OR (x.end_batch <> x.batch AND EXISTS (SELECT 1 FROM batch b WHERE b.host_id = x.host_id'
    ' AND b.batch = x.end_batch AND b.received_at >= ?)) THEN ''late''', named, ' END AS reason,'
    ' x.batch, x.settle_batch, x.end_batch FROM ', part, ' x) c WHERE c.reason IS NOT NULL')
  USING t_day, t_horizon, t_horizon, t_horizon, t_horizon;
END;

-- Of one table: the processes that its rows refer to, those that stay and those in the window. In the
-- window these are found by the key (host_id, process_id), which only needs to be read where it has
-- old ids.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_retention_refer(IN referring VARCHAR(64), IN process_n INT UNSIGNED,
                                    IN process_id_end BIGINT UNSIGNED)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE referring_n INT UNSIGNED;
  DECLARE since DATE DEFAULT '1000-01-01';
  DECLARE id_column VARCHAR(64) DEFAULT IF(referring = 'process', 'parent_id', 'process_id');
  DECLARE has_key INT;

  SELECT MAX(n), COALESCE(MAX(first_day), since) INTO referring_n, since
    FROM vestige_retention_table WHERE name = referring;
  IF referring_n IS NOT NULL AND referring <> 'process' THEN
    EXECUTE IMMEDIATE CONCAT(
      'INSERT IGNORE INTO vestige_reference (host_id, id, level) SELECT x.host_id, x.process_id, 0'
      ' FROM vestige_keep k STRAIGHT_JOIN `', referring, '` x ON x.host_id = k.host_id AND x.id = k.id'
      ' AND x.day = k.day WHERE k.n = ? AND x.process_id < ?') USING referring_n, process_id_end;
  END IF;
  SELECT COUNT(*) INTO has_key FROM information_schema.statistics
   WHERE table_schema = DATABASE() AND table_name = referring AND column_name = id_column AND seq_in_index = 2;
  IF has_key THEN
    FOR h IN (SELECT host_id FROM enrolment UNION SELECT host_id FROM batch GROUP BY host_id) DO
      EXECUTE IMMEDIATE CONCAT(
        'INSERT IGNORE INTO vestige_reference (host_id, id, level) SELECT host_id, ', id_column, ', 0 FROM `',
        referring, '` WHERE host_id = ? AND ', id_column, ' < ? AND day >= ?')
      USING h.host_id, process_id_end, since;
    END FOR;
  ELSE
    EXECUTE IMMEDIATE CONCAT(
      'INSERT IGNORE INTO vestige_reference (host_id, id, level) SELECT host_id, ', id_column, ', 0 FROM `',
      referring, '` WHERE ', id_column, ' < ? AND day >= ?') USING process_id_end, since;
  END IF;
  -- An image that was replaced around the horizon may have been recorded before it.
  IF referring = 'process' THEN
    INSERT IGNORE INTO vestige_reference (host_id, id, level)
    SELECT host_id, previous_id, 0 FROM process WHERE day = since AND previous_id < process_id_end;
    INSERT IGNORE INTO vestige_reference (host_id, id, level)
    SELECT x.host_id, x.parent_id, 0 FROM vestige_keep k STRAIGHT_JOIN process x ON x.host_id = k.host_id
       AND x.id = k.id AND x.day = k.day WHERE k.n = process_n AND x.parent_id < process_id_end;
    INSERT IGNORE INTO vestige_reference (host_id, id, level)
    SELECT x.host_id, x.previous_id, 0 FROM vestige_keep k STRAIGHT_JOIN process x ON x.host_id = k.host_id
       AND x.id = k.id AND x.day = k.day WHERE k.n = process_n AND x.previous_id < process_id_end;
  END IF;
END;

-- From what is referred to on to what that refers to, level by level: parents, former images, the session
-- and its leader. All of it is behind the horizon.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_retention_close(IN process_n INT UNSIGNED, IN process_day DATE,
                                    IN process_id_end BIGINT UNSIGNED)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE depth INT UNSIGNED DEFAULT 0;
  DECLARE n_more, n_sessions INT DEFAULT 1;
  DECLARE session_n INT UNSIGNED;
  DECLARE session_day DATE;

  SELECT MAX(n), MAX(first_day) INTO session_n, session_day FROM vestige_retention_table WHERE name = 'session';
  WHILE n_sessions > 0 DO
    SET n_more = 1, n_sessions = 0;
    WHILE n_more > 0 DO
      INSERT IGNORE INTO vestige_keep (n, host_id, id, day, reason, batch, settle_batch, end_batch)
      SELECT process_n, x.host_id, x.id, x.day, 'referred', x.batch, x.settle_batch, x.end_batch
        FROM vestige_reference r STRAIGHT_JOIN process x ON x.host_id = r.host_id AND x.id = r.id
         AND x.day = DATE('1970-01-01' + INTERVAL r.id DIV 1000000 SECOND)
       WHERE r.level = depth AND x.day < process_day;
      INSERT IGNORE INTO vestige_reference (host_id, id, level)
      SELECT x.host_id, x.parent_id, depth + 1
        FROM vestige_reference r STRAIGHT_JOIN process x ON x.host_id = r.host_id AND x.id = r.id
         AND x.day = DATE('1970-01-01' + INTERVAL r.id DIV 1000000 SECOND)
       WHERE r.level = depth AND x.parent_id < process_id_end;
      SET n_more = ROW_COUNT();
      INSERT IGNORE INTO vestige_reference (host_id, id, level)
      SELECT x.host_id, x.previous_id, depth + 1
        FROM vestige_reference r STRAIGHT_JOIN process x ON x.host_id = r.host_id AND x.id = r.id
         AND x.day = DATE('1970-01-01' + INTERVAL r.id DIV 1000000 SECOND)
       WHERE r.level = depth AND x.previous_id < process_id_end;
      SET n_more = n_more + ROW_COUNT(), depth = depth + 1;
    END WHILE;
    IF session_n IS NOT NULL THEN
      INSERT IGNORE INTO vestige_kept_session (host_id, boot_id, session_id)
      SELECT x.host_id, x.boot_id, x.session_id FROM vestige_keep k STRAIGHT_JOIN process x
          ON x.host_id = k.host_id AND x.id = k.id AND x.day = k.day
       WHERE k.n = process_n AND x.session_id IS NOT NULL;
      INSERT IGNORE INTO vestige_keep (n, host_id, id, day, reason, batch, settle_batch, end_batch)
      SELECT session_n, s.host_id, s.id, s.day, 'referred', s.batch, s.settle_batch, s.end_batch
        FROM session s STRAIGHT_JOIN vestige_kept_session k ON k.host_id = s.host_id AND k.boot_id = s.boot_id
         AND k.session_id = s.session_id WHERE s.day < session_day;
      SET n_sessions = ROW_COUNT();
      INSERT IGNORE INTO vestige_reference (host_id, id, level)
      SELECT s.host_id, s.process_id, depth FROM vestige_keep k STRAIGHT_JOIN session s
          ON s.host_id = k.host_id AND s.id = k.id AND s.day = k.day
       WHERE k.n = session_n AND s.process_id < process_id_end;
      SET n_sessions = n_sessions + ROW_COUNT();
    END IF;
  END WHILE;
END;

-- What belongs to what stays: the last changes of its processes, how its sessions were logged in, its
-- boots, and what its hosts were then.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_retention_belong(IN process_n INT UNSIGNED)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE session_n INT UNSIGNED;
  DECLARE process_day, session_day DATE;

  SELECT COALESCE(MAX(first_day), '1000-01-01') INTO process_day FROM vestige_retention_table WHERE name = 'process';
  SELECT MAX(n), COALESCE(MAX(first_day), '1000-01-01') INTO session_n, session_day
    FROM vestige_retention_table WHERE name = 'session';
  FOR t IN (SELECT n, name, horizon, first_day FROM vestige_retention_table) DO
    CASE t.name
    WHEN 'process_change' THEN
      INSERT IGNORE INTO vestige_keep (n, host_id, id, day, reason, batch, settle_batch, end_batch)
      SELECT t.n, x.host_id, x.id, x.day, 'referred', x.batch, x.settle_batch, x.end_batch
        FROM (SELECT host_id, process_id, MAX(id) AS id FROM process_change WHERE day < t.first_day
               GROUP BY host_id, process_id, kind) newest
        JOIN process p ON p.host_id = newest.host_id AND p.id = newest.process_id
         AND p.day = DATE('1970-01-01' + INTERVAL newest.process_id DIV 1000000 SECOND)
        JOIN process_change x ON x.host_id = newest.host_id AND x.id = newest.id
         AND x.day = DATE('1970-01-01' + INTERVAL newest.id DIV 1000000 SECOND)
       WHERE p.day >= process_day
          OR EXISTS (SELECT 1 FROM vestige_keep k WHERE k.n = process_n AND k.host_id = p.host_id AND k.id = p.id);
    WHEN 'auth_attempt' THEN
      INSERT IGNORE INTO vestige_keep (n, host_id, id, day, reason, batch, settle_batch, end_batch)
      SELECT t.n, x.host_id, x.id, x.day, 'referred', x.batch, x.settle_batch, x.end_batch
        FROM (SELECT s.host_id, s.process_id FROM vestige_keep k STRAIGHT_JOIN session s
                  ON s.host_id = k.host_id AND s.id = k.id AND s.day = k.day WHERE k.n = session_n
               UNION
              SELECT host_id, process_id FROM session WHERE day >= session_day) leader
        JOIN auth_attempt x ON x.host_id = leader.host_id AND x.process_id = leader.process_id
       WHERE x.day < t.first_day;
    WHEN 'boot' THEN
      INSERT IGNORE INTO vestige_keep (n, host_id, id, day, reason, batch, settle_batch, end_batch)
      SELECT t.n, x.host_id, x.id, x.day, 'referred', x.batch, x.settle_batch, x.end_batch
        FROM (SELECT DISTINCT p.host_id, p.boot_id FROM vestige_keep k STRAIGHT_JOIN process p
                  ON p.host_id = k.host_id AND p.id = k.id AND p.day = k.day WHERE k.n = process_n) kept
        JOIN boot x ON x.host_id = kept.host_id AND x.boot_id = kept.boot_id WHERE x.day < t.first_day
       UNION
      SELECT t.n, x.host_id, x.id, x.day, 'referred', x.batch, x.settle_batch, x.end_batch FROM boot x
       WHERE x.day < t.first_day AND x.destroyed_at >= process_day
         AND EXISTS (SELECT 1 FROM process p WHERE p.host_id = x.host_id AND p.day >= process_day
                        AND p.id BETWEEN TIMESTAMPDIFF(MICROSECOND, '1970-01-01', x.created_at)
                                     AND TIMESTAMPDIFF(MICROSECOND, '1970-01-01', x.destroyed_at)
                        AND p.boot_id = x.boot_id);
    WHEN 'host' THEN
      INSERT IGNORE INTO vestige_keep (n, host_id, id, day, reason, batch, settle_batch, end_batch)
      SELECT t.n, x.host_id, x.id, x.day, 'referred', x.batch, x.settle_batch, x.end_batch
        FROM host x
       WHERE x.day < t.first_day
         AND (EXISTS (SELECT 1 FROM vestige_keep k WHERE k.n = process_n AND k.host_id = x.host_id
                         AND k.id BETWEEN TIMESTAMPDIFF(MICROSECOND, '1970-01-01', x.created_at)
                                      AND TIMESTAMPDIFF(MICROSECOND, '1970-01-01', x.destroyed_at))
           OR (x.destroyed_at >= process_day
               AND EXISTS (SELECT 1 FROM process p WHERE p.host_id = x.host_id AND p.day >= process_day
                              AND p.id BETWEEN TIMESTAMPDIFF(MICROSECOND, '1970-01-01', x.created_at)
                                           AND TIMESTAMPDIFF(MICROSECOND, '1970-01-01', x.destroyed_at))));
    ELSE DO 0;
    END CASE;
  END FOR;
END;

-- Sessions that are over, of processes that are kept longer: one that began in the session's life tells.
-- With one horizon for both there are none.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost PROCEDURE vestige_retention_sessions()
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE process_day DATE;

  SELECT COALESCE(MAX(first_day), '1000-01-01') INTO process_day FROM vestige_retention_table WHERE name = 'process';
  INSERT IGNORE INTO vestige_keep (n, host_id, id, day, reason, batch, settle_batch, end_batch)
  SELECT t.n, s.host_id, s.id, s.day, 'referred', s.batch, s.settle_batch, s.end_batch
    FROM vestige_retention_table t JOIN session s ON s.day < t.first_day AND s.destroyed_at >= process_day
   WHERE t.name = 'session'
     AND EXISTS (SELECT 1 FROM process p WHERE p.host_id = s.host_id AND p.day >= process_day
                    AND p.id BETWEEN TIMESTAMPDIFF(MICROSECOND, '1970-01-01', s.created_at)
                                 AND TIMESTAMPDIFF(MICROSECOND, '1970-01-01', s.destroyed_at)
                    AND p.boot_id = s.boot_id AND p.session_id = s.session_id);
END;

-- All that stays, of all tables. Findings come first: the rows that they name stay with them.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost PROCEDURE vestige_retention_survey()
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE process_n INT UNSIGNED;
  DECLARE process_day, finding_day DATE;
  DECLARE process_id_end BIGINT UNSIGNED DEFAULT 0;

  CREATE OR REPLACE TEMPORARY TABLE vestige_keep (
    n            INT UNSIGNED    NOT NULL,
    host_id      INT UNSIGNED    NOT NULL,
    id           BIGINT UNSIGNED NOT NULL,
    day          DATE            NOT NULL,
    reason       ENUM('inside','open','ended','held','late','referred') NOT NULL,
    batch        BIGINT UNSIGNED NOT NULL,
    settle_batch BIGINT UNSIGNED NULL,
    end_batch    BIGINT UNSIGNED NULL,
    PRIMARY KEY (n, host_id, id, day)
  ) ENGINE = InnoDB;
  CREATE OR REPLACE TEMPORARY TABLE vestige_keep_named (
    n       INT UNSIGNED    NOT NULL,
    host_id INT UNSIGNED    NOT NULL,
    id      BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (n, host_id, id)
  ) ENGINE = InnoDB;
  CREATE OR REPLACE TEMPORARY TABLE vestige_reference (
    host_id INT UNSIGNED    NOT NULL,
    id      BIGINT UNSIGNED NOT NULL,
    level   INT UNSIGNED    NOT NULL,
    PRIMARY KEY (host_id, id),
    KEY level (level)
  ) ENGINE = InnoDB;
  CREATE OR REPLACE TEMPORARY TABLE vestige_kept_session (
    host_id    INT UNSIGNED NOT NULL,
    boot_id    UUID         NOT NULL,
    session_id INT UNSIGNED NOT NULL,
    PRIMARY KEY (host_id, boot_id, session_id)
  ) ENGINE = InnoDB;

  SELECT MAX(n), MAX(first_day), COALESCE(MAX(first_id), 0) INTO process_n, process_day, process_id_end
    FROM vestige_retention_table WHERE name = 'process';
  FOR p IN (SELECT p.n, p.place FROM vestige_retention_part p JOIN vestige_retention_table t ON t.n = p.n
             WHERE t.name = 'finding') DO
    CALL vestige_retention_look(p.n, p.place);
  END FOR;
  SELECT COALESCE(MAX(first_day), '1000-01-01') INTO finding_day
    FROM vestige_retention_table WHERE name = 'finding';
  INSERT IGNORE INTO vestige_keep_named (n, host_id, id)
  SELECT t.n, named.host_id, named.id
    FROM finding f
    LEFT JOIN vestige_keep k ON k.host_id = f.host_id AND k.id = f.id AND k.day = f.day
     AND k.n = (SELECT n FROM vestige_retention_table WHERE name = 'finding')
    JOIN JSON_TABLE(f.row_keys, '$[*]' COLUMNS (name VARCHAR(64) PATH '$.table',
           host_id INT UNSIGNED PATH '$.host_id', id BIGINT UNSIGNED PATH '$.id')) named
    JOIN vestige_retention_table t ON t.name = CONVERT(named.name USING utf8mb4) COLLATE utf8mb4_nopad_bin
   WHERE f.row_keys IS NOT NULL AND (f.day >= finding_day OR k.id IS NOT NULL)
     AND named.host_id IS NOT NULL AND named.id < t.first_id;
  FOR p IN (SELECT p.n, p.place FROM vestige_retention_part p JOIN vestige_retention_table t ON t.n = p.n
             WHERE t.name <> 'finding') DO
    CALL vestige_retention_look(p.n, p.place);
  END FOR;
  CALL vestige_retention_sessions();
  IF process_n IS NOT NULL THEN
    FOR t IN (SELECT c.table_name AS name FROM information_schema.columns c
               JOIN information_schema.partitions p ON p.table_schema = c.table_schema
                AND p.table_name = c.table_name AND p.partition_name = 'p_later'
               WHERE c.table_schema = DATABASE() AND (c.column_name = 'process_id'
                  OR (c.table_name = 'process' AND c.column_name = 'parent_id'))) DO
      CALL vestige_retention_refer(t.name, process_n, process_id_end);
    END FOR;
    CALL vestige_retention_close(process_n, process_day, process_id_end);
  END IF;
  CALL vestige_retention_belong(process_n);
END;

-- --- what goes: vestige_retention_plan, per part, day and host

CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_retention_count(IN table_n INT UNSIGNED, IN part_place INT UNSIGNED)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE t_name, p_name VARCHAR(64);
  DECLARE t_day DATE;
  DECLARE row_bytes DOUBLE;

  SELECT t.name, t.first_day, p.name, COALESCE(p.n_bytes, 0) INTO t_name, t_day, p_name, row_bytes
    FROM vestige_retention_table t JOIN vestige_retention_part p ON p.n = t.n
   WHERE t.n = table_n AND p.place = part_place;
  DELETE FROM vestige_retention_plan WHERE n = table_n AND place = part_place;
  EXECUTE IMMEDIATE CONCAT(
    'INSERT INTO vestige_retention_plan (n, place, table_name, day, host_id, n_rows, n_open, n_ended, n_held,'
    ' n_late, n_referred, n_dropped, first_id, last_id, n_bytes)'
    ' SELECT ', table_n, ', ', part_place, ', ''', t_name, ''', x.day, x.host_id, COUNT(*),'
    ' COALESCE(SUM(k.reason = ''open''), 0), COALESCE(SUM(k.reason = ''ended''), 0),'
    ' COALESCE(SUM(k.reason = ''held''), 0), COALESCE(SUM(k.reason = ''late''), 0),'
    ' COALESCE(SUM(k.reason = ''referred''), 0), SUM(k.id IS NULL),'
    ' MIN(IF(k.id IS NULL, x.id, NULL)), MAX(IF(k.id IS NULL, x.id, NULL)), ROUND(SUM(k.id IS NULL) * ?)'
    ' FROM `', t_name, '`', COALESCE(CONCAT(' PARTITION (`', p_name, '`)'), ''), ' x'
    ' LEFT JOIN vestige_keep k ON k.n = ', table_n, ' AND k.host_id = x.host_id AND k.id = x.id'
    ' AND k.day = x.day WHERE x.day < ? GROUP BY x.day, x.host_id') USING row_bytes, t_day;
END;

-- A refused line lived after this, however late it arrived.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  FUNCTION vestige_batch_begin(of_host INT UNSIGNED, of_batch BIGINT UNSIGNED) RETURNS DATETIME(6)
  SQL SECURITY DEFINER READS SQL DATA
  RETURN (SELECT COALESCE(MIN(first_time), '1970-01-01') FROM batch WHERE host_id = of_host AND batch = of_batch);

-- What is behind the horizon of the table that keeps longest: refused lines, runs, notifications.
-- The runs of this job stay.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_retention_count_records(IN horizon DATETIME(6))
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  INSERT INTO vestige_retention_plan (n, place, table_name, day, host_id, n_rows, n_held, n_dropped, n_bytes)
  SELECT 0, 0, 'rejected', DATE(x.received_at), x.host_id, COUNT(*), SUM(x.is_held), SUM(NOT x.is_held),
         SUM(IF(x.is_held, 0, x.n_bytes))
    FROM (SELECT r.received_at, r.host_id, LENGTH(r.text) AS n_bytes,
                 EXISTS (SELECT 1 FROM hold h WHERE h.released_at IS NULL
                            AND (h.host_id IS NULL OR h.host_id = r.host_id)
                            AND (h.until IS NULL OR vestige_batch_begin(r.host_id, r.batch) <= h.until)
                            AND (h.since IS NULL OR r.received_at >= h.since)) AS is_held
            FROM rejected r WHERE r.received_at < horizon) x
   GROUP BY DATE(x.received_at), x.host_id;
  INSERT INTO vestige_retention_plan (n, place, table_name, day, n_rows, n_dropped)
  SELECT 0, 0, 'maintenance_run', DATE(started_at), COUNT(*), COUNT(*) FROM maintenance_run
   WHERE started_at < horizon AND name <> 'retention' GROUP BY DATE(started_at)
  UNION ALL
  SELECT 0, 0, 'schedule_run', DATE(started_at), COUNT(*), COUNT(*) FROM schedule_run
   WHERE started_at < horizon GROUP BY DATE(started_at)
  UNION ALL
  SELECT 0, 0, 'notification', DATE(attempted_at), COUNT(*), COUNT(*) FROM notification
   WHERE attempted_at < horizon GROUP BY DATE(attempted_at);
END;

-- --- the work

-- A hold that came after the look covers rows that are about to go: the run ends, and begins anew.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost PROCEDURE vestige_retention_check_holds()
  SQL SECURITY DEFINER READS SQL DATA
BEGIN
  IF (SELECT last_hold FROM retention_step WHERE one = 1) < (SELECT COALESCE(MAX(id), 0) FROM hold) THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'a hold was added during the run, which has to begin anew';
  END IF;
END;

CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_retention_gate(IN t_name VARCHAR(64), IN first_day DATE)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE refusal TEXT DEFAULT
    ' THEN SIGNAL SQLSTATE ''HY000'' SET MYSQL_ERRNO = 1205, MESSAGE_TEXT ='
    ' ''retention rewrites old rows of this table; ship the batch again''; END IF';

  CALL vestige_retention_do(CONCAT('CREATE OR REPLACE TRIGGER retention_gate_insert BEFORE INSERT ON `', t_name,
    '` FOR EACH ROW IF NEW.day < ''', first_day, '''', refusal));
  CALL vestige_retention_do(CONCAT('CREATE OR REPLACE TRIGGER retention_gate_update BEFORE UPDATE ON `', t_name,
    '` FOR EACH ROW IF OLD.day < ''', first_day, '''', refusal));
END;

CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_retention_rewrite(IN run BIGINT UNSIGNED, IN table_n INT UNSIGNED,
                                      IN part_place INT UNSIGNED)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE t_name, p_name VARCHAR(64);
  DECLARE t_horizon DATETIME(6);
  DECLARE t_day, process_day DATE;
  DECLARE t_columns TEXT;
  DECLARE was, n_dropping, process_id_end BIGINT UNSIGNED;
  DECLARE process_n INT UNSIGNED;
  DECLARE part TEXT;

  SELECT t.name, t.horizon, t.first_day, t.columns, p.name, p.n_rows
    INTO t_name, t_horizon, t_day, t_columns, p_name, was
    FROM vestige_retention_table t JOIN vestige_retention_part p ON p.n = t.n
   WHERE t.n = table_n AND p.place = part_place;
  SET part = CONCAT('`', t_name, '` PARTITION (`', p_name, '`)');

  CALL vestige_retention_step('gate', t_name, p_name);
  CALL vestige_retention_gate(t_name, t_day);
  -- What came between the look and the gate is looked at now; rows do not go by themselves.
  EXECUTE IMMEDIATE CONCAT('SELECT COUNT(*) INTO @vestige_n FROM ', part);
  IF @vestige_n <> was THEN
    CALL vestige_retention_look(table_n, part_place);
    SELECT MAX(n), MAX(first_day), MAX(first_id) INTO process_n, process_day, process_id_end
      FROM vestige_retention_table WHERE name = 'process';
    IF process_n IS NOT NULL THEN
      IF t_name = 'process' OR (SELECT has_process FROM vestige_retention_table WHERE n = table_n) THEN
        CALL vestige_retention_refer(t_name, process_n, process_id_end);
      END IF;
      CALL vestige_retention_close(process_n, process_day, process_id_end);
    END IF;
    CALL vestige_retention_belong(process_n);
  END IF;
  CALL vestige_retention_count(table_n, part_place);
  SELECT COALESCE(SUM(n_dropped), 0) INTO n_dropping FROM vestige_retention_plan
   WHERE n = table_n AND place = part_place;

  IF n_dropping > 0 THEN
    CALL vestige_retention_step('copy', t_name, p_name);
    EXECUTE IMMEDIATE 'CREATE TABLE retention_rewrite LIKE retention_form';
    EXECUTE IMMEDIATE CONCAT(
      'INSERT INTO retention_rewrite (', t_columns, ') SELECT x.', REPLACE(t_columns, ',', ', x.'), ' FROM ', part,
      ' x JOIN vestige_keep k ON k.n = ? AND k.host_id = x.host_id AND k.id = x.id AND k.day = x.day')
    USING table_n;
    EXECUTE IMMEDIATE CONCAT('SELECT (SELECT COUNT(*) FROM ', part, ') - (SELECT COUNT(*) FROM retention_rewrite)'
                             ' INTO @vestige_n');
    IF @vestige_n <> n_dropping THEN
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the copy has not the rows that stay; nothing was exchanged';
    END IF;
    UPDATE retention_step
       SET last_log = (SELECT COALESCE(MAX(id), 0) FROM retention_log),
           probe_host = (SELECT host_id FROM vestige_retention_plan
                          WHERE n = table_n AND place = part_place AND n_dropped > 0
                          ORDER BY day, host_id LIMIT 1),
           probe_id = (SELECT first_id FROM vestige_retention_plan
                        WHERE n = table_n AND place = part_place AND n_dropped > 0
                        ORDER BY day, host_id LIMIT 1),
           probe_day = (SELECT day FROM vestige_retention_plan
                         WHERE n = table_n AND place = part_place AND n_dropped > 0
                         ORDER BY day, host_id LIMIT 1)
     WHERE one = 1;
    CALL vestige_retention_check_holds();
    CALL vestige_retention_step('exchange', t_name, p_name);
    INSERT INTO retention_log (run_id, table_name, day, host_id, first_id, last_id, n_dropped, n_kept, horizon)
    SELECT run, t_name, day, host_id, first_id, last_id, n_dropped, n_rows - n_dropped, t_horizon
      FROM vestige_retention_plan WHERE n = table_n AND place = part_place AND n_dropped > 0;
    COMMIT;
    CALL vestige_retention_do(CONCAT('ALTER TABLE `', t_name, '` EXCHANGE PARTITION `', p_name,
                                     '` WITH TABLE retention_rewrite'));
    CALL vestige_retention_step('drop', t_name, p_name);
    IF t_name = 'finding' THEN
      EXECUTE IMMEDIATE 'DELETE g FROM schedule_finding g JOIN retention_rewrite x ON x.host_id = g.host_id'
        ' AND x.id = g.id AND x.day = g.day LEFT JOIN vestige_keep k ON k.n = ? AND k.host_id = x.host_id'
        ' AND k.id = x.id AND k.day = x.day WHERE x.schedule_id IS NOT NULL AND k.id IS NULL' USING table_n;
      COMMIT;
    END IF;
  END IF;
  CALL vestige_retention_mend(0);
END;

-- Small parts at the beginning become one: there would be a table space a day and table for ever.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost PROCEDURE vestige_retention_merge(IN table_n INT UNSIGNED)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE t_name VARCHAR(64);
  DECLARE merged TEXT DEFAULT 'p_before';
  DECLARE bound VARCHAR(64);
  DECLARE total BIGINT DEFAULT 0;
  DECLARE EXIT HANDLER FOR 1205, 1213 DO 0; -- another day

  SELECT name INTO t_name FROM vestige_retention_table WHERE n = table_n;
  merging: FOR p IN (SELECT p.name, p.n_rows - COALESCE(SUM(d.n_dropped), 0) AS n_kept, i.partition_description AS bound
                       FROM vestige_retention_part p
                       JOIN information_schema.partitions i ON i.table_schema = DATABASE()
                        AND i.table_name = t_name AND i.partition_name = p.name
                       LEFT JOIN vestige_retention_plan d ON d.n = p.n AND d.place = p.place
                      WHERE p.n = table_n GROUP BY p.place ORDER BY p.place) DO
    SET total = total + p.n_kept;
    IF total > 100000 OR p.n_kept > IF(p.name = 'p_before', 100000, 10000) THEN
      LEAVE merging;
    END IF;
    IF p.name <> 'p_before' THEN
      SET merged = CONCAT(merged, ', `', p.name, '`'), bound = p.bound;
    END IF;
  END FOR;
  IF bound IS NOT NULL THEN
    CALL vestige_retention_step('merge', t_name, NULL);
    CALL vestige_retention_do(CONCAT('ALTER TABLE `', t_name, '` REORGANIZE PARTITION ', merged,
                                     ' INTO (PARTITION p_before VALUES LESS THAN (', bound, '))'));
  END IF;
END;

-- Rows of a table without partitions, a day and host at a time.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_retention_delete(IN run BIGINT UNSIGNED, IN table_n INT UNSIGNED)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE t_name VARCHAR(64);
  DECLARE t_horizon DATETIME(6);
  DECLARE t_day DATE;
  DECLARE n_gone BIGINT;

  SELECT name, horizon, first_day INTO t_name, t_horizon, t_day FROM vestige_retention_table WHERE n = table_n;
  CALL vestige_retention_step('delete', t_name, NULL);
  CREATE OR REPLACE TEMPORARY TABLE vestige_drop (
    host_id INT UNSIGNED    NOT NULL,
    day     DATE            NOT NULL,
    id      BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (day, host_id, id)
  ) ENGINE = InnoDB;
  -- A row that came after the look is late.
  EXECUTE IMMEDIATE CONCAT(
    'INSERT INTO vestige_drop SELECT x.host_id, x.day, x.id FROM `', t_name, '` x LEFT JOIN vestige_keep k'
    ' ON k.n = ? AND k.host_id = x.host_id AND k.id = x.id AND k.day = x.day'
    ' WHERE x.day < ? AND k.id IS NULL AND x.destroyed_at < ? AND NOT EXISTS (SELECT 1 FROM batch b'
    ' WHERE b.host_id = x.host_id AND b.batch = x.batch AND b.received_at >= ?)')
  USING table_n, t_day, t_horizon, t_horizon;
  FOR d IN (SELECT day, host_id, COUNT(*) AS n_rows, MIN(id) AS first_id, MAX(id) AS last_id
              FROM vestige_drop GROUP BY day, host_id) DO
    CALL vestige_retention_check_holds();
    START TRANSACTION;
    EXECUTE IMMEDIATE CONCAT(
      'INSERT IGNORE INTO retention_seal (host_id, batch) SELECT DISTINCT x.host_id, x.batch FROM vestige_drop d'
      ' JOIN `', t_name, '` x ON x.host_id = d.host_id AND x.id = d.id AND x.day = d.day'
      ' WHERE d.day = ? AND d.host_id = ?'
      ' UNION SELECT x.host_id, x.end_batch FROM vestige_drop d'
      ' JOIN `', t_name, '` x ON x.host_id = d.host_id AND x.id = d.id AND x.day = d.day'
      ' WHERE d.day = ? AND d.host_id = ? AND x.end_batch IS NOT NULL')
    USING d.day, d.host_id, d.day, d.host_id;
    EXECUTE IMMEDIATE CONCAT('DELETE x FROM `', t_name, '` x JOIN vestige_drop d ON d.host_id = x.host_id'
                             ' AND d.id = x.id AND d.day = x.day WHERE d.day = ? AND d.host_id = ?')
    USING d.day, d.host_id;
    SET n_gone = ROW_COUNT();
    EXECUTE IMMEDIATE CONCAT('SELECT COUNT(*) INTO @vestige_n FROM `', t_name, '` WHERE day = ? AND host_id = ?')
    USING d.day, d.host_id;
    INSERT INTO retention_log (run_id, table_name, day, host_id, first_id, last_id, n_dropped, n_kept, horizon)
    VALUES (run, t_name, d.day, d.host_id, d.first_id, d.last_id, n_gone, @vestige_n, t_horizon);
    COMMIT;
  END FOR;
END;

CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_retention_delete_records(IN run BIGINT UNSIGNED, IN horizon DATETIME(6))
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE n_gone BIGINT UNSIGNED;

  CALL vestige_retention_step('delete', 'rejected', NULL);
  FOR d IN (SELECT table_name, day, host_id, n_rows, n_dropped FROM vestige_retention_plan
             WHERE n = 0 AND n_dropped > 0) DO
    START TRANSACTION;
    CASE d.table_name
    WHEN 'rejected' THEN
      DELETE FROM rejected
       WHERE received_at >= d.day AND received_at < LEAST(d.day + INTERVAL 1 DAY, horizon) AND host_id = d.host_id
         AND NOT EXISTS (SELECT 1 FROM hold h WHERE h.released_at IS NULL
                            AND (h.host_id IS NULL OR h.host_id = rejected.host_id)
                            AND (h.until IS NULL OR vestige_batch_begin(rejected.host_id, rejected.batch) <= h.until)
                            AND (h.since IS NULL OR rejected.received_at >= h.since));
    WHEN 'maintenance_run' THEN
      DELETE FROM maintenance_run WHERE name <> 'retention' AND started_at >= d.day
         AND started_at < LEAST(d.day + INTERVAL 1 DAY, horizon);
    WHEN 'schedule_run' THEN
      DELETE FROM schedule_run WHERE started_at >= d.day AND started_at < LEAST(d.day + INTERVAL 1 DAY, horizon);
    ELSE
      DELETE FROM notification WHERE attempted_at >= d.day AND attempted_at < LEAST(d.day + INTERVAL 1 DAY, horizon);
    END CASE;
    SET n_gone = ROW_COUNT();
    IF n_gone > 0 THEN
      INSERT INTO retention_log (run_id, table_name, day, host_id, n_dropped, n_kept, horizon)
      VALUES (run, d.table_name, d.day, d.host_id, n_gone, IF(n_gone < d.n_rows, d.n_rows - n_gone, 0), horizon);
    END IF;
    COMMIT;
  END FOR;
END;

-- Whether all lines of a digest list (recorder/journal.md) are of rows whose days are behind the
-- horizons: per table and verb the last entry has the greatest id. `first_ids` is by table.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  FUNCTION vestige_digests_behind(digests LONGBLOB, first_ids LONGTEXT) RETURNS TINYINT
  DETERMINISTIC NO SQL SQL SECURITY DEFINER
BEGIN
  DECLARE place BIGINT DEFAULT 1;
  DECLARE size BIGINT DEFAULT LENGTH(digests);
  DECLARE verb_at, count_at, lines_at, n_lines BIGINT;
  DECLARE t_name VARCHAR(64);
  DECLARE first_id BIGINT UNSIGNED;

  WHILE place <= size DO
    SET verb_at = LOCATE('\t', digests, place);
    SET count_at = IF(verb_at > 0, LOCATE('\t', digests, verb_at + 1), 0);
    SET lines_at = IF(count_at > 0, LOCATE('\n', digests, count_at + 1), 0);
    IF lines_at = 0 OR verb_at - place > 64 OR lines_at - count_at > 12 THEN
      RETURN 0;
    END IF;
    IF NOT CONVERT(SUBSTRING(digests, place, verb_at - place) USING latin1) REGEXP '^[a-z_]+$'
       OR NOT CONVERT(SUBSTRING(digests, count_at + 1, lines_at - count_at - 1) USING latin1) REGEXP '^[1-9][0-9]*$' THEN
      RETURN 0;
    END IF;
    SET t_name = CONVERT(SUBSTRING(digests, place, verb_at - place) USING utf8mb4);
    SET n_lines = CONVERT(SUBSTRING(digests, count_at + 1, lines_at - count_at - 1) USING latin1);
    SET first_id = JSON_VALUE(first_ids, CONCAT('$.', t_name));
    SET place = lines_at + 1 + 24 * n_lines;
    IF first_id IS NULL OR place > size + 1
       OR CONV(HEX(SUBSTRING(digests, place - 24, 8)), 16, 10) + 0 >= first_id THEN
      RETURN 0;
    END IF;
  END WHILE;
  RETURN 1;
END;

-- The digests of a batch go when no row is left that has a line in it: a row that stays can still be
-- proved. Hash, chain and signature stay. A batch that came during the run may have ended a row that was
-- open at the look; such are too young, like all that make a row late.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_retention_seals(IN run BIGINT UNSIGNED, IN horizon DATETIME(6))
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE first_ids LONGTEXT;
  DECLARE last_horizon DATETIME(6);
  DECLARE n_left INT DEFAULT 1;

  CALL vestige_retention_step('seal', 'batch', NULL);
  SELECT CONCAT('{', GROUP_CONCAT('"', name, '":', first_id), '}'), MAX(horizon) INTO first_ids, last_horizon
    FROM vestige_retention_table;
  CREATE OR REPLACE TEMPORARY TABLE vestige_used (
    host_id INT UNSIGNED    NOT NULL,
    batch   BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (host_id, batch)
  ) ENGINE = InnoDB;
  CREATE OR REPLACE TEMPORARY TABLE vestige_chunk LIKE vestige_used;
  IF EXISTS (SELECT 1 FROM retention_seal) THEN
    INSERT IGNORE INTO vestige_used SELECT host_id, batch FROM vestige_keep;
    INSERT IGNORE INTO vestige_used SELECT host_id, settle_batch FROM vestige_keep WHERE settle_batch IS NOT NULL;
    INSERT IGNORE INTO vestige_used SELECT host_id, end_batch FROM vestige_keep WHERE end_batch IS NOT NULL;
    INSERT IGNORE INTO vestige_used SELECT host_id, batch FROM rejected;
  END IF;
  WHILE n_left > 0 DO
    DELETE FROM vestige_chunk;
    INSERT INTO vestige_chunk SELECT host_id, batch FROM retention_seal ORDER BY host_id, batch LIMIT 2000;
    SET n_left = ROW_COUNT();
    CREATE OR REPLACE TEMPORARY TABLE vestige_thin ENGINE = InnoDB AS
    SELECT b.host_id, b.batch, b.hash, DATE(b.received_at) AS day
      FROM vestige_chunk c JOIN batch b ON b.host_id = c.host_id AND b.batch = c.batch
      LEFT JOIN vestige_used u ON u.host_id = c.host_id AND u.batch = c.batch
     WHERE u.batch IS NULL AND b.digests IS NOT NULL AND b.received_at < last_horizon
       AND vestige_digests_behind(b.digests, first_ids);
    START TRANSACTION;
    UPDATE batch b JOIN vestige_thin t ON t.host_id = b.host_id AND t.batch = b.batch AND t.hash = b.hash
       SET b.digests = NULL;
    INSERT INTO retention_log (run_id, table_name, day, host_id, first_id, last_id, n_dropped, n_kept, horizon)
    SELECT run, 'batch', day, host_id, MIN(batch), MAX(batch), COUNT(*), 0, horizon FROM vestige_thin
     GROUP BY day, host_id;
    DELETE s FROM retention_seal s JOIN vestige_chunk c ON c.host_id = s.host_id AND c.batch = s.batch;
    COMMIT;
  END WHILE;
END;

-- --- a run

CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_retention_work(IN run BIGINT UNSIGNED, IN records_horizon DATETIME(6))
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE form_of VARCHAR(64);

  -- The processes last: what refers to them is rewritten then.
  FOR p IN (SELECT p.n, p.place, t.name FROM vestige_retention_part p JOIN vestige_retention_table t ON t.n = p.n
             WHERE t.partitioned
               AND EXISTS (SELECT 1 FROM vestige_retention_plan d
                            WHERE d.n = p.n AND d.place = p.place AND d.n_dropped > 0)
             ORDER BY t.name = 'process', t.name = 'session', t.name, p.place) DO
    -- The empty table of the same form takes a second to make, of a hundred partitions.
    IF NOT p.name <=> form_of THEN
      CALL vestige_retention_step('form', p.name, NULL);
      CALL vestige_retention_do('DROP TABLE IF EXISTS retention_form');
      CALL vestige_retention_do(CONCAT('CREATE TABLE retention_form LIKE `', p.name, '`'));
      CALL vestige_retention_do('ALTER TABLE retention_form REMOVE PARTITIONING');
      SET form_of = p.name;
    END IF;
    CALL vestige_retention_rewrite(run, p.n, p.place);
  END FOR;
  CALL vestige_retention_do('DROP TABLE IF EXISTS retention_form');
  FOR t IN (SELECT n FROM vestige_retention_table WHERE partitioned ORDER BY name) DO
    CALL vestige_retention_merge(t.n);
  END FOR;
  FOR t IN (SELECT n FROM vestige_retention_table WHERE NOT partitioned ORDER BY name) DO
    CALL vestige_retention_delete(run, t.n);
  END FOR;
  IF records_horizon IS NOT NULL THEN
    CALL vestige_retention_delete_records(run, records_horizon);
  END IF;
  CALL vestige_retention_seals(run, COALESCE(records_horizon,
    (SELECT MIN(horizon) FROM vestige_retention_table)));
END;

-- `today` is a parameter so that a test can live through sixty days. A dry run changes nothing: what it
-- found is in vestige_retention_plan, as long as the connection lasts.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_retention_at(IN today DATE, IN is_dry TINYINT)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE run BIGINT UNSIGNED;
  DECLARE records_horizon DATETIME(6);
  DECLARE error_number INT;
  DECLARE error_message TEXT;
  DECLARE old_timeout INT DEFAULT @@SESSION.lock_wait_timeout;
  DECLARE old_isolation VARCHAR(32) DEFAULT @@SESSION.tx_isolation;
  DECLARE old_switch TEXT DEFAULT @@SESSION.optimizer_switch;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    GET DIAGNOSTICS CONDITION 1 error_number = MYSQL_ERRNO, error_message = MESSAGE_TEXT;
    ROLLBACK;
    IF run IS NOT NULL THEN
      UPDATE maintenance_run
         SET finished_at = UTC_TIMESTAMP(6), result = 'failure',
             message = CONCAT('error ', error_number, ': ', error_message,
                              (SELECT COALESCE(CONCAT(' (', step, ' ', table_name, COALESCE(CONCAT(' ', partition_name), ''), ')'), '')
                                 FROM retention_step WHERE one = 1))
       WHERE id = run;
      COMMIT;
      CALL vestige_retention_mend(1);
      UPDATE retention_step SET run_id = NULL WHERE one = 1;
      COMMIT;
    END IF;
    SET SESSION lock_wait_timeout = old_timeout, tx_isolation = old_isolation, optimizer_switch = old_switch;
    RESIGNAL;
  END;

  -- A table is waited for five seconds and then tried again; rows that are read are not locked. That
  -- whole tables of batches are not collected where one is asked for: exists_to_in.
  SET SESSION lock_wait_timeout = 5, tx_isolation = 'READ-COMMITTED', optimizer_switch = 'exists_to_in=off';
  IF NOT is_dry THEN
    CALL vestige_retention_begin(run);
    IF run IS NULL THEN
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'another run of the retention is at work';
    END IF;
    CALL vestige_retention_step('look', NULL, NULL);
  END IF;
  CREATE OR REPLACE TEMPORARY TABLE vestige_retention_plan (
    n          INT UNSIGNED    NOT NULL,
    place      INT UNSIGNED    NOT NULL,
    table_name VARCHAR(64)     NOT NULL,
    day        DATE            NOT NULL,
    host_id    INT UNSIGNED    NULL,
    n_rows     BIGINT UNSIGNED NOT NULL,
    n_open     BIGINT UNSIGNED NOT NULL DEFAULT 0,
    n_ended    BIGINT UNSIGNED NOT NULL DEFAULT 0,
    n_held     BIGINT UNSIGNED NOT NULL DEFAULT 0,
    n_late     BIGINT UNSIGNED NOT NULL DEFAULT 0,
    n_referred BIGINT UNSIGNED NOT NULL DEFAULT 0,
    n_dropped  BIGINT UNSIGNED NOT NULL,
    first_id   BIGINT UNSIGNED NULL,
    last_id    BIGINT UNSIGNED NULL,
    n_bytes    BIGINT UNSIGNED NOT NULL DEFAULT 0,
    KEY part (n, place)
  ) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
  CALL vestige_retention_tables(today);
  CALL vestige_retention_parts();
  CALL vestige_retention_survey();
  FOR p IN (SELECT n, place FROM vestige_retention_part) DO
    CALL vestige_retention_count(p.n, p.place);
  END FOR;
  -- Other records stay as long as any evidence may.
  IF EXISTS (SELECT 1 FROM retention WHERE table_name = '*' AND keep_days IS NOT NULL)
     AND NOT EXISTS (SELECT 1 FROM retention WHERE keep_days IS NULL) THEN
    SELECT today - INTERVAL MAX(keep_days) DAY INTO records_horizon FROM retention;
    CALL vestige_retention_count_records(records_horizon);
  END IF;
  IF NOT is_dry THEN
    CALL vestige_retention_work(run, records_horizon);
    UPDATE maintenance_run
       SET finished_at = UTC_TIMESTAMP(6), result = 'success',
           message = (SELECT CONCAT(COALESCE(SUM(IF(table_name = 'batch', 0, n_dropped)), 0), ' rows dropped, and the'
                                    ' digests of ', COALESCE(SUM(IF(table_name = 'batch', n_dropped, 0)), 0), ' seals')
                        FROM retention_log WHERE run_id = run)
     WHERE id = run;
    UPDATE retention_step SET run_id = NULL, step = NULL, table_name = NULL WHERE one = 1;
    COMMIT;
  END IF;
  SET SESSION lock_wait_timeout = old_timeout, tx_isolation = old_isolation, optimizer_switch = old_switch;
END;

CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_retention_check(IN of_table VARCHAR(64), IN days INT UNSIGNED)
  SQL SECURITY DEFINER READS SQL DATA
BEGIN
  IF of_table <> '*' AND of_table NOT IN ('host', 'boot', 'coverage', 'gap')
     AND NOT EXISTS (SELECT 1 FROM information_schema.partitions WHERE table_schema = DATABASE()
                        AND table_name = of_table AND partition_name = 'p_later') THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'there is no such table of evidence';
  END IF;
  IF days = 0 OR days > 36500 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'rows are kept for 1 to 36500 days, or for ever';
  END IF;
END;

-- A dry run as if the policy of a table were another one: a temporary table hides the true one.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_retention_try(IN of_table VARCHAR(64), IN days INT UNSIGNED)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    DROP TEMPORARY TABLE IF EXISTS retention;
    RESIGNAL;
  END;
  CALL vestige_retention_check(of_table, days);
  CREATE OR REPLACE TEMPORARY TABLE vestige_retention_policy AS SELECT * FROM retention;
  CREATE TEMPORARY TABLE retention (PRIMARY KEY (table_name)) AS SELECT * FROM vestige_retention_policy;
  INSERT INTO retention (table_name, keep_days, changed_at, changed_by)
  VALUES (of_table, days, UTC_TIMESTAMP(6), '')
  ON DUPLICATE KEY UPDATE keep_days = days;
  CALL vestige_retention_at(UTC_DATE(), 1);
  DROP TEMPORARY TABLE retention;
END;

-- When it is time: once a day after the hour, an hour after a failure, and at once when a run was interrupted.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost PROCEDURE vestige_retention_due()
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE since DATETIME(6);
  DECLARE is_due INT;

  SELECT UTC_DATE() + INTERVAL run_hour HOUR INTO since FROM retention_step WHERE one = 1;
  SET is_due = EXISTS (SELECT 1 FROM retention_step WHERE run_id IS NOT NULL)
    OR (UTC_TIMESTAMP(6) >= since AND EXISTS (SELECT 1 FROM retention WHERE keep_days IS NOT NULL)
        AND NOT EXISTS (SELECT 1 FROM maintenance_run WHERE name = 'retention'
                           AND ((result = 'success' AND started_at >= since)
                                OR started_at > UTC_TIMESTAMP(6) - INTERVAL 1 HOUR)));
  IF is_due THEN
    BEGIN
      DECLARE EXIT HANDLER FOR 1644 DO 0; -- another run is at work
      CALL vestige_retention_at(UTC_DATE(), 0);
    END;
  END IF;
END;

CREATE OR REPLACE DEFINER = vestige_maintainer@localhost EVENT vestige_retention
  ON SCHEDULE EVERY 5 MINUTE ON COMPLETION PRESERVE
  DO CALL vestige_retention_due();

-- --- for the administrator

CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_retention_keep(IN of_table VARCHAR(64), IN days INT UNSIGNED)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE old_days INT UNSIGNED;
  DECLARE was_there INT DEFAULT 0;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;

  CALL vestige_retention_check(of_table, days);
  COMMIT;
  START TRANSACTION;
  SELECT COUNT(*), MAX(keep_days) INTO was_there, old_days FROM retention WHERE table_name = of_table FOR UPDATE;
  IF was_there = 0 OR NOT old_days <=> days THEN
    INSERT INTO retention (table_name, keep_days, changed_at, changed_by)
    VALUES (of_table, days, UTC_TIMESTAMP(6), USER())
    ON DUPLICATE KEY UPDATE keep_days = days, changed_at = UTC_TIMESTAMP(6), changed_by = USER();
    INSERT INTO retention_change (table_name, old_value, new_value, changed_by)
    VALUES (of_table, old_days, days, USER());
  END IF;
  COMMIT;
END;

CREATE OR REPLACE DEFINER = vestige_maintainer@localhost PROCEDURE vestige_retention_hour(IN new_hour INT UNSIGNED)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  IF new_hour > 23 OR new_hour IS NULL THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'an hour is 0 to 23';
  END IF;
  INSERT INTO retention_change (table_name, old_value, new_value, changed_by)
  SELECT 'hour', run_hour, new_hour, USER() FROM retention_step WHERE one = 1 AND run_hour <> new_hour;
  UPDATE retention_step SET run_hour = new_hour WHERE one = 1;
  COMMIT;
END;

CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_hold_add(IN of_host INT UNSIGNED, IN of_uid INT UNSIGNED, IN of_user VARCHAR(255),
                             IN from_moment DATETIME(6), IN to_moment DATETIME(6), IN why TEXT,
                             IN of_case VARCHAR(255), OUT added BIGINT UNSIGNED)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  IF COALESCE(why, '') = '' THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'a hold needs a reason';
  END IF;
  IF to_moment < from_moment THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the hold ends before it begins';
  END IF;
  INSERT INTO hold (host_id, login_uid, username, since, until, reason, case_name, created_by)
  VALUES (of_host, of_uid, NULLIF(of_user, ''), from_moment, to_moment, why, NULLIF(of_case, ''), USER());
  SET added = LAST_INSERT_ID();
  COMMIT;
END;

CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_hold_release(IN which BIGINT UNSIGNED, OUT n_released INT)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  UPDATE hold SET released_at = UTC_TIMESTAMP(6), released_by = USER() WHERE id = which AND released_at IS NULL;
  SET n_released = ROW_COUNT();
  COMMIT;
END;
