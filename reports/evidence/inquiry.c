/* Values live in one list that every question is bound to; a question takes those that it names. */
#include "reports/evidence/inquiry.h"
#include "reports/options/time_words.h"
#include "reports/output/progress.h"

#define HOUR_US INT64_C(3600000000)

static struct statement_value *value_of(struct inquiry *inquiry, const char *name)
{
    for (size_t i = 0; i < inquiry->n_values; i++)
        if (!strcmp(inquiry->values[i].name, name))
            return &inquiry->values[i];
    /* The names are those of our own questions: the list is large enough for them. */
    return &inquiry->values[inquiry->n_values < INQUIRY_VALUES_MAX ? inquiry->n_values++
                                                                   : INQUIRY_VALUES_MAX - 1];
}

void inquiry_set_null(struct inquiry *inquiry, const char *name)
{
    *value_of(inquiry, name) = (struct statement_value){.name = name, .kind = STATEMENT_NULL};
}

void inquiry_set_text(struct inquiry *inquiry, const char *name, struct slice text)
{
    *value_of(inquiry, name) =
        (struct statement_value){.name = name, .kind = STATEMENT_TEXT, .text = text};
}

void inquiry_set_number(struct inquiry *inquiry, const char *name, uint64_t number)
{
    *value_of(inquiry, name) =
        (struct statement_value){.name = name, .kind = STATEMENT_NUMBER, .number = number};
}

void inquiry_set_moment(struct inquiry *inquiry, const char *name, int64_t us)
{
    *value_of(inquiry, name) =
        (struct statement_value){.name = name, .kind = STATEMENT_MOMENT, .us = us};
}

void inquiry_set_day(struct inquiry *inquiry, const char *name, int64_t us)
{
    *value_of(inquiry, name) =
        (struct statement_value){.name = name, .kind = STATEMENT_DAY, .us = us};
}

void inquiry_window(struct inquiry *inquiry, int64_t since_us, int64_t until_us)
{
    inquiry->window.has_since = inquiry->window.has_until = true;
    inquiry->window.since_us = since_us;
    inquiry->window.until_us = until_us;
    inquiry_set_moment(inquiry, "since", since_us);
    inquiry_set_moment(inquiry, "until", until_us);
    inquiry_set_day(inquiry, "since_day", since_us - HOUR_US);
    inquiry_set_day(inquiry, "until_day", until_us + HOUR_US);
}

int inquiry_default_window(struct inquiry *inquiry, int64_t default_us)
{
    const struct options *options = inquiry->options;
    int64_t until = options->has_until ? options->until_us : inquiry->now_us;
    int64_t since = options->has_since ? options->since_us : until - default_us;
    if (since > until)
        return error_set(inquiry->error, -EINVAL, "--since is in the future");
    inquiry_window(inquiry, since, until);
    return 0;
}

static int find_host(struct inquiry *inquiry)
{
    const char *on = inquiry->options->on;
    inquiry_set_null(inquiry, "host_id");
    if (!on)
        return 0;
    int outcome = evidence_find_host(inquiry->mysql, on, &inquiry->window.host_id, inquiry->error);
    if (outcome)
        return outcome;
    inquiry->window.has_host = true;
    inquiry_set_number(inquiry, "host_id", inquiry->window.host_id);
    return 0;
}

static int find_login_user(struct inquiry *inquiry)
{
    const char *word = inquiry->options->login_user;
    inquiry->any_login = !word;
    inquiry_set_number(inquiry, "any_login", !word);
    inquiry_set_null(inquiry, "login_uid");
    if (!word)
        return 0;
    int outcome = evidence_find_login_user(
        inquiry->mysql, word, inquiry->window.has_host ? &inquiry->window.host_id : NULL,
        &inquiry->login_uid, &inquiry->has_login_uid, inquiry->error);
    if (!outcome && inquiry->has_login_uid)
        inquiry_set_number(inquiry, "login_uid", inquiry->login_uid);
    return outcome;
}

static int ask_time(struct inquiry *inquiry)
{
    uint64_t now = 0;
    bool has = false;
    int outcome = inquiry_number(
        inquiry, "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))",
        "ask for the server's time", &now, &has);
    inquiry->now_us = (int64_t)now;
    return outcome;
}

int inquiry_open(struct inquiry *inquiry, const struct options *options, struct error_text *error)
{
    *inquiry =
        (struct inquiry){.options = options, .error = error, .window = evidence_window_of(options)};
    int outcome = evidence_connect(&inquiry->mysql, options, error);
    if (!outcome)
        outcome = reading_begin(&inquiry->reading, inquiry->mysql, options, NULL, error);
    if (!outcome)
        outcome = find_host(inquiry);
    if (!outcome)
        outcome = find_login_user(inquiry);
    return outcome ? outcome : ask_time(inquiry);
}

void inquiry_close(struct inquiry *inquiry)
{
    reading_end(&inquiry->reading, &inquiry->window, inquiry->n_rows,
                inquiry->is_answered ? 0 : -EIO);
    inquiry->mysql = database_close(inquiry->mysql);
}

int inquiry_ask(struct inquiry *inquiry, struct statement **statementp, const char *sql,
                const char *doing)
{
    struct progress *progress = progress_begin(doing);
    int outcome = statement_run(statementp, inquiry->mysql, sql, inquiry->values, inquiry->n_values,
                                doing, inquiry->error);
    progress_end(progress);
    return outcome;
}

int inquiry_number(struct inquiry *inquiry, const char *sql, const char *doing, uint64_t *number,
                   bool *has)
{
    struct statement *statement AUTO_STATEMENT = NULL;
    const struct slice *values;
    *has = false;
    int outcome = inquiry_ask(inquiry, &statement, sql, doing);
    if (outcome)
        return outcome;
    while ((outcome = statement_next(statement, &values, inquiry->error)) == STATEMENT_ROW)
        if (!*has && !slice_is_null(values[0])) {
            *number = inquiry_u64(values[0]);
            *has = true;
        }
    return outcome;
}

int inquiry_completeness(struct inquiry *inquiry, struct buffer *line)
{
    return evidence_completeness(inquiry->mysql, &inquiry->window, line, inquiry->error);
}

int inquiry_tell_completeness(struct inquiry *inquiry)
{
    return evidence_tell_completeness(inquiry->mysql, &inquiry->window,
                                      output_remarks(inquiry->options->format), inquiry->error);
}

int inquiry_flush(const char *what, struct error_text *error)
{
    if (!fflush(stdout) && !ferror(stdout))
        return 0;
    int outcome = errno ? -errno : -EIO;
    return error_set(error, outcome, "%s cannot be written: %s", what, strerror(-outcome));
}

int inquiry_read_moment(const char *what, const char *text, int64_t *us, struct error_text *error)
{
    struct error_text reason = ERROR_TEXT_NULL;
    struct time_reference reference = time_reference_now();
    int outcome = time_words_parse(us, text, &reference, &reason);
    if (outcome)
        error_set(error, 0, "%s: %.480s", what, reason.text);
    return outcome;
}

void inquiry_append_moment(struct buffer *to, const struct options *options, struct slice utc)
{
    char text[TIME_TEXT_SIZE];
    if (options->time_zone && time_words_convert(text, utc))
        buffer_append_text(to, text);
    else
        buffer_append_slice(to, utc);
}

uint64_t inquiry_u64(struct slice text)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.length && text.data[i] >= '0' && text.data[i] <= '9'; i++)
        number = number * 10 + text.data[i] - '0';
    return number;
}
