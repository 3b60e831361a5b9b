// links: vestige_privilege
/* The filter, by doing what it is against: each deed in a child of its own, which tells by its end
 * whether it was done, refused, or killed for it. */
#include "core/cleanup.h"
#include "recorder/agent/system_calls.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { DONE = 0, REFUSED = 1, KILLED = 2, NOT_RESTRICTED = 3 };

/* Returns what the call did, -1 with errno. */
typedef long (*deed)(void);

static int end_of(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS ? KILLED : -WTERMSIG(status);
    return WEXITSTATUS(status);
}

static int outcome(deed act, enum system_calls_mode mode, bool guard)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || system_calls_restrict(mode, guard, NULL) != 0)
            _exit(NOT_RESTRICTED);
        _exit(act() < 0 && errno == ENOSYS ? REFUSED : DONE);
    }
    return end_of(pid);
}

static long do_execve(void)
{
    char *const nothing[] = {NULL};
    return execve("/bin/true", nothing, nothing);
}

static long do_fork(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid;
}

static long do_ptrace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long do_read_memory(void)
{
    return syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
}

static long do_mount(void)
{
    return mount("none", "/nowhere", "tmpfs", 0, NULL);
}

static long do_unshare(void)
{
    return unshare(CLONE_NEWUSER);
}

static long do_setns(void)
{
    return setns(-1, CLONE_NEWNS);
}

static long do_setns_network(void)
{
    return setns(-1, CLONE_NEWNET);
}

static long do_module(void)
{
    return syscall(SYS_finit_module, -1, "", 0);
}

static long do_bpf(void)
{
    return syscall(SYS_bpf, 5 /* BPF_PROG_LOAD */, NULL, 0);
}

static long do_setuid(void)
{
    return syscall(SYS_setuid, getuid());
}

static long do_kill(void)
{
    return kill(getppid(), SIGCONT);
}

static long do_ask_kill(void)
{
    return kill(getppid(), 0);
}

static long do_packet(void)
{
    return socket(AF_PACKET, SOCK_RAW, 0);
}

static long do_netfilter(void)
{
    return socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
}

static long do_route(void)
{
    return socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
}

static long do_inet(void)
{
    return socket(AF_INET6, SOCK_STREAM, 0);
}

static long do_chmod(void)
{
    return syscall(SYS_fchmodat, AT_FDCWD, "/nowhere", 0777);
}

static long do_chown(void)
{
    return fchownat(AT_FDCWD, "/nowhere", 0, 0, 0);
}

static long do_terminal(void)
{
    return ioctl(-1, TIOCSTI, "x");
}

static long do_writable_code(void)
{
    void *page =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? -1 : 0;
}

static long do_make_code(void)
{
    static char page[8192] __attribute__((aligned(4096)));
    return mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static long do_limits(void)
{
    struct {
        uint64_t soft, hard;
    } limit = {0};
    return syscall(SYS_prlimit64, 0, 0, &limit, NULL);
}

static long do_io_uring(void)
{
    return syscall(SYS_io_uring_setup, 1, NULL);
}

static long do_unknown(void)
{
    return syscall(10000);
}

static void *end_thread(void *user)
{
    return user;
}

static long do_thread(void)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, end_thread, NULL) || pthread_join(thread, NULL) ? -1 : 0;
}

static long do_file(void)
{
    AUTO_CLOSE int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    char byte;
    return fd < 0 ? -1 : read(fd, &byte, 1);
}

