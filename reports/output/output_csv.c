/* RFC 4180: lines end in CR LF; a field is quoted when it holds a comma, a quote or a line break,
 * when blanks stand at its ends, and when it is empty but not NULL. Bytes go out as they are, but
 * on a terminal they are made safe first. */
#include "output_writer.h"
#include "reports/output/safe_text.h"

static bool needs_quotes(struct slice field)
{
    if (field.length == 0)
        return true;
    for (size_t i = 0; i < field.length; i++)
        if (field.data[i] == 0 || strchr(",\"\r\n", field.data[i]))
            return true;
    return field.data[0] == ' ' || field.data[field.length - 1] == ' ';
}

static void write_field(struct output *output, struct slice field)
{
    if (output->terminal) {
        buffer_clear(&output->scratch);
        safe_text_append(&output->scratch, field);
        field = buffer_slice(&output->scratch);
    }
    if (!needs_quotes(field)) {
        fwrite(field.data, 1, field.length, output->stream);
        return;
    }
    putc('"', output->stream);
    for (size_t i = 0; i < field.length; i++) {
        if (field.data[i] == '"')
            putc('"', output->stream);
        putc(field.data[i], output->stream);
    }
    putc('"', output->stream);
}

static int csv_row(struct output *output, const struct slice *values)
{
    for (size_t i = 0; i < output->n_columns; i++) {
        if (i)
            putc(',', output->stream);
        if (!slice_is_null(values[i]))
            write_field(output, values[i]);
    }
    fputs("\r\n", output->stream);
    if (output->scratch.failed)
        return -ENOMEM;
    return output_stream_error(output);
}

static int csv_begin(struct output *output)
{
    for (size_t i = 0; i < output->n_columns; i++) {
        if (i)
            putc(',', output->stream);
        write_field(output, slice_text(output->columns[i].name));
    }
    fputs("\r\n", output->stream);
    return output_stream_error(output);
}

static int csv_end(struct output *output)
{
    return output_stream_error(output);
}

const struct output_writer output_writer_csv = {csv_begin, csv_row, csv_end, NULL};
