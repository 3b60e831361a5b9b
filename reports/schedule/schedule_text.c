/* The values of the window and the present are of each run; all others are kept with the schedule.
 * A list is never cut by --limit, because what a run does not see is covered all the same. */
#include "reports/schedule/schedule_text.h"
#include "reports/database/statement_text.h"

#include <ctype.h>

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))
#define NO_LIMIT          "18446744073709551615"

/* What each run gives, with its type. */
static const struct {
    const char *name, *type;
} run_values[] = {
    {"since",     "DATETIME(6)"},
    {"until",     "DATETIME(6)"},
    {"since_day", "DATE"       },
    {"until_day", "DATE"       },
    {"at_day",    "DATE"       }
};

struct translation {
    struct schedule_text *text;
    const struct question *question;
    const struct question_values *values;
    size_t n;
    struct error_text *error;
};

static const char *run_type(struct slice name)
{
    for (size_t i = 0; i < N_ELEMENTS(run_values); i++)
        if (slice_is(name, run_values[i].name))
            return run_values[i].type;
    return NULL;
}

/* The type of a NULL is that of the parameter; a place of no type is text. */
static const char *parameter_type(const struct question *question, struct slice name)
{
    for (size_t i = 0; i < question->n_parameters; i++) {
        if (!slice_is(name, question->parameters[i].name))
            continue;
        switch (question->parameters[i].type) {
        case PARAMETER_NUMBER:
        case PARAMETER_HOST:
        case PARAMETER_USER:
            return "UNSIGNED";
        case PARAMETER_TIME:
            return "DATETIME(6)";
        default:
            return NULL;
        }
    }
    return "UNSIGNED"; /* host_id, any_login, login_uid */
}

static const struct statement_value *value_of(const struct question_values *values,
                                              struct slice name)
{
    for (size_t i = 0; i < values->n; i++)
        if (slice_is(name, values->values[i].name))
            return &values->values[i];
    return NULL;
}

static int take_name(void *user, struct slice name)
{
    struct translation *translation = user;
    struct schedule_text *text = translation->text;
    if (slice_is(name, "row_limit")) {
        buffer_append_text(&text->sql, NO_LIMIT);
        return STATEMENT_TEXT_REPLACED;
    }
    if (!value_of(translation->values, name))
        return error_set(translation->error, -EINVAL,
                         "%s: its SQL has :%.*s, which is no parameter",
                         translation->question->file, (int)name.length, (const char *)name.data);
    if (translation->n == SCHEDULE_PLACES_MAX)
        return error_set(translation->error, -EINVAL,
                         "%s uses values at more than %d places; write fewer to schedule it",
                         translation->question->file, SCHEDULE_PLACES_MAX);
    const char *type = run_type(name);
    if (!type)
        type = parameter_type(translation->question, name);
    buffer_printf(&text->value_names, "%s\"%.*s\"", translation->n++ ? ", " : "", (int)name.length,
                  (const char *)name.data);
    buffer_printf(&text->sql, type ? "CAST(? AS %s)" : "?", type);
    return STATEMENT_TEXT_REPLACED;
}

static int translate(struct translation *translation)
{
    struct schedule_text *text = translation->text;
    struct slice sql = slice_text(translation->question->sql);
    buffer_append_byte(&text->value_names, '[');
    int outcome = statement_text_translate(&text->sql, sql, take_name, translation);
    buffer_append_byte(&text->value_names, ']');
    if (outcome == -EINVAL && !translation->error->text[0])
        error_set(translation->error, outcome, "%s: a string or comment of its SQL is not closed",
                  translation->question->file);
    return outcome;
}

static bool is_now(const struct statement_value *value, const int64_t server_us[2])
{
    return value->kind == STATEMENT_MOMENT && value->us >= server_us[0] &&
           value->us <= server_us[1];
}

static void keep_parameters(struct schedule_text *text, const struct question_values *values,
                            const int64_t server_us[2])
{
    const char *before = "";
    buffer_append_text(&text->parameters, "JSON_OBJECT(");
    for (size_t i = 0; i < values->n; i++) {
        const struct statement_value *value = &values->values[i];
        if (run_type(slice_text(value->name)) || !strcmp(value->name, "row_limit") ||
            is_now(value, server_us))
            continue;
        buffer_printf(&text->parameters, "%s'%s', :%s", before, value->name, value->name);
        before = ", ";
    }
    buffer_append_byte(&text->parameters, ')');
}

static size_t name_length(const char *at)
{
    size_t length = 0;
    while (islower((unsigned char)at[length]) || at[length] == '_' ||
           (length && isdigit((unsigned char)at[length])))
        length++;
    return length;
}

