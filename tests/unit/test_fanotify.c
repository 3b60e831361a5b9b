// links: vestige_fanotify
/* The parts of the fanotify source that need no kernel: its events, messages, the tree of
 * directories, mountinfo, and the layers of overlays. */
#include "collectors/fanotify/directory_tree.h"
#include "collectors/fanotify/fanotify_event.h"
#include "collectors/fanotify/fanotify_message.h"
#include "collectors/fanotify/mount_list.h"
#include "collectors/fanotify/overlay_layers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fanotify.h>

#include <cmocka.h>

/* ---- events ---- */

struct raw {
    uint8_t bytes[2048];
    size_t length;
};

static void add_bytes(struct raw *raw, const void *bytes, size_t length)
{
    memcpy(raw->bytes + raw->length, bytes, length);
    raw->length += length;
}

/* An info record; @p name NULL: without one. */
static void add_record(struct raw *raw, uint8_t type, uint64_t filesystem, int32_t handle_type,
                       struct slice handle, const char *name)
{
    size_t name_length = name ? strlen(name) + 1 : 0;
    size_t length = 4 + 8 + 8 + handle.length + name_length;
    struct fanotify_event_info_header header = {.info_type = type,
                                                .len = (uint16_t)((length + 3) / 4 * 4)};
    uint32_t handle_length = (uint32_t)handle.length;
    add_bytes(raw, &header, sizeof(header));
    add_bytes(raw, &filesystem, sizeof(filesystem));
    add_bytes(raw, &handle_length, sizeof(handle_length));
    add_bytes(raw, &handle_type, sizeof(handle_type));
    add_bytes(raw, handle.data, handle.length);
    if (name)
        add_bytes(raw, name, name_length);
    add_bytes(raw, "\0\0\0", header.len - length);
}

/* Starts an event; its length is set by end_event. */
static size_t begin_event(struct raw *raw, uint64_t mask, int32_t pid)
{
    size_t start = raw->length;
    struct fanotify_event_metadata metadata = {.vers = FANOTIFY_METADATA_VERSION,
                                               .metadata_len = sizeof(metadata),
                                               .mask = mask,
                                               .fd = FAN_NOFD,
                                               .pid = pid};
    add_bytes(raw, &metadata, sizeof(metadata));
    return start;
}

static void end_event(struct raw *raw, size_t start)
{
    uint32_t length = (uint32_t)(raw->length - start);
    memcpy(raw->bytes + start, &length, sizeof(length));
}

static const uint8_t ext4_handle[] = {7, 0, 0, 0, 1, 2, 3, 4};

static void an_open(void **state)
{
    struct raw raw = {.length = 0};
    struct fanotify_event event;
    (void)state;
    size_t start = begin_event(&raw, FAN_OPEN | FAN_CLOSE_NOWRITE, 123);
    add_record(&raw, FAN_EVENT_INFO_TYPE_DFID_NAME, 5, 1, slice_of("directory", 9), "a\nname");
    add_record(&raw, FAN_EVENT_INFO_TYPE_FID, 5, 1, slice_of(ext4_handle, 8), NULL);
    end_event(&raw, start);
    end_event(&raw, begin_event(&raw, FAN_Q_OVERFLOW, 0));
    struct bounded_reader reader = bounded_reader_of(raw.bytes, raw.length);
    assert_int_equal(fanotify_event_next(&reader, &event), FANOTIFY_EVENT_READ);
    assert_int_equal(event.mask, FAN_OPEN | FAN_CLOSE_NOWRITE);
    assert_int_equal(event.pid, 123);
    assert_int_equal(event.place.directory.filesystem, 5);
    assert_true(slice_is(event.place.directory.handle, "directory"));
    assert_true(slice_is(event.place.name, "a\nname"));
    assert_int_equal(fanotify_event_inode(&event.target), 7);
    assert_false(file_id_known(&event.new_place.directory));
    assert_int_equal(fanotify_event_next(&reader, &event), FANOTIFY_EVENT_READ);
    assert_int_equal(event.mask, FAN_Q_OVERFLOW);
    assert_false(file_id_known(&event.place.directory));
    assert_int_equal(fanotify_event_next(&reader, &event), FANOTIFY_EVENT_END);
}

