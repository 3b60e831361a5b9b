/* `vestige query SQL`: rows are written as the server sends them, so that an answer of any size
 * passes through in bounded memory; then one line tells how complete the evidence is. */
#include "core/cleanup.h"
#include "reports/command.h"
#include "reports/evidence/answer.h"
#include "reports/evidence/evidence.h"
#include "reports/evidence/reading.h"
#include "reports/options/time_words.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct query {
    const struct options *options;
    MYSQL *mysql;
    MYSQL_RES *result;
    unsigned n_fields;
    struct answer *answer;
    struct slice *values;
    struct error_text *error;
};

static int write_error(const struct query *query, int error)
{
    return error_set(query->error, error, "the rows cannot be written: %s", strerror(-error));
}

static int write_rows(struct query *query)
{
    MYSQL_ROW row;
    while ((row = mysql_fetch_row(query->result))) {
        const unsigned long *lengths = mysql_fetch_lengths(query->result);
        for (unsigned i = 0; i < query->n_fields; i++)
            query->values[i] = row[i] ? slice_of(row[i], lengths[i]) : SLICE_NULL;
        int error = answer_row(query->answer, query->values);
        if (error)
            return write_error(query, error);
    }
    if (mysql_errno(query->mysql)) {
        answer_is_partial(query->answer, "the server's rows ended");
        return database_error(query->mysql, query->error, "read the rows");
    }
    int error = answer_finish(query->answer);
    return error ? write_error(query, error) : 0;
}

static int answer(struct query *query, const char *sql)
{
    if (mysql_real_query(query->mysql, sql, strlen(sql)))
        return database_error(query->mysql, query->error, "run the query");
    if (mysql_field_count(query->mysql) == 0)
        return 0;
    query->result = mysql_use_result(query->mysql);
    if (!query->result)
        return database_error(query->mysql, query->error, "read the rows");
    query->n_fields = mysql_num_fields(query->result);
    query->values = calloc(query->n_fields, sizeof(*query->values));
    if (!query->values || answer_new(&query->answer, query->options,
                                     mysql_fetch_fields(query->result), query->n_fields))
        return error_set(query->error, -ENOMEM, "out of memory");
    return write_rows(query);
}

static uint64_t query_deinit(struct query *query)
{
    uint64_t n_rows = query->answer ? answer_n_rows(query->answer) : 0;
    answer_free(query->answer);
    if (query->result)
        mysql_free_result(query->result);
    free(query->values);
    return n_rows;
}

/* An option that the SQL does not use would select nothing, silently. */
static int check_used(const char *sql, const char *option, const char *variable, bool given,
                      struct error_text *error)
{
    if (!given || strcasestr(sql, variable))
        return 0;
    return error_set(error, -EINVAL,
                     "--%s is given, but the SQL does not use %s: write for example ... WHERE "
                     "created_at >= @since",
                     option, variable);
}

static int check_variables(const struct options *options, const char *sql, struct error_text *error)
{
    int outcome = check_used(sql, "since", "@since", options->has_since, error);
    if (!outcome)
        outcome = check_used(sql, "until", "@until", options->has_until, error);
    if (!outcome)
        outcome = check_used(sql, "on", "@host_id", options->on != NULL, error);
    if (!outcome)
        outcome = check_used(sql, "login-user", "@login_uid", options->login_user != NULL, error);
    return outcome;
}

static void append_moment(struct buffer *sql, const char *name, bool has, int64_t us)
{
    if (has)
        buffer_printf(sql, ", @%s = TIMESTAMP'1970-01-01 00:00:00' + INTERVAL %lld MICROSECOND",
                      name, (long long)us);
    else
        buffer_printf(sql, ", @%s = NULL", name);
}

static void append_number(struct buffer *sql, const char *name, bool has, uint64_t value)
{
    if (has)
        buffer_printf(sql, ", @%s = %llu", name, (unsigned long long)value);
    else
        buffer_printf(sql, ", @%s = NULL", name);
}

