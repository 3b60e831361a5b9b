#pragma once
/*
 * The lifecycles of interface addresses and routes: facts of rtnetlink become rows of
 * `interface_address` and `route`. One thread; no system calls; the same facts give the same rows.
 *
 * An interface has one row of its own (address NULL) for as long as it exists, and one for each of
 * its addresses; a route has one for each of its next hops. A row has the interface's name and MAC
 * address; when one of these changes, it ends as removed and begins anew. Changes in memory and
 * rows are the same thing here: a row is inserted when what it says begins to be true.
 */
#include "core/fact.h"
#include "recorder/lifecycle/row_output.h"

struct networks;

struct networks_options {
    struct row_output *output;
    size_t most; /* rows in memory; what is beyond is counted */
};

int networks_new(struct networks **networksp, const struct networks_options *options) MUST_CHECK;
struct networks *networks_free(struct networks *networks);

/** Facts of rtnetlink; others are ignored. */
void networks_fact(struct networks *networks, const struct fact *fact);
/** All sockets have been read: what the sink refused is tried again. */
void networks_tick(struct networks *networks);
/** Nobody watches any more: every row ends as unknown. */
void networks_unwatched(struct networks *networks);
/** No dump is under way or due: what has gone without a word has ended. */
bool networks_settled(const struct networks *networks);
/** A last attempt to write what the sink refused; what it refuses again is counted. */
void networks_flush(struct networks *networks);

/** The name of an interface as it is now, until the next fact; NULL: unknown. */
const char *networks_interface_name(const struct networks *networks, uint32_t index);

/** Lines of an earlier run, in the order of the journal. */
void networks_restore(struct networks *networks, enum verb verb, enum table_id table, uint64_t id,
                      const struct slice *values, size_t n_values);
/** All lines have been restored. Rows of another boot end as `reboot` at @p last_real_us; the
 *  others wait for the first complete dump, which confirms them or ends them as `reconciled`. */
void networks_restored(struct networks *networks, bool same_boot, uint64_t last_real_us);
/** Insert lines of all rows that are open now, for a checkpoint. */
void networks_checkpoint(struct networks *networks);

/** Rows for which there was no room, since the last call. */
uint64_t networks_take_beyond(struct networks *networks);
/** Rows in memory. */
size_t networks_rows(const struct networks *networks);
