-- Scheduled questions, their runs, what they found, and who was told.
--
-- vestige_asker runs the SQL of a question: locked, with a reader's rights and temporary tables.
-- vestige_scheduler keeps the books and writes the findings; locked too. Neither can change evidence.
-- vestige_notifier is the role of the account that tells people.
--
-- `finding` holds the agents' conclusions and those of schedules. The columns that are new here are
-- in no view of the agents, so a row with a schedule_id is the server's. Such a row:
--   id            counts from 1. An agent's id is a moment, and its view demands the day of that
--                 moment; these would be of 1970-01-01, and their day is that of the run. So the
--                 keys cannot meet, whatever an agent writes
--   created_at    the run that saw it first (first_seen is the same); destroyed_at and last_seen: the
--                 run that saw it last. batch is 0, seen_by is empty
--   row_keys      the rows behind it: [{"table": "process", "host_id": 1, "id": 2, "created_at": ...}]
--   complete      1: no gap and no unwatched span of that host in the window of the first run

CREATE USER IF NOT EXISTS vestige_asker@localhost
  IDENTIFIED VIA mysql_native_password USING 'invalid' ACCOUNT LOCK;
CREATE USER IF NOT EXISTS vestige_scheduler@localhost
  IDENTIFIED VIA mysql_native_password USING 'invalid' ACCOUNT LOCK;
CREATE ROLE IF NOT EXISTS vestige_notifier;