static void a_rename(void **state)
{
    struct raw raw = {.length = 0};
    struct fanotify_event event;
    (void)state;
    size_t start = begin_event(&raw, FAN_RENAME | FAN_ONDIR, 1);
    add_record(&raw, FAN_EVENT_INFO_TYPE_OLD_DFID_NAME, 5, 1, slice_of("from", 4), "old");
    add_record(&raw, FAN_EVENT_INFO_TYPE_NEW_DFID_NAME, 5, 1, slice_of("to", 2), "new");
    add_record(&raw, FAN_EVENT_INFO_TYPE_FID, 5, 1, slice_of(ext4_handle, 8), NULL);
    end_event(&raw, start);
    struct bounded_reader reader = bounded_reader_of(raw.bytes, raw.length);
    assert_int_equal(fanotify_event_next(&reader, &event), FANOTIFY_EVENT_READ);
    assert_true(slice_is(event.place.name, "old"));
    assert_true(slice_is(event.new_place.name, "new"));
    assert_true(slice_is(event.new_place.directory.handle, "to"));
    assert_true(file_id_known(&event.target));
}

/* A bad record spoils its event, a bad length all that is behind. */
static void malformed_events(void **state)
{
    struct raw raw = {.length = 0};
    struct fanotify_event event;
    (void)state;
    size_t start = begin_event(&raw, FAN_OPEN, 1);
    add_record(&raw, FAN_EVENT_INFO_TYPE_DFID_NAME, 5, 1, slice_of("directory123", 12), NULL);
    end_event(&raw, start); /* no name */
    start = begin_event(&raw, FAN_OPEN, 1);
    add_record(&raw, FAN_EVENT_INFO_TYPE_FID, 5, 1, slice_of(ext4_handle, 8), NULL);
    raw.bytes[raw.length - 16] = 9; /* a handle longer than its record */
    end_event(&raw, start);
    start = begin_event(&raw, FAN_MODIFY, 9);
    end_event(&raw, start);
    size_t good = raw.length;
    begin_event(&raw, FAN_OPEN, 1); /* without a length */
    struct bounded_reader reader = bounded_reader_of(raw.bytes, raw.length);
    assert_int_equal(fanotify_event_next(&reader, &event), FANOTIFY_EVENT_MALFORMED);
    assert_int_equal(fanotify_event_next(&reader, &event), FANOTIFY_EVENT_MALFORMED);
    assert_int_equal(fanotify_event_next(&reader, &event), FANOTIFY_EVENT_READ);
    assert_int_equal(event.pid, 9);
    assert_int_equal(fanotify_event_next(&reader, &event), -EBADMSG);
    for (size_t length = good - 23; length < good; length++) {
        reader = bounded_reader_of(raw.bytes + good - 24, length - (good - 24));
        assert_int_equal(fanotify_event_next(&reader, &event), -EBADMSG);
    }
}

static void inodes_of_handles(void **state)
{
    const uint32_t tmpfs[] = {99, 0x11, 0x22};
    const uint64_t xfs[] = {0x123456789a, 0};
    struct file_id id = {.type = 1, .handle = slice_of(tmpfs, sizeof(tmpfs))};
    (void)state;
    assert_int_equal(fanotify_event_inode(&id), 0x2200000011);
    id = (struct file_id){.type = 0x81, .handle = slice_of(xfs, 12)};
    assert_int_equal(fanotify_event_inode(&id), 0x123456789a);
    id.handle.length = 7;
    assert_int_equal(fanotify_event_inode(&id), 0);
    id = (struct file_id){.type = 0x71, .handle = slice_of(xfs, 12)};
    assert_int_equal(fanotify_event_inode(&id), 0);
    id = (struct file_id){0};
    assert_int_equal(fanotify_event_inode(&id), 0);
}

/* ---- messages ---- */

static struct fact_file decoded;
static unsigned n_decoded;
static uint64_t read_until_ns;

static void take_fact(void *user, const struct fact *fact)
{
    (void)user;
    assert_int_equal(fact->boot_ns, 77);
    read_until_ns = fact->kind == FACT_FILES_READ ? fact->files_read.until_ns : 0;
    if (fact->kind == FACT_FILE)
        decoded = fact->file;
    else
        assert_int_equal(fact->kind, FACT_FILES_READ);
    n_decoded++;
}

static int decode(const void *bytes, size_t length)
{
    const struct message message = {.source = SOURCE_FANOTIFY,
                                    .kind = MESSAGE_DATA,
                                    .boot_ns = 77,
                                    .bytes = slice_of(bytes, length)};
    return fanotify_decode(NULL, &message, take_fact, NULL);
}

