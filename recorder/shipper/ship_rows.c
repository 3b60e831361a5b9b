/*
 * A value is packed as its length in 4 bytes, then its bytes; NULL is a length that none can have.
 */
#include "recorder/shipper/ship_rows.h"

#include "core/array.h"

#include <stdlib.h>

#define NULL_LENGTH UINT32_MAX
#define KEPT_BYTES  (16u << 20) /* a rare long line does not hold its memory for ever */
#define VALUE_WIRE  10          /* indicator and length of a value, at most */
#define ROW_WIRE    64          /* id, day, batch, end_batch */

void ship_rows_deinit(struct ship_rows *rows)
{
    free(rows->rows);
    buffer_deinit(&rows->values);
    *rows = (struct ship_rows)SHIP_ROWS_NULL;
}

void ship_rows_clear(struct ship_rows *rows)
{
    rows->n = 0;
    if (rows->values.capacity > KEPT_BYTES)
        buffer_deinit(&rows->values);
    buffer_clear(&rows->values);
}

size_t ship_rows_wire(const struct slice *values, size_t n_values)
{
    size_t wire = ROW_WIRE + n_values * VALUE_WIRE;
    for (size_t i = 0; i < n_values; i++)
        wire += values[i].length;
    return wire;
}

static uint8_t *pack(uint8_t *to, struct slice value)
{
    uint32_t length = slice_is_null(value) ? NULL_LENGTH : (uint32_t)value.length;
    memcpy(to, &length, sizeof(length));
    to += sizeof(length);
    if (value.length)
        memcpy(to, value.data, value.length);
    return to + value.length;
}

int ship_rows_add(struct ship_rows *rows, size_t line, uint64_t id, bool ended,
                  const struct slice *values, size_t n_values)
{
    struct ship_row row = {.id = id,
                           .line = line,
                           .offset = rows->values.length,
                           .ended = ended,
                           .wire = ship_rows_wire(values, n_values)};
    uint8_t *to = buffer_reserve(&rows->values, row.wire);
    if (!to || row.wire >= NULL_LENGTH || ARRAY_GROW(rows->rows, rows->n, rows->capacity) != 0)
        return -ENOMEM;
    for (size_t i = 0; i < n_values; i++)
        to = pack(to, values[i]);
    rows->values.length = (size_t)(to - rows->values.data);
    rows->rows[rows->n++] = row;
    return 0;
}

struct slice ship_rows_value(const struct ship_rows *rows, size_t *offset)
{
    uint32_t length;
    memcpy(&length, rows->values.data + *offset, sizeof(length));
    *offset += sizeof(length);
    if (length == NULL_LENGTH)
        return SLICE_NULL;
    struct slice value = slice_of(rows->values.data + *offset, length);
    *offset += length;
    return value;
}
