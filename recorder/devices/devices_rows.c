/* A row is kept as the values of its line. What the sink refuses waits in a queue, open or ended;
 * it counts as a row in memory until it is written. */
#include "recorder/devices/devices_private.h"

#include "core/hash.h"

#include <stdlib.h>

unsigned long device_path_hash(const void *item)
{
    struct slice path = ((const struct device_row *)item)->values[DEVICE_VALUE_DEVPATH];
    return (unsigned long)hash_slice(HASH_START, path);
}

int device_path_compare(const void *a, const void *b)
{
    return !slice_equal(((const struct device_row *)a)->values[DEVICE_VALUE_DEVPATH],
                        ((const struct device_row *)b)->values[DEVICE_VALUE_DEVPATH]);
}

struct device_row *device_row_find(const struct devices *d, struct slice path)
{
    struct device_row key = {.values[DEVICE_VALUE_DEVPATH] = path};
    return OPENSSL_LH_retrieve(d->by_path, &key);
}

/* -- memory -- */

static void count_beyond(struct devices *d)
{
    if (d->scanning)
        d->scan_beyond++;
    else
        d->beyond++;
}

static void copy_values(struct device_row *row, const struct slice values[DEVICE_VALUE_N])
{
    uint8_t *to = row->text;
    for (size_t i = 0; i < DEVICE_VALUE_N; i++) {
        row->values[i] = slice_is_null(values[i]) ? SLICE_NULL : slice_of(to, values[i].length);
        if (values[i].length > 0)
            memcpy(to, values[i].data, values[i].length);
        to += values[i].length;
    }
}

struct device_row *device_row_new(struct devices *d, const struct slice values[DEVICE_VALUE_N])
{
    size_t size = sizeof(struct device_row);
    struct device_row *row = NULL;
    for (size_t i = 0; i < DEVICE_VALUE_N; i++)
        size += values[i].length;
    if (d->n_rows < d->options.most && d->n_bytes + size <= d->options.bytes_most)
        row = malloc(size);
    if (!row) {
        count_beyond(d);
        return NULL;
    }
    *row = (struct device_row){.size = size};
    copy_values(row, values);
    d->n_rows++;
    d->n_bytes += size;
    return row;
}

void device_row_free(struct devices *d, struct device_row *row)
{
    d->n_rows--;
    d->n_bytes -= row->size;
    shared_text_unref(row->driver);
    free(row);
}

bool device_row_list(struct devices *d, struct device_row *row)
{
    OPENSSL_LH_insert(d->by_path, row);
    if (OPENSSL_LH_error(d->by_path)) {
        device_row_free(d, row);
        return false;
    }
    TAILQ_INSERT_TAIL(&d->open, row, in_open);
    row->listed = true;
    return true;
}

static void unlist(struct devices *d, struct device_row *row)
{
    if (!row->listed)
        return;
    OPENSSL_LH_delete(d->by_path, row);
    TAILQ_REMOVE(&d->open, row, in_open);
    row->listed = false;
}

/* -- writing -- */

static void add_values(struct line *line, const struct device_row *row)
{
    for (size_t i = 0; i < DEVICE_VALUE_N; i++)
        if (slice_is_null(row->values[i]))
            line_null(line);
        else
            line_text(line, row->values[i]);
}

static void add_driver(struct line *line, const struct device_row *row)
{
    if (row->driver)
        line_text(line, shared_text_slice(row->driver));
    else
        line_null(line);
}

static int write_insert(struct devices *d, const struct device_row *row, bool with_end)
{
    struct line *line = &d->output->line;
    line_begin(line, VERB_INSERT, TABLE_DEVICE, row->id);
    line_time(line, row->created_us);
    row_output_seen_by(d->output, SEEN_BY_UDEV);
    add_values(line, row);
    add_driver(line, row);
    row_output_end(d->output, with_end, row->ended_us, row->end_cause);
    return row_output_send(d->output);
}

static int write_settle(struct devices *d, const struct device_row *row)
{
    struct line *line = &d->output->line;
    line_begin(line, VERB_SETTLE, TABLE_DEVICE, row->id);
    add_driver(line, row);
    return row_output_send(d->output);
}

static int write_end(struct devices *d, const struct device_row *row)
{
    line_begin(&d->output->line, VERB_END, TABLE_DEVICE, row->id);
    row_output_end(d->output, true, row->ended_us, row->end_cause);
    return row_output_send(d->output);
}

/* All lines that are due. */
static int write_lines(struct devices *d, struct device_row *row)
{
    int error = 0;
    if (!row->inserted) {
        error = write_insert(d, row, row->ended);
        row->inserted = error == 0;
        row->settled = error == 0 && row->driver;
        return error;
    }
    if (row->driver && !row->settled)
        error = write_settle(d, row);
    row->settled |= error == 0 && row->driver;
    return error || !row->ended ? error : write_end(d, row);
}

/* Returns the sink's error, and then the row waits; when its end is written it is freed. */
static int write_row(struct devices *d, struct device_row *row)
{
    int error = write_lines(d, row);
    if (error && !row->waits)
        TAILQ_INSERT_TAIL(&d->waiting, row, in_waiting);
    else if (!error && row->waits)
        TAILQ_REMOVE(&d->waiting, row, in_waiting);
    if (error)
        d->refused_error = error;
    row->waits = error != 0;
    if (!error && row->ended)
        device_row_free(d, row);
    return error;
}

void devices_tick(struct devices *d)
{
    struct device_row *row;
    while ((row = TAILQ_FIRST(&d->waiting)) && write_row(d, row) == 0)
        ;
}

void devices_flush(struct devices *d)
{
    const struct device_row *row;
    devices_tick(d);
    TAILQ_FOREACH(row, &d->waiting, in_waiting)
    row_output_refused(d->output, false, d->refused_error);
}

/* Rows whose end waits to be written are still open for the database. */
void devices_checkpoint(struct devices *d)
{
    const struct device_row *row;
    TAILQ_FOREACH(row, &d->open, in_open)
    if (row->inserted && write_insert(d, row, false) != 0)
        return; /* the one before stays */
    TAILQ_FOREACH(row, &d->waiting, in_waiting)
    if (row->inserted && row->ended && write_insert(d, row, false) != 0)
        return;
}

/* -- rows -- */

struct device_row *device_row_begin(struct devices *d, const struct slice values[DEVICE_VALUE_N],
                                    struct slice driver, uint64_t at_ns)
{
    struct device_row *row = device_row_new(d, values);
    if (!row || !device_row_list(d, row))
        return NULL;
    row->driver = slice_is_null(driver) ? NULL : shared_text_new(driver);
    row->id = timeline_id(d->output->timeline);
    row->created_us = timeline_real_us(d->output->timeline, at_ns);
    row->generation = d->generation;
    (void)write_row(d, row);
    return row;
}

void device_row_settle(struct devices *d, struct device_row *row, struct slice driver)
{
    row->driver = shared_text_new(driver);
    if (row->driver)
        (void)write_row(d, row);
}

void device_row_end(struct devices *d, struct device_row *row, uint64_t ended_us,
                    enum end_cause cause)
{
    unlist(d, row);
    row->ended = true;
    row->ended_us = ended_us > row->created_us ? ended_us : row->created_us;
    row->end_cause = cause;
    (void)write_row(d, row);
}
