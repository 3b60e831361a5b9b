/* `vestige timeline`: what the options say becomes a question about one host and one window; its
 * answer is printed as events, or written as a page. */
#include "core/cleanup.h"
#include "reports/command.h"
#include "reports/evidence/evidence.h"
#include "reports/evidence/reading.h"
#include "reports/options/nearest.h"
#include "reports/options/time_words.h"
#include "reports/timeline/timeline.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_US      INT64_C(3600000000)
#define ROWS_DEFAULT 10000
#define ROWS_MOST    200000

struct request {
    struct options options;
    const char *page, *lanes;
    uint64_t process, process_row, limit;
    MYSQL *mysql;
    MYSQL_RES *hosts;        /* number and name */
    const char *window_word; /* how the window came about; NULL: as given */
    struct timeline_question question;
    struct error_text *error;
};

/* --- what the options say --- */

static int choose_lane(struct request *request, const char *word)
{
    const char *names[TIMELINE_N_LANES];
    struct buffer hint = {.limit = 256};
    for (enum timeline_lane lane = 0; lane < TIMELINE_N_LANES; lane++) {
        names[lane] = timeline_lane_name(lane);
        if (!strcmp(word, names[lane])) {
            request->question.lanes[lane] = true;
            return 0;
        }
    }
    nearest_append(&hint, word, names, TIMELINE_N_LANES);
    error_set(request->error, 0,
              "--lanes: there is no lane \"%.60s\"%.*s; write some of sessions, processes, "
              "endpoints, files, devices, gaps and unwatched, with commas between",
              word, (int)hint.length, hint.data ? (const char *)hint.data : "");
    buffer_deinit(&hint);
    return -EINVAL;
}

static int choose_lanes(struct request *request)
{
    if (!request->lanes) {
        for (size_t lane = 0; lane < TIMELINE_N_LANES; lane++)
            request->question.lanes[lane] = true;
        return 0;
    }
    AUTO_FREE char *words = strdup(request->lanes);
    if (!words)
        return error_set(request->error, -ENOMEM, "out of memory");
    char *rest = words;
    int outcome = 0;
    for (char *word; !outcome && (word = strsep(&rest, ","));)
        outcome = choose_lane(request, word);
    /* A page shows what was not seen beside whatever it shows. */
    if (request->page)
        request->question.lanes[TIMELINE_GAPS] = request->question.lanes[TIMELINE_UNWATCHED] = true;
    return outcome;
}

static int check_options(struct request *request)
{
    if (request->page && request->options.format != OUTPUT_TABLE)
        return error_set(request->error, -EINVAL,
                         "--html is a format of its own: leave out --format");
    if (request->process && request->process_row)
        return error_set(request->error, -EINVAL,
                         "--process and --process-row: one of them says which process");
    request->question.process = request->process;
    request->question.process_row = request->process_row;
    request->question.limit = request->limit ? request->limit : ROWS_DEFAULT;
    return choose_lanes(request);
}

/* --- what the evidence has to it --- */

static uint64_t n_hosts(const struct request *request)
{
    return mysql_num_rows(request->hosts);
}

static void take_host(struct request *request, MYSQL_ROW row)
{
    request->question.host_id = strtoull(row[0], NULL, 10);
    request->question.host = row[1];
}

/* A page is of one host, and a pid; what one login user did may be told of all of them. */
static bool may_be_several(const struct request *request)
{
    return request->options.login_user && !request->page && !request->process &&
           !request->process_row;
}

static int find_hosts(struct request *request)
{
    const char *on = request->options.on;
    uint64_t host_id = 0;
    int outcome = 0;
    if (on)
        outcome = evidence_find_host(request->mysql, on, &host_id, request->error);
    if (!outcome && on)
        outcome =
            database_query(request->mysql, &request->hosts, request->error, "find the host",
                           "SELECT host_id, name FROM enrolment WHERE host_id = %" PRIu64, host_id);
    else if (!outcome)
        outcome =
            evidence_hosts(request->mysql, request->process_row, &request->hosts, request->error);
    if (!outcome && (n_hosts(request) < 2 || !may_be_several(request)))
        outcome = evidence_one_host(request->hosts, request->process_row, &host_id, request->error);
    if (outcome)
        return outcome;
    request->question.of_several = n_hosts(request) > 1;
    if (!request->question.of_several)
        take_host(request, mysql_fetch_row(request->hosts));
    return 0;
}

