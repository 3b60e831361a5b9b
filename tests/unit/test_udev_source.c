// links: vestige_udev
/* The source itself, on the devices of this machine, some of which cannot be looked at. */
#include "collectors/udev/udev_source.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

struct udev;
struct udev_device;
struct udev_monitor;
struct udev_device *udev_device_new_from_environment(struct udev *udev);
struct udev_device *__real_udev_monitor_receive_device(struct udev_monitor *monitor);
struct udev_device *__wrap_udev_monitor_receive_device(struct udev_monitor *monitor);
struct udev_device *__real_udev_device_new_from_syspath(struct udev *udev, const char *path);
struct udev_device *__wrap_udev_device_new_from_syspath(struct udev *udev, const char *path);

enum { WAIT_MS = 60000 };

static atomic_int n_calls, first_error; /* 0: none */
static atomic_bool waits;               /* an event, of which nobody is woken */

/* The end of a device that never was. */
struct udev_device *__wrap_udev_monitor_receive_device(struct udev_monitor *monitor)
{
    if (atomic_exchange(&waits, false))
        return udev_device_new_from_environment(NULL);
    return __real_udev_monitor_receive_device(monitor);
}

struct udev_device *__wrap_udev_device_new_from_syspath(struct udev *udev, const char *path)
{
    int error = atomic_load(&first_error);
    if (atomic_fetch_add(&n_calls, 1) > 0 || !error)
        return __real_udev_device_new_from_syspath(udev, path);
    errno = error;
    return NULL;
}

struct look {
    bool ended, complete;
    int n_devices, n_ends;
};

static void take(void *user, const struct fact *fact)
{
    struct look *look = user;
    look->n_devices += fact->kind == FACT_DEVICE;
    look->n_ends += fact->kind == FACT_DEVICE && fact->device.end &&
                    slice_is(fact->device.devpath, "/devices/virtual/net/none");
    if (fact->kind != FACT_DEVICE_SCAN || fact->device_scan.begin)
        return;
    look->ended = true;
    look->complete = fact->device_scan.complete;
}

static void drain(struct source *source, struct gulp *gulp, struct look *look)
{
    struct message message;
    int r;
    do {
        size_t offset = 0;
        gulp->used = 0;
        r = udev_source_ops.drain(source, gulp);
        while (gulp_next(gulp, &offset, &message))
            assert_int_equal(udev_decode(NULL, &message, take, look), 0);
    } while (r == SOURCE_MORE);
}

/* The first look at all devices, of which the first cannot be looked at; and what waits at the end.
 */
static struct look first_look(int error, bool event_at_the_end)
{
    struct error_text text = ERROR_TEXT_NULL;
    const struct source_options options = {.wake_fd = -1};
    struct look look = {.ended = false};
    struct source *source;
    struct gulp *gulp = gulp_new(1 << 16);
    atomic_store(&n_calls, 0);
    atomic_store(&first_error, error);
    assert_int_equal(udev_source_ops.open(&source, &options, &text), 0);
    for (int waited = 0; waited < WAIT_MS && !look.ended; waited += 5) {
        drain(source, gulp, &look);
        poll(NULL, 0, 5);
    }
    poll(NULL, 0, 100); /* it sleeps by now */
    atomic_store(&waits, event_at_the_end);
    udev_source_ops.stop(source);
    drain(source, gulp, &look);
    udev_source_ops.free(source);
    gulp_free(gulp);
    assert_true(look.ended);
    return look;
}

/* Only what is gone proves that it is gone. */
static void test_device_that_cannot_be_looked_at(void **state)
{
    static const int gone[] = {0, ENOENT, ENODEV, ENXIO}, others[] = {EMFILE, EACCES, ENOMEM, EIO};
    (void)state;
    for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
        assert_true(first_look(gone[i], false).complete);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct look look = first_look(others[i], false);
        assert_false(look.complete);
        assert_true(look.n_devices > 0); /* the others are told all the same */
    }
}

static void test_what_waits_at_the_stop(void **state)
{
    (void)state;
    assert_int_equal(first_look(0, true).n_ends, 1);
    assert_false(atomic_load(&waits));
}

int main(void)
{
    setenv("ACTION", "remove", 1);
    setenv("DEVPATH", "/devices/virtual/net/none", 1);
    setenv("SUBSYSTEM", "net", 1);
    setenv("SEQNUM", "1", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_device_that_cannot_be_looked_at),
        cmocka_unit_test(test_what_waits_at_the_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
