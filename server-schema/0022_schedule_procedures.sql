-- Runs of scheduled questions.
--
-- A run covers the batches that the schedule has not covered yet, whenever they arrived: not a span
-- of time, so that neither a run that was missed nor rows that came late can be missed. The question
-- is asked about the window that these batches need; of its answer only rows from them are kept, and
-- those that agree in the subject with a finding that exists move its last_seen.
--
-- All that a run changes is one transaction, which begins with a lock on the row of the schedule: a
-- run that ends half way has not been, two at once are one after the other. What a run reads is read
-- at READ COMMITTED, where INSERT ... SELECT takes no locks on evidence; a batch and its rows appear
-- in one commit, so what is new is counted first and asked about then.
--
-- Only vestige_ask runs the SQL of a question. Its definer may read, and fill a temporary table; the
-- values are bound, one place after the other, as text that the SQL casts where it must.
--
-- The bodies hold semicolons: see 0004_maintenance.sql for another delimiter.

GRANT EXECUTE ON * TO vestige_scheduler@localhost;

CREATE OR REPLACE DEFINER = vestige_asker@localhost
  PROCEDURE vestige_ask(IN question_sql LONGTEXT, IN row_table VARCHAR(64), IN subject_columns LONGTEXT,
                        IN answer_columns LONGTEXT, IN v LONGTEXT)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE subject_key, subject, detail LONGTEXT DEFAULT '';
  DECLARE one VARCHAR(64);
  DECLARE i INT DEFAULT 0;
  DECLARE message VARCHAR(512);

  CREATE OR REPLACE TEMPORARY TABLE vestige_answer (
    n            BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    host_id      INT UNSIGNED    NOT NULL,
    row_id       BIGINT UNSIGNED NOT NULL,
    moment       DATETIME(6)     NULL,
    subject_hash BINARY(32)      NOT NULL,
    subject      LONGTEXT        NOT NULL,
    detail       LONGTEXT        NOT NULL,
    PRIMARY KEY (n),
    KEY subject (host_id, subject_hash, row_id)
  ) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

  WHILE i < JSON_LENGTH(subject_columns) DO
    SET one = JSON_VALUE(subject_columns, CONCAT('$[', i, ']')), i = i + 1;
    IF NOT one REGEXP '^[a-z][a-z0-9_]*$' THEN
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'a subject column has no usable name';
    END IF;
    SET subject_key = CONCAT(subject_key, ', CAST(q.`', one, '` AS CHAR CHARACTER SET utf8mb4)'),
        subject = CONCAT(subject, ', COALESCE(CAST(q.`', one, '` AS CHAR CHARACTER SET utf8mb4), ''-'')');
  END WHILE;
  SET i = 0;
  WHILE i < JSON_LENGTH(answer_columns) DO
    SET one = JSON_VALUE(answer_columns, CONCAT('$[', i, ']')), i = i + 1;
    IF NOT one REGEXP '^[a-z][a-z0-9_]*$' THEN
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'a column of the answer has no usable name';
    END IF;
    SET detail = CONCAT(detail, ', CONCAT(''', one, ': '', CAST(q.`', one, '` AS CHAR CHARACTER SET utf8mb4))');
  END WHILE;
  IF NOT row_table REGEXP '^[a-z][a-z0-9_]*$' OR subject = '' THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the table or the subject of the schedule has no usable name';
  END IF;
  IF JSON_LENGTH(v) > 64 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the SQL has more than 64 values';
  END IF;

  -- The LIMIT keeps the question's own plan: it is not merged with what is around it. What it does not
  -- use of the 64 values is bound behind it.
  EXECUTE IMMEDIATE CONCAT(
    'INSERT INTO vestige_answer (host_id, row_id, moment, subject_hash, subject, detail)'
    ' SELECT q.row_host_id, q.row_id, t.created_at, UNHEX(SHA2(JSON_ARRAY(', SUBSTRING(subject_key, 3),
    '), 256)), CONCAT_WS('', ''', subject, '), CONCAT_WS('', ''', detail, ')'
    ' FROM (SELECT * FROM (', question_sql, '\n) question LIMIT 18446744073709551615) q JOIN vestige_span s ON s.host_id = q.row_host_id'
    ' AND q.row_batch BETWEEN s.first_batch AND s.last_batch LEFT JOIN `', row_table, '` t'
    ' ON t.host_id = q.row_host_id AND t.id = q.row_id'
    ' AND t.day = DATE(''1970-01-01'' + INTERVAL q.row_id DIV 1000000 SECOND)'
    ' WHERE COALESCE(', REPEAT('?, ', 64 - JSON_LENGTH(v)), 'NULL) IS NULL')
  USING JSON_VALUE(v, '$[0]'), JSON_VALUE(v, '$[1]'), JSON_VALUE(v, '$[2]'), JSON_VALUE(v, '$[3]'),
    JSON_VALUE(v, '$[4]'), JSON_VALUE(v, '$[5]'), JSON_VALUE(v, '$[6]'), JSON_VALUE(v, '$[7]'),
    JSON_VALUE(v, '$[8]'), JSON_VALUE(v, '$[9]'), JSON_VALUE(v, '$[10]'), JSON_VALUE(v, '$[11]'),
    JSON_VALUE(v, '$[12]'), JSON_VALUE(v, '$[13]'), JSON_VALUE(v, '$[14]'), JSON_VALUE(v, '$[15]'),
    JSON_VALUE(v, '$[16]'), JSON_VALUE(v, '$[17]'), JSON_VALUE(v, '$[18]'), JSON_VALUE(v, '$[19]'),
    JSON_VALUE(v, '$[20]'), JSON_VALUE(v, '$[21]'), JSON_VALUE(v, '$[22]'), JSON_VALUE(v, '$[23]'),
    JSON_VALUE(v, '$[24]'), JSON_VALUE(v, '$[25]'), JSON_VALUE(v, '$[26]'), JSON_VALUE(v, '$[27]'),
    JSON_VALUE(v, '$[28]'), JSON_VALUE(v, '$[29]'), JSON_VALUE(v, '$[30]'), JSON_VALUE(v, '$[31]'),
    JSON_VALUE(v, '$[32]'), JSON_VALUE(v, '$[33]'), JSON_VALUE(v, '$[34]'), JSON_VALUE(v, '$[35]'),
    JSON_VALUE(v, '$[36]'), JSON_VALUE(v, '$[37]'), JSON_VALUE(v, '$[38]'), JSON_VALUE(v, '$[39]'),
    JSON_VALUE(v, '$[40]'), JSON_VALUE(v, '$[41]'), JSON_VALUE(v, '$[42]'), JSON_VALUE(v, '$[43]'),
    JSON_VALUE(v, '$[44]'), JSON_VALUE(v, '$[45]'), JSON_VALUE(v, '$[46]'), JSON_VALUE(v, '$[47]'),
    JSON_VALUE(v, '$[48]'), JSON_VALUE(v, '$[49]'), JSON_VALUE(v, '$[50]'), JSON_VALUE(v, '$[51]'),
    JSON_VALUE(v, '$[52]'), JSON_VALUE(v, '$[53]'), JSON_VALUE(v, '$[54]'), JSON_VALUE(v, '$[55]'),
    JSON_VALUE(v, '$[56]'), JSON_VALUE(v, '$[57]'), JSON_VALUE(v, '$[58]'), JSON_VALUE(v, '$[59]'),
    JSON_VALUE(v, '$[60]'), JSON_VALUE(v, '$[61]'), JSON_VALUE(v, '$[62]'), JSON_VALUE(v, '$[63]');
