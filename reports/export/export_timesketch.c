/* message, datetime and timestamp_desc are what Timesketch demands. Names have _ for the dots. A
 * row is two events, its begin and its end, if both are in the window and not the same moment.
 *
 * https://timesketch.org/guides/user/import-from-json-csv/ */
#include "reports/export/export_output.h"
#include "reports/output/json_text.h"

#include <stdlib.h>
#include <time.h>

#define ZONE "+00:00"

static void append_name(struct buffer *to, const char *name)
{
    for (; *name && *name != '['; name++)
        buffer_append_byte(to, *name == '.' ? '_' : *name);
}

static bool is_told_otherwise(const char *name)
{
    return !strcmp(name, "@timestamp") || !strcmp(name, "message");
}

static void append_head(struct buffer *line, const struct export_table *table,
                        const struct slice *values, bool is_end)
{
    int64_t us = export_us_of(values[is_end ? EXPORT_END_US : EXPORT_BEGIN_US]);
    buffer_append_text(line, "{\"message\": ");
    json_append_string(line, values[is_end ? EXPORT_MESSAGE_END : EXPORT_MESSAGE]);
    buffer_append_text(line, ", \"datetime\": \"");
    export_append_us(line, us, ZONE);
    buffer_printf(line, "\", \"timestamp\": %lld, \"timestamp_desc\": \"%s of %s\"", (long long)us,
                  is_end ? "End" : "Start", table->name);
    buffer_printf(line, ", \"data_type\": \"vestige:%s\"", table->name);
}

static void append_field(struct buffer *line, const MYSQL_FIELD *field, struct slice value)
{
    buffer_append_text(line, ", \"");
    append_name(line, field->name);
    buffer_append_text(line, "\": ");
    if (!export_is_moment(field)) {
        json_append_value(line, export_is_number(field), value);
        return;
    }
    buffer_append_byte(line, '"');
    export_append_moment(line, value, ZONE);
    buffer_append_byte(line, '"');
}

static int json_event(struct export_output *output, const struct slice *values, bool is_end)
{
    append_head(&output->line, output->table, values, is_end);
    for (unsigned i = 0; i < output->n_ordered; i++) {
        unsigned n = output->order[i];
        if (!slice_is_null(values[n]) && !is_told_otherwise(output->fields[n].name))
            append_field(&output->line, &output->fields[n], values[n]);
    }
    buffer_append_text(&output->line, "}\n");
    return export_output_line(output);
}

static int json_row(struct export_output *output, const struct slice *values)
{
    return export_begin_and_end(output, values, json_event);
}

static int json_partial(struct export_output *output, const char *why)
{
    struct buffer *line = &output->line;
    int64_t us = (int64_t)time(NULL) * 1000000;
    buffer_clear(line);
    buffer_append_text(line, "{\"message\": \"EXPORT NOT COMPLETE\", \"datetime\": \"");
    export_append_us(line, us, ZONE);
    buffer_printf(line,
                  "\", \"timestamp\": %lld, \"timestamp_desc\": \"Export not complete\", "
                  "\"error\": ",
                  (long long)us);
    json_append_string(line, slice_text(why));
    buffer_append_text(line, "}\n");
    return export_output_line(output);
}

/* CSV: the same columns for all tables, so only those that many have. */

enum { N_OWN = 5 };

