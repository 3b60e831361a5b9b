#pragma once
/*
 * Actors: small deeds whose rows are known exactly. Each is one function in a table; it does the
 * deed, waits for its end, and prints one JSON object a line for each process that took part.
 */
#include "core/cleanup.h"

#include <stdbool.h>
#include <sys/types.h>

struct actor {
    const char *name;
    const char *parameters; /* as the usage text shows them */
    int min_parameters;
    /** @p argv holds the parameters only, terminated by NULL. Returns the exit status. */
    int (*run)(int argc, char **argv);
};

/* The tables of the families, each terminated by an empty entry. */
extern const struct actor life_actors[], identity_actors[], image_actors[], storm_actors[],
    listener_actors[], network_actors[], compat_actors[], files_actors[], file_storm_actors[];

/** Print {"role":...} with what wait(2) gave for the process. @p ppid is the parent at birth. */
void actor_report(const char *role, pid_t pid, pid_t ppid, int status);
/** Wait for @p pid and report it as a child of this process. Returns its status. */
int actor_finish(const char *role, pid_t pid);
/** Fork, or end the program with a message. */
pid_t actor_fork(void);
/** Arguments as the exec family wants them: it takes them without const for reasons of history. */
static inline char *const *actor_arguments(const char *const *arguments)
{
    union {
        const char *const *given;
        char *const *taken;
    } either = {.given = arguments};
    return either.taken;
}
/** Become `/bin/true TAG`; ends the process with 127 on failure. */
_Noreturn void actor_become_true(const char *tag);
/** End the program with a message when @p ok is false; errno is explained. */
void actor_require(bool ok, const char *what);
void actor_sleep_ms(unsigned milliseconds);
/** A number of at most @p most, or the end of the program. */
unsigned long actor_number(const char *text, unsigned long most);
