#pragma once
/*
 * One batch in memory, and its transaction: the seal first, then all inserts, all settles, all
 * ends, then what the server refused. Memory is kept from batch to batch; one object is used by
 * one thread.
 */
#include "recorder/shipper/ship_statement.h"

#define SHIP_ARRAY_ROWS 2000 /* more gains nothing, and costs memory on both sides */

struct ship_batch;

/** What became of a batch. Valid also when COMMIT itself was lost: it is what had been sent. */
struct ship_result {
    bool already;   /* this very batch had been committed before; nothing below is filled */
    bool uncertain; /* COMMIT was sent and not answered */
    uint64_t n_rows;
    uint64_t rejected[TABLE_N][VERB_N];
};

int ship_batch_new(struct ship_batch **batchp) MUST_CHECK;
struct ship_batch *ship_batch_free(struct ship_batch *batch);

/** Read and check the batch. Only what has passed the check is ever sent. Returns 0, or a negative
 *  errno of batch_reader_check. */
int ship_batch_load(struct ship_batch *batch, struct batch_reader *reader,
                    struct error_text *error) MUST_CHECK;

/** Send what was loaded; it may be sent again after a failure. @p reader is read a second time when
 *  lines were refused. SHIP_OK: committed. SHIP_ROW_REFUSED is never returned. */
enum ship_answer ship_batch_send(struct ship_batch *batch, struct ship_connection *connection,
                                 struct ship_statements *statements, struct batch_reader *reader,
                                 struct ship_result *result, struct ship_error *error);
