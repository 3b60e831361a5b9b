#pragma once
/*
 * Names of addresses as this host learns them: what is in use is remembered, within a bound, and
 * asked for again from time to time (a name after an hour, that there is none after five minutes,
 * after silence half a minute); until then, and until the new answer is there, the old one counts.
 *
 * Each answer that is another one than before is a row of `address_name`, without a name when there
 * is none. It ends as `removed` when another answer is learned or its entry in the hosts file is
 * gone, and as `closed` when the address has not been in use for so long that it is forgotten. A
 * restart takes the open rows up again and asks again at their next use.
 */
#include "core/fact.h"
#include "recorder/lifecycle/row_output.h"

struct host_names;

struct host_names_options {
    struct row_output *output;
    size_t addresses_most;
    bool active; /* false: nobody knows names */
    void *user;
    /** Must not block. False: not now. NULL: what others asked for will be learned (a replay). */
    bool (*ask)(void *user, const struct inet_address *address);
};

int host_names_new(struct host_names **namesp, const struct host_names_options *options) MUST_CHECK;
struct host_names *host_names_free(struct host_names *names);

void host_names_learn(struct host_names *names, const struct fact_host_name *fact,
                      uint64_t boot_ns);
/** True when the answer is known: *@p name is raw bytes until the next call, or SLICE_NULL when
 *  there is no name, or nobody answered. False: it has been asked for. The unspecified address has
 *  no name, and nothing has one when nobody knows names. */
bool host_names_find(struct host_names *names, const struct inet_address *address, uint64_t now_ns,
                     struct slice *name);

/** A line of an earlier run, in the order of the journal. */
void host_names_restore(struct host_names *names, enum verb verb, uint64_t id,
                        const struct slice *values, size_t n_values);
/** All lines have been restored. Rows that nobody will follow end at @p last_real_us. */
void host_names_restored(struct host_names *names, uint64_t last_real_us);
/** Insert lines of all open rows, for a checkpoint. */
void host_names_checkpoint(struct host_names *names);
size_t host_names_open_rows(const struct host_names *names);
