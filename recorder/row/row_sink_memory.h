#pragma once
/* Keeps lines and the last mark in memory, for tests of what writes lines. */
#include "recorder/row/row_sink.h"

struct row_sink_memory {
    struct buffer text; /* all lines, each with its newline */
    size_t n_lines;
    struct buffer mark; /* the last one */
    size_t n_marks;
    int refuse; /* what append returns instead of keeping the line; 0: it keeps it */
    size_t n_refused;
};

#define ROW_SINK_MEMORY_NULL                                                                       \
    {                                                                                              \
        0                                                                                          \
    }

void row_sink_memory_deinit(struct row_sink_memory *memory);
void row_sink_memory_clear(struct row_sink_memory *memory);
struct row_sink row_sink_memory(struct row_sink_memory *memory);
/** Line @p number (0 is the first) without its newline; SLICE_NULL when there is none. */
struct slice row_sink_memory_line(const struct row_sink_memory *memory, size_t number);
/** Value @p column of a line (0 is the first behind the id), as it stands there: escaped;
 * SLICE_NULL when there is none. */
struct slice row_sink_memory_value(struct slice line, size_t column);
