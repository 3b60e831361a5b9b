#pragma once
/* Walks the process ids in /proc, and knows which were there the time before. */
#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proc_scan;

/** Looks at a process. Returns 0: it is remembered; positive: it is not; negative: the walk ends.
 */
typedef int (*proc_scan_handler)(void *user, uint32_t pid);

int proc_scan_new(struct proc_scan **scanp, struct error_text *error) MUST_CHECK;
struct proc_scan *proc_scan_free(struct proc_scan *scan);
/** Calls @p handler for each process that was not remembered by the walk before, or, with @p full,
 *  for every process. Returns 0, or the error of the handler or of reading /proc; after an error
 *  the next walk takes every process that was not reached for a new one. */
int proc_scan_walk(struct proc_scan *scan, bool full, proc_scan_handler handler,
                   void *user) MUST_CHECK;
