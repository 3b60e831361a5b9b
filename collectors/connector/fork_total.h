#pragma once
/*
 * `processes` of /proc/stat: how many tasks were ever forked, threads included. By it the number of
 * FORK messages can be checked. The kernel makes the whole file for each reading, which is dear on
 * machines with many CPUs; so it is sampled every 100 ms to 1 s, by what a reading costs.
 */
#include "core/fact.h"

struct fork_total;

/** Returns 0 or a negative errno (no /proc/stat). */
int fork_total_open(struct fork_total **totalp) MUST_CHECK;
struct fork_total *fork_total_free(struct fork_total *total);
/** Sample at the next fork_total_note whatever the time is. */
void fork_total_demand(struct fork_total *total);
/** Add a sample to @p gulp if one is due. Returns 0; -ENOBUFS: no room, next time. A failed
 *  reading is left out. @p total may be NULL. */
int fork_total_note(struct fork_total *total, struct gulp *gulp) MUST_CHECK;

/** Find the number in the text of /proc/stat. Pure. */
bool fork_total_find(struct slice text, uint64_t *number);
/** Read a note back. Pure. */
bool fork_total_parse(struct slice note, struct fact_fork_total *fact);