static void messages(void **state)
{
    static uint8_t bytes[FANOTIFY_MESSAGE_MOST];
    const struct fact_file file = {
        .pid = 12,
        .events = FILE_RENAMED,
        .since_ns = 66,
        .directory = true,
        .path_at_read = true,
        .path = slice_text("/a\n\xff"),
        .new_path = slice_text("handle:00ff/b"),
        .status = {.device = 3, .inode = 4, .mode = 5, .size = UINT64_MAX}
    };
    (void)state;
    size_t length = fanotify_message_write(bytes, &file);
    n_decoded = 0;
    assert_int_equal(decode(bytes, length), 0);
    assert_int_equal(n_decoded, 1);
    assert_int_equal(decoded.pid, 12);
    assert_int_equal(decoded.events, FILE_RENAMED);
    assert_int_equal(decoded.since_ns, 66);
    assert_true(decoded.directory && decoded.path_at_read);
    assert_true(slice_equal(decoded.path, file.path));
    assert_true(slice_equal(decoded.new_path, file.new_path));
    assert_int_equal(decoded.status.device, 3);
    assert_int_equal(decoded.status.inode, 4);
    assert_int_equal(decoded.status.mode, 5);
    assert_int_equal(decoded.status.size, UINT64_MAX);
    for (size_t i = 0; i < length; i++)
        assert_int_equal(decode(bytes, i), -EBADMSG);
    assert_int_equal(decode(bytes, length + 1), -EBADMSG);
    assert_int_equal(n_decoded, 1);
}

/* Until when all has been told; nobody tells of what is still to come. */
static void messages_of_readings(void **state)
{
    uint64_t until_ns = 77;
    (void)state;
    n_decoded = 0;
    assert_int_equal(decode(&until_ns, sizeof(until_ns)), 0);
    assert_int_equal(n_decoded, 1);
    assert_int_equal(read_until_ns, 77);
    until_ns = 78;
    assert_int_equal(decode(&until_ns, sizeof(until_ns)), -EBADMSG);
    assert_int_equal(n_decoded, 1);
}

static void refuse(const struct fact_file *file)
{
    static uint8_t bytes[FANOTIFY_MESSAGE_MOST];
    assert_int_equal(decode(bytes, fanotify_message_write(bytes, file)), -EBADMSG);
}

static void malformed_messages(void **state)
{
    static char longest[FILE_PATH_MOST + 1];
    static uint8_t bytes[FANOTIFY_MESSAGE_MOST];
    struct fact_file file = {.events = FILE_OPENED, .path = slice_text("/a")};
    (void)state;
    memset(longest, 'x', sizeof(longest));
    longest[0] = '/';
    file.path = slice_of(longest, FILE_PATH_MOST);
    n_decoded = 0;
    assert_int_equal(decode(bytes, fanotify_message_write(bytes, &file)), 0);
    assert_int_equal(decoded.path.length, FILE_PATH_MOST);
    assert_true(slice_is_null(decoded.new_path));
    file.path = slice_of(longest, FILE_PATH_MOST + 1);
    refuse(&file);
    file.path = slice_text("relative");
    refuse(&file);
    file.path = slice_text("handle:");
    refuse(&file);
    file.path = slice_of("/a\0b", 4);
    refuse(&file);
    file.path = slice_text("/a");
    file.events = 0;
    refuse(&file);
    file.events = FILE_ATTRIBUTES_CHANGED << 1;
    refuse(&file);
    file.events = FILE_OPENED;
    file.new_path = slice_text("/b");
    refuse(&file);
    assert_int_equal(n_decoded, 1);
}

/* ---- the tree of directories ---- */

static struct file_id id_of(const char *handle)
{
    return (struct file_id){.filesystem = 1, .type = 1, .handle = slice_text(handle)};
}

static struct directory *put(struct directory_tree *tree, const char *handle,
                             struct directory *parent, const char *name)
{
    struct file_id id = id_of(handle);
    return directory_tree_put(tree, &id, parent, slice_text(name), 0);
}

static struct directory *find(struct directory_tree *tree, const char *handle)
{
    struct file_id id = id_of(handle);
    return directory_tree_find(tree, &id);
}

static void assert_path(const struct directory *directory, const char *path, uint64_t found_ns)
{
    struct buffer buffer = BUFFER_NULL;
    uint64_t latest_ns = 0;
    assert_non_null(directory);
    directory_append_path(directory, &buffer, &latest_ns);
    assert_true(slice_is(buffer_slice(&buffer), path));
    assert_int_equal(latest_ns, found_ns);
    buffer_deinit(&buffer);
}

static struct directory_tree *make_tree(size_t bytes)
{
    struct directory_tree *tree;
    assert_int_equal(directory_tree_new(&tree, bytes), 0);
    return tree;
}

