-- The server's own jobs: partitions made ahead, and agents' transactions that stay open.
--
-- Each run leaves a row in maintenance_run, because an event that fails speaks only to the server's
-- error log. Guards are no GET_LOCK (it is per node in a cluster): a run that meets another finds the
-- partitions made, and says so.
--
-- The bodies hold semicolons: a client that cuts the file at them needs another delimiter
-- (mariadb --delimiter=// vestige < 0004_maintenance.sql).

GRANT SELECT, INSERT, UPDATE ON maintenance_run TO vestige_maintainer@localhost;
GRANT SELECT, INSERT, CREATE, ALTER, DROP ON process TO vestige_maintainer@localhost;
GRANT SELECT, INSERT, CREATE, ALTER, DROP ON process_change TO vestige_maintainer@localhost;
GRANT EVENT, EXECUTE ON * TO vestige_maintainer@localhost;
GRANT PROCESS, CONNECTION ADMIN ON *.* TO vestige_maintainer@localhost;

-- Ends every connection of an agent. An agent connects again and ships the same batch again, so this
-- costs it a second; a session that holds a table against the server's jobs is gone.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost PROCEDURE vestige_kill_agents()
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  FOR one IN (SELECT id FROM information_schema.processlist WHERE user REGEXP '^agent_[0-9]+$') DO
    BEGIN
      DECLARE CONTINUE HANDLER FOR 1094 BEGIN END; -- it ended by itself
      EXECUTE IMMEDIATE CONCAT('KILL CONNECTION ', one.id);
    END;
  END FOR;
END;

-- Partitions of one table up to `today` + `days_ahead`, in one ALTER; `n_made` counts them. What was
-- missed while the server did not run is made too: agents kept rows of those days in their journals.
-- When another run was faster (1493, 1517) or somebody holds the table (1205), it looks again.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_make_table_partitions(IN partitioned VARCHAR(64), IN today DATE,
                                          IN days_ahead INT, OUT n_made INT)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE n_attempts INT DEFAULT 0;
  DECLARE next_day DATE;
  DECLARE clauses LONGTEXT;
  DECLARE message VARCHAR(512);
  DECLARE reason INT;

  attempt: LOOP
    SET n_made = 0, clauses = '', n_attempts = n_attempts + 1;
    SELECT MAX(CAST(TRIM(BOTH '''' FROM partition_description) AS DATE)) INTO next_day
      FROM information_schema.partitions
     WHERE table_schema = DATABASE() AND table_name = partitioned
       AND partition_description <> 'MAXVALUE';
    IF next_day IS NULL THEN
      SET next_day = today;
      SET clauses = CONCAT('PARTITION p_before VALUES LESS THAN (''', next_day, '''), ');
    END IF;
    IF DATEDIFF(today, next_day) > 400 THEN
      SET message = CONCAT('the partitions of ', partitioned, ' end at ', next_day, ', over 400 days'
        ' ago. If the clock of the server is right, call vestige_make_partitions_at with days in between');
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = message;
    END IF;
    WHILE next_day <= today + INTERVAL days_ahead DAY DO
      SET clauses = CONCAT(clauses, 'PARTITION p', DATE_FORMAT(next_day, '%Y%m%d'),
                           ' VALUES LESS THAN (''', next_day + INTERVAL 1 DAY, '''), ');
      SET next_day = next_day + INTERVAL 1 DAY, n_made = n_made + 1;
    END WHILE;
    IF n_made = 0 THEN
      LEAVE attempt;
    END IF;
    BEGIN
      DECLARE EXIT HANDLER FOR 1205, 1493, 1517
      BEGIN
        GET DIAGNOSTICS CONDITION 1 reason = MYSQL_ERRNO;
        IF n_attempts >= 4 THEN
          RESIGNAL;
        ELSEIF reason = 1205 THEN
          CALL vestige_kill_agents();
        END IF;
      END;
      EXECUTE IMMEDIATE CONCAT('ALTER TABLE ', partitioned, ' WAIT 5 REORGANIZE PARTITION p_later INTO (',
                               clauses, 'PARTITION p_later VALUES LESS THAN (MAXVALUE))');
      LEAVE attempt;
    END;
  END LOOP;
END;

-- `today` is a parameter so that a test can live through a hundred days.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_make_partitions_at(IN today DATE, IN days_ahead INT)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE run BIGINT UNSIGNED;
  DECLARE n INT;
  DECLARE n_tables INT DEFAULT 0;
  DECLARE n_partitions INT DEFAULT 0;
  DECLARE error_number INT;
  DECLARE error_message TEXT;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    GET DIAGNOSTICS CONDITION 1 error_number = MYSQL_ERRNO, error_message = MESSAGE_TEXT;
    UPDATE maintenance_run
       SET finished_at = UTC_TIMESTAMP(6), result = 'failure',
           message = CONCAT('error ', error_number, ': ', error_message)
     WHERE id = run;
    COMMIT;
    RESIGNAL;
  END;

  INSERT INTO maintenance_run (name, started_at, result, message)
  VALUES ('make_partitions', UTC_TIMESTAMP(6), 'running', '');
  SET run = LAST_INSERT_ID();
  COMMIT;
  FOR one IN (SELECT DISTINCT table_name AS name FROM information_schema.partitions
               WHERE table_schema = DATABASE() AND partition_name = 'p_later') DO
    CALL vestige_make_table_partitions(one.name, today, days_ahead, n);
    SET n_tables = n_tables + 1, n_partitions = n_partitions + n;
  END FOR;
  UPDATE maintenance_run
     SET finished_at = UTC_TIMESTAMP(6), result = 'success',
         message = CONCAT(n_partitions, ' partitions made in ', n_tables, ' tables')
   WHERE id = run;
  COMMIT;
END;

CREATE OR REPLACE DEFINER = vestige_maintainer@localhost PROCEDURE vestige_make_partitions()
  SQL SECURITY DEFINER MODIFIES SQL DATA
  CALL vestige_make_partitions_at(UTC_DATE(), 14);

-- Ends agents' connections whose transaction is older than `limit_seconds`: it would block partition
-- DDL, and every other agent behind it. innodb_trx tells times in the zone of the server's system, so
-- that zone is used here; in the hour that a change to winter time repeats, the limit is an hour more.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_reap_transactions(IN limit_seconds INT)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE n_reaped INT DEFAULT 0;
  DECLARE n_prepared INT DEFAULT 0;
  DECLARE who TEXT DEFAULT '';
  DECLARE started DATETIME(6) DEFAULT UTC_TIMESTAMP(6);
  DECLARE zone VARCHAR(64) DEFAULT @@SESSION.time_zone;

  SET SESSION time_zone = 'SYSTEM';
  FOR one IN (SELECT p.id, p.user
                FROM information_schema.innodb_trx t
                JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
               WHERE p.user REGEXP '^agent_[0-9]+$'
                 AND t.trx_started < NOW() - INTERVAL limit_seconds SECOND) DO
    BEGIN
      DECLARE CONTINUE HANDLER FOR 1094 BEGIN END;
      EXECUTE IMMEDIATE CONCAT('KILL CONNECTION ', one.id);
      SET n_reaped = n_reaped + 1, who = CONCAT_WS(' ', NULLIF(who, ''), one.user);
    END;
  END FOR;
  -- Prepared by XA, a transaction outlives its connection, and no view tells its name.
  SELECT COUNT(*) INTO n_prepared FROM information_schema.innodb_trx
   WHERE trx_mysql_thread_id = 0 AND trx_started < NOW() - INTERVAL limit_seconds SECOND;
  SET SESSION time_zone = zone;
  IF n_reaped > 0 THEN
    INSERT INTO maintenance_run (name, started_at, finished_at, result, message)
    VALUES ('reap_transactions', started, UTC_TIMESTAMP(6), 'success',
            CONCAT(n_reaped, ' transactions ended of: ', who));
    COMMIT;
  END IF;
  IF n_prepared > 0 AND NOT EXISTS (SELECT 1 FROM maintenance_run
                                     WHERE name = 'prepared_transactions'
                                       AND started_at > started - INTERVAL 1 HOUR) THEN
    INSERT INTO maintenance_run (name, started_at, finished_at, result, message)
    VALUES ('prepared_transactions', started, UTC_TIMESTAMP(6), 'failure',
            CONCAT(n_prepared, ' XA transactions were prepared and left. Vestige makes none: look for a'
                   ' stolen credential. XA RECOVER names them, XA ROLLBACK ends them'));
    COMMIT;
  END IF;
END;

-- Whoever applies these files makes the first days; two weeks take seconds, and nobody waits for them.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost EVENT vestige_partitions
  ON SCHEDULE EVERY 1 HOUR STARTS CURRENT_TIMESTAMP + INTERVAL 1 HOUR ON COMPLETION PRESERVE
  DO CALL vestige_make_partitions();

CREATE OR REPLACE DEFINER = vestige_maintainer@localhost EVENT vestige_reaper
  ON SCHEDULE EVERY 10 SECOND ON COMPLETION PRESERVE
  DO CALL vestige_reap_transactions(30);
