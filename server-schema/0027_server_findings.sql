-- What the server itself concludes, and the runs of its own jobs.
--
-- A rule of the server is a row of `schedule` that asks nothing (every_minutes 0, not enabled), so its
-- findings are rows like those of schedules, and whoever is told of these is told of those. host_id 0
-- is the server.

CREATE OR REPLACE DEFINER = vestige_scheduler@localhost
  PROCEDURE vestige_rule_add(IN rule_name VARCHAR(64), IN told TEXT)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  INSERT INTO schedule (question, question_sql, value_names, parameters, row_table, subject_columns,
                        answer_columns, every_minutes, words, created_by, enabled, next_due)
  SELECT rule_name, '', '[]', '{}', '', '[]', '[]', 0, told, 'vestige', 0, '9999-12-31'
    FROM (SELECT 1) one
   WHERE NOT EXISTS (SELECT 1 FROM schedule s WHERE s.question = rule_name AND s.every_minutes = 0);
END;

GRANT UPDATE ON schedule_finding TO vestige_scheduler@localhost;

-- A finding of a rule about `subject_text`: a new row, or the last sight of the one that there is.
-- `keys_of_rows` has the form of finding.row_keys, or is NULL.
CREATE OR REPLACE DEFINER = vestige_scheduler@localhost
  PROCEDURE vestige_conclude(IN rule_name VARCHAR(64), IN about_host INT UNSIGNED, IN subject_text TEXT,
                             IN detail_text TEXT, IN keys_of_rows LONGTEXT)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE which, number BIGINT UNSIGNED;
  DECLARE since DATE;
  DECLARE is_new INT;
  DECLARE at_moment DATETIME(6) DEFAULT UTC_TIMESTAMP(6);
  DECLARE hash BINARY(32) DEFAULT UNHEX(SHA2(subject_text, 256));

  SELECT MIN(id) INTO which FROM schedule WHERE question = rule_name AND every_minutes = 0;
  IF which IS NULL THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the server has no such rule; vestige_rule_add makes one';
  END IF;
  INSERT INTO schedule_finding (schedule_id, host_id, subject_hash, day, run_id)
  VALUES (which, about_host, hash, DATE(at_moment), 0) ON DUPLICATE KEY UPDATE run_id = run_id;
  SET is_new = ROW_COUNT() = 1;
  SELECT id, day INTO number, since FROM schedule_finding
   WHERE schedule_id = which AND host_id = about_host AND subject_hash = hash;
  IF is_new THEN
    INSERT INTO finding (host_id, id, day, created_at, destroyed_at, end_cause, seen_by, class, subject,
                         detail, batch, schedule_id, last_seen, row_keys)
    VALUES (about_host, number, since, at_moment, at_moment, 'closed', '', rule_name,
            LEFT(subject_text, 4096), LEFT(detail_text, 15000), 0, which, at_moment, keys_of_rows);
  ELSE
    UPDATE finding SET last_seen = at_moment, destroyed_at = at_moment
     WHERE host_id = about_host AND id = number AND day = since;
  END IF;
END;

-- A job that takes long says so before it begins, so that one which never ended can be seen.
CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_run_begin(IN job VARCHAR(64), OUT run BIGINT UNSIGNED)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  INSERT INTO maintenance_run (name, started_at, result, message)
  VALUES (job, UTC_TIMESTAMP(6), 'running', '');
  SET run = LAST_INSERT_ID();
END;

CREATE OR REPLACE DEFINER = vestige_maintainer@localhost
  PROCEDURE vestige_run_end(IN run BIGINT UNSIGNED, IN is_success TINYINT, IN told TEXT)
  SQL SECURITY DEFINER MODIFIES SQL DATA
  UPDATE maintenance_run
     SET finished_at = UTC_TIMESTAMP(6), result = IF(is_success, 'success', 'failure'), message = told
   WHERE id = run AND result = 'running';

GRANT EXECUTE ON PROCEDURE vestige_conclude TO vestige_verifier;
GRANT EXECUTE ON PROCEDURE vestige_run_begin TO vestige_verifier;
GRANT EXECUTE ON PROCEDURE vestige_run_end TO vestige_verifier;

CALL vestige_rule_add('host-silent', 'a host from which nothing comes any more');
CALL vestige_rule_add('host-cloned', 'two machines that use the identity of one host');
CALL vestige_rule_add('host-flooding', 'a host that writes more than its quota');
CALL vestige_rule_add('host-credential-changed', 'an account of an agent that enrolment did not change');
CALL vestige_rule_add('host-clock-off', 'a host whose clock is far from that of the server');
CALL vestige_rule_add('evidence-tampered', 'evidence that is not as the host has sealed it');
CALL vestige_rule_add('evidence-unsigned', 'batches that no key of their host has signed');
CALL vestige_rule_add('server-setting-changed', 'a setting of the server by which evidence can be lost');
CALL vestige_rule_add('reader-not-logged', 'an account that may read and that server_audit leaves out');
