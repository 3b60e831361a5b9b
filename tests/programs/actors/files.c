/* What is done with files: each in one process, as fast as it goes. */
#include "actor.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

static void name_of(char path[PATH_SIZE], const char *directory, unsigned long number)
{
    snprintf(path, PATH_SIZE, "%s/file-%04lu", directory, number);
}

static void make_one(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    actor_require(fd >= 0, path);
    actor_require(write(fd, "content", 7) == 7, "write");
    actor_require(close(fd) == 0, "close");
}

static void read_one(const char *path)
{
    char data[64];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    actor_require(fd >= 0, path);
    actor_require(read(fd, data, sizeof data) >= 0, "read");
    actor_require(close(fd) == 0, "close");
}

/* Create and write N files. */
static int files_make(int argc, char **argv)
{
    (void)argc;
    char path[PATH_SIZE];
    for (unsigned long i = 0; i < strtoul(argv[1], NULL, 10); i++) {
        name_of(path, argv[0], i);
        make_one(path);
    }
    return 0;
}

static int files_read(int argc, char **argv)
{
    (void)argc;
    char path[PATH_SIZE];
    for (unsigned long i = 0; i < strtoul(argv[1], NULL, 10); i++) {
        name_of(path, argv[0], i);
        read_one(path);
    }
    return 0;
}

/* Each of N files gets another mode, goes to the other directory, and is deleted there. */
static int files_change(int argc, char **argv)
{
    (void)argc;
    char path[PATH_SIZE], other[PATH_SIZE];
    for (unsigned long i = 0; i < strtoul(argv[2], NULL, 10); i++) {
        name_of(path, argv[0], i);
        name_of(other, argv[1], i);
        actor_require(chmod(path, 0600) == 0, "chmod");
        actor_require(rename(path, other) == 0, "rename");
        actor_require(unlink(other) == 0, "unlink");
    }
    return 0;
}

/* N processes, one after the other: each reads the file and ends. */
static int files_glance(int argc, char **argv)
{
    (void)argc;
    for (unsigned long i = 0; i < strtoul(argv[1], NULL, 10); i++) {
        int status;
        pid_t pid = actor_fork();
        if (pid == 0) {
            read_one(argv[0]);
            _exit(0);
        }
        actor_require(waitpid(pid, &status, 0) == pid && status == 0, "a glance");
    }
    return 0;
}

/* Hold a file open until standard input ends. */
static int files_hold(int argc, char **argv)
{
    (void)argc;
    char byte;
    int fd = open(argv[0], O_RDONLY | O_CLOEXEC);
    actor_require(fd >= 0, argv[0]);
    printf("{\"role\":\"self\",\"pid\":%d}\n", getpid());
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    close(fd);
    return 0;
}

const struct actor files_actors[] = {
    {"files-make",   "DIR N", 2, files_make},
    {"files-read",             "DIR N", 2, files_read},
    {"files-change",              "DIR OTHER N", 3, files_change},
    {"files-glance","FILE N", 2, files_glance},
    {"files-hold",    "FILE", 1, files_hold},
    {0},
};
