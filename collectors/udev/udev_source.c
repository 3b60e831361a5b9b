/* Subscribing comes first, the look at all devices second: what changes meanwhile waits in the
 * socket. libudev reads sysfs and the daemon's files, so all of it is done by a thread; after a
 * wake-up it sleeps for some milliseconds, so that many devices that come at once are read in
 * gulps.
 */
#include "collectors/udev/udev_source.h"

#include "collectors/thread/message_queue.h"
#include "collectors/thread/source_thread.h"
#include "collectors/udev/logged_in.h"
#include "collectors/udev/udev_daemon.h"
#include "collectors/udev/udev_device.h"
#include "core/log.h"

#include <stdlib.h>
#include <sys/socket.h>

enum {
    QUEUE_BYTES = 256 << 10,
    NAP_MS = 5,
    WAIT_MS = 1000,
    MALFORMED_MOST = 1000 /* in a row; then it waits */
};

static const uint64_t retry_ns = UINT64_C(10000000000); /* after a look that failed */
static const uint64_t check_ns = UINT64_C(3000000000);  /* whether a daemon runs */

struct source {
    struct message_queue *queue;
    struct source_thread *thread;
    struct counters *counters;
    size_t asked, granted; /* bytes of the receive buffer */
    struct udev *udev;
    struct udev_monitor *monitor;
    bool daemon; /* it tells; else the kernel */
    /* Of the thread, once it runs: */
    bool scan_wanted, complained, users_read;
    uint64_t next_scan_ns, next_check_ns;
    struct buffer message, users;
};

static void count(const struct source *source, enum counter_id id)
{
    if (source->counters)
        counter_add(source->counters, id, 1);
}

static int put(struct source *source, enum message_kind kind)
{
    return source->message.failed ? -ENOMEM
                                  : message_queue_put(source->queue, kind, clock_boot_ns(),
                                                      buffer_slice(&source->message));
}

/* What a look finds, the next one finds, too; what was told once is told no more. */
static int put_event(struct source *source, enum message_kind kind)
{
    int r = put(source, kind);
    if (r == -ECANCELED)
        message_queue_lost(source->queue);
    return r;
}

static void complain(struct source *source, const char *what, int error)
{
    if (!source->complained && error != -ECANCELED)
        log_warning("udev", "%s: %s; said once, tried again", what, strerror(-error));
    source->complained = true;
}

/* The monitor. */

static size_t granted_buffer(struct udev_monitor *monitor)
{
    int bytes = 0;
    socklen_t length = sizeof(bytes);
    int fd = udev_monitor_get_fd(monitor);
    return getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &length) == 0 ? (size_t)bytes : 0;
}

/* A smaller buffer than was asked for is still one: coverage says how large it is. */
static int open_monitor(struct source *source, bool daemon, struct udev_monitor **monitorp)
{
    struct udev_monitor *monitor =
        udev_monitor_new_from_netlink(source->udev, daemon ? "udev" : "kernel");
    int most = INT32_MAX / 2;
    if (!monitor)
        return errno ? -errno : -ENOMEM;
    if (source->asked)
        (void)udev_monitor_set_receive_buffer_size(
            monitor, source->asked > (size_t)most ? most : (int)source->asked);
    int r = udev_monitor_enable_receiving(monitor);
    if (r < 0) {
        udev_monitor_unref(monitor);
        return r;
    }
    source->granted = granted_buffer(monitor);
    *monitorp = monitor;
    return 0;
}

/* Messages. */

static int put_scan(struct source *source, bool begin, bool complete)
{
    struct fact_device_scan scan = {.begin = begin, .complete = complete};
    buffer_clear(&source->message);
    udev_message_append_scan(&source->message, &scan);
    return put(source, MESSAGE_DATA);
}

static int put_note(struct source *source)
{
    buffer_clear(&source->message);
    buffer_printf(&source->message, "%s, receive buffer %zu bytes",
                  source->daemon ? "udev\tby the udev daemon"
                                 : "kernel\tno udev daemon runs: by the kernel and sysfs",
                  source->granted);
    return put(source, MESSAGE_NOTE);
}

