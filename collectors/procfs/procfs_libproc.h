#pragma once
/*
 * What libproc2 gives: the numbers of /proc/PID/stat and status. One thread an
 * object. Older distributions have libproc2's predecessor; only this file would change.
 */
#include "core/fact.h"

struct procfs_libproc;

/** Changes when the pid belongs to another process, or when the process executes a program. */
struct procfs_libproc_mark {
    uint64_t start_ticks;
    uint64_t stack_start; /* chosen at random by each exec */
};

enum { PROCFS_LIBPROC_GONE = 1 }; /* there is no such process */

int procfs_libproc_new(struct procfs_libproc **libp, struct error_text *error) MUST_CHECK;
struct procfs_libproc *procfs_libproc_free(struct procfs_libproc *lib);

/** Fills the numbers that stat and status hold, and tty, which points into @p lib until the next
 *  call. Returns 0, PROCFS_LIBPROC_GONE or an error. */
int procfs_libproc_read(struct procfs_libproc *lib, uint32_t pid, struct fact_proc_process *process,
                        struct procfs_libproc_mark *mark) MUST_CHECK;
int procfs_libproc_read_mark(struct procfs_libproc *lib, uint32_t pid,
                             struct procfs_libproc_mark *mark) MUST_CHECK;
