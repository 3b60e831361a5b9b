#pragma once
/* The name of a task as the kernel keeps it. */
#include "core/slice.h"

/** From the contents of /proc/PID/comm, without the newline. For kernel threads /proc shows more
 * than the 15 bytes that every other source gives: the whole name, and for a worker also what it
 * works on just now, behind a '+' or '-'. Pure; points into @p shown. */
struct slice procfs_comm(struct slice shown, bool kernel_thread);
