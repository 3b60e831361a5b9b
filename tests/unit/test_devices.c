// links: vestige_tracker
/* Facts of udev in, rows of device out, without a kernel.
 *
 * What is expected is written as one line a row: "+1 subsystem devpath vendor serial users driver"
 * for an insert, "=1 driver" for a settle, "-1 cause" for an end; rows are numbered in the order in
 * which they are first written, "-" is NULL, and an insert of a row that has ended already has its
 * cause behind it. */
#include "rows_test.h"

#include "core/evidence_text.h"
#include "recorder/devices/devices.h"

#include <stdio.h>
#include <stdlib.h>

enum { MOST = 6, BYTES_MOST = 8192 };

struct world {
    struct rows_test out;
    struct devices *devices;
    const char *users;
};

static const char *users_logged_in(void *user)
{
    return ((const struct world *)user)->users;
}

static void open_devices(struct world *w)
{
    const struct devices_options options = {.output = &w->out.output,
                                            .most = MOST,
                                            .bytes_most = BYTES_MOST,
                                            .user = w,
                                            .users_logged_in = users_logged_in};
    assert_int_equal(devices_new(&w->devices, &options), 0);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    rows_test_init(&w->out);
    open_devices(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    devices_free(w->devices);
    rows_test_deinit(&w->out);
    free(w);
    return 0;
}

/* -- what came out -- */

static void append_insert(struct buffer *text, struct slice line)
{
    static const size_t shown[] = {DEVICE_SUBSYSTEM, DEVICE_DEVPATH,         DEVICE_VENDOR,
                                   DEVICE_SERIAL,    DEVICE_USERS_LOGGED_IN, DEVICE_DRIVER};
    assert_true(slice_is(row_sink_memory_value(line, DEVICE_SEEN_BY), "udev"));
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
        rows_test_value(text, line, shown[i]);
    if (!slice_is(row_sink_memory_value(line, DEVICE_DESTROYED_AT), "\\N"))
        rows_test_value(text, line, DEVICE_END_CAUSE);
}

static void append_line(struct world *w, struct buffer *text, struct slice line)
{
    char verb[16], copy[96] = "";
    uint64_t id;
    memcpy(copy, line.data, line.length < sizeof(copy) ? line.length : sizeof(copy) - 1);
    assert_int_equal(sscanf(copy, "%15s device %lu", verb, &id), 2);
    buffer_printf(text, "%c%zu",
                  !strcmp(verb, "end")      ? '-'
                  : !strcmp(verb, "settle") ? '='
                                            : '+',
                  rows_test_number(&w->out, id));
    if (!strcmp(verb, "insert"))
        append_insert(text, line);
    else
        rows_test_value(text, line, !strcmp(verb, "end"));
    buffer_append_byte(text, '\n');
}

/* The lines since the last call are these. */
static void expect(struct world *w, const char *expected)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    while (w->out.n_seen < w->out.memory.n_lines)
        append_line(w, &text, row_sink_memory_line(&w->out.memory, w->out.n_seen++));
    buffer_append_byte(&text, '\0');
    assert_string_equal((const char *)text.data, expected);
}

static struct slice last_value(struct world *w, size_t column)
{
    return row_sink_memory_value(row_sink_memory_line(&w->out.memory, w->out.memory.n_lines - 1),
                                 column);
}

/* -- what goes in -- */

static void give(struct world *w, struct fact fact)
{
    fact.source = SOURCE_UDEV;
    fact.boot_ns = w->out.now;
    devices_fact(w->devices, &fact);
}

static void tick(struct world *w, uint64_t after_ms)
{
    w->out.now += after_ms * MS;
    timeline_tick(&w->out.timeline, w->out.now, real_start + (int64_t)(w->out.now - boot_start),
                  INT64_MIN);
    devices_tick(w->devices);
}

static struct fact_device device_of(const char *subsystem, const char *path)
{
    return (struct fact_device){.subsystem = slice_text(subsystem), .devpath = slice_text(path)};
}

static void device(struct world *w, struct fact_device device)
{
    give(w, (struct fact){.kind = FACT_DEVICE, .device = device});
}

static void is_there(struct world *w, const char *path)
{
    device(w, device_of("net", path));
}

static void is_gone(struct world *w, const char *path)
{
    struct fact_device gone = device_of("net", path);
    gone.end = true;
    device(w, gone);
}

