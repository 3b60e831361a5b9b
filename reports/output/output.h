#pragma once
/*
 * How answers reach the user: a table for people, JSON and CSV for programs. Rows are written one
 * at a time, in bounded memory. Text is UTF-8, as evidence is stored.
 *
 *   table  libsmartcols; as wide as the terminal; where the columns do not fit into it, a row is
 * lines of name and value. NULL is empty, or the column's own word. Control characters and marks
 * that turn the direction of text are shown as \xNN and \uNNNN, so that evidence cannot drive a
 * terminal. json   {"rows": [{...}, ...]}; NULL is null; numbers keep all their digits. csv    RFC
 * 4180 with a header line; NULL is nothing at all, the empty string is "".
 */
#include "core/buffer.h"

#include <stdio.h>

enum output_format { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_CSV };

enum output_kind { OUTPUT_TEXT, OUTPUT_NUMBER };

struct output_column {
    const char *name;
    enum output_kind kind;
    const char *null_word; /* what a table shows for NULL; NULL: nothing */
};

struct output;

/** Write to @p stream, which must outlive the output. The names are copied; names that occur twice
 *  get a number in JSON. Returns 0 or -ENOMEM. */
int output_new(struct output **outputp, enum output_format format, FILE *stream,
               const struct output_column *columns, size_t n_columns) MUST_CHECK;
/** In a table each row stays one line, however long; else wide columns are folded to the terminal,
 *  or rows are broken into a line a column. */
void output_keep_lines(struct output *output);
/** Where a table does not fit into the terminal, columns from the last one on may be left out, down
 * to
 *  @p n of them, which a line below it says: each row is a line then. */
void output_least_columns(struct output *output, size_t n);
/** Where rows are broken into lines, the first @p n columns and, if there is room, the next one are
 * one line; what else a row has is a line each below it. */
void output_head_columns(struct output *output, size_t n);
/** One row of n_columns values; SLICE_NULL is NULL. Returns 0, -ENOMEM, or the stream's error. */
int output_row(struct output *output, const struct slice *values) MUST_CHECK;
/** End of the rows: complete the document and flush. Returns 0 or the stream's error. */
int output_finish(struct output *output) MUST_CHECK;
struct output *output_free(struct output *output);

/** Nobody reads standard output any more (@p outcome is -EPIPE): end as programs in a pipe do, by
 *  SIGPIPE, which the client library ignores. Else return. */
void output_end_if_unread(int outcome);

/** Where what is said about an answer goes: standard output below a table, else standard error. */
FILE *output_remarks(enum output_format format);
