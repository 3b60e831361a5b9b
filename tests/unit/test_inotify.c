// links: vestige_inotify
/* The pure parts of the inotify source: records, the tree of watched directories, moves, what
 * arrives in a new directory, messages. */
#include "collectors/inotify/arrivals.h"
#include "collectors/inotify/filesystem_type.h"
#include "collectors/inotify/inotify_event.h"
#include "collectors/inotify/inotify_message.h"
#include "collectors/inotify/moves.h"

#include <linux/magic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>

#include <cmocka.h>

static void assert_slice(struct slice slice, const char *text)
{
    assert_int_equal(slice.length, strlen(text));
    assert_memory_equal(slice.data, text, strlen(text));
}

/* Records. */

static void append_record(struct buffer *to, int watch, uint32_t mask, const char *name,
                          uint32_t length)
{
    struct inotify_event event = {.wd = watch, .mask = mask, .cookie = 7, .len = length};
    static const char zeros[512];
    buffer_append(to, &event, sizeof(event));
    buffer_append_text(to, name);
    if (length > strlen(name) && length <= sizeof(zeros))
        buffer_append(to, zeros, length - strlen(name));
}

static void test_records(void **state)
{
    (void)state;
    struct buffer bytes = BUFFER_NULL;
    struct inotify_record record;
    append_record(&bytes, 3, IN_OPEN, "name", 16);
    append_record(&bytes, 4, IN_DELETE_SELF, "", 0);
    append_record(&bytes, -1, IN_Q_OVERFLOW, "", 0);
    struct slice rest = buffer_slice(&bytes);
    assert_int_equal(inotify_record_next(&rest, &record), INOTIFY_RECORD);
    assert_int_equal(record.watch, 3);
    assert_int_equal(record.mask, IN_OPEN);
    assert_int_equal(record.cookie, 7);
    assert_int_equal(record.length, 32);
    assert_slice(record.name, "name");
    assert_int_equal(inotify_record_next(&rest, &record), INOTIFY_RECORD);
    assert_int_equal(record.watch, 4);
    assert_true(slice_is_null(record.name));
    assert_int_equal(inotify_record_next(&rest, &record), INOTIFY_RECORD);
    assert_int_equal(record.watch, -1);
    assert_int_equal(inotify_record_next(&rest, &record), INOTIFY_RECORDS_END);
    buffer_deinit(&bytes);
}

static void expect_bad(const char *name, uint32_t length, size_t cut)
{
    struct buffer bytes = BUFFER_NULL;
    struct inotify_record record;
    append_record(&bytes, 3, IN_OPEN, name, length);
    /* Of exactly this size, so that a byte more is noticed. */
    size_t left = bytes.length - cut;
    uint8_t *exact = malloc(left ? left : 1);
    assert_non_null(exact);
    memcpy(exact, bytes.data, left);
    struct slice rest = slice_of(exact, left);
    assert_int_equal(inotify_record_next(&rest, &record), -EBADMSG);
    free(exact);
    buffer_deinit(&bytes);
}

static void test_bad_records(void **state)
{
    (void)state;
    expect_bad("", 0, 1);      /* the header is cut */
    expect_bad("name", 16, 1); /* the name is cut */
    expect_bad("name", 4, 0);  /* without an end */
    expect_bad("", 16, 0);     /* empty */
    expect_bad("a/b", 16, 0);  /* no name of an entry */
    expect_bad("a", 1U << 31, 0);
}

/* The tree. */

struct left {
    unsigned n;
    int32_t watches[64];
};

static void on_leave(void *user, struct watched_directory *directory)
{
    struct left *left = user;
    assert_true(left->n < 64);
    left->watches[left->n++] = directory->watch;
}

static void expect_path(const struct watched_directory *directory, const char *name,
                        const char *path)
{
    struct buffer text = BUFFER_NULL;
    watch_tree_append_path(&text, directory, slice_text(name));
    assert_slice(buffer_slice(&text), path);
    buffer_deinit(&text);
}

struct rig {
    struct left left;
    struct watch_tree *tree;
    struct watched_directory *top, *a, *b, *c;
};

/* /t/a/b and /t/c */
static void rig_open(struct rig *rig)
{
    *rig = (struct rig){.left.n = 0};
    assert_int_equal(watch_tree_new(&rig->tree, on_leave, &rig->left), 0);
    rig->top = watch_tree_add(rig->tree, NULL, slice_text("/t"), 1);
    rig->a = watch_tree_add(rig->tree, rig->top, slice_text("a"), 2);
    rig->b = watch_tree_add(rig->tree, rig->a, slice_text("b"), 3);
    rig->c = watch_tree_add(rig->tree, rig->top, slice_text("c"), 4);
    assert_non_null(rig->c);
}

