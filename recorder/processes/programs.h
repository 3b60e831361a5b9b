#pragma once
/*
 * Asks for the files of programs, not more often than needed, and says what an answer proves.
 *
 * A path may lead to another file at any time, so no answer holds for what is executed later. But
 * it does for what was executed before: a file that was found at a path, and was last changed
 * before an exec of that path began, is what that exec has taken. So the execs of one path, by
 * processes with one root, wait together for the next look, and a storm of them asks a few times a
 * second. What a process is found to run is its program whatever the times say, if it has not
 * executed another one until then.
 *
 * Numbers of requests are given in order, whether they were accepted or not: a replay of the same
 * facts asks the same.
 */
#include "core/error.h"
#include "core/fact.h"
#include "recorder/lifecycle/shared_text.h"

struct programs;

struct programs_options {
    size_t most;               /* waiting at once; 0: 16384 */
    uint64_t interval_ns;      /* between an answer and the next request for the same path */
    uint64_t patience_ns;      /* then an answer is not waited for any longer */
    struct counters *counters; /* may be NULL */
    /** Must not block. @p root_pid 0: nobody knows a process with the same root. */
    void *ask_user;
    void (*ask)(void *user, uint64_t request, uint32_t pid, uint32_t root_pid, struct slice path);
    void *user;
    /** Whether the process has not executed another program, nor ended, until @p at_ns. */
    bool (*still_runs)(void *user, const void *subject, uint64_t at_ns);
    /** @p program: three values of a line (digest, size, time of change), or NULL: nobody knows. */
    void (*told)(void *user, void *subject, struct shared_text *program);
};

/* An exec. */
struct programs_exec {
    void *subject; /* given back to `still_runs` and `told` */
    uint32_t pid;
    uint32_t root_pid;       /* a process with the same root; 0: nobody knows one */
    uint32_t other_root_pid; /* another, in case that the first is gone; 0: none */
    struct slice path;
    uint64_t executed_ns; /* boot clock; not before the exec */
    int64_t
        began_real_ns; /* by the clock of files' times; not after the exec. INT64_MIN: unknown */
};

int programs_new(struct programs **programsp, const struct programs_options *options) MUST_CHECK;
struct programs *programs_free(struct programs *programs);
/** True: `told` will be called once. False: nobody will say. */
bool programs_want(struct programs *programs, const struct programs_exec *exec, uint64_t now_ns);
void programs_answer(struct programs *programs, const struct fact *fact);
void programs_tick(struct programs *programs, uint64_t now_ns);
/** Nothing that was executed until @p boot_ns waits. */
bool programs_settled_until(const struct programs *programs, uint64_t boot_ns);
/** Nobody will answer any more. */
void programs_give_up(struct programs *programs);