/* Devices know logged in users by name only. */
static int find_login_name(struct request *request)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    struct timeline_question *question = &request->question;
    int outcome = database_query(request->mysql, &result, request->error, "find the login user",
                                 "SELECT login_username FROM process WHERE login_uid = %" PRIu64
                                 " AND login_username IS NOT NULL LIMIT 1",
                                 question->login_uid);
    MYSQL_ROW row = outcome ? NULL : mysql_fetch_row(result);
    if (row && !(question->login_name = strdup(row[0])))
        return error_set(request->error, -ENOMEM, "out of memory");
    return outcome;
}

static int find_login_user(struct request *request)
{
    struct timeline_question *question = &request->question;
    question->any_login = !request->options.login_user;
    if (question->any_login)
        return 0;
    int outcome =
        evidence_find_login_user(request->mysql, request->options.login_user,
                                 question->of_several ? NULL : &question->host_id,
                                 &question->login_uid, &question->has_login_uid, request->error);
    return outcome || !question->has_login_uid ? outcome : find_login_name(request);
}

static int find_window(struct request *request)
{
    const struct options *options = &request->options;
    struct timeline_question *question = &request->question;
    question->until_us = options->has_until ? options->until_us : time_reference_now().now_us;
    question->since_us = options->since_us;
    if (options->has_since && question->since_us > question->until_us)
        return error_set(request->error, -EINVAL, "--since is in the future");
    if (options->has_since)
        return 0;
    if (question->process_row && !options->has_until) {
        request->window_word = "the life of the process and its descendants";
        return timeline_extent(request->mysql, question, &question->since_us, &question->until_us,
                               request->error);
    }
    request->window_word = "one hour, by default";
    question->since_us = question->until_us > HOUR_US ? question->until_us - HOUR_US : 0;
    return 0;
}

/* --- the answer --- */

static void tell(const struct request *request, const struct timeline *timeline, uint64_t n_events)
{
    FILE *to = output_remarks(request->options.format);
    if (request->page && !strcmp(request->page, "-"))
        to = stderr;
    if (request->question.of_several)
        fprintf(to, "All %" PRIu64 " hosts: ", n_hosts(request));
    else
        fprintf(to, "Host %s: ", request->question.host);
    fprintf(to, "%zu row%s", timeline->n_seen, timeline->n_seen == 1 ? "" : "s");
    if (!request->page)
        fprintf(to, ", %" PRIu64 " event%s", n_events, n_events == 1 ? "" : "s");
    if (request->window_word)
        fprintf(to, "; the window is %s", request->window_word);
    fputc('\n', to);
    if (timeline->is_cut) {
        char moment[TIME_TEXT_SIZE];
        time_words_format(moment, timeline->cut_us);
        fprintf(
            to,
            "Only the first %zu rows are shown: what began at %s or later is left out; ask for a "
            "shorter window, or more with --limit\n",
            timeline->n_seen, moment);
    }
}

static int answer(struct request *request, const struct timeline *timeline, uint64_t *n_rows)
{
    const struct timeline_question *question = &request->question;
    const struct evidence_window window = {.has_since = true,
                                           .has_until = true,
                                           .since_us = question->since_us,
                                           .until_us = question->until_us,
                                           .has_host = !question->of_several,
                                           .host_id = question->host_id};
    struct buffer line = BUFFER_NULL;
    int outcome = evidence_completeness(request->mysql, &window, &line, request->error);
    *n_rows = timeline->n_seen;
    if (!outcome && request->page)
        outcome = timeline_write_page(timeline, question, request->page, request->options.time_zone,
                                      buffer_slice(&line), request->error);
    else if (!outcome)
        outcome = timeline_write_text(timeline, question, request->options.format, n_rows,
                                      request->error);
    if (!outcome) {
        FILE *to = request->page && !strcmp(request->page, "-")
                       ? stderr
                       : output_remarks(request->options.format);
        tell(request, timeline, *n_rows);
        fprintf(to, "%.*s\n", (int)line.length, (const char *)line.data);
    }
    buffer_deinit(&line);
    return outcome;
}

