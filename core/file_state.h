#pragma once
/* Has a file become another one since it was looked at last? As stat(2) tells: by its inode, size
 * and times. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/** The clock that files are stamped by may stand still for so long, nanoseconds. */
enum { FILE_STATE_TICK_NS = 20000000 };

/** Nothing tells the two apart. */
bool file_state_equal(const struct stat *a, const struct stat *b);
/** The clock that files are stamped by, nanoseconds: CLOCK_REALTIME as it was at the last tick. */
int64_t file_state_clock_ns(void);
/** Whatever is changed from now on shows in the times. They are of a clock that stands still for a
 *  tick, and are set before what is written is there. @p before_ns, @p after_ns: that clock before
 *  and after the look. False: it may have been changed, or be changed, without a trace. */
bool file_state_is_lasting(const struct stat *status, int64_t before_ns, int64_t after_ns);
