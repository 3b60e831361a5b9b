/* A table of what is looked at (setting_check.h); who reads the evidence is in another one. The
 * global values are read, because agents' sessions begin with them. Each is asked by itself: one
 * that this account may not read, or an older server does not have, does not hide the others. */
#include "reports/server/server_settings.h"

#include "core/cleanup.h"
#include "reports/server/setting_check.h"

#include <inttypes.h>
#include <mysqld_error.h>
#include <string.h>
#include <sys/statvfs.h>

#define N_ELEMENTS(array)  (sizeof(array) / sizeof((array)[0]))
#define GLOBAL(name)       "@@GLOBAL." name
#define IS_ONE(name)       "@@GLOBAL." name " = 1"
#define OPTIONAL(variable) /* of a plugin that may not be there */                                 \
    "(SELECT variable_value FROM information_schema.global_variables"                              \
    " WHERE variable_name = '" variable "')"
#define STATEMENTS_A_HOST "16"
#define POOLED_HOSTS      "50"

static const struct setting_check checks[] = {
  /* what is lost or forged */
    {.setting = {"version", "MariaDB 10.11 or newer",
                 "the schema uses what older servers do not have", SETTING_REQUIRED},
     .found = "VERSION()",
     .right = "f.version >= 1011"                                                                                                                                        },
    {.setting = {"secure_timestamp", "secure_timestamp = YES",
                 "an agent's account could forge the time at which its batches arrived",
                 SETTING_REQUIRED},
     .found = GLOBAL("secure_timestamp"),
     .right = "@@GLOBAL.secure_timestamp = 'YES'"                                                                                                                        },
    {.setting = {"sql_mode",
                 "sql_mode = STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,"
                 "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION",
                 "values that do not fit would be cut or changed without an error",
                 SETTING_REQUIRED},
     .found = GLOBAL("sql_mode"),
     .right = "(FIND_IN_SET('STRICT_TRANS_TABLES', @@GLOBAL.sql_mode)"
              " OR FIND_IN_SET('STRICT_ALL_TABLES', @@GLOBAL.sql_mode))"
              " AND FIND_IN_SET('NO_ZERO_DATE', @@GLOBAL.sql_mode)"                                                                                                      },
    {.setting = {"event_scheduler", "event_scheduler = ON",
                 "no partitions would be made ahead, nobody would end transactions that agents "
                 "leave open, and nobody would watch the fleet",
                 SETTING_REQUIRED},
     .found = GLOBAL("event_scheduler"),
     .right = "@@GLOBAL.event_scheduler = 'ON'"                                                                                                                          },
    {.setting = {"local_infile", "local_infile = 0",
                 "LOAD DATA LOCAL stores changed values with mere warnings, and lets a forged "
                 "server read files",
                 SETTING_REQUIRED},
     .found = GLOBAL("local_infile"),
     .right = "@@GLOBAL.local_infile = 0"                                                                                                                                },
    {.setting = {"innodb_flush_log_at_trx_commit", "innodb_flush_log_at_trx_commit = 1",
                 "a power failure would lose batches that agents have been told are stored",
                 SETTING_REQUIRED},
     .found = GLOBAL("innodb_flush_log_at_trx_commit"),
     .right = IS_ONE("innodb_flush_log_at_trx_commit")                                                                                                                   },
    {.setting = {"innodb_doublewrite", "innodb_doublewrite = ON",
                 "a power failure can tear a page, and the table cannot be read any more",
                 SETTING_REQUIRED},
     .found = GLOBAL("innodb_doublewrite"),
     .right = IS_ONE("innodb_doublewrite")                                                                                                                               },
    {.setting = {"innodb_flush_method", "innodb_flush_method = O_DIRECT",
                 "with nosync or littlesync nothing is sure to be on the disk", SETTING_REQUIRED},
     .found = GLOBAL("innodb_flush_method"),
     .right = "@@GLOBAL.innodb_flush_method NOT IN ('nosync', 'littlesync')"                                                                                             },
    {.setting = {"innodb_force_recovery", "innodb_force_recovery = 0",
                 "the server is in an emergency mode in which it may drop what was stored, or "
                 "takes nothing",
                 SETTING_REQUIRED},
     .found = GLOBAL("innodb_force_recovery"),
     .right = "@@GLOBAL.innodb_force_recovery = 0"                                                                                                                       },
    {.setting = {"read_only", "read_only = OFF",
                 "the server takes no batch; they wait in the journals of the hosts until these "
                 "are full",
                 SETTING_REQUIRED},
     .found = GLOBAL("read_only"),
     .right = "@@GLOBAL.read_only = 0"                                                                                                                                   },
    {.setting = {"max_allowed_packet", "max_allowed_packet = 64M",
                 "a batch whose seal or row takes more is refused, and holds up those behind it",
                 SETTING_REQUIRED},
     .found = GLOBAL("max_allowed_packet"),
     .right = "@@GLOBAL.max_allowed_packet >= 16777216"                                                                                                                  },
    {.setting = {"sync_binlog", "sync_binlog = 1",
                 "with a binary log, a power failure undoes what is not in it yet: batches that "
                 "agents have been told are stored",
                 SETTING_REQUIRED},
     .found = "CONCAT(@@GLOBAL.sync_binlog, IF(@@GLOBAL.log_bin, '', ', and no binary log'))",
     .right = "NOT @@GLOBAL.log_bin OR @@GLOBAL.sync_binlog = 1"                                                                                                         },
    {.setting = {"binlog_format", "binlog_format = ROW",
                 "agents' statements depend on who sends them: as statements they are refused, or "
                 "become other rows on a replica",
                 SETTING_REQUIRED},
     .found = "CONCAT(@@GLOBAL.binlog_format, IF(@@GLOBAL.log_bin, '', ', and no binary log'))",
     .right = "NOT @@GLOBAL.log_bin OR @@GLOBAL.binlog_format <> 'STATEMENT'"                                                                                            },
    {.setting = {"vestige's events", "ALTER EVENT ... ENABLE",
                 "an event that is disabled (on a replica: by the replication) does not run: "
                 "partitions, the reaper or the watch stop",
                 SETTING_REQUIRED},
     .found = "(SELECT COALESCE(GROUP_CONCAT(event_name SEPARATOR ' '), 'all enabled')"
              " FROM information_schema.events WHERE event_schema = DATABASE()"
              " AND event_name LIKE 'vestige\\_%' AND status <> 'ENABLED')",                     .right = "NOT EXISTS (SELECT 1 FROM information_schema.events WHERE event_schema = DATABASE()"
              " AND event_name LIKE 'vestige\\_%' AND status <> 'ENABLED')"                  },

 /* what a fleet meets */
    {.setting = {"max_connections", "max_connections = the hosts, and 50 more",
                 "hosts that find no place cannot ship: their journals fill", SETTING_ADVISED},
     .found = "CONCAT(@@GLOBAL.max_connections, ' for ', f.hosts, ' hosts')",
     .right = "@@GLOBAL.max_connections >= f.hosts + 30"                                                                                                                 },
    {.setting = {"max_user_connections", "max_user_connections = 0",
                 "the agent of a host that reconnects while its old session still hangs is refused",
                 SETTING_ADVISED},
     .found = GLOBAL("max_user_connections"),
     .right = "@@GLOBAL.max_user_connections = 0 OR @@GLOBAL.max_user_connections >= 4"                                                                                  },
    {.setting = {"max_prepared_stmt_count",
                 "max_prepared_stmt_count = " STATEMENTS_A_HOST " for each host",
                 "each agent keeps its statements prepared: those that come last are refused",
                 SETTING_ADVISED},
     .found = "CONCAT(@@GLOBAL.max_prepared_stmt_count, ' for ', f.hosts, ' hosts')",
     .right = "@@GLOBAL.max_prepared_stmt_count >= f.hosts * " STATEMENTS_A_HOST                                                                                         },
    {.setting = {"thread_handling", "thread_handling = pool-of-threads",
                 "where processors are busy, a thread for each of many agents doubles a row's CPU, "
                 "and agents that "
                 "come back together hold each other up",
                 SETTING_ADVISED},
     .found = "CONCAT(@@GLOBAL.thread_handling, ' for ', f.hosts, ' hosts')",
     .right = "@@GLOBAL.thread_handling <> 'one-thread-per-connection' OR f.hosts < " POOLED_HOSTS                                                                       },
    {.setting = {"wait_timeout", "wait_timeout = 28800",
                 "a connection that is idle for less than two minutes is closed: agents connect "
                 "again and again",
                 SETTING_ADVISED},
     .found = GLOBAL("wait_timeout"),
     .right = "@@GLOBAL.wait_timeout >= 120"                                                                                                                             },
    {.setting = {"max_statement_time", "max_statement_time = 0",
                 "long statements are ended: of large batches, of the server's own jobs, of "
                 "questions",
                 SETTING_ADVISED},
     .found = GLOBAL("max_statement_time"),
     .right = "@@GLOBAL.max_statement_time = 0"                                                                                                                          },
    {.setting = {"max_connect_errors", "max_connect_errors = 1000000",
                 "a host with a bad network is locked out until FLUSH HOSTS", SETTING_ADVISED},
     .found = GLOBAL("max_connect_errors"),
     .right = "@@GLOBAL.max_connect_errors >= 10000 OR NOT f.networked"                                                                                                  },
    {.setting = {"default_password_lifetime", "default_password_lifetime = 0",
                 "the passwords of agents expire, and nothing is shipped from then on",
                 SETTING_ADVISED},
     .found = GLOBAL("default_password_lifetime"),
     .right = "@@GLOBAL.default_password_lifetime = 0"                                                                                                                   },
    {.setting = {"init_connect", "init_connect = ''",
                 "it changes the sessions of agents, which then refuse to ship", SETTING_ADVISED},
     .found = GLOBAL("init_connect"),
     .right = "@@GLOBAL.init_connect = ''"                                                                                                                               },
    {.setting = {"innodb_strict_mode", "innodb_strict_mode = ON",
                 "a table's options that the server cannot keep are dropped in silence",
                 SETTING_ADVISED},
     .found = GLOBAL("innodb_strict_mode"),
     .right = IS_ONE("innodb_strict_mode")                                                                                                                               },
    {.setting = {"innodb_file_per_table", "innodb_file_per_table = ON",
                 "what retention drops is never given back to the disk", SETTING_ADVISED},
     .found = GLOBAL("innodb_file_per_table"),
     .right = IS_ONE("innodb_file_per_table")                                                                                                                            },
    {.setting = {"skip_name_resolve", "skip_name_resolve = ON",
                 "each connection waits for the name server, and ends where that is away; accounts "
                 "that are bound to names need it OFF",
                 SETTING_ADVISED},
     .found = GLOBAL("skip_name_resolve"),
     .right = "@@GLOBAL.skip_name_resolve OR NOT f.networked"                                                                                                            },
    {.setting = {"wsrep_on", "a systemd timer on the other nodes",
                 "in a Galera cluster events run on one node only: when it is away nobody makes "
                 "partitions, reaps or watches",
                 SETTING_ADVISED},
     .found = "COALESCE(" OPTIONAL("wsrep_on") ", 'OFF')",
     .right = "COALESCE(" OPTIONAL("wsrep_on") ", 'OFF') <> 'ON'"                                                                                                        },

 /* who can listen or look */
    {.setting = {"have_ssl", "ssl_cert and ssl_key",
                 "agents and readers over the network refuse a server without TLS",
                 SETTING_ADVISED},
     .found = GLOBAL("have_ssl"),
     .right = "@@GLOBAL.have_ssl = 'YES' OR NOT f.networked"                                                                                                             },
    {.setting = {"ssl_ca", "ssl_ca = the CA of the fleet",
                 "the server cannot ask agents for certificates: a stolen password is enough",
                 SETTING_ADVISED},
     .found = GLOBAL("ssl_ca"),
     .right = "COALESCE(@@GLOBAL.ssl_ca, '') <> '' OR NOT f.networked"                                                                                                   },
    {.setting = {"require_secure_transport", "require_secure_transport = ON",
                 "an account that is not bound to TLS may come in clear, and what it reads or "
                 "sends with it",
                 SETTING_ADVISED},
     .found = GLOBAL("require_secure_transport"),
     .right = "@@GLOBAL.require_secure_transport OR NOT f.networked"                                                                                                     },
    {.setting = {"secure_file_priv", "secure_file_priv = a directory",
                 "an account with FILE reads and writes files anywhere the server can",
                 SETTING_ADVISED},
     .found = "COALESCE(@@GLOBAL.secure_file_priv, '')",
     .right = "COALESCE(@@GLOBAL.secure_file_priv, '') <> ''"                                                                                                            },
    {.setting = {"general_log", "general_log = OFF",
                 "a second copy of all evidence, in clear, that nobody seals or deletes",
                 SETTING_ADVISED},
     .found = GLOBAL("general_log"),
     .right = "NOT @@GLOBAL.general_log"                                                                                                                                 },
    {.setting = {"anonymous accounts", "DROP USER ''@localhost",
                 "whoever is on the server may log in, and an account with % can lose to them",
                 SETTING_ADVISED},
     .found = "(SELECT COUNT(*) FROM mysql.global_priv WHERE user = '')",
     .right = "NOT EXISTS (SELECT 1 FROM mysql.global_priv WHERE user = '')"                                                                                             },
    {.setting = {"root without a password", "ALTER USER root@localhost IDENTIFIED VIA unix_socket",
                 "whoever is on the server may change all evidence", SETTING_ADVISED},
     .found = "(SELECT COUNT(*) FROM mysql.global_priv WHERE user = 'root'"
              " AND COALESCE(JSON_VALUE(priv, '$.plugin'), '') IN ('', 'mysql_native_password')"
              " AND COALESCE(JSON_VALUE(priv, '$.authentication_string'), '') = '')",            .right = "NOT EXISTS (SELECT 1 FROM mysql.global_priv WHERE user = 'root'"
              " AND COALESCE(JSON_VALUE(priv, '$.plugin'), '') IN ('', 'mysql_native_password')"
              " AND COALESCE(JSON_VALUE(priv, '$.authentication_string'), '') = '')"},
    {.setting = {"userstat", "userstat = ON",
                 "the bytes that a host sends are not counted; the quota counts rows only",
                 SETTING_ADVISED},
     .found = GLOBAL("userstat"),
     .right = IS_ONE("userstat")                                                                                                                                         },
    {.setting = {"time zone tables", "mariadb-tzinfo-to-sql /usr/share/zoneinfo | mariadb mysql",
                 "CONVERT_TZ with a zone's name gives NULL, so answers can be shown in UTC only",
                 SETTING_ADVISED},
     .found = "IF(CONVERT_TZ('2026-01-01', 'UTC', 'Europe/Oslo') IS NULL, 'empty', 'loaded')",
     .right = "CONVERT_TZ('2026-01-01', 'UTC', 'Europe/Oslo') IS NOT NULL"                                                                                               },
};

