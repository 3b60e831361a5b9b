#pragma once
/*
 * The directories that are known, as trees: a directory has a name in its parent, so that a rename
 * changes the paths of all that is below in one step. The top of a tree is the root of a mount and
 * has no name. Bounded in bytes: the directory that was not used for the longest time and has none
 * below it makes room. One thread; pure.
 */
#include "collectors/fanotify/file_id.h"
#include "collectors/files/file_selection.h"
#include "core/buffer.h"

#include <sys/queue.h>

struct directory {
    /* Of the tree; not to be written by others. */
    TAILQ_ENTRY(directory) in_order; /* not while pinned */
    struct directory *parent;        /* NULL: the top */
    uint32_t n_children;
    uint32_t n_pinned_below;
    bool pinned;
    struct file_id id;
    char *name; /* of the top: NULL */

    uint64_t found_ns; /* boot clock: it was here then; 0: it has been seen to come here */
    bool deleted;      /* handles of it may still be used */

    /* What the user of the tree makes of the path: valid while its generation is the user's. */
    uint64_t generation;
    enum file_verdict verdict; /* of all paths below */
    const void *layer;
    uint64_t marked_ns; /* of a pinned one */
    uint32_t n_dropped; /* events that were for nothing */
};

struct directory_tree;

int directory_tree_new(struct directory_tree **treep, size_t bytes_most) MUST_CHECK;
struct directory_tree *directory_tree_free(struct directory_tree *tree);
size_t directory_tree_bytes(const struct directory_tree *tree);

/** NULL: it is not known. */
struct directory *directory_tree_find(struct directory_tree *tree, const struct file_id *id);
/** Adds it, or moves it to another parent or name. A top has no @p parent and no name. NULL: there
 *  is no memory, or it would be below itself, and then all of its filesystem is forgotten. */
struct directory *directory_tree_put(struct directory_tree *tree, const struct file_id *id,
                                     struct directory *parent, struct slice name,
                                     uint64_t found_ns);
/** A pinned directory stays. */
void directory_tree_pin(struct directory_tree *tree, struct directory *directory);
void directory_tree_unpin(struct directory_tree *tree, struct directory *directory);
/** Calls @p handler for each pinned directory at @p directory and below; NULL: for all. It may
 *  unpin the one that it is given. */
void directory_tree_each_pinned(struct directory_tree *tree, const struct directory *directory,
                                void (*handler)(void *user, struct directory *pinned), void *user);
/** Forgets all of a filesystem. */
void directory_tree_forget(struct directory_tree *tree, uint64_t filesystem);
void directory_tree_clear(struct directory_tree *tree);

/** Appends the path below the top: "" or "/a/b". *@p found_ns becomes the latest of all on the way.
 */
void directory_append_path(const struct directory *directory, struct buffer *to,
                           uint64_t *found_ns);
