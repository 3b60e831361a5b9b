/* `vestige tree`: who was alive on a host at a time, or a process with its ancestors and
 * descendants. */
#include "core/cleanup.h"
#include "reports/command.h"
#include "reports/options/time_words.h"
#include "reports/tree/tree.h"

#include <inttypes.h>

#define LIMIT_DEFAULT 2000
#define LIMIT_MOST    20000
#define HOUR_US       INT64_C(3600000000)
#define DAY_US        (24 * HOUR_US)
#define IMAGES_MOST   1000
#define WINDOW_US     (7 * DAY_US) /* in which a pid is looked for */

struct tree_options {
    const char *at;
    uint64_t pid, row, limit;
};

struct answer {
    const struct options *options;
    const struct tree_options *own;
    struct inquiry inquiry;
    struct tree tree;
    int64_t at_us;
    uint64_t n_same_pid; /* processes that had the pid in the window */
    size_t n;
};

static int check_words(const struct options *options, const struct tree_options *own,
                       struct error_text *error)
{
    if (own->pid && own->row)
        return error_set(error, -EINVAL, "give --process or --process-row, not both");
    if (own->row && own->at)
        return error_set(error, -EINVAL,
                         "--at says which process a pid is; --process-row needs none");
    if (!own->pid && !own->row && (options->has_since || options->has_until))
        return error_set(error, -EINVAL,
                         "--since and --until are for --process; who was alive is asked with --at "
                         "TIME");
    return 0;
}

/* Without --on there must be no doubt. */
static int choose_host(struct inquiry *inquiry, uint64_t process_row)
{
    MYSQL_RES *hosts AUTO_RESULT = NULL;
    uint64_t host_id = 0;
    if (inquiry->window.has_host)
        return 0;
    int outcome = evidence_hosts(inquiry->mysql, process_row, &hosts, inquiry->error);
    if (!outcome)
        outcome = evidence_one_host(hosts, process_row, &host_id, inquiry->error);
    inquiry->window.has_host = true;
    inquiry->window.host_id = host_id;
    inquiry_set_number(inquiry, "host_id", host_id);
    return outcome;
}

static int read_times(struct answer *answer)
{
    struct inquiry *inquiry = &answer->inquiry;
    const struct options *options = answer->options;
    answer->at_us = options->has_until ? options->until_us : inquiry->now_us;
    int outcome = 0;
    if (answer->own->at)
        outcome = inquiry_read_moment("--at", answer->own->at, &answer->at_us, inquiry->error);
    if (!outcome && options->has_since && options->since_us > answer->at_us)
        outcome = error_set(inquiry->error, -EINVAL, "--since is after %s",
                            answer->own->at ? "--at" : "now");
    inquiry_set_moment(inquiry, "at", answer->at_us);
    inquiry_set_day(inquiry, "at_day", answer->at_us + HOUR_US);
    inquiry_set_moment(inquiry, "now", inquiry->now_us);
    return outcome;
}

/* The process with this pid that was alive at the time, else the last one before. */
static int find_pid(struct answer *answer, uint64_t *id, bool *has)
{
    struct inquiry *inquiry = &answer->inquiry;
    int64_t since =
        answer->options->has_since ? answer->options->since_us : answer->at_us - WINDOW_US;
    inquiry_window(inquiry, since, answer->at_us);
    inquiry_set_number(inquiry, "pid", answer->own->pid);
    int outcome = inquiry_number(inquiry,
                                 "SELECT id FROM process WHERE host_id = :host_id AND pid = :pid "
                                 "AND day <= :at_day AND created_at <= :at AND (destroyed_at IS "
                                 "NULL OR destroyed_at >= :since) ORDER BY created_at DESC, id "
                                 "DESC LIMIT 1",
                                 "look up the process", id, has);
    if (!outcome && *has)
        outcome = inquiry_number(inquiry,
                                 "SELECT COUNT(*) FROM process WHERE host_id = :host_id AND pid = "
                                 ":pid AND day <= :at_day AND created_at <= :at AND (destroyed_at "
                                 "IS NULL OR destroyed_at >= :since) AND previous_id IS NULL",
                                 "look up the process", &answer->n_same_pid, &(bool){false});
    return outcome;
}

