/* One row an architecture and number. clone3 is not here: its flags are in memory, which neither a
 * filter nor a record shows. */
#include "collectors/audit/audit_kernel_call.h"

#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <linux/sched.h>

struct call_row {
    uint32_t number;
    enum audit_kernel_call call;
};

static const struct call_row x86_64[] = {
    {175, AUDIT_CALL_INIT_MODULE   },
    {313, AUDIT_CALL_INIT_MODULE   },
    {176, AUDIT_CALL_DELETE_MODULE },
    {165, AUDIT_CALL_MOUNT         },
    {429, AUDIT_CALL_MOVE_MOUNT    },
    {442, AUDIT_CALL_MOUNT_SETATTR },
    {166, AUDIT_CALL_UMOUNT        },
    {101, AUDIT_CALL_PTRACE        },
    {308, AUDIT_CALL_SETNS         },
    {272, AUDIT_CALL_UNSHARE       },
    {56,  AUDIT_CALL_CLONE         },
    {321, AUDIT_CALL_BPF           },
    {425, AUDIT_CALL_IO_URING_SETUP},
    {246, AUDIT_CALL_KEXEC_LOAD    },
    {320, AUDIT_CALL_KEXEC_LOAD    },
    {164, AUDIT_CALL_SETTIMEOFDAY  },
    {227, AUDIT_CALL_CLOCK_SETTIME },
    {159, AUDIT_CALL_ADJTIMEX      },
    {305, AUDIT_CALL_ADJTIMEX      },
};

static const struct call_row i386[] = {
    {128, AUDIT_CALL_INIT_MODULE   },
    {350, AUDIT_CALL_INIT_MODULE   },
    {129, AUDIT_CALL_DELETE_MODULE },
    {21,  AUDIT_CALL_MOUNT         },
    {429, AUDIT_CALL_MOVE_MOUNT    },
    {442, AUDIT_CALL_MOUNT_SETATTR },
    {22,  AUDIT_CALL_UMOUNT        },
    {52,  AUDIT_CALL_UMOUNT        },
    {26,  AUDIT_CALL_PTRACE        },
    {346, AUDIT_CALL_SETNS         },
    {310, AUDIT_CALL_UNSHARE       },
    {120, AUDIT_CALL_CLONE         },
    {357, AUDIT_CALL_BPF           },
    {425, AUDIT_CALL_IO_URING_SETUP},
    {283, AUDIT_CALL_KEXEC_LOAD    },
    {25,  AUDIT_CALL_SETTIMEOFDAY  },
    {79,  AUDIT_CALL_SETTIMEOFDAY  },
    {264, AUDIT_CALL_CLOCK_SETTIME },
    {404, AUDIT_CALL_CLOCK_SETTIME },
    {124, AUDIT_CALL_ADJTIMEX      },
    {343, AUDIT_CALL_ADJTIMEX      },
    {405, AUDIT_CALL_ADJTIMEX      },
};

static const struct call_row aarch64[] = {
    {105, AUDIT_CALL_INIT_MODULE   },
    {273, AUDIT_CALL_INIT_MODULE   },
    {106, AUDIT_CALL_DELETE_MODULE },
    {40,  AUDIT_CALL_MOUNT         },
    {429, AUDIT_CALL_MOVE_MOUNT    },
    {442, AUDIT_CALL_MOUNT_SETATTR },
    {39,  AUDIT_CALL_UMOUNT        },
    {117, AUDIT_CALL_PTRACE        },
    {268, AUDIT_CALL_SETNS         },
    {97,  AUDIT_CALL_UNSHARE       },
    {220, AUDIT_CALL_CLONE         },
    {280, AUDIT_CALL_BPF           },
    {425, AUDIT_CALL_IO_URING_SETUP},
    {104, AUDIT_CALL_KEXEC_LOAD    },
    {294, AUDIT_CALL_KEXEC_LOAD    },
    {170, AUDIT_CALL_SETTIMEOFDAY  },
    {112, AUDIT_CALL_CLOCK_SETTIME },
    {171, AUDIT_CALL_ADJTIMEX      },
    {266, AUDIT_CALL_ADJTIMEX      },
};

