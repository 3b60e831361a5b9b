// links: vestige_udev
/* The pure parts of the udev source: properties as a message and as a fact, and who is logged in.
 */
#include "collectors/udev/logged_in.h"
#include "collectors/udev/udev_daemon.h"
#include "collectors/udev/udev_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct taken {
    struct buffer text;
    unsigned n;
};

static void show(struct buffer *to, const char *name, struct slice value)
{
    if (slice_is_null(value))
        return;
    buffer_printf(to, " %s=", name);
    buffer_append_slice(to, value);
}

static void take(void *user, const struct fact *fact)
{
    struct taken *taken = user;
    const struct fact_device *device = &fact->device;
    struct buffer *to = &taken->text;
    taken->n++;
    assert_int_equal(fact->source, SOURCE_UDEV);
    assert_int_equal(fact->boot_ns, 7);
    if (fact->kind == FACT_DEVICE_SCAN) {
        buffer_printf(to, "scan %d %d", fact->device_scan.begin, fact->device_scan.complete);
        return;
    }
    if (fact->kind == FACT_DEVICES_READ) {
        buffer_append_text(to, "read");
        return;
    }
    assert_int_equal(fact->kind, FACT_DEVICE);
    buffer_append_text(to, device->end ? "gone" : "there");
    show(to, "subsystem", device->subsystem);
    show(to, "devpath", device->devpath);
    show(to, "old", device->old_devpath);
    show(to, "node", device->devnode);
    if (device->block)
        buffer_printf(to, " number=%u:%u", device->device_major, device->device_minor);
    show(to, "vendor", device->vendor);
    show(to, "model", device->model);
    show(to, "serial", device->serial);
    show(to, "vendor_id", device->vendor_id);
    show(to, "model_id", device->model_id);
    show(to, "driver", device->driver);
    show(to, "users", device->users);
}

/* The message in memory of exactly its size, so that a byte more is noticed. */
static int decode(struct slice bytes, struct taken *taken)
{
    uint8_t *exact = malloc(bytes.length ? bytes.length : 1);
    assert_non_null(exact);
    memcpy(exact, bytes.data, bytes.length);
    struct message message = {.source = SOURCE_UDEV,
                              .kind = MESSAGE_DATA,
                              .boot_ns = 7,
                              .bytes = slice_of(exact, bytes.length)};
    int r = udev_decode(NULL, &message, take, taken);
    buffer_append_byte(&taken->text, '\0');
    free(exact);
    return r;
}

/* Properties divided by blanks, "+" in a value for a blank. */
static void append_list(struct buffer *to, const char *list)
{
    while (*list) {
        size_t length = strcspn(list, " ");
        for (size_t i = 0; i < length; i++)
            buffer_append_byte(to, list[i] == '+' ? ' ' : list[i]);
        buffer_append_byte(to, '\0');
        list += length + strspn(list + length, " ");
    }
}

static void expect(bool present, const char *list, const char *expected)
{
    struct buffer bytes CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct taken taken = {BUFFER_NULL, 0};
    udev_message_append_device(&bytes, present);
    append_list(&bytes, list);
    assert_int_equal(decode(buffer_slice(&bytes), &taken), 0);
    assert_int_equal(taken.n, expected ? 1 : 0);
    if (expected)
        assert_string_equal((const char *)taken.text.data, expected);
    buffer_deinit(&taken.text);
}

static void expect_bad(struct slice bytes)
{
    struct taken taken = {BUFFER_NULL, 0};
    assert_int_equal(decode(bytes, &taken), -EBADMSG);
    assert_int_equal(taken.n, 0);
    buffer_deinit(&taken.text);
}

#define STICK "/devices/pci0000:00/0000:00:01.2/usb1/1-1"

static void test_properties(void **state)
{
    (void)state;
    expect(false,
           "ACTION=add SUBSYSTEM=usb DEVPATH=" STICK " DEVNAME=/dev/bus/usb/001/002 MAJOR=189 "
           "MINOR=1 ID_VENDOR=Example ID_MODEL=Stick ID_SERIAL_SHORT=S1 ID_VENDOR_ID=0951 "
           "ID_MODEL_ID=1666 DRIVER=usb @users=alice,bob",
           "there subsystem=usb devpath=" STICK " node=/dev/bus/usb/001/002 vendor=Example "
           "model=Stick serial=S1 vendor_id=0951 model_id=1666 driver=usb users=alice,bob");
    expect(true,
           "SUBSYSTEM=block DEVPATH=/devices/virtual/block/loop7 DEVNAME=/dev/loop7 MAJOR=7 "
           "MINOR=7 @users=",
           "there subsystem=block devpath=/devices/virtual/block/loop7 node=/dev/loop7 number=7:7 "
           "users=");
    expect(false, "ACTION=remove SUBSYSTEM=net DEVPATH=/devices/virtual/net/v0",
           "gone subsystem=net devpath=/devices/virtual/net/v0");
    expect(false,
           "ACTION=move SUBSYSTEM=net DEVPATH=/devices/virtual/net/wan "
           "DEVPATH_OLD=/devices/virtual/net/v0",
           "there subsystem=net devpath=/devices/virtual/net/wan old=/devices/virtual/net/v0");
    /* Nothing but a move says where it was. */
    expect(false, "ACTION=change DEVPATH=/devices/a DEVPATH_OLD=/devices/b",
           "there devpath=/devices/a");
}

