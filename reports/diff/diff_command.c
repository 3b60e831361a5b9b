/* `vestige diff`: the state of a host at two times, or of two hosts at one. For each section both
 * states are asked for, in the order of their items, over two connections, and merged as they
 * arrive: however large they are, one row of each is in memory. */
#include "core/cleanup.h"
#include "reports/command.h"
#include "reports/diff/diff_sections.h"
#include "reports/evidence/inquiry.h"
#include "reports/options/nearest.h"
#include "reports/options/time_words.h"
#include "reports/output/safe_text.h"

#include <inttypes.h>

#define LIMIT_DEFAULT 1000
#define LIMIT_MOST    UINT64_C(1000000000)
#define HOUR_US       INT64_C(3600000000)

enum { BEFORE, AFTER, SIDES };
enum column { ITEM, DETAIL, ROW_HOST_ID, ROW_ID, COLUMNS };

/* One state: of a host at a moment. */
struct side {
    struct inquiry inquiry;
    const char *host; /* as the user wrote it */
    uint64_t host_id;
    int64_t at_us;
    struct statement *statement;
    const struct slice *values; /* the row at hand; NULL: there are no more */
};

struct diff {
    const struct options *options;
    struct error_text *error;
    struct side sides[SIDES];
    bool is_chosen[DIFF_SECTIONS_MAX];
    uint64_t limit;
    struct output *output; /* NULL for the table format */
    uint64_t n_differences;
    uint64_t n_same, n_here; /* of the section at hand */
    bool is_cut;
};

/* The words of the command line */

static int choose_sections(struct diff *diff, const char *only)
{
    for (size_t i = 0; i < diff_sections_n; i++)
        diff->is_chosen[i] = !only;
    for (const char *at = only; at && (*at || at == only);) {
        size_t length = strcspn(at, ","), i = 0;
        while (i < diff_sections_n && (strlen(diff_sections[i].name) != length ||
                                       strncmp(diff_sections[i].name, at, length) != 0))
            i++;
        if (i == diff_sections_n) {
            const char *names[DIFF_SECTIONS_MAX];
            char word[64];
            struct buffer hint = {.limit = 256};
            for (i = 0; i < diff_sections_n; i++)
                names[i] = diff_sections[i].name;
            snprintf(word, sizeof(word), "%.*s", (int)length, at);
            nearest_append(&hint, word, names, diff_sections_n);
            error_set(diff->error, 0,
                      "--only: there is no section \"%s\"%.*s (accounts, groups, members, "
                      "listeners, devices, addresses, routes, programs, sessions, host)",
                      word, (int)hint.length, hint.data ? (const char *)hint.data : "");
            buffer_deinit(&hint);
            return -EINVAL;
        }
        diff->is_chosen[i] = true;
        at += length + (at[length] == ',');
    }
    return 0;
}

static int read_words(struct diff *diff, const char *at)
{
    const struct options *options = diff->options;
    struct side *before = &diff->sides[BEFORE], *after = &diff->sides[AFTER];
    char *const *words = options->arguments;
    int64_t at_us = time_reference_now().now_us;
    int outcome = at ? inquiry_read_moment("--at", at, &at_us, diff->error) : 0;
    before->at_us = after->at_us = at_us;
    before->host = options->on ? options->on : words[0];
    after->host = options->on ? options->on : words[1];
    if (outcome || !options->on)
        return outcome;
    if (at)
        return error_set(diff->error, -EINVAL,
                         "--at is the time at which two hosts are compared; with --on write two "
                         "times: vestige diff --on HOST T1 T2");
    outcome = inquiry_read_moment("the first time", words[0], &before->at_us, diff->error);
    if (!outcome)
        outcome = inquiry_read_moment("the second time", words[1], &after->at_us, diff->error);
    if (!outcome && before->at_us > after->at_us)
        outcome = error_set(diff->error, -EINVAL, "the first time is after the second");
    return outcome;
}

static bool is_one_host(const struct diff *diff)
{
    return diff->sides[BEFORE].host_id == diff->sides[AFTER].host_id;
}

