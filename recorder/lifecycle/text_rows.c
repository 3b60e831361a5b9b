/* A row is in the queue as long as the sink owes it a line. The queue is written in its order, and
 * no further than to the first that is refused again. */
#include "recorder/lifecycle/text_rows.h"

#include "core/evidence_text.h"

enum { COMMON_BIRTH = 2 }; /* created_at, seen_by */

void text_rows_init(struct text_rows *rows, struct row_output *output,
                    void (*over)(void *user, struct text_row *row), void *user)
{
    *rows = (struct text_rows){.output = output, .over = over, .user = user};
    TAILQ_INIT(&rows->waiting);
}

void text_rows_deinit(struct text_rows *rows)
{
    struct text_row *row;
    while ((row = TAILQ_FIRST(&rows->waiting))) {
        TAILQ_REMOVE(&rows->waiting, row, in_waiting);
        if (row->ended)
            rows->over(rows->user, row);
    }
}

/* None of these tables has values that are settled. */
size_t text_row_n_values(enum table_id table)
{
    size_t first_of_end;
    catalogue_line_columns(catalogue_table(table), VERB_END, &first_of_end);
    return first_of_end - COMMON_BIRTH;
}

void text_row_append(struct buffer *text, const struct slice *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buffer_append_byte(text, '\t');
        evidence_field_append(text, values[i]);
    }
}

static int write_insert(struct text_rows *rows, const struct text_row *row, bool with_end)
{
    struct line *line = &rows->output->line;
    line_begin(line, VERB_INSERT, row->table, row->id);
    line_time(line, row->created_us);
    row_output_seen_by(rows->output, row->seen_by);
    line_fields(line, shared_text_slice(row->values), text_row_n_values(row->table));
    row_output_end(rows->output, with_end, row->ended_us, row->end_cause);
    return row_output_send(rows->output);
}

static int write_end(struct text_rows *rows, const struct text_row *row)
{
    line_begin(&rows->output->line, VERB_END, row->table, row->id);
    row_output_end(rows->output, true, row->ended_us, row->end_cause);
    return row_output_send(rows->output);
}

/* Returns the sink's error, and then the row waits. */
static int write_row(struct text_rows *rows, struct text_row *row)
{
    int error = row->inserted ? write_end(rows, row) : write_insert(rows, row, row->ended);
    if (error && !row->waits)
        TAILQ_INSERT_TAIL(&rows->waiting, row, in_waiting);
    else if (!error && row->waits)
        TAILQ_REMOVE(&rows->waiting, row, in_waiting);
    if (error)
        rows->refused_error = error;
    row->waits = error != 0;
    row->inserted |= !error;
    if (!error && row->ended)
        rows->over(rows->user, row);
    return error;
}

void text_row_begin(struct text_rows *rows, struct text_row *row, uint64_t created_us)
{
    row->id = timeline_id(rows->output->timeline);
    row->created_us = created_us;
    (void)write_row(rows, row);
}

static void set_end(struct text_row *row, uint64_t ended_us, enum end_cause cause)
{
    row->ended = true;
    row->ended_us = ended_us > row->created_us ? ended_us : row->created_us;
    row->end_cause = cause;
}

void text_row_end(struct text_rows *rows, struct text_row *row, uint64_t ended_us,
                  enum end_cause cause)
{
    set_end(row, ended_us, cause);
    (void)write_row(rows, row);
}

void text_row_note(struct text_rows *rows, struct text_row *row, uint64_t at_us,
                   enum end_cause cause)
{
    set_end(row, at_us, cause);
    text_row_begin(rows, row, at_us);
}

void text_rows_tick(struct text_rows *rows)
{
    struct text_row *row;
    while ((row = TAILQ_FIRST(&rows->waiting)) && write_row(rows, row) == 0)
        ;
}

void text_rows_flush(struct text_rows *rows)
{
    const struct text_row *row;
    text_rows_tick(rows);
    TAILQ_FOREACH(row, &rows->waiting, in_waiting)
    row_output_refused(rows->output, false, rows->refused_error);
}

void text_row_checkpoint(struct text_rows *rows, const struct text_row *row)
{
    if (row->inserted && write_insert(rows, row, false) != 0)
        return; /* the one before stays */
}

void text_rows_checkpoint_waiting(struct text_rows *rows)
{
    const struct text_row *row;
    TAILQ_FOREACH(row, &rows->waiting, in_waiting)
    if (row->ended)
        text_row_checkpoint(rows, row);
}
