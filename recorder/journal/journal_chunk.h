#pragma once
/*
 * A stretch of what was appended: lines, where batches end, and the last mark with its place. It
 * grows on the tracker's side of the journal and is written on the other; once it is handed over
 * it does not change, so that a write that failed can be repeated byte by byte.
 */
#include "recorder/journal/batch_header.h"
#include "recorder/row/line.h"

struct journal_entry {
    uint64_t id;
    uint32_t length; /* of the line with its newline; 0: the batch ends here */
    uint8_t verb, table;
};

struct journal_chunk {
    struct buffer text;
    struct buffer entries; /* of struct journal_entry */
    uint64_t first_us;     /* when the first line was appended */
    struct batch_mark mark;
    size_t mark_entry; /* the mark stands before this entry */
    bool has_mark;
};

#define JOURNAL_CHUNK_NULL                                                                         \
    {                                                                                              \
        0                                                                                          \
    }

void journal_chunk_deinit(struct journal_chunk *chunk);
/** Forget the contents; memory above what a usual chunk takes is given back. */
void journal_chunk_clear(struct journal_chunk *chunk);
/** Returns 0 or -ENOMEM; after an error the chunk is as it was. */
int journal_chunk_add(struct journal_chunk *chunk, const struct line *line) MUST_CHECK;
int journal_chunk_end_batch(struct journal_chunk *chunk) MUST_CHECK;
void journal_chunk_set_mark(struct journal_chunk *chunk, struct slice cursors, uint64_t time_us);
size_t journal_chunk_entries(const struct journal_chunk *chunk);
const struct journal_entry *journal_chunk_entry(const struct journal_chunk *chunk, size_t index);
/** Bytes of memory that its contents take. */
size_t journal_chunk_bytes(const struct journal_chunk *chunk);
bool journal_chunk_is_empty(const struct journal_chunk *chunk);
