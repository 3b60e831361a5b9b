#pragma once
/*
 * Lines of one table and verb, waiting to be sent: each value once, packed, in the order of the
 * lines. One object is used by one thread; clearing keeps the memory.
 */
#include "core/buffer.h"
#include "recorder/row/catalogue.h"

struct ship_row {
    uint64_t id;
    size_t line;   /* number in its batch */
    size_t offset; /* of the first value */
    size_t wire;   /* bytes that it takes in a packet, at most */
    bool ended;    /* `destroyed_at` is not NULL */
};

struct ship_rows {
    struct ship_row *rows;
    size_t n, capacity;
    struct buffer values;
};

#define SHIP_ROWS_NULL                                                                             \
    {                                                                                              \
        0                                                                                          \
    }

void ship_rows_deinit(struct ship_rows *rows);
void ship_rows_clear(struct ship_rows *rows);

/** What a row with these values takes in a packet, at most, in bytes. */
size_t ship_rows_wire(const struct slice *values, size_t n_values);
/** Keep a copy of a line's values. Returns 0 or -ENOMEM. */
int ship_rows_add(struct ship_rows *rows, size_t line, uint64_t id, bool ended,
                  const struct slice *values, size_t n_values) MUST_CHECK;
/** The value at *@p offset, which is moved to the next one. SLICE_NULL for NULL. */
struct slice ship_rows_value(const struct ship_rows *rows, size_t *offset);