static const struct output_column csv_columns[] = {
    {"message",                  OUTPUT_TEXT, NULL},
    {"datetime",                 OUTPUT_TEXT, NULL},
    {"timestamp_desc",           OUTPUT_TEXT, NULL},
    {"timestamp",                OUTPUT_TEXT, NULL},
    {"data_type",                OUTPUT_TEXT, NULL},
    {"host.name",                OUTPUT_TEXT, NULL},
    {"user.name",                OUTPUT_TEXT, NULL},
    {"user.effective.name",      OUTPUT_TEXT, NULL},
    {"user.audit.name",          OUTPUT_TEXT, NULL},
    {"user.audit.id",            OUTPUT_TEXT, NULL},
    {"process.pid",              OUTPUT_TEXT, NULL},
    {"process.name",             OUTPUT_TEXT, NULL},
    {"process.executable",       OUTPUT_TEXT, NULL},
    {"process.command_line",     OUTPUT_TEXT, NULL},
    {"process.entity_id",        OUTPUT_TEXT, NULL},
    {"process.parent.entity_id", OUTPUT_TEXT, NULL},
    {"file.path",                OUTPUT_TEXT, NULL},
    {"source.ip",                OUTPUT_TEXT, NULL},
    {"source.port",              OUTPUT_TEXT, NULL},
    {"destination.ip",           OUTPUT_TEXT, NULL},
    {"destination.port",         OUTPUT_TEXT, NULL},
    {"destination.domain",       OUTPUT_TEXT, NULL},
    {"event.action",             OUTPUT_TEXT, NULL},
    {"event.outcome",            OUTPUT_TEXT, NULL},
    {"event.id",                 OUTPUT_TEXT, NULL},
};
enum { N_CSV = sizeof(csv_columns) / sizeof(csv_columns[0]) };

static int csv_begin(struct export_output *output)
{
    struct output_column columns[N_CSV];
    char names[N_CSV][40];
    for (size_t i = 0; i < N_CSV; i++) {
        snprintf(names[i], sizeof(names[i]), "%s", csv_columns[i].name);
        for (char *dot = strchr(names[i], '.'); dot; dot = strchr(dot, '.'))
            *dot = '_';
        columns[i] = csv_columns[i];
        columns[i].name = names[i];
    }
    return output_new(&output->csv, OUTPUT_CSV, output->stream, columns, N_CSV);
}

static struct slice field_named(const struct export_output *output, const struct slice *values,
                                const char *name)
{
    for (unsigned i = EXPORT_HOST; i < output->n_fields; i++)
        if (!strcmp(output->fields[i].name, name))
            return values[i];
    return SLICE_NULL;
}

/* The texts of the columns that are no fields; the first is set by the caller. */
static int csv_write(struct export_output *output, struct slice *cells, int64_t us,
                     const char *what, const char *of)
{
    struct buffer *line = &output->line;
    buffer_clear(line);
    export_append_us(line, us, ZONE);
    size_t datetime = line->length;
    buffer_printf(line, "%s%s%s", what, *of ? " of " : "", of);
    size_t description = line->length;
    buffer_printf(line, "%lld", (long long)us);
    size_t number = line->length;
    buffer_printf(line, "vestige:%s", *of ? of : "export");
    if (line->failed)
        return -ENOMEM;
    cells[1] = slice_of(line->data, datetime);
    cells[2] = slice_of(line->data + datetime, description - datetime);
    cells[3] = slice_of(line->data + description, number - description);
    cells[4] = slice_of(line->data + number, line->length - number);
    return output_row(output->csv, cells);
}

static int csv_event(struct export_output *output, const struct slice *values, bool is_end)
{
    struct slice cells[N_CSV];
    cells[0] = values[is_end ? EXPORT_MESSAGE_END : EXPORT_MESSAGE];
    for (size_t i = N_OWN; i < N_CSV; i++)
        cells[i] = field_named(output, values, csv_columns[i].name);
    return csv_write(output, cells, export_us_of(values[is_end ? EXPORT_END_US : EXPORT_BEGIN_US]),
                     is_end ? "End" : "Start", output->table->name);
}

static int csv_row(struct export_output *output, const struct slice *values)
{
    return export_begin_and_end(output, values, csv_event);
}

static int csv_partial(struct export_output *output, const char *why)
{
    struct slice cells[N_CSV] = {
        {NULL, 0}
    };
    char message[700];
    snprintf(message, sizeof(message), "EXPORT NOT COMPLETE: %s", why);
    cells[0] = slice_text(message);
    return csv_write(output, cells, (int64_t)time(NULL) * 1000000, "Export not complete", "");
}

const struct export_writer export_writer_timesketch = {
    .name = "timesketch", .row = json_row, .partial = json_partial};
const struct export_writer export_writer_timesketch_csv = {
    .name = "timesketch-csv", .begin = csv_begin, .row = csv_row, .partial = csv_partial};
