/* What events say of directories goes into the tree.
 *
 * The kernel merges equal events that wait unread, so of a directory that is renamed to and fro
 * within one nap nobody knows where it was last: from then until all has been read, the places are
 * those that the kernel says at that moment, and say so. */
#include "collectors/fanotify/fanotify_private.h"

#include <sys/fanotify.h>

/* It has another name, or one more, or none: what it is judged by is over. */
static void learn_file(struct source *source, const struct fanotify_event *event)
{
    const uint64_t names = FAN_RENAME | FAN_MOVE | FAN_DELETE | FAN_CREATE | FAN_ATTRIB;
    if (source->passed.n && (event->mask & names) &&
        passed_files_find(&source->passed, &event->target))
        fanotify_heed_files(source);
}

static void learn_birth(struct source *source, const struct fanotify_event *event)
{
    struct directory *parent = fanotify_locate(source, &event->place.directory);
    if (parent && file_id_known(&event->target) && !fanotify_is_itself(event->place.name))
        (void)directory_tree_put(source->tree, &event->target, parent, event->place.name, 0);
}

static void learn_end(struct source *source, const struct fanotify_event *event)
{
    struct directory *gone =
        file_id_known(&event->target) ? directory_tree_find(source->tree, &event->target) : NULL;
    if (!gone)
        return;
    fanotify_unpin(source, gone);
    gone->deleted = true;
}

static uint64_t add_to_hash(uint64_t hash, struct slice bytes)
{
    for (size_t i = 0; i < bytes.length; i++)
        hash = (hash ^ bytes.data[i]) * UINT64_C(0x100000001b3);
    return hash ^ bytes.length;
}

static uint64_t hash_place(const struct file_id *id, const struct fanotify_place *place)
{
    uint64_t hash = add_to_hash(id->filesystem, id->handle);
    return add_to_hash(add_to_hash(hash, place->directory.handle), place->name);
}

/* Has it come back within one reading? Then another rename may have merged with the first. */
static bool may_have_come_back(struct source *source, const struct fanotify_event *event)
{
    uint64_t place = hash_place(&event->target, &event->new_place);
    for (size_t i = 0; i < source->n_origins; i++)
        if (source->origins[i] == place)
            return true;
    if (source->n_origins == ORIGINS_MOST)
        return true;
    source->origins[source->n_origins++] = hash_place(&event->target, &event->place);
    return false;
}

/* Without the directory's own id nobody knows which of those that are known it was. */
static void learn_move(struct source *source, const struct fanotify_event *event)
{
    const struct filesystem *filesystem = fanotify_filesystem_of(source, &event->place.directory);
    if (!filesystem)
        return;
    if (source->unsure || !file_id_known(&event->target) ||
        !file_id_known(&event->new_place.directory)) {
        fanotify_forget(source, filesystem);
        return;
    }
    struct directory *moved = directory_tree_find(source->tree, &event->target);
    if (moved)
        directory_tree_each_pinned(source->tree, moved, fanotify_heed, source);
    struct directory *parent = fanotify_locate(source, &event->new_place.directory);
    moved = parent
                ? directory_tree_put(source->tree, &event->target, parent, event->new_place.name, 0)
                : NULL;
    fanotify_heed_files(source);
    source->generation++;
    source->unsure = may_have_come_back(source, event);
    if (!moved || source->unsure)
        fanotify_forget(source, filesystem);
}

void fanotify_learn(struct source *source, const struct fanotify_event *event)
{
    if (!(event->mask & FAN_ONDIR)) {
        learn_file(source, event);
        return;
    }
    if (event->mask & FAN_CREATE)
        learn_birth(source, event);
    if (event->mask & (FAN_RENAME | FAN_MOVE))
        learn_move(source, event);
    if (event->mask & FAN_DELETE)
        learn_end(source, event);
}
