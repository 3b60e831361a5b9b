/* Words are matched to parameters first, then each is read by its type. Times that nobody gave come
 * from the server's clock, which is the one that the evidence was received by. */
#include "reports/question/question_values.h"

#include "core/cleanup.h"
#include "reports/options/nearest.h"
#include "reports/options/time_words.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>

#define HOUR_US  INT64_C(3600000000)
#define TEXT_MAX (16u << 20)

struct reading {
    struct question_values *values;
    MYSQL *mysql;
    const struct question *question;
    const struct options *options;
    const char *words[QUESTION_PARAMETERS_MAX]; /* by parameter; NULL: not given */
    int64_t server_now_us;
    struct error_text *error;
};

/* The parameter that "NAME=VALUE" names. */
static const struct question_parameter *named(const struct question *question, const char *word)
{
    const char *sign = strchr(word, '=');
    for (size_t i = 0; sign && i < question->n_parameters; i++) {
        const char *name = question->parameters[i].name;
        if (strlen(name) == (size_t)(sign - word) && !strncmp(word, name, strlen(name)))
            return &question->parameters[i];
    }
    return NULL;
}

static int too_many(struct reading *reading, const char *word)
{
    const struct question *question = reading->question;
    struct buffer names = {.limit = 300};
    for (size_t i = 0; i < question->n_parameters; i++)
        buffer_printf(&names, "%s%s", i ? ", " : "", question->parameters[i].name);
    if (names.length)
        error_set(reading->error, 0, "\"%.60s\" is one word too many: %s takes %.*s", word,
                  question->name, (int)names.length, (const char *)names.data);
    else
        error_set(reading->error, 0, "\"%.60s\" is one word too many: %s takes no parameter", word,
                  question->name);
    buffer_deinit(&names);
    return -EINVAL;
}

/* "prot=22", which is near to the name of a parameter, though a value may be such a word. */
static int refuse_misspelt(struct reading *reading, const char *word)
{
    const struct question *question = reading->question;
    const char *names[QUESTION_PARAMETERS_MAX];
    struct buffer hint = {.limit = 200};
    char name[40];
    int outcome = 0;
    size_t length = strspn(word, "abcdefghijklmnopqrstuvwxyz_");
    if (length < 3 || word[length] != '=' || length >= sizeof(name))
        return 0;
    snprintf(name, sizeof(name), "%.*s", (int)length, word);
    for (size_t i = 0; i < question->n_parameters; i++)
        names[i] = question->parameters[i].name;
    nearest_append(&hint, name, names, question->n_parameters);
    if (hint.length)
        outcome = error_set(reading->error, -EINVAL, "%s has no parameter \"%s\"%.*s",
                            question->name, name, (int)hint.length, (const char *)hint.data);
    buffer_deinit(&hint);
    return outcome;
}

static int assign(struct reading *reading, char *const *words, size_t n_words)
{
    const struct question *question = reading->question;
    size_t next = 0;
    for (size_t i = 0; i < n_words; i++) {
        const struct question_parameter *parameter = named(question, words[i]);
        const char *value = parameter ? strchr(words[i], '=') + 1 : words[i];
        int outcome = parameter ? 0 : refuse_misspelt(reading, words[i]);
        if (outcome)
            return outcome;
        while (!parameter && next < question->n_parameters && reading->words[next])
            next++;
        if (!parameter && next == question->n_parameters)
            return too_many(reading, words[i]);
        size_t index = parameter ? (size_t)(parameter - question->parameters) : next;
        if (reading->words[index])
            return error_set(reading->error, -EINVAL, "%s= is given twice",
                             question->parameters[index].name);
        reading->words[index] = value;
    }
    return 0;
}

static const char *example_of(enum parameter_type type)
{
    static const char *const examples[] = {
        [PARAMETER_TEXT] = "irc.example.net",
        [PARAMETER_NUMBER] = "6670",
        [PARAMETER_ADDRESS] = "192.0.2.7 or 2001:db8::1",
        [PARAMETER_PATH] = "/etc/shadow",
        [PARAMETER_TIME] = "\"2026-11-20 23:08\" or \"2h ago\"",
        [PARAMETER_HOST] = "web1",
        [PARAMETER_USER] = "alice",
    };
    return examples[type];
}