static const struct call_row arm[] = {
    {128, AUDIT_CALL_INIT_MODULE   },
    {379, AUDIT_CALL_INIT_MODULE   },
    {129, AUDIT_CALL_DELETE_MODULE },
    {21,  AUDIT_CALL_MOUNT         },
    {429, AUDIT_CALL_MOVE_MOUNT    },
    {442, AUDIT_CALL_MOUNT_SETATTR },
    {52,  AUDIT_CALL_UMOUNT        },
    {26,  AUDIT_CALL_PTRACE        },
    {375, AUDIT_CALL_SETNS         },
    {337, AUDIT_CALL_UNSHARE       },
    {120, AUDIT_CALL_CLONE         },
    {386, AUDIT_CALL_BPF           },
    {425, AUDIT_CALL_IO_URING_SETUP},
    {347, AUDIT_CALL_KEXEC_LOAD    },
    {401, AUDIT_CALL_KEXEC_LOAD    },
    {79,  AUDIT_CALL_SETTIMEOFDAY  },
    {262, AUDIT_CALL_CLOCK_SETTIME },
    {404, AUDIT_CALL_CLOCK_SETTIME },
    {124, AUDIT_CALL_ADJTIMEX      },
    {372, AUDIT_CALL_ADJTIMEX      },
    {405, AUDIT_CALL_ADJTIMEX      },
};

#define TABLE(arch, rows)                                                                          \
    {                                                                                              \
        arch, rows, sizeof(rows) / sizeof((rows)[0])                                               \
    }

static const struct call_table {
    uint32_t arch;
    const struct call_row *rows;
    size_t n;
} tables[] = {
    TABLE(AUDIT_ARCH_X86_64, x86_64),
    TABLE(AUDIT_ARCH_I386, i386),
    TABLE(AUDIT_ARCH_AARCH64, aarch64),
    TABLE(AUDIT_ARCH_ARM, arm),
};

static const struct call_table *find_table(uint32_t arch)
{
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        if (tables[i].arch == arch)
            return &tables[i];
    return NULL;
}

enum audit_kernel_call audit_kernel_call_find(uint32_t arch, uint32_t number)
{
    const struct call_table *table = find_table(arch);
    for (size_t i = 0; table && i < table->n; i++)
        if (table->rows[i].number == number)
            return table->rows[i].call;
    return AUDIT_KERNEL_CALL_N;
}

static bool stands_in(enum audit_kernel_call call, enum audit_kernel_filter filter)
{
    switch (call) {
    case AUDIT_CALL_PTRACE:
        return filter == AUDIT_KERNEL_ATTACH || filter == AUDIT_KERNEL_SEIZE;
    case AUDIT_CALL_CLONE:
        return filter == AUDIT_KERNEL_CLONE;
    case AUDIT_CALL_BPF:
        return filter == AUDIT_KERNEL_BPF;
    default:
        return filter == AUDIT_KERNEL_ANY;
    }
}

size_t audit_kernel_calls(uint32_t arch, enum audit_kernel_filter filter,
                          uint32_t numbers[AUDIT_KERNEL_CALLS_MOST])
{
    const struct call_table *table = find_table(arch);
    size_t n = 0;
    for (size_t i = 0; table && i < table->n && n < AUDIT_KERNEL_CALLS_MOST; i++)
        if (stands_in(table->rows[i].call, filter))
            numbers[n++] = table->rows[i].number;
    return n;
}

uint32_t audit_kernel_filter_value(enum audit_kernel_filter filter)
{
    static const uint32_t values[AUDIT_KERNEL_FILTER_N] = {
        [AUDIT_KERNEL_ATTACH] = PTRACE_ATTACH,
        [AUDIT_KERNEL_SEIZE] = PTRACE_SEIZE,
        [AUDIT_KERNEL_CLONE] = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                               CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET,
        [AUDIT_KERNEL_BPF] = BPF_PROG_LOAD,
    };
    return values[filter];
}
