/* A row's values are kept as the text of its line, so that comparing and writing it again need no
 * knowledge of its columns. */
#include "recorder/tracker/standing_rows.h"

#include "core/evidence_text.h"

enum { COMMON_BIRTH = 2 }; /* created_at, seen_by */

void standing_rows_init(struct standing_rows *rows, struct row_output *output)
{
    *rows = (struct standing_rows){.output = output};
}

static void forget(struct standing_rows *rows, size_t index)
{
    shared_text_unref(rows->rows[index].values);
    rows->rows[index] = rows->rows[--rows->n];
}

void standing_rows_deinit(struct standing_rows *rows)
{
    while (rows->n)
        forget(rows, rows->n - 1);
}

static size_t n_birth(enum table_id table)
{
    const struct table *description = catalogue_table(table);
    size_t n = 0;
    while (n < description->n_columns && description->columns[n].line == COLUMN_BIRTH)
        n++;
    return n;
}

static void write_insert(struct standing_rows *rows, const struct standing_row *row)
{
    struct line *line = &rows->output->line;
    size_t n = n_birth(row->table);
    line_begin(line, VERB_INSERT, row->table, row->id);
    line_time(line, row->created_us);
    row_output_seen_by(rows->output, SEEN_BY_AGENT);
    line_fields(line, shared_text_slice(row->values), n - COMMON_BIRTH);
    line_nulls(line, catalogue_table(row->table)->n_columns - n);
    int error = row_output_send(rows->output);
    if (error)
        row_output_refused(rows->output, false, error);
}

static void end_row(struct standing_rows *rows, size_t index, uint64_t ended_us,
                    enum end_cause cause)
{
    const struct standing_row *row = &rows->rows[index];
    struct line *line = &rows->output->line;
    line_begin(line, VERB_END, row->table, row->id);
    line_time(line, ended_us > row->created_us ? ended_us : row->created_us);
    line_word(line, end_cause_name(cause));
    int error = row_output_send(rows->output);
    if (error)
        row_output_refused(rows->output, false, error);
    forget(rows, index);
}

static size_t find(const struct standing_rows *rows, enum table_id table, uint64_t id)
{
    size_t i = 0;
    while (i < rows->n && (rows->rows[i].table != table || rows->rows[i].id != id))
        i++;
    return i;
}

static void add(struct standing_rows *rows, const struct standing_row *row)
{
    if (row->values && rows->n < STANDING_ROWS_MOST)
        rows->rows[rows->n++] = *row;
    else
        shared_text_unref(row->values);
}

void standing_rows_restore(struct standing_rows *rows, enum verb verb, enum table_id table,
                           uint64_t id, const struct slice *values, size_t n_values)
{
    size_t index = find(rows, table, id), n = n_birth(table);
    if (verb == VERB_END && index < rows->n)
        forget(rows, index);
    if (verb != VERB_INSERT || index < rows->n || n_values <= n || !slice_is_null(values[n]))
        return;
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    for (size_t i = COMMON_BIRTH; i < n; i++) {
        if (i > COMMON_BIRTH)
            buffer_append_byte(&text, '\t');
        evidence_field_append(&text, values[i]);
    }
    struct standing_row row = {.table = table,
                               .id = id,
                               .restored = true,
                               .created_us = line_parse_time(values[0]),
                               .values = shared_text_new(buffer_slice(&text))};
    add(rows, &row);
}

/* The first @p n fields of the text of a line. */
static struct slice first_fields(struct slice text, size_t n)
{
    size_t at = 0;
    for (; at < text.length; at++)
        if (text.data[at] == '\t' && --n == 0)
            break;
    return slice_of(text.data, at);
}

void standing_rows_set(struct standing_rows *rows, enum table_id table, uint64_t created_ns,
                       const char *const *values, size_t n_values, size_t n_key,
                       enum end_cause cause)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct buffer field CLEANUP(buffer_deinit) = BUFFER_NULL;
    for (size_t i = 0; i < n_values; i++) {
        if (i)
            buffer_append_byte(&text, '\t');
        buffer_clear(&field);
        if (values[i])
            evidence_text_append(&field, slice_text(values[i]));
        evidence_field_append(&text, values[i] ? buffer_slice(&field) : SLICE_NULL);
    }
    struct slice now = buffer_slice(&text);
    uint64_t created_us = timeline_real_us(rows->output->timeline, created_ns);
    for (size_t i = rows->n; i-- > 0;) {
        struct standing_row *row = &rows->rows[i];
        struct slice then = shared_text_slice(row->values);
        if (row->table != table)
            continue;
        if (slice_equal(then, now)) {
            row->restored = false;
            return;
        }
        if (slice_equal(first_fields(then, n_key), first_fields(now, n_key)) || n_key == 0)
            end_row(rows, i, created_us, cause);
    }
    struct standing_row row = {.table = table,
                               .id = timeline_id(rows->output->timeline),
                               .created_us = created_us,
                               .values = shared_text_new(now)};
    write_insert(rows, &row);
    add(rows, &row);
}

static void end_some(struct standing_rows *rows, enum table_id table, uint64_t ended_us,
                     enum end_cause cause, bool restored_only)
{
    for (size_t i = rows->n; i-- > 0;)
        if (rows->rows[i].table == table && (!restored_only || rows->rows[i].restored))
            end_row(rows, i, ended_us, cause);
}

void standing_rows_end_restored(struct standing_rows *rows, enum table_id table, uint64_t ended_us,
                                enum end_cause cause)
{
    end_some(rows, table, ended_us, cause, true);
}

void standing_rows_end(struct standing_rows *rows, enum table_id table, uint64_t ended_us,
                       enum end_cause cause)
{
    end_some(rows, table, ended_us, cause, false);
}

void standing_rows_checkpoint(struct standing_rows *rows)
{
    for (size_t i = 0; i < rows->n; i++)
        write_insert(rows, &rows->rows[i]);
}
