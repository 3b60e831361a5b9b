#pragma once
/* The process that puts audit back when the agent is killed; see collectors/audit/audit_guard.h. */
#include "core/error.h"
#include "recorder/agent/privilege.h"

#include <sys/types.h>

struct agent_guard {
    pid_t pid;   /* 0: there is none */
    int channel; /* 0: there is none */
};

/** To be called with signals blocked, before there are threads. @p not_kept: a descriptor that the
 *  guard closes; -1: none. */
int agent_guard_start(struct agent_guard *guard, const char *state_directory,
                      enum system_calls_mode mode, int not_kept,
                      struct error_text *error) MUST_CHECK;
/** Wait until the guard of a run before has ended. Without a guard nothing happens. */
int agent_guard_wait(const struct agent_guard *guard, struct error_text *error) MUST_CHECK;
/** It writes down the memory of descriptor @p fd (-1: none) when the agent is killed. */
void agent_guard_keep(const struct agent_guard *guard, int fd);
/** What the sources changed has been undone: end it. */
void agent_guard_stop(struct agent_guard *guard);