static void test_paths(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    expect_path(rig.top, NULL, "/t");
    expect_path(rig.b, NULL, "/t/a/b");
    expect_path(rig.b, "file", "/t/a/b/file");
    struct watched_directory *root = watch_tree_add(rig.tree, NULL, slice_text(""), 5);
    struct watched_directory *etc = watch_tree_add(rig.tree, root, slice_text("etc"), 6);
    expect_path(root, NULL, "/");
    expect_path(root, "file", "/file");
    expect_path(etc, "passwd", "/etc/passwd");
    assert_ptr_equal(watch_tree_find(rig.tree, 3), rig.b);
    assert_null(watch_tree_find(rig.tree, 9));
    watch_tree_free(rig.tree);
}

static void test_renamed_directories(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    uint64_t before = watch_tree_generation(rig.tree);
    assert_int_equal(watch_tree_move(rig.tree, rig.a, rig.c, slice_text("x")), 0);
    expect_path(rig.b, "file", "/t/c/x/b/file");
    assert_int_not_equal(watch_tree_generation(rig.tree), before);
    assert_int_equal(watch_tree_move(rig.tree, rig.c, rig.b, slice_text("y")), -ELOOP);
    assert_int_equal(watch_tree_move(rig.tree, rig.top, rig.c, slice_text("y")), -ELOOP);
    expect_path(rig.c, NULL, "/t/c");
    /* Two that are exchanged have the same name for a moment. */
    assert_int_equal(watch_tree_move(rig.tree, rig.a, rig.top, slice_text("c")), 0);
    assert_int_equal(watch_tree_move(rig.tree, rig.c, rig.top, slice_text("a")), 0);
    expect_path(rig.a, NULL, "/t/c");
    expect_path(rig.c, NULL, "/t/a");
    watch_tree_free(rig.tree);
}

static void test_removed_directories(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    watch_tree_remove(rig.tree, rig.a);
    assert_int_equal(rig.left.n, 2);
    assert_int_equal(rig.left.watches[0], 3);
    assert_int_equal(rig.left.watches[1], 2);
    assert_int_equal(watch_tree_count(rig.tree), 2);
    assert_null(watch_tree_find(rig.tree, 3));
    watch_tree_remove(rig.tree, rig.top);
    assert_int_equal(rig.left.n, 4);
    assert_int_equal(watch_tree_count(rig.tree), 0);
    watch_tree_free(rig.tree);
}

static void test_deep_tree(void **state)
{
    (void)state;
    enum { DEPTH = 20000 };
    struct watch_tree *tree;
    struct left left = {.n = 0};
    assert_int_equal(watch_tree_new(&tree, on_leave, &left), 0);
    struct watched_directory *top = watch_tree_add(tree, NULL, slice_text("/t"), 0), *last = top;
    for (int32_t i = 1; i < DEPTH; i++)
        last = watch_tree_add(tree, last, slice_text("d"), i);
    unsigned n = 0;
    for (struct watched_directory *d = top; d; d = watch_tree_next(top, d))
        n++;
    assert_int_equal(n, DEPTH);
    struct buffer path = BUFFER_NULL;
    watch_tree_append_path(&path, last, SLICE_NULL);
    assert_int_equal(path.length, 2 + 2 * (DEPTH - 1));
    buffer_deinit(&path);
    watch_tree_free(tree);
}

/* Moves. */

static void test_moves(void **state)
{
    (void)state;
    struct moves moves;
    moves_init(&moves);
    struct move *file = moves_add(&moves, 11, 1, slice_text("/t/f"), slice_text("f"));
    struct move *directory = moves_add(&moves, 12, 1, slice_text("/t/a"), slice_text("a"));
    directory->directory = true;
    assert_ptr_equal(moves_find(&moves, 11), file);
    assert_ptr_equal(moves_find(&moves, 12), directory);
    assert_null(moves_find(&moves, 13));
    assert_slice(directory->path, "/t/a");
    assert_slice(directory->name, "a");
    assert_ptr_equal(moves_find_place(&moves, 1, slice_text("a")), directory);
    assert_null(moves_find_place(&moves, 1, slice_text("f")));
    assert_null(moves_find_place(&moves, 2, slice_text("a")));
    assert_int_equal(moves_arrive(directory, 2, slice_text("b")), 0);
    assert_null(moves_find(&moves, 12)); /* a cookie is used once */
    assert_slice(directory->new_name, "b");
    moves_remove(&moves, file);
    assert_ptr_equal(moves_first(&moves), directory);
    moves_deinit(&moves);
    assert_null(moves_first(&moves));
}

