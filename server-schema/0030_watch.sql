-- The server watches its fleet and itself.
--
-- host_state has one row a host, made when the host is enrolled. Its agent gives a sign of life once a
-- minute by an UPDATE of that row through the view host_alive; the trigger sets when and from where,
-- whatever the session says. A row that is updated does not grow, and an agent that has nothing to ship
-- is heard all the same.
--
-- Two machines under one identity show in two ways. The agent tells its boot, and a number by chance
-- for its run with a count that goes up. A boot or a run that comes back after another one, or a count
-- that does not go up, is a second machine: a reboot never comes back, and journals of a former boot
-- that arrive late tell nothing here, because a sign of life is of the moment. And their batches: one
-- number with two hashes, or numbers of two boots in each other.
--
-- vestige_watch looks once a minute. What it finds are findings of the server (0027); limits are rows of
-- watch_setting, which vestige_admin may change. A run that found nothing and failed at nothing moves the
-- times of the row in maintenance_run that stands for the quiet runs before it, so that the table does
-- not grow and a watch that does not run is seen.
--
-- A quota refuses nothing: what a host floods may be the evidence of what happens to it, and whoever
-- wants to hide something would only have to fill the quota first. It is told, and the limits of the
-- account and the journal of the host bound it.
--
-- vestige_watcher is the definer: locked; it reads, and writes the tables that are its own.

CREATE USER IF NOT EXISTS vestige_watcher@localhost
  IDENTIFIED VIA mysql_native_password USING 'invalid' ACCOUNT LOCK;