static int open_side(struct diff *diff, struct side *side)
{
    struct inquiry *inquiry = &side->inquiry;
    int outcome = inquiry_open(inquiry, diff->options, diff->error);
    if (!outcome)
        outcome = evidence_find_host(inquiry->mysql, side->host, &side->host_id, diff->error);
    if (outcome)
        return outcome;
    inquiry_set_number(inquiry, "host_id", side->host_id);
    inquiry_set_moment(inquiry, "at", side->at_us);
    inquiry_set_day(inquiry, "at_day", side->at_us + HOUR_US);
    inquiry->window.has_host = true;
    inquiry->window.host_id = side->host_id;
    return 0;
}

/* Two streams of rows */

static int step(struct diff *diff, struct side *side)
{
    int outcome = statement_next(side->statement, &side->values, diff->error);
    if (outcome == STATEMENT_END)
        side->values = NULL;
    return outcome < 0 ? outcome : 0;
}

static int begin(struct diff *diff, struct side *side, const struct diff_section *section)
{
    char doing[64];
    snprintf(doing, sizeof(doing), "compare %s", section->name);
    inquiry_set_number(&side->inquiry, "one_host", is_one_host(diff));
    int outcome = inquiry_ask(&side->inquiry, &side->statement, section->sql, doing);
    return outcome ? outcome : step(diff, side);
}

