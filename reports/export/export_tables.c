/* One entry a table. Names of columns are those of the Elastic Common Schema where it has one, else
 * vestige.*; NULL is left out of a document. A name that ends in [] is a list, its value has commas
 * between. Fields with the same beginning stand together, because a document is written as it
 * comes. The login user is user.audit, as auditbeat has it.
 *
 * https://www.elastic.co/guide/en/ecs/current/ecs-field-reference.html */
#include "reports/export/export_tables.h"

#define KIND(category, type, action)                                                               \
    "'event' AS `event.kind`, '" category "' AS `event.category[]`, " type                         \
    " AS `event.type[]`, " action " AS `event.action`, "
#define STARTS "IF(t.destroyed_at IS NULL, 'start', 'start,end')"

/* Who, of tables that keep it in each row. */
#define ACTOR                                                                                      \
    "CAST(t.uid AS CHAR) AS `user.id`, t.username AS `user.name`, "                                \
    "CAST(t.login_uid AS CHAR) AS `user.audit.id`, t.login_username AS `user.audit.name`, "
#define ACTOR_PROCESS                                                                              \
    "CONCAT(t.host_id, '-', t.process_id) AS `process.entity_id`, t.pid AS `process.pid`, "        \
    "t.application AS `process.name`"
#define BY_WHOM                                                                                    \
    "' by ', COALESCE(t.application, 'an unknown program'), ' (pid ', COALESCE(t.pid, "            \
    "'unknown'), "                                                                                 \
    "', user ', COALESCE(t.username, t.uid, 'unknown'), ', login user ', "                         \
    "COALESCE(t.login_username, t.login_uid, 'unset'), ')'"
#define USER   "COALESCE(t.username, t.uid)"
#define NOBODY "CAST(NULL AS CHAR)"

/* Names of hosts have a collation of their own. */
#define REMOTE_NAME "t.remote_name COLLATE utf8mb4_nopad_bin"
#define LOCAL_NAME  "t.local_name COLLATE utf8mb4_nopad_bin"

/* The row of the program, by the day of its id. */
#define JOIN_PROCESS                                                                               \
    " LEFT JOIN process p ON p.host_id = t.host_id AND p.id = t.process_id AND p.day = "           \
    "DATE('1970-01-01' + INTERVAL t.process_id DIV 1000000 SECOND)"

