#pragma once
/*
 * Rows of which few are open at a time and which say how things stand: the host, and what is
 * watched in which mode (coverage). A row is kept open over restarts while it says the same.
 */
#include "recorder/lifecycle/text_rows.h"

enum { STANDING_ROWS_MOST = 64 };

struct standing_row {
    struct text_row row;
    bool restored; /* of an earlier run, not yet confirmed by this one */
};

struct standing_rows {
    struct text_rows rows;
    struct standing_row *open[STANDING_ROWS_MOST];
    size_t n;
};

void standing_rows_init(struct standing_rows *rows, struct row_output *output);
void standing_rows_deinit(struct standing_rows *rows);
/** A line of an earlier run, in the order of the journal. */
void standing_rows_restore(struct standing_rows *rows, enum verb verb, enum table_id table,
                           uint64_t id, const struct slice *values, size_t n_values);

/** A row with these values (NULL: \N) is true now, and those of the same table whose first
 *  @p n_key values are the same are not: they end with @p cause. */
void standing_rows_set(struct standing_rows *rows, enum table_id table, uint64_t created_ns,
                       const char *const *values, size_t n_values, size_t n_key,
                       enum end_cause cause);
/** End all rows of @p table that no standing_rows_set of this run has confirmed. */
void standing_rows_end_restored(struct standing_rows *rows, enum table_id table, uint64_t ended_us,
                                enum end_cause cause);
/** End all rows of @p table. */
void standing_rows_end(struct standing_rows *rows, enum table_id table, uint64_t ended_us,
                       enum end_cause cause);
/** What the sink refused is tried again. */
void standing_rows_tick(struct standing_rows *rows);
/** Likewise, and for the last time; what it refuses again is counted. */
void standing_rows_flush(struct standing_rows *rows);
void standing_rows_checkpoint(struct standing_rows *rows);
