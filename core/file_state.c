/* A time in the future is no reason to look again: it is another clock's, or was set, and what is
 * changed now gets another one. */
#include "core/file_state.h"

#include <time.h>

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool file_state_equal(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           same_time(&a->st_mtim, &b->st_mtim) && same_time(&a->st_ctim, &b->st_ctim);
}

int64_t file_state_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

bool file_state_is_lasting(const struct stat *status, int64_t before_ns, int64_t after_ns)
{
    int64_t changed_ns;
    if (__builtin_mul_overflow((int64_t)status->st_ctim.tv_sec, INT64_C(1000000000), &changed_ns) ||
        __builtin_add_overflow(changed_ns, status->st_ctim.tv_nsec, &changed_ns))
        return true;
    return changed_ns < before_ns - FILE_STATE_TICK_NS ||
           changed_ns > after_ns + FILE_STATE_TICK_NS;
}
