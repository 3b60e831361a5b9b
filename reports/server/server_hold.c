/* `vestige server hold`: evidence that retention may not touch, for as long as the hold is not
 * released. Rows of the table hold are never deleted; what was dropped before a hold is gone, which
 * is said. */
#include "reports/server/server_hold.h"
#include "reports/command.h"
#include "reports/evidence/evidence.h"
#include "reports/server/administrator.h"
#include "reports/server/server_show.h"

#include "core/cleanup.h"
#include "core/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

struct hold {
    struct options options;
    const char *reason, *case_name;
    MYSQL *mysql;
    struct error_text *error;
};

/* --- add --- */

enum { HOST, UID, NAME, SINCE, UNTIL, REASON, CASE, VALUE_N };

static void set_moment(struct statement_value *value, bool has, int64_t us)
{
    if (has) {
        value->kind = STATEMENT_MOMENT;
        value->us = us;
    }
}

static void set_text(struct statement_value *value, const char *text)
{
    if (text) {
        value->kind = STATEMENT_TEXT;
        value->text = slice_text(text);
    }
}

/* A name holds what has the name, and what has the number that it is known with. */
static int set_user(struct hold *hold, struct statement_value values[VALUE_N])
{
    const char *word = hold->options.login_user;
    bool is_set = false, is_number = *word >= '0' && *word <= '9';
    int outcome = evidence_find_login_user(
        hold->mysql, word, values[HOST].kind == STATEMENT_NUMBER ? &values[HOST].number : NULL,
        &values[UID].number, &is_set, hold->error);
    if (outcome == -ENOENT)
        return outcome;
    if (!outcome && !is_set)
        return error_set(hold->error, -EINVAL,
                         "a hold of a user needs a name or a number, not `unset`");
    if (!outcome)
        values[UID].kind = STATEMENT_NUMBER;
    if (!is_number)
        set_text(&values[NAME], word);
    return is_number ? outcome : 0;
}

static int set_values(struct hold *hold, struct statement_value values[VALUE_N])
{
    static const char *const names[VALUE_N] = {"host",  "uid",    "name", "since",
                                               "until", "reason", "case"};
    const struct options *options = &hold->options;
    for (size_t i = 0; i < VALUE_N; i++)
        values[i] = (struct statement_value){.name = names[i], .kind = STATEMENT_NULL};
    set_moment(&values[SINCE], options->has_since, options->since_us);
    set_moment(&values[UNTIL], options->has_until, options->until_us);
    set_text(&values[REASON], hold->reason);
    set_text(&values[CASE], hold->case_name);
    int outcome = 0;
    if (options->on) {
        outcome = evidence_find_host(hold->mysql, options->on, &values[HOST].number, hold->error);
        values[HOST].kind = STATEMENT_NUMBER;
    }
    return !outcome && options->login_user ? set_user(hold, values) : outcome;
}

/* What of the time and the host is gone already. */
static int tell_gone(struct hold *hold, const struct statement_value values[VALUE_N])
{
    static const char sql[] =
        "SELECT COALESCE(SUM(n_dropped), 0), MIN(day), MAX(day) FROM retention_log"
        " WHERE table_name NOT IN ('batch', 'maintenance_run', 'schedule_run', 'notification') AND "
        "(:host IS NULL OR host_id = :host)"
        " AND (:until IS NULL OR day <= :until) AND (:since IS NULL OR horizon > :since)";
    struct statement *statement AUTO_STATEMENT = NULL;
    const struct slice *row;
    int outcome = statement_run(&statement, hold->mysql, sql, values, VALUE_N,
                                "look for what was dropped", hold->error);
    if (!outcome)
        outcome = statement_next(statement, &row, hold->error);
    if (outcome != STATEMENT_ROW)
        return outcome;
    if (!slice_is(row[0], "0"))
        log_warning("server",
                    "%.*s rows of this host and time, of %.*s to %.*s, were dropped before and "
                    "cannot be held any more",
                    (int)row[0].length, (const char *)row[0].data, (int)row[1].length,
                    (const char *)row[1].data, (int)row[2].length, (const char *)row[2].data);
    return 0;
}

static int add(struct hold *hold)
{
    struct statement_value values[VALUE_N];
    uint64_t id = 0;
    if (!hold->reason || !*hold->reason)
        return error_set(hold->error, -EINVAL,
                         "--reason is missing: who finds this hold in five years has to know why");
    int outcome = administrator_connect(&hold->mysql, &hold->options, hold->error);
    if (!outcome)
        outcome = set_values(hold, values);
    if (!outcome)
        outcome = statement_do(hold->mysql,
                               "CALL vestige_hold_add(:host, :uid, :name, :since, :until, :reason,"
                               " :case, @vestige_added)",
                               values, VALUE_N, "add the hold", hold->error);
    if (!outcome)
        outcome = database_query_number(hold->mysql, &id, hold->error, "ask the server",
                                        "SELECT @vestige_added");
    if (outcome)
        return outcome;
    const struct options *options = &hold->options;
    printf("hold %" PRIu64 " is in force%s\n", id,
           options->on || options->login_user || options->has_since || options->has_until
               ? ""
               : ": it holds all evidence");
    return tell_gone(hold, values);
}

