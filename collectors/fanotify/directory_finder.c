/* The kernel's path gives the names; from the directory upwards, each ".." gives a handle, until
 * one is known. A directory of the tree is where the events that were read so far say that it is;
 * so what is above it need not be what the path says. When the path is another one after the walk,
 * the names may belong to other handles, and it is walked again. */
#include "collectors/fanotify/directory_finder.h"

#include "collectors/fanotify/file_handle.h"
#include "core/cleanup.h"
#include "core/gulp.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

enum { TRIES = 3 };

struct walk {
    struct directory_tree *tree;
    struct filesystem *filesystem;
    uint64_t now_ns;
};

struct directory *directory_finder_top(struct directory_tree *tree, struct filesystem *filesystem)
{
    struct file_handle_memory memory;
    struct file_id id;
    AUTO_CLOSE int fd = filesystem_open(filesystem);
    if (fd < 0 || file_handle_of(&id, &memory, fd, "", filesystem->id) < 0)
        return NULL;
    return directory_tree_put(tree, &id, NULL, SLICE_NULL, 0);
}

int directory_finder_open(struct filesystem *filesystem, const struct file_id *id)
{
    AUTO_CLOSE int mount_fd = filesystem_open(filesystem);
    return mount_fd < 0 ? mount_fd : file_handle_open(mount_fd, id);
}

/* @p path is "/a/b" below the top, or nothing. Takes over @p fd. */
static struct directory *settle(const struct walk *walk, int fd, struct slice path)
{
    struct file_handle_memory memory;
    struct file_id id;
    AUTO_CLOSE int own_fd = fd;
    if (file_handle_of(&id, &memory, fd, "", walk->filesystem->id) < 0)
        return NULL;
    struct directory *known = directory_tree_find(walk->tree, &id);
    if (known)
        return known;
    if (path.length == 0)
        return directory_tree_put(walk->tree, &id, NULL, SLICE_NULL, 0);
    const uint8_t *slash = memrchr(path.data, '/', path.length);
    size_t above = (size_t)(slash - path.data);
    int parent_fd = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
    cleanup_close(&own_fd);
    own_fd = -1;
    struct directory *parent =
        parent_fd < 0 ? NULL : settle(walk, parent_fd, slice_of(path.data, above));
    struct slice name = slice_of(slash + 1, path.length - above - 1);
    return parent ? directory_tree_put(walk->tree, &id, parent, name, walk->now_ns) : NULL;
}

static struct slice without_suffix(int fd, struct slice path)
{
    static const char suffix[] = " (deleted)";
    const size_t length = sizeof(suffix) - 1;
    struct stat status;
    if (fstat(fd, &status) == 0 && status.st_nlink == 0 && path.length > length &&
        memcmp(path.data + path.length - length, suffix, length) == 0)
        path.length -= length;
    return path;
}

/* A mount that shows a part only: what is outside of it has a path that is none here. */
static bool is_there(int fd, const char *path)
{
    struct stat there, here;
    return fstat(fd, &here) == 0 && stat(path, &there) == 0 && here.st_dev == there.st_dev &&
           here.st_ino == there.st_ino;
}

/* The path below the filesystem's mount, in @p text; SLICE_NULL: it is not below it. */
static struct slice path_below(const struct filesystem *filesystem, int fd, char text[PATH_MAX + 1])
{
    size_t above = strlen(filesystem->point);
    int length = file_handle_path(fd, text, PATH_MAX);
    if (length < 0)
        return SLICE_NULL;
    text[length] = '\0';
    if (strcmp(text, "/") == 0)
        length = 0;
    if ((size_t)length < above || memcmp(text, filesystem->point, above) != 0 ||
        ((size_t)length > above && text[above] != '/') ||
        (strcmp(filesystem->root, "/") != 0 && !is_there(fd, text)))
        return SLICE_NULL;
    return without_suffix(fd, slice_of(text + above, (size_t)length - above));
}

struct directory *directory_finder_find(struct directory_tree *tree, struct filesystem *filesystem,
                                        const struct file_id *id)
{
    const struct walk walk = {tree, filesystem, clock_boot_ns()};
    char before[PATH_MAX + 1], after[PATH_MAX + 1];
    AUTO_CLOSE int fd = directory_finder_open(filesystem, id);
    for (int i = 0; fd >= 0 && i < TRIES; i++) {
        struct slice path = path_below(filesystem, fd, before);
        int again = slice_is_null(path) ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (again < 0)
            return NULL;
        struct directory *found = settle(&walk, again, path);
        if (!found || slice_equal(path, path_below(filesystem, fd, after)))
            return found;
        directory_tree_forget(tree, filesystem->id);
    }
    return NULL;
}
