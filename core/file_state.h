#pragma once
/* Has a file become another one since it was looked at last? As stat(2) tells: by its inode, size
 * and times. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/** Nothing tells the two apart. */
bool file_state_equal(const struct stat *a, const struct stat *b);
/** Whatever is changed from now on shows in the times, which are of a clock that stands still for
 *  up to 10 ms, and are set before what is written is there. @p real_ns: CLOCK_REALTIME before the
 *  look. False: it may have been changed, or be changed, without a trace. */
bool file_state_is_lasting(const struct stat *status, int64_t real_ns);
