/* `vestige user NAME`: the accountability report of one login user. */
#include "core/cleanup.h"
#include "reports/command.h"
#include "reports/user/user_report.h"

#include <inttypes.h>

#define LIMIT_DEFAULT 50
#define LIMIT_MOST    1000
#define WINDOW_US     (7 * 24 * INT64_C(3600000000))

struct user_options {
    const char *html;
    uint64_t limit;
};

static bool is_all_digits(const char *word)
{
    return *word && word[strspn(word, "0123456789")] == '\0';
}

/* A person who has an account but never logged in is known, too. */
static int find_person(struct inquiry *inquiry, const char *word)
{
    uint64_t n = 0, uid = 0;
    bool is_set = false;
    inquiry_set_text(inquiry, "name", slice_text(word));
    inquiry_set_null(inquiry, "uid");
    int outcome = inquiry_number(inquiry, "SELECT COUNT(*) FROM account WHERE username = :name",
                                 "look up the account", &n, &is_set);
    if (outcome || n)
        return outcome;
    outcome = evidence_find_login_user(inquiry->mysql, word,
                                       inquiry->window.has_host ? &inquiry->window.host_id : NULL,
                                       &uid, &is_set, inquiry->error);
    if (outcome)
        return outcome;
    if (!is_set)
        return error_set(inquiry->error, -EINVAL,
                         "unset is no user: see vestige report --tag unattributed for work that "
                         "nobody logged in for");
    if (is_all_digits(word))
        inquiry_set_null(inquiry, "name");
    inquiry_set_number(inquiry, "uid", uid);
    return 0;
}

static int find_numbers(struct inquiry *inquiry)
{
    static const char *const names[] = {"u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7"};
    enum { N = sizeof(names) / sizeof(names[0]) };
    struct statement *statement AUTO_STATEMENT = NULL;
    const struct slice *values;
    uint64_t numbers[N] = {0};
    size_t n = 0;
    int outcome = inquiry_ask(inquiry, &statement, user_numbers, "look up the numbers of the user");
    if (outcome)
        return outcome;
    for (; (outcome = statement_next(statement, &values, inquiry->error)) == STATEMENT_ROW; n++)
        if (n < N)
            numbers[n] = inquiry_u64(values[0]);
    inquiry_set_number(inquiry, "many", n > N);
    for (size_t i = 0; i < N; i++)
        if (n)
            inquiry_set_number(inquiry, names[i], numbers[i < n ? i : 0]);
        else
            inquiry_set_null(inquiry, names[i]);
    return outcome;
}

/* "alice: number 1001 on web1 and 17 more hosts, 1005 on db1" */
static int describe(struct user_report *report, const char *word)
{
    struct statement *statement AUTO_STATEMENT = NULL;
    struct inquiry *inquiry = report->inquiry;
    const struct slice *values;
    const char *between = ": number ";
    int outcome = inquiry_ask(inquiry, &statement,
                              "SELECT a.uid, MIN(h.name), COUNT(DISTINCT a.host_id) - 1 FROM "
                              "account a JOIN enrolment h ON h.host_id = a.host_id WHERE "
                              "a.username = :name AND a.uid IS NOT NULL AND (:host_id IS NULL OR "
                              "a.host_id = :host_id) GROUP BY a.uid ORDER BY 2, 1",
                              "look up accounts");
    if (outcome)
        return outcome;
    buffer_printf(&report->who, "Login user %s", word);
    while ((outcome = statement_next(statement, &values, inquiry->error)) == STATEMENT_ROW) {
        buffer_append_text(&report->who, between);
        buffer_append_slice(&report->who, values[0]);
        buffer_append_text(&report->who, " on ");
        buffer_append_slice(&report->who, values[1]);
        uint64_t more = inquiry_u64(values[2]);
        if (more)
            buffer_printf(&report->who, " and %" PRIu64 " more host%s", more, more == 1 ? "" : "s");
        between = ", ";
    }
    return outcome;
}

