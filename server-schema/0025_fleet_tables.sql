-- Signatures of batches, the keys of the hosts, and the mark of a masked secret.
--
-- vestige_verifier is the role of the job that verifies what arrives: it reads all evidence and writes
-- one column, batch.verified_at.

CREATE ROLE IF NOT EXISTS vestige_verifier;

ALTER TABLE batch WAIT 5
  ADD COLUMN IF NOT EXISTS births BIGINT UNSIGNED NULL COMMENT 'process births after the mark of cursors',
  ADD COLUMN IF NOT EXISTS signature BINARY(64) NULL COMMENT 'Ed25519, by the host; NULL: not signed';

-- Keys are written by enrolment alone, so a change of a host's key is a row that no agent can make.
CREATE TABLE IF NOT EXISTS host_key (
  host_id    INT UNSIGNED NOT NULL,
  number     INT UNSIGNED NOT NULL COMMENT '1: the one of the enrolment',
  public_key BINARY(32)   NOT NULL COMMENT 'Ed25519',
  created_at DATETIME(6)  NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  created_by VARCHAR(384) NOT NULL,
  retired_at DATETIME(6)  NULL COMMENT 'a newer one took its place; what it signed stays good',
  revoked_at DATETIME(6)  NULL COMMENT 'it was stolen: what arrived later and is signed with it is false',
  PRIMARY KEY (host_id, number),
  UNIQUE KEY public_key (public_key)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

ALTER TABLE process WAIT 5
  ADD COLUMN IF NOT EXISTS masked TINYINT UNSIGNED NULL COMMENT '1: a secret in argv0 or arguments was masked'
    AFTER argc;

GRANT SELECT, SHOW VIEW ON * TO vestige_verifier;
GRANT UPDATE (verified_at) ON batch TO vestige_verifier;
GRANT INSERT, UPDATE ON host_key TO vestige_admin;

-- A column privilege on a view over a view is refused (1356): see 0009_program_columns.sql.

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW process_settle AS
SELECT host_id, id, day, comm, exe, argv0, arguments, argc, masked, cwd, tty, exe_sha256, exe_size,
       exe_modified_at, session_id, login_uid, login_username, settle_batch
  FROM process
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND comm IS NULL AND exe IS NULL AND exe_sha256 IS NULL AND exe_size IS NULL
   AND exe_modified_at IS NULL AND argv0 IS NULL AND arguments IS NULL AND argc IS NULL
   AND masked IS NULL AND cwd IS NULL AND tty IS NULL AND session_id IS NULL AND login_uid IS NULL
   AND login_username IS NULL AND settle_batch IS NULL;
GRANT UPDATE (masked) ON process_settle TO vestige_agent;