static int ill_typed(struct reading *reading, const struct question_parameter *parameter,
                     const char *word, const char *what)
{
    return error_set(reading->error, -EINVAL, "%s=%.80s: %s; write for example %s=%s",
                     parameter->name, word, what, parameter->name, example_of(parameter->type));
}

static int read_number(struct reading *reading, const struct question_parameter *parameter,
                       const char *word, struct statement_value *value)
{
    char *end = NULL;
    errno = 0;
    value->kind = STATEMENT_NUMBER;
    value->number = *word >= '0' && *word <= '9' ? strtoull(word, &end, 10) : 0;
    if (!end || *end || errno)
        return ill_typed(reading, parameter, word, "this is no whole number");
    return 0;
}

static struct buffer *text_of(struct reading *reading, const struct question_parameter *parameter)
{
    return &reading->values->texts[parameter - reading->question->parameters];
}

static int keep_text(struct reading *reading, struct buffer *text, struct statement_value *value)
{
    if (text->failed)
        return error_set(reading->error, -ENOMEM, "out of memory");
    value->kind = STATEMENT_TEXT;
    value->text = buffer_slice(text);
    return 0;
}

static int read_address(struct reading *reading, const struct question_parameter *parameter,
                        const char *word, struct statement_value *value)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    uint8_t bytes[16];
    char text[INET6_ADDRSTRLEN];
    bool is_4 = inet_pton(AF_INET, word, bytes) == 1;
    if (!is_4 && inet_pton(AF_INET6, word, bytes) != 1)
        return ill_typed(reading, parameter, word, "this is no IPv4 or IPv6 address");
    bool is_mapped = !is_4 && !memcmp(bytes, mapped, sizeof(mapped));
    inet_ntop(is_4 || is_mapped ? AF_INET : AF_INET6, is_mapped ? bytes + 12 : bytes, text,
              sizeof(text));
    buffer_append_text(text_of(reading, parameter), text);
    return keep_text(reading, text_of(reading, parameter), value);
}

/* Without empty and `.` parts; `..` stays, because a path is kept as it was used. */
static int read_path(struct reading *reading, const struct question_parameter *parameter,
                     const char *word, struct statement_value *value)
{
    struct buffer *path = text_of(reading, parameter);
    if (*word != '/')
        return ill_typed(reading, parameter, word, "a path begins with /");
    for (const char *at = word; *at;) {
        at += strspn(at, "/");
        size_t length = strcspn(at, "/");
        if (length && !(length == 1 && *at == '.')) {
            buffer_append_byte(path, '/');
            buffer_append(path, at, length);
        }
        at += length;
    }
    if (path->length == 0)
        buffer_append_byte(path, '/');
    return keep_text(reading, path, value);
}

static int read_time(struct reading *reading, const struct question_parameter *parameter,
                     const char *word, struct statement_value *value)
{
    struct error_text reason = ERROR_TEXT_NULL;
    struct time_reference reference = time_reference_now();
    value->kind = STATEMENT_MOMENT;
    if (!strcmp(word, "now"))
        value->us = reading->server_now_us;
    else if (time_words_parse(&value->us, word, &reference, &reason))
        return error_set(reading->error, -EINVAL, "%s=%.60s: %.300s", parameter->name, word,
                         reason.text);
    return 0;
}

static int read_user(struct reading *reading, const char *word, struct statement_value *value)
{
    const char *on = reading->options->on;
    uint64_t host_id = 0;
    bool is_set = false;
    int outcome = on ? evidence_find_host(reading->mysql, on, &host_id, reading->error) : 0;
    if (!outcome)
        outcome = evidence_find_login_user(reading->mysql, word, on ? &host_id : NULL,
                                           &value->number, &is_set, reading->error);
    value->kind = is_set ? STATEMENT_NUMBER : STATEMENT_NULL;
    return outcome;
}

