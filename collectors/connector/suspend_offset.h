#pragma once
/* How far CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC: the time the host was suspended. */
#include "core/gulp.h"

struct suspend_offset {
    uint64_t nanoseconds; /* as last noted */
    bool known;
};

/** Compare the clocks and add a note to @p gulp if the offset is new or has moved by over 1 ms.
 *  Returns 0 or -ENOBUFS when the gulp has no room (then it is noted next time). */
int suspend_offset_note(struct suspend_offset *offset, struct gulp *gulp) MUST_CHECK;
/** Read a note back. Pure. */
bool suspend_offset_parse(struct slice note, uint64_t *nanoseconds);