static int write_report(struct user_report *report, const struct user_options *own)
{
    if (own->html)
        return user_write_page(report, own->html);
    switch (report->options->format) {
    case OUTPUT_JSON:
        return user_write_json(report);
    case OUTPUT_CSV:
        return user_write_csv(report);
    default:
        return user_write_text(report);
    }
}

static int tell_page(struct user_report *report, const char *path)
{
    struct buffer line = BUFFER_NULL;
    int outcome = inquiry_completeness(report->inquiry, &line);
    FILE *to = strcmp(path, "-") ? stdout : stderr;
    if (!outcome && strcmp(path, "-"))
        fprintf(to, "%s: %" PRIu64 " sentences about %s\n", path, report->n_facts, report->name);
    if (!outcome)
        fprintf(to, "%.*s\n", (int)line.length, (const char *)line.data);
    buffer_deinit(&line);
    return outcome;
}

static int run(const struct options *options, const struct user_options *own, uint64_t *n_facts,
               struct error_text *error)
{
    AUTO_INQUIRY struct inquiry inquiry = {0};
    const char *word = options->arguments[0];
    char name[300];
    int outcome = inquiry_open(&inquiry, options, error);
    if (!outcome)
        outcome = inquiry_default_window(&inquiry, WINDOW_US);
    if (!outcome)
        outcome = find_person(&inquiry, word);
    if (outcome)
        return outcome;
    inquiry_set_moment(&inquiry, "now", inquiry.now_us);
    snprintf(name, sizeof(name), "%s%s", is_all_digits(word) ? "user " : "", word);
    struct user_report report = {.options = options,
                                 .inquiry = &inquiry,
                                 .name = name,
                                 .limit = own->limit,
                                 .is_default_window = !options->has_since && !options->has_until};
    outcome = find_numbers(&inquiry);
    if (!outcome)
        outcome = describe(&report, word);
    if (!outcome)
        outcome = write_report(&report, own);
    if (!outcome)
        outcome = own->html ? tell_page(&report, own->html) : inquiry_tell_completeness(&inquiry);
    *n_facts = report.n_facts;
    if (!outcome)
        inquiry_answered(&inquiry, *n_facts);
    buffer_deinit(&report.who);
    return outcome;
}

int user_command(int argc, char **argv)
{
    struct user_options own = {.limit = LIMIT_DEFAULT};
    const struct option_own own_options[] = {
        {"html",  OPTION_TEXT,   &own.html,  "FILE",
         "write one self-contained page to FILE (- is standard output)",                           0, 0},
        {"limit", OPTION_NUMBER, &own.limit, "N",    "at most N sentences of a kind (default 50)", 1,
         LIMIT_MOST                                                                                    },
    };
    const struct command_line line = {
        .words = "user NAME",
        .summary =
            "The accountability report of one login user (name or number): sessions, privilege\n"
            "changes, programs, sensitive files, network, devices, failed attempts, kernel "
            "events,\n"
            "findings, and what is not known, in sentences, each with the keys of the rows behind\n"
            "it. Without --since the last 7 days. Exit status: 0 something was recorded, 1 "
            "nothing,\n"
            "2 error.",
        .groups = OPTIONS_STATE | OPTIONS_DATABASE | OPTIONS_OUTPUT | OPTIONS_EVIDENCE,
        .own = own_options,
        .n_own = sizeof(own_options) / sizeof(own_options[0]),
        .least_arguments = 1,
        .most_arguments = 1,
    };
    struct options options;
    struct error_text error = ERROR_TEXT_NULL;
    uint64_t n_facts = 0;
    int outcome = options_parse(&options, &line, argc, argv, &error);
    if (outcome == OPTIONS_HELP_SHOWN)
        return STATUS_ROWS;
    if (!outcome && options.login_user)
        outcome = error_set(&error, -EINVAL, "NAME is the login user; leave out --login-user");
    if (!outcome && own.html && options.format != OUTPUT_TABLE)
        outcome = error_set(&error, -EINVAL, "--html is a format of its own: leave out --format");
    if (!outcome)
        outcome = run(&options, &own, &n_facts, &error);
    return command_end("user", command_status(outcome, n_facts ? STATUS_ROWS : STATUS_NO_ROWS),
                       &error);
}
