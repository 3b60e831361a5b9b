/* A person is a name, which may have another number on each host: so first the accounts are looked
 * up. A row that has another name with the same number is somebody else's. */
#include "reports/user/user_sections.h"

#define WHO                                                                                        \
    "WITH who AS (SELECT DISTINCT a.host_id, a.uid FROM account a WHERE a.username = :name AND "   \
    "a.uid IS NOT NULL UNION SELECT e.host_id, :uid FROM enrolment e WHERE :uid IS NOT NULL AND "  \
    "(:name IS NULL OR NOT EXISTS (SELECT 1 FROM account a WHERE a.host_id = e.host_id AND "       \
    "a.username = :name)))"
#define HOST(t)                                                                                    \
    " JOIN enrolment h ON h.host_id = " t ".host_id AND (:host_id IS NULL OR h.host_id = "         \
    ":host_id)"
/* The numbers as constants, so that the key of login_uid and created_at is used as a range. */
#define NUMBERS "(:many OR x.login_uid IN (:u0, :u1, :u2, :u3, :u4, :u5, :u6, :u7))"
#define OF_WHO(t)                                                                                  \
    " FROM who JOIN " t " x ON x.host_id = who.host_id AND x.login_uid = who.uid AND " NUMBERS     \
    " AND (:name IS NULL OR x.login_username IS NULL OR x.login_username = :name) AND x.day >= "   \
    ":since_day AND x.created_at >= :since AND x.created_at <= :until" HOST("x")
#define KEYS                                                                                       \
    "x.host_id AS row_host_id, GROUP_CONCAT(x.id ORDER BY x.created_at, x.id LIMIT 10) AS row_ids"
#define TIMES                                                                                      \
    "COUNT(*) AS n, MIN(x.created_at) AS first_at, IF(COUNT(*) > 1, MAX(x.created_at), NULL) AS "  \
    "last_at, IF(COUNT(*) = 1, MIN(x.created_at), NULL) AS only_at"
#define SELECT_ROWS " SELECT h.name AS host, " TIMES ", " KEYS ", "
#define FIRST_LAST  "[; at {only_at~moment}][; first {first_at~moment}, last {last_at~moment}]"
#define SESSIONS                                                                                   \
    " FROM who JOIN session x ON x.host_id = who.host_id AND (x.login_uid = who.uid OR "           \
    "(x.login_uid IS NULL AND x.username = :name)) AND x.created_at <= :until "                    \
    "AND (x.destroyed_at IS NULL OR x.destroyed_at >= :since)" HOST("x")
#define PRIVILEGED                                                                                 \
    "('su', 'su-l', 'sudo', 'sudo-i', 'runuser', 'runuser-l', 'doas', 'pkexec', 'polkit-1')"
#define PROGRAM       "COALESCE(x.exe, x.argv0, x.comm, '?')"
#define AS_OTHER      "SUM(NOT (x.uid <=> who.uid) OR NOT (x.euid <=> who.uid))"
#define DID(op, word) "IF(SUM(FIND_IN_SET('" op "', x.operations) > 0), '" word "', NULL)"
#define UNDER(dir)    " OR x.path LIKE '" dir "/%'"

/* clang-format off */
static const char account[] = WHO
    " SELECT h.name AS host, 1 AS n, x.username, x.uid, x.home, x.shell, x.password_state, "
    "IF(x.created_at >= :since, x.created_at, NULL) AS began, IF(x.destroyed_at <= :until, "
    "x.destroyed_at, NULL) AS ended, x.host_id AS row_host_id, x.id AS row_ids FROM who JOIN "
    "account x ON x.host_id = who.host_id AND x.uid = who.uid AND (:name IS NULL OR x.username = "
    ":name) AND x.created_at <= :until AND x.day <= :until_day AND (x.destroyed_at IS NULL OR "
    "x.destroyed_at >= :since)" HOST("x") " ORDER BY h.name, x.created_at, x.id LIMIT :row_limit";

