#pragma once
/* Who is logged in, as the utmp file says. */
#include "core/buffer.h"

#include <utmp.h>

enum { LOGGED_IN_MOST = 1024 }; /* records that are looked at */

/** Append the names, sorted, each once, divided by commas, with a zero byte behind them. @p records
 *  of anybody's making. @p is_alive says whether a process still lives; NULL: all do. */
void logged_in_append(struct buffer *to, const struct utmp *records, size_t n_records,
                      bool (*is_alive)(int32_t pid));
/** The same from the file at @p path. A negative errno: nothing was appended. */
int logged_in_read(struct buffer *to, const char *path) MUST_CHECK;
