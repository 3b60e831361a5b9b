/* Where an event happened: the directory in the tree, the path as the host sees it, through an
 * overlay too, and whether what happens there is told. */
#include "collectors/fanotify/fanotify_private.h"

#include "core/hex.h"

struct filesystem *fanotify_filesystem_of(const struct source *source, const struct file_id *id)
{
    return filesystems_find(&source->filesystems, id->filesystem);
}

/* The path that the host sees at @p directory, before an overlay's view. */
static void append_real_path(const struct source *source, const struct directory *directory,
                             struct buffer *to, uint64_t *found_ns)
{
    const struct filesystem *filesystem = fanotify_filesystem_of(source, &directory->id);
    if (filesystem)
        buffer_append_text(to, filesystem->point);
    directory_append_path(directory, to, found_ns);
}

static void append_view(struct buffer *to, struct slice path, const struct overlay_layer *layer)
{
    size_t left_out = 0;
    if (layer && layer->kind != OVERLAY_WORK) {
        buffer_append_text(to, layer->merged);
        left_out = layer->length;
    }
    buffer_append(to, path.data + left_out, path.length - left_out);
}

/* What all that is in a directory has in common. */
void fanotify_judge(struct source *source, struct directory *directory)
{
    struct buffer path CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct buffer view CLEANUP(buffer_deinit) = BUFFER_NULL;
    uint64_t found_ns = 0;
    append_real_path(source, directory, &path, &found_ns);
    const struct overlay_layer *layer =
        overlay_layers_find(&source->filesystems.layers, buffer_slice(&path));
    append_view(&view, buffer_slice(&path), layer);
    directory->layer = layer;
    directory->verdict = layer && layer->kind == OVERLAY_WORK
                             ? FILE_EXCLUDED
                             : file_selection_below(source->selection, buffer_slice(&view));
    directory->generation = source->generation;
    directory->n_dropped = 0;
}

struct directory *fanotify_locate(struct source *source, const struct file_id *id)
{
    if (!file_id_known(id))
        return NULL;
    struct directory *directory = directory_tree_find(source->tree, id);
    if (!directory) {
        struct filesystem *filesystem = fanotify_filesystem_of(source, id);
        directory = filesystem ? directory_finder_find(source->tree, filesystem, id) : NULL;
    }
    if (directory && directory->generation != source->generation)
        fanotify_judge(source, directory);
    return directory;
}

/* Nothing is invented for a directory that is no more. */
static void append_handle(struct buffer *to, const struct fanotify_place *place)
{
    buffer_append_text(to, "handle:");
    hex_append(to, place->directory.handle.data, place->directory.handle.length);
    if (!fanotify_is_itself(place->name)) {
        buffer_append_byte(to, '/');
        buffer_append_slice(to, place->name);
    }
}

static void append_name(struct buffer *to, struct slice name)
{
    if (!fanotify_is_itself(name)) {
        buffer_append_byte(to, '/');
        buffer_append_slice(to, name);
    } else if (to->length == 0) {
        buffer_append_byte(to, '/');
    }
}

/* Its path in @p to, and in @p real the one by which it can be looked at: nothing if there is none.
 */
void fanotify_build_path(struct source *source, const struct fanotify_place *place,
                         struct where *where, struct buffer *to, struct buffer *real)
{
    uint64_t found_ns = 0;
    buffer_clear(to);
    buffer_clear(real);
    if (where->directory) {
        const struct overlay_layer *layer = where->directory->layer;
        append_real_path(source, where->directory, real, &found_ns);
        append_name(real, place->name);
        append_view(to, buffer_slice(real), layer);
    }
    where->at_read = found_ns > source->since_ns;
    if (to->length == 0 || to->length > FILE_PATH_MOST) {
        buffer_clear(to);
        append_handle(to, place);
    }
    if (!where->directory)
        where->verdict = FILE_INCLUDED;
    else if (fanotify_is_itself(place->name) || where->verdict == FILE_MIXED)
        where->verdict = file_selection_path(source->selection, buffer_slice(to));
}

/* False: nothing in this directory is told of such events. */
bool fanotify_find_place(struct source *source, const struct fanotify_place *place, uint32_t events,
                         struct where *where)
{
    *where = (struct where){.directory = fanotify_locate(source, &place->directory),
                            .verdict = FILE_INCLUDED};
    struct directory *directory = where->directory;
    if (!directory)
        return true;
    const struct overlay_layer *layer = directory->layer;
    where->verdict = directory->verdict;
    where->from_work = layer && layer->kind == OVERLAY_WORK;
    return where->verdict == FILE_MIXED || fanotify_is_itself(place->name) ||
           file_verdict_tells(where->verdict, events);
}