static const char logins[] = WHO SELECT_ROWS
    "x.service, x.remote_address, NULLIF(x.remote_name, x.remote_address) AS remote_name, "
    "IF(x.service IN ('cron', 'crond', 'atd', 'systemd-user'), 'had work started', 'logged in') AS "
    "what, SUM(TIMESTAMPDIFF(SECOND, x.created_at, COALESCE(x.destroyed_at, :now))) AS seconds, "
    "NULLIF(SUM(x.destroyed_at IS NULL), 0) AS open" SESSIONS
    " WHERE x.service IS NULL OR x.service NOT IN " PRIVILEGED
    " GROUP BY x.host_id, x.service, x.remote_address, x.remote_name ORDER BY first_at, "
    "row_host_id, x.service, x.remote_address LIMIT :row_limit";

static const char becoming[] = WHO SELECT_ROWS
    "x.service, x.username" SESSIONS " WHERE x.service IN " PRIVILEGED
    " GROUP BY x.host_id, x.service, x.username ORDER BY first_at, row_host_id, x.service, "
    "x.username LIMIT :row_limit";

static const char setuid_programs[] = WHO SELECT_ROWS
    PROGRAM " AS program, COALESCE(x.effective_username, x.euid) AS acting" OF_WHO("process")
    " WHERE x.uid <> x.euid GROUP BY x.host_id, program, acting ORDER BY n DESC, first_at, program "
    "LIMIT :row_limit";

static const char changes[] = WHO
    " SELECT h.name AS host, COUNT(*) AS n, MIN(c.created_at) AS first_at, IF(COUNT(*) > 1, "
    "MAX(c.created_at), NULL) AS last_at, IF(COUNT(*) = 1, MIN(c.created_at), NULL) AS only_at, "
    "c.host_id AS row_host_id, GROUP_CONCAT(c.id ORDER BY c.created_at, c.id LIMIT 10) AS row_ids, "
    PROGRAM " AS program, c.old_value, c.new_value" OF_WHO("process")
    " JOIN process_change c ON c.host_id = x.host_id AND c.process_id = x.id AND c.day >= "
    ":since_day AND c.kind = 'uid' WHERE x.uid <=> x.euid AND NOT (c.old_value <=> c.new_value) "
    "GROUP BY c.host_id, program, c.old_value, c.new_value ORDER BY first_at, program "
    "LIMIT :row_limit";

static const char programs_in_all[] = WHO SELECT_ROWS
    "COUNT(DISTINCT " PROGRAM ") AS programs, NULLIF(" AS_OTHER ", 0) AS others, "
    "NULLIF(SUM(x.argv0 IS NULL), 0) AS unknown" OF_WHO("process")
    " GROUP BY x.host_id ORDER BY h.name LIMIT :row_limit";

#define RANKED                                                                                     \
    WHO ", ranked AS (SELECT h.name AS host, " TIMES ", " KEYS ", " PROGRAM " AS program, NULLIF(" \
    AS_OTHER ", 0) AS others, ROW_NUMBER() OVER (ORDER BY COUNT(*) DESC, MIN(x.created_at), "      \
    PROGRAM ") AS place" OF_WHO("process") " GROUP BY x.host_id, " PROGRAM ") SELECT * FROM "      \
    "ranked WHERE place "

static const char most_used[] = RANKED "<= 10 ORDER BY place LIMIT :row_limit";
static const char rarest[] = RANKED "> 10 ORDER BY n, first_at DESC, program LIMIT 10";

#define WITH_WHAT_AS_WHOM                                                                          \
    "GROUP_CONCAT(DISTINCT x.application ORDER BY x.application SEPARATOR ', ' LIMIT 5) AS "       \
    "application, NULLIF(GROUP_CONCAT(DISTINCT x.username ORDER BY x.username SEPARATOR ', ' "     \
    "LIMIT 5), :name) AS acting" OF_WHO("file_access")