/* Apart from what clang-format would make of joined strings. */
/* clang-format off */
const struct export_table export_tables[] = {
    {
     .name = "host",
     .is_context = true,
     .message =
        "CONCAT('host ', t.name, ': ', COALESCE(t.os_name, ''), ' ', COALESCE(t.os_version, ''), "
        "', kernel ', COALESCE(t.kernel, 'unknown'))",
     .user = NOBODY,
     .columns =
        KIND("host", "'info'", "'host'")
        "t.os_name AS `host.os.name`, t.os_version AS `host.os.version`, t.kernel AS "
        "`host.os.kernel`, t.architecture AS `host.architecture`",
     .joins = "",
    },
    {
     .name = "boot",
     .is_context = true,
     .message = "CONCAT('host started, boot ', COALESCE(t.boot_id, 'unknown'))",
     .message_end =
        "CONCAT('boot ended', CASE t.ended_clean WHEN 1 THEN ' as announced' WHEN 0 THEN ' "
        "unannounced' ELSE '' END)",
     .user = NOBODY,
     .columns =
        KIND("host", STARTS, "'boot'")
        "t.kernel AS `host.os.kernel`, t.boot_id AS `host.boot.id`",
     .joins = "",
    },
    {
     .name = "coverage",
     .is_context = true,
     .message = "CONCAT('watching by ', t.source, ', mode ', COALESCE(t.mode, 'unknown'))",
     .message_end =
        "CONCAT('no more watching by ', t.source, ', mode ', COALESCE(t.mode, 'unknown'))",
     .user = NOBODY,
     .columns =
        KIND("configuration", "'info'", "'coverage'")
        "t.source AS `vestige.source`, t.mode AS `vestige.mode`",
     .joins = "",
    },
    {
     .name = "gap",
     .is_context = true,
     .message =
        "CONCAT('not seen: ', COALESCE(t.`count`, 'an unknown number of'), ' of unit ', t.unit, "
        "', source ', t.source, ', cause ', t.cause)",
     .user = NOBODY,
     .columns =
        "'pipeline_error' AS `event.kind`, 'gap' AS `event.action`, t.source AS "
        "`vestige.source`, t.cause AS `vestige.cause`, t.unit AS `vestige.unit`, t.`count` AS "
        "`vestige.count`",
     .joins = "",
    },
    {
     .name = "process",
     .by_user = "t.login_uid <=> :login_uid",
     .message =
        "CONCAT('ran ', COALESCE(t.cmdline, t.exe, t.comm, 'an unknown program'), ' (', "
        "COALESCE(t.exe, 'program unknown'), ', pid ', t.pid, ', parent ', COALESCE(t.ppid, "
        "'unknown'), ', user ', COALESCE(t.effective_username, t.euid, 'unknown'), ', login user "
        "', COALESCE(t.login_username, t.login_uid, 'unset'), ')')",
     .message_end =
        "CONCAT(COALESCE(t.comm, t.exe, 'process'), ' (pid ', t.pid, ') ended: ', t.end_cause, "
        "COALESCE(CONCAT(', status ', t.exit_code), ''), COALESCE(CONCAT(', signal ', "
        "t.exit_signal), ''))",
     .user = "COALESCE(t.effective_username, t.euid)",
     .columns =
        KIND("process", STARTS, "'process'")
        "t.boot_id AS `host.boot.id`, CONCAT(t.host_id, '-', t.id) AS `process.entity_id`, t.pid "
        "AS `process.pid`, t.comm AS `process.name`, t.exe AS `process.executable`, t.exe_sha256 "
        "AS `process.hash.sha256`, t.cmdline AS `process.command_line`, t.argc AS "
        "`process.args_count`, t.cwd AS `process.working_directory`, t.created_at AS "
        "`process.start`, t.destroyed_at AS `process.end`, t.exit_code AS `process.exit_code`, "
        "t.ppid AS `process.parent.pid`, CONCAT(t.host_id, '-', t.parent_id) AS "
        "`process.parent.entity_id`, CAST(t.uid AS CHAR) AS `user.id`, t.username AS "
        "`user.name`, CAST(t.gid AS CHAR) AS `user.group.id`, CAST(t.euid AS CHAR) AS "
        "`user.effective.id`, t.effective_username AS `user.effective.name`, CAST(t.login_uid AS "
        "CHAR) AS `user.audit.id`, t.login_username AS `user.audit.name`, t.container AS "
        "`container.id`, t.tty AS `vestige.tty`, t.session_id AS `vestige.session_id`, "
        "t.exit_signal AS `vestige.exit_signal`, t.cpu_user_us AS `vestige.cpu_user_us`, "
        "t.cpu_system_us AS `vestige.cpu_system_us`, t.max_rss_kib AS `vestige.max_rss_kib`, "
        "t.own AS `vestige.own`, t.unaudited AS `vestige.unaudited`",
     .joins = "",
    },
    {
     .name = "process_change",
     .by_user = "p.login_uid <=> :login_uid",
     .message =
        "CONCAT(COALESCE(p.comm, 'process'), ' (pid ', COALESCE(p.pid, 'unknown'), ') changed ', "
        "t.kind, ' from ', COALESCE(t.old_value, 'unset'), ' to ', COALESCE(t.new_value, "
        "'unset'))",
     .user = "COALESCE(p.username, p.uid)",
     .columns =
        KIND("process", "'change'", "CONCAT('change-', t.kind)")
        "CONCAT(t.host_id, '-', t.process_id) AS `process.entity_id`, p.pid AS `process.pid`, "
        "p.comm AS `process.name`, p.exe AS `process.executable`, CAST(p.uid AS CHAR) AS "
        "`user.id`, p.username AS `user.name`, CAST(p.login_uid AS CHAR) AS `user.audit.id`, "
        "p.login_username AS `user.audit.name`, t.old_value AS `vestige.old_value`, t.new_value "
        "AS `vestige.new_value`",
     .joins = JOIN_PROCESS,
    },
    {
     .name = "endpoint",
     .by_user = "t.login_uid <=> :login_uid",
     .message =
        "CONCAT(CASE t.direction WHEN 'out' THEN 'connection to ' WHEN 'in' THEN 'connection "
        "from ' WHEN 'listen' THEN 'listening on ' ELSE 'endpoint ' END, CONCAT_WS(' ', "
        "t.protocol, IF(t.direction = 'listen', "
        LOCAL_NAME
        ", "
        REMOTE_NAME
        "), IF(t.direction = 'listen', t.local_address, t.remote_address), IF(t.direction = "
        "'listen', t.local_port, t.remote_port)), "
        BY_WHOM
        ", ', ', COALESCE(t.status, 'outcome unknown'))",
     .message_end =
        "CONCAT('end of ', COALESCE(t.direction, ''), ' endpoint ', CONCAT_WS(' ', t.protocol, "
        REMOTE_NAME
        ", t.remote_address, t.remote_port),"
        BY_WHOM
        ", ', sent ', COALESCE(t.bytes_sent, 'unknown'), ', received ', "
        "COALESCE(t.bytes_received, 'unknown'))",
     .user = USER,
     .columns =
        KIND("network",
             "CONCAT('connection,', " STARTS ")",
             "CONCAT('endpoint-', COALESCE(t.direction, 'unknown'))")
        "CASE t.status WHEN 'established' THEN 'success' WHEN 'failed' THEN 'failure' WHEN "
        "'refused' THEN 'failure' ELSE 'unknown' END AS `event.outcome`, "
        ACTOR
        ACTOR_PROCESS
        ", IF(t.direction = 'in', t.remote_address, t.local_address) AS `source.ip`, "
        "IF(t.direction = 'in', t.remote_port, t.local_port) AS `source.port`, IF(t.direction = "
        "'in', t.remote_name, t.local_name) AS `source.domain`, IF(t.direction = 'in', "
        "t.bytes_received, t.bytes_sent) AS `source.bytes`, IF(t.direction = 'in', "
        "t.local_address, t.remote_address) AS `destination.ip`, IF(t.direction = 'in', "
        "t.local_port, t.remote_port) AS `destination.port`, IF(t.direction = 'in', "
        "t.local_name, t.remote_name) AS `destination.domain`, IF(t.direction = 'in', "
        "t.bytes_sent, t.bytes_received) AS `destination.bytes`, t.protocol AS "
        "`network.transport`, CASE t.direction WHEN 'in' THEN 'ingress' WHEN 'out' THEN 'egress' "
        "END AS `network.direction`, t.bytes_sent + t.bytes_received AS `network.bytes`, "
        "t.status AS `vestige.status`, t.pid_source AS `vestige.pid_source`, t.interface AS "
        "`vestige.interface`, t.netns AS `vestige.netns`, t.cookie AS `vestige.cookie`",
     .joins = "",
    },
    {
     .name = "file_access",
     .by_user = "t.login_uid <=> :login_uid",
     .message =
        "CONCAT(COALESCE(REPLACE(t.operations, ',', ', '), 'open'), ': ', t.path, "
        "COALESCE(CONCAT(' to ', t.new_path), ''),"
        BY_WHOM
        ")",
     .user = USER,
     .columns =
        KIND("file",
             "COALESCE(NULLIF(CONCAT_WS(',', IF(FIND_IN_SET('create', t.operations), "
             "'creation', NULL), IF(FIND_IN_SET('delete', t.operations), 'deletion', NULL), "
             "IF(FIND_IN_SET('write', t.operations) OR FIND_IN_SET('rename', t.operations) OR "
             "FIND_IN_SET('attributes', t.operations), 'change', NULL), IF(FIND_IN_SET('read', "
             "t.operations) OR FIND_IN_SET('execute', t.operations), 'access', NULL)), ''), "
             "'access')",
             "COALESCE(REPLACE(t.operations, ',', '-'), 'open')")
        ACTOR
        ACTOR_PROCESS
        ", COALESCE(t.new_path, t.path) AS `file.path`, SUBSTRING_INDEX(COALESCE(t.new_path, "
        "t.path), '/', -1) AS `file.name`, CAST(t.inode AS CHAR) AS `file.inode`, t.device AS "
        "`file.device`, LPAD(OCT(t.mode & 4095), 4, '0') AS `file.mode`, t.size AS `file.size`, "
        "IF(t.new_path IS NULL, NULL, t.path) AS `vestige.old_path`, t.operations AS "
        "`vestige.operations[]`, t.opens AS `vestige.opens`, t.inherited AS `vestige.inherited`, "
        "t.path_at_read AS `vestige.path_at_read`",
     .joins = "",
    },
    {
     .name = "session",
     .by_user = "t.login_uid <=> :login_uid",
     .message =
        "CONCAT('session of ', COALESCE(t.username, t.login_uid, 'unknown'), ' by ', "
        "COALESCE(t.service, 'unknown'), COALESCE(CONCAT(' from ', t.remote_address), ''), "
        "COALESCE(CONCAT(' on ', t.tty), ''))",
     .message_end =
        "CONCAT('end of the session of ', COALESCE(t.username, t.login_uid, 'unknown'), ' by ', "
        "COALESCE(t.service, 'unknown'))",
     .user = "COALESCE(t.username, t.login_uid)",
     .columns =
        KIND("session", STARTS, "'session'")
        "t.boot_id AS `host.boot.id`, t.username AS `user.name`, CAST(t.login_uid AS CHAR) AS "
        "`user.audit.id`, t.remote_address AS `source.ip`, t.remote_name AS `source.domain`, "
        "CONCAT(t.host_id, '-', t.process_id) AS `process.entity_id`, t.leader_pid AS "
        "`process.pid`, t.service AS `vestige.service`, t.tty AS `vestige.tty`, t.session_id AS "
        "`vestige.session_id`",
     .joins = "",
    },
    {
     .name = "auth_attempt",
     .by_user = "t.username <=> :login_name",
     .message =
        "CONCAT('authentication ', t.result, ': ', COALESCE(t.username, 'no name'), ' by ', "
        "COALESCE(t.service, 'unknown'), COALESCE(CONCAT(' from ', t.remote_address), ''))",
     .user = "t.username",
     .columns =
        KIND("authentication", "'start'", "'authentication'")
        "t.result AS `event.outcome`, t.username AS `user.name`, t.remote_address AS "
        "`source.ip`, CONCAT(t.host_id, '-', t.process_id) AS `process.entity_id`, t.service AS "
        "`vestige.service`, t.tty AS `vestige.tty`",
     .joins = "",
    },
    {
     .name = "device",
     .by_user = "FIND_IN_SET(:login_name, t.users_logged_in)",
     .message =
        "CONCAT('device ', CONCAT_WS(' ', t.subsystem, t.vendor, t.model, t.serial, t.devnode), "
        "' appeared; logged in: ', COALESCE(NULLIF(t.users_logged_in, ''), 'nobody'))",
     .message_end =
        "CONCAT('device ', CONCAT_WS(' ', t.subsystem, t.vendor, t.model, t.serial, t.devnode), "
        "' is gone')",
     .user = NOBODY,
     .columns =
        KIND("host", STARTS, "'device'")
        "t.serial AS `device.serial_number`, t.vendor AS `device.manufacturer`, t.model AS "
        "`device.model.name`, t.users_logged_in AS `related.user[]`, t.subsystem AS "
        "`vestige.subsystem`, t.devpath AS `vestige.devpath`, t.devnode AS `vestige.devnode`, "
        "t.device AS `vestige.device`",
     .joins = "",
    },
    {
     .name = "kernel_event",
     .by_user = "t.login_uid <=> :login_uid",
     .message =
        "CONCAT(t.kind, COALESCE(CONCAT(' of ', t.target), ''),"
        BY_WHOM
        ", COALESCE(CONCAT(', ', t.result), ''))",
     .user = USER,
     .columns =
        KIND("driver,host",
             "CASE WHEN t.kind IN ('module_load', 'bpf_load', 'mount') THEN 'start' WHEN t.kind "
             "IN ('module_unload', 'umount') THEN 'end' ELSE 'change' END",
             "t.kind")
        "t.result AS `event.outcome`, "
        ACTOR
        ACTOR_PROCESS
        ", t.target AS `vestige.target`",
     .joins = "",
    },
    {
     .name = "account",
     .by_user = "t.uid = :login_uid",
     .message =
        "CONCAT('account ', t.username, ', uid ', COALESCE(t.uid, 'unknown'), ', home ', "
        "COALESCE(t.home, 'unknown'), ', shell ', COALESCE(t.shell, 'unknown'))",
     .message_end = "CONCAT('account ', t.username, ' was changed or removed')",
     .user = NOBODY,
     .columns =
        KIND("iam", "'user,info'", "'account'")
        "CAST(t.uid AS CHAR) AS `user.target.id`, t.username AS `user.target.name`, CAST(t.gid "
        "AS CHAR) AS `user.target.group.id`, t.home AS `vestige.home`, t.shell AS "
        "`vestige.shell`, t.password_state AS `vestige.password_state`",
     .joins = "",
    },
    {
     .name = "account_group",
     .message = "CONCAT('group ', t.groupname, ', gid ', COALESCE(t.gid, 'unknown'))",
     .message_end = "CONCAT('group ', t.groupname, ' was changed or removed')",
     .user = NOBODY,
     .columns =
        KIND("iam", "'group,info'", "'group'")
        "CAST(t.gid AS CHAR) AS `group.id`, t.groupname AS `group.name`",
     .joins = "",
    },
    {
     .name = "group_member",
     .by_user = "t.username <=> :login_name",
     .message = "CONCAT(t.username, ' is in group ', t.groupname)",
     .message_end = "CONCAT(t.username, ' is no more in group ', t.groupname)",
     .user = NOBODY,
     .columns =
        KIND("iam", "'group,info'", "'group-member'")
        "t.username AS `user.target.name`, t.groupname AS `group.name`",
     .joins = "",
    },
    {
     .name = "interface_address",
     .message =
        "CONCAT('interface ', t.interface, COALESCE(CONCAT(' has ', t.address, '/', "
        "t.prefix_length), ''))",
     .message_end =
        "CONCAT('interface ', t.interface, COALESCE(CONCAT(' lost ', t.address, '/', "
        "t.prefix_length), ' is gone'))",
     .user = NOBODY,
     .columns =
        KIND("configuration,network", "'info'", "'interface-address'")
        "t.address AS `host.ip`, t.mac AS `host.mac`, t.interface AS `vestige.interface`, "
        "t.prefix_length AS `vestige.prefix_length`",
     .joins = "",
    },
    {
     .name = "route",
     .message =
        "CONCAT('route to ', t.destination, '/', t.prefix_length, COALESCE(CONCAT(' by ', "
        "t.gateway), ''), COALESCE(CONCAT(' on ', t.interface), ''))",
     .message_end = "CONCAT('no more route to ', t.destination, '/', t.prefix_length)",
     .user = NOBODY,
     .columns =
        KIND("configuration,network", "'info'", "'route'")
        "t.destination AS `vestige.destination`, t.prefix_length AS `vestige.prefix_length`, "
        "t.gateway AS `vestige.gateway`, t.interface AS `vestige.interface`",
     .joins = "",
    },
    {
     .name = "address_name",
     .message =
        "CONCAT(t.address, COALESCE(CONCAT(' is called ', t.name COLLATE utf8mb4_nopad_bin), ' "
        "has no name'))",
     .user = NOBODY,
     .columns =
        KIND("network", "'info'", "'address-name'")
        "t.address AS `related.ip[]`, t.name AS `related.hosts[]`, t.source AS `vestige.source`",
     .joins = "",
    },
    {
     .name = "finding",
     .message =
        "CONCAT('finding ', t.class, ': ', t.subject, COALESCE(CONCAT('; ', t.detail), ''))",
     .user = NOBODY,
     .columns =
        "'alert' AS `event.kind`, t.class AS `event.action`, t.class AS `rule.name`, t.subject "
        "AS `vestige.subject`, t.detail AS `vestige.detail`",
     .joins = "",
    },
};
/* clang-format on */
const size_t export_tables_n = sizeof(export_tables) / sizeof(export_tables[0]);
