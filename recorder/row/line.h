#pragma once
/*
 * Builds one line of the journal, value by value, in the catalogue's order. The builder counts the
 * values, so that a line of the wrong length is found where it is made, and not by the server.
 */
#include "core/buffer.h"
#include "recorder/row/catalogue.h"

struct line {
    enum table_id table;
    enum verb verb;
    uint64_t id;
    struct buffer text; /* "verb\ttable\tid\tvalue...\n" once finished */
    size_t n_values, n_expected;
    struct buffer scratch;
};

#define LINE_NULL                                                                                  \
    {                                                                                              \
        0                                                                                          \
    }

void line_deinit(struct line *line);
/** Begin a line; the memory of the one before is used again. */
void line_begin(struct line *line, enum verb verb, enum table_id table, uint64_t id);
void line_null(struct line *line);
void line_u64(struct line *line, uint64_t value);
/** NULL when @p value is ID_UNSET. */
void line_id32(struct line *line, uint32_t value);
/** A word of ours (ENUM or SET member, UUID): plain ASCII, or NULL. */
void line_word(struct line *line, const char *word);
/** Bytes from outside, as evidence text; NULL when SLICE_NULL. */
void line_evidence(struct line *line, struct slice bytes);
/** Text that is evidence text already; only the field's escapes are added. */
void line_text(struct line *line, struct slice text);
/** @p n values at once, already escaped and separated by tabs. */
void line_fields(struct line *line, struct slice fields, size_t n);
/** @p n times NULL. */
void line_nulls(struct line *line, size_t n);
/** Microseconds since 1970 as 'YYYY-MM-DD hh:mm:ss.uuuuuu', UTC; years 1970 to 9999. */
void line_time(struct line *line, uint64_t real_us);
/** Ends the line. Returns 0, -ENOMEM, or -EINVAL when the number of values is wrong. */
int line_finish(struct line *line) MUST_CHECK;

/** The other way round: microseconds since 1970 of a value written by line_time; 0 when it is not
 *  one. */
uint64_t line_parse_time(struct slice value);
