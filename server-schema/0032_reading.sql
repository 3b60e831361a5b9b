-- Who read the evidence: what `vestige` was asked, by whom, and how many rows it gave.
--
-- `vestige` writes two rows: one before it asks, so that a question whose answer was interrupted is there
-- too, and one when the answer is finished. The account and the time are the server's; what the client tells
-- of itself (the user of the system, the words) is the client's. Readers add rows by these procedures alone,
-- and can change and delete none.
--
-- Each row has the SHA-256 over the row before and itself, so that a row that is changed, taken out or put in
-- is found (`vestige server check`, reports/evidence/reading.c). Whoever may change the tables at all, root on the
-- server, can make the whole chain anew: keep its head elsewhere. What is asked by other programs than
-- vestige is not here; the plugin server_audit of the server keeps that, of the accounts in its list:
-- reader_account has those who may read, and whether they are in it.
--
-- vestige_clerk is the definer: locked, it can do nothing but add.

CREATE USER IF NOT EXISTS vestige_clerk@localhost
  IDENTIFIED VIA mysql_native_password USING 'invalid' ACCOUNT LOCK;

CREATE TABLE IF NOT EXISTS reading (
  id            BIGINT UNSIGNED NOT NULL COMMENT 'counts from 1, without a hole',
  at            DATETIME(6)     NOT NULL COMMENT 'by the server',
  step          ENUM('asked','answered') NOT NULL,
  asked_id      BIGINT UNSIGNED NULL COMMENT 'of an answer: the row of its question',
  account       VARCHAR(384)    NOT NULL COMMENT 'of the database, and from where, as the server sees it',
  os_user       VARCHAR(255)    NULL COMMENT 'as the client told it',
  os_host       VARCHAR(255)    NULL COMMENT 'as the client told it',
  command       VARCHAR(64)     NULL,
  words         MEDIUMTEXT      NULL COMMENT 'all of them, as they were typed',
  question      MEDIUMTEXT      NULL COMMENT 'name of the canned question, or the SQL',
  on_host       VARCHAR(255)    NULL COMMENT 'as it was typed; NULL: all',
  login_user    VARCHAR(255)    NULL COMMENT 'as it was typed; NULL: all',
  since         DATETIME(6)     NULL COMMENT 'of a question as typed, of an answer as it was',
  until         DATETIME(6)     NULL,
  host_id       INT UNSIGNED    NULL,
  n_rows        BIGINT UNSIGNED NULL,
  duration_ms   BIGINT UNSIGNED NULL,
  outcome       ENUM('rows','none','error') NULL,
  previous_hash BINARY(32)      NOT NULL,
  hash          BINARY(32)      NOT NULL COMMENT 'SHA-256 over previous_hash and the columns above',
  PRIMARY KEY (id),
  KEY asked (asked_id),
  KEY at (at),
  KEY account (account, at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- The last row. Whoever adds one locks this, so the chain has one order.
CREATE TABLE IF NOT EXISTS reading_head (
  one  TINYINT UNSIGNED NOT NULL,
  id   BIGINT UNSIGNED  NOT NULL,
  hash BINARY(32)       NOT NULL,
  PRIMARY KEY (one)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

INSERT IGNORE INTO reading_head (one, id, hash) VALUES (1, 0, REPEAT('\0', 32));
-- 1: vestige gives no answer when its question cannot be kept.
INSERT IGNORE INTO watch_setting (host_id, name, value) VALUES (0, 'reading_required', 0);

GRANT SELECT, INSERT ON reading TO vestige_clerk@localhost;
GRANT SELECT, UPDATE ON reading_head TO vestige_clerk@localhost;

-- One column in the text that is hashed: its bytes and how many they are, or that it is NULL.
CREATE OR REPLACE DEFINER = vestige_clerk@localhost
  FUNCTION vestige_reading_field(value LONGTEXT) RETURNS LONGTEXT
  SQL SECURITY DEFINER DETERMINISTIC NO SQL
  RETURN IF(value IS NULL, '-;', CONCAT(LENGTH(value), ':', value, ';'));
GRANT EXECUTE ON FUNCTION vestige_reading_field TO vestige_clerk@localhost;

CREATE OR REPLACE DEFINER = vestige_clerk@localhost
  PROCEDURE vestige_read_add(IN step_word VARCHAR(16), IN of_id BIGINT UNSIGNED, IN told_user VARCHAR(255),
                             IN told_host VARCHAR(255), IN command_word VARCHAR(64), IN all_words LONGTEXT,
                             IN question_text LONGTEXT, IN on_word VARCHAR(255), IN login_word VARCHAR(255),
                             IN begin_at DATETIME(6), IN end_at DATETIME(6), IN host INT UNSIGNED,
                             IN rows_given BIGINT UNSIGNED, IN took_ms BIGINT UNSIGNED,
                             IN outcome_word VARCHAR(16), OUT added BIGINT UNSIGNED)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE last_id BIGINT UNSIGNED;
  DECLARE last_hash, new_hash BINARY(32);
  DECLARE at_moment DATETIME(6);
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    ROLLBACK;
    RESIGNAL;
  END;

  COMMIT;
  START TRANSACTION;
  SELECT id, hash INTO last_id, last_hash FROM reading_head WHERE one = 1 FOR UPDATE;
  SET added = last_id + 1, at_moment = UTC_TIMESTAMP(6);
  SET new_hash = UNHEX(SHA2(CONCAT(LOWER(HEX(last_hash)), ';',
    vestige_reading_field(added), vestige_reading_field(at_moment), vestige_reading_field(step_word),
    vestige_reading_field(of_id), vestige_reading_field(USER()), vestige_reading_field(told_user),
    vestige_reading_field(told_host), vestige_reading_field(command_word), vestige_reading_field(all_words),
    vestige_reading_field(question_text), vestige_reading_field(on_word), vestige_reading_field(login_word),
    vestige_reading_field(begin_at), vestige_reading_field(end_at), vestige_reading_field(host),
    vestige_reading_field(rows_given), vestige_reading_field(took_ms), vestige_reading_field(outcome_word)), 256));
  INSERT INTO reading (id, at, step, asked_id, account, os_user, os_host, command, words, question, on_host,
                       login_user, since, until, host_id, n_rows, duration_ms, outcome, previous_hash, hash)
  VALUES (added, at_moment, step_word, of_id, USER(), told_user, told_host, command_word, all_words,
          question_text, on_word, login_word, begin_at, end_at, host, rows_given, took_ms, outcome_word,
          last_hash, new_hash);
  UPDATE reading_head SET id = added, hash = new_hash WHERE one = 1;
  COMMIT;
END;
GRANT EXECUTE ON PROCEDURE vestige_read_add TO vestige_clerk@localhost;

-- A question that is about to be asked. Very long words are cut, and say so.
CREATE OR REPLACE DEFINER = vestige_clerk@localhost
  PROCEDURE vestige_read_begin(IN told_user LONGTEXT, IN told_host LONGTEXT, IN command_word LONGTEXT,
                               IN all_words LONGTEXT, IN question_text LONGTEXT, IN on_word LONGTEXT,
                               IN login_word LONGTEXT, IN begin_at DATETIME(6), IN end_at DATETIME(6),
                               OUT asked BIGINT UNSIGNED)
  SQL SECURITY DEFINER MODIFIES SQL DATA
  CALL vestige_read_add('asked', NULL, LEFT(told_user, 255), LEFT(told_host, 255), LEFT(command_word, 64),
    IF(CHAR_LENGTH(all_words) > 262144, CONCAT(LEFT(all_words, 262144), ' ... of ', CHAR_LENGTH(all_words),
       ' characters'), all_words),
    IF(CHAR_LENGTH(question_text) > 262144, CONCAT(LEFT(question_text, 262144), ' ... of ',
       CHAR_LENGTH(question_text), ' characters'), question_text),
    LEFT(on_word, 255), LEFT(login_word, 255), begin_at, end_at, NULL, NULL, NULL, NULL, asked);
GRANT EXECUTE ON PROCEDURE vestige_read_begin TO vestige_clerk@localhost;

-- How it ended: once, and by who asked.
CREATE OR REPLACE DEFINER = vestige_clerk@localhost
  PROCEDURE vestige_read_end(IN asked BIGINT UNSIGNED, IN begin_at DATETIME(6), IN end_at DATETIME(6),
                             IN host INT UNSIGNED, IN rows_given BIGINT UNSIGNED, IN took_ms BIGINT UNSIGNED,
                             IN outcome_word VARCHAR(16))
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE added BIGINT UNSIGNED;
  IF NOT EXISTS (SELECT 1 FROM reading WHERE id = asked AND step = 'asked' AND account = USER())
     OR EXISTS (SELECT 1 FROM reading WHERE asked_id = asked) THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'there is no such question of this account, or it has its end';
  END IF;
  CALL vestige_read_add('answered', asked, NULL, NULL, NULL, NULL, NULL, NULL, NULL, begin_at, end_at, host,
                        rows_given, took_ms, outcome_word, added);
END;
GRANT EXECUTE ON PROCEDURE vestige_read_end TO vestige_clerk@localhost;

GRANT EXECUTE ON PROCEDURE vestige_read_begin TO vestige_reader;
GRANT EXECUTE ON PROCEDURE vestige_read_end TO vestige_reader;
GRANT EXECUTE ON PROCEDURE vestige_read_begin TO vestige_admin;
GRANT EXECUTE ON PROCEDURE vestige_read_end TO vestige_admin;
GRANT EXECUTE ON PROCEDURE vestige_read_begin TO vestige_verifier;
GRANT EXECUTE ON PROCEDURE vestige_read_end TO vestige_verifier;
GRANT EXECUTE ON PROCEDURE vestige_read_begin TO vestige_notifier;
GRANT EXECUTE ON PROCEDURE vestige_read_end TO vestige_notifier;

-- server_audit knows users by their whole name alone, and its lists hold 1023 bytes: a fleet's agents do not
-- fit into the one of whom it leaves out, so the one of whom it logs has to be kept. These are the accounts
-- that may read, by a right of their own or by a role; agents are not, nor is who cannot log in.
CREATE OR REPLACE DEFINER = vestige_registrar@localhost SQL SECURITY DEFINER VIEW reader_account AS
WITH RECURSIVE may_read (user, host) AS (
  SELECT User, Host FROM mysql.global_priv WHERE CAST(JSON_VALUE(Priv, '$.access') AS UNSIGNED) & 1
   UNION
  SELECT User, Host FROM mysql.db WHERE DATABASE() LIKE Db AND Select_priv = 'Y'
   UNION
  SELECT User, Host FROM mysql.tables_priv
   WHERE Db = DATABASE() AND FIND_IN_SET('Select', Table_priv)
   UNION
  SELECT m.User, m.Host FROM mysql.roles_mapping m JOIN may_read r ON m.Role = r.user AND r.host = ''
)
SELECT g.User AS user, g.Host AS host,
       CASE WHEN NOT COALESCE(a.logging, 'OFF') = 'ON' THEN 0
            WHEN a.included <> '' THEN FIND_IN_SET(g.User, REPLACE(a.included, ' ', '')) > 0
            ELSE FIND_IN_SET(g.User, REPLACE(COALESCE(a.excluded, ''), ' ', '')) = 0 END AS is_logged
  FROM may_read r
  JOIN mysql.global_priv g ON g.User = r.user AND g.Host = r.host
  JOIN (SELECT MAX(IF(variable_name = 'server_audit_logging', variable_value, NULL)) AS logging,
               MAX(IF(variable_name = 'server_audit_incl_users', variable_value, NULL)) AS included,
               MAX(IF(variable_name = 'server_audit_excl_users', variable_value, NULL)) AS excluded
          FROM information_schema.global_variables WHERE variable_name LIKE 'server\_audit\_%') a
 WHERE NOT COALESCE(JSON_VALUE(g.Priv, '$.is_role'), 0) AND NOT COALESCE(JSON_VALUE(g.Priv, '$.account_locked'), 0)
   AND NOT EXISTS (SELECT 1 FROM enrolment e WHERE e.account = CONCAT(g.User, '@', g.Host));
GRANT SELECT ON reader_account TO vestige_watcher@localhost;
