#pragma once
/*
 * What the server's answer means for a batch. Only an error that can come from the data of one row
 * may ever cost that row its place; everything else keeps the batch.
 */
#include "core/error.h"

#include <stdbool.h>

enum ship_answer {
    SHIP_OK = 0,
    SHIP_ROW_REFUSED, /* the data of a row; the transaction goes on */
    SHIP_TRY_AGAIN,   /* deadlock or lock wait: the same transaction, from its beginning */
    SHIP_LOST,        /* no connection (any more); what became of the last statement is unknown */
    SHIP_FAILED       /* privilege, partition, disk, schema ...: an operator has to see it */
};

struct ship_error {
    unsigned number; /* of the server or of libmariadb; 0: ours */
    struct error_text text;
};

#define SHIP_ERROR_NULL                                                                            \
    {                                                                                              \
        0                                                                                          \
    }

enum ship_answer ship_error_classify(unsigned number);
/** What a person may look at, to stand behind the server's words; "" when they say enough. */
const char *ship_error_advice(unsigned number);
/** Whether the server, or the account, has as many connections as it may have. */
bool ship_error_is_crowd(unsigned number);
/** Set number 0 and a text of our own; returns @p answer. */
enum ship_answer ship_error_set(struct ship_error *error, enum ship_answer answer,
                                const char *format, ...) PRINTF(3, 4);