static void moves(struct world *w, const char *from, const char *to)
{
    struct fact_device moved = device_of("net", to);
    moved.old_devpath = slice_text(from);
    device(w, moved);
}

static void scan(struct world *w, bool begin, bool complete)
{
    give(w, (struct fact){
                .kind = FACT_DEVICE_SCAN, .device_scan = {begin, complete}
    });
}

/* -- lives -- */

static void test_comes_and_goes(void **state)
{
    struct world *w = *state;
    w->users = "alice,bob";
    struct fact_device stick = device_of("usb", "/devices/usb1/1-1");
    stick.devnode = slice_text("/dev/bus/usb/001/002");
    stick.vendor = slice_text("Example \xff");
    stick.serial = slice_text("S1");
    device(w, stick);
    expect(w, "+1 usb /devices/usb1/1-1 Example \\\\xff S1 alice,bob -\n");
    assert_true(slice_is(last_value(w, DEVICE_DEVNODE), "/dev/bus/usb/001/002"));
    assert_true(slice_is(last_value(w, DEVICE_CREATED_AT), "2026-05-28 20:26:40.000000"));
    device(w, stick); /* said again, as a look does */
    w->users = "carol";
    device(w, stick);
    expect(w, "");
    tick(w, 1500);
    stick.end = true;
    device(w, stick);
    expect(w, "-1 removed\n");
    assert_true(slice_is(last_value(w, 0), "2026-05-28 20:26:41.500000"));
    device(w, stick);
    expect(w, "");
    stick.end = false;
    device(w, stick);
    expect(w, "+2 usb /devices/usb1/1-1 Example \\\\xff S1 carol -\n");
    assert_int_equal(devices_rows(w->devices), 1);
}

static void test_number(void **state)
{
    struct world *w = *state;
    struct fact_device disk = device_of("block", "/devices/virtual/block/loop7");
    disk.block = true;
    disk.device_major = 7;
    device(w, disk);
    assert_true(slice_is(last_value(w, DEVICE_DEVICE), "7:0"));
    disk.device_minor = 1;
    device(w, disk);
    expect(w, "+1 block /devices/virtual/block/loop7 - - - -\n-1 removed\n"
              "+2 block /devices/virtual/block/loop7 - - - -\n");
    assert_true(slice_is(last_value(w, DEVICE_DEVICE), "7:1"));
}

/* The callback counts; when it does not know, what the fact says. */
static void test_users(void **state)
{
    struct world *w = *state;
    struct fact_device one = device_of("net", "/devices/a");
    one.users = slice_text("dave");
    device(w, one);
    one.devpath = slice_text("/devices/b");
    one.users = slice_text("");
    device(w, one);
    one.devpath = slice_text("/devices/c");
    w->users = "";
    one.users = slice_text("dave");
    device(w, one);
    one.devpath = slice_text("/devices/d");
    w->users = NULL;
    one.users = SLICE_NULL;
    device(w, one);
    expect(w, "+1 net /devices/a - - dave -\n+2 net /devices/b - -  -\n"
              "+3 net /devices/c - -  -\n+4 net /devices/d - - - -\n");
}

static void test_driver(void **state)
{
    struct world *w = *state;
    struct fact_device card = device_of("pci", "/devices/pci0");
    device(w, card);
    card.driver = slice_text("e1000");
    device(w, card);
    device(w, card);
    expect(w, "+1 pci /devices/pci0 - - - -\n=1 e1000\n");
    card.driver = SLICE_NULL; /* unbound */
    device(w, card);
    card.driver = slice_text("e1000");
    device(w, card);
    expect(w, "");
    card.driver = slice_text("vfio-pci");
    device(w, card);
    expect(w, "-1 removed\n+2 pci /devices/pci0 - - - vfio-pci\n");
}

/* What is not told any more stays; what is told anew, or otherwise, begins another row. */
static void test_change(void **state)
{
    struct world *w = *state;
    struct fact_device disk = device_of("block", "/devices/b");
    disk.serial = slice_text("S1");
    device(w, disk);
    disk.serial = SLICE_NULL;
    device(w, disk);
    expect(w, "+1 block /devices/b - S1 - -\n");
    disk.serial = slice_text("S2");
    device(w, disk);
    expect(w, "-1 removed\n+2 block /devices/b - S2 - -\n");
    disk.vendor = slice_text("Example");
    device(w, disk);
    expect(w, "-2 removed\n+3 block /devices/b Example S2 - -\n");
}

