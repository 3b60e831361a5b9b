#pragma once
/* A sign of life on a terminal's standard error while the server works. */
#include "core/error.h"

#include <stdint.h>

struct progress;

/** After one second, and each second from then on, the line "WHAT: N s" is written over itself.
 * Nothing at all when standard error is no terminal. NULL when it cannot be started, which is no
 * harm. */
struct progress *progress_begin(const char *what);
/** The same with a number that grows: "WHAT: N s, 12345 UNIT". */
struct progress *progress_begin_counting(const char *what, const _Atomic uint64_t *count,
                                         const char *unit);
/** End it and clear the line. NULL is allowed. Returns NULL. */
struct progress *progress_end(struct progress *progress);