/* Facts that several checks need. */
struct facts {
    unsigned long long version, hosts;
    bool is_networked;
};

static int read_facts(MYSQL *connection, struct facts *facts, struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL, *hosts AUTO_RESULT = NULL;
    struct error_text ignored = ERROR_TEXT_NULL;
    int r = database_query(connection, &result, error, "read the settings of the server",
                           "SELECT SUBSTRING_INDEX(VERSION(), '.', 1) * 100 +"
                           " SUBSTRING_INDEX(SUBSTRING_INDEX(VERSION(), '.', 2), '.', -1),"
                           " NOT @@GLOBAL.skip_networking");
    MYSQL_ROW row = r < 0 ? NULL : mysql_fetch_row(result);
    if (!row || !row[0] || !row[1])
        return r < 0 ? r : error_set(error, -EIO, "the server does not tell its version");
    facts->version = strtoull(row[0], NULL, 10);
    facts->is_networked = *row[1] == '1';
    /* Before the first `init` there is no such table, and no host. */
    if (database_query(connection, &hosts, &ignored, "count the hosts",
                       "SELECT COUNT(*) FROM enrolment WHERE revoked_at IS NULL"
                       " AND retired_at IS NULL") == 0 &&
        (row = mysql_fetch_row(hosts)))
        facts->hosts = strtoull(row[0], NULL, 10);
    return 0;
}