static int set_variables(MYSQL *mysql, const struct options *options,
                         struct evidence_window *window, struct error_text *error)
{
    struct buffer sql = BUFFER_NULL;
    uint64_t login_uid = 0;
    bool has_login_uid = false;
    int outcome = 0;
    if (options->on) {
        outcome = evidence_find_host(mysql, options->on, &window->host_id, error);
        window->has_host = true;
    }
    if (!outcome && options->login_user)
        outcome = evidence_find_login_user(mysql, options->login_user,
                                           window->has_host ? &window->host_id : NULL, &login_uid,
                                           &has_login_uid, error);
    if (outcome)
        return outcome;
    buffer_append_text(&sql, "SET @vestige = 1");
    append_moment(&sql, "since", options->has_since, options->since_us);
    append_moment(&sql, "until", options->has_until, options->until_us);
    append_number(&sql, "host_id", window->has_host, window->host_id);
    append_number(&sql, "login_uid", has_login_uid, login_uid);
    buffer_append_byte(&sql, '\0');
    outcome = sql.failed
                  ? -ENOMEM
                  : database_run(mysql, error, "set the variables", "%s", (const char *)sql.data);
    buffer_deinit(&sql);
    return outcome;
}

/* Whoever is the server's administrator could change evidence by a slip: a question reads only. The
 * log of readers is written afterwards. */
static int ask(struct query *query, const char *sql, uint64_t *n_rows)
{
    static const char doing[] = "let the question read only";
    int outcome =
        database_run(query->mysql, query->error, doing, "SET SESSION TRANSACTION READ ONLY");
    if (!outcome)
        outcome = answer(query, sql);
    *n_rows = query_deinit(query);
    int restored = database_run(query->mysql, outcome ? NULL : query->error, doing,
                                "SET SESSION TRANSACTION READ WRITE");
    return outcome ? outcome : restored;
}

static int run(const struct options *options, uint64_t *n_rows, struct error_text *error)
{
    MYSQL *mysql AUTO_DATABASE = NULL;
    const char *sql = options->arguments[0];
    struct evidence_window window = evidence_window_of(options);
    struct reading reading = {0};
    int outcome = check_variables(options, sql, error);
    if (!outcome)
        outcome = evidence_connect(&mysql, options, error);
    if (!outcome)
        outcome = reading_begin(&reading, mysql, options, sql, error);
    if (!outcome)
        outcome = set_variables(mysql, options, &window, error);
    if (!outcome) {
        struct query query = {.options = options, .mysql = mysql, .error = error};
        outcome = ask(&query, sql, n_rows);
    }
    if (!outcome)
        outcome =
            evidence_tell_completeness(mysql, &window, output_remarks(options->format), error);
    reading_end(&reading, &window, *n_rows, outcome);
    return outcome;
}

int query_command(int argc, char **argv)
{
    static const struct command_line line = {
        .words = "query SQL",
        .summary =
            "Ask the evidence in SQL and print the rows; nothing is changed. The SQL may use "
            "@since, @until, "
            "@host_id and\n@login_uid, which hold what the options of these names say (else "
            "NULL). The last line\nsays how complete the evidence is. Exit status: 0 rows, 1 "
            "no rows, 2 error.",
        .groups = OPTIONS_STATE | OPTIONS_DATABASE | OPTIONS_OUTPUT | OPTIONS_EVIDENCE,
        .least_arguments = 1,
        .most_arguments = 1,
    };
    struct options options;
    struct error_text error = ERROR_TEXT_NULL;
    uint64_t n_rows = 0;
    int outcome = options_parse(&options, &line, argc, argv, &error);
    if (outcome == OPTIONS_HELP_SHOWN)
        return STATUS_ROWS;
    if (!outcome)
        outcome = run(&options, &n_rows, &error);
    return command_end("query", command_status(outcome, n_rows ? STATUS_ROWS : STATUS_NO_ROWS),
                       &error);
}
