-- Verification of what arrives: batches that failed, so that they are told once and not tried again
-- and again.

CREATE TABLE IF NOT EXISTS verification_failure (
  host_id   INT UNSIGNED    NOT NULL,
  batch     BIGINT UNSIGNED NOT NULL,
  hash      BINARY(32)      NOT NULL,
  failed_at DATETIME(6)     NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  reason    TEXT            NOT NULL,
  PRIMARY KEY (host_id, batch, hash)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

GRANT INSERT ON verification_failure TO vestige_verifier;
GRANT INSERT, DELETE ON verification_failure TO vestige_admin;