static const struct {
    const char *name;
    deed deed;
    int agent, guard;
} deeds[] = {
    {"execve",               do_execve,        KILLED,  KILLED },
    {"ptrace",               do_ptrace,        KILLED,  KILLED },
    {"memory of another",    do_read_memory,   KILLED,  KILLED },
    {"mount",                do_mount,         KILLED,  KILLED },
    {"unshare",              do_unshare,       KILLED,  KILLED },
    {"module",               do_module,        KILLED,  KILLED },
    {"setuid",               do_setuid,        KILLED,  KILLED },
    {"io_uring",             do_io_uring,      KILLED,  KILLED },
    {"bpf program",          do_bpf,           REFUSED, REFUSED},
    {"mount namespace",      do_setns,         REFUSED, REFUSED},
    {"network namespace",    do_setns_network, DONE,    REFUSED},
    {"fork",                 do_fork,          REFUSED, REFUSED},
    {"signal",               do_kill,          REFUSED, REFUSED},
    {"packet socket",        do_packet,        REFUSED, REFUSED},
    {"netfilter",            do_netfilter,     REFUSED, REFUSED},
    {"chmod",                do_chmod,         REFUSED, REFUSED},
    {"chown",                do_chown,         REFUSED, REFUSED},
    {"words for a terminal", do_terminal,      REFUSED, REFUSED},
    {"writable code",        do_writable_code, REFUSED, REFUSED},
    {"data become code",     do_make_code,     REFUSED, REFUSED},
    {"limits",               do_limits,        REFUSED, REFUSED},
    {"a call of the future", do_unknown,       REFUSED, REFUSED},
    {"is it there",          do_ask_kill,      DONE,    DONE   },
    {"route socket",         do_route,         DONE,    DONE   },
    {"inet socket",          do_inet,          DONE,    DONE   },
    {"file",                 do_file,          DONE,    DONE   },
    {"thread",               do_thread,        DONE,    REFUSED},
};

static void assert_outcomes(bool guard)
{
    for (size_t i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++) {
        int expected = guard ? deeds[i].guard : deeds[i].agent;
        int found = outcome(deeds[i].deed, SYSTEM_CALLS_ON, guard);
        if (found != expected)
            fail_msg("%s: %d instead of %d", deeds[i].name, found, expected);
    }
}

static void test_agent(void **state)
{
    (void)state;
    assert_outcomes(false);
}

static void test_guard(void **state)
{
    (void)state;
    assert_outcomes(true);
}

static void test_log_and_off(void **state)
{
    (void)state;
    assert_int_equal(outcome(do_execve, SYSTEM_CALLS_LOG, false), 0); /* it became /bin/true */
    assert_int_equal(outcome(do_unshare, SYSTEM_CALLS_LOG, false), DONE);
    assert_int_equal(outcome(do_unshare, SYSTEM_CALLS_OFF, false), DONE);
    assert_int_equal(system_calls_mode("on"), SYSTEM_CALLS_ON);
    assert_int_equal(system_calls_mode("log"), SYSTEM_CALLS_LOG);
    assert_int_equal(system_calls_mode("off"), SYSTEM_CALLS_OFF);
}

struct other {
    pthread_barrier_t barrier;
};

static void *run_other(void *user)
{
    struct other *other = user;
    pthread_barrier_wait(&other->barrier);
    pthread_barrier_wait(&other->barrier);
    syscall(SYS_unshare, 0);
    return NULL;
}

/* A thread that was there before is restricted, too. */
static void test_all_threads(void **state)
{
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct other other;
        pthread_t thread;
        pthread_barrier_init(&other.barrier, NULL, 2);
        if (pthread_create(&thread, NULL, run_other, &other) != 0)
            _exit(10);
        pthread_barrier_wait(&other.barrier);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
            system_calls_restrict(SYSTEM_CALLS_ON, false, NULL) != 0)
            _exit(NOT_RESTRICTED);
        pthread_barrier_wait(&other.barrier);
        pthread_join(thread, NULL);
        _exit(DONE);
    }
    assert_int_equal(end_of(pid), KILLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agent),
        cmocka_unit_test(test_guard),
        cmocka_unit_test(test_log_and_off),
        cmocka_unit_test(test_all_threads),
    };
    if (SYSTEM_CALLS_SANITIZED)
        return 0; /* such a build has no filter */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
