-- What an agent may do with the table of devices: see 0003_views.sql.

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW device_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, subsystem, devpath, devnode, device,
       vendor, model, serial, vendor_id, model_id, users_logged_in, driver, destroyed_at, end_cause
  FROM device
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND day = DATE('1970-01-01' + INTERVAL id DIV 1000000 SECOND)
   AND created_at >= '1970-01-01' AND created_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6)
   AND ((destroyed_at >= created_at AND end_cause > 0 AND end_batch = batch
         AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
     OR (destroyed_at IS NULL AND end_cause IS NULL AND end_batch IS NULL))
  WITH CASCADED CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW device_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM device
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND destroyed_at IS NULL;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW device_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM device_open
 WHERE (destroyed_at IS NULL AND end_cause IS NULL AND end_batch IS NULL)
    OR (destroyed_at >= created_at AND end_cause > 0 AND end_batch IS NOT NULL
        AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
  WITH LOCAL CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW device_unsettled AS
SELECT host_id, id, day, driver, settle_batch
  FROM device
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND driver IS NULL AND settle_batch IS NULL;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW device_settle AS
SELECT host_id, id, day, driver, settle_batch
  FROM device_unsettled
 WHERE settle_batch IS NOT NULL OR driver IS NULL
  WITH LOCAL CHECK OPTION;
