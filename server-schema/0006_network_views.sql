-- What an agent may do with the tables of the network: see 0003_views.sql.

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW endpoint_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, process_id, pid, pid_source,
       application, uid, username, login_uid, login_username, protocol, direction, remote_address,
       remote_port, interface, netns, cookie, status, local_address, local_port, local_name,
       remote_name, destroyed_at, end_cause, bytes_sent, bytes_received
  FROM endpoint
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND day = DATE('1970-01-01' + INTERVAL id DIV 1000000 SECOND)
   AND created_at >= '1970-01-01' AND created_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6)
   AND ((destroyed_at >= created_at AND end_cause > 0 AND end_batch = batch
         AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
     OR (destroyed_at IS NULL AND end_cause IS NULL AND bytes_sent IS NULL
         AND bytes_received IS NULL AND end_batch IS NULL))
  WITH CASCADED CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW endpoint_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, bytes_sent, bytes_received, end_batch
  FROM endpoint
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND destroyed_at IS NULL;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW endpoint_end AS
SELECT host_id, id, day, destroyed_at, end_cause, bytes_sent, bytes_received, end_batch
  FROM endpoint_open
 WHERE (destroyed_at IS NULL AND end_cause IS NULL AND bytes_sent IS NULL
        AND bytes_received IS NULL AND end_batch IS NULL)
    OR (destroyed_at >= created_at AND end_cause > 0 AND end_batch IS NOT NULL
        AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
  WITH LOCAL CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW endpoint_unsettled AS
SELECT host_id, id, day, status, local_address, local_port, local_name, remote_name, settle_batch
  FROM endpoint
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND status IS NULL AND local_address IS NULL AND local_port IS NULL AND local_name IS NULL
   AND remote_name IS NULL AND settle_batch IS NULL;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW endpoint_settle AS
SELECT host_id, id, day, status, local_address, local_port, local_name, remote_name, settle_batch
  FROM endpoint_unsettled
 WHERE settle_batch IS NOT NULL
    OR (status IS NULL AND local_address IS NULL AND local_port IS NULL AND local_name IS NULL
        AND remote_name IS NULL)
  WITH LOCAL CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW address_name_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, address, name, source, destroyed_at,
       end_cause
  FROM address_name
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND day = DATE('1970-01-01' + INTERVAL id DIV 1000000 SECOND)
   AND created_at >= '1970-01-01' AND created_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6)
   AND ((destroyed_at >= created_at AND end_cause > 0 AND end_batch = batch
         AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
     OR (destroyed_at IS NULL AND end_cause IS NULL AND end_batch IS NULL))
  WITH CASCADED CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW address_name_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM address_name
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND destroyed_at IS NULL;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW address_name_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM address_name_open
 WHERE (destroyed_at IS NULL AND end_cause IS NULL AND end_batch IS NULL)
    OR (destroyed_at >= created_at AND end_cause > 0 AND end_batch IS NOT NULL
        AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
  WITH LOCAL CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW interface_address_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, interface, mac, address,
       prefix_length, family, destroyed_at, end_cause
  FROM interface_address
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND day = DATE('1970-01-01' + INTERVAL id DIV 1000000 SECOND)
   AND created_at >= '1970-01-01' AND created_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6)
   AND ((destroyed_at >= created_at AND end_cause > 0 AND end_batch = batch
         AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
     OR (destroyed_at IS NULL AND end_cause IS NULL AND end_batch IS NULL))
  WITH CASCADED CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW interface_address_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM interface_address
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND destroyed_at IS NULL;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW interface_address_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM interface_address_open
 WHERE (destroyed_at IS NULL AND end_cause IS NULL AND end_batch IS NULL)
    OR (destroyed_at >= created_at AND end_cause > 0 AND end_batch IS NOT NULL
        AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
  WITH LOCAL CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW route_in AS
SELECT host_id, id, day, batch, end_batch, created_at, seen_by, destination, prefix_length, gateway,
       interface, table_id, metric, family, destroyed_at, end_cause
  FROM route
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND day = DATE('1970-01-01' + INTERVAL id DIV 1000000 SECOND)
   AND created_at >= '1970-01-01' AND created_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6)
   AND ((destroyed_at >= created_at AND end_cause > 0 AND end_batch = batch
         AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
     OR (destroyed_at IS NULL AND end_cause IS NULL AND end_batch IS NULL))
  WITH CASCADED CHECK OPTION;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW route_open AS
SELECT host_id, id, day, created_at, destroyed_at, end_cause, end_batch
  FROM route
 WHERE host_id = CAST(SUBSTRING(USER(), 7, LOCATE('@', USER()) - 7) AS UNSIGNED)
   AND destroyed_at IS NULL;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW route_end AS
SELECT host_id, id, day, destroyed_at, end_cause, end_batch
  FROM route_open
 WHERE (destroyed_at IS NULL AND end_cause IS NULL AND end_batch IS NULL)
    OR (destroyed_at >= created_at AND end_cause > 0 AND end_batch IS NOT NULL
        AND destroyed_at - INTERVAL 400 DAY <= UTC_TIMESTAMP(6))
  WITH LOCAL CHECK OPTION;
