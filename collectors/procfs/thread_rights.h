#pragma once
/*
 * What the thread of a source may do that not everybody may: capabilities(7) belong to a thread,
 * and what reads foreign bytes, perhaps in somebody else's library, needs few of them.
 */
enum thread_right {
    THREAD_READS_FILES = 1 << 0,     /* CAP_DAC_READ_SEARCH */
    THREAD_READS_PROCESSES = 1 << 1, /* CAP_SYS_PTRACE: /proc/PID of others */
    THREAD_NETWORK = 1 << 2,         /* CAP_NET_ADMIN */
    THREAD_ADMINISTRATES = 1 << 3,   /* CAP_SYS_ADMIN: enter namespaces, mark filesystems */
    THREAD_AUDITS = 1 << 4           /* CAP_AUDIT_CONTROL, CAP_AUDIT_READ */
};

/** Give up, in the thread that calls, every capability but these of those that it has; what it
 *  executes gains none. Returns 0 or a negative error number. */
int thread_rights_keep(unsigned rights);
