#pragma once
/*
 * utmp, wtmp and btmp (utmp(5)): who is logged in, who was, and who could not. wtmp and btmp are
 * read from where an earlier run stopped, or from their beginning, and then followed; utmp is read
 * whole when it changes. A thread reads them; inotify tells it when.
 *
 * A file that is not there is no error: `coverage` names it, and it is read when it appears.
 */
#include "collectors/source.h"

extern const struct source_ops utmp_source_ops;

/** Read what is there now. Any thread. */
void utmp_source_request(struct source *source);
/** All that stood in the files before this moment (boot clock) has been read. Any thread. */
uint64_t utmp_source_read_until(const struct source *source);
