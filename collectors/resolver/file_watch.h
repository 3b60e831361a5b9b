#pragma once
/* Has a file become another one since it was looked at last? By its inode, size and times, which
 * costs a system call and misses nothing that a program would do to a configuration file. */
#include <stdbool.h>
#include <sys/stat.h>

struct file_watch {
    const char *path;
    bool looked;
    bool there;
    struct stat status;
};

/** True at the first call, and when it is another one, has appeared, or is gone. */
bool file_watch_changed(struct file_watch *watch);
