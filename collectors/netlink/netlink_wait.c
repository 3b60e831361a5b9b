/* Looks once more when it is too late: a busy machine may have let us stand still meanwhile. */
#include "collectors/netlink/netlink_wait.h"

#include "core/gulp.h"

#include <errno.h>
#include <poll.h>

int netlink_wait(int fd, uint64_t until_ns)
{
    uint64_t now = clock_boot_ns();
    int left_ms = now < until_ns ? (int)((until_ns - now + 999999) / 1000000) : 0;
    struct pollfd descriptor = {.fd = fd, .events = POLLIN};
    int r = poll(&descriptor, 1, left_ms);
    if (r < 0)
        return errno == EINTR ? 0 : -errno;
    return r == 0 && left_ms == 0 ? -ETIMEDOUT : 0;
}
