#pragma once
/*
 * Sends sealed batches to MariaDB, in order, one transaction each, exactly once, on a thread of its
 * own. It knows tables only from the catalogue.
 */
#include "recorder/journal/journal.h"

struct shipper;

/** Rows that are in the journal and will not be in their tables: the tracker writes a gap. */
struct shipper_loss {
    bool damaged; /* the batch's file could not be read and was set aside; else: the
                     server refused n rows, their lines are in `rejected` */
    uint64_t batch;
    enum table_id table; /* TABLE_NONE when damaged */
    enum verb verb;
    uint64_t n;                 /* rows; 0: not known */
    uint64_t first_us, last_us; /* span of the batch, microseconds since 1970; 0: not known */
};

struct shipper_options {
    struct journal *journal;
    uint64_t host_id;
    const char
        *defaults_file; /* option file, group [vestige]; holds host or socket, user, password */
    struct counters *counters;
    unsigned retry_first_ms, retry_most_ms; /* back-off, with jitter; 0: 200 and 30000 */
    unsigned schema_version;                /* of server-schema/, 0: not compared */
    const char *boot_id;                    /* for the signs of life; NULL: none are given */
    unsigned alive_ms;                      /* between two of them; 0: a minute */
    unsigned clock_ms; /* the server's clock is read again when that is older; 0: 30000 */
    /** Called on the shipper's thread, after the batch is committed (or set aside), once per table
     *  and verb; may be NULL. A refused row of `gap` must not make another gap for ever. */
    void (*lost)(void *user, const struct shipper_loss *loss);
    void *lost_user;
};

struct shipper_status {
    uint64_t last_shipped; /* batch; 0: none by this run */
    uint64_t n_waiting;
    bool connected;
    bool is_clear;            /* the connection is not encrypted */
    int64_t server_offset_us; /* server's clock minus ours as they are now; read from it at
                                 connecting, and at least once a minute */
    int64_t server_boot_us;   /* server's clock minus our boot clock: our wall clock is not in it */
    bool server_offset_known;
    char error[512]; /* why it does not ship; "" when it does */
};

/** Whether the option file is there and can be read. */
int shipper_check_option_file(const char *path, struct error_text *error) MUST_CHECK;
/** Start the thread. Fails only for what cannot get better (no such option file). */
int shipper_start(struct shipper **shipperp, const struct shipper_options *options,
                  struct error_text *error) MUST_CHECK;
/** Try once more to empty the journal, for at most @p grace_ms, then join and free. A server that
 *  does not even answer to a connection attempt can hold it up for another 5 seconds. */
struct shipper *shipper_free(struct shipper *shipper, unsigned grace_ms);
/** A batch was sealed. Any thread. */
void shipper_wake(struct shipper *shipper);
/** Wait until @p batch is committed, or the deadline. It also ends a back-off, so that there is one
 *  attempt at once. Returns 0 or -ETIMEDOUT. Any thread. */
int shipper_wait(struct shipper *shipper, uint64_t batch, unsigned timeout_ms) MUST_CHECK;
/** The same, but that attempt is enough to know that there is no server: -EHOSTUNREACH. */
int shipper_wait_reachable(struct shipper *shipper, uint64_t batch, unsigned timeout_ms) MUST_CHECK;
void shipper_get_status(struct shipper *shipper, struct shipper_status *status);