/* --- list and release --- */

static int list(struct hold *hold)
{
    static const char sql[] =
        "SELECT h.id, COALESCE(e.name, h.host_id) AS host, COALESCE(h.username, h.login_uid) AS "
        "user,"
        " h.since, h.until, h.reason, h.case_name AS `case`, h.created_at, h.created_by,"
        " h.released_at, h.released_by FROM hold h LEFT JOIN enrolment e ON e.host_id = h.host_id"
        " ORDER BY h.released_at IS NOT NULL, h.id";
    struct server_question question = {
        .options = &hold->options, .sql = sql, .doing = "read the holds"};
    uint64_t n_rows = 0;
    int outcome = evidence_connect(&hold->mysql, &hold->options, hold->error);
    question.mysql = hold->mysql;
    if (!outcome)
        outcome = server_show(&question, &n_rows, hold->error);
    if (!outcome && !n_rows)
        fprintf(output_remarks(hold->options.format), "0 holds\n");
    return outcome ? outcome : n_rows ? STATUS_ROWS : STATUS_NO_ROWS;
}

static int release(struct hold *hold)
{
    const char *word = hold->options.n_arguments > 1 ? hold->options.arguments[1] : "";
    char *end = NULL;
    struct statement_value id = {.name = "id", .kind = STATEMENT_NUMBER};
    uint64_t n_released = 0;
    errno = 0;
    id.number = *word >= '0' && *word <= '9' ? strtoull(word, &end, 10) : 0;
    if (!end || *end || errno)
        return error_set(hold->error, -EINVAL,
                         "\"%.40s\" is no number of a hold; see vestige server hold list", word);
    int outcome = administrator_connect(&hold->mysql, &hold->options, hold->error);
    if (!outcome)
        outcome = statement_do(hold->mysql, "CALL vestige_hold_release(:id, @vestige_n)", &id, 1,
                               "release the hold", hold->error);
    if (!outcome)
        outcome = database_query_number(hold->mysql, &n_released, hold->error, "ask the server",
                                        "SELECT @vestige_n");
    if (outcome)
        return outcome;
    if (!n_released)
        return error_set(hold->error, -ENOENT,
                         "there is no hold %" PRIu64 " in force; see vestige server hold list",
                         id.number);
    printf("hold %" PRIu64 " is released: what it held goes with the next run of the retention if"
           " nothing else keeps it\n",
           id.number);
    return STATUS_ROWS;
}

/* --- the command --- */

static const struct action {
    const char *name;
    size_t words;
    const char *usage;
    int (*run)(struct hold *hold);
} actions[] = {
    {"add",     1, "vestige server hold add --reason TEXT [--on HOST] [--login-user USER]", add    },
    {"list",    1, "vestige server hold list",                                              list   },
    {"release", 2, "vestige server hold release ID",                                        release},
};

static int dispatch(struct hold *hold)
{
    const struct options *options = &hold->options;
    size_t found = 0;
    int outcome = options_find_action("server hold", options->arguments[0], actions,
                                      N_ELEMENTS(actions), sizeof(actions[0]), &found, hold->error);
    const struct action *action = &actions[found];
    if (outcome)
        return outcome;
    if (action->run != add && (options->on || options->login_user || options->has_since ||
                               options->has_until || hold->reason || hold->case_name))
        return error_set(hold->error, -EINVAL,
                         "--on, --login-user, --since, --until, --reason and --case are for `add`; "
                         "leave them out");
    if (options->n_arguments != action->words)
        return error_set(hold->error, -EINVAL, "write `%s`", action->usage);
    return action->run(hold);
}

int server_hold_command(int argc, char **argv)
{
    struct error_text error = ERROR_TEXT_NULL;
    struct hold hold = {.error = &error};
    const struct option_own own[] = {
        {"reason", OPTION_TEXT, &hold.reason,    "TEXT", "add: why; it is kept for ever", 0, 0},
        {"case",   OPTION_TEXT, &hold.case_name, "NAME", "add: the case it belongs to",   0, 0},
    };
    const struct command_line line = {
        .words = "server hold add | list | release ID",
        .summary =
            "Legal holds: rows of that host (--on), of that user and of that time are kept until\n"
            "the hold is released, whatever the retention is. Rows count as of the time when they\n"
            "lived in it; what has no user (addresses, devices, accounts, what was watched) is "
            "held\n"
            "with the host. A hold does not bring back what was dropped before, and does not stop\n"
            "the server's root. Exit status: 0 done, or rows; 1 no rows; 2 error.",
        .groups = OPTIONS_STATE | OPTIONS_DATABASE | OPTIONS_OUTPUT | OPTIONS_EVIDENCE,
        .own = own,
        .n_own = N_ELEMENTS(own),
        .least_arguments = 1,
        .most_arguments = 2,
    };
    int outcome = options_parse(&hold.options, &line, argc, argv, &error);
    if (outcome == OPTIONS_HELP_SHOWN)
        return STATUS_ROWS;
    if (!outcome)
        outcome = dispatch(&hold);
    database_close(hold.mysql);
    return command_end("server", outcome, &error);
}
