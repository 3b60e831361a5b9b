/* A directory is looked for under its parent, of which is known which inode it is: after a rename
 * whose event waits to be read, another one may be in its place. Then nothing is watched by a wrong
 * path; the parent is listed again when the event of the rename comes.
 *
 * What is opened by O_PATH is heard by nobody, and is named for inotify by /proc/self/fd. */
#include "collectors/inotify/tree_watch_private.h"

#include "collectors/inotify/filesystem_type.h"
#include "core/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

enum {
    WATCHED_EVENTS = IN_OPEN | IN_CLOSE_WRITE | IN_CLOSE_NOWRITE | IN_MODIFY | IN_CREATE |
                     IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_MOVE_SELF |
                     IN_DELETE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK
};

void tree_watch_enqueue(struct tree_watch *watch, struct watched_directory *directory)
{
    if (directory->queued)
        return;
    /* A new one is listed before it fills, and one with something new in it is no less urgent. */
    if (directory->fresh || directory->again)
        TAILQ_INSERT_HEAD(&watch->queue, directory, in_queue);
    else
        TAILQ_INSERT_TAIL(&watch->queue, directory, in_queue);
    directory->queued = true;
}

void tree_watch_dequeue(struct tree_watch *watch, struct watched_directory *directory)
{
    if (directory->queued)
        TAILQ_REMOVE(&watch->queue, directory, in_queue);
    directory->queued = false;
}

static uint64_t device_of(const struct stat *status)
{
    return (uint64_t)major(status->st_dev) << 32 | minor(status->st_dev);
}

static bool is_wanted_filesystem(const struct tree_watch *watch, int fd)
{
    struct statfs filesystem;
    if (fstatfs(fd, &filesystem) < 0)
        return false;
    const char *name = filesystem_type_name(filesystem.f_type);
    return !filesystem_type_is_kernel(filesystem.f_type) &&
           (!watch->options.unmarkable_only || filesystem_type_needs_inotify(filesystem.f_type)) &&
           !file_selection_excludes_type(watch->options.selection, slice_text(name));
}

static int add_watch(const struct tree_watch *watch, int fd)
{
    char place[32];
    snprintf(place, sizeof(place), "/proc/self/fd/%d", fd);
    int number = inotify_add_watch(watch->fd, place, WATCHED_EVENTS);
    return number < 0 ? -errno : number;
}

/* The directory, also when it was watched before; NULL and *@p error when it cannot be. */
static struct watched_directory *watch_directory(struct tree_watch *watch,
                                                 struct watched_directory *parent,
                                                 struct slice name, int fd, bool fresh, int *error)
{
    struct stat status;
    uint32_t most = watch->options.most ? watch->options.most : TREE_WATCH_MOST;
    int number = watch_tree_count(watch->tree) < most ? add_watch(watch, fd) : -ENOSPC;
    struct watched_directory *directory = number < 0 ? NULL : watch_tree_find(watch->tree, number);
    if (directory)
        return directory;
    if (number >= 0 && fstat(fd, &status) == 0)
        directory = watch_tree_add(watch->tree, parent, name, number);
    if (!directory) {
        *error = number < 0 ? -number : ENOMEM;
        if (number >= 0)
            inotify_rm_watch(watch->fd, number);
        return NULL;
    }
    directory->device = device_of(&status);
    directory->inode = status.st_ino;
    directory->since_ns = watch->since_ns;
    directory->fresh = fresh;
    directory->known_until = fresh ? UINT64_MAX : 0;
    tree_watch_enqueue(watch, directory);
    return directory;
}

void tree_watch_add_top(struct tree_watch *watch, struct watched_top *top)
{
    char real[PATH_MAX];
    top->left_out = false;
    top->error = realpath(top->path, real) ? 0 : errno;
    if (top->error)
        return;
    AUTO_CLOSE int fd = open(real, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        top->error = errno;
    } else if (!is_wanted_filesystem(watch, fd)) {
        top->left_out = true;
    } else {
        struct slice name = strcmp(real, "/") == 0 ? slice_of("", 0) : slice_text(real);
        struct watched_directory *directory =
            watch_directory(watch, NULL, name, fd, false, &top->error);
        top->directory = directory && !directory->parent ? directory : NULL;
        top->left_out = directory && directory->parent;
    }
}

