/* Opening needs NET_ADMIN (receive buffers, process connector, taskstats) and AUDIT_CONTROL or
 * AUDIT_READ; BPF and PERFMON, or SYS_ADMIN, for the exact mode. Running needs AUDIT_CONTROL to
 * restore the former state and to follow a change of owner, NET_ADMIN for sockets opened then,
 * SYS_PTRACE and DAC_READ_SEARCH to read /proc of others, and programs that only some may read.
 * Capabilities belong to a thread: those of the sources began before, with rights of their own
 * (thread_rights.h); so did the journal's, which writes wherever the administrator wants it. */
#include "recorder/privilege.h"

#include "collectors/procfs/thread_rights.h"
#include "core/cleanup.h"

#include <string.h>
#include <sys/capability.h>

static const cap_value_t needed[] = {CAP_NET_ADMIN, CAP_AUDIT_CONTROL, CAP_AUDIT_READ};
enum { NEEDED_WITHOUT_AUDIT = 1 };

static inline void free_capabilities(cap_t *capabilities)
{
    if (*capabilities)
        cap_free(*capabilities);
}

int privilege_check(bool audit, struct error_text *error)
{
    size_t n_needed = audit ? sizeof(needed) / sizeof(needed[0]) : NEEDED_WITHOUT_AUDIT;
    cap_t have CLEANUP(free_capabilities) = cap_get_proc();
    char missing[128] = "";
    if (!have)
        return error_set(error, -errno, "cannot read this process's capabilities: %s",
                         strerror(errno));
    for (size_t i = 0; i < n_needed; i++) {
        cap_flag_value_t value = CAP_CLEAR;
        cap_get_flag(have, needed[i], CAP_EFFECTIVE, &value);
        if (value == CAP_SET)
            continue;
        char *name = cap_to_name(needed[i]);
        strncat(missing, missing[0] ? ", " : "", sizeof(missing) - strlen(missing) - 1);
        strncat(missing, name ? name : "?", sizeof(missing) - strlen(missing) - 1);
        cap_free(name);
    }
    if (!missing[0])
        return 0;
    return error_set(error, -EPERM,
                     "missing capabilities: %s; run it as root, or give them to the service",
                     missing);
}

int privilege_drop(struct error_text *error)
{
    int r = thread_rights_keep(THREAD_READS_FILES | THREAD_READS_PROCESSES | THREAD_NETWORK |
                               THREAD_AUDITS);
    return r < 0 ? error_set(error, r, "cannot drop capabilities: %s", strerror(-r)) : 0;
}
