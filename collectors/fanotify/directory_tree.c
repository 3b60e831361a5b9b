/* A table by id, and a queue in the order of use, the last used at its end. Only what has no
 * children leaves: what is met in the queue with children is as good as used, and goes to the end.
 * Each directory counts the pinned ones below it, so that a rename looks for them only where there
 * are any. */
#include "collectors/fanotify/directory_tree.h"

#include <openssl/lhash.h>
#include <stdlib.h>

TAILQ_HEAD(directory_queue, directory);

struct directory_tree {
    OPENSSL_LHASH *by_id;
    struct directory_queue order, pinned;
    size_t bytes, bytes_most;
};

enum { ENTRY_OVERHEAD = 96 }; /* of the table and of three pieces of memory */

static unsigned long id_hash(const void *item)
{
    const struct directory *directory = item;
    uint64_t hash = directory->id.filesystem;
    for (size_t i = 0; i < directory->id.handle.length; i++)
        hash = (hash ^ directory->id.handle.data[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

static int id_compare(const void *a, const void *b)
{
    const struct file_id *left = &((const struct directory *)a)->id;
    const struct file_id *right = &((const struct directory *)b)->id;
    return left->filesystem != right->filesystem || left->type != right->type ||
           !slice_equal(left->handle, right->handle);
}

int directory_tree_new(struct directory_tree **treep, size_t bytes_most)
{
    struct directory_tree *tree = calloc(1, sizeof(*tree));
    if (!tree)
        return -ENOMEM;
    TAILQ_INIT(&tree->order);
    TAILQ_INIT(&tree->pinned);
    tree->bytes_most = bytes_most;
    tree->by_id = OPENSSL_LH_new(id_hash, id_compare);
    if (!tree->by_id) {
        free(tree);
        return -ENOMEM;
    }
    *treep = tree;
    return 0;
}

static size_t bytes_of(const struct directory *directory)
{
    return sizeof(*directory) + directory->id.handle.length + ENTRY_OVERHEAD +
           (directory->name ? strlen(directory->name) : 0);
}

static struct directory *release(struct directory *directory)
{
    if (directory) {
        free((void *)(uintptr_t)directory->id.handle.data);
        free(directory->name);
        free(directory);
    }
    return NULL;
}

static struct directory_queue *queue_of(struct directory_tree *tree,
                                        const struct directory *directory)
{
    return directory->pinned ? &tree->pinned : &tree->order;
}

static void add_pinned(struct directory *directory, uint32_t n)
{
    for (struct directory *above = directory->parent; above; above = above->parent)
        above->n_pinned_below += n;
}

static uint32_t pinned_in(const struct directory *directory)
{
    return directory->n_pinned_below + directory->pinned;
}

/* It leaves its parent, with all that is pinned in it. */
static void detach(struct directory *directory)
{
    add_pinned(directory, -pinned_in(directory));
    if (directory->parent)
        directory->parent->n_children--;
    directory->parent = NULL;
}

static void attach(struct directory *directory, struct directory *parent)
{
    directory->parent = parent;
    if (parent)
        parent->n_children++;
    add_pinned(directory, pinned_in(directory));
}

/* It has no children. */
static void drop(struct directory_tree *tree, struct directory *directory)
{
    detach(directory);
    TAILQ_REMOVE(queue_of(tree, directory), directory, in_order);
    OPENSSL_LH_delete(tree->by_id, directory);
    tree->bytes -= bytes_of(directory);
    release(directory);
}

/* Of one filesystem, or of all: first they leave their parents, in any order. */
static void drop_all(struct directory_tree *tree, struct directory_queue *queue,
                     const uint64_t *filesystem, bool detach_only)
{
    struct directory *directory = TAILQ_FIRST(queue), *next;
    for (; directory; directory = next) {
        next = TAILQ_NEXT(directory, in_order);
        if (filesystem && directory->id.filesystem != *filesystem)
            continue;
        if (detach_only)
            detach(directory);
        else
            drop(tree, directory);
    }
}

static void forget(struct directory_tree *tree, const uint64_t *filesystem)
{
    drop_all(tree, &tree->order, filesystem, true);
    drop_all(tree, &tree->pinned, filesystem, true);
    drop_all(tree, &tree->order, filesystem, false);
    drop_all(tree, &tree->pinned, filesystem, false);
}

void directory_tree_forget(struct directory_tree *tree, uint64_t filesystem)
{
    forget(tree, &filesystem);
}

void directory_tree_clear(struct directory_tree *tree)
{
    forget(tree, NULL);
}

struct directory_tree *directory_tree_free(struct directory_tree *tree)
{
    if (tree) {
        directory_tree_clear(tree);
        OPENSSL_LH_free(tree->by_id);
        free(tree);
    }
    return NULL;
}

size_t directory_tree_bytes(const struct directory_tree *tree)
{
    return tree->bytes;
}

static void use(struct directory_tree *tree, struct directory *directory)
{
    if (directory->pinned || !TAILQ_NEXT(directory, in_order))
        return;
    TAILQ_REMOVE(&tree->order, directory, in_order);
    TAILQ_INSERT_TAIL(&tree->order, directory, in_order);
}

struct directory *directory_tree_find(struct directory_tree *tree, const struct file_id *id)
{
    const struct directory key = {.id = *id};
    struct directory *directory = OPENSSL_LH_retrieve(tree->by_id, &key);
    if (directory)
        use(tree, directory);
    return directory;
}

/* False: all that is left has children, is pinned, or is @p kept. */
static bool make_room(struct directory_tree *tree, size_t bytes, const struct directory *kept)
{
    struct directory *last = TAILQ_LAST(&tree->order, directory_queue);
    struct directory *directory = TAILQ_FIRST(&tree->order), *next;
    while (tree->bytes + bytes > tree->bytes_most && directory) {
        next = directory == last ? NULL : TAILQ_NEXT(directory, in_order);
        if (directory->n_children || directory == kept)
            use(tree, directory);
        else
            drop(tree, directory);
        directory = next;
    }
    return tree->bytes + bytes <= tree->bytes_most;
}

static struct directory *make(const struct file_id *id, struct slice name)
{
    struct directory *directory = calloc(1, sizeof(*directory));
    uint8_t *handle = directory ? malloc(id->handle.length) : NULL;
    if (!handle) {
        free(directory);
        return NULL;
    }
    memcpy(handle, id->handle.data, id->handle.length);
    directory->id = *id;
    directory->id.handle.data = handle;
    if (name.data && !(directory->name = strndup((const char *)name.data, name.length)))
        return release(directory);
    return directory;
}

static struct directory *add(struct directory_tree *tree, const struct file_id *id,
                             struct directory *parent, struct slice name)
{
    struct directory *directory = make(id, name);
    if (!directory)
        return NULL;
    if (!make_room(tree, bytes_of(directory), parent))
        return release(directory);
    OPENSSL_LH_insert(tree->by_id, directory);
    if (OPENSSL_LH_error(tree->by_id))
        return release(directory);
    tree->bytes += bytes_of(directory);
    TAILQ_INSERT_TAIL(&tree->order, directory, in_order);
    attach(directory, parent);
    return directory;
}

static bool is_in(const struct directory *directory, const struct directory *top)
{
    while (directory && directory != top)
        directory = directory->parent;
    return directory != NULL;
}

static struct directory *move(struct directory_tree *tree, struct directory *directory,
                              struct directory *parent, struct slice name)
{
    char *copy = name.data ? strndup((const char *)name.data, name.length) : NULL;
    if ((name.data && !copy) || is_in(parent, directory)) {
        free(copy);
        directory_tree_forget(tree, directory->id.filesystem);
        return NULL;
    }
    tree->bytes -= bytes_of(directory);
    free(directory->name);
    directory->name = copy;
    tree->bytes += bytes_of(directory);
    detach(directory);
    attach(directory, parent);
    return directory;
}

struct directory *directory_tree_put(struct directory_tree *tree, const struct file_id *id,
                                     struct directory *parent, struct slice name, uint64_t found_ns)
{
    struct directory *directory = directory_tree_find(tree, id);
    if (!directory)
        directory = add(tree, id, parent, name);
    else if (directory->parent != parent || !slice_equal(slice_text(directory->name), name))
        directory = move(tree, directory, parent, name);
    if (directory) {
        directory->found_ns = found_ns;
        directory->deleted = false;
    }
    return directory;
}

void directory_tree_pin(struct directory_tree *tree, struct directory *directory)
{
    if (directory->pinned)
        return;
    TAILQ_REMOVE(&tree->order, directory, in_order);
    TAILQ_INSERT_TAIL(&tree->pinned, directory, in_order);
    directory->pinned = true;
    add_pinned(directory, 1);
}

void directory_tree_unpin(struct directory_tree *tree, struct directory *directory)
{
    if (!directory->pinned)
        return;
    TAILQ_REMOVE(&tree->pinned, directory, in_order);
    TAILQ_INSERT_TAIL(&tree->order, directory, in_order);
    directory->pinned = false;
    add_pinned(directory, -UINT32_C(1));
}

void directory_tree_each_pinned(struct directory_tree *tree, const struct directory *directory,
                                void (*handler)(void *user, struct directory *pinned), void *user)
{
    struct directory *pinned = TAILQ_FIRST(&tree->pinned), *next;
    if (directory && pinned_in(directory) == 0)
        return;
    for (; pinned; pinned = next) {
        next = TAILQ_NEXT(pinned, in_order);
        if (!directory || is_in(pinned, directory))
            handler(user, pinned);
    }
}

/* From the end to the beginning: the length is known first. */
void directory_append_path(const struct directory *directory, struct buffer *to, uint64_t *found_ns)
{
    size_t length = 0;
    for (const struct directory *d = directory; d; d = d->parent) {
        length += d->name ? strlen(d->name) + 1 : 0;
        *found_ns = d->found_ns > *found_ns ? d->found_ns : *found_ns;
    }
    uint8_t *end = buffer_reserve(to, length);
    if (!end)
        return;
    to->length += length;
    end += length;
    for (const struct directory *d = directory; d && d->name; d = d->parent) {
        size_t n = strlen(d->name);
        end -= n + 1;
        *end = '/';
        memcpy(end + 1, d->name, n);
    }
}
