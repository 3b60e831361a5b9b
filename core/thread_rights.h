#pragma once
/*
 * What each thread of the agent may do that not everybody may. capabilities(7) belong to a thread,
 * and what reads foreign bytes, perhaps in somebody else's library, needs few of them or none. One
 * table says all of it; `vestige doctor` compares it with what the kernel says of a running agent.
 */
#include "core/error.h"

#include <stddef.h>
#include <stdint.h>

enum thread_right {
    THREAD_READS_FILES = 1 << 0,     /* CAP_DAC_READ_SEARCH */
    THREAD_READS_PROCESSES = 1 << 1, /* CAP_SYS_PTRACE: /proc/PID of others */
    THREAD_NETWORK = 1 << 2,         /* CAP_NET_ADMIN */
    THREAD_ADMINISTRATES = 1 << 3,   /* CAP_SYS_ADMIN: enter namespaces, mark filesystems */
    THREAD_SETS_AUDIT = 1 << 4,      /* CAP_AUDIT_CONTROL */
    THREAD_HEARS_AUDIT = 1 << 5,     /* CAP_AUDIT_READ */
    THREAD_LOADS_PROGRAMS = 1 << 6,  /* CAP_BPF, CAP_PERFMON */
};

struct thread_rights {
    const char *thread; /* its name, as /proc/PID/task/TID/comm has it */
    unsigned rights;    /* set of enum thread_right */
    const char *why;
};

/** All threads of the agent and of its guard: @p n of them. */
const struct thread_rights *thread_rights_all(size_t *n);
/** As /proc/PID/status has them, a bit a capability. */
uint64_t thread_rights_mask(unsigned rights);
/** Give up, in the thread that calls, every capability but these of those that it has; what it
 *  executes gains none. Returns 0 or a negative error number. */
int thread_rights_keep(unsigned rights) MUST_CHECK;
/** The first thing that a thread of the agent does: its name, and the rights that the table gives
 * to a thread of that name; none where there is no such name. What fails is logged. */
void thread_begin(const char *name);
