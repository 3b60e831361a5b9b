/* Fields are cut at colons from the left, so that each parser reads on where the last one ended. */
#include "collectors/accounts/account_lines.h"

#include "core/fact.h"

struct account_lines account_lines_of(struct slice text)
{
    return (struct account_lines){.left = text};
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\v' || byte == '\f';
}

/* What stands before @p separator, which is taken away, too; of the last piece all. */
static struct slice cut(struct slice *left, uint8_t separator)
{
    struct slice piece = *left;
    const uint8_t *at = left->length ? memchr(left->data, separator, left->length) : NULL;
    if (!at) {
        *left = SLICE_NULL;
        return piece;
    }
    piece.length = (size_t)(at - piece.data);
    *left = slice_of(at + 1, left->length - piece.length - 1);
    return piece;
}

static struct slice without_blanks(struct slice line)
{
    while (line.length && is_blank(line.data[0]))
        line = slice_of(line.data + 1, line.length - 1);
    return line;
}

bool account_lines_next(struct account_lines *lines, struct slice *line)
{
    while (lines->left.length) {
        if (lines->n == ACCOUNT_LINES_MOST) {
            lines->beyond = true;
            return false;
        }
        lines->n++;
        *line = without_blanks(cut(&lines->left, '\n'));
        if (line->length && line->data[0] != '#')
            return true;
    }
    return false;
}

static bool is_of_nis(struct slice name)
{
    return name.length && (name.data[0] == '+' || name.data[0] == '-');
}

static bool parse_number(struct slice field, uint32_t *number)
{
    uint64_t value = 0;
    for (size_t i = 0; i < field.length && value <= UINT32_MAX; i++) {
        if (field.data[i] < '0' || field.data[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(field.data[i] - '0');
    }
    *number = (uint32_t)value;
    return field.length && value <= UINT32_MAX;
}

static bool take_name(struct slice *left, struct slice *name)
{
    *name = cut(left, ':');
    return name->length && name->length <= ACCOUNT_NAME_MOST;
}

static bool take_number(struct slice *left, struct slice name, uint32_t *number)
{
    struct slice field = cut(left, ':');
    *number = ID_UNSET;
    return (is_of_nis(name) && field.length == 0) || parse_number(field, number);
}

/* SLICE_NULL when the line has ended before. */
static struct slice take_field(struct slice *left)
{
    return slice_is_null(*left) ? SLICE_NULL : cut(left, ':');
}

bool passwd_line_parse(struct slice line, struct passwd_line *to)
{
    if (line.length > ACCOUNT_LINE_MOST || !take_name(&line, &to->name))
        return false;
    to->password = take_field(&line);
    bool numbers = take_number(&line, to->name, &to->uid) && take_number(&line, to->name, &to->gid);
    to->gecos = take_field(&line);
    to->home = take_field(&line);
    to->shell = take_field(&line);
    return numbers;
}

bool group_line_parse(struct slice line, struct group_line *to)
{
    if (!take_name(&line, &to->name))
        return false;
    to->password = take_field(&line);
    bool number = take_number(&line, to->name, &to->gid);
    to->members = take_field(&line);
    return number && to->password.length <= ACCOUNT_LINE_MOST;
}

bool group_member_next(struct slice *members, struct slice *name, uint64_t *n_malformed)
{
    while (members->length) {
        *name = without_blanks(cut(members, ','));
        while (name->length && is_blank(name->data[name->length - 1]))
            name->length--;
        if (name->length && name->length <= ACCOUNT_NAME_MOST)
            return true;
        *n_malformed += name->length != 0;
    }
    return false;
}

bool shadow_line_parse(struct slice line, struct shadow_line *to)
{
    if (!take_name(&line, &to->name) || slice_is_null(line))
        return false;
    to->password = take_field(&line);
    return to->password.length <= ACCOUNT_LINE_MOST;
}
