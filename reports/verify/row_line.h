#pragma once
/*
 * The lines of which a row was made, rebuilt from it as the journal had them. A row that ended in
 * the batch in which it began has one line or two; which, only the list of the batch tells.
 */
#include "recorder/journal/batch_digest.h"

struct row {
    enum table_id table;
    uint32_t host_id;
    uint64_t id, batch, settle_batch, end_batch;
    bool settled, ended;        /* settle_batch, end_batch are not NULL */
    const struct slice *values; /* in the order of the catalogue */
    const bool *plain;          /* by column: numbers and times, which need no escape */
};

enum row_line {
    ROW_INSERT,      /* with the end, if there is one */
    ROW_INSERT_OPEN, /* as it was before its end line */
    ROW_SETTLE,
    ROW_END
};

struct row_lines;

int row_lines_new(struct row_lines **linesp) MUST_CHECK;
struct row_lines *row_lines_free(struct row_lines *lines);
/** The digest of one line, in a batch of @p format; a value in a column that this format does not
 * have yet makes it another line. Returns 0, -ENOMEM or -EIO. */
int row_line_digest(struct row_lines *lines, const struct row *row, enum row_line which,
                    unsigned format, uint8_t digest[BATCH_DIGEST_SIZE]) MUST_CHECK;
/** A line that is given as text. */
int row_line_digest_text(struct row_lines *lines, struct slice text,
                         uint8_t digest[BATCH_DIGEST_SIZE]) MUST_CHECK;
