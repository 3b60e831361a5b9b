/* What the agent is known to do is allowed. What nobody could mean who runs this program (another
 * program, another's memory, mounts, modules, a filter of its own in the kernel) ends the process
 * at once: the guard puts audit back, the service manager starts the agent again, and the journal
 * has everything until then. The rest is refused as a kernel would refuse that does not know the
 * call. It is not a reason to end: another libc, or a module of the name service switch, has
 * another way then, and a recorder that an update of libc can kill is none. Either way the kernel
 * writes a record SECCOMP to audit.
 *
 * Arguments are compared where the call is a gate to something else. clone3 has its flags in
 * memory, where no filter can look: libc then takes clone. A path is in memory, too: which files
 * can be written is a matter of the user (recorder/agent/privilege.c). */
#include "recorder/agent/system_calls.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* A name that this architecture does not have is passed over. */
/* clang-format off */
static const char *const allowed[] = {
    /* memory */
    "brk", "munmap", "mremap", "madvise", "mlock", "munlock", "membarrier",
    /* threads, signals, time */
    "futex", "futex_waitv", "set_robust_list", "get_robust_list", "rseq", "set_tid_address",
    "arch_prctl", "exit", "exit_group", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "rt_sigpending", "rt_sigtimedwait", "sigaltstack", "restart_syscall", "sched_yield",
    "sched_getaffinity", "sched_getparam", "sched_getscheduler", "nanosleep", "clock_nanosleep",
    "clock_gettime", "clock_getres", "gettimeofday", "time", "times", "getrusage", "getrandom",
    "wait4", "waitid", "capget", "capset",
    /* who and where we are */
    "getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "getresuid",
    "getresgid", "getgroups", "getpgrp", "getpgid", "getsid", "uname", "sysinfo", "getcwd",
    "getrlimit", "umask", "getcpu",
    /* waiting */
    "poll", "ppoll", "select", "pselect6", "epoll_create1", "epoll_ctl", "epoll_wait",
    "epoll_pwait", "epoll_pwait2", "eventfd2", "signalfd4", "timerfd_create", "timerfd_settime",
    "timerfd_gettime", "pipe2",
    /* descriptors and files */
    "read", "readv", "pread64", "preadv", "write", "writev", "pwrite64", "pwritev", "lseek",
    "close", "close_range", "dup", "dup2", "dup3", "fcntl", "flock", "fsync", "fdatasync",
    "sync_file_range", "ftruncate", "fallocate", "fadvise64", "readahead", "open", "openat",
    "openat2", "stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs", "access",
    "faccessat", "faccessat2", "readlink", "readlinkat", "getdents64", "getdents", "fchmod",
    "mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir",
    "fgetxattr", "getxattr", "lgetxattr",
    /* sources */
    "inotify_init1", "inotify_add_watch", "inotify_rm_watch", "fanotify_mark", "name_to_handle_at",
    "open_by_handle_at", "pidfd_open",
    /* sockets */
    "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg", "sendmmsg", "recvfrom",
    "recvmsg", "recvmmsg", "shutdown", "getsockname", "getpeername", "getsockopt", "setsockopt",
};

static const char *const deadly[] = {
    "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise",
    "pidfd_getfd", "pidfd_send_signal", "mount", "umount", "umount2", "move_mount", "open_tree",
    "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "pivot_root", "chroot", "unshare",
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
    "swapon", "swapoff", "acct", "iopl", "ioperm", "perf_event_open", "userfaultfd",
    "io_uring_setup", "io_uring_enter", "io_uring_register", "setuid", "setgid", "setreuid",
    "setregid", "setresuid", "setresgid", "setgroups", "sethostname", "setdomainname",
    "settimeofday", "clock_settime", "clock_adjtime", "mknod", "mknodat", "syslog", "memfd_secret",
};
/* clang-format on */

struct filter {
    scmp_filter_ctx context;
    uint32_t refuse, end;
    int result; /* of the first rule that failed */
};

static inline void release(struct filter *filter)
{
    if (filter->context)
        seccomp_release(filter->context);
}

#define N(array) (sizeof(array) / sizeof((array)[0]))

static void add(struct filter *filter, uint32_t action, const char *name,
                const struct scmp_arg_cmp *arguments, unsigned n)
{
    int call = seccomp_syscall_resolve_name(name);
    if (call == __NR_SCMP_ERROR || filter->result < 0)
        return;
    int r = seccomp_rule_add_array(filter->context, action, call, n, arguments);
    if (r < 0 && r != -EACCES) /* EACCES: it is what happens anyhow */
        filter->result = r;
}

static void allow(struct filter *filter, const char *name)
{
    add(filter, SCMP_ACT_ALLOW, name, NULL, 0);
}

static void allow_when(struct filter *filter, const char *name, struct scmp_arg_cmp argument)
{
    add(filter, SCMP_ACT_ALLOW, name, &argument, 1);
}

static void allow_values(struct filter *filter, const char *name, unsigned argument,
                         const uint64_t *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        /* of a number of 32 bits the kernel looks at no others */
        allow_when(filter, name, SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, UINT32_MAX, values[i]));
}

