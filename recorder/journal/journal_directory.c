/* All files are reached through one descriptor of the directory, so that a renamed or replaced
 * path cannot split a journal in two. The lock is on the directory, which needs no room, and on a
 * file that is never removed: it tells a person who has it, and older versions know no other. */
#include "recorder/journal/journal_directory.h"

#include "core/cleanup.h"
#include "core/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>

struct journal_directory {
    char *path;
    atomic_int fd; /* -1: there was no room to make it yet */
    int lock;
};

static const char *const suffixes[] = {
    [JOURNAL_FILE_SEALED] = ".sealed.zst",
    [JOURNAL_FILE_SHIPPED] = ".shipped.zst",
    [JOURNAL_FILE_OPEN] = ".open",
    [JOURNAL_FILE_DAMAGED] = ".damaged",
};
#define N_NUMBERED (sizeof(suffixes) / sizeof(suffixes[0]))

void journal_file_name(char name[JOURNAL_NAME_SIZE], enum journal_file file, uint64_t batch)
{
    if (file == JOURNAL_FILE_CHECKPOINT)
        snprintf(name, JOURNAL_NAME_SIZE, "%s", JOURNAL_CHECKPOINT);
    else
        snprintf(name, JOURNAL_NAME_SIZE, "%012" PRIu64 "%s", batch,
                 file < (int)N_NUMBERED ? suffixes[file] : ".other");
}

enum journal_file journal_file_parse(const char *name, uint64_t *batch)
{
    size_t length = strlen(name);
    if (strcmp(name, JOURNAL_CHECKPOINT) == 0)
        return JOURNAL_FILE_CHECKPOINT;
    if (length > 4 && strcmp(name + length - 4, ".tmp") == 0)
        return JOURNAL_FILE_TEMPORARY;
    if (name[0] < '0' || name[0] > '9')
        return JOURNAL_FILE_OTHER;
    errno = 0;
    *batch = strtoull(name, NULL, 10);
    for (int file = 0; errno == 0 && *batch > 0 && file < (int)N_NUMBERED; file++) {
        char canonical[JOURNAL_NAME_SIZE];
        journal_file_name(canonical, (enum journal_file)file, *batch);
        if (strcmp(canonical, name) == 0)
            return (enum journal_file)file;
    }
    return JOURNAL_FILE_OTHER;
}

struct journal_directory *journal_directory_free(struct journal_directory *directory)
{
    if (directory) {
        if (directory->fd >= 0)
            close(directory->fd);
        if (directory->lock >= 0)
            close(directory->lock);
        free(directory->path);
        free(directory);
    }
    return NULL;
}

static struct journal_directory *directory_new(const char *path)
{
    struct journal_directory *directory = calloc(1, sizeof(*directory));
    if (!directory)
        return NULL;
    directory->fd = directory->lock = -1;
    directory->path = strdup(path);
    return directory->path ? directory : journal_directory_free(directory);
}

static int open_directory(const struct journal_directory *directory, struct error_text *error)
{
    int fd = open(directory->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    return error_set(error, -errno, "journal %s: cannot open: %s", directory->path,
                     strerror(errno));
}

static int check_owner(const struct journal_directory *directory, int fd, struct error_text *error)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return error_set(error, -errno, "journal %s: %s", directory->path, strerror(errno));
    if (status.st_uid != geteuid())
        return error_set(error, -EPERM,
                         "journal %s: belongs to uid %u, not to uid %u who runs the agent; "
                         "chown it or choose another directory",
                         directory->path, status.st_uid, geteuid());
    if (status.st_mode & (S_IWGRP | S_IWOTH))
        return error_set(error, -EPERM, "journal %s: others may write to it (mode %04o); chmod 700",
                         directory->path, status.st_mode & 07777);
    return 0;
}

