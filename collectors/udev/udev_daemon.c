/* A daemon that was killed leaves its control socket behind. Whether somebody listens at it is in
 * /proc/net/unix: to connect would keep the daemon awake. */
#include "collectors/udev/udev_daemon.h"

#include "core/cleanup.h"

#include <string.h>

static const char control_path[] = "/run/udev/control";
enum { LISTENS = 1 << 16 }; /* __SO_ACCEPTCON */

bool udev_daemon_listens(FILE *sockets, const char *path)
{
    char line[512];
    while (fgets(line, sizeof(line), sockets)) {
        unsigned flags = 0;
        int at = 0;
        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "%*[0-9a-f]: %*x %*x %x %*x %*x %*u %n", &flags, &at) == 1 && at > 0 &&
            (flags & LISTENS) && !strcmp(line + at, path))
            return true;
    }
    return false;
}

bool udev_daemon_runs(void)
{
    if (access(control_path, F_OK) != 0)
        return false;
    FILE *sockets AUTO_FCLOSE = fopen("/proc/net/unix", "re");
    return !sockets || udev_daemon_listens(sockets, control_path);
}
