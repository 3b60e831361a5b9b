/* /proc/PID/exe leads to the very file, also when it is deleted or in another mount namespace. Its
 * name is read behind the opening: the process has not gone on to another program until then.
 *
 * The path is resolved below the root of a process that sees the same files. A path that a process
 * had has no symbolic link in it: one that is there now came later. What is at hand in the kernel's
 * cache of names is preferred, because asking a network filesystem may not come back. */
#include "collectors/programs/program_file.h"

#include "core/cleanup.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

enum { CACHED_TRIES = 3, PROC_PATH_SIZE = 48 };

static const char deleted[] = " (deleted)";

static bool is_deleted(const char *path)
{
    size_t length = strlen(path), mark = sizeof(deleted) - 1;
    return length > mark && !strcmp(path + length - mark, deleted);
}

static bool is_name_of(const char *link, const char *path)
{
    size_t length = strlen(path);
    return !strncmp(link, path, length) &&
           (link[length] == '\0' || !strcmp(link + length, deleted));
}

static int open_of_process(uint32_t pid, const char *path)
{
    char proc[PROC_PATH_SIZE], link[PATH_MAX + sizeof(deleted)];
    snprintf(proc, sizeof(proc), "/proc/%u/exe", pid);
    AUTO_CLOSE int fd = open(proc, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t length = readlink(proc, link, sizeof(link) - 1);
    if (length < 0)
        return -errno;
    link[length] = '\0';
    if (!is_name_of(link, path))
        return -ESRCH;
    int taken = fd;
    fd = -1;
    return taken;
}

static int open_below(int root, const char *path, uint64_t resolve)
{
    struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | resolve};
    int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
    return fd < 0 ? -errno : fd;
}

static int open_at_path(uint32_t root_pid, const char *path)
{
    char proc[PROC_PATH_SIZE];
    snprintf(proc, sizeof(proc), "/proc/%u/root", root_pid);
    AUTO_CLOSE int root = open(proc, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return -errno;
    int fd = -EAGAIN;
    for (int i = 0; i < CACHED_TRIES && fd == -EAGAIN; i++)
        fd = open_below(root, path, RESOLVE_CACHED);
    return fd == -EAGAIN || fd == -EINVAL ? open_below(root, path, 0) : fd;
}

static int64_t nanoseconds(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

int program_version_of(int fd, struct program_version *version)
{
    struct stat status;
    if (fstat(fd, &status))
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -ENOENT;
    *version = (struct program_version){.device = (uint64_t)major(status.st_dev) << 32 |
                                                  minor(status.st_dev),
                                        .inode = status.st_ino,
                                        .size = (uint64_t)status.st_size,
                                        .modified_ns = nanoseconds(&status.st_mtim),
                                        .changed_ns = nanoseconds(&status.st_ctim)};
    return 0;
}

/* Those of which this kernel is not the master. What linux/magic.h has no name for is named here.
 */
static bool is_foreign(const struct statfs *status)
{
    static const uint32_t foreign[] = {NFS_SUPER_MAGIC,
                                       SMB_SUPER_MAGIC,
                                       CIFS_SUPER_MAGIC,
                                       SMB2_SUPER_MAGIC,
                                       CEPH_SUPER_MAGIC,
                                       AFS_SUPER_MAGIC,
                                       AFS_FS_MAGIC,
                                       CODA_SUPER_MAGIC,
                                       FUSE_SUPER_MAGIC,
                                       V9FS_MAGIC,
                                       OCFS2_SUPER_MAGIC,
                                       0x01161970 /* GFS2 */,
                                       0x0bd00bd0 /* Lustre */,
                                       0x47504653 /* GPFS */,
                                       0x786f4256 /* vboxsf */};
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        if ((uint32_t)status->f_type == foreign[i])
            return true;
    return false;
}

static bool is_local(int fd)
{
    struct statfs status;
    return fstatfs(fd, &status) == 0 && !is_foreign(&status);
}

static bool only_root_writes(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && status.st_uid == 0 && !(status.st_mode & (S_IWGRP | S_IWOTH));
}

static int take(struct program_file *file, int fd, unsigned evidence)
{
    file->fd = fd;
    file->evidence = evidence;
    file->local = is_local(fd);
    /* The kernel lets nobody write to what runs. */
    file->guarded = (evidence & PROGRAM_OF_PROCESS) || only_root_writes(fd);
    return program_version_of(fd, &file->version);
}

static int look_at_process(struct program_file *file, uint32_t pid, const char *path)
{
    int fd = open_of_process(pid, path);
    int r = fd < 0 ? fd : take(file, fd, PROGRAM_OF_PROCESS);
    if (r < 0)
        program_file_deinit(file);
    return r;
}

static int look_at_path(struct program_file *file, uint32_t root_pid, const char *path)
{
    int fd = open_at_path(root_pid, path);
    int r = fd < 0 ? fd : take(file, fd, PROGRAM_AT_PATH);
    if (r < 0)
        program_file_deinit(file);
    return r;
}

int program_file_look(struct program_file *file, uint32_t pid, uint32_t root_pid, const char *path)
{
    struct program_file at_path = PROGRAM_FILE_NULL;
    *file = (struct program_file)PROGRAM_FILE_NULL;
    int r = look_at_process(file, pid, path);
    uint64_t looked_ns = file->looked_ns = clock_boot_ns();
    if (!root_pid || is_deleted(path) || look_at_path(&at_path, root_pid, path) < 0)
        return r < 0 ? -ENOENT : 0;
    if (r < 0) {
        *file = at_path;
        file->looked_ns = looked_ns;
        return 0;
    }
    if (program_version_equal(&file->version, &at_path.version))
        file->evidence |= PROGRAM_AT_PATH;
    program_file_deinit(&at_path);
    return 0;
}

int program_file_open(const struct program_file *file)
{
    const int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    char proc[PROC_PATH_SIZE];
    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", file->fd);
    int fd = open(proc, flags | O_NOATIME);
    if (fd < 0 && errno == EPERM) /* of another owner */
        fd = open(proc, flags);
    return fd < 0 ? -errno : fd;
}

void program_file_deinit(struct program_file *file)
{
    cleanup_close(&file->fd);
    file->fd = -1;
}
