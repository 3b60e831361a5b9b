/* libinih asks for a line as it would ask fgets(3), and gets no more behind a fault. Its own faults
 * it tells at the end: one of them may stand before ours. */
#include "core/ini_lines.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SECTION_SIZE = 256 };

int ini_lines_refuse(struct ini_lines *lines, const char *format, ...)
{
    char text[400];
    va_list arguments;
    if (lines->result < 0)
        return 0;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    lines->fault = lines->line;
    lines->result = error_set(lines->error, -EINVAL, "%s:%u: %s", lines->name, lines->line, text);
    return 0;
}

/* What libinih would take for something else than it looks like. */
static bool acceptable(struct ini_lines *lines, struct slice line, size_t most)
{
    if (line.length > most)
        ini_lines_refuse(lines, "the line is longer than %zu bytes; shorten it", most);
    for (size_t i = 0; i < line.length && lines->result == 0; i++)
        if ((line.data[i] < ' ' && line.data[i] != '\t' && line.data[i] != '\r') ||
            line.data[i] == 0x7f)
            ini_lines_refuse(lines, "byte %zu is a control character; remove it", i + 1);
    size_t start = 0;
    while (start < line.length && memchr(" \t\r", line.data[start], 3))
        start++;
    bool content = start < line.length && line.data[start] != '#' && line.data[start] != ';';
    if (content && start > 0)
        ini_lines_refuse(lines, "the line begins with a blank; remove it");
    return lines->result == 0;
}

static void tell_section(struct ini_lines *lines, const char *line)
{
    char section[SECTION_SIZE];
    size_t length = strcspn(line, "]");
    if (line[0] != '[' || line[length] == '\0' || length >= sizeof(section))
        return;
    snprintf(section, sizeof(section), "%.*s", (int)length - 1, line + 1);
    lines->on_section(lines, section);
}

static char *next_line(char *to, int size, void *stream)
{
    struct ini_lines *lines = stream;
    struct slice *left = &lines->left;
    if (left->length == 0 || lines->result < 0)
        return NULL;
    const uint8_t *newline = memchr(left->data, '\n', left->length);
    size_t length = newline ? (size_t)(newline - left->data) : left->length;
    lines->line++;
    if (!acceptable(lines, slice_of(left->data, length), (size_t)size - 3))
        return NULL;
    memcpy(to, left->data, length);
    to[length] = '\0';
    tell_section(lines, to);
    size_t step = length + (newline ? 1 : 0);
    *left = slice_of(left->data + step, left->length - step);
    return lines->result == 0 ? to : NULL;
}

static void skip_byte_order_mark(struct slice *text)
{
    struct slice mark = slice_text("\xef\xbb\xbf");
    if (text->length >= mark.length && slice_equal(slice_of(text->data, mark.length), mark))
        *text = slice_of(text->data + mark.length, text->length - mark.length);
}

int ini_lines_parse(struct ini_lines *lines, ini_lines_handler handler, void *user)
{
    skip_byte_order_mark(&lines->left);
    int r = ini_parse_stream(next_line, lines, handler, user);
    if (lines->result == 0 && r == -2)
        lines->result = error_set(lines->error, -ENOMEM, "%s: out of memory", lines->name);
    if (r > 0 && (lines->result == 0 || (unsigned)r < lines->fault)) {
        lines->line = (unsigned)r;
        lines->result = 0;
        ini_lines_refuse(lines, "neither a [section] nor `key = value`");
    }
    return lines->result;
}
