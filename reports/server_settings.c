/* One table: an SQL expression that gives what is found, one that says whether it is right, and
 * what to tell. The global values are read, because agents' sessions begin with them. */
#include "reports/server_settings.h"

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

static const struct check {
    struct server_setting setting;
    const char *found; /* SQL */
    const char *right; /* SQL */
} checks[] = {
    {{"version", "MariaDB 10.11 or newer", "the schema uses what older servers do not have", true},
     "VERSION()",                                                                     "sys_version >= 1011"                                       },
    {{"secure_timestamp", "secure_timestamp = YES",
      "an agent's account could forge the time at which its batches arrived", true},
     "@@GLOBAL.secure_timestamp",                                                     "@@GLOBAL.secure_timestamp = 'YES'"                         },
    {{"sql_mode",
      "sql_mode = "
      "STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_"
      "SUBSTITUTION",
      "values that do not fit would be cut or changed without an error", true},
     "@@GLOBAL.sql_mode",                                                             "(FIND_IN_SET('STRICT_TRANS_TABLES', @@GLOBAL.sql_mode)"
     " OR FIND_IN_SET('STRICT_ALL_TABLES', @@GLOBAL.sql_mode))"
     " AND FIND_IN_SET('NO_ZERO_DATE', @@GLOBAL.sql_mode)"                                                               },
    {{"event_scheduler", "event_scheduler = ON",
      "no partitions would be made ahead, and nobody would end transactions that agents leave open",
      true},
     "@@GLOBAL.event_scheduler",                                                      "@@GLOBAL.event_scheduler = 'ON'"                           },
    {{"local_infile", "local_infile = 0",
      "LOAD DATA LOCAL stores changed values with mere warnings, and lets a forged server read "
      "files",
      true},
     "@@GLOBAL.local_infile",                                                         "@@GLOBAL.local_infile = 0"                                 },
    {{"innodb_flush_log_at_trx_commit", "innodb_flush_log_at_trx_commit = 1",
      "a power failure would lose batches that agents have been told are stored", true},
     "@@GLOBAL.innodb_flush_log_at_trx_commit",                                       "@@GLOBAL.innodb_flush_log_at_trx_commit = 1"               },
    {{"time zone tables", "mariadb-tzinfo-to-sql /usr/share/zoneinfo | mariadb mysql",
      "CONVERT_TZ with a zone's name gives NULL, so answers can be shown in UTC only", false},
     "IF(CONVERT_TZ('2026-01-01', 'UTC', 'Europe/Oslo') IS NULL, 'empty', 'loaded')", "CONVERT_TZ('2026-01-01', 'UTC', 'Europe/Oslo') IS NOT NULL"},
};

static int check_one(MYSQL *connection, const struct check *check, MYSQL_RES **resultp,
                     struct error_text *error)
{
    return database_query(connection, resultp, error, "read the settings of the server",
                          "SELECT %s, COALESCE(%s, 0) FROM (SELECT"
                          " SUBSTRING_INDEX(VERSION(), '.', 1) * 100 +"
                          " SUBSTRING_INDEX(SUBSTRING_INDEX(VERSION(), '.', 2), '.', -1)"
                          " AS sys_version) AS s",
                          check->found, check->right);
}

int server_settings_check(MYSQL *connection, server_settings_handler handler, void *user,
                          struct error_text *error)
{
    int n_wrong = 0;
    for (size_t i = 0; i < N_ELEMENTS(checks); i++) {
        MYSQL_RES *result AUTO_RESULT = NULL;
        int r = check_one(connection, &checks[i], &result, error);
        if (r < 0)
            return r;
        MYSQL_ROW row = mysql_fetch_row(result);
        if (!row || !row[1] || row[1][0] != '0' || row[1][1])
            continue;
        n_wrong += checks[i].setting.required;
        handler(user, &checks[i].setting, row[0] ? row[0] : "NULL");
    }
    return n_wrong;
}
