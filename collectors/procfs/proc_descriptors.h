#pragma once
/* Walks the descriptors of a process in /proc/PID/fd. One thread an object. */
#include "core/error.h"

#include <stdint.h>

enum { PROC_DESCRIPTORS_ENTRIES = 32 << 10 };

struct proc_descriptors {
    uint8_t entries[PROC_DESCRIPTORS_ENTRIES] __attribute__((aligned(8)));
};

/** @p name is that of a link in @p directory, the descriptor's number. A negative result ends the
 *  walk. */
typedef int (*proc_descriptor_handler)(void *user, int directory, const char *name);

enum {
    PROC_DESCRIPTORS_VANISHED = 1, /* the process has ended, maybe in the middle of the walk */
    PROC_DESCRIPTORS_REFUSED = 2   /* they may not be looked at, or not all could be read */
};

/** Returns 0, one of the outcomes above, or what the handler returned. */
int proc_descriptors_walk(struct proc_descriptors *descriptors, uint32_t pid,
                          proc_descriptor_handler handler, void *user) MUST_CHECK;
