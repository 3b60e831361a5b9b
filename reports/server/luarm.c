/* The comment of a database says that it is ours, and of which host of which evidence; no other
 * database is ever changed. The comment is there from the first statement on, so that what was
 * interrupted is begun again by the next run. Grants do not go with a database: they are taken away
 * before it is dropped, or whoever makes another one of that name would give it to readers. */
#include "reports/server/luarm.h"
#include "reports/server/luarm_files.h"

#include "core/buffer.h"
#include "core/cleanup.h"

#include <ctype.h>
#include <inttypes.h>
#include <mysqld_error.h>
#include <string.h>

#define PREFIX  "luarm_"
#define COMMENT "Vestige: LUARM tables of host_id "

struct luarm {
    MYSQL *connection;
    const struct luarm_host *host;
    struct error_text *error;
    char name[LUARM_NAME_SIZE];
    char doing[200];
};

void luarm_database_name(const char *host, char name[LUARM_NAME_SIZE])
{
    size_t n = sizeof(PREFIX) - 1;
    strcpy(name, PREFIX);
    for (; *host && n < LUARM_NAME_SIZE - 1; host++) {
        unsigned char c = (unsigned char)*host;
        name[n++] = c < 128 && isalnum(c) ? (char)c : '_';
    }
    name[n] = '\0';
}

static struct luarm luarm_of(MYSQL *connection, const struct luarm_host *host, const char *verb,
                             struct error_text *error)
{
    struct luarm luarm = {.connection = connection, .host = host, .error = error};
    luarm_database_name(host->name, luarm.name);
    snprintf(luarm.doing, sizeof(luarm.doing), "%s the database %s", verb, luarm.name);
    return luarm;
}

/** The first value of the first row; NULL: there is none. The caller frees. */
static int ask(const struct luarm *luarm, char **valuep, const char *sql)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int r = database_query(luarm->connection, &result, luarm->error, luarm->doing, "%s", sql);
    if (r < 0)
        return r;
    MYSQL_ROW row = mysql_fetch_row(result);
    *valuep = row && row[0] ? strdup(row[0]) : NULL;
    return row && row[0] && !*valuep
               ? error_set(luarm->error, -ENOMEM, "cannot %s: out of memory", luarm->doing)
               : 0;
}

enum { LUARM_OURS = 0, LUARM_ABSENT = 1 };

static int refuse(const struct luarm *luarm)
{
    char sql[400];
    AUTO_FREE char *other = NULL;
    snprintf(sql, sizeof(sql),
             "SELECT e.name FROM enrolment e JOIN information_schema.schemata s"
             " ON s.schema_comment = CONCAT('" COMMENT "', e.host_id, ' in ', DATABASE())"
             " WHERE s.schema_name = '%s'",
             luarm->name);
    int r = ask(luarm, &other, sql);
    if (r < 0)
        return r;
    if (other)
        return error_set(luarm->error, -EEXIST,
                         "database %s is that of host %.120s already: only one of the two can have"
                         " it; `vestige server luarm %.120s --remove` takes it away",
                         luarm->name, other, other);
    return error_set(luarm->error, -EEXIST,
                     "database %s is there and was not made by this command; it was left alone",
                     luarm->name);
}

/** Whose the database is: LUARM_OURS, LUARM_ABSENT, or -EEXIST with the text. */
static int look(const struct luarm *luarm)
{
    char sql[400];
    AUTO_FREE char *is_ours = NULL;
    snprintf(sql, sizeof(sql),
             "SELECT schema_comment = CONCAT('" COMMENT "', %" PRIu64 ", ' in ', DATABASE())"
             " FROM information_schema.schemata WHERE schema_name = '%s'",
             luarm->host->host_id, luarm->name);
    int r = ask(luarm, &is_ours, sql);
    if (r < 0)
        return r;
    if (!is_ours)
        return LUARM_ABSENT;
    return strcmp(is_ours, "1") == 0 ? LUARM_OURS : refuse(luarm);
}

static int create_database(const struct luarm *luarm)
{
    return database_run(luarm->connection, luarm->error, luarm->doing,
                        "EXECUTE IMMEDIATE CONCAT('CREATE DATABASE `%s` CHARACTER SET utf8mb4"
                        " COLLATE utf8mb4_nopad_bin COMMENT ', QUOTE(CONCAT('" COMMENT "', %" PRIu64
                        ", ' in ', DATABASE())))",
                        luarm->name, luarm->host->host_id);
}

static void append_identifier(struct buffer *to, const char *name)
{
    buffer_append_byte(to, '`');
    for (; *name; name++) {
        if (*name == '`')
            buffer_append_byte(to, '`');
        buffer_append_byte(to, *name);
    }
    buffer_append_byte(to, '`');
}

/** The file, with what stands between two @ replaced. */
static void append_script(struct buffer *to, const struct luarm *luarm)
{
    static const char evidence[] = "@evidence@", host_id[] = "@host_id@";
    for (const char *c = luarm_files[0].text; *c;) {
        if (!strncmp(c, evidence, sizeof(evidence) - 1)) {
            append_identifier(to, database_name(luarm->connection));
            c += sizeof(evidence) - 1;
        } else if (!strncmp(c, host_id, sizeof(host_id) - 1)) {
            buffer_append_u64(to, luarm->host->host_id);
            c += sizeof(host_id) - 1;
        } else {
            buffer_append_byte(to, *c++);
        }
    }
    buffer_append_byte(to, '\0');
}

