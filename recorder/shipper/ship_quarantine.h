#pragma once
/*
 * The lines of a batch that the server refused: noted while the batch is sent, written to
 * `rejected` at the end of its transaction.
 */
#include "recorder/shipper/ship_statement.h"

struct ship_quarantine;

int ship_quarantine_new(struct ship_quarantine **quarantinep) MUST_CHECK;
struct ship_quarantine *ship_quarantine_free(struct ship_quarantine *quarantine);
void ship_quarantine_clear(struct ship_quarantine *quarantine);

/** Note that line number @p line was refused, and why. Returns 0 or -ENOMEM. */
int ship_quarantine_add(struct ship_quarantine *quarantine, size_t line,
                        const struct ship_error *error) MUST_CHECK;

/** Read the batch once more and insert each noted line, whole where a packet holds it: else as much
 *  as fits, and the message says what is missing. Never SHIP_ROW_REFUSED. */
enum ship_answer ship_quarantine_write(struct ship_quarantine *quarantine,
                                       struct ship_statements *statements,
                                       struct batch_reader *reader, size_t max_packet,
                                       struct ship_error *error);