/* Read once for all that came at once. NULL: nobody knows. */
static const char *users(struct source *source)
{
    if (!source->users_read) {
        buffer_clear(&source->users);
        if (logged_in_read(&source->users, _PATH_UTMP) < 0)
            buffer_clear(&source->users);
    }
    source->users_read = true;
    return source->users.length > 0 ? (const char *)source->users.data : NULL;
}

static int put_device(struct source *source, struct udev_device *device, bool present)
{
    buffer_clear(&source->message);
    udev_message_append_device(&source->message, present);
    udev_device_append(&source->message, device);
    udev_message_append_property(&source->message, "@users", users(source));
    if (source->message.length <= UDEV_MESSAGE_MOST)
        return present ? put(source, MESSAGE_DATA) : put_event(source, MESSAGE_DATA);
    count(source, COUNTER_MESSAGES_MALFORMED);
    return 0;
}

/* A look at all devices. One that is gone before it is looked at has no message; one that cannot be
 * looked at is no proof that it is gone. */

static bool is_gone(int error)
{
    return error == ENOENT || error == ENODEV || error == ENXIO;
}

static int put_present(struct source *source, const char *path)
{
    errno = 0;
    struct udev_device *device = udev_device_new_from_syspath(source->udev, path);
    if (!device)
        return is_gone(errno) ? 0 : errno ? -errno : -ENOMEM;
    int r = put_device(source, device, true);
    udev_device_unref(device);
    return r;
}

static int look_at_all(struct source *source)
{
    struct udev_enumerate *enumerate = udev_enumerate_new(source->udev);
    struct udev_list_entry *entry;
    int r = enumerate ? udev_enumerate_scan_devices(enumerate) : -ENOMEM;
    if (r >= 0)
        udev_list_entry_foreach(entry, udev_enumerate_get_list_entry(enumerate))
        {
            int outcome = put_present(source, udev_list_entry_get_name(entry));
            if (r >= 0 && outcome < 0)
                r = outcome;
            if (r == -ECANCELED)
                break;
        }
    udev_enumerate_unref(enumerate);
    return r < 0 ? r : 0;
}

static int look(struct source *source)
{
    source->users_read = false;
    int r = put_scan(source, true, false);
    if (r < 0)
        return r;
    r = look_at_all(source);
    if (r < 0)
        complain(source, "cannot look at all devices", r);
    source->scan_wanted = r < 0;
    source->next_scan_ns = clock_boot_ns() + retry_ns;
    int end = put_scan(source, false, r == 0);
    return end < 0 ? end : put_note(source);
}

/* Events. */

static int put_overrun(struct source *source)
{
    count(source, COUNTER_RECEIVE_OVERRUNS);
    source->scan_wanted = true;
    source->next_scan_ns = 0;
    buffer_clear(&source->message);
    return put_event(source, MESSAGE_OVERRUN);
}

/* libudev takes from the kernel, or from root's daemon, only; what it cannot understand it says by
 * an error and has then read. */
static int take_events(struct source *source)
{
    unsigned n_malformed = 0;
    int r = 0;
    source->users_read = false;
    while (r == 0 && n_malformed < MALFORMED_MOST) {
        errno = 0;
        struct udev_device *device = udev_monitor_receive_device(source->monitor);
        int error = errno;
        if (device) {
            r = put_device(source, device, false);
            udev_device_unref(device);
        } else if (error == ENOBUFS) {
            r = put_overrun(source);
        } else if (error == EAGAIN || error == 0) {
            break;
        } else if (error != EINTR) {
            count(source, COUNTER_MESSAGES_MALFORMED);
            n_malformed++;
        }
    }
    return r;
}

