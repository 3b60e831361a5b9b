/* Directories are found by the number of their watch: who is renamed, or is found once more, is
 * known by it and not by a name. */
#include "collectors/inotify/watch_tree.h"

#include <openssl/lhash.h>
#include <stdlib.h>

struct watch_tree {
    OPENSSL_LHASH *by_watch; /* struct watched_directory */
    watch_tree_leave_handler leave;
    void *user;
    uint64_t generation;
};

static unsigned long watch_hash(const void *item)
{
    return (unsigned long)((const struct watched_directory *)item)->watch * 2654435761U;
}

static int watch_compare(const void *a, const void *b)
{
    return ((const struct watched_directory *)a)->watch !=
           ((const struct watched_directory *)b)->watch;
}

int watch_tree_new(struct watch_tree **treep, watch_tree_leave_handler leave, void *user)
{
    struct watch_tree *tree = calloc(1, sizeof(*tree));
    if (!tree)
        return -ENOMEM;
    tree->leave = leave;
    tree->user = user;
    tree->generation = 1;
    tree->by_watch = OPENSSL_LH_new(watch_hash, watch_compare);
    if (!tree->by_watch) {
        free(tree);
        return -ENOMEM;
    }
    *treep = tree;
    return 0;
}

static void directory_free(struct watched_directory *directory)
{
    free(directory->name);
    free(directory);
}

static void free_item(void *item)
{
    directory_free(item);
}

struct watch_tree *watch_tree_free(struct watch_tree *tree)
{
    if (tree) {
        OPENSSL_LH_doall(tree->by_watch, free_item);
        OPENSSL_LH_free(tree->by_watch);
        free(tree);
    }
    return NULL;
}

static char *text_of(struct slice name)
{
    char *text = malloc(name.length + 1);
    if (text) {
        memcpy(text, name.data, name.length);
        text[name.length] = '\0';
    }
    return text;
}

struct watched_directory *watch_tree_add(struct watch_tree *tree, struct watched_directory *parent,
                                         struct slice name, int32_t watch)
{
    struct watched_directory *directory = calloc(1, sizeof(*directory));
    if (!directory || !(directory->name = text_of(name))) {
        free(directory);
        return NULL;
    }
    directory->watch = watch;
    directory->parent = parent;
    TAILQ_INIT(&directory->children);
    OPENSSL_LH_insert(tree->by_watch, directory);
    if (OPENSSL_LH_error(tree->by_watch)) {
        directory_free(directory);
        return NULL;
    }
    if (parent)
        TAILQ_INSERT_TAIL(&parent->children, directory, in_parent);
    return directory;
}

struct watched_directory *watch_tree_find(const struct watch_tree *tree, int32_t watch)
{
    struct watched_directory key = {.watch = watch};
    return OPENSSL_LH_retrieve(tree->by_watch, &key);
}

static bool is_below(const struct watched_directory *directory, const struct watched_directory *top)
{
    while (directory && directory != top)
        directory = directory->parent;
    return directory == top;
}

int watch_tree_move(struct watch_tree *tree, struct watched_directory *directory,
                    struct watched_directory *parent, struct slice name)
{
    if (!directory->parent || is_below(parent, directory))
        return -ELOOP;
    char *text = text_of(name);
    if (!text)
        return -ENOMEM;
    free(directory->name);
    directory->name = text;
    TAILQ_REMOVE(&directory->parent->children, directory, in_parent);
    TAILQ_INSERT_TAIL(&parent->children, directory, in_parent);
    directory->parent = parent;
    tree->generation++;
    return 0;
}

static void take_out(struct watch_tree *tree, struct watched_directory *directory)
{
    tree->leave(tree->user, directory);
    if (directory->parent)
        TAILQ_REMOVE(&directory->parent->children, directory, in_parent);
    OPENSSL_LH_delete(tree->by_watch, directory);
    directory_free(directory);
}

/* From the leaves on, without recursion: a tree may be as deep as anybody likes. */
void watch_tree_remove(struct watch_tree *tree, struct watched_directory *directory)
{
    struct watched_directory *leaf = directory;
    while (leaf) {
        while (!TAILQ_EMPTY(&leaf->children))
            leaf = TAILQ_FIRST(&leaf->children);
        struct watched_directory *next = leaf == directory ? NULL : leaf->parent;
        take_out(tree, leaf);
        leaf = next;
    }
}

size_t watch_tree_count(const struct watch_tree *tree)
{
    return OPENSSL_LH_num_items(tree->by_watch);
}

uint64_t watch_tree_generation(const struct watch_tree *tree)
{
    return tree->generation;
}

static uint8_t *prepend(uint8_t *end, const void *bytes, size_t length)
{
    memcpy(end - length, bytes, length);
    return end - length;
}

/* Written from its end: the names come from the bottom to the top. */
void watch_tree_append_path(struct buffer *to, const struct watched_directory *directory,
                            struct slice name)
{
    size_t length = slice_is_null(name) ? 0 : name.length + 1;
    for (const struct watched_directory *d = directory; d; d = d->parent)
        length += strlen(d->name) + (d->parent != NULL);
    uint8_t *start = buffer_reserve(to, length + 1);
    if (!start)
        return;
    uint8_t *end = start + length;
    if (!slice_is_null(name))
        end = prepend(prepend(end, name.data, name.length), "/", 1);
    for (const struct watched_directory *d = directory; d; d = d->parent) {
        end = prepend(end, d->name, strlen(d->name));
        if (d->parent)
            end = prepend(end, "/", 1);
    }
    if (length == 0)
        start[length++] = '/';
    to->length += length;
}

struct watched_directory *watch_tree_next(const struct watched_directory *top,
                                          struct watched_directory *directory)
{
    if (!TAILQ_EMPTY(&directory->children))
        return TAILQ_FIRST(&directory->children);
    while (directory != top) {
        struct watched_directory *next = TAILQ_NEXT(directory, in_parent);
        if (next)
            return next;
        directory = directory->parent;
    }
    return NULL;
}