/* A renamed interface takes along what is below it, and nothing that only looks so. */
static void test_move(void **state)
{
    struct world *w = *state;
    is_there(w, "/devices/net/v0");
    is_there(w, "/devices/net/v0/phy");
    is_there(w, "/devices/net/v00");
    expect(w, "+1 net /devices/net/v0 - - - -\n+2 net /devices/net/v0/phy - - - -\n"
              "+3 net /devices/net/v00 - - - -\n");
    w->users = "alice";
    moves(w, "/devices/net/v0", "/devices/net/wan");
    expect(w, "-1 removed\n-2 removed\n+4 net /devices/net/wan/phy - - - -\n"
              "+5 net /devices/net/wan - - alice -\n");
    is_gone(w, "/devices/net/wan/phy");
    is_gone(w, "/devices/net/wan");
    is_gone(w, "/devices/net/v0");
    expect(w, "-4 removed\n-5 removed\n");
    moves(w, "/devices/net/v00", "/devices/net/v00");
    moves(w, "/devices/net/unknown", "/devices/net/v7");
    expect(w, "+6 net /devices/net/v7 - - alice -\n");
}

/* Two interfaces change their names, by way of a third. */
static void test_moves_in_a_circle(void **state)
{
    struct world *w = *state;
    is_there(w, "/devices/a");
    is_there(w, "/devices/b");
    moves(w, "/devices/a", "/devices/c");
    moves(w, "/devices/b", "/devices/a");
    moves(w, "/devices/c", "/devices/b");
    expect(w, "+1 net /devices/a - - - -\n+2 net /devices/b - - - -\n"
              "-1 removed\n+3 net /devices/c - - - -\n"
              "-2 removed\n+4 net /devices/a - - - -\n"
              "-3 removed\n+5 net /devices/b - - - -\n");
    assert_int_equal(devices_rows(w->devices), 2);
}

/* -- looks -- */

static void test_look(void **state)
{
    struct world *w = *state;
    is_there(w, "/devices/a");
    is_there(w, "/devices/b");
    tick(w, 1000);
    assert_true(devices_settled_until(w->devices, w->out.now));
    scan(w, true, false);
    assert_false(devices_settled_until(w->devices, w->out.now));
    is_there(w, "/devices/b");
    is_there(w, "/devices/c");
    expect(w, "+1 net /devices/a - - - -\n+2 net /devices/b - - - -\n+3 net /devices/c - - - -\n");
    scan(w, false, false); /* not complete: nothing follows */
    expect(w, "");
    assert_true(devices_settled_until(w->devices, w->out.now));
    tick(w, 1000);
    scan(w, true, false);
    is_there(w, "/devices/b");
    is_there(w, "/devices/c");
    tick(w, 1000);
    scan(w, false, true);
    expect(w, "-1 removed\n");
    assert_true(slice_is(last_value(w, 0), "2026-05-28 20:26:42.000000"));
    scan(w, false, true); /* an end without a beginning */
    expect(w, "");
}

/* What has happened is known when all events were read after it. */
static void test_read(void **state)
{
    struct world *w = *state;
    devices_free(w->devices);
    const struct devices_options options = {
        .output = &w->out.output, .most = MOST, .bytes_most = BYTES_MOST, .answers = true};
    assert_int_equal(devices_new(&w->devices, &options), 0);
    uint64_t before = w->out.now;
    assert_false(devices_settled_until(w->devices, before));
    tick(w, 1);
    give(w, (struct fact){.kind = FACT_DEVICES_READ});
    assert_true(devices_settled_until(w->devices, before));
    assert_false(devices_settled_until(w->devices, w->out.now));
    scan(w, true, false);
    assert_false(devices_settled_until(w->devices, before));
    scan(w, false, true);
    assert_true(devices_settled_until(w->devices, before));
    devices_unwatched(w->devices);
    assert_true(devices_settled_until(w->devices, w->out.now));
}

static void test_unwatched(void **state)
{
    struct world *w = *state;
    is_there(w, "/devices/a");
    is_there(w, "/devices/b");
    scan(w, true, false);
    devices_unwatched(w->devices);
    expect(w, "+1 net /devices/a - - - -\n+2 net /devices/b - - - -\n-1 unknown\n-2 unknown\n");
    assert_true(devices_settled_until(w->devices, w->out.now));
    assert_int_equal(devices_rows(w->devices), 0);
}

