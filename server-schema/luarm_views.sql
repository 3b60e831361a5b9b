-- LUARM's tables of 2011 as views of one host, in a database of their own, which is selected. `vestige
-- server luarm HOST` sends this file, with the evidence's database and the host's number in the places
-- that are marked by two @.
--
-- Names, order and types are those of LUARM's netinfo and psinfo; the other six are as its successor
-- POFR has them, with LUARM's name md5sum for the digest. Times are UTC.
--
-- A type such as smallint comes into a view only from a column or from a stored function, hence
-- as_...(). They cost about a microsecond each, and only where the column is asked for. These are
-- wider than they were, so that no value has to be cut: numbers of processes, ports, users and
-- groups. destfqdn and filename are the very columns of the evidence, so that asking for one uses
-- its index. Text that is longer than its type can hold is cut here, and whole in the evidence.
--
-- A value that is not known is NULL where LUARM's column allows it, else empty or 0; a user or group
-- that is not known is 4294967295, which nobody has, because 0 is root. Null, Key and Extra of
-- DESCRIBE cannot come from a view. Vestige's own work is not left out: to leave out rows is to
-- offer a place to hide in.
--
-- Rights are on each view and function: a grant on a whole database takes its name for a pattern, in
-- which an escaped `_` counts twice of the 64 characters. DESCRIBE of a view asks whether the reader
-- may execute its functions, EXPLAIN wants SHOW VIEW.

CREATE OR REPLACE DEFINER = vestige_owner@localhost FUNCTION as_tinyint(value BIGINT)
  RETURNS TINYINT(4) DETERMINISTIC NO SQL SQL SECURITY INVOKER RETURN value;
GRANT EXECUTE ON FUNCTION as_tinyint TO vestige_owner@localhost, vestige_reader, vestige_admin;
CREATE OR REPLACE DEFINER = vestige_owner@localhost FUNCTION as_smallint(value BIGINT)
  RETURNS SMALLINT(6) DETERMINISTIC NO SQL SQL SECURITY INVOKER RETURN value;
GRANT EXECUTE ON FUNCTION as_smallint TO vestige_owner@localhost, vestige_reader, vestige_admin;
CREATE OR REPLACE DEFINER = vestige_owner@localhost FUNCTION as_microseconds(value BIGINT)
  RETURNS MEDIUMINT(6) DETERMINISTIC NO SQL SQL SECURITY INVOKER RETURN value;
GRANT EXECUTE ON FUNCTION as_microseconds TO vestige_owner@localhost, vestige_reader, vestige_admin;
CREATE OR REPLACE DEFINER = vestige_owner@localhost FUNCTION as_mediumint(value BIGINT)
  RETURNS MEDIUMINT DETERMINISTIC NO SQL SQL SECURITY INVOKER RETURN value;
GRANT EXECUTE ON FUNCTION as_mediumint TO vestige_owner@localhost, vestige_reader, vestige_admin;
CREATE OR REPLACE DEFINER = vestige_owner@localhost FUNCTION as_int(value BIGINT)
  RETURNS INT(11) DETERMINISTIC NO SQL SQL SECURITY INVOKER RETURN value;
GRANT EXECUTE ON FUNCTION as_int TO vestige_owner@localhost, vestige_reader, vestige_admin;
CREATE OR REPLACE DEFINER = vestige_owner@localhost FUNCTION as_char40(
    value VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin)
  RETURNS CHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
  DETERMINISTIC NO SQL SQL SECURITY INVOKER RETURN value;
GRANT EXECUTE ON FUNCTION as_char40 TO vestige_owner@localhost, vestige_reader, vestige_admin;
CREATE OR REPLACE DEFINER = vestige_owner@localhost FUNCTION as_char6(
    value VARCHAR(6) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin)
  RETURNS CHAR(6) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
  DETERMINISTIC NO SQL SQL SECURITY INVOKER RETURN value;
GRANT EXECUTE ON FUNCTION as_char6 TO vestige_owner@localhost, vestige_reader, vestige_admin;
CREATE OR REPLACE DEFINER = vestige_owner@localhost FUNCTION as_tinytext(
    value VARCHAR(1024) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin)
  RETURNS TINYTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
  DETERMINISTIC NO SQL SQL SECURITY INVOKER
  RETURN IF(OCTET_LENGTH(value) > 255, LEFT(value, 63), value);
GRANT EXECUTE ON FUNCTION as_tinytext TO vestige_owner@localhost, vestige_reader, vestige_admin;
CREATE OR REPLACE DEFINER = vestige_owner@localhost FUNCTION as_text(
    value LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin)
  RETURNS TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
  DETERMINISTIC NO SQL SQL SECURITY INVOKER
  RETURN IF(OCTET_LENGTH(value) > 65535, LEFT(value, 16383), value);
GRANT EXECUTE ON FUNCTION as_text TO vestige_owner@localhost, vestige_reader, vestige_admin;
CREATE OR REPLACE DEFINER = vestige_owner@localhost FUNCTION as_mediumtext(
    value LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin)
  RETURNS MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
  DETERMINISTIC NO SQL SQL SECURITY INVOKER
  RETURN IF(OCTET_LENGTH(value) > 16777215, LEFT(value, 4194303), value);
GRANT EXECUTE ON FUNCTION as_mediumtext TO vestige_owner@localhost, vestige_reader, vestige_admin;

-- The mask of IPv4 as a dotted one, that of IPv6 as the length of the prefix.
CREATE OR REPLACE DEFINER = vestige_owner@localhost FUNCTION as_netmask(length TINYINT UNSIGNED, is_ipv4 BOOLEAN)
  RETURNS TINYTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
  DETERMINISTIC NO SQL SQL SECURITY INVOKER
  RETURN COALESCE(IF(is_ipv4, INET_NTOA((4294967295 << (32 - length)) & 4294967295), length), '');
GRANT EXECUTE ON FUNCTION as_netmask TO vestige_owner@localhost, vestige_reader, vestige_admin;

-- Connections and what listens, of each protocol that has addresses.
CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW netinfo AS
SELECT CAST(e.id AS SIGNED) AS endpointinfo,
       as_smallint(YEAR(e.created_at)) AS cyear,
       as_tinyint(MONTH(e.created_at)) AS cmonth,
       as_tinyint(DAY(e.created_at)) AS cday,
       as_tinyint(HOUR(e.created_at)) AS chour,
       as_tinyint(MINUTE(e.created_at)) AS cmin,
       as_tinyint(SECOND(e.created_at)) AS csec,
       as_tinytext(COALESCE(e.protocol, '')) AS transport,
       as_tinytext(COALESCE(e.local_address, '')) AS sourceip,
       as_tinytext(e.local_name) AS sourcefqdn,
       COALESCE(e.local_port, CAST(0 AS UNSIGNED)) AS sourceport,
       as_tinytext(COALESCE(e.remote_address, '')) AS destip,
       e.remote_name AS destfqdn,
       COALESCE(e.remote_port, CAST(0 AS UNSIGNED)) AS destport,
       as_tinyint(CASE WHEN COALESCE(e.remote_address, e.local_address) LIKE '%:%' THEN 6
                       WHEN COALESCE(e.remote_address, e.local_address) LIKE '%.%' THEN 4
                       ELSE 0 END) AS ipversion,
       as_tinytext(COALESCE(e.username, e.uid, '')) AS username,
       COALESCE(e.pid, CAST(0 AS UNSIGNED)) AS pid,
       as_tinytext(COALESCE(e.application, '')) AS application,
       as_smallint(YEAR(e.destroyed_at)) AS dyear,
       as_tinyint(MONTH(e.destroyed_at)) AS dmonth,
       as_tinyint(DAY(e.destroyed_at)) AS dday,
       as_tinyint(HOUR(e.destroyed_at)) AS dhour,
       as_tinyint(MINUTE(e.destroyed_at)) AS dmin,
       as_tinyint(SECOND(e.destroyed_at)) AS dsec,
       as_text(MD5(CONCAT_WS('|', e.protocol, e.local_address, e.local_port, e.remote_address,
                             e.remote_port, e.uid, e.pid, e.application))) AS md5sum
  FROM @evidence@.endpoint e
 WHERE e.host_id = @host_id@ AND (e.protocol IS NULL OR e.protocol NOT IN ('unix', 'packet'));
GRANT SELECT, SHOW VIEW ON netinfo TO vestige_reader, vestige_admin;

-- A row a program. pcpu is over its whole life, as ps has it, and 0 while it lives; pmem is 0: what
-- memory the host has is not recorded.
CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW psinfo AS
SELECT CAST(p.id AS SIGNED) AS psentity,
       as_text(MD5(CONCAT_WS('|', p.pid, p.ppid, p.uid, p.exe, p.comm, p.arguments))) AS md5sum,
       as_tinytext(COALESCE(p.username, p.uid, '')) AS username,
       p.pid AS pid,
       COALESCE(p.ppid, CAST(0 AS UNSIGNED)) AS ppid,
       CAST(LEAST(99.9, COALESCE(100 * (p.cpu_user_us + p.cpu_system_us) /
            NULLIF(TIMESTAMPDIFF(MICROSECOND, p.created_at, p.destroyed_at), 0), 0))
            AS DECIMAL(3,1)) AS pcpu,
       CAST(0 AS DECIMAL(3,1)) AS pmem,
       as_text(COALESCE(p.exe, p.comm, '')) AS command,
       as_mediumtext(COALESCE(p.arguments, '')) AS arguments,
       as_smallint(YEAR(p.created_at)) AS cyear,
       as_tinyint(MONTH(p.created_at)) AS cmonth,
       as_tinyint(DAY(p.created_at)) AS cday,
       as_tinyint(MINUTE(p.created_at)) AS cmin,
       as_tinyint(HOUR(p.created_at)) AS chour,
       as_tinyint(SECOND(p.created_at)) AS csec,
       as_smallint(YEAR(p.destroyed_at)) AS dyear,
       as_tinyint(MONTH(p.destroyed_at)) AS dmonth,
       as_tinyint(DAY(p.destroyed_at)) AS dday,
       as_tinyint(HOUR(p.destroyed_at)) AS dhour,
       as_tinytext(MINUTE(p.destroyed_at)) AS dmin,
       as_tinyint(SECOND(p.destroyed_at)) AS dsec
  FROM @evidence@.process p
 WHERE p.host_id = @host_id@;
GRANT SELECT, SHOW VIEW ON psinfo TO vestige_reader, vestige_admin;

-- The ids are those of the program at its start; the user is the one who used the file. POFR's table
-- has no second of the end.
CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW fileinfo AS
SELECT CAST(f.id AS SIGNED) AS fileaccessid,
       as_char40(MD5(CONCAT_WS('|', f.path, f.uid, f.pid, f.application))) AS md5sum,
       f.path AS filename,
       COALESCE(f.uid, p.uid, CAST(4294967295 AS UNSIGNED)) AS ruid,
       COALESCE(p.euid, CAST(4294967295 AS UNSIGNED)) AS euid,
       COALESCE(p.gid, CAST(4294967295 AS UNSIGNED)) AS rgid,
       COALESCE(p.egid, CAST(4294967295 AS UNSIGNED)) AS egid,
       as_text(COALESCE(p.exe, f.application, '')) AS command,
       COALESCE(f.pid, CAST(0 AS UNSIGNED)) AS pid,
       COALESCE(p.ppid, CAST(0 AS UNSIGNED)) AS ppid,
       as_char6('+00:00') AS tzone,
       as_smallint(YEAR(f.created_at)) AS cyear,
       as_tinyint(MONTH(f.created_at)) AS cmonth,
       as_tinyint(DAY(f.created_at)) AS cday,
       as_tinyint(MINUTE(f.created_at)) AS cmin,
       as_tinyint(HOUR(f.created_at)) AS chour,
       as_tinyint(SECOND(f.created_at)) AS csec,
       as_microseconds(MICROSECOND(f.created_at)) AS cmsec,
       as_smallint(YEAR(f.destroyed_at)) AS dyear,
       as_tinyint(MONTH(f.destroyed_at)) AS dmonth,
       as_tinyint(DAY(f.destroyed_at)) AS dday,
       as_tinyint(HOUR(f.destroyed_at)) AS dhour,
       as_tinyint(MINUTE(f.destroyed_at)) AS dmin,
       as_microseconds(MICROSECOND(f.destroyed_at)) AS dmsec
  FROM @evidence@.file_access f
  LEFT JOIN @evidence@.process p ON p.host_id = f.host_id AND p.id = f.process_id
       AND p.day = DATE('1970-01-01' + INTERVAL f.process_id DIV 1000000 SECOND)
 WHERE f.host_id = @host_id@;
GRANT SELECT, SHOW VIEW ON fileinfo TO vestige_reader, vestige_admin;

-- What the host is now.
CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW hostinfo AS
SELECT as_mediumint(h.host_id) AS cid,
       LEFT(h.name, 70) AS hostname,
       as_tinytext(COALESCE(h.os_name, '')) AS os,
       as_tinytext(COALESCE(h.os_version, '')) AS osver,
       as_tinytext(h.vendor) AS vendor,
       as_tinytext(h.model) AS vendormodel,
       as_tinytext(COALESCE(h.time_zone, '')) AS timezone
  FROM @evidence@.host h
 WHERE h.host_id = @host_id@
   AND h.id = (SELECT MAX(id) FROM @evidence@.host WHERE host_id = @host_id@);
GRANT SELECT, SHOW VIEW ON hostinfo TO vestige_reader, vestige_admin;

-- groupusers are the members that the group has, or had when it was removed.
CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW groupinfo AS
SELECT CAST(g.id AS SIGNED) AS groupid,
       as_tinytext(g.groupname) AS groupname,
       COALESCE(g.gid, CAST(4294967295 AS UNSIGNED)) AS gid,
       as_char40(MD5(CONCAT_WS('|', g.groupname, g.gid))) AS md5sum,
       as_text(COALESCE((SELECT GROUP_CONCAT(m.username ORDER BY m.username)
                           FROM @evidence@.group_member m
                          WHERE m.host_id = @host_id@ AND m.groupname = g.groupname
                            AND m.created_at <= COALESCE(g.destroyed_at, UTC_TIMESTAMP(6))
                            AND (m.destroyed_at IS NULL OR m.destroyed_at >= g.destroyed_at)),
                        '')) AS groupusers,
       as_tinyint(DAY(g.created_at)) AS cday,
       as_tinyint(MINUTE(g.created_at)) AS cmin,
       as_tinyint(HOUR(g.created_at)) AS chour,
       as_tinyint(SECOND(g.created_at)) AS csec,
       as_int(YEAR(g.created_at)) AS cyear,
       as_tinyint(MONTH(g.created_at)) AS cmonth,
       as_int(YEAR(g.destroyed_at)) AS dyear,
       as_tinyint(MONTH(g.destroyed_at)) AS dmonth,
       as_tinyint(HOUR(g.destroyed_at)) AS dhour,
       as_tinyint(MINUTE(g.destroyed_at)) AS dmin,
       as_tinyint(SECOND(g.destroyed_at)) AS dsec,
       as_tinyint(DAY(g.destroyed_at)) AS dday
  FROM @evidence@.account_group g
 WHERE g.host_id = @host_id@;
GRANT SELECT, SHOW VIEW ON groupinfo TO vestige_reader, vestige_admin;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW hwinfo AS
SELECT d.id AS hwdevid,
       as_char40(MD5(CONCAT_WS('|', d.subsystem, d.devpath, d.vendor, d.model, d.serial))) AS md5sum,
       as_smallint(YEAR(d.created_at)) AS cyear,
       as_tinyint(MONTH(d.created_at)) AS cmonth,
       as_tinyint(DAY(d.created_at)) AS cday,
       as_tinyint(HOUR(d.created_at)) AS chour,
       as_tinyint(MINUTE(d.created_at)) AS cmin,
       as_tinyint(SECOND(d.created_at)) AS csec,
       as_tinytext(COALESCE(d.subsystem, '')) AS devbus,
       as_text(CONCAT_WS(' ', d.model, d.serial, COALESCE(d.devnode, d.devpath))) AS devstring,
       as_text(COALESCE(d.vendor, '')) AS devvendor,
       as_text(COALESCE(d.users_logged_in, '')) AS userslogged,
       as_smallint(YEAR(d.destroyed_at)) AS dyear,
       as_tinyint(MONTH(d.destroyed_at)) AS dmonth,
       as_tinyint(DAY(d.destroyed_at)) AS dday,
       as_tinyint(HOUR(d.destroyed_at)) AS dhour,
       as_tinyint(MINUTE(d.destroyed_at)) AS dmin,
       as_tinyint(SECOND(d.destroyed_at)) AS dsec
  FROM @evidence@.device d
 WHERE d.host_id = @host_id@;
GRANT SELECT, SHOW VIEW ON hwinfo TO vestige_reader, vestige_admin;

-- A row an address, as there; an interface without one has none.
CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW netint AS
SELECT as_char40(MD5(CONCAT_WS('|', i.interface, i.mac, i.address, i.prefix_length))) AS md5sum,
       as_tinyint(IF(i.family = 'inet6', 6, 4)) AS ipversion,
       as_tinytext(i.address) AS ip,
       as_netmask(i.prefix_length, i.family = 'inet') AS subnet,
       as_tinytext(COALESCE(i.mac, '')) AS macaddr,
       as_smallint(YEAR(i.created_at)) AS cyear,
       as_tinyint(MONTH(i.created_at)) AS cmonth,
       as_tinyint(DAY(i.created_at)) AS cday,
       as_tinyint(HOUR(i.created_at)) AS chour,
       as_tinyint(MINUTE(i.created_at)) AS cmin,
       as_tinyint(SECOND(i.created_at)) AS csec,
       as_smallint(YEAR(i.destroyed_at)) AS dyear,
       as_tinyint(MONTH(i.destroyed_at)) AS dmonth,
       as_tinyint(DAY(i.destroyed_at)) AS dday,
       as_tinyint(HOUR(i.destroyed_at)) AS dhour,
       as_tinyint(MINUTE(i.destroyed_at)) AS dmin,
       as_tinyint(SECOND(i.destroyed_at)) AS dsec,
       as_text(i.interface) AS intname,
       CAST(i.id AS SIGNED) AS netintid
  FROM @evidence@.interface_address i
 WHERE i.host_id = @host_id@ AND i.address IS NOT NULL;
GRANT SELECT, SHOW VIEW ON netint TO vestige_reader, vestige_admin;

CREATE OR REPLACE DEFINER = vestige_owner@localhost SQL SECURITY DEFINER VIEW netroute AS
SELECT CAST(r.id AS SIGNED) AS routeid,
       as_tinyint(IF(r.family = 'inet6', 6, 4)) AS ipversion,
       as_tinytext(r.destination) AS netip,
       as_netmask(r.prefix_length, r.family = 'inet') AS routenetmask,
       as_tinytext(r.gateway) AS defgw,
       as_smallint(YEAR(r.created_at)) AS cyear,
       as_tinyint(MONTH(r.created_at)) AS cmonth,
       as_tinyint(DAY(r.created_at)) AS cday,
       as_tinyint(HOUR(r.created_at)) AS chour,
       as_tinytext(MINUTE(r.created_at)) AS cmin,
       as_tinyint(SECOND(r.created_at)) AS csec,
       as_smallint(YEAR(r.destroyed_at)) AS dyear,
       as_tinyint(MONTH(r.destroyed_at)) AS dmonth,
       as_tinyint(DAY(r.destroyed_at)) AS dday,
       as_tinyint(HOUR(r.destroyed_at)) AS dhour,
       as_tinyint(MINUTE(r.destroyed_at)) AS dmin,
       as_tinyint(SECOND(r.destroyed_at)) AS dsec,
       as_char40(MD5(CONCAT_WS('|', r.destination, r.prefix_length, r.gateway, r.interface))) AS md5sum,
       as_tinytext(COALESCE(r.interface, '')) AS intname
  FROM @evidence@.route r
 WHERE r.host_id = @host_id@;
GRANT SELECT, SHOW VIEW ON netroute TO vestige_reader, vestige_admin;