static int find_row(struct answer *answer, uint64_t *id, bool *has)
{
    struct inquiry *inquiry = &answer->inquiry;
    inquiry_set_number(inquiry, "id", answer->own->row);
    inquiry_set_day(inquiry, "id_day", (int64_t)answer->own->row);
    return inquiry_number(inquiry,
                          "SELECT id FROM process WHERE host_id = :host_id AND id = :id AND day = "
                          ":id_day",
                          "look up the process", id, has);
}

/* Of the images of a process the first: :id becomes that. */
static int find_first_image(struct inquiry *inquiry, uint64_t id)
{
    bool has = true;
    int outcome = 0;
    for (int i = 0; has && !outcome && i < IMAGES_MOST; i++) {
        inquiry_set_number(inquiry, "id", id);
        inquiry_set_day(inquiry, "id_day", (int64_t)id);
        outcome = inquiry_number(inquiry,
                                 "SELECT q.id FROM process p JOIN process q ON q.host_id = "
                                 "p.host_id AND q.id = p.previous_id AND q.day = DATE('1970-01-01' "
                                 "+ INTERVAL p.previous_id DIV 1000000 SECOND) WHERE p.host_id = "
                                 ":host_id AND p.id = :id AND p.day = :id_day",
                                 "look up the process", &id, &has);
    }
    return outcome;
}

/* From the beginning of the process to --until or now. */
static int set_window(struct answer *answer)
{
    struct inquiry *inquiry = &answer->inquiry;
    const struct options *options = answer->options;
    uint64_t since = 0;
    bool has;
    int outcome = inquiry_number(inquiry,
                                 "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', "
                                 "created_at) FROM process WHERE host_id = :host_id AND id = :id "
                                 "AND day = :id_day",
                                 "look up the process", &since, &has);
    int64_t until = options->has_until ? options->until_us : inquiry->now_us;
    int64_t begin = options->has_since ? options->since_us : (int64_t)since;
    inquiry_window(inquiry, begin < until ? begin : until, until);
    return outcome;
}

static int ask_around(struct answer *answer)
{
    struct inquiry *inquiry = &answer->inquiry;
    uint64_t id = 0;
    bool has = false;
    int outcome = answer->own->pid ? find_pid(answer, &id, &has) : find_row(answer, &id, &has);
    if (outcome || !has)
        return outcome;
    outcome = find_first_image(inquiry, id);
    if (!outcome)
        outcome = set_window(answer);
    if (!outcome)
        outcome = tree_ask_around(&answer->tree, inquiry, id);
    if (!outcome)
        outcome = tree_link(&answer->tree, inquiry);
    if (!outcome)
        outcome = tree_ask_endpoints_of_all(&answer->tree, inquiry);
    return outcome;
}

static int ask_alive(struct answer *answer)
{
    struct inquiry *inquiry = &answer->inquiry;
    inquiry_window(inquiry, answer->at_us, answer->at_us);
    int outcome = tree_ask_alive(&answer->tree, inquiry);
    if (!outcome)
        outcome = tree_link(&answer->tree, inquiry);
    if (!outcome)
        outcome = tree_ask_endpoints_alive(&answer->tree, inquiry);
    return outcome;
}