static void add_memory(struct filter *filter)
{
    allow_when(filter, "mmap", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    allow_when(filter, "mmap", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_WRITE, 0)); /* libraries of names */
    allow_when(filter, "mprotect", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

static void add_sockets(struct filter *filter)
{
    static const uint64_t families[] = {AF_UNIX, AF_INET, AF_INET6};
    static const uint64_t protocols[] = {NETLINK_ROUTE,   NETLINK_SOCK_DIAG,
                                         NETLINK_AUDIT,   NETLINK_CONNECTOR,
                                         NETLINK_GENERIC, NETLINK_KOBJECT_UEVENT};
    allow_values(filter, "socket", 0, families, N(families));
    allow_when(filter, "socketpair", SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
    for (size_t i = 0; i < N(protocols); i++) {
        const struct scmp_arg_cmp arguments[] = {
            SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, AF_NETLINK),
            SCMP_A2(SCMP_CMP_MASKED_EQ, UINT32_MAX, protocols[i]),
        };
        add(filter, SCMP_ACT_ALLOW, "socket", arguments, N(arguments));
    }
}

static void add_processes(struct filter *filter, bool guard)
{
    enum { THREAD = CLONE_VM | CLONE_THREAD };
    uint64_t namespaces = CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                          CLONE_NEWUTS | CLONE_NEWCGROUP;
    if (!guard)
        allow_when(filter, "clone", SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces | THREAD, THREAD));
    allow(filter, "clone3");
    if (!guard) /* the threads of sock_diag */
        allow_when(filter, "setns", SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, CLONE_NEWNET));
    allow_when(filter, "kill", SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, 0)); /* is it there? */
    allow_when(filter, "tgkill", SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, (scmp_datum_t)getpid()));
    /* setrlimit by its other name: only to ask */
    allow_when(filter, "prlimit64", SCMP_A2(SCMP_CMP_EQ, 0));
}

static void add_controls(struct filter *filter)
{
    static const uint64_t of_process[] = {PR_SET_NAME,         PR_GET_NAME,     PR_SET_NO_NEW_PRIVS,
                                          PR_CAPBSET_READ,     PR_GET_DUMPABLE, PR_GET_SECCOMP,
                                          PR_GET_NO_NEW_PRIVS, PR_SET_VMA};
    static const uint64_t of_file[] = {FIONREAD,     FIONBIO,     FIOCLEX,      TCGETS,
                                       SIOCGIFINDEX, SIOCGIFNAME, SIOCGIFFLAGS, SIOCGIFCONF};
    static const uint64_t of_bpf[] = {BPF_OBJ_GET_INFO_BY_FD};
    allow_values(filter, "prctl", 0, of_process, N(of_process));
    allow_values(filter, "ioctl", 1, of_file, N(of_file));
    allow_values(filter, "bpf", 0, of_bpf, N(of_bpf));
}

static int begin(struct filter *filter, uint32_t action, bool records)
{
    filter->context = seccomp_init(action);
    return !filter->context || seccomp_attr_set(filter->context, SCMP_FLTATR_CTL_TSYNC, 1) < 0 ||
                   seccomp_attr_set(filter->context, SCMP_FLTATR_CTL_LOG, records) < 0
               ? -ENOMEM
               : 0;
}

static int load_first(struct filter *filter)
{
    int r = begin(filter, SCMP_ACT_ALLOW, false);
    if (r < 0)
        return r;
    add(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3", NULL, 0);
    return filter->result < 0 ? filter->result : seccomp_load(filter->context);
}

static int load_second(struct filter *filter, bool guard)
{
    int r = begin(filter, filter->refuse, true);
    if (r < 0)
        return r;
    seccomp_attr_set(filter->context, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* only faster */
    for (size_t i = 0; i < N(allowed); i++)
        allow(filter, allowed[i]);
    for (size_t i = 0; i < N(deadly); i++)
        add(filter, filter->end, deadly[i], NULL, 0);
    add_memory(filter);
    add_sockets(filter);
    add_processes(filter, guard);
    add_controls(filter);
    return filter->result < 0 ? filter->result : seccomp_load(filter->context);
}

enum system_calls_mode system_calls_mode(const char *word)
{
    return !strcmp(word, "off")   ? SYSTEM_CALLS_OFF
           : !strcmp(word, "log") ? SYSTEM_CALLS_LOG
                                  : SYSTEM_CALLS_ON;
}

static int load(enum system_calls_mode mode, bool guard)
{
    bool log = mode == SYSTEM_CALLS_LOG;
    struct filter first CLEANUP(release) = {0};
    struct filter second CLEANUP(release) = {.refuse = log ? SCMP_ACT_LOG : SCMP_ACT_ERRNO(ENOSYS),
                                             .end = log ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS};
    int r = load_first(&first);
    return r < 0 ? r : load_second(&second, guard);
}

int system_calls_restrict(enum system_calls_mode mode, bool guard, struct error_text *error)
{
    if (mode == SYSTEM_CALLS_OFF || SYSTEM_CALLS_SANITIZED)
        return 0;
    int r = load(mode, guard);
    return r < 0
               ? error_set(error, r,
                           "cannot filter system calls: %s; seccomp = off in section [agent] does "
                           "without",
                           strerror(-r))
               : 0;
}