/* udev's word counts, then that of the nearest device of sysfs; the order does not matter. */
static void test_sysfs_instead(void **state)
{
    (void)state;
    expect(false, "@vendor=kernel ACTION=add DEVPATH=/devices/a ID_VENDOR=udev @vendor=parent",
           "there devpath=/devices/a vendor=udev");
    expect(false,
           "ACTION=add DEVPATH=/devices/a @vendor=++near+one++ @vendor=far @model=+ @model=m "
           "@serial=s @vendor_id=0x8086 @model_id=0x7010",
           "there devpath=/devices/a vendor=near one model=m serial=s vendor_id=0x8086 "
           "model_id=0x7010");
    expect(false, "ACTION=add DEVPATH=/devices/a ID_VENDOR= @vendor=sysfs ID_UNKNOWN=x",
           "there devpath=/devices/a vendor=sysfs");
}

static void test_numbers(void **state)
{
    (void)state;
    expect(false, "ACTION=add SUBSYSTEM=block DEVPATH=/devices/a MAJOR=4294967295 MINOR=0",
           "there subsystem=block devpath=/devices/a number=4294967295:0");
    expect(false, "ACTION=add SUBSYSTEM=block DEVPATH=/devices/a MAJOR=4294967296 MINOR=0",
           "there subsystem=block devpath=/devices/a");
    expect(false, "ACTION=add SUBSYSTEM=block DEVPATH=/devices/a MAJOR=8x MINOR=0",
           "there subsystem=block devpath=/devices/a");
    expect(false, "ACTION=add SUBSYSTEM=block DEVPATH=/devices/a MAJOR=8",
           "there subsystem=block devpath=/devices/a");
    expect(false, "ACTION=add SUBSYSTEM=tty DEVPATH=/devices/a MAJOR=4 MINOR=0",
           "there subsystem=tty devpath=/devices/a");
}

static void test_no_devices(void **state)
{
    (void)state;
    expect(false, "ACTION=add SUBSYSTEM=module DEVPATH=/module/loop", NULL);
    expect(false, "ACTION=add SUBSYSTEM=drivers DEVPATH=/bus/usb/drivers/x", NULL);
    expect(false, "ACTION=add SUBSYSTEM=queues DEVPATH=/devices/virtual/net/v0/queues/rx-0", NULL);
}

static void expect_bad_device(uint32_t flags, const char *bytes, size_t length)
{
    struct udev_header header = {.type = UDEV_DEVICE, .flags = flags};
    struct buffer message CLEANUP(buffer_deinit) = BUFFER_NULL;
    buffer_append(&message, &header, sizeof(header));
    buffer_append(&message, bytes, length);
    expect_bad(buffer_slice(&message));
}

static void test_malformed(void **state)
{
    (void)state;
    static const char good[] = "ACTION=add\0DEVPATH=/devices/a";
    static const char no_value[] = "ACTION=add\0DEVPATH=/devices/a\0X";
    static const char no_name[] = "ACTION=add\0DEVPATH=/devices/a\0=x";
    expect_bad(slice_of("", 0));
    expect_bad(slice_of("1234567", 7));
    expect_bad_device(0, good, sizeof(good) - 1); /* its end is missing */
    expect_bad_device(0, no_value, sizeof(no_value));
    expect_bad_device(0, no_name, sizeof(no_name));
    expect_bad_device(4, good, sizeof(good));
    expect_bad_device(UDEV_PRESENT, good, sizeof(good));      /* with an action */
    expect_bad_device(0, good + 11, sizeof(good) - 11);       /* an event without one */
    expect_bad_device(0, "ACTION=add", sizeof("ACTION=add")); /* no path */
    expect_bad_device(0, "ACTION=add\0DEVPATH=devices/a",     /* not one of sysfs */
                      sizeof("ACTION=add\0DEVPATH=devices/a"));
    struct udev_header unknown = {.type = 9};
    expect_bad(slice_of(&unknown, sizeof(unknown)));
}

static void test_long_path(void **state)
{
    (void)state;
    struct buffer bytes CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct taken taken = {BUFFER_NULL, 0};
    char path[4200] = "/devices/";
    memset(path + 9, 'a', sizeof(path) - 10);
    path[4095] = '\0';
    udev_message_append_device(&bytes, true);
    udev_message_append_property(&bytes, "DEVPATH", path);
    assert_int_equal(decode(buffer_slice(&bytes), &taken), 0);
    assert_int_equal(taken.n, 1);
    buffer_deinit(&taken.text);
    buffer_clear(&bytes);
    path[4095] = 'a';
    path[4096] = '\0';
    udev_message_append_device(&bytes, true);
    udev_message_append_property(&bytes, "DEVPATH", path);
    expect_bad(buffer_slice(&bytes));
}

