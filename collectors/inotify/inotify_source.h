#pragma once
/*
 * Files, without fanotify: what happens in the configured trees, by inotify(7), and which files
 * each process has open, by looks at /proc/PID/fd.
 *
 * A look comes soon after the start, every files_scan_interval_s, and on request: FACT_FILE_SCAN
 * begin, a FACT_FILE_OPEN for each file of each process, FACT_FILE_SCAN end. What is open from
 * begin to end is in it, when it is complete.
 *
 * With fanotify active, directories are watched only on filesystems that fanotify cannot mark.
 */
#include "collectors/source.h"

extern const struct source_ops inotify_source_ops;

/** Ask for a look; it comes at the latest a second after the one before. Any thread. */
void inotify_source_scan(struct source *source);
/** Read now what waits of the trees. Any thread. */
void inotify_source_request(struct source *source);
/** What was done in the trees before this moment (CLOCK_BOOTTIME) can be drained, or has been;
 *  UINT64_MAX: no tree is watched. Any thread. */
uint64_t inotify_source_read_until(const struct source *source);
