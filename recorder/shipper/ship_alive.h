#pragma once
/*
 * The sign of life: once a minute the agent tells the server how it is, in the one row of
 * `host_state` that is its host's, whether or not there is something to ship. The server sets the
 * time of it; so a host that has nothing to record differs from one that is gone.
 */
#include "recorder/shipper/ship_connection.h"

struct ship_alive {
    const char *boot_id; /* NULL: no signs of life are given */
    unsigned every_ms;
    uint64_t run;  /* of the agent, by chance; two copies of one machine begin two */
    uint64_t beat; /* counts up with each attempt; never twice the same in one run */
    int64_t due_ms;
    bool refused; /* the server of this connection does not know what it is, and the log says so */
};

/** What a sign of life tells. */
struct ship_alive_state {
    uint64_t batches_waiting, journal_bytes, journal_limit_bytes;
    uint64_t waiting_us; /* how long the first batch that waits does; 0: none does */
    uint64_t gaps;       /* written by this run */
    bool journal_full;   /* or it cannot be written */
};

void ship_alive_init(struct ship_alive *alive, const char *boot_id, unsigned every_ms);
bool ship_alive_due(const struct ship_alive *alive);
/** Give one. Also measures the server's clock again. Whatever the server says, the next one is due
 *  a minute later; SHIP_LOST when the connection is gone, else SHIP_OK. */
enum ship_answer ship_alive_send(struct ship_alive *alive, struct ship_connection *connection,
                                 const struct ship_alive_state *state, struct ship_error *error);
