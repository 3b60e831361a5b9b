/* A row is the text of its line, so that comparing and writing it again need no knowledge of its
 * columns. */
#include "recorder/tracker/standing_rows.h"

#include "core/evidence_text.h"

#include <stdlib.h>

enum { COMMON_BIRTH = 2 }; /* created_at, seen_by */

static void free_row(void *user, struct text_row *row)
{
    (void)user;
    shared_text_unref(row->values);
    free(row);
}

void standing_rows_init(struct standing_rows *rows, struct row_output *output)
{
    *rows = (struct standing_rows){0};
    text_rows_init(&rows->rows, output, free_row, NULL);
}

/* Out of the open ones. */
static struct text_row *take(struct standing_rows *rows, size_t index)
{
    struct text_row *row = &rows->open[index]->row;
    rows->open[index] = rows->open[--rows->n];
    return row;
}

void standing_rows_deinit(struct standing_rows *rows)
{
    text_rows_deinit(&rows->rows);
    while (rows->n)
        free_row(NULL, take(rows, rows->n - 1));
}

static void end_row(struct standing_rows *rows, size_t index, uint64_t ended_us,
                    enum end_cause cause)
{
    text_row_end(&rows->rows, take(rows, index), ended_us, cause);
}

static size_t find(const struct standing_rows *rows, enum table_id table, uint64_t id)
{
    size_t i = 0;
    while (i < rows->n && (rows->open[i]->row.table != table || rows->open[i]->row.id != id))
        i++;
    return i;
}

/* NULL: there is no room. */
static struct standing_row *add(struct standing_rows *rows, enum table_id table,
                                const struct buffer *values)
{
    struct standing_row *row =
        rows->n < STANDING_ROWS_MOST && !values->failed ? calloc(1, sizeof(*row)) : NULL;
    if (!row)
        return NULL;
    row->row = (struct text_row){
        .table = table, .seen_by = SEEN_BY_AGENT, .values = shared_text_new(buffer_slice(values))};
    if (!row->row.values) {
        free(row);
        return NULL;
    }
    rows->open[rows->n++] = row;
    return row;
}

void standing_rows_restore(struct standing_rows *rows, enum verb verb, enum table_id table,
                           uint64_t id, const struct slice *values, size_t n_values)
{
    size_t index = find(rows, table, id), end = COMMON_BIRTH + text_row_n_values(table);
    if (verb == VERB_END && index < rows->n)
        free_row(NULL, take(rows, index));
    if (verb != VERB_INSERT || index < rows->n || n_values <= end || !slice_is_null(values[end]))
        return;
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    text_row_append(&text, values + COMMON_BIRTH, end - COMMON_BIRTH);
    struct standing_row *row = add(rows, table, &text);
    if (!row)
        return;
    row->row.id = id;
    row->row.created_us = line_parse_time(values[0]);
    row->row.inserted = row->restored = true;
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

static void append_values(struct buffer *text, const char *const *values, size_t n_values)
{
    struct buffer field CLEANUP(buffer_deinit) = BUFFER_NULL;
    for (size_t i = 0; i < n_values; i++) {
        if (i)
            buffer_append_byte(text, '\t');
        buffer_clear(&field);
        if (values[i])
            evidence_text_append(&field, slice_text(values[i]));
        evidence_field_append(text, values[i] ? buffer_slice(&field) : SLICE_NULL);
    }
}

void standing_rows_set(struct standing_rows *rows, enum table_id table, uint64_t created_ns,
                       const char *const *values, size_t n_values, size_t n_key,
                       enum end_cause cause)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    append_values(&text, values, n_values);
    struct slice now = buffer_slice(&text);
    uint64_t created_us = timeline_real_us(rows->rows.output->timeline, created_ns);
    for (size_t i = rows->n; i-- > 0;) {
        struct standing_row *row = rows->open[i];
        struct slice then = shared_text_slice(row->row.values);
        if (row->row.table != table)
            continue;
        if (slice_equal(then, now)) {
            row->restored = false;
            return;
        }
        if (slice_equal(first_fields(then, n_key), first_fields(now, n_key)) || n_key == 0)
            end_row(rows, i, created_us, cause);
    }
    struct standing_row *row = add(rows, table, &text);
    if (row)
        text_row_begin(&rows->rows, &row->row, created_us);
    else
        row_output_refused(rows->rows.output, false, -ENOMEM);
}

static void end_some(struct standing_rows *rows, enum table_id table, uint64_t ended_us,
                     enum end_cause cause, bool restored_only)
{
    for (size_t i = rows->n; i-- > 0;)
        if (rows->open[i]->row.table == table && (!restored_only || rows->open[i]->restored))
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

void standing_rows_tick(struct standing_rows *rows)
{
    text_rows_tick(&rows->rows);
}

void standing_rows_flush(struct standing_rows *rows)
{
    text_rows_flush(&rows->rows);
}

void standing_rows_checkpoint(struct standing_rows *rows)
{
    for (size_t i = 0; i < rows->n; i++)
        text_row_checkpoint(&rows->rows, &rows->open[i]->row);
    text_rows_checkpoint_waiting(&rows->rows);
}
