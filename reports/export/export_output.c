/* The frame of the formats. Fields are sorted by name once a table, so that those of one object of
 * a nested document stand together. */
#include "reports/export/export_output.h"

#include <stdlib.h>
#include <time.h>

static const struct export_writer *const writers[] = {&export_writer_ecs, &export_writer_timesketch,
                                                      &export_writer_timesketch_csv,
                                                      &export_writer_tln};

const struct export_writer *export_writer_named(const char *name)
{
    for (size_t i = 0; i < sizeof(writers) / sizeof(writers[0]); i++)
        if (!strcmp(writers[i]->name, name))
            return writers[i];
    return NULL;
}

int export_output_init(struct export_output *output, const struct export_writer *writer,
                       FILE *stream)
{
    *output = (struct export_output){.writer = writer, .stream = stream};
    return writer->begin ? writer->begin(output) : 0;
}

void export_output_deinit(struct export_output *output)
{
    output_free(output->csv);
    buffer_deinit(&output->line);
}

static int by_name(const void *a, const void *b, void *fields_p)
{
    const MYSQL_FIELD *fields = fields_p;
    return strcmp(fields[*(const unsigned *)a].name, fields[*(const unsigned *)b].name);
}

int export_output_table(struct export_output *output, const struct export_table *table,
                        const MYSQL_FIELD *fields, unsigned n_fields)
{
    if (n_fields > EXPORT_FIELDS_MAX)
        return -E2BIG;
    output->table = table;
    output->fields = fields;
    output->n_fields = n_fields;
    output->n_ordered = 0;
    for (unsigned i = EXPORT_HOST; i < n_fields; i++)
        output->order[output->n_ordered++] = i;
    qsort_r(output->order, output->n_ordered, sizeof(output->order[0]), by_name,
            (void *)(uintptr_t)fields);
    return 0;
}

int export_output_line(struct export_output *output)
{
    struct buffer *line = &output->line;
    if (line->failed)
        return -ENOMEM;
    errno = 0;
    size_t written = fwrite(line->data, 1, line->length, output->stream);
    bool failed = written != line->length;
    buffer_clear(line);
    return failed ? (errno ? -errno : -EIO) : 0;
}

bool export_is_moment(const MYSQL_FIELD *field)
{
    return field->type == MYSQL_TYPE_DATETIME || field->type == MYSQL_TYPE_TIMESTAMP;
}

bool export_is_number(const MYSQL_FIELD *field)
{
    switch (field->type) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
    case MYSQL_TYPE_DECIMAL:
    case MYSQL_TYPE_NEWDECIMAL:
        return true;
    default:
        return false;
    }
}

void export_append_moment(struct buffer *to, struct slice moment, const char *zone)
{
    for (size_t i = 0; i < moment.length; i++)
        buffer_append_byte(to, moment.data[i] == ' ' ? 'T' : (char)moment.data[i]);
    buffer_append_text(to, zone);
}

void export_append_us(struct buffer *to, int64_t us, const char *zone)
{
    time_t second = (time_t)(us / 1000000);
    char text[40];
    struct tm tm;
    gmtime_r(&second, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    buffer_printf(to, "%s.%06d%s", text, (int)(us % 1000000), zone);
}

int64_t export_us_of(struct slice number)
{
    int64_t us = 0;
    for (size_t i = 0; i < number.length; i++)
        if (number.data[i] >= '0' && number.data[i] <= '9')
            us = us * 10 + (number.data[i] - '0');
    return us;
}

int export_begin_and_end(struct export_output *output, const struct slice *values,
                         int (*event)(struct export_output *output, const struct slice *values,
                                      bool is_end))
{
    int error = 0;
    if (!slice_is_null(values[EXPORT_BEGIN_US])) {
        error = event(output, values, false);
        output->n_events++;
    }
    if (!error && !slice_is_null(values[EXPORT_END_US])) {
        error = event(output, values, true);
        output->n_events++;
    }
    return error;
}
