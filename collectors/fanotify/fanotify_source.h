#pragma once
/*
 * What processes do with files, of all filesystems that fanotify can watch: each event is a
 * FACT_FILE. What was not read in time is a FACT_OVERRUN. FACT_NOTE has in `detail` what is watched
 * and what is not. A FACT_FILES_READ says that all is told: behind events, and when it was asked
 * for.
 *
 * Open needs CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH, and so does its thread for as long as it runs:
 * filesystems come, and directories are found by their handles.
 */
#include "collectors/fanotify/fanotify_message.h"

extern const struct source_ops fanotify_source_ops;

/** Read now what waits, and tell when that is done. Any thread. */
void fanotify_source_request(struct source *source);
/** What was done before this moment (CLOCK_BOOTTIME) can be drained, or has been. Any thread. */
uint64_t fanotify_source_read_until(const struct source *source);
