/* A write without a change of any of these would have to fall into the tick of the clock in which
 * the file was looked at, and keep its size. */
#include "collectors/resolver/file_watch.h"

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           same_time(&a->st_mtim, &b->st_mtim) && same_time(&a->st_ctim, &b->st_ctim);
}

bool file_watch_changed(struct file_watch *watch)
{
    struct stat status = {0};
    bool there = stat(watch->path, &status) == 0;
    if (watch->looked && there == watch->there && same(&status, &watch->status))
        return false;
    watch->looked = true;
    watch->there = there;
    watch->status = status;
    return true;
}
