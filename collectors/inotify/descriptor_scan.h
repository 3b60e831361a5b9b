#pragma once
/*
 * A look at the files that all processes have open, by /proc/PID/fd: regular ones, with memfd,
 * O_TMPFILE and those that were deleted. Left out are directories, pipes, sockets, devices, files
 * of the kernel's own filesystems, the own process, and what the selection excludes.
 *
 * Each file of a process is told once, with the number of its descriptors; of a process with more
 * than DESCRIPTOR_SCAN_FILES a file may be told again, with other descriptors of it.
 */
#include "collectors/files/file_selection.h"

enum { DESCRIPTOR_SCAN_FILES = 16384 };

struct descriptor_scan;

/* A negative result of one ends the look. */
struct descriptor_scan_handlers {
    int (*take)(void *user, uint64_t boot_ns, const struct fact_file_open *open);
    /* A process that may not be looked at, in whole or in part. */
    int (*refuse)(void *user, uint32_t pid);
    /* Between two processes, and within a process with many descriptors: a moment for others. */
    int (*pause)(void *user);
    void *user;
};

struct descriptor_scan_result {
    uint32_t n_refused;  /* processes that may not be looked at, in whole or in part */
    uint32_t n_nameless; /* descriptors whose path the kernel could not give, as it is too long */
    bool late;           /* it took too long, and was ended */
};

/** @p selection has to outlive it. */
int descriptor_scan_new(struct descriptor_scan **scanp, const struct file_selection *selection,
                        struct error_text *error) MUST_CHECK;
struct descriptor_scan *descriptor_scan_free(struct descriptor_scan *scan);
/** One look, which takes @p most_ns at most, and the process that it is at. Returns 0, or the
 *  error of a handler or of reading /proc. It is complete, but for what was refused, when the
 *  rest of the result is zero. */
int descriptor_scan_run(struct descriptor_scan *scan, uint64_t most_ns,
                        const struct descriptor_scan_handlers *handlers,
                        struct descriptor_scan_result *result) MUST_CHECK;
