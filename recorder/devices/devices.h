#pragma once
/*
 * The lifecycles of devices: facts of udev become rows of `device`. One thread; no system calls;
 * the same facts give the same rows.
 *
 * A device is known by its path in /sys. Its row begins at its event, or at the look that finds it,
 * and ends as `removed` by its event, or by the look that does not. The driver settles: it is the
 * first one that the device got, at its birth or later. When another driver, node, number, vendor
 * or any other of its values is told, or the device moves, its row ends as `removed` and the next
 * begins, with who is logged in then. A value that is not told any more stays: an event of a device
 * that is about to go may tell little of it.
 */
#include "core/fact.h"
#include "recorder/lifecycle/row_output.h"

struct devices;

struct devices_options {
    struct row_output *output;
    size_t most, bytes_most; /* rows and their bytes in memory; what is beyond is counted */
    void *user;
    /** Who is logged in now: names as evidence text, sorted, by commas; "": nobody; NULL: nobody
     *  knows, and then what the fact says counts. May be NULL itself. */
    const char *(*users_logged_in)(void *user);
    bool answers; /* when it is asked for, a FACT_DEVICES_READ comes */
};

int devices_new(struct devices **devicesp, const struct devices_options *options) MUST_CHECK;
struct devices *devices_free(struct devices *devices);

/** Facts of udev; others are ignored. */
void devices_fact(struct devices *devices, const struct fact *fact);
/** All sockets have been read: what the sink refused is tried again. */
void devices_tick(struct devices *devices);
/** Nobody watches any more: every row ends as unknown. */
void devices_unwatched(struct devices *devices);
/** No look at all devices is under way, and what had happened until @p boot_ns was read: after that
 *  moment it was asked for. */
bool devices_settled_until(const struct devices *devices, uint64_t boot_ns);
/** A last attempt to write what the sink refused; what it refuses again is counted. */
void devices_flush(struct devices *devices);

/** Lines of an earlier run, in the order of the journal. */
void devices_restore(struct devices *devices, enum verb verb, uint64_t id,
                     const struct slice *values, size_t n_values);
/** All lines have been restored. Rows of another boot end as `reboot` at @p last_real_us; the
 *  others wait for the first complete look, which confirms them or ends them as `reconciled`. */
void devices_restored(struct devices *devices, bool same_boot, uint64_t last_real_us);
/** Insert lines of all rows that are open now, for a checkpoint. */
void devices_checkpoint(struct devices *devices);

/** Rows for which there was no room, since the last call. */
uint64_t devices_take_beyond(struct devices *devices);
/** Rows in memory. */
size_t devices_rows(const struct devices *devices);
