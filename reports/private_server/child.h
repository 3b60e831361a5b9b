#pragma once
/*
 * A program that runs under us: in a process group of its own, so that Ctrl-C at the terminal
 * reaches only us and we end it in our order; ended (SIGTERM) by the kernel when we die.
 */
#include "core/error.h"

#include <stdbool.h>
#include <sys/types.h>

struct child {
    const char *name; /* for messages; lives as long as the child */
    pid_t pid;        /* 0: none */
    int pidfd;        /* becomes readable when it has ended; -1: none */
    int output;       /* read end of its standard output and error, non-blocking; -1: not asked */
    int wait_status;  /* as wait(2) gives, once it has ended */
};

#define CHILD_NULL                                                                                 \
    {                                                                                              \
        .pidfd = -1, .output = -1                                                                  \
    }

struct child_options {
    const char *name;
    const char *path;        /* of the program */
    const char *const *argv; /* ends with NULL */
    const char *const
        *environment;      /* what is added to ours: "NAME=value"; ends with NULL; or NULL */
    const char *user;      /* become this user before; NULL: stay */
    const char *directory; /* where it runs; NULL: here */
    int input;             /* its standard input; -1: /dev/null */
    int error_file;        /* its standard error; -1: see capture */
    int output_file;       /* its standard output; -1: see capture */
    bool capture;          /* give us standard output and error through `output` */
    int inherit;           /* a descriptor it keeps open as long as it runs (a lock); or -1 */
};

int child_start(struct child *child, const struct child_options *options,
                struct error_text *error) MUST_CHECK;
/** Wait up to @p timeout_ms (-1: for ever) for its end. Returns 0 when it has ended (there is no
 *  child any more, wait_status is set), else -ETIMEDOUT. */
int child_wait(struct child *child, int timeout_ms) MUST_CHECK;
void child_signal(const struct child *child, int signal);
/** Start, and wait for the end. Returns 0 when it ended with status 0, else -ECHILD with a text. */
int child_run(const struct child_options *options, struct error_text *error) MUST_CHECK;
/** "ended with status 1", "was killed by signal 9" */
void child_describe_end(const struct child *child, char text[64]);
/** Close descriptors. The child must have ended. */
void child_deinit(struct child *child);

/** Path of a program: beside this one when @p beside_us, then in PATH, then in the directories of
 *  system programs. Returns 0 or -ENOENT. */
int child_find_program(char path[4096], const char *name, bool beside_us) MUST_CHECK;
