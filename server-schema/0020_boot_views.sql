-- What an agent may do with the ends of boots: see 0003_views.sql.

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW boot_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, boot_id, kernel, command_line,
       destroyed_at, end_cause, ended_clean
  FROM boot
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND day = DATE('1970-01-01' + INTERVAL id DIV 1000000 SECOND)
   AND created_at >= '1970-01-01' AND created_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6)
   AND ((destroyed_at >= created_at AND end_cause > 0 AND end_batch = batch
         AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
     OR (destroyed_at IS NULL AND end_cause IS NULL AND ended_clean IS NULL AND end_batch IS NULL))
  WITH CASCADED CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW boot_open AS
SELECT host_id, id, day, created_at, ended_clean, destroyed_at, end_cause, end_batch
  FROM boot
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND destroyed_at IS NULL;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW boot_end AS
SELECT host_id, id, day, destroyed_at, end_cause, ended_clean, end_batch
  FROM boot_open
 WHERE (destroyed_at IS NULL AND end_cause IS NULL AND ended_clean IS NULL AND end_batch IS NULL)
    OR (destroyed_at >= created_at AND end_cause > 0 AND end_batch IS NOT NULL
        AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
  WITH LOCAL CHECK OPTION;
