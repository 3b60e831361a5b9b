#pragma once
/* What can be watched on a filesystem, by the type that statfs(2) gives. Pure. */
#include <stdbool.h>
#include <stdint.h>

/** Not the files of users: what the kernel tells in the form of files (/proc, /sys ...). */
bool filesystem_type_is_kernel(int64_t type);
/** fanotify cannot mark it as a whole. */
bool filesystem_type_needs_inotify(int64_t type);
/** The name as in /proc/filesystems; "" when it is not known. */
const char *filesystem_type_name(int64_t type);
