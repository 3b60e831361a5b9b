/* capset(2) through libcap changes the calling thread only. */
#include "collectors/procfs/thread_rights.h"

#include "core/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/capability.h>
#include <sys/prctl.h>

static const struct {
    enum thread_right right;
    cap_value_t capability;
} capabilities[] = {
    {THREAD_READS_FILES,     CAP_DAC_READ_SEARCH},
    {THREAD_READS_PROCESSES, CAP_SYS_PTRACE     },
    {THREAD_NETWORK,         CAP_NET_ADMIN      },
    {THREAD_ADMINISTRATES,   CAP_SYS_ADMIN      },
    {THREAD_AUDITS,          CAP_AUDIT_CONTROL  },
    {THREAD_AUDITS,          CAP_AUDIT_READ     },
};

static inline void free_capabilities(cap_t *set)
{
    if (*set)
        cap_free(*set);
}

static bool has(cap_t set, cap_value_t capability)
{
    cap_flag_value_t value = CAP_CLEAR;
    return cap_get_flag(set, capability, CAP_PERMITTED, &value) == 0 && value == CAP_SET;
}

int thread_rights_keep(unsigned rights)
{
    cap_t have CLEANUP(free_capabilities) = cap_get_proc();
    cap_t keep CLEANUP(free_capabilities) = cap_init();
    if (!have || !keep)
        return -ENOMEM;
    for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++) {
        const cap_value_t *capability = &capabilities[i].capability;
        if (!(rights & capabilities[i].right) || !has(have, *capability))
            continue;
        if (cap_set_flag(keep, CAP_PERMITTED, 1, capability, CAP_SET) ||
            cap_set_flag(keep, CAP_EFFECTIVE, 1, capability, CAP_SET))
            return -errno;
    }
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || cap_set_proc(keep) ? -errno : 0;
}
