/* The frame of the three formats: keeps the columns, and begins late, so that an error before the
 * first row leaves the stream untouched. */
#include "output_writer.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static const struct output_writer *const writers[] = {
    [OUTPUT_TABLE] = &output_writer_table,
    [OUTPUT_JSON] = &output_writer_json,
    [OUTPUT_CSV] = &output_writer_csv,
};

static int copy_columns(struct output *output, const struct output_column *columns, size_t n)
{
    output->columns = calloc(n ? n : 1, sizeof(*columns));
    if (!output->columns)
        return -ENOMEM;
    output->n_columns = n;
    for (size_t i = 0; i < n; i++) {
        output->columns[i] = columns[i];
        output->columns[i].name = strdup(columns[i].name);
        if (!output->columns[i].name) {
            output->n_columns = i;
            return -ENOMEM;
        }
    }
    return 0;
}

int output_new(struct output **outputp, enum output_format format, FILE *stream,
               const struct output_column *columns, size_t n_columns)
{
    struct output *output = calloc(1, sizeof(*output));
    if (!output)
        return -ENOMEM;
    output->writer = writers[format];
    output->stream = stream;
    output->terminal = isatty(fileno(stream));
    int error = copy_columns(output, columns, n_columns);
    if (error) {
        output_free(output);
        return error;
    }
    *outputp = output;
    return 0;
}

void output_keep_lines(struct output *output)
{
    output->keep_lines = true;
}

void output_least_columns(struct output *output, size_t n)
{
    output->least_columns = n;
}

void output_head_columns(struct output *output, size_t n)
{
    output->head_columns = n;
}

static int begin_once(struct output *output)
{
    if (output->begun)
        return 0;
    output->begun = true;
    return output->writer->begin(output);
}

int output_row(struct output *output, const struct slice *values)
{
    int error = begin_once(output);
    if (!error)
        error = output->writer->row(output, values);
    output->n_rows++;
    return error;
}

int output_finish(struct output *output)
{
    int error = begin_once(output);
    if (!error)
        error = output->writer->end(output);
    if (!error && fflush(output->stream))
        error = -errno;
    return error ? error : output_stream_error(output);
}

struct output *output_free(struct output *output)
{
    if (!output)
        return NULL;
    if (output->state)
        output->writer->deinit(output);
    for (size_t i = 0; i < output->n_columns; i++)
        free((void *)(uintptr_t)output->columns[i].name);
    free(output->columns);
    buffer_deinit(&output->scratch);
    free(output);
    return NULL;
}

int output_stream_error(struct output *output)
{
    if (!ferror(output->stream))
        return 0;
    return errno ? -errno : -EIO;
}

FILE *output_remarks(enum output_format format)
{
    return format == OUTPUT_TABLE ? stdout : stderr;
}

void output_end_if_unread(int outcome)
{
    if (outcome != -EPIPE)
        return;
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
}
