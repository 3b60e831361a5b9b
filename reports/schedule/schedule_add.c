/* `vestige schedule add`: the question becomes statements of the server, which are tried once. */
#include "reports/schedule/schedule_command_private.h"

#include "core/array.h"
#include "core/cleanup.h"
#include "core/log.h"
#include "reports/command.h"
#include "reports/question/question_files.h"
#include "reports/schedule/schedule_text.h"
#include "reports/server/administrator.h"

#include <inttypes.h>
#include <stdio.h>

#define WORD_MOST 200
#define HOUR_US   UINT64_C(3600000000)

struct addition {
    struct schedule *schedule;
    const struct question *question;
    struct question_values values;
    struct schedule_text text;
    struct buffer words;
};

static int read_values(struct addition *addition, int64_t server_us[2])
{
    static const char now[] =
        "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))";
    struct schedule *schedule = addition->schedule;
    struct options options = schedule->options;
    options.has_since = false; /* here it says from when on, not what a run asks about */
    int outcome = schedule_ask_number(schedule, now, &server_us[0]);
    if (!outcome)
        outcome = question_values_init(&addition->values, schedule->mysql, addition->question,
                                       &options, options.arguments + 2, options.n_arguments - 2, 0,
                                       schedule->error);
    if (!outcome)
        outcome = schedule_ask_number(schedule, now, &server_us[1]);
    if (!outcome && schedule->window_hours && !addition->question->has_window)
        return error_set(schedule->error, -EINVAL,
                         "--window means nothing to %s, which has none; leave it out",
                         addition->question->name);
    return outcome;
}

/* The server says what columns the answer has; no row is asked for. */
static int read_columns(struct addition *addition)
{
    struct statement *statement AUTO_STATEMENT = NULL;
    struct schedule *schedule = addition->schedule;
    struct buffer sql = BUFFER_NULL;
    char doing[100];
    snprintf(doing, sizeof(doing), "try the question %.60s", addition->question->name);
    buffer_append_text(&sql, "SELECT * FROM (");
    buffer_append_text(&sql, addition->question->sql);
    buffer_append_text(&sql, "\n) q LIMIT 0");
    buffer_append_byte(&sql, '\0');
    int outcome = sql.failed ? error_set(schedule->error, -ENOMEM, "out of memory")
                             : statement_run(&statement, schedule->mysql, (const char *)sql.data,
                                             addition->values.values, addition->values.n, doing,
                                             schedule->error);
    buffer_deinit(&sql);
    return outcome ? outcome
                   : schedule_text_columns(&addition->text, addition->question, statement,
                                           schedule->error);
}

/* Long ones are cut, between characters. */
static void append_word(struct buffer *words, const char *word)
{
    size_t length = strlen(word);
    if (length > WORD_MOST)
        for (length = WORD_MOST; length && ((unsigned char)word[length] & 0xc0) == 0x80;)
            length--;
    buffer_append_byte(words, ' ');
    buffer_append(words, word, length);
    if (word[length])
        buffer_append_text(words, "...");
}

/* As it was asked for, for the list. */
static void tell_words(struct addition *addition)
{
    const struct options *options = &addition->schedule->options;
    struct buffer *words = &addition->words;
    buffer_append_text(words, options->arguments[1]);
    for (size_t i = 2; i < options->n_arguments; i++)
        append_word(words, options->arguments[i]);
    if (options->on)
        buffer_printf(words, " --on %s", options->on);
    if (options->login_user)
        buffer_printf(words, " --login-user %s", options->login_user);
    if (addition->schedule->window_hours)
        buffer_printf(words, " --window %" PRIu64, addition->schedule->window_hours);
}

static struct statement_value text_value(const char *name, const struct buffer *text)
{
    return (struct statement_value){
        .name = name, .kind = STATEMENT_TEXT, .text = buffer_slice(text)};
}

static struct statement_value number_value(const char *name, uint64_t number)
{
    return (struct statement_value){
        .name = name, .kind = number ? STATEMENT_NUMBER : STATEMENT_NULL, .number = number};
}

