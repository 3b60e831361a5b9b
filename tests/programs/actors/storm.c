/* Processes as fast as one process can make them, and at a steady rate; system calls. */
#include "actor.h"

#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t usage_us(int who)
{
    struct rusage usage;
    getrusage(who, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void spawn_true(const char *tag, unsigned long i)
{
    char argument[256];
    snprintf(argument, sizeof argument, "%s-%lu", tag, i);
    const char *arguments[] = {"true", argument, NULL};
    pid_t pid;
    errno = posix_spawn(&pid, "/bin/true", NULL, NULL, actor_arguments(arguments), environ);
    actor_require(!errno, "posix_spawn");
    int status;
    actor_require(waitpid(pid, &status, 0) == pid && status == 0, "waitpid");
}

static void report(unsigned long n, uint64_t begin_ns)
{
    uint64_t wall_us = (clock_ns(CLOCK_MONOTONIC) - begin_ns) / 1000;
    printf("{\"role\":\"storm\",\"pid\":%d,\"count\":%lu,\"wall_us\":%lu,\"cpu_us\":%lu}\n",
           getpid(), n, wall_us, usage_us(RUSAGE_SELF) + usage_us(RUSAGE_CHILDREN));
    fflush(stdout);
}

static int storm_storm(int argc, char **argv)
{
    (void)argc;
    unsigned long n = actor_number(argv[0], 100000000);
    uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
    for (unsigned long i = 0; i < n; i++)
        spawn_true(argv[1], i);
    report(n, begin_ns);
    return 0;
}

/* RATE processes a second for SECONDS; what was missed by oversleeping is made up. */
static int storm_steady(int argc, char **argv)
{
    (void)argc;
    unsigned long rate = actor_number(argv[0], 100000);
    unsigned long n = rate * actor_number(argv[1], 1000000);
    uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
    for (unsigned long i = 0; i < n; i++) {
        uint64_t due_ns = begin_ns + i * 1000000000 / rate;
        struct timespec due = {(time_t)(due_ns / 1000000000), (long)(due_ns % 1000000000)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
        spawn_true(argv[2], i);
    }
    report(n, begin_ns);
    return 0;
}

/* N system calls as short as there are. */
static int storm_calls(int argc, char **argv)
{
    (void)argc;
    unsigned long n = actor_number(argv[0], 1000000000);
    uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
    for (unsigned long i = 0; i < n; i++)
        syscall(SYS_getppid);
    report(n, begin_ns);
    return 0;
}

const struct actor storm_actors[] = {
    {"storm",             "N TAG", 2, storm_storm},
    {"steady",                  "RATE SECONDS TAG", 3, storm_steady},
    {"calls",                   "N", 1, storm_calls},
    {0},
};