static int read_word(struct reading *reading, const struct question_parameter *parameter,
                     const char *word, struct statement_value *value)
{
    switch (parameter->type) {
    case PARAMETER_TEXT:
        if (strlen(word) > TEXT_MAX)
            return error_set(reading->error, -E2BIG, "%s= is longer than 16 MiB", parameter->name);
        value->kind = STATEMENT_TEXT;
        value->text = slice_text(word);
        return 0;
    case PARAMETER_NUMBER:
        return read_number(reading, parameter, word, value);
    case PARAMETER_ADDRESS:
        return read_address(reading, parameter, word, value);
    case PARAMETER_PATH:
        return read_path(reading, parameter, word, value);
    case PARAMETER_TIME:
        return read_time(reading, parameter, word, value);
    case PARAMETER_HOST:
        value->kind = STATEMENT_NUMBER;
        return evidence_find_host(reading->mysql, word, &value->number, reading->error);
    case PARAMETER_USER:
        return read_user(reading, word, value);
    }
    return -EINVAL;
}

static int missing(struct reading *reading, const struct question_parameter *parameter)
{
    const struct question *question = reading->question;
    if (question->example)
        return error_set(reading->error, -EINVAL, "%s= is missing (%.120s); for example: %.200s",
                         parameter->name, parameter->help, question->example);
    return error_set(reading->error, -EINVAL,
                     "%s= is missing (%.120s); for example: vestige report %s %s=%s",
                     parameter->name, parameter->help, question->name, parameter->name,
                     example_of(parameter->type));
}

static struct statement_value *add(struct reading *reading, const char *name)
{
    struct statement_value *value = &reading->values->values[reading->values->n++];
    *value = (struct statement_value){.name = name, .kind = STATEMENT_NULL};
    return value;
}

static int read_parameters(struct reading *reading)
{
    const struct question *question = reading->question;
    for (size_t i = 0; i < question->n_parameters; i++) {
        const struct question_parameter *parameter = &question->parameters[i];
        struct statement_value *value = add(reading, parameter->name);
        const char *word = reading->words[i] ? reading->words[i] : parameter->default_text;
        if (!word && !parameter->has_default)
            return missing(reading, parameter);
        int outcome = word ? read_word(reading, parameter, word, value) : 0;
        if (outcome)
            return outcome;
    }
    return 0;
}

static int read_server_time(struct reading *reading)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int outcome = database_query(reading->mysql, &result, reading->error, "ask the time", "%s",
                                 "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00',"
                                 " UTC_TIMESTAMP(6))");
    MYSQL_ROW row = outcome ? NULL : mysql_fetch_row(result);
    if (row && row[0])
        reading->server_now_us = strtoll(row[0], NULL, 10);
    return outcome;
}

static void add_moment(struct reading *reading, const char *name, int64_t us)
{
    struct statement_value *value = add(reading, name);
    value->kind = STATEMENT_MOMENT;
    value->us = us;
}

static void add_day(struct reading *reading, const char *name, int64_t us)
{
    struct statement_value *value = add(reading, name);
    value->kind = STATEMENT_DAY;
    value->us = us;
}

/* The parameter `at` of type time, if there is one. */
static const struct statement_value *value_at(const struct question_values *values)
{
    for (size_t i = 0; i < values->n; i++)
        if (!strcmp(values->values[i].name, "at") && values->values[i].kind == STATEMENT_MOMENT)
            return &values->values[i];
    return NULL;
}