static int run_script(const struct luarm *luarm)
{
    struct buffer script CLEANUP(buffer_deinit) = BUFFER_NULL;
    MYSQL *connection = luarm->connection;
    append_script(&script, luarm);
    if (script.failed)
        return error_set(luarm->error, -ENOMEM, "cannot %s: out of memory", luarm->doing);
    if (mysql_set_server_option(connection, MYSQL_OPTION_MULTI_STATEMENTS_ON))
        return database_error(connection, luarm->error, luarm->doing);
    int r = database_run(connection, luarm->error, luarm->doing, "%s", (const char *)script.data);
    if (mysql_set_server_option(connection, MYSQL_OPTION_MULTI_STATEMENTS_OFF) && r == 0)
        r = database_error(connection, luarm->error, luarm->doing);
    return r;
}

static int make_views(const struct luarm *luarm)
{
    MYSQL *connection = luarm->connection;
    if (mysql_select_db(connection, luarm->name))
        return database_error(connection, luarm->error, luarm->doing);
    int r = run_script(luarm);
    if (mysql_select_db(connection, database_name(connection)) && r == 0)
        r = database_error(connection, luarm->error, luarm->doing);
    return r;
}

int luarm_make(MYSQL *connection, const struct luarm_host *host, struct error_text *error)
{
    struct luarm luarm = luarm_of(connection, host, "make", error);
    int r = look(&luarm);
    if (r == LUARM_ABSENT)
        r = create_database(&luarm);
    return r == 0 ? make_views(&luarm) : r;
}

/** Somebody may have put tables of their own into it. */
static int check_contents(const struct luarm *luarm)
{
    char sql[800];
    AUTO_FREE char *foreign = NULL;
    snprintf(
        sql, sizeof(sql),
        "SELECT MIN(name) FROM (SELECT table_name AS name FROM information_schema.tables"
        " WHERE table_schema = '%s' AND NOT (table_type = 'VIEW' AND table_name IN ('fileinfo',"
        " 'groupinfo', 'hostinfo', 'hwinfo', 'netinfo', 'netint', 'netroute', 'psinfo'))"
        " UNION SELECT routine_name FROM information_schema.routines"
        " WHERE routine_schema = '%s' AND routine_name NOT LIKE 'as\\_%%') AS foreign_names",
        luarm->name, luarm->name);
    int r = ask(luarm, &foreign, sql);
    if (r == 0 && foreign)
        return error_set(luarm->error, -EEXIST,
                         "database %s also holds %.64s, which this command did not make; take it"
                         " out first",
                         luarm->name, foreign);
    return r;
}

/** Run each statement that @p sql gives; what is not there needs no taking away. */
static int run_each(const struct luarm *luarm, const char *sql)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int r = database_query(luarm->connection, &result, luarm->error, luarm->doing, "%s", sql);
    for (MYSQL_ROW row; r == 0 && (row = mysql_fetch_row(result));)
        r = database_run(luarm->connection, luarm->error, luarm->doing, "%s", row[0]);
    return r;
}

/** Dropping a function takes its grants along; those on a view stay. */
static int take_grants(const struct luarm *luarm)
{
    char sql[500];
    snprintf(sql, sizeof(sql),
             "SELECT DISTINCT CONCAT('REVOKE ALL ON `%s`.', table_name, ' FROM ',"
             " REPLACE(grantee, '@\\'\\'', ''))"
             " FROM information_schema.table_privileges WHERE table_schema = '%s'"
             " AND table_name REGEXP '^[a-z]+$'",
             luarm->name, luarm->name);
    int r = run_each(luarm, sql);
    snprintf(sql, sizeof(sql),
             "SELECT CONCAT('DROP ', routine_type, ' `%s`.`', REPLACE(routine_name, '`', '``'),"
             " '`') FROM information_schema.routines"
             " WHERE routine_schema = '%s'",
             luarm->name, luarm->name);
    return r == 0 ? run_each(luarm, sql) : r;
}

int luarm_remove(MYSQL *connection, const struct luarm_host *host, struct error_text *error)
{
    struct luarm luarm = luarm_of(connection, host, "remove", error);
    int r = look(&luarm);
    if (r == LUARM_ABSENT)
        return error_set(error, -ENOENT, "host %.120s has no database %s", host->name, luarm.name);
    if (r == 0)
        r = check_contents(&luarm);
    if (r == 0)
        r = take_grants(&luarm);
    return r == 0 ? database_run(connection, error, luarm.doing, "DROP DATABASE `%s`", luarm.name)
                  : r;
}

int luarm_list(MYSQL *connection, MYSQL_RES **resultp, struct error_text *error)
{
    return database_query(connection, resultp, error, "list the databases of LUARM's tables",
                          "SELECT e.host_id, e.name AS host, s.schema_name AS luarm_database"
                          " FROM enrolment e JOIN information_schema.schemata s"
                          " ON s.schema_comment = CONCAT('" COMMENT
                          "', e.host_id, ' in ', DATABASE()) ORDER BY e.host_id");
}

int luarm_renew(MYSQL *connection, unsigned *n, struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int r = luarm_list(connection, &result, error);
    *n = 0;
    for (MYSQL_ROW row; r == 0 && (row = mysql_fetch_row(result)); ++*n) {
        struct luarm_host host = {.host_id = strtoull(row[0], NULL, 10)};
        snprintf(host.name, sizeof(host.name), "%s", row[1]);
        r = luarm_make(connection, &host, error);
    }
    return r;
}
