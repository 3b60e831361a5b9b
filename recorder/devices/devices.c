/* What a fact means. A look at all devices gives the same facts as events do, so that a row that is
 * there already is only marked; what a complete look did not mark is gone. A device that moves
 * takes along what is below it, of which the kernel says nothing. */
#include "recorder/devices/devices_private.h"

#include "core/evidence_text.h"

#include <stdio.h>
#include <stdlib.h>

static unsigned long id_hash(const void *item)
{
    return ((const struct device_row *)item)->id * 2654435761UL;
}

static int id_compare(const void *a, const void *b)
{
    return ((const struct device_row *)a)->id != ((const struct device_row *)b)->id;
}

int devices_new(struct devices **devicesp, const struct devices_options *options)
{
    struct devices *d = calloc(1, sizeof(*d));
    if (!d)
        return -ENOMEM;
    d->output = options->output;
    d->options = *options;
    TAILQ_INIT(&d->open);
    TAILQ_INIT(&d->waiting);
    d->by_path = OPENSSL_LH_new(device_path_hash, device_path_compare);
    d->by_id = OPENSSL_LH_new(id_hash, id_compare);
    if (!d->by_path || !d->by_id) {
        devices_free(d);
        return -ENOMEM;
    }
    *devicesp = d;
    return 0;
}

static void free_row(void *item, void *user)
{
    device_row_free(user, item);
}

struct devices *devices_free(struct devices *d)
{
    struct device_row *row, *next;
    if (!d)
        return NULL;
    for (row = TAILQ_FIRST(&d->waiting); row; row = next) {
        next = TAILQ_NEXT(row, in_waiting);
        if (!row->listed)
            device_row_free(d, row);
    }
    if (d->by_path)
        OPENSSL_LH_doall_arg(d->by_path, free_row, d);
    if (d->by_id)
        OPENSSL_LH_doall_arg(d->by_id, free_row, d);
    OPENSSL_LH_free(d->by_path);
    OPENSSL_LH_free(d->by_id);
    buffer_deinit(&d->text);
    free(d);
    return NULL;
}

static uint64_t real_us(const struct devices *d, uint64_t at_ns)
{
    return timeline_real_us(d->output->timeline, at_ns);
}

/* -- values -- */

/* All values and the driver as evidence text, in the scratch buffer, until the next call. */
struct texts {
    struct slice values[DEVICE_VALUE_N];
    struct slice driver;
};

enum { TEXTS_N = DEVICE_VALUE_N + 1 };

static bool append_texts(struct devices *d, const struct slice from[TEXTS_N], size_t ends[TEXTS_N])
{
    buffer_clear(&d->text);
    for (size_t i = 0; i < TEXTS_N; i++) {
        if (!slice_is_null(from[i]))
            evidence_text_append(&d->text, from[i]);
        ends[i] = d->text.length;
    }
    return !d->text.failed;
}

/* False: there is no memory. */
static bool make_texts(struct devices *d, const struct slice from[TEXTS_N], struct texts *texts)
{
    size_t ends[TEXTS_N], begin = 0;
    if (!append_texts(d, from, ends))
        return false;
    struct slice all = buffer_slice(&d->text);
    for (size_t i = 0; i < TEXTS_N; begin = ends[i++]) {
        struct slice text =
            slice_is_null(from[i]) ? SLICE_NULL : slice_of(all.data + begin, ends[i] - begin);
        if (i < DEVICE_VALUE_N)
            texts->values[i] = text;
        else
            texts->driver = text;
    }
    return true;
}

static void ask_users(const struct devices *d, struct texts *texts)
{
    const char *users =
        d->options.users_logged_in ? d->options.users_logged_in(d->options.user) : NULL;
    if (users)
        texts->values[DEVICE_VALUE_USERS] = slice_text(users);
}

static bool texts_of_fact(struct devices *d, const struct fact_device *device, struct texts *texts)
{
    char number[24];
    snprintf(number, sizeof(number), "%u:%u", device->device_major, device->device_minor);
    const struct slice from[TEXTS_N] = {
        [DEVICE_VALUE_SUBSYSTEM] = device->subsystem,
        [DEVICE_VALUE_DEVPATH] = device->devpath,
        [DEVICE_VALUE_DEVNODE] = device->devnode,
        [DEVICE_VALUE_DEVICE] = device->block ? slice_text(number) : SLICE_NULL,
        [DEVICE_VALUE_VENDOR] = device->vendor,
        [DEVICE_VALUE_MODEL] = device->model,
        [DEVICE_VALUE_SERIAL] = device->serial,
        [DEVICE_VALUE_VENDOR_ID] = device->vendor_id,
        [DEVICE_VALUE_MODEL_ID] = device->model_id,
        [DEVICE_VALUE_USERS] = device->users,
        [DEVICE_VALUE_N] = device->driver,
    };
    return make_texts(d, from, texts);
}

static bool says_other(struct slice before, struct slice now)
{
    return !slice_is_null(now) && (slice_is_null(before) || !slice_equal(before, now));
}

static bool is_same(const struct device_row *row, const struct texts *texts)
{
    for (size_t i = 0; i < DEVICE_IDENTITY_N; i++)
        if (says_other(row->values[i], texts->values[i]))
            return false;
    return !row->driver || !says_other(shared_text_slice(row->driver), texts->driver);
}

/* -- devices -- */

static void go_on(struct devices *d, struct device_row *row, const struct texts *texts)
{
    row->generation = d->generation;
    row->restored = false;
    if (!row->driver && !slice_is_null(texts->driver))
        device_row_settle(d, row, texts->driver);
}

/* An earlier run's row of a device that is another one now ended while nobody looked. */
static void end_row(struct devices *d, struct device_row *row, uint64_t ended_us)
{
    device_row_end(d, row, ended_us, row->restored ? END_RECONCILED : END_REMOVED);
}

