/* Any mount of it will do. A mount of one of its children (as in a container) would show only some
 * sockets: the root is known by its number. */
#include "collectors/bpf/cgroup_root.h"

#include "core/cleanup.h"

#include <fcntl.h>
#include <mntent.h>
#include <string.h>
#include <sys/stat.h>

#define ROOT_INODE 1

static inline void end_mounts(FILE **mounts)
{
    if (*mounts)
        endmntent(*mounts);
}

static int open_root(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) == 0 && status.st_ino == ROOT_INODE)
        return fd;
    close(fd);
    return -ENOENT;
}

int cgroup_root_open(void)
{
    FILE *mounts CLEANUP(end_mounts) = setmntent("/proc/self/mounts", "re");
    char text[8192];
    struct mntent mount;
    int fd = -ENOENT;
    if (!mounts)
        return -errno;
    while (fd < 0 && getmntent_r(mounts, &mount, text, sizeof(text)))
        if (strcmp(mount.mnt_type, "cgroup2") == 0)
            fd = open_root(mount.mnt_dir);
    return fd;
}
