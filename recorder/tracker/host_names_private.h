#pragma once
/* What host_names.c and host_names_restore.c share; nobody else includes it. */
#include "recorder/lifecycle/shared_text.h"
#include "recorder/tracker/host_names.h"

#include <openssl/lhash.h>
#include <sys/queue.h>

struct host_name {
    TAILQ_ENTRY(host_name) in_use; /* the last used one first */
    unsigned long hash;
    struct inet_address address; /* plain */
    bool known;                  /* there was an answer, or silence */
    uint64_t due_ns;             /* when it is to be asked for, if it is in use */
    struct shared_text *name;    /* raw bytes; NULL: none */
    enum name_origin origin;
    uint64_t id, created_us; /* of the open row; id 0: none */
};

TAILQ_HEAD(host_name_list, host_name);

struct host_names {
    struct host_names_options options;
    uint64_t secret[2];
    OPENSSL_LHASH *by_address;
    struct host_name_list used;
    size_t n_rows;
    OPENSSL_LHASH *restored; /* struct restored_name by id, until host_names_restored */
};

/** The entry of a plain address, added when there is none. NULL: out of memory. */
struct host_name *host_names_entry(struct host_names *names, const struct inet_address *address);
/** Forget those that were not used for longest, until there are at most @p most. */
void host_names_trim(struct host_names *names, size_t most, uint64_t ended_us);
void host_names_end_row(struct host_names *names, struct host_name *name, uint64_t ended_us,
                        enum end_cause cause);
void host_names_restore_free(struct host_names *names);
