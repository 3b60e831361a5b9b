/* `vestige server retention`: shows and sets how long evidence is kept, shows what would go, and
 * runs the job. The work is the server's (server-schema/0031_retention.sql); this only calls it, so
 * that what the event does each night, what a timer does and what a person asks for is the same. */
#include "reports/server/server_retention.h"
#include "reports/command.h"
#include "reports/options/nearest.h"
#include "reports/output/progress.h"
#include "reports/server/administrator.h"
#include "reports/server/server_show.h"

#include "core/cleanup.h"
#include "core/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))
#define DAYS_MOST         36500
#define ALL_TABLES        "*"
#define HOUR_NONE         UINT64_MAX
#define TABLES_MOST       100

struct retention {
    struct options options;
    const char *keep, *table;
    uint64_t hour; /* HOUR_NONE: not given */
    bool dry_run, now, due;
    MYSQL *mysql;
    struct error_text *error;
};

/* "90d", "12w", "2y", "90 days", "90"; forever gives STATEMENT_NULL. */
static int read_days(struct retention *retention, struct statement_value *days)
{
    static const struct {
        const char *unit;
        uint64_t days;
    } units[] = {
        {"",      1  },
        {"d",     1  },
        {"day",   1  },
        {"days",  1  },
        {"w",     7  },
        {"week",  7  },
        {"weeks", 7  },
        {"y",     365},
        {"year",  365},
        {"years", 365},
    };
    const char *word = retention->keep;
    char *unit = NULL;
    *days = (struct statement_value){.name = "days", .kind = STATEMENT_NULL};
    if (!strcmp(word, "forever"))
        return 0;
    uint64_t n = *word >= '0' && *word <= '9' && strlen(word) < 12 ? strtoull(word, &unit, 10) : 0;
    while (unit && *unit == ' ')
        unit++;
    for (size_t i = 0; unit && n > 0 && n <= DAYS_MOST && i < N_ELEMENTS(units); i++)
        if (!strcmp(unit, units[i].unit) && n * units[i].days <= DAYS_MOST) {
            days->kind = STATEMENT_NUMBER;
            days->number = n * units[i].days;
            return 0;
        }
    return error_set(retention->error, -EINVAL,
                     "\"%.40s\" is no time to keep: write days, weeks or years as 90d, 12w, 2y (at "
                     "most %d days), or forever",
                     word, DAYS_MOST);
}

/* The server's own procedure refuses a table that is none, but knows no near ones. */
static int check_table(struct retention *retention)
{
    static const char *const others[] = {"host", "boot", "coverage", "gap"};
    const char *names[TABLES_MOST];
    size_t n = 0;
    MYSQL_RES *result AUTO_RESULT = NULL;
    struct buffer hint = {.limit = 256};
    if (!retention->table)
        return 0;
    int outcome = database_query(retention->mysql, &result, retention->error, "look at the tables",
                                 "SELECT table_name FROM information_schema.partitions"
                                 " WHERE table_schema = DATABASE() AND partition_name = 'p_later'");
    if (outcome)
        return outcome;
    for (; n < N_ELEMENTS(others); n++)
        names[n] = others[n];
    for (MYSQL_ROW row; n < TABLES_MOST && (row = mysql_fetch_row(result));)
        names[n++] = row[0];
    for (size_t i = 0; i < n; i++)
        if (!strcmp(retention->table, names[i]))
            return 0;
    nearest_append(&hint, retention->table, names, n);
    error_set(retention->error, 0, "--table %.60s: there is no such table of evidence%.*s",
              retention->table, (int)hint.length, hint.data ? (const char *)hint.data : "");
    buffer_deinit(&hint);
    return -ENOENT;
}

static struct statement_value table_value(const struct retention *retention)
{
    return (struct statement_value){
        .name = "table",
        .kind = STATEMENT_TEXT,
        .text = slice_text(retention->table ? retention->table : ALL_TABLES)};
}

/* The first column of the first row; empty when it is NULL or there is none. */
static int ask_text(struct retention *retention, const char *sql, char text[400])
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int outcome =
        database_query(retention->mysql, &result, retention->error, "ask the server", "%s", sql);
    MYSQL_ROW row = outcome ? NULL : mysql_fetch_row(result);
    snprintf(text, 400, "%s", row && row[0] ? row[0] : "");
    return outcome;
}

