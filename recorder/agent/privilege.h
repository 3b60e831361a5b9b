#pragma once
/* What the agent may do: which capabilities it needs to open its sources, who it becomes, and what
 * it keeps. See capabilities(7), seccomp(2); the threads' own rights are in core/thread_rights.h.
 */
#include "core/error.h"
#include "recorder/agent/system_calls.h"

#include <stdbool.h>

struct privilege_options {
    const char *user; /* whom to become; empty: stay who started it */
    const char *state_directory, *defaults_file;
    const char *record_directory; /* NULL: none */
    bool warn_of_root;
};

/** @p audit: audit is to be used. Returns 0, or -EPERM with the names of what is missing and what
 * to do. */
int privilege_check(bool audit, struct error_text *error) MUST_CHECK;
/** Before there are threads: become the user, to whom the state is given, with no capability but
 *  those that open sources; no program that is executed can gain one, and nothing brings root
 *  back. */
int privilege_become(const struct privilege_options *options, struct error_text *error) MUST_CHECK;
/** When the sources are open: the calling thread keeps what the table gives to @p thread, and the
 *  process makes no system calls but those of system_calls.h from now on, in all threads. */
int privilege_drop(const char *thread, enum system_calls_mode mode, bool guard,
                   struct error_text *error) MUST_CHECK;