static void tell_frame(const struct answer *answer)
{
    const struct evidence_window *window = &answer->inquiry.window;
    FILE *to = output_remarks(answer->options->format);
    char since[TIME_TEXT_SIZE], until[TIME_TEXT_SIZE];
    time_words_format(since, window->since_us);
    time_words_format(until, window->until_us);
    fprintf(to, "%zu process%s", answer->n, answer->n == 1 ? "" : "es");
    if (answer->own->pid || answer->own->row)
        fprintf(to, "; from %s to %s", since, until);
    else
        fprintf(to, " alive at %s", until);
    fprintf(to, "%s\n",
            !answer->own->at && !answer->options->has_since && !answer->options->has_until
                ? " (default)"
                : "");
    if (answer->n_same_pid > 1)
        fprintf(to,
                "%" PRIu64 " processes had pid %" PRIu64 " in that time; this is the last one: "
                "others with --at TIME or --process-row ID\n",
                answer->n_same_pid, answer->own->pid);
    if (answer->tree.is_cut)
        fprintf(to, "Cut after %" PRIu64 " processes, the oldest: more with --limit (at most %d)\n",
                answer->own->limit, LIMIT_MOST);
    if (answer->tree.endpoints_cut)
        fprintf(to, "Cut after %d endpoints\n", TREE_ENDPOINTS_MOST);
}

static int run(struct answer *answer, struct error_text *error)
{
    int outcome = inquiry_open(&answer->inquiry, answer->options, error);
    if (!outcome)
        outcome = choose_host(&answer->inquiry, answer->own->row);
    if (!outcome)
        outcome = read_times(answer);
    if (!outcome)
        outcome = database_run(answer->inquiry.mysql, error, "set up the session",
                               "SET SESSION max_recursive_iterations = %d", LIMIT_MOST);
    if (!outcome)
        outcome = answer->own->pid || answer->own->row ? ask_around(answer) : ask_alive(answer);
    if (!outcome)
        outcome = tree_print(&answer->tree, answer->options, &answer->n, error);
    if (outcome)
        return outcome;
    tell_frame(answer);
    outcome = inquiry_tell_completeness(&answer->inquiry);
    if (!outcome)
        inquiry_answered(&answer->inquiry, answer->n);
    return outcome;
}

int tree_command(int argc, char **argv)
{
    struct tree_options own = {.limit = LIMIT_DEFAULT};
    const struct option_own own_options[] = {
        {"at",          OPTION_TEXT,   &own.at,    "TIME", "who was alive then (default now)",          0, 0},
        {"process",     OPTION_NUMBER, &own.pid,   "PID",  "around the process that had this pid then", 1,
         UINT32_MAX                                                                                         },
        {"process-row", OPTION_NUMBER, &own.row,   "ID",   "around the process of this row",            1,
         INT64_MAX                                                                                          },
        {"limit",       OPTION_NUMBER, &own.limit, "N",    "show at most N processes (default 2000)",   1,
         LIMIT_MOST                                                                                         },
    };
    const struct command_line line = {
        .words = "tree",
        .summary =
            "The processes of a host at a time, or a process with its ancestors and all its\n"
            "descendants, dead ones too; below each what it listens on and talks to. What a "
            "process\n"
            "became by exec is below what it was. --login-user leaves out what is not of that "
            "user\n"
            "and not above it. Exit status: 0 processes, 1 none, 2 error.",
        .groups = OPTIONS_STATE | OPTIONS_DATABASE | OPTIONS_OUTPUT | OPTIONS_EVIDENCE,
        .own = own_options,
        .n_own = sizeof(own_options) / sizeof(own_options[0]),
    };
    struct options options;
    struct error_text error = ERROR_TEXT_NULL;
    struct answer answer = {.options = &options, .own = &own};
    int outcome = options_parse(&options, &line, argc, argv, &error);
    if (outcome == OPTIONS_HELP_SHOWN)
        return STATUS_ROWS;
    if (!outcome)
        outcome = check_words(&options, &own, &error);
    answer.tree.limit = own.limit;
    if (!outcome)
        outcome = run(&answer, &error);
    tree_deinit(&answer.tree);
    inquiry_close(&answer.inquiry);
    return command_end("tree", command_status(outcome, answer.n ? STATUS_ROWS : STATUS_NO_ROWS),
                       &error);
}
