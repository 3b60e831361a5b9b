/* capset(2) through libcap changes the calling thread only. What stands in the table is what the
 * kernel was seen to ask each thread for (tracepoint cap_capable) while the integration tests ran.
 */
#include "core/thread_rights.h"

#include "core/capabilities.h"
#include "core/cleanup.h"
#include "core/log.h"

#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>

static const struct {
    enum thread_right right;
    cap_value_t capability;
} capabilities[] = {
    {THREAD_READS_FILES,     CAP_DAC_READ_SEARCH},
    {THREAD_READS_PROCESSES, CAP_SYS_PTRACE     },
    {THREAD_NETWORK,         CAP_NET_ADMIN      },
    {THREAD_ADMINISTRATES,   CAP_SYS_ADMIN      },
    {THREAD_SETS_AUDIT,      CAP_AUDIT_CONTROL  },
    {THREAD_HEARS_AUDIT,     CAP_AUDIT_READ     },
    {THREAD_LOADS_PROGRAMS,  CAP_BPF            },
    {THREAD_LOADS_PROGRAMS,  CAP_PERFMON        },
};
#define N_CAPABILITIES (sizeof(capabilities) / sizeof(capabilities[0]))

static const struct thread_rights threads[] = {
    {"vestiged",       THREAD_NETWORK | THREAD_SETS_AUDIT,
     "gives the kernel back its former state of audit, connector and taskstats at the end"                                                      },
    {"vestige-guard",  THREAD_SETS_AUDIT,                                                 "puts audit back when the agent is killed"            },
    {"vestige-reader", THREAD_NETWORK | THREAD_SETS_AUDIT | THREAD_HEARS_AUDIT,
     "follows a change of audit's owner, with sockets opened then"                                                                              },
    {"tracker",        0,                                                                 "works on what was read"                              },
    {"journal",        0,                                                                 "writes files of the agent's user"                    },
    {"shipper",        0,                                                                 "speaks to the server"                                },
    {"control",        0,                                                                 "answers root and the agent's user"                   },
    {"sync",           0,                                                                 "a caller of vestige sync waits"                      },
    {"proc",           THREAD_READS_PROCESSES,                                            "reads /proc/PID of all users"                        },
    {"programs",       THREAD_READS_FILES | THREAD_READS_PROCESSES,
     "reads programs that not everybody may read, by /proc/PID/root and /proc/PID/exe"                                                          },
    {"names",          0,                                                                 "asks the name service switch, as everybody may"      },
    {"resolver",       0,                                                                 "asks DNS, and reads /etc/hosts"                      },
    {"fanotify",       THREAD_READS_FILES | THREAD_ADMINISTRATES,
     "opens directories by handle; marks filesystems that are mounted later"                                                                    },
    {"inotify",        THREAD_READS_FILES | THREAD_READS_PROCESSES,
     "watches directories of all users; reads /proc/PID/fd of all"                                                                              },
    {"sock_diag",
     THREAD_READS_FILES | THREAD_READS_PROCESSES | THREAD_NETWORK | THREAD_ADMINISTRATES,
     "enters network namespaces and listens there; reads /proc/PID/fd of all"                                                                   },
    {"udev",           THREAD_NETWORK,                                                    "listens with a large buffer when a udev daemon comes"},
    {"accounts",       THREAD_READS_FILES,                                                "reads shadow and gshadow"                            },
    {"utmp",           THREAD_READS_FILES,                                                "reads btmp"                                          },
};
#define N_THREADS (sizeof(threads) / sizeof(threads[0]))

const struct thread_rights *thread_rights_all(size_t *n)
{
    *n = N_THREADS;
    return threads;
}

uint64_t thread_rights_mask(unsigned rights)
{
    uint64_t mask = 0;
    for (size_t i = 0; i < N_CAPABILITIES; i++)
        if (rights & capabilities[i].right)
            mask |= UINT64_C(1) << capabilities[i].capability;
    return mask;
}

static bool has(cap_t set, cap_value_t capability)
{
    cap_flag_value_t value = CAP_CLEAR;
    return cap_get_flag(set, capability, CAP_PERMITTED, &value) == 0 && value == CAP_SET;
}

int thread_rights_keep(unsigned rights)
{
    cap_t have AUTO_CAPABILITIES = cap_get_proc();
    cap_t keep AUTO_CAPABILITIES = cap_init();
    if (!have || !keep)
        return -ENOMEM;
    for (size_t i = 0; i < N_CAPABILITIES; i++) {
        const cap_value_t *capability = &capabilities[i].capability;
        if (!(rights & capabilities[i].right) || !has(have, *capability))
            continue;
        if (cap_set_flag(keep, CAP_PERMITTED, 1, capability, CAP_SET) ||
            cap_set_flag(keep, CAP_EFFECTIVE, 1, capability, CAP_SET))
            return -errno;
    }
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || cap_set_proc(keep) ? -errno : 0;
}

static unsigned rights_of(const char *thread)
{
    for (size_t i = 0; i < N_THREADS; i++)
        if (!strcmp(threads[i].thread, thread))
            return threads[i].rights;
    return 0;
}

void thread_begin(const char *name)
{
    prctl(PR_SET_NAME, name);
    int r = thread_rights_keep(rights_of(name));
    if (r < 0)
        log_warning("agent", "the thread %s keeps its capabilities: %s", name, strerror(-r));
}
