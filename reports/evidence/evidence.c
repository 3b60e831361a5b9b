/* Names are looked up where they are recorded: hosts in `enrolment`, login users in `process`. A
 * name that is not there is an error with the nearest ones, never an empty answer. */
#include "reports/evidence/evidence.h"
#include "core/cleanup.h"
#include "core/log.h"
#include "reports/options/nearest.h"
#include "reports/private_server/private_directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MOST  2000
#define HOSTS_SHOWN 20

struct evidence_window evidence_window_of(const struct options *options)
{
    return (struct evidence_window){.has_since = options->has_since,
                                    .has_until = options->has_until,
                                    .since_us = options->since_us,
                                    .until_us = options->until_us};
}

int evidence_connect_standalone(MYSQL **mysqlp, const struct database_options *database,
                                const char *state, struct error_text *error)
{
    int outcome = database_connect(mysqlp, database, error);
    if (outcome == -ECONNREFUSED)
        error_set(error, 0,
                  "the standalone instance in %.200s does not run; serve its data with vestige "
                  "standalone --state %.200s --no-agent",
                  state, state);
    return outcome;
}

static int connect_standalone(MYSQL **mysqlp, const struct options *options,
                              struct error_text *error)
{
    char file[4096];
    const char *state = options->state_directory;
    snprintf(file, sizeof(file), "%s/client.cnf", state);
    if (options->defaults_file || options->defaults_extra_file || options->no_defaults ||
        options->host || options->socket || options->port)
        return error_set(error, -EINVAL,
                         "--state says where the database is; leave out --defaults-file, --host, "
                         "--port and --socket");
    if (!private_directory_is_instance(state))
        return error_set(error, -ENOENT,
                         "%.200s holds no standalone instance that can be read here; record one "
                         "with vestige standalone --state DIR, or ask as the user who did",
                         state);
    struct database_options database = {.defaults_file = file, .user = options->user};
    return evidence_connect_standalone(mysqlp, &database, state, error);
}

static bool says_where(const struct options *options)
{
    return options->defaults_file || options->defaults_extra_file ||
           options->defaults_group_suffix || options->host || options->socket || options->port;
}

int evidence_connect(MYSQL **mysqlp, const struct options *options, struct error_text *error)
{
    if (options->state_directory)
        return connect_standalone(mysqlp, options, error);
    struct database_options database = database_options_of(options);
    struct error_text reason = ERROR_TEXT_NULL;
    int outcome = database_connect(mysqlp, &database, &reason);
    bool hint =
        outcome && !says_where(options) && private_directory_is_instance(PRIVATE_DIRECTORY_DEFAULT);
    if (outcome)
        error_set(error, 0, "%.380s%s", reason.text,
                  hint ? "; to ask the standalone instance of this host add "
                         "--state " PRIVATE_DIRECTORY_DEFAULT
                       : "");
    return outcome;
}

static bool parse_id(const char *word, uint64_t *id)
{
    char *end;
    errno = 0;
    if (*word < '0' || *word > '9')
        return false;
    *id = strtoull(word, &end, 10);
    return !*end && !errno;
}

/* "there is no <kind> "word"; did you mean ...": the names are the first column of @p sql. */
static int refuse_name(MYSQL *mysql, const char *kind, const char *word, const char *sql,
                       struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    const char *names[NAMES_MOST];
    size_t n = 0;
    struct buffer hint = {.limit = 256};
    int outcome = database_query(mysql, &result, error, "look up names", "%s", sql);
    if (outcome)
        return outcome;
    for (MYSQL_ROW row; n < NAMES_MOST && (row = mysql_fetch_row(result));)
        if (row[0])
            names[n++] = row[0];
    nearest_append(&hint, word, names, n);
    error_set(error, 0, "there is no %s \"%.80s\" in the evidence%.*s", kind, word,
              (int)hint.length, hint.data ? (const char *)hint.data : "");
    buffer_deinit(&hint);
    return -ENOENT;
}

/* The number in the first column of the first row; -ENOENT: no row. */
static int look_up(MYSQL *mysql, const char *sql, const char *word, uint64_t *number,
                   struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    AUTO_FREE char *quoted = database_quote(mysql, word);
    if (!quoted)
        return error_set(error, -ENOMEM, "out of memory");
    int outcome =
        database_query(mysql, &result, error, "look up a name", "%s%s LIMIT 1", sql, quoted);
    if (outcome)
        return outcome;
    MYSQL_ROW row = mysql_fetch_row(result);
    if (!row || !row[0])
        return -ENOENT;
    *number = strtoull(row[0], NULL, 10);
    return 0;
}

int evidence_find_host(MYSQL *mysql, const char *word, uint64_t *host_id, struct error_text *error)
{
    int outcome =
        look_up(mysql, "SELECT host_id FROM enrolment WHERE name = ", word, host_id, error);
    if (outcome == -ENOENT && parse_id(word, host_id))
        outcome =
            look_up(mysql, "SELECT host_id FROM enrolment WHERE host_id = ", word, host_id, error);
    if (outcome == -ENOENT)
        return refuse_name(mysql, "host", word, "SELECT name FROM enrolment ORDER BY name", error);
    return outcome;
}

static int find_hosts(MYSQL *mysql, const char *where, MYSQL_RES **resultp,
                      struct error_text *error)
{
    return database_query(mysql, resultp, error, "find the host",
                          "SELECT e.host_id, e.name FROM enrolment e %s ORDER BY e.name", where);
}

