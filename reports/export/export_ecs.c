/* A nested document a row. `process.parent.pid` is pid in parent in process: names come sorted, so
 * an object is left when a name does not begin as the one before. */
#include "reports/export/export_output.h"
#include "reports/output/json_text.h"

#include <stdlib.h>
#include <time.h>

/* The objects that are open, as the beginning of the last name: "process.parent." */
struct nesting {
    struct buffer *to;
    struct slice open;
    bool needs_comma;
};

static size_t common_objects(struct slice open, struct slice name)
{
    size_t common = 0;
    for (size_t i = 0; i < open.length && i < name.length && open.data[i] == name.data[i]; i++)
        if (open.data[i] == '.')
            common = i + 1;
    return common;
}

static void close_down_to(struct nesting *nesting, size_t length)
{
    for (size_t i = length; i < nesting->open.length; i++)
        if (nesting->open.data[i] == '.') {
            buffer_append_byte(nesting->to, '}');
            nesting->needs_comma = true;
        }
    nesting->open.length = length;
}

static void key(struct nesting *nesting, struct slice name)
{
    if (nesting->needs_comma)
        buffer_append_text(nesting->to, ", ");
    json_append_string(nesting->to, name);
    buffer_append_text(nesting->to, ": ");
    nesting->needs_comma = false;
}

static void open_to(struct nesting *nesting, struct slice name)
{
    close_down_to(nesting, common_objects(nesting->open, name));
    size_t begin = nesting->open.length;
    for (size_t i = begin; i < name.length; i++)
        if (name.data[i] == '.') {
            key(nesting, slice_of(name.data + begin, i - begin));
            buffer_append_byte(nesting->to, '{');
            begin = i + 1;
        }
    nesting->open = slice_of(name.data, begin);
    key(nesting, slice_of(name.data + begin, name.length - begin));
    nesting->needs_comma = true;
}

static void append_list(struct buffer *to, struct slice value)
{
    size_t begin = 0;
    buffer_append_byte(to, '[');
    for (size_t i = 0; i <= value.length; i++)
        if (i == value.length || value.data[i] == ',') {
            if (i > begin) {
                buffer_append_text(to, to->data[to->length - 1] == '[' ? "" : ", ");
                json_append_string(to, slice_of(value.data + begin, i - begin));
            }
            begin = i + 1;
        }
    buffer_append_byte(to, ']');
}

static void append_value(struct buffer *to, const MYSQL_FIELD *field, bool is_list,
                         struct slice value)
{
    if (is_list) {
        append_list(to, value);
    } else if (export_is_moment(field)) {
        buffer_append_byte(to, '"');
        export_append_moment(to, value, "Z");
        buffer_append_byte(to, '"');
    } else {
        json_append_value(to, export_is_number(field), value);
    }
}

static int row(struct export_output *output, const struct slice *values)
{
    struct nesting nesting = {.to = &output->line, .open = slice_text("")};
    buffer_append_byte(&output->line, '{');
    for (unsigned i = 0; i < output->n_ordered; i++) {
        const MYSQL_FIELD *field = &output->fields[output->order[i]];
        struct slice value = values[output->order[i]], name = slice_text(field->name);
        bool is_list = name.length > 2 && !memcmp(name.data + name.length - 2, "[]", 2);
        if (slice_is_null(value) || (is_list && !value.length))
            continue;
        if (is_list)
            name.length -= 2;
        open_to(&nesting, name);
        append_value(&output->line, field, is_list, value);
    }
    close_down_to(&nesting, 0);
    buffer_append_text(&output->line, "}\n");
    output->n_events++;
    return export_output_line(output);
}

static int partial(struct export_output *output, const char *why)
{
    struct buffer *line = &output->line;
    buffer_clear(line);
    buffer_append_text(line, "{\"@timestamp\": \"");
    export_append_us(line, (int64_t)time(NULL) * 1000000, "Z");
    buffer_append_text(line,
                       "\", \"event\": {\"kind\": \"pipeline_error\", \"module\": \"vestige\"}, "
                       "\"message\": \"EXPORT NOT COMPLETE\", \"error\": {\"message\": ");
    json_append_string(line, slice_text(why));
    buffer_append_text(line, "}}\n");
    return export_output_line(output);
}

const struct export_writer export_writer_ecs = {.name = "ecs", .row = row, .partial = partial};