CREATE TABLE IF NOT EXISTS host_state (
  host_id             INT UNSIGNED     NOT NULL,
  seen_at             DATETIME(6)      NULL COMMENT 'by the server: the last sign of life',
  address             VARCHAR(255)     NULL COMMENT 'from where, as the server sees it',
  boot_id             UUID             NULL,
  boot_seen_at        DATETIME(6)      NULL COMMENT 'the first sign of life of this boot',
  agent_version       VARCHAR(64)      NULL,
  agent_run           BIGINT UNSIGNED  NULL COMMENT 'by chance, at each start of the agent',
  beat                BIGINT UNSIGNED  NULL COMMENT 'of that run; goes up',
  batches_waiting     BIGINT UNSIGNED  NULL COMMENT 'in the journal of the host',
  journal_bytes       BIGINT UNSIGNED  NULL,
  journal_limit_bytes BIGINT UNSIGNED  NULL,
  waiting_us          BIGINT UNSIGNED  NULL COMMENT 'how long the oldest of them waits',
  journal_full        TINYINT UNSIGNED NULL COMMENT '1: what is seen now is lost, and counted',
  gaps                BIGINT UNSIGNED  NULL COMMENT 'that this run of the agent has recorded',
  server_offset_us    BIGINT           NULL COMMENT 'the server''s clock minus the agent''s',
  recent_boots        VARCHAR(1024)    NOT NULL DEFAULT '' COMMENT 'newest first',
  recent_runs         VARCHAR(1024)    NOT NULL DEFAULT '' COMMENT 'newest first',
  cloned_at           DATETIME(6)      NULL COMMENT 'when two machines showed last',
  cloned_boot_id      UUID             NULL COMMENT 'the boot from before',
  cloned_address      VARCHAR(255)     NULL COMMENT 'the address from before',
  PRIMARY KEY (host_id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS watch_setting (
  host_id    INT UNSIGNED    NOT NULL COMMENT '0: of all hosts that have no row of their own',
  name       VARCHAR(64)     NOT NULL,
  value      BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (name, host_id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

-- What the watch remembers from run to run. `looked_at` is the guard too: two runs at once are one.
CREATE TABLE IF NOT EXISTS watch_state (
  one        TINYINT UNSIGNED NOT NULL,
  looked_at  DATETIME(6)      NULL,
  counted_at DATETIME(6)      NULL COMMENT 'batches that arrived before are in host_traffic',
  PRIMARY KEY (one)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS host_watched (
  host_id          INT UNSIGNED    NOT NULL,
  batch_at         DATETIME(6)     NULL COMMENT 'when its last batch arrived',
  server_offset_us BIGINT          NULL,
  bytes_counter    BIGINT UNSIGNED NULL COMMENT 'of information_schema.user_statistics',
  PRIMARY KEY (host_id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS host_traffic (
  host_id INT UNSIGNED    NOT NULL,
  hour    DATETIME        NOT NULL COMMENT 'in which it began',
  n_rows  BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'lines of batches',
  n_bytes BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'that the account sent; counted where userstat is ON',
  PRIMARY KEY (host_id, hour)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS server_setting (
  name       VARCHAR(80) NOT NULL,
  value      TEXT        NOT NULL,
  changed_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'when the watch saw it first',
  PRIMARY KEY (name)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

INSERT IGNORE INTO watch_setting (host_id, name, value) VALUES
  (0, 'silent_seconds', 900),
  (0, 'rows_per_hour', 4000000),
  (0, 'bytes_per_day', 20000000000),
  (0, 'clock_offset_ms', 2000),
  (0, 'clock_step_seconds', 3600);
INSERT IGNORE INTO watch_state (one) VALUES (1);

GRANT INSERT, UPDATE, DELETE ON watch_setting TO vestige_admin;

GRANT EVENT ON * TO vestige_watcher@localhost;
GRANT PROCESS ON *.* TO vestige_watcher@localhost;
GRANT SELECT, TRIGGER ON enrolment TO vestige_watcher@localhost;
GRANT SELECT ON batch TO vestige_watcher@localhost;
GRANT SELECT ON coverage TO vestige_watcher@localhost;
GRANT SELECT ON schedule TO vestige_watcher@localhost;
GRANT SELECT ON schedule_finding TO vestige_watcher@localhost;
GRANT SELECT ON watch_setting TO vestige_watcher@localhost;
GRANT SELECT, INSERT ON host_state TO vestige_watcher@localhost;
GRANT SELECT, UPDATE ON watch_state TO vestige_watcher@localhost;
GRANT SELECT, INSERT, UPDATE ON host_watched TO vestige_watcher@localhost;
GRANT SELECT, INSERT, UPDATE, DELETE ON host_traffic TO vestige_watcher@localhost;
GRANT SELECT, INSERT, UPDATE, DELETE ON server_setting TO vestige_watcher@localhost;
GRANT SELECT, INSERT, UPDATE ON maintenance_run TO vestige_watcher@localhost;
GRANT EXECUTE ON PROCEDURE vestige_conclude TO vestige_watcher@localhost;

-- Signs of life.

GRANT SELECT, UPDATE, TRIGGER ON host_state TO vestige_owner@localhost;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW host_alive AS
SELECT host_id, boot_id, agent_version, agent_run, beat, batches_waiting, journal_bytes,
       journal_limit_bytes, waiting_us, journal_full, gaps, server_offset_us
  FROM host_state
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
  WITH CASCADED CHECK OPTION;
GRANT UPDATE (boot_id, agent_version, agent_run, beat, batches_waiting, journal_bytes,
  journal_limit_bytes, waiting_us, journal_full, gaps, server_offset_us)
  ON host_alive TO vestige_agent;

-- Boots and runs are known as long as they are among the last 20. What comes back within 20 seconds may be
-- a statement of before that had to wait (for a frozen server, or a lock: agents wait for 15 seconds), and
-- is left out. Whoever is no agent sets what they like.
CREATE OR REPLACE DEFINER = vestige_owner@localhost TRIGGER vestige_sign_of_life
  BEFORE UPDATE ON host_state FOR EACH ROW
BEGIN
  DECLARE is_back TINYINT DEFAULT 0;

  IF USER() LIKE 'agent\_%' THEN
    SET NEW.seen_at = UTC_TIMESTAMP(6), NEW.address = SUBSTRING(USER(), LOCATE('@', USER()) + 1);
    SET is_back = (NOT NEW.boot_id <=> OLD.boot_id AND FIND_IN_SET(NEW.boot_id, OLD.recent_boots) > 0)
               OR (NOT NEW.agent_run <=> OLD.agent_run AND FIND_IN_SET(NEW.agent_run, OLD.recent_runs) > 0)
               OR (NEW.agent_run <=> OLD.agent_run AND COALESCE(NEW.beat <= OLD.beat, 0));
    IF is_back AND OLD.seen_at > NEW.seen_at - INTERVAL 20 SECOND THEN
      SET NEW.boot_id = OLD.boot_id, NEW.agent_run = OLD.agent_run, NEW.beat = OLD.beat,
          NEW.seen_at = OLD.seen_at, NEW.address = OLD.address;
    ELSEIF is_back THEN
      SET NEW.cloned_at = NEW.seen_at, NEW.cloned_boot_id = OLD.boot_id, NEW.cloned_address = OLD.address;
    END IF;
    IF NOT NEW.boot_id <=> OLD.boot_id THEN
      SET NEW.boot_seen_at = NEW.seen_at,
          NEW.recent_boots = SUBSTRING_INDEX(CONCAT_WS(',', NEW.boot_id, NULLIF(OLD.recent_boots, '')), ',', 20);
    END IF;
    IF NOT NEW.agent_run <=> OLD.agent_run THEN
      SET NEW.recent_runs = SUBSTRING_INDEX(CONCAT_WS(',', NEW.agent_run, NULLIF(OLD.recent_runs, '')), ',', 20);
    END IF;
  END IF;
END;

CREATE OR REPLACE DEFINER = vestige_watcher@localhost TRIGGER vestige_host_enrolled
  AFTER INSERT ON enrolment FOR EACH ROW
  INSERT IGNORE INTO host_state (host_id) VALUES (NEW.host_id);

INSERT IGNORE INTO host_state (host_id) SELECT host_id FROM enrolment;

-- A limit: the host's own, or that of all. Procedures of the watch take `at_moment`, so that a test can
-- live through a day.
CREATE OR REPLACE DEFINER = vestige_watcher@localhost
  FUNCTION vestige_watch_limit(host INT UNSIGNED, limit_name VARCHAR(64)) RETURNS BIGINT UNSIGNED
  SQL SECURITY DEFINER READS SQL DATA
  RETURN (SELECT value FROM watch_setting WHERE name = limit_name AND host_id IN (0, host)
           ORDER BY host_id DESC LIMIT 1);
GRANT EXECUTE ON FUNCTION vestige_watch_limit TO vestige_watcher@localhost;

-- What arrived since `since`: when, and the last offset that a host told. A transaction may be open for 30
-- seconds (0004), so what is counted is what arrived before that, once.
CREATE OR REPLACE DEFINER = vestige_watcher@localhost
  PROCEDURE vestige_watch_arrivals(IN at_moment DATETIME(6), IN since DATETIME(6))
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE counted DATETIME(6);
  DECLARE until DATETIME(6) DEFAULT at_moment - INTERVAL 45 SECOND;

  INSERT INTO host_watched (host_id, batch_at)
  SELECT host_id, MAX(received_at) FROM batch WHERE received_at > since GROUP BY host_id
      ON DUPLICATE KEY UPDATE batch_at = VALUES(batch_at);

  SELECT COALESCE(counted_at, until - INTERVAL 1 HOUR) INTO counted FROM watch_state WHERE one = 1;
  IF until > counted THEN
    INSERT INTO host_traffic (host_id, hour, n_rows)
    SELECT host_id, DATE_FORMAT(received_at, '%Y-%m-%d %H:00:00'), SUM(n_lines) FROM batch
     WHERE received_at > counted AND received_at <= until GROUP BY 1, 2
        ON DUPLICATE KEY UPDATE n_rows = n_rows + VALUES(n_rows);
    UPDATE watch_state SET counted_at = until WHERE one = 1;
  END IF;
  FOR one IN (SELECT e.host_id, s.received, w.bytes_counter AS known
                FROM (SELECT CAST(SUBSTRING(user, 7) AS UNSIGNED) AS host_id, bytes_received AS received
                        FROM information_schema.user_statistics WHERE user REGEXP '^agent_[0-9]{1,9}$') s
                JOIN enrolment e ON e.host_id = s.host_id
                LEFT JOIN host_watched w ON w.host_id = e.host_id) DO
    -- A count that is lower than before began anew. The first sight is no news of this hour.
    IF one.known IS NOT NULL AND one.received <> one.known THEN
      INSERT INTO host_traffic (host_id, hour, n_bytes)
      VALUES (one.host_id, DATE_FORMAT(at_moment, '%Y-%m-%d %H:00:00'),
              IF(one.received > one.known, one.received - one.known, one.received))
          ON DUPLICATE KEY UPDATE n_bytes = n_bytes + VALUES(n_bytes);
    END IF;
    IF NOT one.received <=> one.known THEN
      INSERT INTO host_watched (host_id, bytes_counter) VALUES (one.host_id, one.received)
          ON DUPLICATE KEY UPDATE bytes_counter = VALUES(bytes_counter);
    END IF;
  END FOR;
  DELETE FROM host_traffic WHERE hour < at_moment - INTERVAL 3 DAY;
END;
GRANT EXECUTE ON PROCEDURE vestige_watch_arrivals TO vestige_watcher@localhost;

-- Nothing is heard: neither a batch nor a sign of life. Hosts that never were heard are to be set up yet.
CREATE OR REPLACE DEFINER = vestige_watcher@localhost
  PROCEDURE vestige_watch_silent(IN at_moment DATETIME(6), IN since DATETIME(6))
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE is_open INT;

  FOR h IN (SELECT e.host_id, s.seen_at, s.batches_waiting, GREATEST(COALESCE(s.seen_at, w.batch_at),
                   COALESCE(w.batch_at, s.seen_at)) AS heard_at
              FROM enrolment e LEFT JOIN host_state s ON s.host_id = e.host_id
              LEFT JOIN host_watched w ON w.host_id = e.host_id
             WHERE e.revoked_at IS NULL AND e.retired_at IS NULL
            HAVING heard_at < at_moment - INTERVAL vestige_watch_limit(e.host_id, 'silent_seconds') SECOND) DO
    SELECT COUNT(*) INTO is_open FROM coverage WHERE host_id = h.host_id AND destroyed_at IS NULL;
    CALL vestige_conclude('host-silent', h.host_id,
      CONCAT('nothing was heard since ', h.heard_at),
      CONCAT(CASE
        WHEN h.seen_at IS NULL THEN 'its agent never gave a sign of life, so it may have had nothing to tell'
        WHEN is_open = 0 THEN 'its agent had said that it ends'
        ELSE 'it went without a word: the host, its network or its agent is gone, or its account works no'
             ' more' END,
        IF(h.batches_waiting > 1, CONCAT('; ', h.batches_waiting, ' batches waited in its journal then'), '')),
      NULL);
  END FOR;
END;
GRANT EXECUTE ON PROCEDURE vestige_watch_silent TO vestige_watcher@localhost;

-- One finding a pair of boots, whichever way they showed; a hundred a day of one host: who has its credential
-- can tell of as many boots as they like.
CREATE OR REPLACE DEFINER = vestige_watcher@localhost
  PROCEDURE vestige_watch_clone(IN host INT UNSIGNED, IN boot UUID, IN other UUID, IN detail TEXT)
  SQL SECURITY DEFINER MODIFIES SQL DATA
  CALL vestige_conclude('host-cloned', host,
    CASE WHEN (SELECT COUNT(*) FROM schedule s JOIN schedule_finding f ON f.schedule_id = s.id
                WHERE s.question = 'host-cloned' AND s.every_minutes = 0 AND f.host_id = host
                  AND f.day = UTC_DATE()) >= 100 THEN CONCAT('very many boots on ', UTC_DATE())
         WHEN boot = other THEN CONCAT('boot ', boot, ' twice')
         ELSE CONCAT('boots ', LEAST(CAST(boot AS CHAR), CAST(other AS CHAR)), ' and ',
                     GREATEST(CAST(boot AS CHAR), CAST(other AS CHAR))) END,
    CONCAT(detail, '. The machine was cloned, or its state directory restored from a copy, or its credential'
                   ' stolen'), NULL);
GRANT EXECUTE ON PROCEDURE vestige_watch_clone TO vestige_watcher@localhost;

CREATE OR REPLACE DEFINER = vestige_watcher@localhost
  PROCEDURE vestige_watch_cloned(IN at_moment DATETIME(6), IN since DATETIME(6))
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  FOR h IN (SELECT host_id, boot_id, cloned_boot_id, address, cloned_address, cloned_at FROM host_state
             WHERE cloned_at > since) DO
    CALL vestige_watch_clone(h.host_id, h.boot_id, h.cloned_boot_id,
      CONCAT('agents of both gave signs of life in turn, from ', h.cloned_address, ' and ', h.address,
             ', last at ', DATE_FORMAT(h.cloned_at, '%Y-%m-%d %H:%i:%s')));
  END FOR;
  -- Of a number that came more than twice, two, the least hash and the greatest: all pairs would be their
  -- square. Boots go with their hashes, because a join for them is their cube by some statistics.
  FOR c IN (SELECT host_id, boot_id, other, first_batch, n
              FROM (SELECT p.*, ROW_NUMBER() OVER (PARTITION BY host_id ORDER BY first_batch) AS place
                      FROM (SELECT host_id, boot_id, other, MIN(batch) AS first_batch, COUNT(*) AS n
                              FROM (SELECT x.host_id, x.batch,
                                           CONVERT(SUBSTRING(MIN(CONCAT(x.hash, x.boot_id)), 33) USING latin1) AS boot_id,
                                           CONVERT(SUBSTRING(MAX(CONCAT(x.hash, x.boot_id)), 33) USING latin1) AS other
                                      FROM (SELECT DISTINCT host_id, batch FROM batch
                                             WHERE received_at > since) r
                                      JOIN batch x ON x.host_id = r.host_id AND x.batch = r.batch
                                     GROUP BY x.host_id, x.batch HAVING COUNT(*) > 1) d
                             GROUP BY host_id, boot_id, other) p) placed
             WHERE place <= 20) DO
    CALL vestige_watch_clone(c.host_id, c.boot_id, c.other,
      CONCAT(c.n, ' batches, from number ', c.first_batch, ' on, came with two hashes'));
  END FOR;
  FOR c IN (SELECT host_id, boot_id, other, first_batch
              FROM (SELECT neighbours.*, ROW_NUMBER() OVER (PARTITION BY host_id ORDER BY first_batch) AS place
                      FROM (SELECT host_id, boot_id, first_batch, LAG(boot_id) OVER numbers AS other,
                                   LAG(last_batch) OVER numbers AS other_last
                              FROM (SELECT host_id, boot_id, MIN(batch) AS first_batch, MAX(batch) AS last_batch
                                      FROM batch WHERE received_at > since GROUP BY host_id, boot_id) boots
                            WINDOW numbers AS (PARTITION BY host_id ORDER BY first_batch, last_batch)) neighbours
                     WHERE other_last > first_batch) placed
             WHERE place <= 20) DO
    CALL vestige_watch_clone(c.host_id, c.boot_id, c.other,
      CONCAT('batches of one have numbers among those of the other, from ', c.first_batch, ' on'));
  END FOR;
END;
GRANT EXECUTE ON PROCEDURE vestige_watch_cloned TO vestige_watcher@localhost;

CREATE OR REPLACE DEFINER = vestige_watcher@localhost
  PROCEDURE vestige_watch_flooding(IN at_moment DATETIME(6), IN since DATETIME(6))
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  FOR t IN (SELECT host_id, hour, n_rows, vestige_watch_limit(host_id, 'rows_per_hour') AS most
              FROM host_traffic WHERE hour >= at_moment - INTERVAL 2 HOUR HAVING n_rows > most) DO
    CALL vestige_conclude('host-flooding', t.host_id,
      CONCAT('rows in the hour from ', DATE_FORMAT(t.hour, '%Y-%m-%d %H:%i')),
      CONCAT(t.n_rows, ' rows so far; its quota is ', t.most, ' an hour. All are kept'), NULL);
  END FOR;
  FOR t IN (SELECT host_id, DATE(hour) AS day, SUM(n_bytes) AS sent,
                   vestige_watch_limit(host_id, 'bytes_per_day') AS most
              FROM host_traffic WHERE hour >= DATE(at_moment - INTERVAL 2 HOUR)
             GROUP BY host_id, DATE(hour) HAVING sent > most) DO
    CALL vestige_conclude('host-flooding', t.host_id, CONCAT('bytes on ', t.day),
      CONCAT(t.sent, ' bytes so far; its quota is ', t.most, ' a day. All are kept'), NULL);
  END FOR;
END;
GRANT EXECUTE ON PROCEDURE vestige_watch_flooding TO vestige_watcher@localhost;

-- The newest that a host told of its clock: with a sign of life, else with a batch. One finding a day as
-- long as it is off.
CREATE OR REPLACE DEFINER = vestige_watcher@localhost
  PROCEDURE vestige_watch_clock(IN at_moment DATETIME(6), IN since DATETIME(6))
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  FOR c IN (SELECT o.host_id, o.now_us, w.server_offset_us AS before_us,
                   vestige_watch_limit(o.host_id, 'clock_offset_ms') AS off_ms,
                   vestige_watch_limit(o.host_id, 'clock_step_seconds') AS step_s
              FROM (SELECT host_id, server_offset_us AS now_us FROM host_state
                     WHERE seen_at > since AND server_offset_us IS NOT NULL
                     UNION ALL
                    SELECT b.host_id, b.server_offset_us FROM batch b
                      JOIN (SELECT host_id, MAX(received_at) AS received_at FROM batch
                             WHERE received_at > since GROUP BY host_id) l
                        ON l.host_id = b.host_id AND l.received_at = b.received_at
                     WHERE b.received_at > since AND b.server_offset_us IS NOT NULL
                       AND NOT EXISTS (SELECT 1 FROM host_state s WHERE s.host_id = b.host_id
                                          AND s.seen_at > since AND s.server_offset_us IS NOT NULL)) o
              LEFT JOIN host_watched w ON w.host_id = o.host_id) DO
    -- The number is the agent's: its least value has no positive one.
    IF ABS(CAST(c.now_us AS DECIMAL(21))) > CAST(c.off_ms AS DECIMAL(21)) * 1000 THEN
      CALL vestige_conclude('host-clock-off', c.host_id, CONCAT('its clock is off on ', DATE(at_moment)),
        CONCAT('it is ', ROUND(ABS(CAST(c.now_us AS DECIMAL(21))) / 1e6, 1), ' s ', IF(c.now_us > 0, 'behind', 'ahead of'),
               ' the server''s'), NULL);
    END IF;
    IF ABS(CAST(c.now_us AS DECIMAL(21)) - c.before_us) > c.step_s * 1000000 THEN
      CALL vestige_conclude('host-clock-off', c.host_id,
        CONCAT('its clock was set before ', DATE_FORMAT(at_moment, '%Y-%m-%d %H:%i:%s')),
        CONCAT('by ', ROUND(ABS(CAST(c.now_us AS DECIMAL(21)) - c.before_us) / 1e6, 1), ' s ',
               IF(c.now_us < c.before_us, 'forward', 'backward')), NULL);
    END IF;
    IF NOT c.now_us <=> c.before_us THEN
      INSERT INTO host_watched (host_id, server_offset_us) VALUES (c.host_id, c.now_us)
          ON DUPLICATE KEY UPDATE server_offset_us = VALUES(server_offset_us);
    END IF;
  END FOR;
END;
GRANT EXECUTE ON PROCEDURE vestige_watch_clock TO vestige_watcher@localhost;

-- What the accounts of agents should be is known by enrolment (0029): its view has what differs. A finding a
-- day, as long as it does.
CREATE OR REPLACE DEFINER = vestige_watcher@localhost
  PROCEDURE vestige_watch_credentials(IN at_moment DATETIME(6), IN since DATETIME(6))
  SQL SECURITY DEFINER MODIFIES SQL DATA
  IF EXISTS (SELECT 1 FROM information_schema.views
              WHERE table_schema = DATABASE() AND table_name = 'changed_credential') THEN
    FOR c IN (SELECT host_id, account, what FROM changed_credential) DO
      CALL vestige_conclude('host-credential-changed', COALESCE(c.host_id, 0),
        CONCAT(c.account, ': ', c.what, ', on ', DATE(at_moment)),
        'somebody else than enrolment changed it; `vestige client rotate HOST` gives the host another one', NULL);
    END FOR;
  END IF;
GRANT EXECUTE ON PROCEDURE vestige_watch_credentials TO vestige_watcher@localhost;

-- Settings of the server, and the limits of this watch, as they were when it looked last.
CREATE OR REPLACE DEFINER = vestige_watcher@localhost
  PROCEDURE vestige_watch_settings(IN at_moment DATETIME(6), IN since DATETIME(6))
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE n_known BIGINT;

  SELECT COUNT(*) INTO n_known FROM server_setting;
  FOR v IN (SELECT n.name, n.value, k.value AS before_value, k.name IS NOT NULL AS is_known
              FROM (SELECT LOWER(variable_name) AS name, COALESCE(variable_value, '') AS value
                      FROM information_schema.global_variables
                     WHERE variable_name IN (
                       'version', 'secure_timestamp', 'sql_mode', 'event_scheduler', 'local_infile',
                       'innodb_flush_log_at_trx_commit', 'innodb_doublewrite', 'innodb_flush_method',
                       'innodb_strict_mode', 'innodb_force_recovery', 'read_only', 'log_bin', 'sync_binlog',
                       'binlog_format', 'max_allowed_packet', 'max_connections', 'max_user_connections',
                       'max_prepared_stmt_count', 'wait_timeout', 'max_statement_time', 'init_connect',
                       'default_password_lifetime', 'require_secure_transport', 'have_ssl', 'ssl_ca',
                       'ssl_cert', 'ssl_crl', 'ssl_crlpath', 'tls_version', 'secure_file_priv', 'general_log',
                       'skip_grant_tables', 'skip_name_resolve', 'plugin_dir', 'server_audit_logging',
                       'server_audit_events', 'server_audit_incl_users', 'server_audit_excl_users',
                       'server_audit_output_type', 'server_audit_file_path', 'server_audit_file_rotations',
                       'server_audit_query_log_limit', 'userstat', 'wsrep_on', 'wsrep_cluster_address',
                       'datadir')
                    UNION ALL
                    SELECT CONCAT('watch_setting ', name, IF(host_id = 0, '', CONCAT(' of host ', host_id))),
                           CAST(value AS CHAR) FROM watch_setting
                    UNION ALL
                    SELECT CONCAT('event ', event_name), CONCAT(status, ' EVERY ', interval_value, ' ',
                           interval_field, ' BY ', definer) FROM information_schema.events
                     WHERE event_schema = DATABASE() AND event_name LIKE 'vestige\_%') n
              LEFT JOIN server_setting k ON k.name = n.name
             WHERE k.name IS NULL OR NOT BINARY k.value = n.value
             UNION ALL
            SELECT k.name, NULL, k.value, 1 FROM server_setting k
             WHERE NOT EXISTS (SELECT 1 FROM information_schema.global_variables g
                                WHERE LOWER(g.variable_name) = k.name)
               AND NOT EXISTS (SELECT 1 FROM watch_setting w WHERE k.name = CONCAT('watch_setting ', w.name,
                                      IF(w.host_id = 0, '', CONCAT(' of host ', w.host_id))))
               AND NOT EXISTS (SELECT 1 FROM information_schema.events x WHERE x.event_schema = DATABASE()
                                  AND k.name = CONCAT('event ', x.event_name))) DO
    IF v.is_known OR (n_known > 0 AND v.name LIKE 'watch\_setting % of host %') THEN
      CALL vestige_conclude('server-setting-changed', 0,
        CONCAT(v.name, ' at ', DATE_FORMAT(at_moment, '%Y-%m-%d %H:%i:%s')),
        CONCAT('from ', COALESCE(NULLIF(v.before_value, ''), 'nothing'), ' to ',
               COALESCE(NULLIF(v.value, ''), 'nothing'), '; `vestige server check` tells what it should be'),
        NULL);
    END IF;
    IF v.value IS NULL THEN
      DELETE FROM server_setting WHERE name = v.name;
    ELSE
      INSERT INTO server_setting (name, value, changed_at) VALUES (v.name, v.value, at_moment)
          ON DUPLICATE KEY UPDATE value = VALUES(value), changed_at = VALUES(changed_at);
    END IF;
  END FOR;
END;
GRANT EXECUTE ON PROCEDURE vestige_watch_settings TO vestige_watcher@localhost;

-- Whom server_audit leaves out, where it logs at all (0032): whoever takes somebody out of its list is told
-- with the settings above, and a reader who was not put in is told here, once a day.
CREATE OR REPLACE DEFINER = vestige_watcher@localhost
  PROCEDURE vestige_watch_readers(IN at_moment DATETIME(6), IN since DATETIME(6))
  SQL SECURITY DEFINER MODIFIES SQL DATA
  IF EXISTS (SELECT 1 FROM information_schema.views
              WHERE table_schema = DATABASE() AND table_name = 'reader_account')
     AND EXISTS (SELECT 1 FROM information_schema.global_variables
                  WHERE variable_name = 'server_audit_logging' AND variable_value = 'ON') THEN
    FOR r IN (SELECT user, host FROM reader_account WHERE NOT is_logged) DO
      CALL vestige_conclude('reader-not-logged', 0, CONCAT(r.user, '@', r.host, ', on ', DATE(at_moment)),
        'it may read the evidence, and what it asks is not in the log of server_audit; `vestige server check`'
        ' tells what server_audit_incl_users should be', NULL);
    END FOR;
  END IF;
GRANT EXECUTE ON PROCEDURE vestige_watch_readers TO vestige_watcher@localhost;

-- The run's row: the one of the run before goes on when it says the same.
CREATE OR REPLACE DEFINER = vestige_watcher@localhost
  PROCEDURE vestige_watch_note(IN started DATETIME(6), IN is_failure TINYINT, IN told TEXT)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE newest BIGINT UNSIGNED;
  DECLARE outcome VARCHAR(16) DEFAULT IF(is_failure, 'failure', 'success');

  SELECT MAX(id) INTO newest FROM maintenance_run WHERE name = 'watch';
  UPDATE maintenance_run SET started_at = started, finished_at = UTC_TIMESTAMP(6)
   WHERE id = newest AND result = outcome AND message = told;
  IF ROW_COUNT() = 0 THEN
    INSERT INTO maintenance_run (name, started_at, finished_at, result, message)
    VALUES ('watch', started, UTC_TIMESTAMP(6), outcome, told);
  END IF;
END;
GRANT EXECUTE ON PROCEDURE vestige_watch_note TO vestige_watcher@localhost;

-- A part that fails is told and does not stop the others. `looked_at` moves only behind a run that did not
-- fail. What arrived up to a minute before the last look is looked at again: it may have been committed after
-- it.
CREATE OR REPLACE DEFINER = vestige_watcher@localhost PROCEDURE vestige_watch_at(IN at_moment DATETIME(6))
  SQL SECURITY DEFINER MODIFIES SQL DATA
watch: BEGIN
  DECLARE started DATETIME(6) DEFAULT UTC_TIMESTAMP(6);
  DECLARE looked, since DATETIME(6);
  DECLARE guard TINYINT;
  DECLARE newest, n_new BIGINT;
  DECLARE i INT DEFAULT 0;
  DECLARE error_number INT;
  DECLARE error_message TEXT;
  DECLARE failures TEXT DEFAULT '';
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    GET DIAGNOSTICS CONDITION 1 error_number = MYSQL_ERRNO, error_message = MESSAGE_TEXT;
    ROLLBACK;
    CALL vestige_watch_note(started, 1, CONCAT('error ', error_number, ': ', error_message));
    COMMIT;
  END;

  COMMIT;
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
  START TRANSACTION;
  BEGIN
    DECLARE CONTINUE HANDLER FOR NOT FOUND BEGIN END;
    SELECT one, looked_at INTO guard, looked FROM watch_state WHERE one = 1 FOR UPDATE SKIP LOCKED;
  END;
  IF guard IS NULL THEN
    ROLLBACK;
    LEAVE watch;
  END IF;
  SET since = COALESCE(looked, at_moment - INTERVAL 1 DAY) - INTERVAL 1 MINUTE;
  SELECT COALESCE(MAX(id), 0) INTO newest FROM schedule_finding;
  WHILE i < 8 DO
    BEGIN
      DECLARE EXIT HANDLER FOR SQLEXCEPTION
      BEGIN
        GET DIAGNOSTICS CONDITION 1 error_number = MYSQL_ERRNO, error_message = MESSAGE_TEXT;
        IF error_number IN (1205, 1213) THEN
          RESIGNAL;
        END IF;
        SET failures = CONCAT(failures, '; error ', error_number, ': ', error_message);
      END;
      CASE i
        WHEN 0 THEN CALL vestige_watch_arrivals(at_moment, since);
        WHEN 1 THEN CALL vestige_watch_silent(at_moment, since);
        WHEN 2 THEN CALL vestige_watch_cloned(at_moment, since);
        WHEN 3 THEN CALL vestige_watch_flooding(at_moment, since);
        WHEN 4 THEN CALL vestige_watch_clock(at_moment, since);
        WHEN 5 THEN CALL vestige_watch_credentials(at_moment, since);
        WHEN 6 THEN CALL vestige_watch_readers(at_moment, since);
        ELSE CALL vestige_watch_settings(at_moment, since);
      END CASE;
    END;
    SET i = i + 1;
  END WHILE;
  SELECT COUNT(*) INTO n_new FROM schedule_finding f JOIN schedule s ON s.id = f.schedule_id
   WHERE f.id > newest AND s.every_minutes = 0;
  IF failures = '' THEN
    UPDATE watch_state SET looked_at = GREATEST(at_moment, COALESCE(looked_at, at_moment)) WHERE one = 1;
  END IF;
  CALL vestige_watch_note(started, failures <> '', CONCAT(IF(n_new = 0, 'nothing new',
    CONCAT(n_new, ' new findings')), failures));
  COMMIT;
END;
GRANT EXECUTE ON PROCEDURE vestige_watch_at TO vestige_watcher@localhost;

CREATE OR REPLACE DEFINER = vestige_watcher@localhost PROCEDURE vestige_watch()
  SQL SECURITY DEFINER MODIFIES SQL DATA
  CALL vestige_watch_at(UTC_TIMESTAMP(6));
GRANT EXECUTE ON PROCEDURE vestige_watch TO vestige_watcher@localhost;

BEGIN NOT ATOMIC
  IF EXISTS (SELECT 1 FROM information_schema.views
              WHERE table_schema = DATABASE() AND table_name = 'changed_credential') THEN
    EXECUTE IMMEDIATE 'GRANT SELECT ON changed_credential TO vestige_watcher@localhost';
  END IF;
END;

-- Findings about the server itself have no host.
CREATE OR REPLACE ALGORITHM = MERGE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW v_time_finding AS
SELECT t.created_at AS `time`, t.day, COALESCE(h.name, '(server)') AS host, t.class, t.subject,
       t.destroyed_at AS time_end, 1 AS `value`, t.host_id, t.id
  FROM finding t LEFT JOIN enrolment h ON h.host_id = t.host_id;

-- A rule of the server is no schedule that could be removed.
CREATE OR REPLACE DEFINER = vestige_scheduler@localhost
  PROCEDURE vestige_schedule_remove(IN which BIGINT UNSIGNED, OUT n_removed INT)
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  COMMIT;
  START TRANSACTION;
  UPDATE schedule SET enabled = 0, removed_at = UTC_TIMESTAMP(6), removed_by = USER()
   WHERE id = which AND removed_at IS NULL AND every_minutes > 0;
  SET n_removed = ROW_COUNT();
  IF n_removed > 0 THEN
    DELETE FROM schedule_position WHERE schedule_id = which;
  END IF;
  COMMIT;
END;

CREATE OR REPLACE DEFINER = vestige_watcher@localhost EVENT vestige_watch
  ON SCHEDULE EVERY 1 MINUTE ON COMPLETION PRESERVE
  DO CALL vestige_watch();