/* 122: write, create, delete, rename, attributes. */
static const char files_written[] = WHO SELECT_ROWS
    "LEFT(x.path, 4096) AS path, CONCAT_WS(', ', "
    DID("create", "created") ", " DID("write", "wrote") ", " DID("delete", "deleted") ", "
    DID("rename", "renamed") ", " DID("attributes", "changed the attributes of") ") AS did, "
    WITH_WHAT_AS_WHOM " WHERE x.operations & 122 AND (FALSE"
    UNDER("/etc") UNDER("/boot") UNDER("/usr") UNDER("/bin") UNDER("/sbin") UNDER("/lib")
    UNDER("/root") UNDER("/var/log") UNDER("/var/spool/cron") UNDER("/opt") UNDER("/dev/shm")
    " OR x.path LIKE '%/.ssh/%') GROUP BY x.host_id, x.path ORDER BY first_at, x.path LIMIT "
    ":row_limit";

static const char files_read[] = WHO SELECT_ROWS
    "LEFT(x.path, 4096) AS path, " WITH_WHAT_AS_WHOM
    " WHERE FIND_IN_SET('read', x.operations) AND (x.path IN ('/etc/shadow', '/etc/gshadow', "
    "'/etc/shadow-', '/etc/gshadow-', '/etc/sudoers', '/etc/krb5.keytab')"
    UNDER("/etc/sudoers.d") UNDER("/etc/ssl/private") UNDER("/root") UNDER("/var/spool/cron")
    " OR x.path LIKE '%/.ssh/%' OR x.path LIKE '/etc/ssh/%key' OR x.path LIKE '/home/%/.%history') "
    "GROUP BY x.host_id, x.path ORDER BY first_at, x.path LIMIT :row_limit";

#define ADDRESS(address)                                                                           \
    "CONCAT(IF(LOCATE(':', " address "), CONCAT('[', " address ", ']'), " address ")"

static const char network[] = WHO SELECT_ROWS
    ADDRESS("x.remote_address") ", COALESCE(CONCAT(':', x.remote_port), '')) AS remote, "
    "NULLIF(x.remote_name, x.remote_address) AS remote_name, x.protocol, x.application, "
    "IF(x.status IN ('failed', 'refused'), 'tried to talk to', 'talked to') AS what, "
    "SUM(x.bytes_sent) AS sent, SUM(x.bytes_received) AS received" OF_WHO("endpoint")
    " WHERE x.direction = 'out' AND x.remote_address IS NOT NULL GROUP BY x.host_id, what, remote, "
    "x.remote_name, x.protocol, x.application ORDER BY n DESC, first_at, remote, x.application "
    "LIMIT :row_limit";

static const char network_in[] = WHO SELECT_ROWS
    "x.remote_address AS remote, NULLIF(x.remote_name, x.remote_address) AS remote_name, "
    "x.protocol, x.local_port, x.application, SUM(x.bytes_sent) AS sent, SUM(x.bytes_received) AS "
    "received" OF_WHO("endpoint") " WHERE x.direction = 'in' GROUP BY x.host_id, remote, "
    "x.remote_name, x.protocol, x.local_port, x.application ORDER BY n DESC, first_at, remote, "
    "x.application LIMIT :row_limit";

static const char listeners[] = WHO SELECT_ROWS
    "x.protocol, COALESCE(" ADDRESS("x.local_address") ", ':', x.local_port), x.local_name, '?') "
    "AS local, x.application" OF_WHO("endpoint") " WHERE x.direction = 'listen' GROUP BY "
    "x.host_id, x.protocol, local, x.application ORDER BY first_at, local LIMIT :row_limit";