END;
GRANT EXECUTE ON PROCEDURE vestige_ask TO vestige_asker@localhost;

-- Islands of the batches of a host with numbers from `first_number` to `last_number`, into vestige_span.
CREATE OR REPLACE DEFINER = vestige_scheduler@localhost
  PROCEDURE vestige_schedule_islands(IN host INT UNSIGNED, IN first_number BIGINT UNSIGNED,
                                     IN last_number BIGINT UNSIGNED)
  SQL SECURITY DEFINER MODIFIES SQL DATA
  INSERT INTO vestige_span (host_id, first_batch, last_batch, first_time)
  SELECT host, MIN(batch), MAX(batch), MIN(first_time)
    FROM (SELECT batch, first_time,
                 CAST(batch AS DECIMAL(21)) - DENSE_RANK() OVER (ORDER BY batch) AS island
            FROM batch WHERE host_id = host AND batch >= first_number AND batch <= last_number) numbered
   GROUP BY island;

-- What a schedule has not covered yet, into vestige_span.
CREATE OR REPLACE DEFINER = vestige_scheduler@localhost
  PROCEDURE vestige_schedule_spans(IN which BIGINT UNSIGNED, IN only_host INT UNSIGNED)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE next_number BIGINT UNSIGNED; -- NULL behind the greatest, which an agent may have written

  CREATE OR REPLACE TEMPORARY TABLE vestige_span (
    host_id     INT UNSIGNED    NOT NULL,
    first_batch BIGINT UNSIGNED NOT NULL,
    last_batch  BIGINT UNSIGNED NOT NULL,
    first_time  DATETIME(6)     NOT NULL,
    PRIMARY KEY (host_id, first_batch)
  ) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
  FOR h IN (SELECT host_id FROM enrolment WHERE only_host IS NULL OR host_id = only_host) DO
    SET next_number = 0;
    FOR r IN (SELECT first_batch, last_batch FROM schedule_position
               WHERE schedule_id = which AND host_id = h.host_id ORDER BY first_batch) DO
      IF r.first_batch > next_number THEN
        CALL vestige_schedule_islands(h.host_id, next_number, r.first_batch - 1);
      END IF;
      SET next_number = IF(r.last_batch < 18446744073709551615, r.last_batch + 1, NULL);
    END FOR;
    IF next_number IS NOT NULL THEN
      CALL vestige_schedule_islands(h.host_id, next_number, 18446744073709551615);
    END IF;
  END FOR;