/* "TABLE; subject COLUMN, COLUMN" */
static int read_schedule(struct schedule_text *text, const struct question *question,
                         struct error_text *error)
{
    const char *at = question->schedule, *before = "";
    size_t length = name_length(at);
    buffer_append(&text->row_table, at, length);
    const char *subject = strstr(at, "; subject ");
    bool good = length && subject == at + length;
    buffer_append_byte(&text->subject_columns, '[');
    for (at = good ? subject + strlen("; subject ") : ""; *at;) {
        at += strspn(at, " ");
        length = name_length(at);
        good = good && length;
        buffer_printf(&text->subject_columns, "%s\"%.*s\"", before, (int)length, at);
        before = ", ";
        at += length;
        at += strspn(at, " ");
        if (*at && *at != ',')
            good = false;
        at += *at ? 1 : 0;
    }
    buffer_append_byte(&text->subject_columns, ']');
    return good ? 0
                : error_set(error, -EINVAL,
                            "%s: its `schedule` cannot be read: write `schedule: TABLE; subject "
                            "COLUMN, COLUMN`",
                            question->file);
}

int schedule_text_init(struct schedule_text *text, const struct question *question,
                       const struct question_values *values, const int64_t server_us[2],
                       struct error_text *error)
{
    *text = (struct schedule_text)SCHEDULE_TEXT_NULL;
    struct translation translation = {
        .text = text, .question = question, .values = values, .error = error};
    if (!question->schedule)
        return error_set(
            error, -EINVAL,
            "%s cannot be scheduled: its file (%s) has no `schedule:` line, because its "
            "answer is not a list of rows that are new or not",
            question->name, question->file);
    int outcome = read_schedule(text, question, error);
    if (!outcome)
        outcome = translate(&translation);
    keep_parameters(text, values, server_us);
    if (!outcome && (text->sql.failed || text->value_names.failed || text->parameters.failed ||
                     text->row_table.failed || text->subject_columns.failed))
        outcome = error_set(error, -ENOMEM, "out of memory");
    if (outcome)
        schedule_text_deinit(text);
    return outcome;
}

static bool has_column(const struct statement *statement, const char *name, size_t length)
{
    const MYSQL_FIELD *fields = statement_fields(statement);
    for (unsigned i = 0; i < statement_n_columns(statement); i++)
        if (strlen(fields[i].name) == length && !strncmp(fields[i].name, name, length))
            return true;
    return false;
}

static int demand_keys(const struct question *question, const struct statement *statement,
                       struct error_text *error)
{
    static const char *const keys[] = {"row_host_id", "row_id", "row_batch"};
    for (size_t i = 0; i < N_ELEMENTS(keys); i++)
        if (!has_column(statement, keys[i], strlen(keys[i])))
            return error_set(error, -EINVAL, "%s cannot be scheduled: its answer has no column %s",
                             question->file, keys[i]);
    const char *at = strstr(question->schedule, "; subject ") + strlen("; subject ");
    while (*at) {
        size_t length = name_length(at);
        if (length && !has_column(statement, at, length))
            return error_set(
                error, -EINVAL,
                "%s cannot be scheduled: its answer has no column %.*s, which is to be "
                "a subject",
                question->file, (int)length, at);
        at += length ? length : 1;
    }
    return 0;
}

int schedule_text_columns(struct schedule_text *text, const struct question *question,
                          const struct statement *statement, struct error_text *error)
{
    const MYSQL_FIELD *fields = statement_fields(statement);
    const char *before = "";
    int outcome = demand_keys(question, statement, error);
    buffer_append_byte(&text->answer_columns, '[');
    for (unsigned i = 0; !outcome && i < statement_n_columns(statement); i++) {
        const char *name = fields[i].name;
        if (!strncmp(name, "row_", strlen("row_")))
            continue;
        if (name_length(name) != strlen(name) || !*name)
            return error_set(error, -EINVAL,
                             "%s cannot be scheduled: the column \"%.40s\" of its answer needs a "
                             "name of lower case letters, digits and _",
                             question->file, name);
        buffer_printf(&text->answer_columns, "%s\"%s\"", before, name);
        before = ", ";
    }
    buffer_append_byte(&text->answer_columns, ']');
    if (!outcome && text->answer_columns.failed)
        return error_set(error, -ENOMEM, "out of memory");
    return outcome;
}

void schedule_text_deinit(struct schedule_text *text)
{
    buffer_deinit(&text->sql);
    buffer_deinit(&text->value_names);
    buffer_deinit(&text->parameters);
    buffer_deinit(&text->row_table);
    buffer_deinit(&text->subject_columns);
    buffer_deinit(&text->answer_columns);
    *text = (struct schedule_text)SCHEDULE_TEXT_NULL;
}
