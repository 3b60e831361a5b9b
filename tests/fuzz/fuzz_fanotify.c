// links: vestige_fanotify
/* The first byte chooses: 0 what a read of fanotify gives, 1 a message, 2 mountinfo. */
#include "fuzz_messages.h"

#include "collectors/fanotify/fanotify_event.h"
#include "collectors/fanotify/fanotify_message.h"
#include "collectors/fanotify/overlay_layers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_id(const struct file_id *id)
{
    fuzz_read(id->handle);
    fuzz_sum += fanotify_event_inode(id);
    if (id->handle.length > FILE_HANDLE_MOST || (file_id_known(id) && id->handle.length == 0))
        abort();
}

static void read_place(const struct fanotify_place *place)
{
    read_id(&place->directory);
    fuzz_read(place->name);
    if (place->name.length && memchr(place->name.data, 0, place->name.length))
        abort();
}

static void run_events(struct slice bytes)
{
    struct bounded_reader reader = bounded_reader_of(bytes.data, bytes.length);
    struct fanotify_event event;
    int r;
    while ((r = fanotify_event_next(&reader, &event)) > 0) {
        if (r == FANOTIFY_EVENT_MALFORMED)
            continue;
        read_place(&event.place);
        read_place(&event.new_place);
        read_id(&event.target);
    }
    if (r != FANOTIFY_EVENT_END && r != -EBADMSG)
        abort();
}

/* What was taken is what would have been written. */
static void take_file(void *user, const struct fact *fact)
{
    static uint8_t bytes[FANOTIFY_MESSAGE_MOST];
    const struct slice *message = user;
    if (fact->kind == FACT_FILES_READ &&
        slice_equal(*message, slice_of(&fact->files_read.until_ns, FANOTIFY_READ_SIZE)))
        return;
    if (fact->kind != FACT_FILE)
        abort();
    size_t length = fanotify_message_write(bytes, &fact->file);
    if (!slice_equal(*message, slice_of(bytes, length)))
        abort();
}

static void run_message(struct slice bytes)
{
    struct message message = {
        .source = SOURCE_FANOTIFY, .kind = MESSAGE_DATA, .boot_ns = UINT64_MAX / 2, .bytes = bytes};
    uint64_t n_facts = 0;
    int data = fanotify_decode(NULL, &message, take_file, &bytes);
    message.kind = MESSAGE_NOTE;
    int note = fanotify_decode(NULL, &message, fuzz_read_fact, &n_facts);
    if ((data != 0 && data != -EBADMSG) || (note != 0 && note != -EBADMSG))
        abort();
}

static int take_layer(void *user, enum overlay_kind kind, const char *directory)
{
    return overlay_layers_add(user, kind, directory, "/merged");
}

static void run_mounts(struct slice bytes)
{
    struct mount_list list;
    struct overlay_layers layers = {0};
    if (mount_list_init(&list, bytes) < 0)
        abort();
    for (size_t i = 0; i < list.n; i++) {
        const struct mount *mount = &list.items[i];
        fuzz_read(slice_text(mount->root));
        fuzz_read(slice_text(mount->type));
        if (layers.n < 64 && overlay_options(mount->options, take_layer, &layers) < 0)
            abort();
        fuzz_sum += overlay_layers_find(&layers, slice_text(mount->point)) != NULL;
    }
    overlay_layers_deinit(&layers);
    mount_list_deinit(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice bytes = slice_of(data + 1, size - 1);
    if (data[0] % 3 == 0)
        run_events(bytes);
    else if (data[0] % 3 == 1)
        run_message(bytes);
    else
        run_mounts(bytes);
    return 0;
}
