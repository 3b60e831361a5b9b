/* What an earlier run left open. While the lines of the journal come in, rows are known by their
 * ids and kept in order; then they are open rows like others, marked, until something names them.
 */
#include "recorder/devices/devices_private.h"

#include <stdlib.h>

static struct device_row *find(const struct devices *d, uint64_t id)
{
    const struct device_row key = {.id = id};
    return OPENSSL_LH_retrieve(d->by_id, &key);
}

static void remember(struct devices *d, uint64_t id, const struct slice *values)
{
    struct device_row *row = device_row_new(d, values + DEVICE_SUBSYSTEM);
    if (!row)
        return;
    row->id = id;
    row->created_us = line_parse_time(values[DEVICE_CREATED_AT]);
    row->inserted = row->restored = true;
    if (!slice_is_null(values[DEVICE_DRIVER]))
        row->driver = shared_text_new(values[DEVICE_DRIVER]);
    row->settled = row->driver != NULL;
    OPENSSL_LH_insert(d->by_id, row);
    if (OPENSSL_LH_error(d->by_id))
        device_row_free(d, row);
    else
        TAILQ_INSERT_TAIL(&d->open, row, in_open);
}

static void forget(struct devices *d, struct device_row *row)
{
    OPENSSL_LH_delete(d->by_id, row);
    TAILQ_REMOVE(&d->open, row, in_open);
    device_row_free(d, row);
}

static void restore_driver(struct device_row *row, struct slice driver)
{
    if (row->driver || slice_is_null(driver))
        return;
    row->driver = shared_text_new(driver);
    row->settled = true;
}

void devices_restore(struct devices *d, enum verb verb, uint64_t id, const struct slice *values,
                     size_t n_values)
{
    struct device_row *row = find(d, id);
    if (verb == VERB_END && row)
        forget(d, row);
    else if (verb == VERB_SETTLE && row && n_values > 0)
        restore_driver(row, values[0]);
    else if (verb == VERB_INSERT && !row && n_values == DEVICE_COLUMN_N &&
             !slice_is_null(values[DEVICE_DEVPATH]) && slice_is_null(values[DEVICE_DESTROYED_AT]))
        remember(d, id, values);
}

/* Of two that have one path, the earlier one has been left behind. */
static void list_restored(struct devices *d, struct device_row *row)
{
    struct device_row *other = device_row_find(d, row->values[DEVICE_VALUE_DEVPATH]);
    if (other)
        device_row_end(d, other, d->last_real_us, END_UNKNOWN);
    (void)device_row_list(d, row);
}

void devices_restored(struct devices *d, bool same_boot, uint64_t last_real_us)
{
    struct device_list restored = TAILQ_HEAD_INITIALIZER(restored);
    struct device_row *row;
    d->last_real_us = last_real_us;
    OPENSSL_LH_flush(d->by_id);
    TAILQ_CONCAT(&restored, &d->open, in_open);
    while ((row = TAILQ_FIRST(&restored))) {
        TAILQ_REMOVE(&restored, row, in_open);
        if (same_boot)
            list_restored(d, row);
        else
            device_row_end(d, row, last_real_us, END_REBOOT);
    }
}
