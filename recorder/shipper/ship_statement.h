#pragma once
/*
 * The prepared statements of one connection: one per table and verb, made from the catalogue when
 * first used, executed over many rows at once; and the two single inserts, into batch_in and
 * rejected_in. All belong to the connection and have to be freed before it is closed.
 */
#include "recorder/journal/batch_reader.h"
#include "recorder/shipper/ship_connection.h"
#include "recorder/shipper/ship_rows.h"

#define SHIP_PARAMETERS_MAX 64 /* of one statement */

struct ship_statements;

int ship_statement_new(struct ship_statements **statementsp, struct ship_connection *connection,
                       uint64_t host_id) MUST_CHECK;
struct ship_statements *ship_statement_free(struct ship_statements *statements);

/** The text of a statement, for the catalogue's columns. */
void ship_statement_text(struct buffer *to, enum table_id table, enum verb verb, uint64_t host_id);

/** The rows that one statement is executed for. */
struct ship_array {
    enum table_id table;
    enum verb verb;
    uint64_t batch;
    const struct ship_rows *rows;
    size_t first, n;
};

/** Execute for all rows of the array. *@p affected: rows that were inserted or found. */
enum ship_answer ship_statement_execute(struct ship_statements *statements,
                                        const struct ship_array *array, uint64_t *affected,
                                        struct ship_error *error);

enum ship_answer ship_statement_seal(struct ship_statements *statements,
                                     const struct batch_header *header, struct slice digests,
                                     struct ship_error *error);

struct ship_rejected {
    uint64_t batch;
    size_t line;
    enum table_id table;
    struct slice text;
    unsigned error;
    const char *message;
};
enum ship_answer ship_statement_reject(struct ship_statements *statements,
                                       const struct ship_rejected *rejected,
                                       struct ship_error *error);