CREATE TABLE IF NOT EXISTS schedule (
  id              BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  question        VARCHAR(64)     NOT NULL,
  question_sql    LONGTEXT        NOT NULL COMMENT 'a `?` for each of value_names',
  value_names     JSON            NOT NULL COMMENT 'in the order of the `?`',
  parameters      JSON            NOT NULL COMMENT 'values by name; what is not here is given by the run',
  row_table       VARCHAR(64)     NOT NULL COMMENT 'whose rows the findings keep',
  subject_columns JSON            NOT NULL COMMENT 'two answers that agree in these are one finding',
  answer_columns  JSON            NOT NULL COMMENT 'what a finding tells',
  window_us       BIGINT UNSIGNED NULL COMMENT 'how far a run looks back from what is new; NULL: all time',
  host_id         INT UNSIGNED    NULL COMMENT 'NULL: all hosts',
  every_minutes   INT UNSIGNED    NOT NULL,
  words           TEXT            NOT NULL COMMENT 'as it was asked for, for people',
  created_at      DATETIME(6)     NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  created_by      VARCHAR(384)    NOT NULL,
  removed_at      DATETIME(6)     NULL,
  removed_by      VARCHAR(384)    NULL,
  enabled         TINYINT UNSIGNED NOT NULL DEFAULT 1,
  next_due        DATETIME(6)     NOT NULL,
  PRIMARY KEY (id),
  KEY due (enabled, next_due)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS schedule_run (
  id           BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  schedule_id  BIGINT UNSIGNED NOT NULL,
  started_at   DATETIME(6)     NOT NULL,
  finished_at  DATETIME(6)     NULL,
  duration     TIME(6)         GENERATED ALWAYS AS (TIMEDIFF(finished_at, started_at)) VIRTUAL,
  result       ENUM('running','success','failure') NOT NULL,
  since        DATETIME(6)     NULL COMMENT 'the window that was asked about',
  until        DATETIME(6)     NULL,
  n_hosts      INT UNSIGNED    NULL COMMENT 'of which something was new',
  n_batches    BIGINT UNSIGNED NULL COMMENT 'that were covered',
  n_rows       BIGINT UNSIGNED NULL COMMENT 'of the answer, from these batches',
  n_findings   BIGINT UNSIGNED NULL COMMENT 'that are new',
  complete     TINYINT UNSIGNED NULL COMMENT '1: no gap and no unwatched span in the window, on these hosts',
  message      TEXT            NOT NULL DEFAULT '',
  PRIMARY KEY (id),
  KEY schedule (schedule_id, id),
  KEY started (started_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- The batches that a schedule has covered, as ranges: one a host as long as no number is missing.
-- A number far ahead, lost or forged, makes a second range; what arrives between is not covered yet.
CREATE TABLE IF NOT EXISTS schedule_position (
  schedule_id BIGINT UNSIGNED NOT NULL,
  host_id     INT UNSIGNED    NOT NULL,
  first_batch BIGINT UNSIGNED NOT NULL,
  last_batch  BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (schedule_id, host_id, first_batch)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- One row a finding of a schedule: the guard that makes it one, and its number.
CREATE TABLE IF NOT EXISTS schedule_finding (
  id           BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  schedule_id  BIGINT UNSIGNED NOT NULL,
  host_id      INT UNSIGNED    NOT NULL,
  subject_hash BINARY(32)      NOT NULL COMMENT 'SHA-256 of the values of the subject columns',
  day          DATE            NOT NULL,
  run_id       BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY subject (schedule_id, host_id, subject_hash),
  KEY number (schedule_id, id),
  KEY run (run_id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

ALTER TABLE finding
  ADD COLUMN IF NOT EXISTS schedule_id BIGINT UNSIGNED NULL COMMENT 'NULL: an agent''s',
  ADD COLUMN IF NOT EXISTS first_seen DATETIME(6) GENERATED ALWAYS AS (created_at) VIRTUAL,
  ADD COLUMN IF NOT EXISTS last_seen DATETIME(6) NULL COMMENT 'by a run',
  ADD COLUMN IF NOT EXISTS row_keys JSON NULL COMMENT 'the rows behind it, at most 50',
  ADD COLUMN IF NOT EXISTS complete TINYINT UNSIGNED NULL COMMENT '1: the evidence was complete',
  ADD KEY IF NOT EXISTS arrival (schedule_id, host_id, batch);

-- Who was told of what. A position moves only after a delivery that succeeded: of findings of
-- agents it is a batch of that host, of those of a schedule the number of the finding.
CREATE TABLE IF NOT EXISTS notification (
  id           BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  channel      VARCHAR(64)     NOT NULL COMMENT 'mail, command or webhook',
  recipient    TEXT            NOT NULL,
  attempted_at DATETIME(6)     NOT NULL,
  finished_at  DATETIME(6)     NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  attempts     INT UNSIGNED    NOT NULL,
  result       ENUM('success','failure') NOT NULL,
  n_findings   INT UNSIGNED    NOT NULL,
  findings     JSON            NOT NULL COMMENT '[[host_id, id], ...] of which it tells',
  message      TEXT            NOT NULL,
  PRIMARY KEY (id),
  KEY channel (channel, id),
  KEY attempted (attempted_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS notification_position (
  channel     VARCHAR(64)     NOT NULL,
  schedule_id BIGINT UNSIGNED NOT NULL COMMENT '0: findings of agents',
  host_id     INT UNSIGNED    NOT NULL COMMENT '0: of all hosts',
  last        BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (channel, schedule_id, host_id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

GRANT SELECT, CREATE TEMPORARY TABLES ON * TO vestige_asker@localhost;

GRANT EVENT, CREATE TEMPORARY TABLES ON * TO vestige_scheduler@localhost;
GRANT SELECT ON enrolment TO vestige_scheduler@localhost;
GRANT SELECT ON batch TO vestige_scheduler@localhost;
GRANT SELECT ON gap TO vestige_scheduler@localhost;
GRANT SELECT ON coverage TO vestige_scheduler@localhost;
GRANT SELECT, INSERT, UPDATE ON finding TO vestige_scheduler@localhost;
GRANT SELECT, INSERT, UPDATE ON schedule TO vestige_scheduler@localhost;
GRANT SELECT, INSERT, UPDATE, DELETE ON schedule_run TO vestige_scheduler@localhost;
GRANT SELECT, INSERT, UPDATE, DELETE ON schedule_position TO vestige_scheduler@localhost;
GRANT SELECT, INSERT ON schedule_finding TO vestige_scheduler@localhost;
GRANT SELECT, INSERT, UPDATE, DELETE ON maintenance_run TO vestige_scheduler@localhost;

GRANT SELECT, SHOW VIEW ON * TO vestige_notifier;
GRANT INSERT ON notification TO vestige_notifier;
GRANT INSERT, UPDATE ON notification_position TO vestige_notifier;
GRANT INSERT ON notification TO vestige_admin;
GRANT INSERT, UPDATE ON notification_position TO vestige_admin;
