/* The header is read line by line in place: each value is ended by a zero byte in our copy. Lines
 * that go on are joined to the value before by moving them next to it. */
#include "reports/question/question.h"
#include "reports/database/statement_text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))
#define HOUR_US           INT64_C(3600000000)
#define WINDOW_MAX        36500

static const char *const type_names[] = {
    [PARAMETER_TEXT] = "text", [PARAMETER_NUMBER] = "number", [PARAMETER_ADDRESS] = "address",
    [PARAMETER_PATH] = "path", [PARAMETER_TIME] = "time",     [PARAMETER_HOST] = "host",
    [PARAMETER_USER] = "user"};

/* What `:name` is given to every question (see question_values.c). */
static const char *const common_names[] = {"since",     "until",   "since_day",
                                           "until_day", "host_id", "any_login",
                                           "login_uid", "at_day",  "row_limit"};

struct reader {
    struct question *question;
    struct error_text *error;
    unsigned line; /* of what is being read, from 1 */
    char *at;
};

PRINTF(2, 3) static int refuse(struct reader *reader, const char *format, ...)
{
    char reason[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    return error_set(reader->error, -EINVAL, "%s:%u: %s", reader->question->file, reader->line,
                     reason);
}

static char *skip_blanks(char *text)
{
    return text + strspn(text, " \t");
}

/* Cut the blanks at the end. */
static char *trim(char *text)
{
    size_t length = strlen(text);
    while (length && strchr(" \t\r", text[length - 1]))
        text[--length] = '\0';
    return skip_blanks(text);
}

static bool is_name(const char *text)
{
    if (!islower((unsigned char)*text))
        return false;
    for (; *text; text++)
        if (!islower((unsigned char)*text) && !isdigit((unsigned char)*text) && *text != '_')
            return false;
    return true;
}

/* "LEFT; RIGHT": RIGHT, or NULL; the text ends before it. */
static char *split(char *text, char at)
{
    char *place = strchr(text, at);
    if (!place)
        return NULL;
    *place = '\0';
    return trim(place + 1);
}

static int keep_once(struct reader *reader, const char **target, char *value, const char *key)
{
    if (*target)
        return refuse(reader, "`%s` is there twice; leave one of them", key);
    if (!*value)
        return refuse(reader, "`%s` has no value", key);
    *target = value;
    return 0;
}

static int keep_question(struct reader *reader, char *value)
{
    return keep_once(reader, &reader->question->question, value, "question");
}

static int keep_tags(struct reader *reader, char *value)
{
    return keep_once(reader, &reader->question->tags, value, "tags");
}

static int keep_example(struct reader *reader, char *value)
{
    return keep_once(reader, &reader->question->example, value, "example");
}

static int keep_schedule(struct reader *reader, char *value)
{
    if (!strstr(value, "; subject "))
        return refuse(reader, "write `schedule: TABLE; subject COLUMN, COLUMN`");
    return keep_once(reader, &reader->question->schedule, value, "schedule");
}

static int keep_type(struct reader *reader, struct question_parameter *parameter, const char *word)
{
    for (size_t i = 0; i < N_ELEMENTS(type_names); i++)
        if (!strcmp(word, type_names[i])) {
            parameter->type = (enum parameter_type)i;
            return 0;
        }
    return refuse(reader,
                  "there is no type \"%.40s\"; write text, number, address, path, time, host or "
                  "user",
                  word);
}

static int check_parameter_name(struct reader *reader, const char *name)
{
    const struct question *question = reader->question;
    if (!is_name(name))
        return refuse(reader, "\"%.40s\" is no name: write lower case letters, digits and _", name);
    for (size_t i = 0; i < N_ELEMENTS(common_names); i++)
        if (!strcmp(name, common_names[i]))
            return refuse(reader, "`%s` is given to every question; take another name", name);
    for (size_t i = 0; i < question->n_parameters; i++)
        if (!strcmp(name, question->parameters[i].name))
            return refuse(reader, "the parameter `%s` is there twice", name);
    return 0;
}

/* NAME TYPE [= DEFAULT]; HELP */
static int keep_parameter(struct reader *reader, char *value)
{
    struct question *question = reader->question;
    char *help = split(value, ';');
    if (!help || !*help)
        return refuse(reader, "write `parameter: NAME TYPE [= DEFAULT]; what it is`");
    if (question->n_parameters == QUESTION_PARAMETERS_MAX)
        return refuse(reader, "more than %d parameters", QUESTION_PARAMETERS_MAX);
    char *preset = split(value, '='), *name = trim(value), *type = split(name, ' ');
    struct question_parameter parameter = {.name = name, .help = help};
    if (!type)
        return refuse(reader,
                      "the parameter has no type: write `parameter: NAME TYPE; what it is`");
    int outcome = check_parameter_name(reader, name);
    if (!outcome)
        outcome = keep_type(reader, &parameter, trim(type));
    if (outcome)
        return outcome;
    parameter.has_default = preset != NULL;
    parameter.default_text = preset && strcmp(preset, "none") != 0 ? preset : NULL;
    question->parameters[question->n_parameters++] = parameter;
    return 0;
}

static int keep_column(struct reader *reader, char *value)
{
    struct question *question = reader->question;
    char *help = split(value, ';');
    if (!help || !*help || !is_name(value))
        return refuse(reader, "write `column: NAME; what it holds`");
    if (question->n_columns == QUESTION_COLUMNS_MAX)
        return refuse(reader, "more than %d columns", QUESTION_COLUMNS_MAX);
    question->columns[question->n_columns++] = (struct question_column){value, help};
    return 0;
}

static int keep_window(struct reader *reader, char *value)
{
    struct question *question = reader->question;
    if (question->has_window)
        return refuse(reader, "`window` is there twice; leave one of them");
    question->has_window = true;
    question->window_all = !strcmp(value, "all");
    if (question->window_all)
        return 0;
    char *unit;
    unsigned long n = isdigit((unsigned char)*value) ? strtoul(value, &unit, 10) : 0;
    if (n == 0 || n > WINDOW_MAX)
        return refuse(reader, "write `window: N hours`, `N days` or `all`");
    unit = skip_blanks(unit);
    if (!strcmp(unit, "hours") || !strcmp(unit, "hour"))
        question->window_us = (int64_t)n * HOUR_US;
    else if (!strcmp(unit, "days") || !strcmp(unit, "day"))
        question->window_us = (int64_t)n * 24 * HOUR_US;
    else
        return refuse(reader, "write `window: N hours`, `N days` or `all`");
    return 0;
}

static const struct {
    const char *key;
    int (*keep)(struct reader *reader, char *value);
} keys[] = {
    {"question",  keep_question },
    {"parameter", keep_parameter},
    {"window",    keep_window   },
    {"tags",      keep_tags     },
    {"column",    keep_column   },
    {"example",   keep_example  },
    {"schedule",  keep_schedule },
};

static int keep_line(struct reader *reader, char *line)
{
    char *value = split(line, ':'), *key = trim(line);
    if (!value)
        return refuse(reader, "write `-- key: value`, or three blanks behind `--` to go on");
    for (size_t i = 0; i < N_ELEMENTS(keys); i++)
        if (!strcmp(key, keys[i].key))
            return keys[i].keep(reader, trim(value));
    return refuse(reader,
                  "there is no key `%.40s`; write question, parameter, window, tags, column, "
                  "example or schedule",
                  key);
}

/* Whether the line is `--` and three blanks, which goes on with the one before. */
static bool goes_on(const char *line)
{
    return !strncmp(line, "--   ", 5);
}

/* The line at the reader's place, without its newline; the place moves behind it. */
static char *take_line(struct reader *reader)
{
    char *line = reader->at, *newline = strchr(line, '\n');
    if (newline)
        *newline = '\0';
    reader->at = newline ? newline + 1 : line + strlen(line);
    return line;
}

/* The value with the lines that go on, each moved behind what is there. Counts their lines. */
static void join_lines(struct reader *reader, char *line, unsigned *n_lines)
{
    char *end = line + strlen(line);
    while (goes_on(reader->at)) {
        char *more = skip_blanks(take_line(reader) + 2);
        size_t length = strlen(more);
        *end = ' ';
        memmove(end + 1, more, length + 1);
        end += length + 1;
        ++*n_lines;
    }
}

static int read_header(struct reader *reader)
{
    while (!strncmp(reader->at, "--", 2)) {
        unsigned n_lines = 1;
        char *line = take_line(reader);
        join_lines(reader, line, &n_lines);
        char *text = trim(line + 2);
        int outcome = *text ? keep_line(reader, text) : 0;
        if (outcome)
            return outcome;
        reader->line += n_lines;
    }
    return 0;
}

struct name_check {
    struct reader *reader;
    bool needs_window, has_at;
};

static int check_name(void *user, struct slice name)
{
    struct name_check *check = user;
    const struct question *question = check->reader->question;
    check->needs_window = check->needs_window || slice_is(name, "since") ||
                          slice_is(name, "until") || slice_is(name, "since_day") ||
                          slice_is(name, "until_day");
    check->has_at = check->has_at || slice_is(name, "at_day");
    for (size_t i = 0; i < N_ELEMENTS(common_names); i++)
        if (slice_is(name, common_names[i]))
            return 0;
    for (size_t i = 0; i < question->n_parameters; i++)
        if (slice_is(name, question->parameters[i].name))
            return 0;
    return refuse(check->reader, "the SQL has :%.*s, which no `parameter` line declares",
                  (int)(name.length < 60 ? name.length : 60), (const char *)name.data);
}

static bool has_time_at(const struct question *question)
{
    for (size_t i = 0; i < question->n_parameters; i++)
        if (!strcmp(question->parameters[i].name, "at"))
            return question->parameters[i].type == PARAMETER_TIME;
    return false;
}

static int check_sql(struct reader *reader)
{
    const struct question *question = reader->question;
    struct name_check check = {.reader = reader};
    int outcome = statement_text_translate(NULL, slice_text(question->sql), check_name, &check);
    if (outcome == -EINVAL && !*reader->error->text)
        return refuse(reader, "a string or comment of the SQL is not closed");
    if (outcome)
        return outcome;
    if (check.needs_window && !question->has_window)
        return refuse(reader, "the SQL uses :since or :until: the header needs a `window`");
    if (check.has_at && !has_time_at(question))
        return refuse(reader, "the SQL uses :at_day: the header needs `parameter: at time`");
    for (size_t i = 0; i < question->n_parameters; i++)
        if (!question_uses(question, question->parameters[i].name))
            return refuse(reader, "the SQL does not use the parameter `%s`",
                          question->parameters[i].name);
    return 0;
}

static int read_all(struct reader *reader)
{
    struct question *question = reader->question;
    int outcome = read_header(reader);
    if (outcome)
        return outcome;
    if (!question->question)
        return refuse(reader, "the header has no `question: ...?`");
    if (!question->tags)
        return refuse(reader, "the header has no `tags: ...`");
    size_t blanks = strspn(reader->at, " \t\r\n");
    for (size_t i = 0; i < blanks; i++)
        reader->line += reader->at[i] == '\n';
    question->sql = reader->at + blanks;
    if (!*question->sql)
        return refuse(reader, "there is no SQL behind the header");
    return check_sql(reader);
}

int question_new(struct question **questionp, const char *name, const char *file, struct slice text,
                 struct error_text *error)
{
    struct question *question AUTO_QUESTION = calloc(1, sizeof(*question));
    if (!question || !(question->text = malloc(text.length + 1)) ||
        !(question->name = strdup(name)))
        return error_set(error, -ENOMEM, "out of memory");
    question->file = file;
    struct reader reader = {question, error, 1, question->text};
    if (text.length > QUESTION_SIZE_MAX || memchr(text.data, '\0', text.length))
        return refuse(&reader, "this is no question: longer than a mebibyte, or not text");
    memcpy(question->text, text.data, text.length);
    question->text[text.length] = '\0';
    error->text[0] = '\0';
    int outcome = read_all(&reader);
    if (outcome)
        return outcome;
    *questionp = question;
    question = NULL;
    return 0;
}

struct question *question_free(struct question *question)
{
    if (!question)
        return NULL;
    free(question->text);
    free(question->name);
    free(question);
    return NULL;
}

const char *question_type_name(enum parameter_type type)
{
    return type_names[type];
}

bool question_uses(const struct question *question, const char *name)
{
    return statement_text_uses(question->sql, name);
}