/* The place where a directory should be, if it is there. */
static int open_directory(struct tree_watch *watch, struct watched_directory *directory, int flags)
{
    struct stat status;
    struct slice path = tree_watch_path(watch, directory, SLICE_NULL);
    buffer_append_byte(&watch->path, 0);
    if (slice_is_null(path) || watch->path.failed) {
        errno = ENOMEM;
        return -1;
    }
    const char *text = (const char *)watch->path.data;
    flags |= O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = open(text, flags | O_NOATIME);
    if (fd < 0 && errno == EPERM)
        fd = open(text, flags);
    if (fd < 0)
        return -1;
    if (fstat(fd, &status) == 0 && status.st_ino == directory->inode &&
        device_of(&status) == directory->device)
        return fd;
    close(fd);
    errno = ENOENT;
    return -1;
}

static void add_at(struct tree_watch *watch, int parent_fd, struct watched_directory *parent,
                   const char *name, bool fresh)
{
    struct stat status;
    int error = 0;
    AUTO_CLOSE int fd = openat(parent_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0)
        return; /* it is gone, or no directory any more: an event tells */
    if (device_of(&status) != parent->device && !is_wanted_filesystem(watch, fd))
        return;
    struct slice path = tree_watch_path(watch, parent, slice_text(name));
    if (slice_is_null(path) ||
        file_selection_below(watch->options.selection, path) == FILE_EXCLUDED)
        return;
    if (!watch_directory(watch, parent, slice_text(name), fd, fresh, &error)) {
        watch->n_at_limit += error == ENOSPC || error == ENOMEM;
        watch->n_refused += error != ENOSPC && error != ENOMEM;
    }
}

void tree_watch_add_entry(struct tree_watch *watch, struct watched_directory *parent,
                          struct slice name, bool fresh)
{
    char text[NAME_MAX + 1];
    if (name.length > NAME_MAX)
        return;
    memcpy(text, name.data, name.length);
    text[name.length] = '\0';
    AUTO_CLOSE int fd = open_directory(watch, parent, O_PATH);
    if (fd >= 0)
        add_at(watch, fd, parent, text, fresh);
    else
        parent->again = true;
}

/* Of a new directory: without an event yet, what is there was made before it was watched. */
static void note_arrival(struct tree_watch *watch, struct watched_directory *directory,
                         struct slice name)
{
    if (arrivals_find(watch->arrivals, directory, name))
        return;
    if (!arrivals_add(watch->arrivals, directory, name))
        tree_watch_tell_found(watch, directory, name, false);
}

static void list_entries(struct tree_watch *watch, struct watched_directory *directory,
                         DIR *entries, bool fresh)
{
    const struct dirent *entry;
    while ((entry = readdir(entries))) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        if (directory->known_until == UINT64_MAX)
            note_arrival(watch, directory, slice_text(name));
        if (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN)
            add_at(watch, dirfd(entries), directory, name, fresh);
    }
}

/* What waits now are events from before the end of the listing. */
static uint64_t position_of_now(const struct tree_watch *watch)
{
    int n_waiting = 0;
    if (ioctl(watch->fd, FIONREAD, &n_waiting) < 0)
        return watch->n_read;
    return watch->n_read + (unsigned)n_waiting;
}

static void list_failed(struct tree_watch *watch, struct watched_directory *directory, int error)
{
    bool elsewhere = error == ENOENT || error == ENOTDIR;
    if (!elsewhere || directory->again)
        directory->known_until = 0;
    watch->n_refused += !elsewhere;
    directory->again = elsewhere;
}

void tree_watch_list_first(struct tree_watch *watch)
{
    struct watched_directory *directory = TAILQ_FIRST(&watch->queue);
    tree_watch_dequeue(watch, directory);
    int fd = open_directory(watch, directory, O_RDONLY);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (!entries) {
        list_failed(watch, directory, errno);
        if (fd >= 0)
            close(fd);
        return;
    }
    bool missed = directory->again && watch->n_at_limit + watch->n_refused == 0;
    directory->again = false;
    list_entries(watch, directory, entries, directory->fresh || missed);
    closedir(entries);
    if (directory->known_until == UINT64_MAX)
        directory->known_until = position_of_now(watch);
}
