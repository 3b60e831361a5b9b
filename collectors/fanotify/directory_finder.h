#pragma once
/*
 * Where a directory is that the tree does not know: the kernel says the path of its handle, as it
 * is now. It and the directories above it are then in the tree.
 */
#include "collectors/fanotify/directory_tree.h"
#include "collectors/fanotify/filesystems.h"

/** The top of a filesystem; NULL: it cannot be looked at. */
struct directory *directory_finder_top(struct directory_tree *tree, struct filesystem *filesystem);
/** NULL: it is no more, or cannot be seen through the filesystem's mount. */
struct directory *directory_finder_find(struct directory_tree *tree, struct filesystem *filesystem,
                                        const struct file_id *id);
/** An O_PATH descriptor, or an error. */
int directory_finder_open(struct filesystem *filesystem, const struct file_id *id) MUST_CHECK;