/** Whether the error is about this one check only. */
static bool is_beside_the_point(unsigned number)
{
    return number == ER_UNKNOWN_SYSTEM_VARIABLE || number == ER_TABLEACCESS_DENIED_ERROR ||
           number == ER_DBACCESS_DENIED_ERROR || number == ER_SPECIFIC_ACCESS_DENIED_ERROR ||
           number == ER_COLUMNACCESS_DENIED_ERROR || number == ER_NO_SUCH_TABLE ||
           number == ER_UNKNOWN_TABLE;
}

static int ask(MYSQL *connection, const struct setting_check *check, const struct facts *facts,
               MYSQL_RES **resultp, struct error_text *error)
{
    return database_query(connection, resultp, error, "read the settings of the server",
                          "SELECT %s, COALESCE(%s, 0) <> 0, %s FROM (SELECT %llu AS version,"
                          " %llu AS hosts, %d AS networked) AS f",
                          check->found, check->right, check->wanted ? check->wanted : "NULL",
                          facts->version, facts->hosts, facts->is_networked);
}

/* Where to. */
struct telling {
    server_settings_handler handler;
    void *user;
    int n_wrong; /* of the required ones */
};

static int check_one(MYSQL *connection, const struct setting_check *check,
                     const struct facts *facts, struct telling *telling, struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    struct error_text reason = ERROR_TEXT_NULL;
    struct server_setting setting = check->setting;
    int outcome = ask(connection, check, facts, &result, &reason);
    if (outcome < 0)
        return is_beside_the_point(mysql_errno(connection))
                   ? 0
                   : error_set(error, outcome, "%s", reason.text);
    MYSQL_ROW row = mysql_fetch_row(result);
    bool is_right = row && row[1] && *row[1] != '0';
    if (row && row[2])
        setting.wanted = row[2];
    telling->n_wrong += !is_right && setting.level == SETTING_REQUIRED;
    telling->handler(telling->user, &setting, row && row[0] ? row[0] : "NULL", is_right);
    return 0;
}

