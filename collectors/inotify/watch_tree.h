#pragma once
/*
 * The directories that are watched, as the events that have been read leave them: each has a place
 * under another one, or is the top of a tree. Knows nothing of the system. One thread.
 */
#include "collectors/files/file_selection.h"
#include "core/buffer.h"

#include <sys/queue.h>

struct watched_directory {
    int32_t watch;                    /* its number */
    struct watched_directory *parent; /* NULL: the top of a tree */
    char *name;                       /* of a top: its path; of /: "" */
    TAILQ_HEAD(, watched_directory) children;
    TAILQ_ENTRY(watched_directory) in_parent;
    /* Of who watches: */
    uint64_t device, inode;
    TAILQ_ENTRY(watched_directory) in_queue; /* waits to be listed */
    bool queued;
    bool gone;            /* the kernel has taken its watch away */
    bool fresh;           /* it was made while its place was watched: what is in it is new */
    bool again;           /* something in it could not be found: list it once more after a rename */
    uint64_t known_until; /* position in the events up to which names may not be known */
    uint64_t since_ns;    /* it was not yet watched then */
    enum file_verdict verdict; /* of what is in it, as of ... */
    uint64_t generation;       /* ... this one of the tree */
    uint32_t n_arrivals;       /* of arrivals.h */
};

struct watch_tree;

/** Told of each directory that leaves the tree, before it is freed. */
typedef void (*watch_tree_leave_handler)(void *user, struct watched_directory *directory);

int watch_tree_new(struct watch_tree **treep, watch_tree_leave_handler leave,
                   void *user) MUST_CHECK;
struct watch_tree *watch_tree_free(struct watch_tree *tree);

/** NULL when memory is exhausted. No directory of this number may be in the tree. */
struct watched_directory *watch_tree_add(struct watch_tree *tree, struct watched_directory *parent,
                                         struct slice name, int32_t watch);
struct watched_directory *watch_tree_find(const struct watch_tree *tree, int32_t watch);
/** Give a directory another place. -ELOOP: that is below it, or it is the top of a tree. */
int watch_tree_move(struct watch_tree *tree, struct watched_directory *directory,
                    struct watched_directory *parent, struct slice name) MUST_CHECK;
/** Take out a directory and all that is below it. */
void watch_tree_remove(struct watch_tree *tree, struct watched_directory *directory);

size_t watch_tree_count(const struct watch_tree *tree);
/** Another number after each move: paths may have changed. */
uint64_t watch_tree_generation(const struct watch_tree *tree);
/** Append the absolute path of a directory, or of an entry in it. */
void watch_tree_append_path(struct buffer *to, const struct watched_directory *directory,
                            struct slice name);
/** The directory behind this one in a walk of its tree, which begins with the top; NULL: none. */
struct watched_directory *watch_tree_next(const struct watched_directory *top,
                                          struct watched_directory *directory);
