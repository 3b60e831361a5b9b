#pragma once
/* What a format has to do; private to the output library. */
#include "core/buffer.h"
#include "reports/output/output.h"

struct output_writer {
    int (*begin)(struct output *output);
    int (*row)(struct output *output, const struct slice *values);
    int (*end)(struct output *output);
    void (*deinit)(struct output *output);
};

struct output {
    const struct output_writer *writer;
    FILE *stream;
    struct output_column *columns; /* with names of our own */
    size_t n_columns;
    uint64_t n_rows;
    struct buffer scratch;
    bool terminal; /* the stream is one */
    bool begun;
    bool keep_lines;      /* a table is not folded */
    size_t least_columns; /* of a table that does not fit; 0: all */
    size_t head_columns;  /* of a row that is broken into lines; 0: each is a line */
    void *state;          /* the format's own */
};

extern const struct output_writer output_writer_table, output_writer_json, output_writer_csv;

/** 0, or the negated error of the stream. */
int output_stream_error(struct output *output) MUST_CHECK;
