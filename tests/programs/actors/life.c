/* Births and ends: who is whose child, which image ends by what, and which code wait(2) gives. */
#include "actor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that does not exec and lives for the given time. */
static int life_fork(int argc, char **argv)
{
    unsigned long ms = actor_number(argv[0], 60000);
    unsigned long code = argc > 1 ? actor_number(argv[1], 255) : 5;
    pid_t child = actor_fork();
    if (!child) {
        if (ms)
            actor_sleep_ms((unsigned)ms);
        _exit((int)code);
    }
    actor_finish("child", child);
    return 0;
}

/* A child that stays in its parent's image for the given time, then execs. */
static int life_late_exec(int argc, char **argv)
{
    (void)argc;
    unsigned long ms = actor_number(argv[0], 60000);
    pid_t child = actor_fork();
    if (!child) {
        actor_sleep_ms((unsigned)ms);
        actor_become_true(argv[1]);
    }
    actor_finish("child", child);
    return 0;
}

static int life_vfork(int argc, char **argv)
{
    (void)argc;
    pid_t child = vfork();
    if (!child)
        actor_become_true(argv[0]);
    actor_require(child > 0, "vfork");
    actor_finish("child", child);
    return 0;
}

/* A child that execs twice in one process. */
static int life_exec_twice(int argc, char **argv)
{
    (void)argc;
    pid_t child = actor_fork();
    if (!child) {
        execl("/bin/sh", "sh", "-c", "exec /bin/true \"$1\"", "sh", argv[0], (char *)NULL);
        _exit(127);
    }
    actor_finish("child", child);
    return 0;
}

static void *thread_exec(void *tag)
{
    actor_become_true(tag);
}

static int life_thread_exec(int argc, char **argv)
{
    (void)argc;
    pid_t child = actor_fork();
    if (!child) {
        pthread_t thread;
        actor_require(!pthread_create(&thread, NULL, thread_exec, argv[0]), "pthread_create");
        for (;;)
            pause();
    }
    actor_finish("child", child);
    return 0;
}

/* Not in a child: this image itself ends by the exec of its thread. */
static int life_become_by_thread(int argc, char **argv)
{
    (void)argc;
    pthread_t thread;
    actor_require(!pthread_create(&thread, NULL, thread_exec, argv[0]), "pthread_create");
    return pthread_join(thread, NULL);
}

/* An image that is known before a thread of it execs. */
static int life_exec_thread_exec(int argc, char **argv)
{
    (void)argc;
    pid_t child = actor_fork();
    if (!child) {
        execl("/proc/self/exe", "actor", "become-by-thread", argv[0], (char *)NULL);
        _exit(127);
    }
    actor_finish("child", child);
    return 0;
}

static void *thread_exit_group_7(void *unused)
{
    (void)unused;
    actor_sleep_ms(150);
    syscall(SYS_exit_group, 7);
    return NULL;
}

static void *thread_exit_9(void *unused)
{
    (void)unused;
    actor_sleep_ms(150);
    syscall(SYS_exit, 9);
    return NULL;
}

static int finish_leader_first(void *(*last_thread)(void *))
{
    pid_t child = actor_fork();
    if (!child) {
        pthread_t thread;
        actor_require(!pthread_create(&thread, NULL, last_thread, NULL), "pthread_create");
        syscall(SYS_exit, 0);
    }
    actor_finish("child", child);
    return 0;
}

/* The leader ends with 0; the last thread ends the group with 7, which is what wait(2) gives. */
static int life_leader_first(int argc, char **argv)
{
    (void)argc, (void)argv;
    return finish_leader_first(thread_exit_group_7);
}

/* The last thread only ends itself. Which code wait(2) gives then depends on the kernel: from 6.0
 * on it is this thread's 9, before it was the leader's 0. */
static int life_leader_first_exit(int argc, char **argv)
{
    (void)argc, (void)argv;
    return finish_leader_first(thread_exit_9);
}

static void *thread_return(void *unused)
{
    return unused;
}

/* Threads come and go, one after the other; the process ends once, with the given code. */
static int life_threads(int argc, char **argv)
{
    (void)argc;
    unsigned long n = actor_number(argv[0], 100000);
    pid_t child = actor_fork();
    if (!child) {
        for (unsigned long i = 0; i < n; i++) {
            pthread_t thread;
            actor_require(!pthread_create(&thread, NULL, thread_return, NULL), "pthread_create");
            pthread_join(thread, NULL);
        }
        _exit(6);
    }
    actor_finish("child", child);
    return 0;
}

/* The orphan comes back to us, the subreaper, so that its end can be reported too. */
static int life_double_fork(int argc, char **argv)
{
    (void)argc;
    actor_require(!prctl(PR_SET_CHILD_SUBREAPER, 1), "PR_SET_CHILD_SUBREAPER");
    pid_t child = actor_fork();
    if (!child) {
        pid_t parent = getpid();
        if (actor_fork())
            _exit(3);
        for (int i = 0; i < 500 && getppid() == parent; i++)
            actor_sleep_ms(1);
        actor_become_true(argv[0]);
    }
    actor_finish("child", child);
    int status;
    pid_t orphan = wait(&status);
    actor_require(orphan > 0, "wait");
    actor_report("orphan", orphan, child, status);
    return 0;
}

