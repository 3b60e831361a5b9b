#pragma once
/*
 * The header of a batch, and the marks of an open one: what recorder/journal.md says in text, as a
 * structure. Parsing accepts exactly what printing makes, so that a header has one form only.
 */
#include "core/buffer.h"
#include "core/error.h"
#include "recorder/keys/signing_key.h"
#include "recorder/row/catalogue.h"

#define BATCH_FORMAT       2 /* that is written; all from 1 on are read */
#define BATCH_HASH_SIZE    32
#define BATCH_CURSORS_SIZE 1024 /* with the terminating NUL */

enum batch_kind { BATCH_SEALED, BATCH_OPEN, BATCH_CHECKPOINT, BATCH_KIND_N };

struct batch_header {
    enum batch_kind kind;
    uint32_t format;
    uint64_t host_id, batch;
    char boot_id[37];
    uint64_t first_us, last_us; /* microseconds since 1970; see journal.md */
    uint64_t n_lines;
    bool recovered;  /* sealed by a start after a crash */
    uint64_t births; /* of processes, in rows or counted, after the mark of `cursors` */
    char cursors[BATCH_CURSORS_SIZE];
    uint8_t previous_hash[BATCH_HASH_SIZE]; /* zeros: the first of its chain */
    uint8_t hash[BATCH_HASH_SIZE];          /* as stored in the file; see batch_reader_check */
    uint8_t signature[SIGNATURE_SIZE];      /* over the hash; zeros: not signed */
};

struct batch_mark {
    uint64_t time_us;
    uint64_t births; /* after this mark, in batches before the one that holds it */
    char cursors[BATCH_CURSORS_SIZE];
};

/** Append the header's text from its first byte to the newline of `previous`: what is hashed. */
void batch_header_print_hashed(struct buffer *to, const struct batch_header *header);
/** Append the whole header, with the empty line behind it. */
void batch_header_print(struct buffer *to, const struct batch_header *header);

/** Whether somebody signed it, rightly or not. */
bool batch_header_signed(const struct batch_header *header);

/** How parsing goes on after a line. */
enum { BATCH_HEADER_MORE = 0, BATCH_HEADER_END = 1 };
/** Parse line @p number (1 is the first) of a header, without its newline. Clear the header before
 *  the first. Returns BATCH_HEADER_MORE, BATCH_HEADER_END, or -EBADMSG with *@p reason. */
int batch_header_parse_line(struct batch_header *header, size_t number, struct slice line,
                            const char **reason) MUST_CHECK;

void batch_mark_print(struct buffer *to, const struct batch_mark *mark);
/** Returns 0 or -EBADMSG. */
int batch_mark_parse(struct batch_mark *mark, struct slice line) MUST_CHECK;
/** Whether @p cursors can stand in a header: short enough, no control character. */
bool batch_cursors_valid(struct slice cursors);
/** How many births of processes the line accounts for: one by an insert of a process with
 *  previous_id NULL, and what a gap counts in processes. A restart must count none of them again.
 */
uint64_t batch_line_births(enum verb verb, enum table_id table, struct slice raw);
/** A decimal number without sign or leading zeros that fits. */
bool batch_parse_u64(struct slice text, uint64_t *value);