static const char devices[] =
    "SELECT h.name AS host, 1 AS n, x.created_at AS first_at, x.subsystem, NULLIF(CONCAT_WS(' ', "
    "x.vendor, x.model), '') AS model, x.serial, COALESCE(x.devnode, x.devpath) AS node, "
    "x.destroyed_at AS last_at, x.host_id AS row_host_id, x.id AS row_ids FROM device x" HOST("x")
    " WHERE FIND_IN_SET(:name, x.users_logged_in) AND x.day >= :since_day AND x.created_at >= "
    ":since AND x.created_at <= :until ORDER BY x.created_at, x.id LIMIT :row_limit";

static const char failures[] = WHO SELECT_ROWS
    "x.service, x.remote_address, x.username, x.tty FROM auth_attempt x" HOST("x")
    " LEFT JOIN process p ON p.host_id = x.host_id AND p.id = x.process_id AND p.day = "
    "DATE('1970-01-01' + INTERVAL x.process_id DIV 1000000 SECOND) LEFT JOIN who ON who.host_id = "
    "x.host_id AND who.uid = p.login_uid WHERE x.result = 'failure' AND x.day >= :since_day AND "
    "x.created_at >= :since AND x.created_at <= :until AND (x.username = :name OR (who.uid IS NOT "
    "NULL AND (:name IS NULL OR p.login_username IS NULL OR p.login_username = :name))) GROUP BY "
    "x.host_id, x.service, x.remote_address, x.username, x.tty ORDER BY first_at, x.service, "
    "x.username LIMIT :row_limit";

static const char kernel[] = WHO SELECT_ROWS
    "REPLACE(x.kind, '_', ' ') AS kind, LEFT(x.target, 4096) AS target, x.application, "
    "NULLIF(x.result, 'success') AS result" OF_WHO("kernel_event")
    " GROUP BY x.host_id, x.kind, target, x.application, x.result ORDER BY first_at, x.kind, target "
    "LIMIT :row_limit";

static const char findings[] =
    "SELECT h.name AS host, 1 AS n, x.class, LEFT(x.subject, 1024) AS subject, LEFT(x.detail, 4096) "
    "AS detail, x.created_at AS first_at, x.host_id AS row_host_id, x.id AS row_ids FROM finding x"
    HOST("x") " WHERE x.created_at <= :until AND x.day <= :until_day AND (x.destroyed_at IS NULL "
    "OR x.destroyed_at >= :since) AND (x.subject = :name OR FIND_IN_SET(:name, REPLACE(REPLACE("
    "REPLACE(CONCAT_WS(' ', x.subject, x.detail), ',', ' '), ':', ' '), ' ', ','))) ORDER BY "
    "x.created_at, x.id LIMIT :row_limit";

static const char gaps[] =
    "SELECT h.name AS host, 1 AS n, x.source, x.cause, x.`count` AS missed, "
    "IF(x.unit = 'process', 'processes', CONCAT(x.unit, 's')) AS units, x.created_at AS first_at, "
    " x.destroyed_at AS last_at, x.host_id AS row_host_id, x.id AS row_ids FROM gap x"
    HOST("x") " WHERE x.created_at <= :until AND (x.destroyed_at IS NULL OR x.destroyed_at >= "
    ":since) ORDER BY x.created_at, x.id LIMIT :row_limit";

const char user_numbers[] = WHO
    " SELECT DISTINCT uid FROM who WHERE :host_id IS NULL OR host_id = :host_id ORDER BY uid";
/* clang-format on */

#define BYTES "[; sent {sent~bytes}][, received {received~bytes}]"

#define NOTHING "Nothing was recorded"