/* --- the policy --- */

static int set_policy(struct retention *retention)
{
    struct statement_value values[2] = {table_value(retention)};
    char hour[400];
    int outcome = read_days(retention, &values[1]);
    if (!outcome)
        outcome = statement_do(retention->mysql, "CALL vestige_retention_keep(:table, :days)",
                               values, 2, "set how long rows are kept", retention->error);
    if (!outcome)
        outcome = ask_text(retention, "SELECT LPAD(run_hour, 2, '0') FROM retention_step", hour);
    if (outcome)
        return outcome;
    FILE *to = output_remarks(retention->options.format);
    const char *what =
        retention->table ? retention->table : "all tables without a rule of their own";
    if (values[1].kind == STATEMENT_NULL)
        fprintf(to, "Rows are kept for ever: %s\n", what);
    else
        fprintf(to,
                "Rows are kept for %" PRIu64 " days: %s. From %s:00 UTC on, each day, what is older"
                " is dropped, unless it is open, ended later, is held, came late, or is needed to"
                " read what stays. vestige server retention --dry-run shows what goes\n",
                values[1].number, what, hour);
    return 0;
}

static int set_hour(struct retention *retention)
{
    struct statement_value hour = {
        .name = "hour", .kind = STATEMENT_NUMBER, .number = retention->hour};
    return statement_do(retention->mysql, "CALL vestige_retention_hour(:hour)", &hour, 1,
                        "set the hour", retention->error);
}

/* Both are the server's views of its own state, so they agree with what the event does. */
static int tell_runs(struct retention *retention)
{
    static const struct {
        const char *what, *sql, *otherwise;
    } lines[] = {
        {"Last run",
         "SELECT CONCAT(started_at, ', ', result, ': ', message) FROM maintenance_run"
         " WHERE name = 'retention' ORDER BY id DESC LIMIT 1",                                    "none yet"                        },
        {"Next run",
         "SELECT CASE WHEN run_id IS NOT NULL THEN CONCAT_WS(' ', 'at work:', step, table_name, "
         "partition_name)"
         " WHEN NOT EXISTS (SELECT 1 FROM retention WHERE keep_days IS NOT NULL) THEN NULL"
         " WHEN UTC_TIMESTAMP() < UTC_DATE() + INTERVAL run_hour HOUR THEN UTC_DATE() + INTERVAL "
         "run_hour HOUR"
         " WHEN EXISTS (SELECT 1 FROM maintenance_run WHERE name = 'retention' AND result = "
         "'success'"
         " AND started_at >= UTC_DATE() + INTERVAL run_hour HOUR)"
         " THEN UTC_DATE() + INTERVAL 24 + run_hour HOUR ELSE 'due now' END FROM retention_step", "none, because nothing is dropped"},
        {"Dropped so far",
         "SELECT CONCAT(SUM(n_dropped), ' rows of ', MIN(day), ' to ', MAX(day)) FROM retention_log"
         " WHERE table_name NOT IN ('batch', 'maintenance_run', 'schedule_run', 'notification') "
         "HAVING SUM(n_dropped) > 0",                                                             "nothing"                         },
        {"Holds",
         "SELECT CONCAT(COUNT(*), ' in force; see vestige server hold list') FROM hold"
         " WHERE released_at IS NULL HAVING COUNT(*) > 0",                                        "none"                            },
    };
    char text[400];
    for (size_t i = 0; i < N_ELEMENTS(lines); i++) {
        int outcome = ask_text(retention, lines[i].sql, text);
        if (outcome)
            return outcome;
        fprintf(output_remarks(retention->options.format), "%s: %s\n", lines[i].what,
                *text ? text : lines[i].otherwise);
    }
    return 0;
}

static int warn_of_scheduler(struct retention *retention)
{
    char is_on[400];
    int outcome = ask_text(retention, "SELECT @@GLOBAL.event_scheduler", is_on);
    if (!outcome && strcmp(is_on, "ON") != 0)
        log_warning("server", "the server's event scheduler is off, so nothing runs by itself: "
                              "set event_scheduler = ON, or use the timer vestige-retention");
    return outcome;
}

