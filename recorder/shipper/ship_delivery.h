#pragma once
/*
 * Brings one batch file into the database: opens and checks the file, sends it over a connection
 * that is kept for the next one, and knows which failures are worth another attempt at once.
 */
#include "recorder/shipper/ship_batch.h"

#include <pthread.h>

enum ship_delivery_outcome {
    SHIP_DELIVERED = 0,
    SHIP_UNDELIVERED, /* the batch stays; error says why */
    SHIP_CUT_OFF,     /* the batch stays: the connection was lost */
    SHIP_DAMAGED      /* the file is no batch; error says where */
};

/** What was delivered. */
struct ship_receipt {
    bool counted; /* result is of this run: false when an earlier run had committed the batch */
    uint64_t n_lines, first_us, last_us; /* of the header; 0 when it could not be read */
    struct ship_result result;
};

struct ship_delivery {
    const char *defaults_file;
    uint64_t host_id;
    unsigned schema_version;
    struct ship_connection connection;
    struct ship_statements *statements;
    struct ship_batch *batch;
    unsigned clock_ms;  /* the server's clock is read again when that is older */
    uint64_t unread;    /* batch whose file the disk did not give, 0: none */
    unsigned n_unread;  /* so often */
    uint64_t uncertain; /* batch whose COMMIT was not answered, 0: none */
    struct ship_result uncertain_result;
    bool is_slow;         /* the line takes so long for a batch that it is compressed */
    pthread_mutex_t lock; /* of what follows, which ship_delivery_abort touches */
    int socket;
    bool aborted;
};

int ship_delivery_init(struct ship_delivery *delivery, const char *defaults_file, uint64_t host_id,
                       unsigned schema_version) MUST_CHECK;
void ship_delivery_deinit(struct ship_delivery *delivery);

/** Returns SHIP_DELIVERED when there is a connection (already), or SHIP_UNDELIVERED. */
enum ship_delivery_outcome ship_delivery_connect(struct ship_delivery *delivery,
                                                 struct ship_error *error);
bool ship_delivery_connected(const struct ship_delivery *delivery);
/** Close the connection, if there is one. */
void ship_delivery_disconnect(struct ship_delivery *delivery);
/** Keep an idle connection honest; it is closed when the server does not answer. */
enum ship_delivery_outcome ship_delivery_ping(struct ship_delivery *delivery,
                                              struct ship_error *error);
enum ship_delivery_outcome ship_delivery_send(struct ship_delivery *delivery, uint64_t number,
                                              const char *path, struct ship_receipt *receipt,
                                              struct ship_error *error);
/** Make whatever waits for the server return soon, and everything after it fail. Any thread. */
void ship_delivery_abort(struct ship_delivery *delivery);