const struct user_section user_sections[] = {
    {"Account",                 "account",
     "On {host} {username} has number {uid}[, home {home}][, shell {shell}][, password "
     "{password_state}][; so since {began~moment}][; until {ended~moment}]",                                       account,  true,  "No account of this name is known"},
    {"Sessions",                "session",
     "{who} {what} {n|once|% times} on {host}[ from {remote_address}][ ({remote_name})][ by "
     "{service}]" FIRST_LAST "[; {seconds~time} in all][; {open|one session is|% sessions are} "
     "still open]",                                                                                                logins,   false, NOTHING                           },
    {"Privilege",               "session",
     "{who} became {username} by {service} {n|once|% times} on {host}" FIRST_LAST,                                 becoming, false,
     NOTHING                                                                                                                                                          },
    {"Privilege",               "process",
     "{who} ran {program}, which acts with the rights of {acting}, {n|once|% times} on "
     "{host}" FIRST_LAST,
     setuid_programs,                                                                                                        false, NOTHING                           },
    {"Privilege",               "process_change",
     "{program}, run by {who}, changed its user from {old_value} to {new_value} {n|once|% times} "
     "on "
     "{host}" FIRST_LAST,
     changes,                                                                                                                false, NOTHING                           },
    {"Programs",                "process",
     "{who} ran {programs|one program|% different programs}, {n|once|% times} in all, on "
     "{host}[; {others|once|% times} with the rights of another user][; of {unknown|one|%} the "
     "arguments are not known]" FIRST_LAST,
     programs_in_all,                                                                                                        false, NOTHING                           },
    {"Programs run most",       "process",
     "{program}: {n|once|% times} on {host}[, {others|once|% times} with the rights of another "
     "user]" FIRST_LAST,
     most_used,                                                                                                              false, NOTHING                           },
    {"Programs run least",      "process",
     "{program}: {n|once|% times} on {host}[, {others|once|% times} with the rights of another "
     "user]" FIRST_LAST,
     rarest,                                                                                                                 false, NOTHING                           },
    {"Sensitive files changed", "file_access",
     "{who} {did} {path} on {host} with {application}[ as {acting}], {n|once|% times}" FIRST_LAST,
     files_written,                                                                                                          false, NOTHING                           },
    {"Sensitive files read",    "file_access",
     "{who} read {path} on {host} with {application}[ as {acting}], {n|once|% times}" FIRST_LAST,
     files_read,                                                                                                             false, NOTHING                           },
    {"Network",                 "endpoint",
     "{who} {what} {remote}[ ({remote_name})][ by {protocol}] from {host} with {application}, "
     "{n|once|% times}" BYTES FIRST_LAST,
     network,                                                                                                                false, NOTHING                           },
    {"Network",                 "endpoint",
     "{remote}[ ({remote_name})] talked to {application} of {who} on {host}[, {protocol} port "
     "{local_port}], {n|once|% times}" BYTES FIRST_LAST,
     network_in,                                                                                                             false, NOTHING                           },
    {"Network",                 "endpoint",
     "{who} had {application} listen on {protocol} {local} on {host}, {n|once|% times}" FIRST_LAST,
     listeners,                                                                                                              false, NOTHING                           },
    {"Devices",                 "device",
     "While {who} was logged in, {subsystem} {node}[ ({model})][, serial {serial},] appeared on "
     "{host} at {first_at~moment}[ and was removed at {last_at~moment}]",                                          devices,  false, NOTHING                           },
    {"Failed attempts",         "auth_attempt",
     "{n|One attempt|% attempts} as {username}[ by {service}][ from {remote_address}][ on terminal "
     "{tty}] failed on {host}" FIRST_LAST,
     failures,                                                                                                               false, NOTHING                           },
    {"Kernel events",           "kernel_event",
     "{who} did {kind}[ of {target}] with {application} on {host}, {n|once|% times}[, "
     "{result}]" FIRST_LAST,
     kernel,                                                                                                                 false, NOTHING                           },
    {"Findings",                "finding",        "{class} on {host} at {first_at~moment}: {subject}[: {detail}]",
     findings,                                                                                                               false, NOTHING                           },
    {"What is not known",       "gap",
     "On {host}, {source} missed[ {missed}] {units} ({cause}) from {first_at~moment} to "
     "{last_at~moment}",                                                                                           gaps,     true,  "No gap was recorded"             },
};

const size_t user_sections_n = sizeof(user_sections) / sizeof(user_sections[0]);