static int store(struct addition *addition, int64_t *id)
{
    enum { OWN = 10 };
    struct schedule *schedule = addition->schedule;
    const struct question *question = addition->question;
    struct schedule_text *text = &addition->text;
    uint64_t window_us =
        schedule->window_hours ? schedule->window_hours * HOUR_US : (uint64_t)question->window_us;
    struct statement_value values[OWN + N_ELEMENTS(addition->values.values)] = {
        text_value("vestige_words", &addition->words),
        text_value("vestige_sql", &text->sql),
        text_value("vestige_names", &text->value_names),
        text_value("vestige_table", &text->row_table),
        text_value("vestige_subject", &text->subject_columns),
        text_value("vestige_answer", &text->answer_columns),
        number_value("vestige_every", schedule->every_minutes),
        number_value("vestige_window", question->has_window ? window_us : 0),
    };
    struct statement_value *name = &values[OWN - 2], *since = &values[OWN - 1];
    *name = (struct statement_value){.name = "vestige_question", .kind = STATEMENT_TEXT};
    name->text = slice_text(question->name);
    *since = (struct statement_value){.name = "vestige_since", .kind = STATEMENT_NULL};
    since->kind = schedule->options.has_since ? STATEMENT_MOMENT : STATEMENT_NULL;
    since->us = schedule->options.since_us;
    memcpy(values + OWN, addition->values.values,
           addition->values.n * sizeof(addition->values.values[0]));
    struct buffer sql = BUFFER_NULL;
    buffer_append_text(&sql, "CALL vestige_schedule_add(:vestige_question, :vestige_words,"
                             " :vestige_sql, :vestige_names, ");
    buffer_append_slice(&sql, buffer_slice(&text->parameters));
    buffer_append_text(&sql, ", :vestige_table, :vestige_subject, :vestige_answer, :vestige_window,"
                             " :host_id, :vestige_every, :vestige_since, @vestige_added)");
    buffer_append_byte(&sql, '\0');
    int outcome = sql.failed ? error_set(schedule->error, -ENOMEM, "out of memory")
                             : statement_do(schedule->mysql, (const char *)sql.data, values,
                                            OWN + addition->values.n, "schedule the question",
                                            schedule->error);
    buffer_deinit(&sql);
    return outcome ? outcome : schedule_ask_number(schedule, "SELECT @vestige_added", id);
}

/* Both would find everything, and tell of it twice. */
static int warn_of_the_same(struct schedule *schedule, int64_t id)
{
    char sql[500];
    int64_t other = 0;
    snprintf(sql, sizeof(sql),
             "SELECT MIN(s.id) FROM schedule s JOIN schedule n ON n.id = %" PRId64
             " WHERE s.id <> n.id AND s.removed_at IS NULL AND s.every_minutes > 0 AND s.question ="
             " n.question AND s.question_sql = n.question_sql AND s.parameters = n.parameters"
             " AND s.host_id <=> n.host_id",
             id);
    int outcome = schedule_ask_number(schedule, sql, &other);
    if (!outcome && other)
        log_warning("schedule",
                    "schedule %" PRId64
                    " asks the same already: remove one of them, vestige schedule"
                    " remove %" PRId64,
                    other, id);
    return outcome;
}

static int add_question(struct addition *addition)
{
    struct schedule *schedule = addition->schedule;
    int64_t server_us[2] = {0, 0}, id = 0;
    int outcome = read_values(addition, server_us);
    if (!outcome)
        outcome = schedule_text_init(&addition->text, addition->question, &addition->values,
                                     server_us, schedule->error);
    if (!outcome)
        outcome = read_columns(addition);
    if (!outcome) {
        tell_words(addition);
        outcome = store(addition, &id);
    }
    if (outcome)
        return outcome;
    printf("schedule %" PRId64 ": %.*s, every %" PRIu64 " minute%s\n", id,
           (int)addition->words.length, (const char *)addition->words.data, schedule->every_minutes,
           schedule->every_minutes == 1 ? "" : "s");
    if (!schedule->options.has_since)
        printf("What is in the database already is left alone; --since TIME goes back to it\n");
    outcome = warn_of_the_same(schedule, id);
    return outcome ? outcome : schedule_warn_of_scheduler(schedule);
}

int schedule_add(struct schedule *schedule)
{
    struct addition addition = {.schedule = schedule};
    struct question_files files;
    if (!schedule->every_minutes)
        return error_set(schedule->error, -EINVAL,
                         "--every is missing: write after how many minutes it runs again, for "
                         "example --every 5");
    if (schedule->options.has_until)
        return error_set(schedule->error, -EINVAL,
                         "--until means nothing to a schedule, which goes on; leave it out");
    int outcome = question_files_init(&files, schedule->directory, schedule->error);
    if (outcome)
        return outcome;
    outcome = question_files_find(&files, schedule->options.arguments[1], &addition.question,
                                  schedule->error);
    if (!outcome)
        outcome = administrator_connect(&schedule->mysql, &schedule->options, schedule->error);
    if (!outcome)
        outcome = add_question(&addition);
    schedule_text_deinit(&addition.text);
    question_values_deinit(&addition.values);
    buffer_deinit(&addition.words);
    question_files_deinit(&files);
    return outcome ? outcome : STATUS_ROWS;
}
