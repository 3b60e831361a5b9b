/* Lines stand one behind the other, as they would in a file. */
#include "recorder/row/row_sink_memory.h"

void row_sink_memory_deinit(struct row_sink_memory *memory)
{
    buffer_deinit(&memory->text);
    buffer_deinit(&memory->mark);
}

void row_sink_memory_clear(struct row_sink_memory *memory)
{
    buffer_clear(&memory->text);
    buffer_clear(&memory->mark);
    memory->n_lines = memory->n_marks = memory->n_refused = 0;
}

static int append(void *user, const struct line *line)
{
    struct row_sink_memory *memory = user;
    if (memory->refuse) {
        memory->n_refused++;
        return memory->refuse;
    }
    if (!buffer_reserve(&memory->text, line->text.length)) {
        memory->text.failed = false;
        return -ENOMEM;
    }
    buffer_append_slice(&memory->text, buffer_slice(&line->text));
    memory->n_lines++;
    return 0;
}

static void mark(void *user, struct slice cursors)
{
    struct row_sink_memory *memory = user;
    buffer_clear(&memory->mark);
    buffer_append_slice(&memory->mark, cursors);
    memory->n_marks++;
}

struct row_sink row_sink_memory(struct row_sink_memory *memory)
{
    return (struct row_sink){.user = memory, .append = append, .mark = mark};
}

/* Cut @p rest at the next @p separator, or take all of it. */
static struct slice cut(struct slice *rest, char separator)
{
    struct slice part = *rest;
    const uint8_t *end = part.length ? memchr(part.data, separator, part.length) : NULL;
    if (end)
        part.length = (size_t)(end - part.data);
    *rest = end ? slice_of(end + 1, rest->length - part.length - 1) : SLICE_NULL;
    return part;
}

struct slice row_sink_memory_line(const struct row_sink_memory *memory, size_t number)
{
    if (number >= memory->n_lines)
        return SLICE_NULL;
    struct slice rest = buffer_slice(&memory->text);
    while (number-- > 0)
        cut(&rest, '\n');
    return cut(&rest, '\n');
}

struct slice row_sink_memory_value(struct slice line, size_t column)
{
    for (size_t i = 0; i < column + 3 && !slice_is_null(line); i++)
        cut(&line, '\t');
    return slice_is_null(line) ? SLICE_NULL : cut(&line, '\t');
}
