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
#define HOSTS_SHOWN  20

struct request {
    struct options options;
    const char *page, *lanes;
    uint64_t process, process_row, limit;
    MYSQL *mysql;
    char *host;
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

static int refuse_many_hosts(struct request *request, MYSQL_RES *result)
{
    struct buffer names = {.limit = 300};
    unsigned long long n = mysql_num_rows(result);
    size_t shown = 0;
    for (MYSQL_ROW row; shown < HOSTS_SHOWN && (row = mysql_fetch_row(result)); shown++)
        buffer_printf(&names, "%s%s", shown ? ", " : "", row[1]);
    error_set(request->error, 0, "the evidence is of %llu hosts; say which with --on: %.*s%s", n,
              (int)names.length, (const char *)names.data, shown < n ? " ..." : "");
    buffer_deinit(&names);
    return -EINVAL;
}

static int keep_host(struct request *request, const char *id, const char *name)
{
    request->question.host_id = strtoull(id, NULL, 10);
    request->host = strdup(name);
    request->question.host = request->host;
    return request->host ? 0 : error_set(request->error, -ENOMEM, "out of memory");
}

static int find_host(struct request *request)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    uint64_t host_id = 0;
    int outcome = 0;
    const char *on = request->options.on;
    if (on)
        outcome = evidence_find_host(request->mysql, on, &host_id, request->error);
    if (!outcome)
        outcome = database_query(request->mysql, &result, request->error, "find the host",
                                 "SELECT host_id, name FROM enrolment"
                                 " WHERE %d OR host_id = %" PRIu64 " ORDER BY name",
                                 on == NULL, host_id);
    if (outcome)
        return outcome;
    if (mysql_num_rows(result) > 1)
        return refuse_many_hosts(request, result);
    MYSQL_ROW row = mysql_fetch_row(result);
    if (!row)
        return error_set(request->error, -ENOENT, "the evidence is of no host: none is enrolled");
    return keep_host(request, row[0], row[1]);
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
        evidence_find_login_user(request->mysql, request->options.login_user, &question->host_id,
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
    fprintf(to, "Host %s: %zu row%s", request->question.host, timeline->n_seen,
            timeline->n_seen == 1 ? "" : "s");
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
                                           .has_host = true,
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
                                           .has_host = question->host_id != 0,
                                           .host_id = question->host_id};
    reading_end(reading, &window, n_rows, outcome);
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
        outcome = find_host(request);
    if (!outcome)
        outcome = find_login_user(request);
    if (!outcome)
        outcome = find_window(request);
    if (!outcome)
        outcome = timeline_read(&timeline, request->mysql, &request->question, request->error);
    if (!outcome)
        outcome = answer(request, &timeline, n_rows);
    timeline_deinit(&timeline);
    end_reading(request, &reading, *n_rows, outcome);
    if (request->mysql)
        database_close(request->mysql);
    free(request->question.login_name);
    free(request->host);
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
            "What was alive on a host in a window (by default the last hour): sessions, processes, "
            "endpoints,\nfiles and devices, and what was not seen. Printed as events in time "
            "order, "
            "or written as a\npage in which they are drawn to scale. The last line says how "
            "complete "
            "the evidence is.\nExit status: 0 rows, 1 no rows, 2 error.",
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
    return command_end("timeline",
                       outcome  ? outcome
                       : n_rows ? STATUS_ROWS
                                : STATUS_NO_ROWS,
                       &error);
}