/* What the one that told until now has told is taken first. */
static int follow_daemon(struct source *source)
{
    struct udev_monitor *monitor;
    uint64_t now = clock_boot_ns();
    if (now < source->next_check_ns)
        return 0;
    source->next_check_ns = now + check_ns;
    bool daemon = udev_daemon_runs();
    if (daemon == source->daemon)
        return 0;
    int r = open_monitor(source, daemon, &monitor);
    if (r < 0) {
        complain(source, "cannot subscribe", r);
        return 0;
    }
    r = take_events(source);
    udev_monitor_unref(source->monitor);
    source->monitor = monitor;
    source->daemon = daemon;
    source->scan_wanted = true;
    source->next_scan_ns = 0;
    return r;
}

static int put_read(struct source *source)
{
    buffer_clear(&source->message);
    udev_message_append_read(&source->message);
    return put(source, MESSAGE_DATA);
}

static int work(struct source *source, bool requested)
{
    int r = follow_daemon(source);
    if (r == 0)
        r = take_events(source);
    if (r == 0 && source->scan_wanted && clock_boot_ns() >= source->next_scan_ns)
        r = look(source);
    return r == 0 && requested ? put_read(source) : r;
}

static void run(void *user)
{
    struct source *source = user;
    bool requested = false, requested_too = false;
    do {
        int r = work(source, requested || requested_too);
        if (r < 0)
            complain(source, "a message is lost", r);
    } while (source_thread_wait(source->thread, NAP_MS, &requested) &&
             source_thread_wait_for(source->thread, udev_monitor_get_fd(source->monitor),
                                    requested ? 0 : WAIT_MS, &requested_too));
    int r = take_events(source);
    if (r < 0)
        complain(source, "a message is lost", r);
}

void udev_source_request(struct source *source)
{
    source_thread_request(source->thread);
}

/* The source. */

static int source_drain(struct source *source, struct gulp *gulp)
{
    return message_queue_drain(source->queue, gulp) ? SOURCE_DRAINED : SOURCE_MORE;
}

/* The thread takes once more what has come. Nobody drains until then: when the queue is full, the
 * rest is lost. */
static void source_stop(struct source *source)
{
    source_thread_end_within(source->thread, SOURCE_THREAD_END_MS);
    message_queue_close(source->queue);
    source_thread_stop(source->thread);
}

static struct source *source_free(struct source *source)
{
    if (!source)
        return NULL;
    if (source->queue)
        message_queue_close(source->queue);
    source_thread_free(source->thread);
    udev_monitor_unref(source->monitor);
    udev_unref(source->udev);
    message_queue_free(source->queue);
    buffer_deinit(&source->message);
    buffer_deinit(&source->users);
    free(source);
    return NULL;
}

static int build(struct source *source, const struct source_options *options,
                 struct error_text *error)
{
    const struct message_queue_options queue = {.source = SOURCE_UDEV,
                                                .capacity = QUEUE_BYTES,
                                                .wake_fd = options->wake_fd,
                                                .counters = options->counters};
    int r = message_queue_new(&source->queue, &queue);
    source->udev = udev_new();
    if (r < 0 || !source->udev)
        return error_set(error, -ENOMEM, "out of memory");
    source->daemon = udev_daemon_runs();
    r = open_monitor(source, source->daemon, &source->monitor);
    if (r < 0)
        return error_set(error, r, "udev: cannot subscribe to events of devices: %s", strerror(-r));
    /* A large receive buffer of another monitor, when a daemon comes or goes, needs the network. */
    return source_thread_new(&source->thread, "udev", run, source, error);
}

static int source_open(struct source **sourcep, const struct source_options *options,
                       struct error_text *error)
{
    struct source *source = calloc(1, sizeof(*source));
    if (!source)
        return error_set(error, -ENOMEM, "out of memory");
    source->counters = options->counters;
    source->asked = options->receive_buffer;
    source->scan_wanted = true;
    int r = build(source, options, error);
    if (r < 0) {
        source_free(source);
        return r;
    }
    *sourcep = source;
    return 0;
}

const struct source_ops udev_source_ops = {
    .id = SOURCE_UDEV,
    .open = source_open,
    .drain = source_drain,
    .stop = source_stop,
    .free = source_free,
    .decoder_new = decoder_none_new,
    .decode = udev_decode,
    .decoder_free = decoder_none_free,
};
