/* The additions are cut off again, so that a worker is not taken for another program each time. The
 * name of a rescuer ("kworker/R-...") has a '-' of its own, and fills all bytes before more comes.
 */
#include "collectors/procfs/procfs_comm.h"

enum { COMM_MOST = 15 };

static bool begins(struct slice s, const char *prefix)
{
    return s.length >= strlen(prefix) && memcmp(s.data, prefix, strlen(prefix)) == 0;
}

struct slice procfs_comm(struct slice shown, bool kernel_thread)
{
    if (!kernel_thread)
        return shown;
    size_t start = begins(shown, "kworker/R-") ? strlen("kworker/R-") : strlen("kworker/");
    if (begins(shown, "kworker/"))
        for (size_t i = start; i < shown.length; i++)
            if (shown.data[i] == '+' || (shown.data[i] == '-' && start == strlen("kworker/")))
                shown.length = i;
    if (shown.length > COMM_MOST)
        shown.length = COMM_MOST;
    return shown;
}
