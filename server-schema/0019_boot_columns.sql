-- Boots that only wtmp tells of, and whether a boot ended as announced; the agents' right to say so with
-- the end of a row. As in 0009, boot_end is a view of the table until the next file.

ALTER TABLE boot WAIT 5
  MODIFY COLUMN boot_id UUID NULL COMMENT 'NULL: before the first record, known from wtmp',
  ADD COLUMN IF NOT EXISTS ended_clean BOOLEAN NULL
    COMMENT '1: a shutdown was announced; 0: none was; NULL: nobody knows, or it has not ended' AFTER command_line;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW boot_end AS
SELECT host_id, id, day, destroyed_at, end_cause, ended_clean, end_batch
  FROM boot
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND destroyed_at IS NULL;
GRANT UPDATE (ended_clean) ON boot_end TO vestige_agent;
