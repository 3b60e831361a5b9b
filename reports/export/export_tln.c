/* Time|Source|Host|User|Description, time in seconds since 1970, with that header line. A bar in a
 * value is written as \x7c, so that each line has five fields; control characters as elsewhere. */
#include "reports/export/export_output.h"
#include "reports/output/safe_text.h"

#include <time.h>

static int begin(struct export_output *output)
{
    buffer_append_text(&output->line, "Time|Source|Host|User|Description\n");
    return export_output_line(output);
}

static void append_field(struct buffer *line, struct slice value)
{
    size_t begin = 0;
    for (size_t i = 0; i <= value.length; i++)
        if (i == value.length || value.data[i] == '|') {
            safe_text_append(line, slice_of(value.data + begin, i - begin));
            if (i < value.length)
                buffer_append_text(line, "\\x7c");
            begin = i + 1;
        }
}

static int event(struct export_output *output, const struct slice *values, bool is_end)
{
    struct buffer *line = &output->line;
    int64_t us = export_us_of(values[is_end ? EXPORT_END_US : EXPORT_BEGIN_US]);
    buffer_printf(line, "%lld|vestige:%s|", (long long)(us / 1000000), output->table->name);
    append_field(line, values[EXPORT_HOST]);
    buffer_append_byte(line, '|');
    append_field(line, values[EXPORT_USER]);
    buffer_append_byte(line, '|');
    append_field(line, values[is_end ? EXPORT_MESSAGE_END : EXPORT_MESSAGE]);
    buffer_append_byte(line, '\n');
    return export_output_line(output);
}

static int row(struct export_output *output, const struct slice *values)
{
    return export_begin_and_end(output, values, event);
}

static int partial(struct export_output *output, const char *why)
{
    buffer_clear(&output->line);
    buffer_printf(&output->line,
                  "%lld|vestige:export|||EXPORT NOT COMPLETE: ", (long long)time(NULL));
    append_field(&output->line, slice_text(why));
    buffer_append_byte(&output->line, '\n');
    return export_output_line(output);
}

const struct export_writer export_writer_tln = {
    .name = "tln", .begin = begin, .row = row, .partial = partial};
