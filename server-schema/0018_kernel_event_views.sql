-- What an agent may do with the table of kernel events: see 0003_views.sql.

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW kernel_event_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, process_id, pid, application, uid,
       username, login_uid, login_username, kind, target, result, destroyed_at, end_cause
  FROM kernel_event
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND day = DATE('1970-01-01' + INTERVAL id DIV 1000000 SECOND)
   AND created_at >= '1970-01-01' AND created_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6)
   AND ((destroyed_at >= created_at AND end_cause > 0 AND end_batch = batch
         AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
     OR (destroyed_at IS NULL AND end_cause IS NULL AND end_batch IS NULL))
  WITH CASCADED CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW kernel_event_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM kernel_event
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND destroyed_at IS NULL;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW kernel_event_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM kernel_event_open
 WHERE (destroyed_at IS NULL AND end_cause IS NULL AND end_batch IS NULL)
    OR (destroyed_at >= created_at AND end_cause > 0 AND end_batch IS NOT NULL
        AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
  WITH LOCAL CHECK OPTION;
