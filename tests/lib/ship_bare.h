#pragma once
/* The measure for the shipper: the same rows by bare array binds, nothing else around them. */
#include "recorder/journal.h"

/** Bind the rows of all sealed batches column by column, arrays made beforehand and not timed, and
 *  insert them into process_in, one array and one transaction a batch. Prints "rows N" and
 *  "seconds S". Only insert lines. Returns an exit status. */
int ship_bare(struct journal *journal, const char *defaults_file, uint64_t host_id);
