#pragma once
/*
 * Reads a sealed (zstd) or open (plain) batch file, or a checkpoint. Every byte is hostile: sizes
 * are bounded, a damaged file gives an error with file and line, never a crash. The format is in
 * recorder/journal.md.
 */
#include "recorder/journal/batch_digest.h"
#include "recorder/journal/batch_header.h"

struct batch_line {
    enum verb verb;
    enum table_id table;
    uint64_t id;
    size_t number;              /* 1 is the first line after the header */
    struct slice raw;           /* the line without its newline: what the digest is taken of */
    const struct slice *values; /* unescaped; SLICE_NULL for \N */
    size_t n_values;            /* as many as the catalogue gives for table and verb */
    uint8_t digest[BATCH_DIGEST_SIZE];
};

struct batch_reader;

/** Opens the file and reads its header. Returns 0, a negative errno of opening or reading, or
 *  -EBADMSG for damage; @p error says what and where. */
int batch_reader_open(struct batch_reader **readerp, const char *path,
                      struct error_text *error) MUST_CHECK;
/** For tests and fuzzers: the same from memory, plain or compressed, which must outlive the
 *  reader. */
int batch_reader_open_memory(struct batch_reader **readerp, struct slice text,
                             struct error_text *error) MUST_CHECK;
struct batch_reader *batch_reader_free(struct batch_reader *reader);

/** The header. That of an open batch has no end; last_us, n_lines, births and cursors are those of
 *  the lines and marks that were read so far. */
const struct batch_header *batch_reader_header(const struct batch_reader *reader);
/** Whether an open batch was ended by an agent that stopped in order; known at its end. */
bool batch_reader_closed(const struct batch_reader *reader);
/** Whether an open batch has a mark; known at its end. */
bool batch_reader_marked(const struct batch_reader *reader);

enum { BATCH_READER_LINE = 0, BATCH_READER_END = 1 };
/** The next line, valid until the call after it. Returns BATCH_READER_LINE, BATCH_READER_END, or
 *  -EBADMSG (or an errno of reading) with what is wrong, where. Marks of open batches are skipped,
 *  and an open batch ends with its last complete line. */
int batch_reader_next(struct batch_reader *reader, struct batch_line *line,
                      struct error_text *error) MUST_CHECK;
/** Read on from the first line again. */
void batch_reader_rewind(struct batch_reader *reader);

/** Compute the batch hash over header and sorted digests and compare it with the stored one.
 *  Returns 0, or -EBADMSG. @p digests (may be NULL) receives the digest list as it is stored with
 *  the seal. An open batch has no hash: its lines are read, and that is all. Leaves the reader
 *  rewound. */
int batch_reader_check(struct batch_reader *reader, struct buffer *digests,
                       struct error_text *error) MUST_CHECK;

/** Takes a copy of what it needs of a line. Returns 0 or -ENOMEM. */
typedef int (*batch_reader_handler)(void *user, const struct batch_line *line);
/** The same in one pass with reading: each line is given to @p handler, and what it was given may
 *  be believed only when 0 is returned. */
int batch_reader_check_each(struct batch_reader *reader, batch_reader_handler handler, void *user,
                            struct buffer *digests, struct error_text *error) MUST_CHECK;
