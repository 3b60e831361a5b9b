-- Runs that begin in one moment, the event's and an administrator's, met in a deadlock: one ended the other's
-- by the index, while that one was deleted by its number, and old ones were deleted with the gaps between
-- them. Now each is changed by its number, and gaps are nobody's.

-- One run, due or asked for. `outcome`: 'success', 'failure', 'busy' (another one is at work) or 'not due'.
CREATE OR REPLACE DEFINER = vestige_scheduler@localhost
  PROCEDURE vestige_schedule_run_one(IN which BIGINT UNSIGNED, IN only_due TINYINT,
                                     OUT run BIGINT UNSIGNED, OUT outcome VARCHAR(16))
  SQL SECURITY DEFINER MODIFIES SQL DATA
one_run: BEGIN
  DECLARE locked BIGINT UNSIGNED;
  DECLARE wanted TINYINT;
  DECLARE error_number INT;
  DECLARE error_message TEXT;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    GET DIAGNOSTICS CONDITION 1 error_number = MYSQL_ERRNO, error_message = MESSAGE_TEXT;
    ROLLBACK;
    SET outcome = 'failure';
    UPDATE schedule_run
       SET finished_at = UTC_TIMESTAMP(6), result = 'failure',
           message = CONCAT('error ', error_number, ': ', error_message)
     WHERE id = run;
    UPDATE schedule SET next_due = UTC_TIMESTAMP(6) + INTERVAL every_minutes MINUTE
     WHERE id = which AND next_due <= UTC_TIMESTAMP(6);
    COMMIT;
  END;

  COMMIT;
  INSERT INTO schedule_run (schedule_id, started_at, result) VALUES (which, UTC_TIMESTAMP(6), 'running');
  SET run = LAST_INSERT_ID();
  COMMIT;
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
  START TRANSACTION;
  BEGIN
    DECLARE CONTINUE HANDLER FOR NOT FOUND BEGIN END;
    SELECT id, enabled AND (NOT only_due OR next_due <= UTC_TIMESTAMP(6)) INTO locked, wanted
      FROM schedule WHERE id = which FOR UPDATE SKIP LOCKED;
  END;
  IF locked IS NULL OR NOT wanted THEN
    ROLLBACK;
    SET outcome = IF(locked IS NULL, 'busy', 'not due');
    DELETE FROM schedule_run WHERE id = run;
    COMMIT;
    SET run = NULL;
    LEAVE one_run;
  END IF;
  FOR old IN (SELECT id FROM schedule_run WHERE schedule_id = which AND result = 'running' AND id < run) DO
    UPDATE schedule_run SET finished_at = UTC_TIMESTAMP(6), result = 'failure',
           message = 'the server or the session ended during this run; nothing of it was kept'
     WHERE id = old.id AND result = 'running';
  END FOR;
  CALL vestige_schedule_work(which, run);
  -- On the beat of the schedule, so that runs do not drift; beats that were missed are left out.
  UPDATE schedule
     SET next_due = next_due + INTERVAL every_minutes
           * (FLOOR(TIMESTAMPDIFF(SECOND, next_due, UTC_TIMESTAMP(6)) / (every_minutes * 60)) + 1) MINUTE
   WHERE id = which AND next_due <= UTC_TIMESTAMP(6);
  COMMIT;
  SET outcome = 'success';
END;

-- All that is due; what the event calls. One question that fails does not stop the others. A run takes
-- place every few minutes: records that tell nothing are kept for 90 days, those of passes for 7.
CREATE OR REPLACE DEFINER = vestige_scheduler@localhost PROCEDURE vestige_run_due_schedules()
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE started DATETIME(6) DEFAULT UTC_TIMESTAMP(6);
  DECLARE job, run BIGINT UNSIGNED;
  DECLARE n_runs, n_failures INT DEFAULT 0;
  DECLARE outcome VARCHAR(16);
  DECLARE failures TEXT DEFAULT '';

  FOR one IN (SELECT id, question FROM schedule WHERE enabled AND next_due <= UTC_TIMESTAMP(6)
               ORDER BY next_due, id) DO
    SET run = NULL, outcome = NULL;
    CALL vestige_schedule_run_one(one.id, 1, run, outcome);
    SET n_runs = n_runs + (outcome IN ('success', 'failure'));
    IF outcome = 'failure' THEN
      SET n_failures = n_failures + 1, failures = CONCAT(failures, '; schedule ', one.id, ', ', one.question);
    END IF;
  END FOR;
  IF n_runs > 0 THEN
    INSERT INTO maintenance_run (name, started_at, finished_at, result, message)
    VALUES ('schedules', started, UTC_TIMESTAMP(6), IF(n_failures = 0, 'success', 'failure'),
            CONCAT(n_runs, ' runs, ', n_failures, ' failed', failures));
    COMMIT;
    BEGIN
      DECLARE EXIT HANDLER FOR 1205, 1213 ROLLBACK; -- the next pass will do it
      SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
      DELETE FROM maintenance_run
       WHERE name = 'schedules' AND result = 'success' AND started_at < started - INTERVAL 7 DAY LIMIT 100;
      COMMIT;
      SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
      DELETE FROM schedule_run
       WHERE started_at < started - INTERVAL 90 DAY AND n_findings = 0 LIMIT 1000;
      COMMIT;
    END;
  END IF;
END;
