#pragma once
#include <stdint.h>

/** Wait for an answer on a netlink socket, to the moment @p until_ns of clock_boot_ns(). What has
 * come by then is read, however late this thread is let go on. Returns 0 when it is worth while to
 * read, also after a signal; -ETIMEDOUT; another negative errno of poll(2). */
int netlink_wait(int fd, uint64_t until_ns);