static void end_reading(const struct request *request, struct reading *reading, uint64_t n_rows,
                        int outcome)
{
    const struct timeline_question *question = &request->question;
    const struct evidence_window window = {.has_since = question->until_us != 0,
                                           .has_until = question->until_us != 0,
                                           .since_us = question->since_us,
                                           .until_us = question->until_us,
                                           .has_host =
                                               question->host_id != 0 && !question->of_several,
                                           .host_id = question->host_id};
    reading_end(reading, &window, n_rows, outcome);
}

static int read_rows(struct request *request, struct timeline *timeline)
{
    int outcome = 0;
    mysql_data_seek(request->hosts, 0);
    for (MYSQL_ROW row; !outcome && (row = mysql_fetch_row(request->hosts));) {
        take_host(request, row);
        outcome = timeline_read(timeline, request->mysql, &request->question, request->error);
    }
    return outcome;
}

static int run(struct request *request, uint64_t *n_rows)
{
    struct reading reading = {0};
    struct timeline timeline = TIMELINE_NULL;
    int outcome = check_options(request);
    if (!outcome)
        outcome = evidence_connect(&request->mysql, &request->options, request->error);
    if (!outcome)
        outcome = reading_begin(&reading, request->mysql, &request->options, NULL, request->error);
    if (!outcome)
        outcome = find_hosts(request);
    if (!outcome)
        outcome = find_login_user(request);
    if (!outcome)
        outcome = find_window(request);
    if (!outcome)
        outcome = read_rows(request, &timeline);
    if (!outcome)
        outcome = answer(request, &timeline, n_rows);
    timeline_deinit(&timeline);
    end_reading(request, &reading, *n_rows, outcome);
    if (request->mysql)
        database_close(request->mysql);
    free(request->question.login_name);
    mysql_free_result(request->hosts);
    return outcome;
}

int timeline_command(int argc, char **argv)
{
    struct error_text error = ERROR_TEXT_NULL;
    struct request request = {.error = &error};
    const struct option_own own[] = {
        {"html",        OPTION_TEXT,   &request.page,        "FILE",
         "write one HTML page that needs no network; - is standard output",   0, 0         },
        {"lanes",       OPTION_TEXT,   &request.lanes,       "NAMES",
         "some of sessions,processes,endpoints,files,devices,gaps,unwatched", 0, 0         },
        {"process",     OPTION_NUMBER, &request.process,     "PID",
         "only the tree of this process: it, its descendants, and theirs",    1, UINT32_MAX},
        {"process-row", OPTION_NUMBER, &request.process_row, "ID",
         "the same, by the id of a row of process",                           1, INT64_MAX },
        {"limit",       OPTION_NUMBER, &request.limit,       "ROWS",
         "at most so many rows, the first ones (default 10000)",              1, ROWS_MOST },
    };
    const struct command_line line = {
        .words = "timeline",
        .summary =
            "What was alive on a host in a window (by default the last hour): sessions, "
            "processes,\n"
            "endpoints, files and devices, and what was not seen. Printed as events in the order\n"
            "of time, or written as a page in which they are drawn to scale. With --login-user\n"
            "and without --on the events are those of all hosts. The last line says how complete\n"
            "the evidence is. Exit status: 0 rows, 1 no rows, 2 error.",
        .groups = OPTIONS_STATE | OPTIONS_DATABASE | OPTIONS_OUTPUT | OPTIONS_EVIDENCE,
        .own = own,
        .n_own = sizeof(own) / sizeof(own[0]),
    };
    uint64_t n_rows = 0;
    int outcome = options_parse(&request.options, &line, argc, argv, &error);
    if (outcome == OPTIONS_HELP_SHOWN)
        return STATUS_ROWS;
    if (!outcome)
        outcome = run(&request, &n_rows);
    return command_end("timeline", command_status(outcome, n_rows ? STATUS_ROWS : STATUS_NO_ROWS),
                       &error);
}
