/* One pass over the text: what is quoted or a comment is copied as it is, the rest byte by byte. A
 * backslash hides the next byte of a string, as in the server's default mode. */
#include "reports/database/statement_text.h"

#include <ctype.h>

struct text {
    const uint8_t *at, *end;
};

static bool begins(const struct text *text, const char *with)
{
    size_t length = strlen(with);
    return (size_t)(text->end - text->at) >= length && !memcmp(text->at, with, length);
}

static bool is_name_byte(uint8_t byte)
{
    return islower(byte) || isdigit(byte) || byte == '_';
}

/* The place behind the string or quoted name that begins here; NULL: it is not closed. */
static const uint8_t *behind_quoted(const struct text *text)
{
    uint8_t quote = *text->at;
    for (const uint8_t *at = text->at + 1; at < text->end; at++) {
        if (*at == '\\' && quote != '`')
            at++;
        else if (*at == quote)
            return at + 1;
    }
    return NULL;
}

static const uint8_t *behind_line(const struct text *text)
{
    const uint8_t *newline = memchr(text->at, '\n', (size_t)(text->end - text->at));
    return newline ? newline + 1 : text->end;
}

static const uint8_t *behind_comment(const struct text *text)
{
    const uint8_t *close = memmem(text->at + 2, (size_t)(text->end - text->at) - 2, "*/", 2);
    return close ? close + 2 : NULL;
}

/* `--` begins a comment only before a blank or a control character, or at the end. */
static bool begins_line_comment(const struct text *text)
{
    if (*text->at == '#')
        return true;
    return begins(text, "--") && (text->at + 2 == text->end || text->at[2] <= ' ');
}

/* The place behind what is to be copied unread; the same place: nothing is; NULL: not closed. */
static const uint8_t *behind_unread(const struct text *text)
{
    if (*text->at == '\'' || *text->at == '"' || *text->at == '`')
        return behind_quoted(text);
    if (begins_line_comment(text))
        return behind_line(text);
    if (begins(text, "/*"))
        return behind_comment(text);
    return text->at;
}

static struct slice name_at(const struct text *text)
{
    const uint8_t *end = text->at + 1;
    if (*text->at != ':' || end == text->end || !islower(*end))
        return SLICE_NULL;
    while (end < text->end && is_name_byte(*end))
        end++;
    return slice_of(text->at + 1, (size_t)(end - text->at) - 1);
}

static void copy(struct buffer *to, struct text *text, const uint8_t *end)
{
    if (to)
        buffer_append(to, text->at, (size_t)(end - text->at));
    text->at = end;
}

int statement_text_translate(struct buffer *to, struct slice sql, statement_name_function function,
                             void *user)
{
    struct text text = {sql.data, sql.data + sql.length};
    while (text.at < text.end) {
        const uint8_t *behind = behind_unread(&text);
        struct slice name = name_at(&text);
        if (!behind)
            return -EINVAL;
        if (behind > text.at) {
            copy(to, &text, behind);
        } else if (slice_is_null(name)) {
            copy(to, &text, text.at + 1);
        } else {
            int outcome = function ? function(user, name) : 0;
            if (outcome < 0)
                return outcome;
            if (to && outcome != STATEMENT_TEXT_REPLACED)
                buffer_append_byte(to, '?');
            text.at = name.data + name.length;
        }
    }
    return 0;
}

struct search {
    const char *name;
    bool found;
};

static int compare_name(void *user, struct slice name)
{
    struct search *search = user;
    search->found = search->found || slice_is(name, search->name);
    return 0;
}

bool statement_text_uses(const char *sql, const char *name)
{
    struct search search = {name, false};
    int outcome = statement_text_translate(NULL, slice_text(sql), compare_name, &search);
    return outcome == 0 && search.found;
}
