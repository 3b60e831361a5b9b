/* `vestige schedule`: the administrator's side of scheduled questions. All changes are made by the
 * server's procedures (server-schema/0022_schedule_procedures.sql), which only who has the role
 * vestige_admin may execute; a run is the same procedure, whether the event or `run` asks for it.
 */
#include "reports/schedule/schedule_command_private.h"

#include "core/array.h"
#include "core/cleanup.h"
#include "core/log.h"
#include "reports/command.h"
#include "reports/database/statement.h"
#include "reports/evidence/answer.h"
#include "reports/evidence/evidence.h"
#include "reports/question/question.h"
#include "reports/question/question_files.h"
#include "reports/server/administrator.h"

#include <inttypes.h>

#define MINUTES_MOST (366 * 24 * 60)
#define HOURS_MOST   (10 * 366 * 24)
#define LIST_LEAST   4

int schedule_ask_number(struct schedule *schedule, const char *sql, int64_t *number)
{
    uint64_t found;
    int outcome = database_query_number(schedule->mysql, &found, schedule->error, "ask the server",
                                        "%s", sql);
    *number = (int64_t)found;
    return outcome;
}

int schedule_warn_of_scheduler(struct schedule *schedule)
{
    int64_t is_on = 0;
    int outcome = schedule_ask_number(schedule, "SELECT @@GLOBAL.event_scheduler = 'ON'", &is_on);
    if (!outcome && !is_on)
        log_warning("schedule",
                    "the server's event scheduler is off, so nothing runs by itself: SET GLOBAL "
                    "event_scheduler = ON, and event_scheduler = ON in the server's option file");
    return outcome;
}

/* --- list --- */

static int write_error(struct schedule *schedule, int outcome)
{
    return outcome ? error_set(schedule->error, outcome, "the rows cannot be written: %s",
                               strerror(-outcome))
                   : 0;
}

/* `least`: see answer_least_columns(). */
static int show(struct schedule *schedule, const char *sql, const struct statement_value *values,
                size_t n_values, size_t least, uint64_t *n_rows)
{
    struct statement *statement AUTO_STATEMENT = NULL;
    struct answer *answer AUTO_ANSWER = NULL;
    const struct slice *row;
    int outcome = statement_run(&statement, schedule->mysql, sql, values, n_values,
                                "read the schedules", schedule->error);
    if (outcome)
        return outcome;
    if (answer_new(&answer, &schedule->options, statement_fields(statement),
                   statement_n_columns(statement)))
        return error_set(schedule->error, -ENOMEM, "out of memory");
    answer_least_columns(answer, least);
    while ((outcome = statement_next(statement, &row, schedule->error)) == STATEMENT_ROW) {
        outcome = write_error(schedule, answer_row(answer, row));
        if (outcome)
            return outcome;
    }
    if (outcome)
        answer_is_partial(answer, "the server's rows ended");
    else
        outcome = write_error(schedule, answer_finish(answer));
    *n_rows = answer_n_rows(answer);
    return outcome;
}

/* The event comes every minute, and a run that is at work is not overdue. What the server concludes
 * by itself comes behind the schedules. */
static int list(struct schedule *schedule)
{
    static const char sql[] =
        "SELECT s.id, IF(s.every_minutes = 0, CONCAT(s.question, ': ', s.words), s.words) AS "
        "question,"
        " s.every_minutes, CASE WHEN s.every_minutes = 0 THEN 'server' WHEN r.result = 'running' "
        "THEN 'running'"
        " WHEN s.next_due < UTC_TIMESTAMP(6) - INTERVAL 3 MINUTE THEN 'overdue'"
        " WHEN r.result = 'failure' THEN 'failed' WHEN r.id IS NULL THEN 'new' ELSE 'ok' END AS "
        "state,"
        " IF(s.every_minutes = 0, NULL, s.next_due) AS next_due, r.started_at AS last_run, "
        "r.duration, r.n_rows, r.n_findings,"
        " (SELECT COUNT(*) FROM schedule_finding f WHERE f.schedule_id = s.id) AS findings,"
        " s.created_by, NULLIF(r.message, '') AS message"
        " FROM schedule s LEFT JOIN schedule_run r ON r.id ="
        " (SELECT MAX(id) FROM schedule_run l WHERE l.schedule_id = s.id)"
        " WHERE s.removed_at IS NULL ORDER BY s.every_minutes = 0, s.id";
    uint64_t n_rows = 0;
    int64_t n_schedules = 0;
    int outcome = evidence_connect(&schedule->mysql, &schedule->options, schedule->error);
    if (!outcome)
        outcome = show(schedule, sql, NULL, 0, LIST_LEAST, &n_rows);
    if (!outcome)
        outcome = schedule_ask_number(schedule,
                                      "SELECT COUNT(*) FROM schedule WHERE removed_at IS NULL"
                                      " AND every_minutes > 0",
                                      &n_schedules);
    if (!outcome && !n_schedules)
        fprintf(output_remarks(schedule->options.format), "0 schedules\n");
    if (!outcome)
        outcome = schedule_warn_of_scheduler(schedule);
    return outcome ? outcome : n_schedules ? STATUS_ROWS : STATUS_NO_ROWS;
}