/* Rows of hosts whose clock is ahead are not to fall out of a window that ends now. */
static int add_window(struct reading *reading)
{
    struct evidence_window *window = &reading->values->window;
    const struct question *question = reading->question;
    const struct options *options = reading->options;
    *window = evidence_window_of(options);
    reading->values->until_now = !options->has_until;
    int64_t end = options->has_until ? options->until_us : reading->server_now_us;
    if (!options->has_since && question->has_window && !question->window_all) {
        window->has_since = true;
        window->since_us = end - question->window_us;
    }
    int64_t since = window->has_since ? window->since_us : 0;
    int64_t until = options->has_until ? end : end + HOUR_US;
    if (since > until)
        return error_set(reading->error, -EINVAL, "--since is after now");
    const struct statement_value *at = value_at(reading->values);
    int64_t at_us = at ? at->us : until;
    if (at && !question->has_window)
        *window = (struct evidence_window){true, true, at_us, at_us, false, 0};
    add_moment(reading, "since", since);
    add_moment(reading, "until", until);
    add_day(reading, "since_day", since < HOUR_US ? 0 : since - HOUR_US);
    add_day(reading, "until_day", until + HOUR_US);
    add_day(reading, "at_day", at_us + HOUR_US);
    return 0;
}

static int add_selection(struct reading *reading)
{
    const struct options *options = reading->options;
    struct evidence_window *window = &reading->values->window;
    struct statement_value *host = add(reading, "host_id"), *any = add(reading, "any_login"),
                           *login = add(reading, "login_uid");
    int outcome = 0;
    any->kind = STATEMENT_NUMBER;
    any->number = options->login_user == NULL;
    if (options->on) {
        outcome = evidence_find_host(reading->mysql, options->on, &window->host_id, reading->error);
        window->has_host = true;
        host->kind = STATEMENT_NUMBER;
        host->number = window->host_id;
    }
    if (!outcome && options->login_user)
        outcome = read_user(reading, options->login_user, login);
    return outcome;
}

static int check_option(struct reading *reading, bool given, const char *option, bool used)
{
    if (!given || used)
        return 0;
    return error_set(reading->error, -EINVAL, "--%s means nothing to the report %s; leave it out",
                     option, reading->question->name);
}

/* What selects nothing must not look as if it did. */
static int check_options(struct reading *reading, bool has_limit)
{
    const struct question *question = reading->question;
    const struct options *options = reading->options;
    bool users = question_uses(question, "any_login") || question_uses(question, "login_uid");
    bool since = question_uses(question, "since") || question_uses(question, "since_day");
    bool until = question_uses(question, "until") || question_uses(question, "until_day");
    int outcome = check_option(reading, options->on, "on", question_uses(question, "host_id"));
    if (!outcome)
        outcome = check_option(reading, options->login_user, "login-user", users);
    if (!outcome)
        outcome = check_option(reading, options->has_since, "since", since);
    if (!outcome)
        outcome = check_option(reading, options->has_until, "until", until);
    if (!outcome)
        outcome = check_option(reading, has_limit, "limit", question_uses(question, "row_limit"));
    return outcome;
}

static int read_all(struct reading *reading, char *const *words, size_t n_words, bool has_limit)
{
    int outcome = check_options(reading, has_limit);
    if (!outcome)
        outcome = assign(reading, words, n_words);
    if (!outcome)
        outcome = read_server_time(reading);
    if (!outcome)
        outcome = read_parameters(reading);
    if (!outcome)
        outcome = add_window(reading);
    if (!outcome)
        outcome = add_selection(reading);
    struct statement_value *limit = outcome ? NULL : add(reading, "row_limit");
    if (limit) {
        limit->kind = STATEMENT_NUMBER;
        limit->number = reading->values->row_limit + 1;
    }
    return outcome;
}

int question_values_init(struct question_values *values, MYSQL *mysql,
                         const struct question *question, const struct options *options,
                         char *const *words, size_t n_words, uint64_t row_limit,
                         struct error_text *error)
{
    *values = (struct question_values){.row_limit = row_limit ? row_limit : QUESTION_ROWS_DEFAULT};
    struct reading reading = {
        .values = values, .mysql = mysql, .question = question, .options = options, .error = error};
    int outcome = read_all(&reading, words, n_words, row_limit != 0);
    if (outcome)
        question_values_deinit(values);
    return outcome;
}

void question_values_deinit(struct question_values *values)
{
    for (size_t i = 0; i < QUESTION_PARAMETERS_MAX; i++)
        buffer_deinit(&values->texts[i]);
    values->n = 0;
}
