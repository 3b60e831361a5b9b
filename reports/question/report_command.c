/* `vestige report`: without a name the list of questions, with one its answer. The SQL is bound to
 * its values and read row by row; then what the answer rests on is said: the window, the time it
 * took, whether rows were left out, and how complete the evidence is. */
#include "core/cleanup.h"
#include "core/log.h"
#include "reports/command.h"
#include "reports/evidence/answer.h"
#include "reports/evidence/reading.h"
#include "reports/options/time_words.h"
#include "reports/output/progress.h"
#include "reports/question/question_files.h"
#include "reports/question/question_values.h"
#include "reports/question/report_list.h"

#include <inttypes.h>
#include <time.h>

#define ROWS_MOST UINT64_C(1000000000)

struct report_options {
    const char *directory, *tag;
    bool about;
    uint64_t limit;
};

struct report {
    const struct options *options;
    const struct question *question;
    MYSQL *mysql;
    struct question_values values;
    struct error_text *error;
    uint64_t n_rows;
    bool is_cut;
    double seconds;
};

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The list */

static const struct output_column list_columns[] = {
    {"name",     OUTPUT_TEXT, NULL},
    {"question", OUTPUT_TEXT, NULL},
    {"tags",     OUTPUT_TEXT, NULL}
};

/* For people in groups; for programs as rows. */
static int list_rows(struct output *output, const struct question_files *files, const char *tag,
                     bool as_rows, uint64_t *n_rows)
{
    for (size_t i = 0; i < files->n; i++) {
        const struct question_file *file = &files->files[i];
        if (!file->question) {
            log_warning("report", "%s", file->problem.text);
            continue;
        }
        if (tag && !report_list_has_tag(file->question, tag))
            continue;
        struct slice values[] = {slice_text(file->name), slice_text(file->question->question),
                                 slice_text(file->question->tags)};
        int outcome = as_rows ? output_row(output, values) : 0;
        if (outcome)
            return outcome;
        ++*n_rows;
    }
    if (as_rows)
        return output_finish(output);
    report_list_print(files, tag);
    return ferror(stdout) || fflush(stdout) ? -errno : 0;
}

static int list(const struct question_files *files, const struct options *options, const char *tag,
                uint64_t *n_rows, struct error_text *error)
{
    struct output *output;
    if (output_new(&output, options->format, stdout, list_columns, 3))
        return error_set(error, -ENOMEM, "out of memory");
    int outcome = list_rows(output, files, tag, options->format != OUTPUT_TABLE, n_rows);
    output_free(output);
    if (outcome)
        return error_set(error, outcome, "the list cannot be written: %s", strerror(-outcome));
    if (tag && !*n_rows)
        return error_set(error, -ENOENT, "no report has the tag \"%.60s\"", tag);
    fprintf(output_remarks(options->format),
            "vestige report NAME answers one; vestige report NAME --about says more about it;\n"
            "--tag TAG lists those with one of the words after Tags: there\n");
    return 0;
}

/* What a question is */

static void tell_parameter(const struct question_parameter *parameter)
{
    printf("  %s=%s%s%s%s\n      %s\n", parameter->name, question_type_name(parameter->type),
           parameter->has_default ? " (default " : " (needed",
           parameter->has_default ? (parameter->default_text ? parameter->default_text : "none")
                                  : "",
           ")", parameter->help);
}

static void tell_options(const struct question *question)
{
    static const struct {
        const char *name, *option;
    } known[] = {
        {"host_id",   "--on"        },
        {"login_uid", "--login-user"},
        {"since",     "--since"     },
        {"until",     "--until"     },
        {"row_limit", "--limit"     }
    };
    const char *before = "";
    printf("\nOptions that select: ");
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (question_uses(question, known[i].name)) {
            printf("%s%s", before, known[i].option);
            before = ", ";
        }
    printf("%s\n", *before ? "" : "none");
    if (question->has_window && question->window_all)
        printf("Window: all time, unless --since is given\n");
    else if (question->has_window)
        printf("Window: the last %" PRId64 " hours, unless --since is given\n",
               question->window_us / INT64_C(3600000000));
}