/* -- bounds and a sink that refuses -- */

static void test_bounds(void **state)
{
    struct world *w = *state;
    char path[] = "/devices/0", longest[BYTES_MOST] = "/devices/";
    for (int i = 0; i < MOST + 2; i++) {
        path[9] = (char)('0' + i);
        is_there(w, path);
    }
    assert_int_equal(devices_rows(w->devices), MOST);
    assert_int_equal(devices_take_beyond(w->devices), 2);
    assert_int_equal(devices_take_beyond(w->devices), 0);
    is_gone(w, "/devices/0");
    memset(longest + 9, 'a', sizeof(longest) - 10);
    is_there(w, longest);
    assert_int_equal(devices_take_beyond(w->devices), 1);
    is_there(w, "/devices/7");
    assert_int_equal(devices_take_beyond(w->devices), 0);
}

/* The same devices find no room at each look: that is no news. */
static void test_bounds_of_looks(void **state)
{
    struct world *w = *state;
    char path[] = "/devices/0";
    for (int look = 0; look < 3; look++) {
        scan(w, true, false);
        for (int i = 0; i < MOST + 3; i++) {
            path[9] = (char)('0' + i);
            is_there(w, path);
        }
        scan(w, false, true);
        assert_int_equal(devices_take_beyond(w->devices), look == 0 ? 3 : 0);
    }
}

static void test_refused(void **state)
{
    struct world *w = *state;
    struct fact_device card = device_of("pci", "/devices/pci0");
    device(w, card);
    expect(w, "+1 pci /devices/pci0 - - - -\n");
    w->out.memory.refuse = -ENOBUFS;
    card.driver = slice_text("e1000");
    device(w, card);
    is_there(w, "/devices/a");
    is_there(w, "/devices/b");
    is_gone(w, "/devices/b");
    tick(w, 20);
    expect(w, "");
    w->out.memory.refuse = 0;
    tick(w, 20);
    expect(w, "=1 e1000\n+2 net /devices/a - - - -\n+3 net /devices/b - - - - removed\n");
    w->out.memory.refuse = -ENOSPC;
    card.end = true;
    device(w, card);
    devices_flush(w->devices);
    assert_int_equal(w->out.output.refused_rows, 1);
    w->out.memory.refuse = 0;
    tick(w, 20);
    expect(w, "-1 removed\n");
    assert_int_equal(devices_rows(w->devices), 1);
}

/* A settle and an end that wait together are both written, in their order. */
static void test_refused_settle_and_end(void **state)
{
    struct world *w = *state;
    struct fact_device card = device_of("pci", "/devices/pci0");
    device(w, card);
    w->out.memory.refuse = -ENOBUFS;
    card.driver = slice_text("e1000");
    device(w, card);
    card.end = true;
    device(w, card);
    w->out.memory.refuse = 0;
    tick(w, 20);
    expect(w, "+1 pci /devices/pci0 - - - -\n=1 e1000\n-1 removed\n");
    assert_int_equal(devices_rows(w->devices), 0);
}

/* -- over a restart -- */

static void restore_line(struct world *w, struct slice line)
{
    struct slice values[DEVICE_COLUMN_N];
    struct buffer bytes[DEVICE_COLUMN_N] = {BUFFER_NULL};
    char verb[16], copy[96] = "";
    uint64_t id;
    size_t n = 0;
    memcpy(copy, line.data, line.length < sizeof(copy) ? line.length : sizeof(copy) - 1);
    assert_int_equal(sscanf(copy, "%15s device %lu", verb, &id), 2);
    for (struct slice value;
         n < DEVICE_COLUMN_N && !slice_is_null(value = row_sink_memory_value(line, n)); n++) {
        values[n] = SLICE_NULL;
        if (slice_is(value, "\\N"))
            continue;
        assert_int_equal(evidence_field_unescape(&bytes[n], value), 0);
        values[n] = buffer_slice(&bytes[n]);
    }
    devices_restore(w->devices, verb_find(slice_text(verb)), id, values, n);
    for (size_t i = 0; i < n; i++)
        buffer_deinit(&bytes[i]);
}

