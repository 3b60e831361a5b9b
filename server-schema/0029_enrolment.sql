-- Enrolment: what was given out to which host, when it was used and by whom, and tokens with which a
-- host makes its keys itself.
--
-- vestige_registrar is the definer of what needs more than the tables of Vestige: it reads the accounts
-- of the server, and drops the one-time account of a token that was used. vestige_newcomer is the role
-- of such accounts: it may hand in a request and ask what became of it, and nothing else.

CREATE USER IF NOT EXISTS vestige_registrar@localhost
  IDENTIFIED VIA mysql_native_password USING 'invalid' ACCOUNT LOCK;
CREATE ROLE IF NOT EXISTS vestige_newcomer;

ALTER TABLE enrolment WAIT 5
  ADD COLUMN IF NOT EXISTS credential_sha256 BINARY(32) NULL
    COMMENT 'SHA-256 of the authentication string that was given out',
  ADD COLUMN IF NOT EXISTS renewed_at DATETIME(6) NULL COMMENT 'its credential was given out anew',
  ADD COLUMN IF NOT EXISTS certificate_subject VARCHAR(255) NULL COMMENT 'as REQUIRE SUBJECT has it',
  ADD COLUMN IF NOT EXISTS certificate_issuer VARCHAR(255) NULL COMMENT 'as REQUIRE ISSUER has it',
  ADD COLUMN IF NOT EXISTS certificate_serial VARCHAR(40) NULL COMMENT 'hexadecimal',
  ADD COLUMN IF NOT EXISTS certificate_until DATETIME(6) NULL,
  ADD COLUMN IF NOT EXISTS server_address VARCHAR(255) NULL
    COMMENT 'by which its agent reaches the server; NULL: by a socket',
  ADD COLUMN IF NOT EXISTS server_port INT UNSIGNED NULL,
  ADD COLUMN IF NOT EXISTS bundle_used_at DATETIME(6) NULL COMMENT 'when the host took its files',
  ADD COLUMN IF NOT EXISTS bundle_used_from VARCHAR(255) NULL COMMENT 'the address it came from',
  ADD COLUMN IF NOT EXISTS bundle_use VARCHAR(64) NULL COMMENT 'told by the host, so that it may try again';

-- What was given out before this column was there is taken to be right.
UPDATE enrolment e JOIN mysql.global_priv g ON CONCAT(g.User, '@', g.Host) = e.account
   SET e.credential_sha256 = UNHEX(SHA2(JSON_VALUE(g.Priv, '$.authentication_string'), 256))
 WHERE e.credential_sha256 IS NULL;