int evidence_hosts(MYSQL *mysql, uint64_t process_row, MYSQL_RES **resultp,
                   struct error_text *error)
{
    char where[200];
    int outcome = find_hosts(mysql, "", resultp, error);
    if (outcome || !process_row || mysql_num_rows(*resultp) < 2)
        return outcome;
    mysql_free_result(*resultp);
    *resultp = NULL;
    snprintf(where, sizeof(where),
             "WHERE EXISTS (SELECT 1 FROM process p WHERE p.host_id = e.host_id"
             " AND p.id = %llu AND p.day = DATE('1970-01-01' + INTERVAL %llu SECOND))",
             (unsigned long long)process_row, (unsigned long long)process_row / 1000000);
    return find_hosts(mysql, where, resultp, error);
}

static int refuse_many_hosts(MYSQL_RES *hosts, struct error_text *error)
{
    struct buffer names = {.limit = 300};
    unsigned long long n = mysql_num_rows(hosts);
    size_t shown = 0;
    for (MYSQL_ROW row; shown < HOSTS_SHOWN && (row = mysql_fetch_row(hosts)); shown++)
        buffer_printf(&names, "%s%s", shown ? ", " : "", row[1]);
    error_set(error, 0, "the evidence is of %llu hosts; say which with --on: %.*s%s", n,
              (int)names.length, (const char *)names.data, shown < n ? " ..." : "");
    buffer_deinit(&names);
    return -EINVAL;
}

int evidence_one_host(MYSQL_RES *hosts, uint64_t process_row, uint64_t *host_id,
                      struct error_text *error)
{
    if (mysql_num_rows(hosts) > 1)
        return refuse_many_hosts(hosts, error);
    MYSQL_ROW row = mysql_fetch_row(hosts);
    if (!row && process_row)
        return error_set(error, -ENOENT, "there is no process row %llu on any host",
                         (unsigned long long)process_row);
    if (!row)
        return error_set(error, -ENOENT, "the evidence is of no host: none is enrolled");
    *host_id = strtoull(row[0], NULL, 10);
    mysql_data_seek(hosts, 0);
    return 0;
}

/* Names that login users have: those of accounts, and one of each login uid that did something,
 * which the index on login_uid gives without reading the rows between. */
#define LOGIN_NAMES                                                                                \
    "SELECT uid, username AS name FROM account WHERE uid IS NOT NULL"                              \
    " UNION SELECT u.login_uid, (SELECT p.login_username FROM process p"                           \
    " WHERE p.login_uid = u.login_uid AND p.login_username IS NOT NULL LIMIT 1)"                   \
    " FROM (SELECT DISTINCT login_uid FROM process WHERE login_uid IS NOT NULL) u"

/* Who else, on the hosts asked about, has the number that is meant by a name: those rows answer
 * too. */
static int warn_of_others(MYSQL *mysql, const char *quoted, const char *on_host, uint64_t login_uid,
                          struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int outcome = database_query(
        mysql, &result, error, "look up a number",
        "SELECT DISTINCT a.username, h.name FROM account a JOIN enrolment h ON h.host_id ="
        " a.host_id WHERE a.uid = %llu AND a.username <> %s%s ORDER BY h.name, a.username LIMIT 1",
        (unsigned long long)login_uid, quoted, on_host);
    MYSQL_ROW row = outcome ? NULL : mysql_fetch_row(result);
    if (row && row[0] && row[1])
        log_warning("login-user",
                    "number %llu is %.80s on %.80s: what that user did is there, too;"
                    " leave it out by --on",
                    (unsigned long long)login_uid, row[0], row[1]);
    return outcome;
}

/* The number that accounts of this name have; -ENOENT: there is none. One question has one number.
 */
static int find_account(MYSQL *mysql, const char *word, const uint64_t *host_id,
                        uint64_t *login_uid, struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    AUTO_FREE char *quoted = database_quote(mysql, word);
    char on_host[64] = "";
    if (!quoted)
        return error_set(error, -ENOMEM, "out of memory");
    if (host_id)
        snprintf(on_host, sizeof(on_host), " AND a.host_id = %llu", (unsigned long long)*host_id);
    int outcome = database_query(
        mysql, &result, error, "look up a name",
        "SELECT a.uid, MIN(h.name) FROM account a JOIN enrolment h ON h.host_id = a.host_id"
        " WHERE a.username = %s AND a.uid IS NOT NULL%s GROUP BY a.uid ORDER BY a.uid LIMIT 2",
        quoted, on_host);
    if (outcome)
        return outcome;
    MYSQL_ROW first = mysql_fetch_row(result), second = first ? mysql_fetch_row(result) : NULL;
    if (!first)
        return -ENOENT;
    if (second)
        return error_set(
            error, -EINVAL,
            "login user \"%.80s\" has number %s on %.80s and %s on %.80s; %sgive the number", word,
            first[0], first[1], second[0], second[1], host_id ? "" : "add --on HOST, or ");
    *login_uid = strtoull(first[0], NULL, 10);
    return warn_of_others(mysql, quoted, on_host, *login_uid, error);
}

int evidence_find_login_user(MYSQL *mysql, const char *word, const uint64_t *host_id,
                             uint64_t *login_uid, bool *is_set, struct error_text *error)
{
    *is_set = strcmp(word, "unset") != 0;
    if (!*is_set || parse_id(word, login_uid))
        return 0;
    int outcome = find_account(mysql, word, host_id, login_uid, error);
    if (outcome == -ENOENT)
        outcome = look_up(mysql, "SELECT uid FROM (" LOGIN_NAMES ") names WHERE name = ", word,
                          login_uid, error);
    if (outcome == -ENOENT)
        return refuse_name(mysql, "login user", word,
                           "SELECT DISTINCT name FROM (" LOGIN_NAMES ") names"
                           " WHERE name IS NOT NULL LIMIT 2000",
                           error);
    return outcome;
}