static int compare_bytes(struct slice a, struct slice b)
{
    size_t shorter = a.length < b.length ? a.length : b.length;
    int order = shorter ? memcmp(a.data, b.data, shorter) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

/* Negative: only before has this item. Positive: only after has it. */
static int order_of(const struct diff *diff)
{
    const struct slice *before = diff->sides[BEFORE].values, *after = diff->sides[AFTER].values;
    if (!before || !after)
        return before ? -1 : 1;
    return compare_bytes(before[ITEM], after[ITEM]);
}

/* Output */

static const struct output_column columns[] = {
    {"section",            OUTPUT_TEXT,   NULL},
    {"change",             OUTPUT_TEXT,   NULL},
    {"item",               OUTPUT_TEXT,   NULL},
    {"before",             OUTPUT_TEXT,   NULL},
    {"after",              OUTPUT_TEXT,   NULL},
    {"row_table",          OUTPUT_TEXT,   NULL},
    {"row_host_id_before", OUTPUT_NUMBER, NULL},
    {"row_id_before",      OUTPUT_NUMBER, NULL},
    {"row_host_id_after",  OUTPUT_NUMBER, NULL},
    {"row_id_after",       OUTPUT_NUMBER, NULL},
};

enum { N_COLUMNS = sizeof(columns) / sizeof(columns[0]) };

static struct slice cell(const struct slice *row, enum column column)
{
    return row ? row[column] : SLICE_NULL;
}

static int write_flat(struct diff *diff, const struct diff_section *section,
                      const struct slice *before, const struct slice *after)
{
    const char *change = !before ? "appeared" : !after ? "vanished" : "changed";
    struct slice values[N_COLUMNS] = {
        slice_text(section->name), slice_text(change),   cell(before ? before : after, ITEM),
        cell(before, DETAIL),      cell(after, DETAIL),  slice_text(section->table),
        cell(before, ROW_HOST_ID), cell(before, ROW_ID), cell(after, ROW_HOST_ID),
        cell(after, ROW_ID),
    };
    return output_row(diff->output, values);
}

static void append_detail(struct buffer *line, const char *between, struct slice detail)
{
    if (!detail.length)
        return;
    buffer_append_text(line, between);
    safe_text_append(line, detail);
}

static int write_line(struct diff *diff, const struct diff_section *section,
                      const struct slice *before, const struct slice *after)
{
    struct buffer line = BUFFER_NULL;
    if (!diff->n_here)
        printf("%s\n", section->name);
    buffer_append_text(&line, !before ? "  + " : !after ? "  - " : "  ~ ");
    safe_text_append(&line, cell(before ? before : after, ITEM));
    append_detail(&line, ": ", cell(before ? before : after, DETAIL));
    if (before && after)
        append_detail(&line, " -> ", after[DETAIL].length ? after[DETAIL] : slice_text("nothing"));
    buffer_append_byte(&line, '\n');
    int outcome = line.failed ? -ENOMEM : 0;
    if (!outcome && fwrite(line.data, 1, line.length, stdout) != line.length)
        outcome = errno ? -errno : -EIO;
    buffer_deinit(&line);
    return outcome;
}

static int write_difference(struct diff *diff, const struct diff_section *section,
                            const struct slice *before, const struct slice *after)
{
    if (diff->n_here == diff->limit) {
        diff->is_cut = true;
        return 0;
    }
    int outcome = diff->output ? write_flat(diff, section, before, after)
                               : write_line(diff, section, before, after);
    diff->n_here++;
    if (outcome)
        return error_set(diff->error, outcome, "the differences cannot be written: %s",
                         strerror(-outcome));
    return 0;
}

static int merge_one(struct diff *diff, const struct diff_section *section)
{
    struct side *before = &diff->sides[BEFORE], *after = &diff->sides[AFTER];
    int order = order_of(diff), outcome = 0;
    if (order || !slice_equal(before->values[DETAIL], after->values[DETAIL]))
        outcome = write_difference(diff, section, order <= 0 ? before->values : NULL,
                                   order >= 0 ? after->values : NULL);
    else
        diff->n_same++;
    if (!outcome && order <= 0)
        outcome = step(diff, before);
    if (!outcome && order >= 0)
        outcome = step(diff, after);
    return outcome;
}

static int merge(struct diff *diff, const struct diff_section *section)
{
    diff->n_same = diff->n_here = 0;
    int outcome = begin(diff, &diff->sides[BEFORE], section);
    if (!outcome)
        outcome = begin(diff, &diff->sides[AFTER], section);
    while (!outcome && !diff->is_cut && (diff->sides[BEFORE].values || diff->sides[AFTER].values))
        outcome = merge_one(diff, section);
    for (int i = 0; i < SIDES; i++)
        diff->sides[i].statement = statement_free(diff->sides[i].statement);
    if (outcome)
        return outcome;
    FILE *remarks = output_remarks(diff->options->format);
    if (diff->is_cut)
        fprintf(remarks, "%s: cut after %" PRIu64 " differences: more with --limit\n",
                section->name, diff->limit);
    else if (!diff->output && !diff->n_here)
        printf("%s: no difference (%" PRIu64 " the same)\n", section->name, diff->n_same);
    diff->is_cut = false;
    diff->n_differences += diff->n_here;
    return 0;
}

/* What was compared, and what it rests on */

static void tell_frame(const struct diff *diff)
{
    const struct side *before = &diff->sides[BEFORE], *after = &diff->sides[AFTER];
    char one[TIME_TEXT_SIZE], other[TIME_TEXT_SIZE];
    FILE *to = output_remarks(diff->options->format);
    time_words_format(one, before->at_us);
    time_words_format(other, after->at_us);
    if (diff->options->on)
        fprintf(to, "Host %s: - only at %s, + only at %s, ~ changed\n", before->host, one, other);
    else
        fprintf(to, "At %s: - only on %s, + only on %s, ~ differs\n", one, before->host,
                after->host);
}

/* A state of which nothing was recorded is empty, and would make all of the other one a difference.
 */
static int tell_unwatched(struct diff *diff, struct side *side)
{
    uint64_t n = 0;
    bool has;
    char at[TIME_TEXT_SIZE];
    int outcome = inquiry_number(
        &side->inquiry,
        "SELECT COUNT(*) FROM coverage WHERE host_id = :host_id AND day <= :at_day AND "
        "created_at <= :at AND (destroyed_at IS NULL OR destroyed_at > :at)",
        "look up what was watched", &n, &has);
    time_words_format(at, side->at_us);
    if (!outcome && !n)
        fprintf(
            output_remarks(diff->options->format),
            "Nothing of host %s was watched at %s: its state then is what was left open before\n",
            side->host, at);
    return outcome;
}

/* Which of two hosts a line is about, it says at its end. */
static int tell_of(const struct diff *diff, struct side *side)
{
    struct buffer line = BUFFER_NULL;
    int outcome = inquiry_completeness(&side->inquiry, &line);
    if (!outcome)
        fprintf(output_remarks(diff->options->format), "%.*s (host %s)\n", (int)line.length,
                (const char *)line.data, side->host);
    buffer_deinit(&line);
    return outcome;
}

static int tell_completeness(struct diff *diff)
{
    struct side *before = &diff->sides[BEFORE], *after = &diff->sides[AFTER];
    inquiry_window(&before->inquiry, before->at_us, after->at_us);
    inquiry_window(&after->inquiry, before->at_us, after->at_us);
    if (is_one_host(diff))
        return inquiry_tell_completeness(&before->inquiry);
    int outcome = tell_of(diff, before);
    return outcome ? outcome : tell_of(diff, after);
}

static int compare(struct diff *diff)
{
    int outcome = 0;
    if (diff->options->format != OUTPUT_TABLE &&
        output_new(&diff->output, diff->options->format, stdout, columns, N_COLUMNS))
        return error_set(diff->error, -ENOMEM, "out of memory");
    tell_frame(diff);
    for (size_t i = 0; i < SIDES && !outcome; i++)
        outcome = tell_unwatched(diff, &diff->sides[i]);
    for (size_t i = 0; i < diff_sections_n && !outcome; i++)
        if (diff->is_chosen[i])
            outcome = merge(diff, &diff_sections[i]);
    if (!outcome && diff->output && (outcome = output_finish(diff->output)))
        error_set(diff->error, outcome, "the differences cannot be written: %s",
                  strerror(-outcome));
    if (outcome && !diff->output)
        printf("Not all differences: an error ended them here\n");
    diff->output = output_free(diff->output);
    if (!outcome)
        outcome = inquiry_flush("the differences", diff->error);
    return outcome ? outcome : tell_completeness(diff);
}

static int run(struct diff *diff, const char *at, const char *only)
{
    int outcome = choose_sections(diff, only);
    if (!outcome)
        outcome = read_words(diff, at);
    for (int i = 0; i < SIDES && !outcome; i++)
        outcome = open_side(diff, &diff->sides[i]);
    if (!outcome)
        outcome = compare(diff);
    for (int i = 0; i < SIDES && !outcome; i++)
        inquiry_answered(&diff->sides[i].inquiry, diff->n_differences);
    for (int i = 0; i < SIDES; i++)
        inquiry_close(&diff->sides[i].inquiry);
    return outcome;
}

static int refuse_window(const struct options *options, struct error_text *error)
{
    if (options->has_since || options->has_until || options->login_user)
        return error_set(error, -EINVAL,
                         "--since, --until and --login-user have no meaning here; write two times "
                         "(diff --on HOST T1 T2) or --at TIME");
    return 0;
}

int diff_command(int argc, char **argv)
{
    struct diff diff = {.limit = LIMIT_DEFAULT};
    const char *at = NULL, *only = NULL;
    const struct option_own own[] = {
        {"at",    OPTION_TEXT,   &at,         "TIME", "compare two hosts at this time (default now)", 0, 0         },
        {"only",  OPTION_TEXT,   &only,       "LIST",
         "only these sections, with commas between: accounts, groups, ...",                           0, 0         },
        {"limit", OPTION_NUMBER, &diff.limit, "N",
         "show at most N differences a section (default 1000)",                                       1, LIMIT_MOST},
    };
    const struct command_line line = {
        .words = "diff --on HOST T1 T2 | HOST1 HOST2",
        .summary =
            "What appeared (+), vanished (-) and changed (~) between two times of a host, or "
            "differs\n"
            "between two hosts at one time: accounts, groups, members, listeners, devices,\n"
            "addresses, routes, programs, sessions, host. Times are written as for --since of the\n"
            "other commands. Exit status: 0 differences, 1 none, 2 error.",
        .groups = OPTIONS_STATE | OPTIONS_DATABASE | OPTIONS_OUTPUT | OPTIONS_EVIDENCE,
        .own = own,
        .n_own = sizeof(own) / sizeof(own[0]),
        .least_arguments = 2,
        .most_arguments = 2,
    };
    struct options options;
    struct error_text error = ERROR_TEXT_NULL;
    diff.options = &options;
    diff.error = &error;
    int outcome = options_parse(&options, &line, argc, argv, &error);
    if (outcome == OPTIONS_HELP_SHOWN)
        return STATUS_ROWS;
    if (!outcome)
        outcome = refuse_window(&options, &error);
    if (!outcome)
        outcome = run(&diff, at, only);
    return command_end(
        "diff", command_status(outcome, diff.n_differences ? STATUS_ROWS : STATUS_NO_ROWS), &error);
}
