#pragma once
/* The system calls that the agent makes when its sources are open, by seccomp(2). */
#include "core/error.h"

#include <stdbool.h>

/* The runtime of a sanitizer makes calls of its own, which no list of ours can know. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SYSTEM_CALLS_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SYSTEM_CALLS_SANITIZED true
#endif
#endif
#ifndef SYSTEM_CALLS_SANITIZED
#define SYSTEM_CALLS_SANITIZED false
#endif

enum system_calls_mode {
    SYSTEM_CALLS_ON,  /* refused; what no program of ours could mean ends the process */
    SYSTEM_CALLS_LOG, /* allowed, with a record of audit */
    SYSTEM_CALLS_OFF
};

/** "on", "log", "off", as the configuration has it. */
enum system_calls_mode system_calls_mode(const char *word);
/** From now on, in all threads of this process and for ever. @p guard: the audit guard, which waits
 *  for a process and has no threads. A build with a sanitizer does nothing. */
int system_calls_restrict(enum system_calls_mode mode, bool guard,
                          struct error_text *error) MUST_CHECK;
