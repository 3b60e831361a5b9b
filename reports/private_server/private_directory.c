/* Locks are flock(2): they belong to the open file, so a program that inherits the descriptor keeps
 * the lock after we are gone, and the kernel drops it when that program ends, however it ends. */
#include "reports/private_server/private_directory.h"
#include "core/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#define WAIT_STEP_MS 50

void private_directory_file(const struct private_directory *directory, const char *name,
                            char file[4096])
{
    snprintf(file, 4096, "%s/%s", directory->path, name);
}

static int make_path(const char *path)
{
    char part[2048];
    if (strlen(path) >= sizeof(part))
        return -ENAMETOOLONG;
    for (size_t i = 1; i <= strlen(path); i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        mode_t mode = path[i] == '\0' ? 0700 : 0755;
        if (mkdir(part, mode) && errno != EEXIST)
            return -errno;
    }
    return 0;
}

static bool has_entry(const char *path, const char *name)
{
    char file[4096];
    snprintf(file, sizeof(file), "%s/%s", path, name);
    return access(file, F_OK) == 0;
}

bool private_directory_is_instance(const char *path)
{
    return has_entry(path, "mariadb") && has_entry(path, "client.cnf");
}

static bool is_empty(const char *path)
{
    DIR *stream = opendir(path);
    if (!stream)
        return false;
    size_t n = 0;
    while (readdir(stream))
        n++;
    closedir(stream);
    return n <= 2;
}

/* A directory that holds something else is not taken over by mistake. */
static int check_ours(const char *path, struct error_text *error)
{
    struct stat status;
    if (stat(path, &status))
        return error_set(error, -errno, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(status.st_mode))
        return error_set(error, -ENOTDIR, "%s is no directory; give another --state DIR", path);
    if (access(path, W_OK | X_OK))
        return error_set(error, -errno,
                         "%s cannot be written: %s; give another --state DIR, or run as its owner",
                         path, strerror(errno));
    if (!has_entry(path, "lock") && !is_empty(path))
        return error_set(error, -ENOTEMPTY,
                         "%s is not empty and holds no standalone instance; give an empty or a new "
                         "directory as --state DIR",
                         path);
    return 0;
}

static void read_holder(int lock, char holder[32])
{
    ssize_t n = pread(lock, holder, 31, 0);
    holder[n > 0 ? n : 0] = '\0';
    holder[strcspn(holder, "\n")] = '\0';
}

static int take_lock(struct private_directory *directory, struct error_text *error)
{
    char file[4096], holder[32];
    private_directory_file(directory, "lock", file);
    int lock = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0)
        return error_set(error, -errno, "%s cannot be made: %s", file, strerror(errno));
    if (flock(lock, LOCK_EX | LOCK_NB)) {
        read_holder(lock, holder);
        close(lock);
        return error_set(error, -EBUSY,
                         "%s is in use by another vestige standalone (pid %s); ask it with vestige "
                         "query --state DIR, or end it first",
                         directory->path, *holder ? holder : "unknown");
    }
    directory->lock = lock;
    if (ftruncate(lock, 0) || dprintf(lock, "%d\n", (int)getpid()) < 0)
        return error_set(error, -errno, "%s cannot be written: %s", file, strerror(errno));
    return 0;
}

int private_directory_open(struct private_directory *directory, const char *path, bool may_create,
                           struct error_text *error)
{
    *directory = (struct private_directory)PRIVATE_DIRECTORY_NULL;
    if (!may_create && !private_directory_is_instance(path))
        return error_set(error, -ENOENT,
                         "%s holds no standalone instance to serve; record one first with vestige "
                         "standalone --state DIR",
                         path);
    int outcome = may_create ? make_path(path) : 0;
    if (outcome)
        return error_set(error, outcome, "%s cannot be made: %s; give another --state DIR", path,
                         strerror(-outcome));
    AUTO_FREE char *absolute = realpath(path, NULL);
    if (!absolute)
        return error_set(error, -errno, "%s: %s", path, strerror(errno));
    if (strlen(absolute) >= sizeof(directory->path))
        return error_set(error, -ENAMETOOLONG, "%s: the path is too long", path);
    strcpy(directory->path, absolute);
    outcome = check_ours(directory->path, error);
    if (!outcome)
        outcome = take_lock(directory, error);
    if (outcome)
        private_directory_close(directory);
    return outcome;
}

void private_directory_close(struct private_directory *directory)
{
    if (directory->lock >= 0)
        close(directory->lock);
    directory->lock = -1;
}

int private_directory_wait_lock(const struct private_directory *directory, const char *name,
                                int timeout_ms)
{
    char file[4096];
    private_directory_file(directory, name, file);
    AUTO_CLOSE int lock = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0)
        return -errno;
    while (flock(lock, LOCK_EX | LOCK_NB)) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return -errno;
        if (timeout_ms <= 0)
            return -ETIMEDOUT;
        nanosleep(&(struct timespec){.tv_nsec = WAIT_STEP_MS * 1000000L}, NULL);
        timeout_ms -= WAIT_STEP_MS;
    }
    int taken = lock;
    lock = -1;
    return taken;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path) ? -errno : 0;
}

int private_directory_remove(const char *path)
{
    if (access(path, F_OK))
        return errno == ENOENT ? 0 : -errno;
    int outcome = nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return outcome < 0 ? (outcome == -1 ? -errno : outcome) : 0;
}