static void renames(void **state)
{
    struct directory_tree *tree = make_tree(1 << 20);
    char handle[16], expected[512] = "";
    (void)state;
    struct directory *directory = put(tree, "top", NULL, NULL), *first = NULL;
    assert_path(directory, "", 0);
    for (int i = 0; i < 40; i++) {
        snprintf(handle, sizeof(handle), "d%d", i);
        directory = put(tree, handle, directory, handle);
        first = first ? first : directory;
        strcat(strcat(expected, "/"), handle);
    }
    assert_path(find(tree, "d39"), expected, 0);
    put(tree, "other", find(tree, "top"), "other");
    size_t before = directory_tree_bytes(tree);
    assert_ptr_equal(put(tree, "d0", find(tree, "other"), "renamed"), first);
    assert_int_equal(directory_tree_bytes(tree), before + strlen("renamed") - strlen("d0"));
    char renamed[1024];
    snprintf(renamed, sizeof(renamed), "/other/renamed%s", expected + strlen("/d0"));
    assert_path(find(tree, "d39"), renamed, 0);
    struct file_id id = id_of("d5");
    directory_tree_put(tree, &id, find(tree, "d4"), slice_text("d5"), 1234);
    assert_path(find(tree, "d4"), "/other/renamed/d1/d2/d3/d4", 0);
    assert_path(find(tree, "d39"), renamed, 1234);
    assert_null(put(tree, "d0", find(tree, "d39"), "loop"));
    assert_null(find(tree, "top"));
    assert_int_equal(directory_tree_bytes(tree), 0);
    directory_tree_free(tree);
}

static void eviction(void **state)
{
    struct directory_tree *tree = make_tree(16 << 10);
    char handle[16];
    (void)state;
    struct directory *top = put(tree, "top", NULL, NULL);
    struct directory *pinned = put(tree, "pinned", top, "pinned");
    directory_tree_pin(tree, pinned);
    put(tree, "kept", top, "kept");
    put(tree, "below", find(tree, "kept"), "below");
    for (int i = 0; i < 1000; i++) {
        snprintf(handle, sizeof(handle), "d%d", i);
        assert_non_null(put(tree, handle, top, handle));
        assert_true(directory_tree_bytes(tree) <= 16 << 10);
        assert_path(find(tree, "below"), "/kept/below", 0);
    }
    assert_null(find(tree, "d0"));
    assert_path(find(tree, "d999"), "/d999", 0);
    assert_ptr_equal(find(tree, "pinned"), pinned);
    directory_tree_unpin(tree, pinned);
    directory_tree_free(tree);
}

/* Nothing can leave when each has a child. */
static void no_room(void **state)
{
    struct directory_tree *tree = make_tree(8 << 10);
    char handle[16];
    int i = 0;
    (void)state;
    struct directory *directory = put(tree, "top", NULL, NULL), *next = directory;
    for (; next && i < 1000; i++) {
        snprintf(handle, sizeof(handle), "d%d", i);
        directory = next;
        next = put(tree, handle, directory, handle);
    }
    assert_null(next);
    assert_in_range(i, 10, 100);
    assert_non_null(find(tree, "top"));
    directory_tree_free(tree);
}

static void note_pinned(void *user, struct directory *directory)
{
    strcat(user, directory->name);
}

static void pinned_ones(void **state)
{
    struct directory_tree *tree = make_tree(1 << 20);
    (void)state;
    struct directory *top = put(tree, "top", NULL, NULL);
    struct directory *a = put(tree, "a", top, "a"), *b = put(tree, "b", top, "b");
    struct directory *c = put(tree, "c", a, "c"), *d = put(tree, "d", c, "d");
    char names[16] = "";
    directory_tree_pin(tree, a);
    directory_tree_pin(tree, d);
    directory_tree_each_pinned(tree, b, note_pinned, names);
    assert_string_equal(names, "");
    directory_tree_each_pinned(tree, a, note_pinned, names);
    assert_string_equal(names, "ad");
    assert_ptr_equal(put(tree, "c", b, "c"), c);
    names[0] = '\0';
    directory_tree_each_pinned(tree, b, note_pinned, names);
    assert_string_equal(names, "d");
    names[0] = '\0';
    directory_tree_each_pinned(tree, a, note_pinned, names);
    assert_string_equal(names, "a");
    directory_tree_unpin(tree, a);
    directory_tree_unpin(tree, d);
    assert_int_equal(top->n_pinned_below, 0);
    assert_int_equal(b->n_pinned_below, 0);
    directory_tree_forget(tree, 2);
    assert_non_null(find(tree, "d"));
    directory_tree_forget(tree, 1);
    assert_int_equal(directory_tree_bytes(tree), 0);
    directory_tree_free(tree);
}