static void test_scans(void **state)
{
    (void)state;
    static const char *const expected[] = {"scan 1 0", "scan 0 1", "scan 0 0"};
    static const struct fact_device_scan scans[] = {
        {true,  false},
        {false, true },
        {false, false}
    };
    for (size_t i = 0; i < 3; i++) {
        struct buffer bytes CLEANUP(buffer_deinit) = BUFFER_NULL;
        struct taken taken = {BUFFER_NULL, 0};
        udev_message_append_scan(&bytes, &scans[i]);
        assert_int_equal(decode(buffer_slice(&bytes), &taken), 0);
        assert_string_equal((const char *)taken.text.data, expected[i]);
        buffer_deinit(&taken.text);
        buffer_append_byte(&bytes, 'x');
        expect_bad(buffer_slice(&bytes));
    }
    struct buffer read CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct taken taken = {BUFFER_NULL, 0};
    udev_message_append_read(&read);
    assert_int_equal(decode(buffer_slice(&read), &taken), 0);
    assert_string_equal((const char *)taken.text.data, "read");
    buffer_deinit(&taken.text);
    buffer_append_byte(&read, 'x');
    expect_bad(buffer_slice(&read));
    struct udev_header begin = {.type = UDEV_SCAN_BEGIN, .flags = UDEV_COMPLETE};
    expect_bad(slice_of(&begin, sizeof(begin)));
}

/* Who is logged in. */

static struct utmp record(short type, const char *name, int pid)
{
    struct utmp record = {.ut_type = type, .ut_pid = pid};
    memcpy(record.ut_user, name, strnlen(name, sizeof(record.ut_user)));
    return record;
}

static bool is_below_100(int32_t pid)
{
    return pid < 100;
}

static void test_logged_in(void **state)
{
    (void)state;
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    char longest[sizeof(((struct utmp *)NULL)->ut_user) + 1];
    memset(longest, 'z', sizeof(longest)); /* without a zero byte at its end */
    const struct utmp records[] = {
        record(BOOT_TIME, "reboot", 0),    record(USER_PROCESS, "bob", 2),
        record(USER_PROCESS, "alice", 3),  record(USER_PROCESS, "bob", 4),
        record(DEAD_PROCESS, "carol", 5),  record(LOGIN_PROCESS, "LOGIN", 6),
        record(USER_PROCESS, "dave", 100), record(USER_PROCESS, longest, 7),
        record(USER_PROCESS, "", 8),
    };
    logged_in_append(&text, records, sizeof(records) / sizeof(records[0]), is_below_100);
    assert_string_equal((const char *)text.data, "alice,bob,zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz");
    buffer_clear(&text);
    logged_in_append(&text, records, 1, NULL);
    assert_string_equal((const char *)text.data, "");
    assert_int_equal(text.length, 1);
}

static void test_logged_in_file(void **state)
{
    (void)state;
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    char path[] = "/tmp/vestige-utmp-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    const struct utmp one = record(USER_PROCESS, "alice", 0);
    assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
    assert_int_equal(write(fd, &one, sizeof(one) - 1), sizeof(one) - 1); /* torn */
    close(fd);
    assert_int_equal(logged_in_read(&text, path), 0);
    assert_string_equal((const char *)text.data, "alice");
    unlink(path);
    buffer_clear(&text);
    assert_int_equal(logged_in_read(&text, path), -ENOENT);
    assert_int_equal(text.length, 0);
}

/* Whether a daemon runs. */

static bool listens(const char *lines)
{
    char text[2048];
    snprintf(text, sizeof(text), "%s%s",
             "Num       RefCount Protocol Flags    Type St Inode Path\n", lines);
    FILE *sockets = fmemopen(text, strlen(text), "r");
    assert_non_null(sockets);
    bool result = udev_daemon_listens(sockets, "/run/udev/control");
    fclose(sockets);
    return result;
}

static void test_daemon(void **state)
{
    (void)state;
    assert_false(listens(""));
    assert_true(listens("0000000000000000: 00000003 00000000 00000000 0001 03 63113\n"
                        "ffff888012345678: 00000002 00000000 00010000 0005 01 63200 "
                        "/run/udev/control\n"));
    /* A connection; another path; a line of somebody's making. */
    assert_false(listens("0000000000000000: 00000003 00000000 00000000 0005 03 63201 "
                         "/run/udev/control\n"
                         "0000000000000000: 00000002 00000000 00010000 0005 01 63202 "
                         "/run/udev/control2\n"
                         "/run/udev/control\n: : :\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_properties),     cmocka_unit_test(test_sysfs_instead),
        cmocka_unit_test(test_numbers),        cmocka_unit_test(test_no_devices),
        cmocka_unit_test(test_malformed),      cmocka_unit_test(test_long_path),
        cmocka_unit_test(test_scans),          cmocka_unit_test(test_logged_in),
        cmocka_unit_test(test_logged_in_file), cmocka_unit_test(test_daemon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
