#pragma once
/* For the tests of lifecycles with few rows: what comes out is kept in memory, and rows have
 * numbers in the order in which they are first written. */
#include "recorder/lifecycle/row_output.h"
#include "recorder/row/row_sink_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)

enum { ROWS_MOST = 128 };

static const int64_t real_start = INT64_C(1780000000) * 1000000000;
static const uint64_t boot_start = UINT64_C(1000000) * MS;

struct rows_test {
    struct row_sink_memory memory;
    struct counters counters;
    struct timeline timeline;
    struct row_output output;
    uint64_t now;
    size_t n_seen; /* lines that were looked at */
    uint64_t ids[ROWS_MOST];
    size_t n_ids;
};

static inline void rows_test_init(struct rows_test *rows)
{
    *rows = (struct rows_test){.now = boot_start};
    timeline_init(&rows->timeline, boot_start, real_start, 0, INT64_MIN);
    rows->output = (struct row_output){.sink = row_sink_memory(&rows->memory),
                                       .timeline = &rows->timeline,
                                       .counters = &rows->counters,
                                       .boot_id = "00000000-0000-0000-0000-000000000001"};
}

static inline void rows_test_deinit(struct rows_test *rows)
{
    line_deinit(&rows->output.line);
    row_sink_memory_deinit(&rows->memory);
}

static inline size_t rows_test_number(struct rows_test *rows, uint64_t id)
{
    for (size_t i = 0; i < rows->n_ids; i++)
        if (rows->ids[i] == id)
            return i + 1;
    assert_true(rows->n_ids < ROWS_MOST);
    rows->ids[rows->n_ids++] = id;
    return rows->n_ids;
}

/** A blank and the value of a column; "-" for NULL. */
static inline void rows_test_value(struct buffer *text, struct slice line, size_t column)
{
    struct slice value = row_sink_memory_value(line, column);
    buffer_append_byte(text, ' ');
    if (slice_is(value, "\\N"))
        buffer_append_byte(text, '-');
    else
        buffer_append_slice(text, value);
}