END;

-- The spans are covered. A host that makes more than 1000 ranges (it left out numbers, again and
-- again) loses its lowest holes; `n_closed` counts them.
CREATE OR REPLACE DEFINER = vestige_scheduler@localhost
  PROCEDURE vestige_schedule_advance(IN which BIGINT UNSIGNED, OUT n_closed INT)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE upper_end, upper_begin BIGINT UNSIGNED;

  UPDATE schedule_position p JOIN vestige_span s ON s.host_id = p.host_id
     SET p.last_batch = s.last_batch
   WHERE p.schedule_id = which AND s.first_batch > 0 AND p.last_batch = s.first_batch - 1;
  INSERT INTO schedule_position (schedule_id, host_id, first_batch, last_batch)
  SELECT which, s.host_id, s.first_batch, s.last_batch FROM vestige_span s
   WHERE NOT EXISTS (SELECT 1 FROM schedule_position p
                      WHERE p.schedule_id = which AND p.host_id = s.host_id
                        AND p.first_batch <= s.first_batch AND p.last_batch >= s.last_batch);
  FOR r IN (SELECT upper.host_id, upper.first_batch FROM schedule_position upper
              JOIN schedule_position lower ON lower.schedule_id = which
               AND lower.host_id = upper.host_id AND lower.last_batch = upper.first_batch - 1
             WHERE upper.schedule_id = which AND upper.first_batch > 0
             ORDER BY upper.host_id, upper.first_batch DESC) DO
    SELECT last_batch INTO upper_end FROM schedule_position
     WHERE schedule_id = which AND host_id = r.host_id AND first_batch = r.first_batch;
    DELETE FROM schedule_position
     WHERE schedule_id = which AND host_id = r.host_id AND first_batch = r.first_batch;
    UPDATE schedule_position SET last_batch = upper_end
     WHERE schedule_id = which AND host_id = r.host_id AND last_batch = r.first_batch - 1;
  END FOR;

  SET n_closed = 0;
  FOR r IN (SELECT host_id, COUNT(*) AS n FROM schedule_position WHERE schedule_id = which
             GROUP BY host_id HAVING n > 1000) DO
    SET n_closed = n_closed + r.n - 1000;
    SELECT first_batch INTO upper_begin FROM schedule_position
     WHERE schedule_id = which AND host_id = r.host_id ORDER BY first_batch DESC LIMIT 1 OFFSET 999;
    DELETE FROM schedule_position
     WHERE schedule_id = which AND host_id = r.host_id AND first_batch < upper_begin;
    UPDATE schedule_position SET first_batch = 0
     WHERE schedule_id = which AND host_id = r.host_id AND first_batch = upper_begin;
  END FOR;