/* The agent starts anew, and reads all lines, or with @p checkpoint those of one. */
static void restart(struct world *w, bool same_boot, bool checkpoint)
{
    size_t first = 0, n = w->out.memory.n_lines;
    if (checkpoint) {
        devices_checkpoint(w->devices);
        first = n;
        n = w->out.memory.n_lines;
    }
    devices_free(w->devices);
    open_devices(w);
    for (size_t i = first; i < n; i++)
        restore_line(w, row_sink_memory_line(&w->out.memory, i));
    w->out.n_seen = w->out.memory.n_lines;
    devices_restored(w->devices, same_boot, UINT64_C(1780000001000000));
}

static void fill(struct world *w)
{
    struct fact_device stick = device_of("usb", "/devices/usb1/1-1");
    stick.vendor = slice_text("Example\t\\x41");
    device(w, stick);
    stick.driver = slice_text("usb");
    device(w, stick);
    is_there(w, "/devices/a");
    is_there(w, "/devices/b");
    is_there(w, "/devices/c");
    is_gone(w, "/devices/c");
    w->out.n_seen = 0;
    expect(w, "+1 usb /devices/usb1/1-1 Example\\t\\\\x5cx41 - - -\n=1 usb\n"
              "+2 net /devices/a - - - -\n+3 net /devices/b - - - -\n+4 net /devices/c - - - -\n"
              "-4 removed\n");
}

static void look_after_restart(struct world *w)
{
    struct fact_device stick = device_of("usb", "/devices/usb1/1-1");
    stick.vendor = slice_text("Example\t\\x41");
    stick.driver = slice_text("usb");
    tick(w, 2000);
    scan(w, true, false);
    device(w, stick);
    struct fact_device other = device_of("net", "/devices/b");
    other.serial = slice_text("S2");
    device(w, other);
    expect(w, "-3 reconciled\n+5 net /devices/b - S2 - -\n");
    scan(w, false, true);
    expect(w, "-2 reconciled\n");
    stick.end = true;
    device(w, stick);
    expect(w, "-1 removed\n");
    assert_int_equal(devices_rows(w->devices), 1);
}

static void test_restart(void **state)
{
    struct world *w = *state;
    fill(w);
    restart(w, true, false);
    expect(w, "");
    look_after_restart(w);
}

static void test_restart_from_checkpoint(void **state)
{
    struct world *w = *state;
    fill(w);
    restart(w, true, true);
    expect(w, "");
    look_after_restart(w);
}

/* An event names it, too; and what it names is no longer of the earlier run. */
static void test_restart_and_event(void **state)
{
    struct world *w = *state;
    fill(w);
    restart(w, true, false);
    is_there(w, "/devices/a");
    is_gone(w, "/devices/b");
    scan(w, true, false);
    scan(w, false, true);
    expect(w, "-3 removed\n-1 reconciled\n-2 removed\n");
}

static void test_reboot(void **state)
{
    struct world *w = *state;
    fill(w);
    restart(w, false, false);
    size_t n = w->out.memory.n_lines - w->out.n_seen;
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++) {
        struct slice line = row_sink_memory_line(&w->out.memory, w->out.n_seen + i);
        assert_true(slice_is(row_sink_memory_value(line, 0), "2026-05-28 20:26:41.000000"));
        assert_true(slice_is(row_sink_memory_value(line, 1), "reboot"));
    }
    w->out.n_seen = w->out.memory.n_lines;
    is_there(w, "/devices/a");
    expect(w, "+5 net /devices/a - - - -\n");
    assert_int_equal(devices_rows(w->devices), 1);
}

static void test_restart_unwatched(void **state)
{
    struct world *w = *state;
    is_there(w, "/devices/a");
    restart(w, true, false);
    tick(w, 5000);
    devices_unwatched(w->devices);
    w->out.n_seen = 0;
    expect(w, "+1 net /devices/a - - - -\n-1 unknown\n");
    assert_true(slice_is(last_value(w, 0), "2026-05-28 20:26:41.000000"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_comes_and_goes),
        TEST(test_number),
        TEST(test_users),
        TEST(test_driver),
        TEST(test_change),
        TEST(test_move),
        TEST(test_moves_in_a_circle),
        TEST(test_look),
        TEST(test_read),
        TEST(test_unwatched),
        TEST(test_bounds),
        TEST(test_bounds_of_looks),
        TEST(test_refused),
        TEST(test_refused_settle_and_end),
        TEST(test_restart),
        TEST(test_restart_from_checkpoint),
        TEST(test_restart_and_event),
        TEST(test_reboot),
        TEST(test_restart_unwatched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