static int show_policy(struct retention *retention)
{
    static const char sql[] = "SELECT table_name AS `table`, COALESCE(keep_days, 'for ever') AS "
                              "days, changed_at, changed_by"
                              " FROM retention ORDER BY table_name";
    const struct server_question question = {.mysql = retention->mysql,
                                             .options = &retention->options,
                                             .sql = sql,
                                             .doing = "read the policy"};
    uint64_t n_rows = 0;
    int outcome = server_show(&question, &n_rows, retention->error);
    if (!outcome && !n_rows)
        fprintf(output_remarks(retention->options.format),
                "Everything is kept for ever; vestige server retention --keep 90d changes that\n");
    if (!outcome)
        outcome = tell_runs(retention);
    if (!outcome)
        outcome = warn_of_scheduler(retention);
    return outcome ? outcome : STATUS_ROWS;
}

/* --- what would go, and what goes --- */

static int ask_plan(struct retention *retention)
{
    struct statement_value values[2] = {table_value(retention)};
    int outcome = retention->keep ? read_days(retention, &values[1]) : 0;
    if (outcome)
        return outcome;
    struct progress *progress = progress_begin("looking at the rows");
    outcome = retention->keep
                  ? statement_do(retention->mysql, "CALL vestige_retention_try(:table, :days)",
                                 values, 2, "look at what would go", retention->error)
                  : statement_do(retention->mysql, "CALL vestige_retention_at(UTC_DATE(), 1)", NULL,
                                 0, "look at what would go", retention->error);
    progress_end(progress);
    return outcome;
}

static int dry_run(struct retention *retention)
{
    static const char sql[] =
        "SELECT p.table_name AS `table`, p.day, COALESCE(e.name, p.host_id) AS host, p.n_rows AS "
        "`rows`,"
        " p.n_dropped AS dropped, p.n_open AS `open`, p.n_ended AS ended_later, p.n_held AS held,"
        " p.n_late AS late, p.n_referred AS needed, p.n_bytes AS bytes"
        " FROM vestige_retention_plan p LEFT JOIN enrolment e ON e.host_id = p.host_id"
        " ORDER BY p.table_name, p.day, p.host_id";
    static const char total[] =
        "SELECT CONCAT(COALESCE(SUM(n_dropped), 0), ' rows would go, about ',"
        " ROUND(COALESCE(SUM(n_bytes), 0) / 1048576, 1), ' MiB; ',"
        " COALESCE(SUM(n_rows - n_dropped), 0), ' old rows stay. Nothing was"
        " changed') FROM vestige_retention_plan";
    const struct server_question question = {.mysql = retention->mysql,
                                             .options = &retention->options,
                                             .sql = sql,
                                             .doing = "read what would go",
                                             .least_columns = 5};
    uint64_t n_rows = 0;
    char text[400] = "";
    int outcome = ask_plan(retention);
    if (!outcome)
        outcome = server_show(&question, &n_rows, retention->error);
    if (!outcome)
        outcome = ask_text(retention, total, text);
    if (outcome)
        return outcome;
    fprintf(output_remarks(retention->options.format), "%s\n", text);
    return n_rows ? STATUS_ROWS : STATUS_NO_ROWS;
}

static int run_now(struct retention *retention)
{
    char policy[400], message[400];
    int outcome = ask_text(retention,
                           "SELECT GROUP_CONCAT(IF(table_name = '*', 'other tables', table_name),"
                           " ' before ', UTC_DATE() - INTERVAL keep_days DAY SEPARATOR ', ')"
                           " FROM retention WHERE keep_days IS NOT NULL",
                           policy);
    if (outcome)
        return outcome;
    if (!*policy)
        return error_set(retention->error, -EINVAL,
                         "nothing is to be dropped; set first how long to keep: --keep 90d");
    fprintf(output_remarks(retention->options.format), "Dropping rows of %s\n", policy);
    fflush(output_remarks(retention->options.format));
    struct progress *progress = progress_begin("rewriting old days");
    outcome = statement_do(retention->mysql, "CALL vestige_retention_at(UTC_DATE(), 0)", NULL, 0,
                           "run the retention", retention->error);
    progress_end(progress);
    if (!outcome)
        outcome = ask_text(retention,
                           "SELECT message FROM maintenance_run WHERE name = 'retention'"
                           " ORDER BY id DESC LIMIT 1",
                           message);
    if (outcome)
        return outcome;
    fprintf(output_remarks(retention->options.format), "%s\n", message);
    return STATUS_ROWS;
}