static int check_all(MYSQL *connection, const struct setting_check table[], size_t n,
                     const struct facts *facts, struct telling *telling, struct error_text *error)
{
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        r = check_one(connection, &table[i], facts, telling, error);
    return r;
}

/* Where the server is on this machine, the disk under its data can be seen. */
static void check_disk(MYSQL *connection, server_settings_handler handler, void *user)
{
    static const struct server_setting setting = {
        "disk of the data", "10 % and 5 GiB free",
        "a full disk stops all hosts: their journals fill, then they lose", SETTING_ADVISED};
    MYSQL_RES *result AUTO_RESULT = NULL;
    struct error_text ignored = ERROR_TEXT_NULL;
    struct statvfs disk;
    const char *host = mysql_get_host_info(connection);
    char found[80];
    if (!strstr(host, "UNIX socket") ||
        database_query(connection, &result, &ignored, "ask for the place of the data",
                       "SELECT @@GLOBAL.datadir"))
        return;
    MYSQL_ROW row = mysql_fetch_row(result);
    if (!row || !row[0] || statvfs(row[0], &disk) || !disk.f_blocks)
        return;
    uint64_t mib = (uint64_t)disk.f_bavail * disk.f_frsize / 1048576;
    uint64_t percent = (uint64_t)disk.f_bavail * 100 / disk.f_blocks;
    snprintf(found, sizeof(found), "%" PRIu64 " MiB, %" PRIu64 " %% free", mib, percent);
    handler(user, &setting, found, mib >= 5120 && percent >= 10);
}

int server_settings_check(MYSQL *connection, server_settings_handler handler, void *user,
                          struct error_text *error)
{
    struct facts facts = {0};
    struct telling telling = {.handler = handler, .user = user};
    int r = read_facts(connection, &facts, error);
    if (r == 0)
        r = check_all(connection, checks, N_ELEMENTS(checks), &facts, &telling, error);
    if (r == 0)
        r = check_all(connection, reader_log_checks, reader_log_checks_n, &facts, &telling, error);
    if (r == 0)
        check_disk(connection, handler, user);
    return r < 0 ? r : telling.n_wrong;
}