static void is_there(struct devices *d, const struct fact *fact, struct texts *texts)
{
    struct device_row *row = device_row_find(d, texts->values[DEVICE_VALUE_DEVPATH]);
    if (row && is_same(row, texts)) {
        go_on(d, row, texts);
        return;
    }
    if (row)
        end_row(d, row, real_us(d, fact->boot_ns));
    ask_users(d, texts);
    (void)device_row_begin(d, texts->values, texts->driver, fact->boot_ns);
}

/* What is behind @p prefix and a slash in @p path; SLICE_NULL: it is not below it. */
static struct slice below(struct slice path, struct slice prefix)
{
    if (path.length <= prefix.length || memcmp(path.data, prefix.data, prefix.length) != 0 ||
        path.data[prefix.length] != '/')
        return SLICE_NULL;
    return slice_of(path.data + prefix.length, path.length - prefix.length);
}

struct move {
    struct slice from, to; /* evidence text */
    const struct fact *fact;
};

static void move_row(struct devices *d, struct device_row *row, struct slice rest,
                     const struct move *move)
{
    struct buffer path CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct shared_text *driver = shared_text_ref(row->driver);
    struct device_row *before = device_row_new(d, row->values);
    buffer_append_slice(&path, move->to);
    buffer_append_slice(&path, rest);
    end_row(d, row, real_us(d, move->fact->boot_ns));
    if (before && !path.failed) {
        before->values[DEVICE_VALUE_DEVPATH] = buffer_slice(&path);
        (void)device_row_begin(d, before->values, shared_text_slice(driver), move->fact->boot_ns);
    }
    if (before)
        device_row_free(d, before);
    shared_text_unref(driver);
}

/* What begins anew stands behind what was the last. */
static void move_below(struct devices *d, const struct move *move)
{
    const struct device_row *last = TAILQ_LAST(&d->open, device_list);
    struct device_row *row = TAILQ_FIRST(&d->open), *next;
    for (; row; row = next) {
        next = row == last ? NULL : TAILQ_NEXT(row, in_open);
        struct slice rest = below(row->values[DEVICE_VALUE_DEVPATH], move->from);
        if (!slice_is_null(rest))
            move_row(d, row, rest, move);
    }
}

static void has_moved(struct devices *d, const struct fact *fact, const struct texts *texts)
{
    struct buffer old CLEANUP(buffer_deinit) = BUFFER_NULL;
    evidence_text_append(&old, fact->device.old_devpath);
    const struct move move = {buffer_slice(&old), texts->values[DEVICE_VALUE_DEVPATH], fact};
    if (old.failed || slice_equal(move.from, move.to))
        return;
    struct device_row *row = device_row_find(d, move.from);
    if (row)
        end_row(d, row, real_us(d, fact->boot_ns));
    move_below(d, &move);
}

static void on_device(struct devices *d, const struct fact *fact)
{
    struct texts texts;
    if (!texts_of_fact(d, &fact->device, &texts)) {
        d->beyond++;
        return;
    }
    if (fact->device.end) {
        struct device_row *row = device_row_find(d, texts.values[DEVICE_VALUE_DEVPATH]);
        if (row)
            device_row_end(d, row, real_us(d, fact->boot_ns), END_REMOVED);
        return;
    }
    if (!slice_is_null(fact->device.old_devpath))
        has_moved(d, fact, &texts);
    is_there(d, fact, &texts);
}

/* -- looks at all devices -- */

static void sweep(struct devices *d)
{
    uint64_t ended_us = real_us(d, d->scan_began_ns);
    struct device_row *row = TAILQ_FIRST(&d->open), *next;
    for (; row; row = next) {
        next = TAILQ_NEXT(row, in_open);
        if (row->generation != d->generation)
            end_row(d, row, ended_us);
    }
}

/* What a look finds no room for is no news when the last one found as little. */
static void count_beyond(struct devices *d)
{
    if (d->scan_beyond > d->known_beyond)
        d->beyond += d->scan_beyond - d->known_beyond;
    d->known_beyond = d->scan_beyond;
}

static void on_scan(struct devices *d, const struct fact *fact)
{
    if (fact->device_scan.begin) {
        d->scanning = true;
        d->scan_began_ns = fact->boot_ns;
        d->scan_beyond = 0;
        d->generation++;
    } else if (d->scanning) {
        if (fact->device_scan.complete)
            sweep(d);
        count_beyond(d);
        d->scanning = false;
    }
}

void devices_fact(struct devices *d, const struct fact *fact)
{
    if (fact->kind == FACT_DEVICE)
        on_device(d, fact);
    else if (fact->kind == FACT_DEVICE_SCAN)
        on_scan(d, fact);
    else if (fact->kind == FACT_DEVICES_READ)
        d->read_ns = fact->boot_ns;
}

void devices_unwatched(struct devices *d)
{
    uint64_t now_us = real_us(d, d->output->timeline->now_boot_ns);
    struct device_row *row;
    while ((row = TAILQ_FIRST(&d->open)))
        device_row_end(d, row, row->restored ? d->last_real_us : now_us, END_UNKNOWN);
    d->scanning = false;
    d->unwatched = true;
}

bool devices_settled_until(const struct devices *d, uint64_t boot_ns)
{
    bool answers = d->options.answers && !d->unwatched;
    return !d->scanning && (!answers || d->read_ns > boot_ns);
}

uint64_t devices_take_beyond(struct devices *d)
{
    uint64_t beyond = d->beyond;
    d->beyond = 0;
    return beyond;
}

size_t devices_rows(const struct devices *d)
{
    return d->n_rows;
}