/* --- the command --- */

static int check_options(struct retention *retention)
{
    if (retention->table && !retention->keep)
        return error_set(retention->error, -EINVAL,
                         "--table says whose rows; write how long they are kept, too: --keep 90d");
    if (retention->dry_run && retention->now)
        return error_set(retention->error, -EINVAL,
                         "--dry-run changes nothing and --now drops rows; write one of them");
    if (retention->due && (retention->dry_run || retention->now || retention->keep))
        return error_set(retention->error, -EINVAL, "--due stands alone; it is for a timer");
    if (retention->dry_run && retention->hour != HOUR_NONE)
        return error_set(retention->error, -EINVAL,
                         "--dry-run changes nothing, not the hour either");
    return 0;
}

static int run(struct retention *retention)
{
    int outcome = check_options(retention);
    if (!outcome)
        outcome = administrator_connect(&retention->mysql, &retention->options, retention->error);
    if (!outcome)
        outcome = check_table(retention);
    if (!outcome && retention->dry_run)
        return dry_run(retention);
    bool changes =
        retention->keep || retention->hour != HOUR_NONE || retention->now || retention->due;
    if (!outcome && changes)
        outcome = database_run(retention->mysql, retention->error, "make partitions ahead",
                               "CALL vestige_make_partitions()");
    if (!outcome && retention->hour != HOUR_NONE)
        outcome = set_hour(retention);
    if (!outcome && retention->keep)
        outcome = set_policy(retention);
    if (!outcome && retention->now)
        return run_now(retention);
    if (!outcome && retention->due)
        return database_run(retention->mysql, retention->error, "run the retention",
                            "CALL vestige_retention_due()");
    if (outcome || changes)
        return outcome;
    return show_policy(retention);
}

int server_retention_command(int argc, char **argv)
{
    struct error_text error = ERROR_TEXT_NULL;
    struct retention retention = {.error = &error, .hour = HOUR_NONE};
    const struct option_own own[] = {
        {"keep",    OPTION_TEXT,   &retention.keep,    "DURATION",
         "keep rows so long: 90d, 12w, 2y, forever",                                0, 0 },
        {"table",   OPTION_TEXT,   &retention.table,   "TABLE",
         "with --keep: only this table (default: all without a rule of their own)", 0, 0 },
        {"hour",    OPTION_NUMBER, &retention.hour,    "HOUR",
         "run each day from this hour on, UTC (at first 3)",                        0, 23},
        {"dry-run", OPTION_FLAG,   &retention.dry_run, NULL,
         "show what would go, and change nothing; with --keep: by that",            0, 0 },
        {"now",     OPTION_FLAG,   &retention.now,     NULL,
         "drop now what may go, instead of waiting for the hour",                   0, 0 },
        {"due",     OPTION_FLAG,   &retention.due,     NULL,
         "as the server's event: run only if it is time (for a timer)",             0, 0 },
    };
    const struct command_line line = {
        .words = "server retention",
        .summary =
            "How long evidence is kept: the rule, the last run and the next. Nothing is dropped\n"
            "before --keep says so. Old rows that are open, ended later, held, late, or needed to\n"
            "read what stays, stay. What was dropped is in the table retention_log and can no\n"
            "longer be proved. Whoever has the role vestige_admin can change the rule; each "
            "change\n"
            "is a row of retention_change. Also makes the partitions of the next days.\n"
            "Exit status: 0 done, or rows; 1 no rows; 2 error.",
        .groups = OPTIONS_STATE | OPTIONS_DATABASE | OPTIONS_OUTPUT,
        .own = own,
        .n_own = N_ELEMENTS(own),
    };
    int outcome = options_parse(&retention.options, &line, argc, argv, &error);
    if (outcome == OPTIONS_HELP_SHOWN)
        return STATUS_ROWS;
    if (!outcome)
        outcome = run(&retention);
    database_close(retention.mysql);
    return command_end("server", outcome, &error);
}
