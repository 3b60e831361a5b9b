/* libinih splits the lines (core/ini_lines.c); one table says what each key is. */
#include "recorder/agent/config_private.h"

#include "core/ini_lines.h"

#include <stdio.h>
#include <stdlib.h>

struct parser {
    struct ini_lines lines;
    struct config *config;
    uint64_t seen; /* a bit a key */
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

static int refuse_section(struct ini_lines *lines, const char *section)
{
    char list[256];
    return ini_lines_refuse(lines, "unknown section [%.50s]; there are: %s", section,
                            known_names(NULL, list, sizeof(list)));
}

static int refuse_key(struct parser *parser, const char *section, const char *name)
{
    char list[256];
    if (section[0] == '\0')
        return ini_lines_refuse(&parser->lines,
                                "%.50s stands before any [section]; put it below one", name);
    if (!is_section(section))
        return refuse_section(&parser->lines, section);
    return ini_lines_refuse(&parser->lines, "unknown key %.50s; in [%s] there are: %s", name,
                            section, known_names(section, list, sizeof(list)));
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
        return ini_lines_refuse(&parser->lines, "%s = %.40s: write a number from %llu to %llu%s%s",
                                key->name, value, (unsigned long long)key->least,
                                (unsigned long long)key->most, key->unit ? ", in " : "",
                                key->unit ? key->unit : "");
    config_set_number(parser->config, key, number);
    return 1;
}

static int take_path(struct parser *parser, const struct config_key *key, const char *value)
{
    if (value[0] != '/' || strlen(value) >= CONFIG_PATH_SIZE)
        return ini_lines_refuse(&parser->lines,
                                "%s = %.40s: write an absolute path of at most %d bytes", key->name,
                                value, CONFIG_PATH_SIZE - 1);
    snprintf(config_member(parser->config, key), CONFIG_PATH_SIZE, "%s", value);
    return 1;
}

static int take_text(struct parser *parser, const struct config_key *key, const char *value)
{
    if (strlen(value) >= CONFIG_PATH_SIZE)
        return ini_lines_refuse(&parser->lines, "%s = %.40s...: write at most %d bytes", key->name,
                                value, CONFIG_PATH_SIZE - 1);
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
    return ini_lines_refuse(&parser->lines, "%s has more than %d bytes in all; shorten it",
                            key->name, CONFIG_LIST_SIZE - 1);
}

static int take_word(struct parser *parser, const struct config_key *key, const char *value)
{
    const char *word = choose(key->text, value);
    if (!word)
        return ini_lines_refuse(&parser->lines, "%s = %.40s: write one of: %s", key->name, value,
                                key->text);
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
            return ini_lines_refuse(&parser->lines, "%s is given twice in [%s]; remove one", name,
                                    section);
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

static void check_section(struct ini_lines *lines, const char *section)
{
    if (!is_section(section))
        refuse_section(lines, section);
}

int config_parse(struct config *config, const char *name, struct slice text,
                 struct error_text *error)
{
    struct parser parser = {
        .lines = {.name = name, .left = text, .error = error, .on_section = check_section},
        .config = config
    };
    if (text.length > CONFIG_FILE_MOST)
        return error_set(error, -EINVAL,
                         "%s: larger than %d KiB; this is no configuration of "
                         "vestiged",
                         name, CONFIG_FILE_MOST >> 10);
    int result = ini_lines_parse(&parser.lines, take_key, &parser);
    if (result == 0 && config->retry_first_ms > config->retry_most_ms)
        return error_set(error, -EINVAL,
                         "%s: retry_first_ms (%u) is more than retry_most_ms (%u); "
                         "lower it",
                         name, config->retry_first_ms, config->retry_most_ms);
    return result;
}
