#pragma once
/*
 * Rows whose values are kept as the text of their line: such a row is compared, written, and
 * written again into a checkpoint without knowledge of its columns. What the sink refuses waits,
 * open or ended, and is tried again at each tick, so that no row of these is lost while the agent
 * runs.
 */
#include "recorder/lifecycle/row_output.h"
#include "recorder/lifecycle/shared_text.h"

#include <sys/queue.h>

/** The first member of what its owner knows of a row besides. */
struct text_row {
    TAILQ_ENTRY(text_row) in_waiting;
    enum table_id table;
    unsigned seen_by;
    struct shared_text *values; /* at birth, behind seen_by; the row's own reference */
    uint64_t id, created_us, ended_us;
    enum end_cause end_cause;
    bool inserted, ended, waits;
};

struct text_rows {
    struct row_output *output;
    TAILQ_HEAD(text_row_list, text_row) waiting;
    int refused_error;                              /* why the last of them waits */
    void (*over)(void *user, struct text_row *row); /* all is written of an ended row: free it */
    void *user;
};

/** Values of a row of @p table between seen_by and destroyed_at. */
size_t text_row_n_values(enum table_id table);
/** Append values of a line that was read, as they stood in it. */
void text_row_append(struct buffer *text, const struct slice *values, size_t n);

void text_rows_init(struct text_rows *rows, struct row_output *output,
                    void (*over)(void *user, struct text_row *row), void *user);
/** Of the rows that wait, those that have ended are over; the open ones are their owner's to free.
 */
void text_rows_deinit(struct text_rows *rows);

/** Give it its id and write it. */
void text_row_begin(struct text_rows *rows, struct text_row *row, uint64_t created_us);
/** It is over, at once or when it can be written; not before it began. */
void text_row_end(struct text_rows *rows, struct text_row *row, uint64_t ended_us,
                  enum end_cause cause);
/** A moment: one row that begins and ends. */
void text_row_note(struct text_rows *rows, struct text_row *row, uint64_t at_us,
                   enum end_cause cause);

void text_rows_tick(struct text_rows *rows);
/** Count what still waits as refused. */
void text_rows_flush(struct text_rows *rows);
/** Write an open row again, if it was written; what the sink refuses leaves the checkpoint before.
 */
void text_row_checkpoint(struct text_rows *rows, const struct text_row *row);
/** Of ended rows those whose end waits: for the database they are still open. */
void text_rows_checkpoint_waiting(struct text_rows *rows);