static void test_moves_are_bounded(void **state)
{
    (void)state;
    struct moves moves;
    moves_init(&moves);
    for (uint32_t i = 0; i < MOVES_MOST; i++)
        assert_non_null(moves_add(&moves, i, 1, slice_text("/t/f"), slice_text("f")));
    assert_null(moves_add(&moves, MOVES_MOST, 1, slice_text("/t/f"), slice_text("f")));
    moves_remove(&moves, moves_first(&moves));
    assert_int_equal(moves_first(&moves)->cookie, 1);
    assert_non_null(moves_add(&moves, MOVES_MOST, 1, slice_text("/t/f"), slice_text("f")));
    moves_deinit(&moves);
}

/* Arrivals. */

static void test_arrivals(void **state)
{
    (void)state;
    struct rig rig;
    struct arrivals *arrivals;
    rig_open(&rig);
    assert_int_equal(arrivals_new(&arrivals), 0);
    struct arrival *first = arrivals_add(arrivals, rig.a, slice_text("x"));
    struct arrival *second = arrivals_add(arrivals, rig.c, slice_text("x"));
    assert_ptr_not_equal(first, second);
    assert_ptr_equal(arrivals_find(arrivals, rig.a, slice_text("x")), first);
    assert_ptr_equal(arrivals_find(arrivals, rig.c, slice_text("x")), second);
    assert_null(arrivals_find(arrivals, rig.a, slice_text("y")));
    assert_null(arrivals_find(arrivals, rig.b, slice_text("x")));
    assert_ptr_equal(arrivals_first(arrivals), first);
    assert_ptr_equal(arrivals_next(first), second);
    arrivals_remove(arrivals, first);
    assert_int_equal(rig.a->n_arrivals, 0);
    assert_null(arrivals_find(arrivals, rig.a, slice_text("x")));
    arrivals_free(arrivals);
    watch_tree_free(rig.tree);
}

static void test_arrivals_are_bounded(void **state)
{
    (void)state;
    struct rig rig;
    struct arrivals *arrivals;
    char name[16];
    size_t n = 0;
    rig_open(&rig);
    assert_int_equal(arrivals_new(&arrivals), 0);
    do
        snprintf(name, sizeof(name), "%010zu", n++);
    while (arrivals_add(arrivals, rig.a, slice_text(name)));
    assert_in_range(n, ARRIVALS_BYTES / 128, ARRIVALS_BYTES / sizeof(struct arrival));
    arrivals_remove(arrivals, arrivals_first(arrivals));
    assert_non_null(arrivals_add(arrivals, rig.a, slice_text(name)));
    arrivals_free(arrivals);
    watch_tree_free(rig.tree);
}

/* Messages. */

struct heard {
    unsigned n;
    struct fact fact;
};

static void hear(void *user, const struct fact *fact)
{
    struct heard *heard = user;
    heard->n++;
    heard->fact = *fact;
}

static int decode(struct buffer *message, enum message_kind kind, struct heard *heard)
{
    struct message whole = {
        .source = SOURCE_INOTIFY, .kind = kind, .boot_ns = 5, .bytes = buffer_slice(message)};
    heard->n = 0;
    int r = inotify_decode(NULL, &whole, hear, heard);
    assert_int_equal(heard->n, r == 0);
    return r;
}

/* No shorter one is taken for another message with the same meaning. */
static void expect_cuts_are_bad(struct buffer *message, size_t least)
{
    struct heard heard;
    size_t length = message->length;
    for (size_t i = 0; i < least; i++) {
        message->length = i;
        assert_int_equal(decode(message, MESSAGE_DATA, &heard), -EBADMSG);
    }
    message->length = length;
}

static const struct file_status status = {
    .device = UINT64_C(8) << 32 | 1, .inode = 77, .mode = 0100644, .size = 99};

static void test_message_of_file(void **state)
{
    (void)state;
    struct buffer message = BUFFER_NULL;
    struct heard heard;
    struct fact_file file = {.events = FILE_RENAMED,
                             .since_ns = 3,
                             .directory = true,
                             .path_at_read = true,
                             .path = slice_text("/a\n\xff"),
                             .new_path = slice_text("/b"),
                             .status = status};
    inotify_message_append_file(&message, &file);
    assert_int_equal(decode(&message, MESSAGE_DATA, &heard), 0);
    const struct fact_file *got = &heard.fact.file;
    assert_int_equal(heard.fact.kind, FACT_FILE);
    assert_int_equal(heard.fact.boot_ns, 5);
    assert_int_equal(got->pid, 0);
    assert_int_equal(got->events, FILE_RENAMED);
    assert_int_equal(got->since_ns, 3);
    assert_true(got->directory && got->path_at_read);
    assert_slice(got->path, "/a\n\xff");
    assert_slice(got->new_path, "/b");
    assert_int_equal(got->status.device, status.device);
    assert_int_equal(got->status.inode, 77);
    assert_int_equal(got->status.mode, 0100644);
    assert_int_equal(got->status.size, 99);
    expect_cuts_are_bad(&message, message.length - 1);
    buffer_clear(&message);
    file.events = FILE_OPENED; /* with a new path: of nobody */
    inotify_message_append_file(&message, &file);
    assert_int_equal(decode(&message, MESSAGE_DATA, &heard), -EBADMSG);
    buffer_deinit(&message);
}

