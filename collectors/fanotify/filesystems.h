#pragma once
/*
 * The filesystems that are watched, and where what is in them can be seen; and the mounts that
 * cannot be watched, with the reason. Follows /proc/self/mountinfo.
 */
#include "collectors/fanotify/fanotify_group.h"
#include "collectors/fanotify/overlay_layers.h"
#include "collectors/files/file_selection.h"
#include "core/buffer.h"

#include <sys/queue.h>

struct filesystem {
    LIST_ENTRY(filesystem) in_list;
    uint64_t id;     /* as in file_id */
    uint64_t device; /* major << 32 | minor */
    char *point;     /* "/mnt": where it is mounted, "" when that is / */
    char *root;      /* what of it is seen there: "/" is all */
    char *type;
    int root_fd; /* of the one at /, which is never unmounted; else -1 */
    bool present;
    bool moved; /* it is seen through another of its directories than before */
};

LIST_HEAD(filesystem_list, filesystem);

struct filesystems {
    const struct file_selection *selection;
    struct fanotify_group *group;
    struct filesystem_list list;
    struct overlay_layers layers;
    int mounts_fd;
    struct buffer text;  /* of mountinfo */
    struct buffer note;  /* what is watched, and what is not */
    struct buffer other; /* its second part, while it is made */
    size_t n_watched, n_other;
};

int filesystems_init(struct filesystems *filesystems, struct fanotify_group *group,
                     const struct file_selection *selection, struct error_text *error) MUST_CHECK;
void filesystems_deinit(struct filesystems *filesystems);

/** Read again what is mounted, and watch what is new. Those that are not mounted any more stay,
 *  without `present`, so that what is still to be read of them can be understood. */
int filesystems_update(struct filesystems *filesystems) MUST_CHECK;
/** Calls @p handler for each filesystem whose directories are known no more, and forgets those that
 *  are gone. */
void filesystems_forget_gone(struct filesystems *filesystems,
                             void (*handler)(void *user, const struct filesystem *gone),
                             void *user);
/** NULL: it is not known. */
struct filesystem *filesystems_find(const struct filesystems *filesystems, uint64_t id);
/** A descriptor of the directory where it is mounted, or an error. */
int filesystem_open(struct filesystem *filesystem) MUST_CHECK;
