-- Which agents a schema still takes. A fleet is migrated server first, then its agents one by one:
-- until then the older ones go on shipping, and the columns that they do not know stay NULL. An
-- agent that is older than the largest number here keeps its batches and says so.
--
-- A later file after which older agents are of no use (a column is gone, has another meaning, or
-- has no default) begins with a row of its own here, before it changes anything.

CREATE TABLE IF NOT EXISTS schema_agents (
  version      INT UNSIGNED NOT NULL COMMENT 'of the file that says so',
  oldest_agent INT UNSIGNED NOT NULL COMMENT 'the schema version that the oldest usable agent was built for',
  reason       VARCHAR(255) NOT NULL,
  PRIMARY KEY (version)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;

GRANT SELECT (oldest_agent) ON schema_agents TO vestige_agent;

INSERT INTO schema_agents (version, oldest_agent, reason)
VALUES (33, 24, 'since 0024 only columns were added that may be NULL')
ON DUPLICATE KEY UPDATE version = version;
