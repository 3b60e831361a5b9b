/*
 * One document, {"rows": [...]}, one object a line, written as the rows come.
 *
 * This is not left to libsmartcols, which the tables use: version 2.38 keeps all rows in memory
 * until the end, gives null for an empty string (which is evidence: an empty argument is not a
 * missing one), changes the names of columns to lower case, and lets C1 controls through.
 */
#include "output_writer.h"
#include "reports/output/json_text.h"

#include <stdlib.h>

static bool name_is_taken(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

/* A second `id` becomes `id_2`: a document with two equal names would lose one of them. */
static int number_names(struct output *output)
{
    const char **names = calloc(output->n_columns + 1, sizeof(*names));
    if (!names)
        return -ENOMEM;
    int error = 0;
    for (size_t i = 0; i < output->n_columns && !error; i++) {
        char *name = (char *)(uintptr_t)output->columns[i].name, *numbered = NULL;
        for (unsigned number = 2; name_is_taken(names, i, numbered ? numbered : name); number++) {
            free(numbered);
            if (asprintf(&numbered, "%s_%u", name, number) < 0) {
                numbered = NULL;
                error = -ENOMEM;
                break;
            }
        }
        if (numbered) {
            free(name);
            output->columns[i].name = numbered;
        }
        names[i] = output->columns[i].name;
    }
    free(names);
    return error;
}

static int json_begin(struct output *output)
{
    fputs("{\"rows\": [", output->stream);
    return number_names(output);
}

static int json_row(struct output *output, const struct slice *values)
{
    struct buffer *line = &output->scratch;
    buffer_clear(line);
    buffer_append_text(line, output->n_rows ? ",\n  {" : "\n  {");
    for (size_t i = 0; i < output->n_columns; i++) {
        if (i)
            buffer_append_text(line, ", ");
        json_append_string(line, slice_text(output->columns[i].name));
        buffer_append_text(line, ": ");
        json_append_value(line, output->columns[i].kind == OUTPUT_NUMBER, values[i]);
    }
    buffer_append_byte(line, '}');
    if (line->failed)
        return -ENOMEM;
    fwrite(line->data, 1, line->length, output->stream);
    return output_stream_error(output);
}

static int json_end(struct output *output)
{
    fputs(output->n_rows ? "\n]}\n" : "]}\n", output->stream);
    return output_stream_error(output);
}

const struct output_writer output_writer_json = {json_begin, json_row, json_end, NULL};
