#pragma once
/* Whether a udev daemon runs. */
#include <stdbool.h>
#include <stdio.h>

/** Whether @p sockets, with the lines of /proc/net/unix, has one that listens at @p path. */
bool udev_daemon_listens(FILE *sockets, const char *path);
/** Whether somebody listens at the daemon's control socket. Without /proc: whether it is there. */
bool udev_daemon_runs(void);