CREATE TABLE IF NOT EXISTS enrolment_log (
  id      BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  host_id INT UNSIGNED NULL COMMENT 'NULL: not given yet',
  name    VARCHAR(255) NOT NULL,
  at      DATETIME(6)  NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  action  VARCHAR(32)  NOT NULL COMMENT 'enroll, rotate, revoke, retire, reinstate, token, approve, used ...',
  done_by VARCHAR(384) NOT NULL,
  detail  TEXT         NULL,
  PRIMARY KEY (id),
  KEY host_id (host_id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS enrolment_token (
  id             INT UNSIGNED NOT NULL AUTO_INCREMENT,
  name           VARCHAR(255) NOT NULL COMMENT 'of the host',
  account        VARCHAR(255) NOT NULL COMMENT 'its one-time account: enrolling_<id>@<from where>',
  demand         TINYINT UNSIGNED NOT NULL COMMENT 'of a connection: 0 nothing, 1 TLS, 2 a certificate',
  server_address VARCHAR(255) NULL COMMENT 'by which its agent will reach the server; NULL: by a socket',
  server_port    INT UNSIGNED NULL,
  created_at     DATETIME(6)  NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  created_by     VARCHAR(384) NOT NULL,
  expires_at     DATETIME(6)  NOT NULL,
  requested_at   DATETIME(6)  NULL,
  requested_from VARCHAR(255) NULL,
  request        TEXT         NULL COMMENT 'PKCS #10, PEM',
  public_key     BINARY(32)   NULL COMMENT 'Ed25519, with which the host will sign',
  password_hash  VARCHAR(41)  NULL COMMENT 'of the password that the host made; gone when approved',
  approved_at    DATETIME(6)  NULL,
  approved_by    VARCHAR(384) NULL,
  host_id        INT UNSIGNED NULL,
  certificate    TEXT         NULL COMMENT 'PEM',
  finished_at    DATETIME(6)  NULL COMMENT 'the host has its files, or the token was withdrawn',
  PRIMARY KEY (id),
  KEY name (name)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

GRANT SELECT ON mysql.global_priv TO vestige_registrar@localhost;
GRANT SELECT ON mysql.db TO vestige_registrar@localhost;
GRANT SELECT ON mysql.tables_priv TO vestige_registrar@localhost;
GRANT SELECT ON mysql.columns_priv TO vestige_registrar@localhost;
GRANT SELECT ON mysql.procs_priv TO vestige_registrar@localhost;
GRANT SELECT ON mysql.proxies_priv TO vestige_registrar@localhost;
GRANT SELECT ON mysql.roles_mapping TO vestige_registrar@localhost;
GRANT CREATE USER ON *.* TO vestige_registrar@localhost;
GRANT SELECT, UPDATE ON enrolment TO vestige_registrar@localhost;
GRANT SELECT, UPDATE ON enrolment_token TO vestige_registrar@localhost;
GRANT INSERT ON enrolment_log TO vestige_registrar@localhost;
GRANT INSERT ON enrolment_log TO vestige_admin;

-- Accounts of agents that are not as enrolment gave them out: another password, way of logging in or
-- certificate; one that is gone; one that enrolment did not make (host_id by its name); one that may more than
-- its role says, or a role that says more than tables. An agent may change its own password, and so may a
-- thief; root may change all.
CREATE OR REPLACE DEFINER = vestige_registrar@localhost SQL SECURITY DEFINER VIEW changed_credential AS
SELECT e.host_id AS host_id, e.account AS account,
       CASE WHEN g.User IS NULL THEN 'the account is gone'
            WHEN NOT JSON_VALUE(g.Priv, '$.plugin') <=> 'mysql_native_password'
                 OR COALESCE(JSON_LENGTH(g.Priv, '$.auth_or'), 0) > 1
              THEN 'it logs in another way'
            WHEN e.credential_sha256 <> UNHEX(SHA2(JSON_VALUE(g.Priv, '$.authentication_string'), 256))
              THEN 'its password was changed'
            WHEN NOT COALESCE(e.certificate_subject, '')
                     <=> CONVERT(COALESCE(JSON_VALUE(g.Priv, '$.x509_subject'), '') USING utf8mb4)
                 OR NOT COALESCE(e.certificate_issuer, '')
                        <=> CONVERT(COALESCE(JSON_VALUE(g.Priv, '$.x509_issuer'), '') USING utf8mb4)
              THEN 'another certificate is demanded'
            ELSE 'it was unlocked' END AS what
  FROM enrolment e
  LEFT JOIN mysql.global_priv g ON CONCAT(g.User, '@', g.Host) = e.account
 WHERE e.credential_sha256 IS NOT NULL
   AND (g.User IS NULL
     OR NOT JSON_VALUE(g.Priv, '$.plugin') <=> 'mysql_native_password'
     OR COALESCE(JSON_LENGTH(g.Priv, '$.auth_or'), 0) > 1
     OR e.credential_sha256 <> UNHEX(SHA2(JSON_VALUE(g.Priv, '$.authentication_string'), 256))
     OR NOT COALESCE(e.certificate_subject, '')
            <=> CONVERT(COALESCE(JSON_VALUE(g.Priv, '$.x509_subject'), '') USING utf8mb4)
     OR NOT COALESCE(e.certificate_issuer, '')
            <=> CONVERT(COALESCE(JSON_VALUE(g.Priv, '$.x509_issuer'), '') USING utf8mb4)
     OR ((e.revoked_at IS NOT NULL OR e.retired_at IS NOT NULL)
         AND NOT JSON_VALUE(g.Priv, '$.account_locked') <=> 1))
 UNION ALL
SELECT CAST(SUBSTRING(g.User, 7) AS UNSIGNED), CONCAT(g.User, '@', g.Host), 'enrolment did not make it'
  FROM mysql.global_priv g
 WHERE g.User REGEXP '^agent_[0-9]+$'
   AND NOT EXISTS (SELECT 1 FROM enrolment e WHERE e.account = CONCAT(g.User, '@', g.Host))
 UNION ALL
SELECT e.host_id, e.account, 'it was given rights besides its role'
  FROM enrolment e
  JOIN mysql.global_priv g ON CONCAT(g.User, '@', g.Host) = e.account
 WHERE COALESCE(CAST(JSON_VALUE(g.Priv, '$.access') AS UNSIGNED), 0) <> 0
    OR EXISTS (SELECT 1 FROM mysql.db p WHERE p.User = g.User AND p.Host = g.Host)
    OR EXISTS (SELECT 1 FROM mysql.tables_priv p WHERE p.User = g.User AND p.Host = g.Host)
    OR EXISTS (SELECT 1 FROM mysql.columns_priv p WHERE p.User = g.User AND p.Host = g.Host)
    OR EXISTS (SELECT 1 FROM mysql.procs_priv p WHERE p.User = g.User AND p.Host = g.Host)
    OR EXISTS (SELECT 1 FROM mysql.proxies_priv p WHERE p.User = g.User AND p.Host = g.Host)
    OR EXISTS (SELECT 1 FROM mysql.roles_mapping p
                WHERE p.User = g.User AND p.Host = g.Host AND p.Role <> 'vestige_agent')
 UNION ALL
SELECT 0, 'vestige_agent', 'the role of all agents was given rights on more than their tables'
  FROM mysql.global_priv g
 WHERE g.User = 'vestige_agent' AND g.Host = ''
   AND (COALESCE(CAST(JSON_VALUE(g.Priv, '$.access') AS UNSIGNED), 0) <> 0
     OR EXISTS (SELECT 1 FROM mysql.db p WHERE p.User = g.User AND p.Host = '')
     OR EXISTS (SELECT 1 FROM mysql.roles_mapping p WHERE p.User = g.User AND p.Host = ''));

CREATE OR REPLACE DEFINER = vestige_registrar@localhost PROCEDURE vestige_changed_credentials()
  SQL SECURITY DEFINER READS SQL DATA
  SELECT host_id, account, what FROM changed_credential ORDER BY host_id, account;

GRANT SELECT ON changed_credential TO vestige_registrar@localhost;
GRANT SELECT ON changed_credential TO vestige_scheduler@localhost;
GRANT SELECT ON changed_credential TO vestige_maintainer@localhost;

-- The token of this session, by the name of its account. Refused: used up, expired.
CREATE OR REPLACE DEFINER = vestige_registrar@localhost
  PROCEDURE vestige_token_of_session(OUT token INT UNSIGNED)
  SQL SECURITY DEFINER READS SQL DATA
BEGIN
  DECLARE expires, finished DATETIME(6);
  DECLARE message VARCHAR(512);
  SET token = IF(USER() REGEXP '^enrolling_[0-9]+@',
                 CAST(SUBSTRING(USER(), 11, LOCATE('@', USER()) - 11) AS UNSIGNED), NULL);
  SELECT id, expires_at, finished_at INTO token, expires, finished FROM enrolment_token WHERE id = token;
  IF expires IS NULL THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'there is no such token';
  END IF;
  IF finished IS NOT NULL THEN
    SET message = CONCAT('the token was used up or withdrawn at ', finished);
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = message;
  END IF;
  IF expires < UTC_TIMESTAMP(6) THEN
    SET message = CONCAT('the token expired at ', expires);
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = message;
  END IF;
END;

-- What a host hands in. The same again is no error, so that it may be interrupted.
CREATE OR REPLACE DEFINER = vestige_registrar@localhost
  PROCEDURE vestige_token_request(IN csr TEXT, IN signing_key VARCHAR(64), IN hash VARCHAR(41))
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE token INT UNSIGNED;
  DECLARE used DATETIME(6);
  DECLARE who VARCHAR(255);
  DECLARE message VARCHAR(512);
  IF NOT COALESCE(LENGTH(csr) <= 8000 AND csr LIKE '-----BEGIN CERTIFICATE REQUEST-----%'
                  AND signing_key REGEXP '^[0-9A-Fa-f]{64}$' AND hash REGEXP '^[*][0-9A-F]{40}$', FALSE) THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'this is no request of a host';
  END IF;
  CALL vestige_token_of_session(token);
  UPDATE enrolment_token
     SET requested_at = UTC_TIMESTAMP(6), requested_from = SUBSTRING(USER(), LOCATE('@', USER()) + 1),
         request = csr, public_key = UNHEX(signing_key), password_hash = hash
   WHERE id = token AND requested_at IS NULL;
  IF ROW_COUNT() = 1 THEN
    INSERT INTO enrolment_log (name, action, done_by)
    SELECT name, 'request', USER() FROM enrolment_token WHERE id = token;
  ELSEIF NOT EXISTS (SELECT 1 FROM enrolment_token
                      WHERE id = token AND request = csr AND public_key = UNHEX(signing_key)) THEN
    SELECT requested_at, requested_from INTO used, who FROM enrolment_token WHERE id = token;
    SET message = CONCAT('the token was used already, at ', used, ' from ', who, ', with other keys');
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = message;
  END IF;
END;

CREATE OR REPLACE DEFINER = vestige_registrar@localhost PROCEDURE vestige_token_look()
  SQL SECURITY DEFINER READS SQL DATA
BEGIN
  DECLARE token INT UNSIGNED;
  CALL vestige_token_of_session(token);
  SELECT name, host_id, approved_at, certificate, demand,
         TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(6), expires_at) AS seconds_left
    FROM enrolment_token WHERE id = token;
END;

-- The host has its files: called by its own account, once. The same word again is no error.
CREATE OR REPLACE DEFINER = vestige_registrar@localhost
  PROCEDURE vestige_enrolment_confirm(IN word VARCHAR(64))
  SQL SECURITY DEFINER MODIFIES SQL DATA
BEGIN
  DECLARE which INT UNSIGNED;
  DECLARE used DATETIME(6);
  DECLARE who, told VARCHAR(255);
  DECLARE message VARCHAR(512);
  SET which = IF(USER() REGEXP '^agent_[0-9]+@',
                 CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED), NULL);
  UPDATE enrolment
     SET bundle_used_at = UTC_TIMESTAMP(6), bundle_used_from = SUBSTRING(USER(), LOCATE('@', USER()) + 1),
         bundle_use = word
   WHERE host_id = which AND bundle_used_at IS NULL;
  IF ROW_COUNT() = 1 THEN
    INSERT INTO enrolment_log (host_id, name, action, done_by)
    SELECT host_id, name, 'used', USER() FROM enrolment WHERE host_id = which;
  ELSE
    SELECT bundle_used_at, bundle_used_from, bundle_use INTO used, who, told FROM enrolment WHERE host_id = which;
    IF used IS NULL OR NOT word <=> told THEN
      SET message = COALESCE(CONCAT('the bundle was used already, at ', used, ' from ', who),
                             'there is no such host');
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = message;
    END IF;
  END IF;
  FOR one IN (SELECT id, account FROM enrolment_token
               WHERE host_id = which AND approved_at IS NOT NULL AND finished_at IS NULL
                 AND account REGEXP '^enrolling_[0-9]+@[A-Za-z0-9._%:/-]+$') DO
    UPDATE enrolment_token SET finished_at = UTC_TIMESTAMP(6) WHERE id = one.id;
    EXECUTE IMMEDIATE CONCAT('DROP USER IF EXISTS `', SUBSTRING_INDEX(one.account, '@', 1), '`@`',
                             SUBSTRING(one.account, LOCATE('@', one.account) + 1), '`');
  END FOR;
END;

-- A definer needs the right to execute its own procedures.
GRANT EXECUTE ON PROCEDURE vestige_changed_credentials TO vestige_registrar@localhost;
GRANT EXECUTE ON PROCEDURE vestige_token_of_session TO vestige_registrar@localhost;
GRANT EXECUTE ON PROCEDURE vestige_token_request TO vestige_registrar@localhost;
GRANT EXECUTE ON PROCEDURE vestige_token_look TO vestige_registrar@localhost;
GRANT EXECUTE ON PROCEDURE vestige_enrolment_confirm TO vestige_registrar@localhost;
GRANT EXECUTE ON PROCEDURE vestige_token_request TO vestige_newcomer;
GRANT EXECUTE ON PROCEDURE vestige_token_look TO vestige_newcomer;
GRANT EXECUTE ON PROCEDURE vestige_enrolment_confirm TO vestige_agent;
