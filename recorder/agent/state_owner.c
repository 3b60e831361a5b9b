/* A directory that root alone can write holds nothing that somebody else put there, so what is in
 * it can be given away by its name. The path is walked without following links, through directories
 * that root alone can change; what is given away comes last, after all that is below it. So an
 * interrupted walk is begun anew, and a directory that is the user's already is never walked: the
 * user could have put a link to any file there. */
#include "recorder/agent/state_owner.h"

#include "core/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

enum { DEPTH_MOST = 8 };

struct owner {
    const char *path;
    uid_t uid;
    gid_t gid;
    struct error_text *error;
};

DEFINE_CLEANUP(cleanup_directory, DIR, closedir);

static bool others_may_write(const struct stat *status)
{
    return status->st_uid != 0 || (status->st_mode & (S_IWGRP | S_IWOTH));
}

static bool others_may_rename(const struct stat *status)
{
    return others_may_write(status) && !(status->st_uid == 0 && status->st_mode & S_ISVTX);
}

static int refuse(const struct owner *owner, int error, const char *why)
{
    return error_set(
        owner->error, error,
        "%s cannot be given to the agent's user: %s; give it to that user by chown, or "
        "name another place",
        owner->path, why);
}

/* The directory behind a path without links, each part of which root alone can change. */
static int walk_to(const struct owner *owner, char *real)
{
    int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char *rest = NULL;
    for (char *name = strtok_r(real, "/", &rest); fd >= 0 && name;
         name = strtok_r(NULL, "/", &rest)) {
        struct stat status;
        AUTO_CLOSE int parent = fd;
        if (fstat(parent, &status) < 0)
            return refuse(owner, -errno, strerror(errno));
        if (others_may_rename(&status))
            return refuse(owner, -EPERM, "it is below a directory in which others may write");
        fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    return fd < 0 ? refuse(owner, -errno, strerror(errno)) : fd;
}

static DIR *list(int directory)
{
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (!stream && fd >= 0)
        close(fd);
    return stream;
}

static bool is_entry(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
           strcmp(entry->d_name, "lost+found") != 0;
}

static bool is_empty(int directory)
{
    DIR *stream CLEANUP(cleanup_directory) = list(directory);
    const struct dirent *entry = NULL;
    while (stream && (entry = readdir(stream)) && !is_entry(entry))
        continue;
    return stream && !entry;
}

static int give(const struct owner *owner, int directory, unsigned depth);

static int give_entry(const struct owner *owner, int directory, const char *name, unsigned depth)
{
    struct stat status;
    if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : refuse(owner, -errno, strerror(errno));
    if (S_ISDIR(status.st_mode)) {
        AUTO_CLOSE int below =
            openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return below < 0 ? refuse(owner, -errno, strerror(errno)) : give(owner, below, depth + 1);
    }
    if (S_ISREG(status.st_mode) && status.st_nlink > 1)
        return refuse(owner, -EPERM, "a file in it has another name elsewhere");
    return fchownat(directory, name, owner->uid, owner->gid, AT_SYMLINK_NOFOLLOW) < 0
               ? refuse(owner, -errno, strerror(errno))
               : 0;
}

static int give(const struct owner *owner, int directory, unsigned depth)
{
    struct stat status;
    DIR *stream CLEANUP(cleanup_directory) = list(directory);
    if (!stream || fstat(directory, &status) < 0)
        return refuse(owner, -errno, strerror(errno));
    if (status.st_uid == owner->uid)
        return 0;
    if (others_may_write(&status))
        return refuse(owner, -EPERM, "others than root may write in it");
    if (depth > DEPTH_MOST)
        return refuse(owner, -ELOOP, "it is too deep");
    for (const struct dirent *entry = readdir(stream); entry; entry = readdir(stream)) {
        int r = is_entry(entry) ? give_entry(owner, directory, entry->d_name, depth) : 0;
        if (r < 0)
            return r;
    }
    return fchown(directory, owner->uid, owner->gid) < 0 ? refuse(owner, -errno, strerror(errno))
                                                         : 0;
}

int state_owner_give(const char *path, const char *mark, uid_t uid, gid_t gid,
                     struct error_text *error)
{
    const struct owner owner = {.path = path, .uid = uid, .gid = gid, .error = error};
    AUTO_FREE char *real = realpath(path, NULL);
    struct stat status;
    if (!real || stat(real, &status) < 0)
        return refuse(&owner, -errno, strerror(errno));
    if (status.st_uid == uid)
        return 0;
    AUTO_CLOSE int directory = walk_to(&owner, real);
    if (directory < 0)
        return directory;
    bool marked = mark && faccessat(directory, mark, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    if (!marked && !is_empty(directory))
        return refuse(&owner, -ENOTEMPTY, "it holds something else than an agent's state");
    return give(&owner, directory, 0);
}
