/* Files as fast as one process can: what tests/bench/file measures. */
#include "actor.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

static const char content[100];

static uint64_t cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void make(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    actor_require(fd >= 0, path);
    actor_require(write(fd, content, sizeof(content)) == sizeof(content), "write");
    close(fd);
}

static void look(const char *path)
{
    char bytes[sizeof(content)];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    actor_require(fd >= 0, path);
    actor_require(read(fd, bytes, sizeof(bytes)) == sizeof(bytes), "read");
    close(fd);
}

static void live(const char *directory, unsigned long i)
{
    char path[PATH_SIZE], moved[PATH_SIZE];
    snprintf(path, sizeof(path), "%s/file-%lu", directory, i);
    snprintf(moved, sizeof(moved), "%s/moved-%lu", directory, i);
    make(path);
    look(path);
    actor_require(rename(path, moved) == 0, "rename");
    actor_require(unlink(moved) == 0, "unlink");
}

static void read_kept(const char *directory, unsigned long i)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof(path), "%s/kept-%lu", directory, i);
    look(path);
}

static int report(unsigned long n)
{
    printf("{\"role\":\"storm\",\"pid\":%d,\"count\":%lu,\"cpu_us\":%lu}\n", getpid(), n, cpu_us());
    return 0;
}

static int storm_lives(int argc, char **argv)
{
    (void)argc;
    unsigned long n = actor_number(argv[1], 100000000);
    for (unsigned long i = 0; i < n; i++)
        live(argv[0], i);
    return report(n);
}

static int storm_keep(int argc, char **argv)
{
    (void)argc;
    char path[PATH_SIZE];
    unsigned long n = actor_number(argv[1], 100000000);
    for (unsigned long i = 0; i < n; i++) {
        snprintf(path, sizeof(path), "%s/kept-%lu", argv[0], i);
        make(path);
    }
    return report(n);
}

static int storm_reads(int argc, char **argv)
{
    (void)argc;
    unsigned long n = actor_number(argv[1], 100000000);
    for (unsigned long i = 0; i < n; i++)
        read_kept(argv[0], i);
    return report(n);
}

const struct actor file_storm_actors[] = {
    {"file-lives",   "DIRECTORY N", 2, storm_lives},
    {"file-keep",             "DIRECTORY N", 2, storm_keep},
    {"file-reads",              "DIRECTORY N", 2, storm_reads},
    {0},
};
