/* libinih splits the lines; one table says what each key is. libinih is lenient: it cuts long
 * lines, takes indented lines for continuations, and does not say where a key stood. So the lines
 * are handed to it by a reader of ours, which counts them and refuses what libinih would misread.
 */
#include "recorder/agent/config_private.h"

#include "core/slice.h"

#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct parser {
    struct config *config;
    const char *name;
    struct slice left; /* text not yet read */
    unsigned line;     /* of the last line that was read */
    unsigned fault;    /* the line that was refused */
    uint64_t seen;     /* a bit a key */
    int result;
    struct error_text *error;
};

/* The word of a list that equals @p value; NULL: none. */
static const char *choose(const char *list, const char *value)
{
    size_t length = strlen(value);
    while (*list && length > 0) {
        size_t n = strcspn(list, " ");
        if (n == length && !memcmp(list, value, n))
            return config_word(list, n);
        list += n + strspn(list + n, " ");
    }
    return NULL;
}

/* Only the first fault is told. Returns what a handler of libinih returns for a fault. */
static int refuse(struct parser *parser, const char *format, ...) PRINTF(2, 3);

static int refuse(struct parser *parser, const char *format, ...)
{
    char text[320];
    va_list arguments;
    if (parser->result < 0)
        return 0;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    parser->fault = parser->line;
    parser->result =
        error_set(parser->error, -EINVAL, "%s:%u: %s", parser->name, parser->line, text);
    return 0;
}

/* A list of what is allowed, for the error: sections, or the keys of one section. */
static const char *known_names(const char *section, char *to, size_t size)
{
    size_t length = 0;
    to[0] = '\0';
    for (const struct config_key *key = config_keys; key->section && length < size; key++) {
        if (section ? strcmp(key->section, section) != 0
                    : key > config_keys && !strcmp(key->section, key[-1].section))
            continue;
        int n = snprintf(to + length, size - length, "%s%s", length ? ", " : "",
                         section ? key->name : key->section);
        length += n > 0 ? (size_t)n : 0;
    }
    return to;
}

static bool is_section(const char *name)
{
    for (const struct config_key *key = config_keys; key->section; key++)
        if (!strcmp(key->section, name))
            return true;
    return false;
}

static int refuse_section(struct parser *parser, const char *section)
{
    char list[256];
    return refuse(parser, "unknown section [%.50s]; there are: %s", section,
                  known_names(NULL, list, sizeof(list)));
}

static int refuse_key(struct parser *parser, const char *section, const char *name)
{
    char list[256];
    if (section[0] == '\0')
        return refuse(parser, "%.50s stands before any [section]; put it below one", name);
    if (!is_section(section))
        return refuse_section(parser, section);
    return refuse(parser, "unknown key %.50s; in [%s] there are: %s", name, section,
                  known_names(section, list, sizeof(list)));
}

static bool parse_number(const char *text, uint64_t *value)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    *value = number;
    return *end == '\0' && errno == 0;
}

static int take_number(struct parser *parser, const struct config_key *key, const char *value)
{
    uint64_t number;
    if (!parse_number(value, &number) || number < key->least || number > key->most)
        return refuse(parser, "%s = %.40s: write a number from %llu to %llu%s%s", key->name, value,
                      (unsigned long long)key->least, (unsigned long long)key->most,
                      key->unit ? ", in " : "", key->unit ? key->unit : "");
    config_set_number(parser->config, key, number);
    return 1;
}

static int take_path(struct parser *parser, const struct config_key *key, const char *value)
{
    if (value[0] != '/' || strlen(value) >= CONFIG_PATH_SIZE)
        return refuse(parser, "%s = %.40s: write an absolute path of at most %d bytes", key->name,
                      value, CONFIG_PATH_SIZE - 1);
    snprintf(config_member(parser->config, key), CONFIG_PATH_SIZE, "%s", value);
    return 1;
}

static int take_text(struct parser *parser, const struct config_key *key, const char *value)
{
    if (strlen(value) >= CONFIG_PATH_SIZE)
        return refuse(parser, "%s = %.40s...: write at most %d bytes", key->name, value,
                      CONFIG_PATH_SIZE - 1);
    snprintf(config_member(parser->config, key), CONFIG_PATH_SIZE, "%s", value);
    return 1;
}

/* Lines are short, so a list may have several; the first one takes the place of the default. */
static int take_list(struct parser *parser, const struct config_key *key, const char *value,
                     bool first)
{
    char *list = config_member(parser->config, key);
    if (first)
        list[0] = '\0';
    size_t used = strlen(list);
    const char *blank = used && *value ? " " : "";
    int length = snprintf(list + used, CONFIG_LIST_SIZE - used, "%s%s", blank, value);
    if (used + (size_t)length < CONFIG_LIST_SIZE)
        return 1;
    list[used] = '\0';
    return refuse(parser, "%s has more than %d bytes in all; shorten it", key->name,
                  CONFIG_LIST_SIZE - 1);
}