static int name_holder(const struct journal_directory *directory, struct error_text *error)
{
    char text[32] = "";
    ssize_t n = pread(directory->lock, text, sizeof(text) - 1, 0);
    long pid = n > 0 ? strtol(text, NULL, 10) : 0;
    if (pid > 0)
        return error_set(error, -EBUSY,
                         "journal %s: in use by another agent (process %ld); stop it first",
                         directory->path, pid);
    return error_set(error, -EBUSY, "journal %s: in use by another agent; stop it first",
                     directory->path);
}

static bool is_no_room(int error)
{
    return error == -ENOSPC || error == -EDQUOT;
}

static int lock_file(int fd)
{
    int result;
    do
        result = flock(fd, LOCK_EX | LOCK_NB);
    while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : -errno;
}

/* The number only helps a person. */
static void write_holder(int lock)
{
    char text[32];
    int length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(lock, 0) != 0 || pwrite(lock, text, (size_t)length, 0) != length)
        log_debug("journal", "the lock does not say who has it: %s", strerror(errno));
}

/* Not every filesystem locks directories, and a full one may have no room for the file. */
static int lock(struct journal_directory *directory, int fd, struct error_text *error)
{
    directory->lock = openat(fd, JOURNAL_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (directory->lock < 0 && !is_no_room(-errno))
        return error_set(error, -errno, "journal %s: not writable: %s", directory->path,
                         strerror(errno));
    int by_directory = lock_file(fd);
    int by_file = directory->lock < 0 ? by_directory : lock_file(directory->lock);
    if (by_directory == -EWOULDBLOCK || by_file == -EWOULDBLOCK)
        return name_holder(directory, error);
    if (by_file)
        return error_set(error, by_file, "journal %s: cannot lock: %s", directory->path,
                         strerror(-by_file));
    if (directory->lock >= 0)
        write_holder(directory->lock);
    return 0;
}

int journal_directory_open_read_only(struct journal_directory **directoryp, const char *path,
                                     struct error_text *error)
{
    struct journal_directory *directory = directory_new(path);
    if (!directory)
        return error_set(error, -ENOMEM, "journal %s: out of memory", path);
    int fd = open_directory(directory, error);
    directory->fd = fd < 0 ? -1 : fd;
    if (fd < 0) {
        journal_directory_free(directory);
        return fd;
    }
    *directoryp = directory;
    return 0;
}

bool journal_directory_is_made(const struct journal_directory *directory)
{
    return directory->fd >= 0;
}

int journal_directory_make(struct journal_directory *directory, struct error_text *error)
{
    if (journal_directory_is_made(directory))
        return 0;
    if (mkdir(directory->path, 0700) != 0 && errno != EEXIST)
        return error_set(error, -errno, "journal %s: cannot make the directory: %s",
                         directory->path, strerror(errno));
    int fd = open_directory(directory, error);
    if (fd < 0)
        return fd;
    int result = check_owner(directory, fd, error);
    if (!result)
        result = lock(directory, fd, error);
    if (result) {
        cleanup_close(&directory->lock);
        directory->lock = -1;
        close(fd);
        return result;
    }
    directory->fd = fd;
    return 0;
}

int journal_directory_open(struct journal_directory **directoryp, const char *path,
                           struct error_text *error)
{
    struct journal_directory *directory = directory_new(path);
    if (!directory)
        return error_set(error, -ENOMEM, "journal %s: out of memory", path);
    int result = journal_directory_make(directory, error);
    if (result && !is_no_room(result)) {
        journal_directory_free(directory);
        return result;
    }
    *directoryp = directory;
    return 0;
}

const char *journal_directory_path(const struct journal_directory *directory)
{
    return directory->path;
}

int journal_directory_fd(const struct journal_directory *directory)
{
    return directory->fd;
}

/* While there is no directory it is that of the one above. */
static int look_at_filesystem(const struct journal_directory *directory, struct statvfs *status)
{
    if (journal_directory_is_made(directory))
        return fstatvfs(directory->fd, status) == 0 ? 0 : -errno;
    char above[PATH_MAX];
    const char *slash = strrchr(directory->path, '/');
    snprintf(above, sizeof(above), "%.*s/", slash ? (int)(slash - directory->path) : 1,
             slash ? directory->path : ".");
    return statvfs(above, status) == 0 ? 0 : -errno;
}

uint64_t journal_directory_default_limit(const struct journal_directory *directory)
{
    const uint64_t most = UINT64_C(8) << 30;
    struct statvfs status;
    if (look_at_filesystem(directory, &status) != 0)
        return most;
    uint64_t tenth = (uint64_t)status.f_blocks / 10 * status.f_frsize;
    return tenth < most ? tenth : most;
}

int journal_directory_room(const struct journal_directory *directory, uint64_t *free_bytes,
                           uint64_t *reserve)
{
    const uint64_t most = UINT64_C(16) << 20;
    struct statvfs status;
    int result = look_at_filesystem(directory, &status);
    if (result)
        return result;
    uint64_t part = (uint64_t)status.f_blocks / 16 * status.f_frsize;
    *free_bytes = (uint64_t)status.f_bavail * status.f_frsize;
    *reserve = part < most ? part : most;
    return 0;
}

uint64_t journal_directory_bytes(const struct journal_directory *directory, const char *name)
{
    struct stat status;
    if (fstatat(directory->fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    return (uint64_t)status.st_blocks * 512;
}

int journal_directory_walk(struct journal_directory *directory, journal_directory_visitor visitor,
                           void *user)
{
    if (!journal_directory_is_made(directory))
        return 0;
    int fd = openat(directory->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (!stream) {
        int error = -errno;
        if (fd >= 0)
            close(fd);
        return error;
    }
    int result = 0;
    const struct dirent *entry;
    errno = 0;
    while (!result && (entry = readdir(stream))) {
        uint64_t batch = 0;
        enum journal_file file = journal_file_parse(entry->d_name, &batch);
        if (entry->d_name[0] != '.')
            result = visitor(user, entry->d_name, file, batch,
                             journal_directory_bytes(directory, entry->d_name));
        errno = 0;
    }
    if (!result && errno)
        result = -errno;
    closedir(stream);
    return result;
}

bool journal_directory_has(const struct journal_directory *directory, enum journal_file file,
                           uint64_t batch)
{
    char name[JOURNAL_NAME_SIZE];
    journal_file_name(name, file, batch);
    return faccessat(directory->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int write_pieces(int fd, const struct slice pieces[2])
{
    for (int i = 0; i < 2; i++) {
        for (size_t done = 0; done < pieces[i].length;) {
            ssize_t n = write(fd, pieces[i].data + done, pieces[i].length - done);
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0)
                return n < 0 ? -errno : -ENOSPC;
            done += (size_t)n;
        }
    }
    return fsync(fd) == 0 ? 0 : -errno;
}

int journal_directory_save(struct journal_directory *directory, const char *name,
                           const struct slice pieces[2], uint64_t *bytes)
{
    char temporary[JOURNAL_NAME_SIZE + 4];
    snprintf(temporary, sizeof(temporary), "%s.tmp", name);
    /* a pipe in its place is not waited for, and is away at the next attempt */
    int fd = openat(directory->fd, temporary,
                    O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW, 0600);
    int error = fd < 0 ? -errno : write_pieces(fd, pieces);
    if (fd >= 0 && close(fd) != 0 && !error)
        error = -errno;
    if (!error && renameat(directory->fd, temporary, directory->fd, name) != 0)
        error = -errno;
    if (error) {
        unlinkat(directory->fd, temporary, 0);
        return error;
    }
    *bytes = journal_directory_bytes(directory, name);
    return journal_directory_sync(directory);
}

int journal_directory_remove(struct journal_directory *directory, const char *name, uint64_t *bytes)
{
    *bytes = journal_directory_bytes(directory, name);
    return unlinkat(directory->fd, name, 0) == 0 ? 0 : -errno;
}

int journal_directory_rename(struct journal_directory *directory, const char *from, const char *to)
{
    return renameat(directory->fd, from, directory->fd, to) == 0 ? 0 : -errno;
}

int journal_directory_sync(struct journal_directory *directory)
{
    return fsync(directory->fd) == 0 ? 0 : -errno;
}
