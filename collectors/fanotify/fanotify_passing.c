/* A directory whose events were dropped for nothing twice is passed over by the kernel from then
 * on, until it, or one above it, has another name; so is a single file that is read for nothing. */
#include "collectors/fanotify/fanotify_private.h"

#include <sys/fanotify.h>
#include <sys/stat.h>

enum { IGNORED_MOST = 8192, DROPS_BEFORE_IGNORED = 2 };

static int open_directory(const struct source *source, const struct directory *directory)
{
    struct filesystem *filesystem = fanotify_filesystem_of(source, &directory->id);
    return filesystem ? directory_finder_open(filesystem, &directory->id) : -ENOENT;
}

/* An event that was made before the mark says nothing; one made behind it says that the kernel has
 * forgotten the mark along with the directory's inode. */
void fanotify_ignore(struct source *source, struct directory *directory)
{
    if (!source->group.ignores || ++directory->n_dropped < DROPS_BEFORE_IGNORED ||
        (directory->pinned ? directory->marked_ns >= source->since_ns
                           : source->n_ignored >= IGNORED_MOST))
        return;
    AUTO_CLOSE int fd = open_directory(source, directory);
    bool all = directory->verdict == FILE_EXCLUDED;
    if (fd < 0 || fanotify_group_ignore(&source->group, fd, all) < 0)
        return;
    source->n_ignored += !directory->pinned;
    directory->marked_ns = clock_boot_ns();
    directory_tree_pin(source->tree, directory);
}

void fanotify_unpin(struct source *source, struct directory *directory)
{
    if (!directory->pinned)
        return;
    source->n_ignored--;
    directory->n_dropped = 0;
    directory_tree_unpin(source->tree, directory);
}

void fanotify_heed(void *user, struct directory *directory)
{
    struct source *source = user;
    AUTO_CLOSE int fd = open_directory(source, directory);
    if (fd >= 0)
        fanotify_group_heed(&source->group, fd);
    fanotify_unpin(source, directory);
}

static void unpin_any(void *user, struct directory *directory)
{
    fanotify_unpin(user, directory);
}

void fanotify_heed_files(struct source *source)
{
    for (size_t i = 0; i < source->passed.n; i++) {
        struct file_id id = passed_file_id(&source->passed.list[i]);
        struct filesystem *filesystem = fanotify_filesystem_of(source, &id);
        AUTO_CLOSE int fd = filesystem ? directory_finder_open(filesystem, &id) : -1;
        if (fd >= 0)
            fanotify_group_heed_file(&source->group, fd);
    }
    source->passed.n = 0;
}

/* A file that is read for nothing, alone in a directory of which other files are told. With another
 * name it would be another matter, so it may have but one. */
void fanotify_ignore_file(struct source *source, const struct fanotify_event *event)
{
    struct filesystem *filesystem = fanotify_filesystem_of(source, &event->target);
    struct passed_file *known = passed_files_find(&source->passed, &event->target);
    struct stat status;
    if (!source->group.ignores || !filesystem || !file_id_known(&event->target) ||
        (known && known->marked_ns >= source->since_ns))
        return;
    AUTO_CLOSE int fd = directory_finder_open(filesystem, &event->target);
    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_nlink != 1)
        return;
    if (!known && source->passed.n == PASSED_FILES_MOST)
        fanotify_heed_files(source);
    if (!known)
        known = passed_files_add(&source->passed, &event->target);
    if (known && fanotify_group_ignore_file(&source->group, fd) == 0)
        known->marked_ns = clock_boot_ns();
}

/* Nothing that is known of a filesystem's directories is certain any more. */
void fanotify_forget(struct source *source, const struct filesystem *filesystem)
{
    fanotify_group_heed_all(&source->group);
    directory_tree_each_pinned(source->tree, NULL, unpin_any, source);
    directory_tree_forget(source->tree, filesystem->id);
    fanotify_heed_files(source);
    source->generation++;
}

void fanotify_forget_all(struct source *source)
{
    fanotify_group_heed_all(&source->group);
    directory_tree_each_pinned(source->tree, NULL, unpin_any, source);
    directory_tree_clear(source->tree);
    fanotify_heed_files(source);
    source->generation++;
}