static int take_word(struct parser *parser, const struct config_key *key, const char *value)
{
    const char *word = choose(key->text, value);
    if (!word)
        return refuse(parser, "%s = %.40s: write one of: %s", key->name, value, key->text);
    *(const char **)config_member(parser->config, key) = word;
    return 1;
}

static int take_key(void *user, const char *section, const char *name, const char *value)
{
    struct parser *parser = user;
    for (const struct config_key *key = config_keys; key->section; key++) {
        if (strcmp(key->section, section) || strcmp(key->name, name))
            continue;
        uint64_t bit = UINT64_C(1) << (key - config_keys);
        bool first = !(parser->seen & bit);
        if (!first && key->type != KEY_LIST)
            return refuse(parser, "%s is given twice in [%s]; remove one", name, section);
        parser->seen |= bit;
        if (key->type == KEY_PATH)
            return take_path(parser, key, value);
        if (key->type == KEY_TEXT)
            return take_text(parser, key, value);
        if (key->type == KEY_LIST)
            return take_list(parser, key, value, first);
        if (key->type == KEY_WORD)
            return take_word(parser, key, value);
        return take_number(parser, key, value);
    }
    return refuse_key(parser, section, name);
}

/* What libinih would take for something else than it looks like. */
static bool acceptable(struct parser *parser, struct slice line, size_t most)
{
    if (line.length > most)
        refuse(parser, "the line is longer than %zu bytes; shorten it", most);
    for (size_t i = 0; i < line.length && parser->result == 0; i++)
        if (line.data[i] < ' ' && line.data[i] != '\t' && line.data[i] != '\r')
            refuse(parser, "byte %zu is a control character; remove it", i + 1);
    size_t start = 0;
    while (start < line.length && memchr(" \t\r", line.data[start], 3))
        start++;
    bool content = start < line.length && line.data[start] != '#' && line.data[start] != ';';
    if (parser->result == 0 && content && start > 0)
        refuse(parser, "the line begins with a blank; remove it");
    return parser->result == 0;
}

/* libinih tells of sections only when they have keys. */
static void check_section(struct parser *parser, const char *line)
{
    char section[CONFIG_PATH_SIZE];
    size_t length = strcspn(line, "]");
    if (line[0] != '[' || line[length] == '\0' || length >= sizeof(section))
        return;
    snprintf(section, sizeof(section), "%.*s", (int)length - 1, line + 1);
    if (!is_section(section))
        refuse_section(parser, section);
}

/* The ini_reader: works as fgets(3). After a fault there is no more to read. */
static char *next_line(char *to, int size, void *stream)
{
    struct parser *parser = stream;
    struct slice *left = &parser->left;
    if (left->length == 0 || parser->result < 0)
        return NULL;
    const uint8_t *newline = memchr(left->data, '\n', left->length);
    size_t length = newline ? (size_t)(newline - left->data) : left->length;
    parser->line++;
    if (!acceptable(parser, slice_of(left->data, length), (size_t)size - 3))
        return NULL;
    memcpy(to, left->data, length);
    to[length] = '\0';
    check_section(parser, to);
    size_t step = length + (newline ? 1 : 0);
    *left = slice_of(left->data + step, left->length - step);
    return parser->result == 0 ? to : NULL;
}

static void parse_lines(struct parser *parser)
{
    struct slice byte_order_mark = slice_text("\xef\xbb\xbf");
    if (parser->left.length >= byte_order_mark.length &&
        slice_equal(slice_of(parser->left.data, byte_order_mark.length), byte_order_mark))
        parser->left = slice_of(parser->left.data + byte_order_mark.length,
                                parser->left.length - byte_order_mark.length);
    int r = ini_parse_stream(next_line, parser, take_key, parser);
    if (parser->result == 0 && r == -2)
        parser->result = error_set(parser->error, -ENOMEM, "%s: out of memory", parser->name);
    /* libinih tells its own faults at the end: this one may have come before ours */
    if (r > 0 && (parser->result == 0 || (unsigned)r < parser->fault)) {
        parser->line = (unsigned)r;
        parser->result = 0;
        refuse(parser, "neither a [section] nor `key = value`");
    }
}

int config_parse(struct config *config, const char *name, struct slice text,
                 struct error_text *error)
{
    struct parser parser = {.config = config, .name = name, .left = text, .error = error};
    if (text.length > CONFIG_FILE_MOST)
        return error_set(error, -EINVAL,
                         "%s: larger than %d KiB; this is no configuration of "
                         "vestiged",
                         name, CONFIG_FILE_MOST >> 10);
    parse_lines(&parser);
    if (parser.result == 0 && config->retry_first_ms > config->retry_most_ms)
        return error_set(error, -EINVAL,
                         "%s: retry_first_ms (%u) is more than retry_most_ms (%u); "
                         "lower it",
                         name, config->retry_first_ms, config->retry_most_ms);
    return parser.result;
}