static void test_message_of_open_file(void **state)
{
    (void)state;
    struct buffer message = BUFFER_NULL;
    struct heard heard;
    struct fact_file_open open = {.pid = 12,
                                  .descriptors = 3,
                                  .writable = true,
                                  .deleted = true,
                                  .path = slice_text("/memfd:x"),
                                  .status = status};
    inotify_message_append_open(&message, &open);
    assert_int_equal(decode(&message, MESSAGE_DATA, &heard), 0);
    assert_int_equal(heard.fact.kind, FACT_FILE_OPEN);
    assert_int_equal(heard.fact.file_open.pid, 12);
    assert_int_equal(heard.fact.file_open.descriptors, 3);
    assert_true(heard.fact.file_open.writable && heard.fact.file_open.deleted);
    assert_slice(heard.fact.file_open.path, "/memfd:x");
    assert_int_equal(heard.fact.file_open.status.size, 99);
    expect_cuts_are_bad(&message, 8 + sizeof(struct inotify_open) + 1);
    buffer_deinit(&message);
}

static void test_message_of_scan(void **state)
{
    (void)state;
    static const struct fact_file_scan scans[] = {{.begin = true}, {.complete = true}, {0}};
    for (size_t i = 0; i < 3; i++) {
        struct buffer message = BUFFER_NULL;
        struct heard heard;
        inotify_message_append_scan(&message, &scans[i]);
        assert_int_equal(decode(&message, MESSAGE_DATA, &heard), 0);
        assert_int_equal(heard.fact.kind, FACT_FILE_SCAN);
        assert_int_equal(heard.fact.file_scan.begin, scans[i].begin);
        assert_int_equal(heard.fact.file_scan.complete, scans[i].complete);
        expect_cuts_are_bad(&message, message.length);
        buffer_append_byte(&message, 0);
        assert_int_equal(decode(&message, MESSAGE_DATA, &heard), -EBADMSG);
        buffer_deinit(&message);
    }
}

static void test_message_of_refused(void **state)
{
    (void)state;
    struct buffer message = BUFFER_NULL;
    struct heard heard;
    inotify_message_append_refused(&message, 4194304);
    assert_int_equal(decode(&message, MESSAGE_DATA, &heard), 0);
    assert_int_equal(heard.fact.kind, FACT_FILE_REFUSED);
    assert_int_equal(heard.fact.file_refused.pid, 4194304);
    expect_cuts_are_bad(&message, message.length);
    buffer_append_byte(&message, 0);
    assert_int_equal(decode(&message, MESSAGE_DATA, &heard), -EBADMSG);
    buffer_deinit(&message);
}

static void test_overrun(void **state)
{
    (void)state;
    struct buffer message = BUFFER_NULL;
    struct heard heard;
    assert_int_equal(decode(&message, MESSAGE_OVERRUN, &heard), 0);
    assert_int_equal(heard.fact.kind, FACT_OVERRUN);
}

static void test_filesystem_types(void **state)
{
    (void)state;
    assert_true(filesystem_type_is_kernel(PROC_SUPER_MAGIC));
    assert_false(filesystem_type_needs_inotify(PROC_SUPER_MAGIC));
    assert_true(filesystem_type_needs_inotify(OVERLAYFS_SUPER_MAGIC));
    assert_false(filesystem_type_is_kernel(OVERLAYFS_SUPER_MAGIC));
    assert_false(filesystem_type_needs_inotify(EXT4_SUPER_MAGIC));
    assert_string_equal(filesystem_type_name(TMPFS_MAGIC), "tmpfs");
    assert_string_equal(filesystem_type_name(12345), "");
    assert_false(filesystem_type_is_kernel(12345));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_bad_records),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_renamed_directories),
        cmocka_unit_test(test_removed_directories),
        cmocka_unit_test(test_deep_tree),
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_moves_are_bounded),
        cmocka_unit_test(test_arrivals),
        cmocka_unit_test(test_arrivals_are_bounded),
        cmocka_unit_test(test_message_of_file),
        cmocka_unit_test(test_message_of_open_file),
        cmocka_unit_test(test_message_of_scan),
        cmocka_unit_test(test_message_of_refused),
        cmocka_unit_test(test_overrun),
        cmocka_unit_test(test_filesystem_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