static void about(const struct question *question)
{
    printf("%s\n%s\n", question->name, question->question);
    if (question->n_parameters)
        printf("\nParameters:\n");
    for (size_t i = 0; i < question->n_parameters; i++)
        tell_parameter(&question->parameters[i]);
    tell_options(question);
    if (question->n_columns)
        printf("\nColumns:\n");
    for (size_t i = 0; i < question->n_columns; i++)
        printf("  %-20s %s\n", question->columns[i].name, question->columns[i].help);
    if (question->schedule)
        printf("\nMay be scheduled: %s\n", question->schedule);
    if (question->example)
        printf("\nExample: %s\n", question->example);
    printf("\nFile: %s\nTags: %s\n\n%s", question->file, question->tags, question->sql);
}

/* The answer */

static int write_error(const struct report *report, int outcome)
{
    return outcome ? error_set(report->error, outcome, "the rows cannot be written: %s",
                               strerror(-outcome))
                   : 0;
}

static int write_rows(struct report *report, struct statement *statement, struct answer *answer)
{
    const struct slice *values;
    bool limited = question_uses(report->question, "row_limit");
    for (;;) {
        int outcome = statement_next(statement, &values, report->error);
        if (outcome == STATEMENT_END)
            return write_error(report, answer_finish(answer));
        if (outcome < 0) {
            answer_is_partial(answer, "the server's rows ended");
            return outcome;
        }
        report->is_cut = limited && answer_n_rows(answer) == report->values.row_limit;
        if (report->is_cut)
            return write_error(report, answer_finish(answer));
        outcome = answer_row(answer, values);
        if (outcome)
            return write_error(report, outcome);
    }
}

static int ask(struct report *report)
{
    struct statement *statement AUTO_STATEMENT = NULL;
    struct answer *answer AUTO_ANSWER = NULL;
    char doing[100];
    snprintf(doing, sizeof(doing), "run the report %.60s", report->question->name);
    double begin = seconds_now();
    struct progress *progress = progress_begin(report->question->name);
    int outcome = statement_run(&statement, report->mysql, report->question->sql,
                                report->values.values, report->values.n, doing, report->error);
    progress_end(progress);
    if (outcome)
        return outcome;
    if (answer_new(&answer, report->options, statement_fields(statement),
                   statement_n_columns(statement)))
        return error_set(report->error, -ENOMEM, "out of memory");
    outcome = write_rows(report, statement, answer);
    report->n_rows = answer_n_rows(answer);
    report->seconds = seconds_now() - begin;
    return outcome;
}

/* "23 rows in 0.02 s; from ... to now (default window); all hosts" */
static void tell_frame(const struct report *report)
{
    const struct evidence_window *window = &report->values.window;
    const struct options *options = report->options;
    FILE *to = output_remarks(options->format);
    char since[TIME_TEXT_SIZE], until[TIME_TEXT_SIZE];
    time_words_format(since, window->since_us);
    time_words_format(until, window->until_us);
    fprintf(to, "%" PRIu64 " row%s in %.2f s", report->n_rows, report->n_rows == 1 ? "" : "s",
            report->seconds);
    if (report->is_cut)
        fprintf(to, ", cut there: more with --limit");
    if (report->question->has_window) {
        fprintf(to, "; from %s to %s", window->has_since ? since : "the beginning",
                window->has_until ? until : "now");
        if (!options->has_since && !options->has_until)
            fprintf(to, " (default window)");
    } else if (window->has_until) {
        fprintf(to, "; at %s", until);
    }
    fprintf(to, "; %s%s\n", window->has_host ? "host " : "all hosts",
            window->has_host ? options->on : "");
}

