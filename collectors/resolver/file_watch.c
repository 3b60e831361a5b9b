/* A write without a change of any of what stat(2) tells would have to fall into the tick of the
 * clock in which the file was looked at, and keep its size. */
#include "collectors/resolver/file_watch.h"

#include "core/file_state.h"

bool file_watch_changed(struct file_watch *watch)
{
    struct stat status = {0};
    bool there = stat(watch->path, &status) == 0;
    if (watch->looked && there == watch->there && file_state_equal(&status, &watch->status))
        return false;
    watch->looked = true;
    watch->there = there;
    watch->status = status;
    return true;
}