/* --- remove and run --- */

static int read_id(struct schedule *schedule, struct statement_value *id)
{
    const char *word = schedule->options.arguments[1];
    char *end = NULL;
    errno = 0;
    *id = (struct statement_value){.name = "id", .kind = STATEMENT_NUMBER};
    id->number = *word >= '0' && *word <= '9' ? strtoull(word, &end, 10) : 0;
    if (end && !*end && !errno)
        return 0;
    return error_set(schedule->error, -EINVAL,
                     "\"%.40s\" is no number of a schedule; see vestige schedule list", word);
}

static int no_schedule(struct schedule *schedule, uint64_t id)
{
    return error_set(schedule->error, -ENOENT,
                     "there is no schedule %" PRIu64 "; see vestige schedule list", id);
}

/* A rule of the server is no schedule. */
static int refuse_rule(struct schedule *schedule, uint64_t id, const char *what)
{
    char sql[120];
    int64_t is_rule = 0;
    snprintf(sql, sizeof(sql),
             "SELECT COUNT(*) FROM schedule WHERE every_minutes = 0 AND id = %" PRIu64, id);
    int outcome = schedule_ask_number(schedule, sql, &is_rule);
    if (!outcome && is_rule)
        outcome = error_set(schedule->error, -EPERM,
                            "%" PRIu64 " is a rule of the server itself, which runs as long as the "
                            "server does; it cannot be %s",
                            id, what);
    return outcome;
}

static int remove_schedule(struct schedule *schedule)
{
    struct statement_value id;
    int64_t n_removed = 0;
    int outcome = read_id(schedule, &id);
    if (!outcome)
        outcome = administrator_connect(&schedule->mysql, &schedule->options, schedule->error);
    if (!outcome)
        outcome = refuse_rule(schedule, id.number, "removed");
    if (!outcome)
        outcome = statement_do(schedule->mysql, "CALL vestige_schedule_remove(:id, @vestige_n)",
                               &id, 1, "remove the schedule", schedule->error);
    if (!outcome)
        outcome = schedule_ask_number(schedule, "SELECT @vestige_n", &n_removed);
    if (outcome)
        return outcome;
    if (!n_removed)
        return no_schedule(schedule, id.number);
    printf("schedule %" PRIu64 " is removed; what it found stays\n", id.number);
    return STATUS_ROWS;
}

/* One line on the run, and its error if it has one. */
static int tell_run(struct schedule *schedule, const struct statement_value *run)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int outcome =
        database_query(schedule->mysql, &result, schedule->error, "read the run",
                       "SELECT result, message, n_batches, n_hosts, n_rows, n_findings,"
                       " ROUND(TIME_TO_SEC(duration) + MICROSECOND(duration) / 1e6, 2), complete,"
                       " since, until FROM schedule_run WHERE id = %" PRIu64,
                       run->number);
    MYSQL_ROW row = outcome ? NULL : mysql_fetch_row(result);
    if (!row)
        return outcome ? outcome : error_set(schedule->error, -ENOENT, "the run left no record");
    if (strcmp(row[0], "success") != 0)
        return error_set(schedule->error, -EIO, "run %" PRIu64 " failed after %s s: %.400s",
                         run->number, row[6], row[1]);
    FILE *to = output_remarks(schedule->options.format);
    fprintf(to, "Run %" PRIu64 ": %s new batches of %s hosts, %s rows, %s new findings, in %s s\n",
            run->number, row[2], row[3], row[4], row[5], row[6]);
    if (row[8])
        fprintf(to, "Evidence from %s to %s: %s\n", row[8], row[9],
                row[7] && *row[7] == '1' ? "complete"
                                         : "not complete; see the last line of vestige report");
    if (*row[1])
        log_warning("schedule", "%s", row[1]);
    return 0;
}