static int answer_question(struct report *report, uint64_t limit)
{
    const struct options *options = report->options;
    struct reading reading;
    int outcome =
        reading_begin(&reading, report->mysql, options, report->question->name, report->error);
    if (outcome)
        return outcome;
    outcome = question_values_init(&report->values, report->mysql, report->question, options,
                                   options->arguments + 1, options->n_arguments - 1, limit,
                                   report->error);
    if (!outcome)
        outcome = ask(report);
    if (!outcome) {
        tell_frame(report);
        outcome = evidence_tell_completeness(report->mysql, &report->values.window,
                                             output_remarks(options->format), report->error);
    }
    reading_end(&reading, &report->values.window, report->n_rows, outcome);
    question_values_deinit(&report->values);
    return outcome;
}

/* What selects nothing must not look as if it did. */
static int check_options(const struct options *options, const struct report_options *own,
                         struct error_text *error)
{
    if (options->n_arguments && own->tag)
        return error_set(error, -EINVAL, "--tag is for the list; leave it out");
    if (!options->n_arguments && (own->about || own->limit || options->on || options->login_user ||
                                  options->has_since || options->has_until))
        return error_set(error, -EINVAL,
                         "write which report: of the options that select only --tag is for the "
                         "list");
    return 0;
}

static int run(const struct options *options, const struct report_options *own, uint64_t *n_rows,
               struct error_text *error)
{
    MYSQL *mysql AUTO_DATABASE = NULL;
    struct question_files files;
    struct report report = {.options = options, .error = error};
    int outcome = question_files_init(&files, own->directory, error);
    if (outcome)
        return outcome;
    if (!options->n_arguments)
        outcome = list(&files, options, own->tag, n_rows, error);
    else
        outcome = question_files_find(&files, options->arguments[0], &report.question, error);
    if (!outcome && options->n_arguments && own->about) {
        about(report.question);
        *n_rows = 1;
    } else if (!outcome && options->n_arguments) {
        outcome = evidence_connect(&mysql, options, error);
        report.mysql = mysql;
        if (!outcome)
            outcome = answer_question(&report, own->limit);
        *n_rows = report.n_rows;
    }
    question_files_deinit(&files);
    return outcome;
}

int report_command(int argc, char **argv)
{
    struct report_options own = {0};
    const struct option_own own_options[] = {
        {"about",     OPTION_FLAG,   &own.about,     NULL,  "say what the report asks, takes and shows", 0, 0},
        {"tag",       OPTION_TEXT,   &own.tag,       "TAG", "list only reports with this tag",           0, 0},
        {"limit",     OPTION_NUMBER, &own.limit,     "N",   "show at most N rows (default 1000)",        1,
         ROWS_MOST                                                                                           },
        {"directory", OPTION_TEXT,   &own.directory, "DIR",
         "the site's own reports (default " QUESTION_DIRECTORY ")",                                      0, 0},
    };
    const struct command_line line = {
        .words = "report [NAME [PARAMETER=VALUE ...]]",
        .summary =
            "Answer a canned question; without a name list them. A value without PARAMETER= goes "
            "to\nthe first parameter that has none. The last lines say what window was asked about "
            "and how\ncomplete the evidence is. Exit status: 0 rows, 1 no rows, 2 error.",
        .groups = OPTIONS_STATE | OPTIONS_DATABASE | OPTIONS_OUTPUT | OPTIONS_EVIDENCE,
        .own = own_options,
        .n_own = sizeof(own_options) / sizeof(own_options[0]),
        .most_arguments = QUESTION_PARAMETERS_MAX + 1,
    };
    struct options options;
    struct error_text error = ERROR_TEXT_NULL;
    uint64_t n_rows = 0;
    int outcome = options_parse(&options, &line, argc, argv, &error);
    if (outcome == OPTIONS_HELP_SHOWN)
        return STATUS_ROWS;
    if (!outcome)
        outcome = check_options(&options, &own, &error);
    if (!outcome)
        outcome = run(&options, &own, &n_rows, &error);
    return command_end("report", command_status(outcome, n_rows ? STATUS_ROWS : STATUS_NO_ROWS),
                       &error);
}