/* ---- mounts ---- */

static void mountinfo(void **state)
{
    static const char text[] =
        "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"
        "28 27 8:17 /@home /mnt/a\\040b\\134c rw shared:5 master:1 - btrfs /dev/sdb1 rw\n"
        "garbage\n"
        "29 27 0:40 / /x rw - overlay overlay rw,lowerdir=/l1:/l2,upperdir=/u,workdir=/w\n"
        "30 27 0:41 / relative rw - tmpfs tmpfs rw\n"
        "31 27 0:42 / /none rw - tmpfs\n";
    struct mount_list list;
    (void)state;
    assert_int_equal(mount_list_init(&list, slice_text(text)), 0);
    assert_int_equal(list.n, 4);
    assert_int_equal(list.n_malformed, 2);
    assert_int_equal(list.items[0].device, UINT64_C(254) << 32);
    assert_string_equal(list.items[1].point, "/mnt/a b\\c");
    assert_string_equal(list.items[1].root, "/@home");
    assert_string_equal(list.items[1].type, "btrfs");
    assert_int_equal(list.items[1].device, UINT64_C(8) << 32 | 17);
    assert_string_equal(list.items[2].point, "/x");
    assert_string_equal(list.items[2].type, "overlay");
    assert_string_equal(list.items[3].options, "");
    mount_list_deinit(&list);
    assert_int_equal(mount_list_init(&list, SLICE_NULL), 0);
    assert_int_equal(list.n, 0);
    mount_list_deinit(&list);
}

static int note_layer(void *user, enum overlay_kind kind, const char *directory)
{
    static const char kinds[] = {
        [OVERLAY_UPPER] = 'u', [OVERLAY_LOWER] = 'l', [OVERLAY_WORK] = 'w'};
    char *to = user;
    snprintf(to + strlen(to), 256 - strlen(to), "%c%s ", kinds[kind], directory);
    return 0;
}

static void layers_of_options(void **state)
{
    char found[256] = "";
    (void)state;
    assert_int_equal(overlay_options("rw,lowerdir=/a\\:b:/c\\,d::/e,upperdir=/u\\,v,workdir=/w,"
                                     "lowerdir+=/f,uuid=on,lowerdir=",
                                     note_layer, found),
                     0);
    assert_string_equal(found, "l/a:b l/c,d l/e u/u,v w/w l/f ");
}

static void layers_of_paths(void **state)
{
    struct overlay_layers layers = {0};
    (void)state;
    assert_int_equal(overlay_layers_add(&layers, OVERLAY_LOWER, "/base", "/m1"), 0);
    assert_int_equal(overlay_layers_add(&layers, OVERLAY_UPPER, "/base/u1/", "/m1"), 0);
    assert_int_equal(overlay_layers_add(&layers, OVERLAY_WORK, "/w1", "/m1"), 0);
    const struct overlay_layer *layer = overlay_layers_find(&layers, slice_text("/base/u1/x"));
    assert_int_equal(layer->kind, OVERLAY_UPPER);
    assert_int_equal(layer->length, strlen("/base/u1"));
    assert_int_equal(overlay_layers_find(&layers, slice_text("/base/u12"))->kind, OVERLAY_LOWER);
    assert_int_equal(overlay_layers_find(&layers, slice_text("/w1/work"))->kind, OVERLAY_WORK);
    assert_null(overlay_layers_find(&layers, slice_text("/bas")));
    assert_int_equal(overlay_layers_add(&layers, OVERLAY_LOWER, "/base", "/m2"), 0);
    assert_null(overlay_layers_find(&layers, slice_text("/base/x")));
    overlay_layers_deinit(&layers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open),
        cmocka_unit_test(a_rename),
        cmocka_unit_test(malformed_events),
        cmocka_unit_test(inodes_of_handles),
        cmocka_unit_test(messages),
        cmocka_unit_test(messages_of_readings),
        cmocka_unit_test(malformed_messages),
        cmocka_unit_test(renames),
        cmocka_unit_test(eviction),
        cmocka_unit_test(no_room),
        cmocka_unit_test(pinned_ones),
        cmocka_unit_test(mountinfo),
        cmocka_unit_test(layers_of_options),
        cmocka_unit_test(layers_of_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