/* The child makes a sibling: its parent is the actor, although the child called clone. */
static int life_clone_parent(int argc, char **argv)
{
    (void)argc;
    pid_t child = actor_fork();
    if (!child) {
        long sibling = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
        if (!sibling)
            actor_become_true(argv[0]);
        _exit(sibling < 0 ? 126 : 4);
    }
    actor_finish("child", child);
    int status;
    pid_t sibling = wait(&status);
    actor_require(sibling > 0, "wait");
    actor_report("sibling", sibling, getpid(), status);
    return 0;
}

static int life_kill(int argc, char **argv)
{
    (void)argc;
    unsigned long number = actor_number(argv[0], 64);
    int gate[2];
    char byte;
    actor_require(!pipe2(gate, O_CLOEXEC), "pipe2");
    pid_t child = actor_fork();
    if (!child) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        execl("/bin/sleep", "sleep", "60", (char *)NULL);
        _exit(127);
    }
    close(gate[1]);
    actor_require(read(gate[0], &byte, 1) == 0, "read"); /* the exec has closed it */
    close(gate[0]);
    actor_sleep_ms(50);
    actor_require(!kill(child, (int)number), "kill");
    actor_finish("child", child);
    return 0;
}

/* A child with this pid, and no other: clone(2), set_tid. A stranger may have been given it
 * meanwhile, and is waited for. */
static pid_t clone_with_pid(pid_t wanted)
{
    struct clone_args args = {
        .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&wanted, .set_tid_size = 1};
    fflush(stdout);
    for (unsigned tries = 0; tries < 30000; tries++) {
        long child = syscall(SYS_clone3, &args, sizeof(args));
        actor_require(child >= 0 || errno == EEXIST, "clone3");
        if (child >= 0)
            return (pid_t)child;
        actor_sleep_ms(1);
    }
    fprintf(stderr, "pid %d is in use for 30 s\n", wanted);
    exit(1);
}

/* Two processes with one pid. */
static int life_pid_reuse(int argc, char **argv)
{
    (void)argc;
    pid_t first = actor_fork();
    if (!first)
        actor_become_true(argv[0]);
    actor_finish("first", first);
    pid_t second = clone_with_pid(first);
    if (!second)
        actor_become_true(argv[1]);
    actor_finish("second", second);
    return 0;
}

/* The command runs with this pid, and ends with this process. */
static int life_with_pid(int argc, char **argv)
{
    (void)argc;
    pid_t child = clone_with_pid((pid_t)actor_number(argv[0], INT_MAX));
    if (!child) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execvp(argv[1], argv + 1);
        _exit(127);
    }
    int status;
    actor_require(waitpid(child, &status, 0) == child, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void report_pid_namespace(const char *role, pid_t pid)
{
    char path[64];
    struct stat info;
    snprintf(path, sizeof path, "/proc/%d/ns/pid", pid);
    actor_require(!stat(path, &info), path);
    printf("{\"role\":\"%s\",\"inode\":%lu}\n", role, (unsigned long)info.st_ino);
}

/* The first process of a pid namespace becomes /bin/true, or, to last for some time, /bin/sleep. */
static int life_pid_namespace(int argc, char **argv)
{
    const char *seconds = argc > 1 ? argv[1] : NULL;
    int gate[2];
    actor_require(!pipe2(gate, O_CLOEXEC), "pipe2");
    report_pid_namespace("outer", getpid());
    fflush(stdout);
    long child = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
    if (!child) {
        char byte;
        if (getpid() != 1 || read(gate[0], &byte, 1) != 1)
            _exit(125);
        if (!seconds)
            actor_become_true(argv[0]);
        execl("/bin/sleep", "sleep", seconds, (char *)NULL);
        _exit(127);
    }
    actor_require(child > 0, "clone");
    report_pid_namespace("inner", (pid_t)child);
    actor_require(write(gate[1], "g", 1) == 1, "write");
    actor_finish("child", (pid_t)child);
    return 0;
}

const struct actor life_actors[] = {
    {"fork",                 "MILLISECONDS [CODE]", 1, life_fork},
    {"late-exec",                     "MILLISECONDS TAG", 2, life_late_exec},
    {"vfork",                      "TAG", 1, life_vfork},
    {"exec-twice","TAG", 1, life_exec_twice},
    {"thread-exec",        "TAG", 1, life_thread_exec},
    {"become-by-thread",                "TAG", 1, life_become_by_thread},
    {"exec-thread-exec",                     "TAG", 1, life_exec_thread_exec},
    {"leader-first",                      "", 0, life_leader_first},
    {"leader-first-exit",                                  "", 0, life_leader_first_exit},
    {"threads",       "N", 1, life_threads},
    {"double-fork",          "TAG", 1, life_double_fork},
    {"clone-parent",                     "TAG", 1, life_clone_parent},
    {"kill",                      "SIGNAL", 1, life_kill},
    {"pid-reuse",  "TAG TAG", 2, life_pid_reuse},
    {"with-pid", "PID COMMAND...", 2, life_with_pid},
    {"pid-namespace",     "TAG [SECONDS]", 1, life_pid_namespace},
    {0                    },
};