static int run_schedule(struct schedule *schedule)
{
    static const char found[] =
        "SELECT h.name AS host, f.class AS question, f.subject, f.detail, f.complete, f.row_keys "
        "AS "
        "row_keys, f.id AS row_id, f.host_id AS row_host_id FROM schedule_finding s JOIN finding f "
        "ON"
        " f.host_id = s.host_id AND f.id = s.id AND f.day = s.day"
        " JOIN enrolment h ON h.host_id = f.host_id WHERE s.run_id = :run ORDER BY f.id";
    struct statement_value id, run = {.name = "run", .kind = STATEMENT_NUMBER};
    int64_t n_known = 0, number = 0;
    uint64_t n_rows = 0;
    char known[100];
    int outcome = read_id(schedule, &id);
    snprintf(known, sizeof(known),
             "SELECT COUNT(*) FROM schedule WHERE removed_at IS NULL AND id = %" PRIu64, id.number);
    if (!outcome)
        outcome = administrator_connect(&schedule->mysql, &schedule->options, schedule->error);
    if (!outcome)
        outcome = schedule_ask_number(schedule, known, &n_known);
    if (!outcome && !n_known)
        return no_schedule(schedule, id.number);
    if (!outcome)
        outcome = refuse_rule(schedule, id.number, "run by hand");
    if (!outcome)
        outcome = statement_do(schedule->mysql,
                               "CALL vestige_schedule_run(:id, @vestige_run, @vestige_outcome)",
                               &id, 1, "run the schedule", schedule->error);
    if (!outcome)
        outcome = schedule_ask_number(schedule, "SELECT @vestige_run", &number);
    if (!outcome && !number)
        outcome = error_set(schedule->error, -EBUSY,
                            "schedule %" PRIu64 " is at work just now; its run shows in vestige "
                            "schedule list",
                            id.number);
    run.number = (uint64_t)number;
    if (!outcome)
        outcome = show(schedule, found, &run, 1, 0, &n_rows);
    if (!outcome)
        outcome = tell_run(schedule, &run);
    return outcome ? outcome : n_rows ? STATUS_ROWS : STATUS_NO_ROWS;
}

/* --- the command --- */

static const struct action {
    const char *name;
    size_t least, most;
    const char *usage;
    int (*run)(struct schedule *schedule);
} actions[] = {
    {"add",    2, QUESTION_PARAMETERS_MAX + 2,
     "vestige schedule add NAME [PARAMETER=VALUE ...] --every MINUTES",      schedule_add   },
    {"list",   1, 1,                           "vestige schedule list",      list           },
    {"remove", 2, 2,                           "vestige schedule remove ID", remove_schedule},
    {"run",    2, 2,                           "vestige schedule run ID",    run_schedule   },
};

static int dispatch(struct schedule *schedule)
{
    const struct options *options = &schedule->options;
    size_t found = 0;
    int outcome =
        options_find_action("schedule", options->arguments[0], actions, N_ELEMENTS(actions),
                            sizeof(actions[0]), &found, schedule->error);
    const struct action *action = &actions[found];
    if (outcome)
        return outcome;
    if (action->run != schedule_add &&
        (options->on || options->login_user || options->has_since || options->has_until ||
         schedule->every_minutes || schedule->window_hours || schedule->directory))
        return error_set(
            schedule->error, -EINVAL,
            "--every, --window, --on, --login-user, --since and --directory are for `add`; leave "
            "them out");
    if (options->n_arguments < action->least || options->n_arguments > action->most)
        return error_set(schedule->error, -EINVAL, "write `%s`", action->usage);
    return action->run(schedule);
}

int schedule_command(int argc, char **argv)
{
    struct error_text error = ERROR_TEXT_NULL;
    struct schedule schedule = {.error = &error};
    const struct option_own own[] = {
        {"every",     OPTION_NUMBER, &schedule.every_minutes, "MINUTES",
         "run it again after so many minutes",                                        1, MINUTES_MOST},
        {"window",    OPTION_NUMBER, &schedule.window_hours,  "HOURS",
         "a run looks back so far from what is new (default: the question's window)", 1,
         HOURS_MOST                                                                                  },
        {"directory", OPTION_TEXT,   &schedule.directory,     "DIR",
         "the site's own reports (default " QUESTION_DIRECTORY ")",                   0, 0           },
    };
    const struct command_line line = {
        .words =
            "schedule add NAME [PARAMETER=VALUE ...] --every MINUTES | list | remove ID | run ID",
        .summary =
            "Ask a canned question again and again; what is new becomes rows of the table "
            "finding.\n"
            "A run covers all batches that arrived since the one before, late ones too; --since "
            "says\n"
            "how far the first one goes back (default: not at all). Needs the role vestige_admin,\n"
            "except for list. Exit status: 0 done, or rows; 1 no rows; 2 error.",
        .groups = OPTIONS_STATE | OPTIONS_DATABASE | OPTIONS_OUTPUT | OPTIONS_EVIDENCE,
        .own = own,
        .n_own = N_ELEMENTS(own),
        .least_arguments = 1,
        .most_arguments = QUESTION_PARAMETERS_MAX + 2,
    };
    int outcome = options_parse(&schedule.options, &line, argc, argv, &error);
    if (outcome == OPTIONS_HELP_SHOWN)
        return STATUS_ROWS;
    if (!outcome)
        outcome = dispatch(&schedule);
    database_close(schedule.mysql);
    return command_end("schedule", outcome, &error);
}