END;

-- Whether the evidence of each host of the spans is complete in the window, into vestige_whole. The
-- rules are those of the last line of every answer (reports/evidence/evidence_completeness.c).
CREATE OR REPLACE DEFINER = vestige_scheduler@localhost
  PROCEDURE vestige_schedule_completeness(IN window_begin DATETIME(6), IN window_end DATETIME(6))
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE n_sources, n_gaps, n_holes BIGINT;

  CREATE OR REPLACE TEMPORARY TABLE vestige_whole (
    host_id  INT UNSIGNED     NOT NULL,
    complete TINYINT UNSIGNED NOT NULL,
    PRIMARY KEY (host_id)
  ) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
  FOR h IN (SELECT DISTINCT host_id FROM vestige_span) DO
    SELECT COUNT(*) INTO n_gaps FROM gap
     WHERE host_id = h.host_id AND created_at <= window_end
       AND COALESCE(destroyed_at, window_end) >= window_begin;
    WITH watched AS (SELECT source, created_at AS begins, COALESCE(destroyed_at, window_end) AS ends
                       FROM coverage WHERE host_id = h.host_id
                        AND COALESCE(mode, '') NOT IN ('off', 'none', 'unavailable', 'failed')),
         known AS (SELECT DISTINCT source FROM coverage WHERE host_id = h.host_id),
         edges AS (SELECT source, begins, ends FROM watched
                   UNION ALL SELECT source, window_begin, window_begin FROM known
                   UNION ALL SELECT source, window_end, window_end FROM known),
         span AS (SELECT source, begins, MAX(ends) OVER (PARTITION BY source ORDER BY begins, ends
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before_it FROM edges)
    SELECT COUNT(*) INTO n_holes FROM span
     WHERE before_it + INTERVAL 1000 MICROSECOND < begins AND before_it < window_end
       AND begins > window_begin;
    SELECT COUNT(*) INTO n_sources FROM coverage WHERE host_id = h.host_id;
    INSERT INTO vestige_whole VALUES (h.host_id, n_sources > 0 AND n_gaps = 0 AND n_holes = 0);
  END FOR;
END;

-- The answer becomes findings. Subjects that are new get a row each; of those that are known the
-- last sight moves, and rows that are not among their keys yet are added.
CREATE OR REPLACE DEFINER = vestige_scheduler@localhost
  PROCEDURE vestige_schedule_keep(IN which BIGINT UNSIGNED, IN run BIGINT UNSIGNED,
                                  IN question_name VARCHAR(64), IN row_table_name VARCHAR(64),
                                  IN at_moment DATETIME(6), OUT n_new BIGINT)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  INSERT INTO schedule_finding (schedule_id, host_id, subject_hash, day, run_id)
  SELECT which, a.host_id, a.subject_hash, DATE(at_moment), run FROM vestige_answer a
    LEFT JOIN schedule_finding f ON f.schedule_id = which AND f.host_id = a.host_id
     AND f.subject_hash = a.subject_hash
   WHERE f.id IS NULL
   GROUP BY a.host_id, a.subject_hash ORDER BY MIN(a.n);
  SET n_new = ROW_COUNT();

  CREATE OR REPLACE TEMPORARY TABLE vestige_sight (
    id       BIGINT UNSIGNED NOT NULL,
    host_id  INT UNSIGNED    NOT NULL,
    day      DATE            NOT NULL,
    first_n  BIGINT UNSIGNED NOT NULL,
    row_keys JSON            NULL,
    PRIMARY KEY (id)
  ) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
  INSERT INTO vestige_sight (id, host_id, day, first_n)
  SELECT f.id, f.host_id, f.day, MIN(a.n) FROM vestige_answer a
    JOIN schedule_finding f ON f.schedule_id = which AND f.host_id = a.host_id
     AND f.subject_hash = a.subject_hash
   GROUP BY f.id;
  UPDATE vestige_sight s JOIN (
    SELECT id, JSON_ARRAYAGG(JSON_OBJECT('table', row_table_name, 'host_id', host_id, 'id', row_id,
                                         'created_at', CAST(moment AS CHAR)) ORDER BY row_id) AS row_keys
      FROM (SELECT f.id, a.host_id, a.row_id, MAX(a.moment) AS moment,
                   ROW_NUMBER() OVER (PARTITION BY f.id ORDER BY a.row_id) AS nth
              FROM vestige_answer a
              JOIN schedule_finding f ON f.schedule_id = which AND f.host_id = a.host_id
               AND f.subject_hash = a.subject_hash
              LEFT JOIN finding old ON old.host_id = f.host_id AND old.id = f.id AND old.day = f.day
             WHERE old.row_keys IS NULL
                OR NOT JSON_CONTAINS(old.row_keys, JSON_OBJECT('id', a.row_id))
             GROUP BY f.id, a.row_id) numbered
     WHERE nth <= 50 GROUP BY id) k ON k.id = s.id
     SET s.row_keys = k.row_keys;

  UPDATE finding old JOIN vestige_sight s
      ON old.host_id = s.host_id AND old.id = s.id AND old.day = s.day
     SET old.last_seen = at_moment, old.destroyed_at = at_moment,
         old.row_keys = IF(s.row_keys IS NULL OR JSON_LENGTH(old.row_keys) >= 50, old.row_keys,
                           JSON_MERGE_PRESERVE(old.row_keys, s.row_keys));
  INSERT INTO finding (host_id, id, day, created_at, destroyed_at, end_cause, seen_by, class, subject,
                       detail, batch, schedule_id, last_seen, row_keys, complete)
  SELECT f.host_id, f.id, f.day, at_moment, at_moment, 'closed', '', question_name,
         IF(CHAR_LENGTH(a.subject) > 4096, CONCAT(LEFT(a.subject, 4050), ' ... of ',
            CHAR_LENGTH(a.subject), ' characters'), a.subject),
         IF(LENGTH(a.detail) > 60000, CONCAT(LEFT(a.detail, 15000), ' ... of ',
            CHAR_LENGTH(a.detail), ' characters'), a.detail),
         0, which, at_moment, s.row_keys, COALESCE(w.complete, 0)
    FROM schedule_finding f JOIN vestige_sight s ON s.id = f.id
    JOIN vestige_answer a ON a.n = s.first_n
    LEFT JOIN vestige_whole w ON w.host_id = f.host_id
   WHERE f.run_id = run
   ORDER BY f.id;
END;

-- The values of a run in the order of the places: of the window, of the schedule, else the present.
CREATE OR REPLACE DEFINER = vestige_scheduler@localhost
  PROCEDURE vestige_schedule_values(IN value_names LONGTEXT, IN parameters LONGTEXT,
                                    IN window_begin DATETIME(6), IN window_end DATETIME(6),
                                    IN at_moment DATETIME(6), OUT bound LONGTEXT)
  SQL SECURITY DEFINER NO SQL
BEGIN
  DECLARE i INT DEFAULT 0;
  DECLARE one VARCHAR(64);
  DECLARE at_value DATETIME(6) DEFAULT COALESCE(JSON_VALUE(parameters, '$.at'), at_moment);

  SET bound = '[]';
  WHILE i < JSON_LENGTH(value_names) DO
    SET one = JSON_VALUE(value_names, CONCAT('$[', i, ']')), i = i + 1;
    SET bound = JSON_ARRAY_APPEND(bound, '$', CASE one
      WHEN 'since' THEN CAST(window_begin AS CHAR)
      WHEN 'until' THEN CAST(window_end AS CHAR)
      WHEN 'since_day' THEN CAST(DATE(window_begin - INTERVAL 1 HOUR) AS CHAR)
      WHEN 'until_day' THEN CAST(DATE(window_end + INTERVAL 1 HOUR) AS CHAR)
      WHEN 'at_day' THEN CAST(DATE(at_value + INTERVAL 1 HOUR) AS CHAR)
      ELSE IF(JSON_EXISTS(parameters, CONCAT('$.', one)), JSON_VALUE(parameters, CONCAT('$.', one)),
              CAST(at_moment AS CHAR)) END);
  END WHILE;
END;

-- What a run does between its lock and its commit.
CREATE OR REPLACE DEFINER = vestige_scheduler@localhost
  PROCEDURE vestige_schedule_work(IN which BIGINT UNSIGNED, IN run BIGINT UNSIGNED)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE at_moment DATETIME(6) DEFAULT UTC_TIMESTAMP(6);
  DECLARE window_begin, window_end DATETIME(6);
  DECLARE bound LONGTEXT;
  DECLARE hosts, batches, answers, news BIGINT DEFAULT 0;
  DECLARE closed INT DEFAULT 0;
  DECLARE whole TINYINT;
  DECLARE s ROW TYPE OF schedule;

  SELECT * INTO s FROM schedule WHERE id = which;
  CALL vestige_schedule_spans(which, s.host_id);
  SELECT COUNT(DISTINCT host_id), COALESCE(SUM(CAST(last_batch - first_batch AS DECIMAL(21)) + 1), 0),
         MIN(first_time) INTO hosts, batches, window_begin FROM vestige_span;
  -- Until: as in `vestige report`, an hour more, for hosts whose clock is ahead.
  SET window_end = at_moment + INTERVAL 1 HOUR;
  SET window_begin = CASE
    WHEN s.window_us IS NULL THEN '1970-01-01'
    WHEN window_begin < '1970-01-02' + INTERVAL s.window_us MICROSECOND THEN '1970-01-01'
    ELSE LEAST(window_begin, at_moment) - INTERVAL s.window_us MICROSECOND END;
  IF hosts > 0 THEN
    CALL vestige_schedule_values(s.value_names, s.parameters, window_begin, window_end, at_moment, bound);
    CALL vestige_ask(s.question_sql, s.row_table, s.subject_columns, s.answer_columns, bound);
    CALL vestige_schedule_completeness(window_begin, at_moment);
    SELECT COUNT(*) INTO answers FROM vestige_answer;
    SELECT MIN(complete) INTO whole FROM vestige_whole;
    IF answers > 0 THEN
      CALL vestige_schedule_keep(which, run, s.question, s.row_table, at_moment, news);
    END IF;
    CALL vestige_schedule_advance(which, closed);
  END IF;
  UPDATE schedule_run
     SET finished_at = UTC_TIMESTAMP(6), result = 'success', since = IF(hosts > 0, window_begin, NULL),
         until = IF(hosts > 0, at_moment, NULL), n_hosts = hosts, n_batches = batches,
         n_rows = answers, n_findings = news, complete = whole,
         message = IF(closed > 0, CONCAT(closed, ' holes in the numbers of batches were given up'), '')
   WHERE id = run;
END;

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
  UPDATE schedule_run SET finished_at = UTC_TIMESTAMP(6), result = 'failure',
         message = 'the server or the session ended during this run; nothing of it was kept'
   WHERE schedule_id = which AND result = 'running' AND id < run;
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
    DELETE FROM maintenance_run
     WHERE name = 'schedules' AND result = 'success' AND started_at < started - INTERVAL 7 DAY LIMIT 100;
    DELETE FROM schedule_run
     WHERE started_at < started - INTERVAL 90 DAY AND n_findings = 0 LIMIT 1000;
    COMMIT;
  END IF;
END;

-- For the administrator: only who may execute these can schedule.

CREATE OR REPLACE DEFINER = vestige_scheduler@localhost
  PROCEDURE vestige_schedule_add(IN question VARCHAR(64), IN words TEXT, IN question_sql LONGTEXT,
                                 IN value_names LONGTEXT, IN parameters LONGTEXT,
                                 IN row_table VARCHAR(64), IN subject_columns LONGTEXT,
                                 IN answer_columns LONGTEXT, IN window_us BIGINT UNSIGNED,
                                 IN only_host INT UNSIGNED, IN every_minutes INT UNSIGNED,
                                 IN since DATETIME(6), OUT added BIGINT UNSIGNED)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE first_open, last_number BIGINT UNSIGNED;
  DECLARE closed INT;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;

  COMMIT;
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
  START TRANSACTION;
  INSERT INTO schedule (question, question_sql, value_names, parameters, row_table, subject_columns,
                        answer_columns, window_us, host_id, every_minutes, words, created_by, next_due)
  VALUES (question, question_sql, value_names, parameters, row_table, subject_columns,
          answer_columns, window_us, only_host, GREATEST(every_minutes, 1), words, USER(), UTC_TIMESTAMP(6));
  SET added = LAST_INSERT_ID();
  -- What is there is covered, all of it or up to `since`; of the last 10,000 batches hole by hole, so
  -- that a number far ahead does not hide what comes.
  CREATE OR REPLACE TEMPORARY TABLE vestige_span (
    host_id     INT UNSIGNED    NOT NULL,
    first_batch BIGINT UNSIGNED NOT NULL,
    last_batch  BIGINT UNSIGNED NOT NULL,
    first_time  DATETIME(6)     NOT NULL,
    PRIMARY KEY (host_id, first_batch)
  ) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
  FOR h IN (SELECT host_id FROM enrolment WHERE only_host IS NULL OR host_id = only_host) DO
    SET first_open = NULL, last_number = NULL;
    IF since IS NULL THEN
      SELECT MIN(batch) INTO first_open
        FROM (SELECT batch FROM batch WHERE host_id = h.host_id ORDER BY batch DESC LIMIT 10000) newest;
      IF first_open IS NOT NULL THEN
        CALL vestige_schedule_islands(h.host_id, first_open, 18446744073709551615);
      END IF;
    ELSE
      -- The newest batch that began before belongs to what is asked about.
      BEGIN
        DECLARE CONTINUE HANDLER FOR NOT FOUND BEGIN END;
        SELECT batch INTO first_open FROM batch
         WHERE host_id = h.host_id AND first_time < since ORDER BY first_time DESC, batch DESC LIMIT 1;
      END;
    END IF;
    IF first_open > 0 THEN
      INSERT INTO vestige_span VALUES (h.host_id, 0, first_open - 1, '1970-01-01');
    END IF;
  END FOR;
  CALL vestige_schedule_advance(added, closed);
  COMMIT;
END;

CREATE OR REPLACE DEFINER = vestige_scheduler@localhost
  PROCEDURE vestige_schedule_remove(IN which BIGINT UNSIGNED, OUT n_removed INT)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  COMMIT;
  START TRANSACTION;
  UPDATE schedule SET enabled = 0, removed_at = UTC_TIMESTAMP(6), removed_by = USER()
   WHERE id = which AND removed_at IS NULL;
  SET n_removed = ROW_COUNT();
  IF n_removed > 0 THEN
    DELETE FROM schedule_position WHERE schedule_id = which;
  END IF;
  COMMIT;
END;

CREATE OR REPLACE DEFINER = vestige_scheduler@localhost
  PROCEDURE vestige_schedule_run(IN which BIGINT UNSIGNED, OUT run BIGINT UNSIGNED,
                                 OUT outcome VARCHAR(16))
  SQL SECURITY DEFINER MODIFIES SQL DATA
  CALL vestige_schedule_run_one(which, 0, run, outcome);

CREATE OR REPLACE DEFINER = vestige_scheduler@localhost EVENT vestige_schedules
  ON SCHEDULE EVERY 1 MINUTE ON COMPLETION PRESERVE
  DO CALL vestige_run_due_schedules();
