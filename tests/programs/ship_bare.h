#pragma once
/* The measure for the shipper: the same rows by bare array binds, nothing else around them. */
#include "recorder/journal/journal.h"

/** Bind the rows of all sealed batches column by column, arrays made beforehand and not timed, and
 *  insert them into process_in, one array and one transaction a batch. Prints "rows N" and
 *  "seconds S". Only insert lines. Returns an exit status. */
int ship_bare(struct journal *journal, const char *defaults_file, uint64_t host_id);

/* The same in three steps, so that several can be timed together. A failure ends the program. */
struct bare;

/** Connect, and make the arrays of all batches for @p table (process_in, or a table like it). */
struct bare *ship_bare_load(struct journal *journal, const char *defaults_file, uint64_t host_id,
                            const char *table);
/** Insert all. Returns the seconds that it took. Any thread. */
double ship_bare_insert(struct bare *bare);
void ship_bare_free(struct bare *bare);
