/* One thread looks at all three files when inotify has a word on one of them, when it is asked, and
 * every two seconds. Watched are the directories, for files that come, go and change: what is
 * written by name and in no other place. */
#include "collectors/utmp/utmp_source.h"

#include "collectors/thread/message_queue.h"
#include "collectors/thread/source_thread.h"
#include "collectors/utmp/login_log.h"
#include "core/cleanup.h"
#include "core/file_state.h"
#include "core/log.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/inotify.h>
#include <sys/stat.h>

enum {
    QUEUE_BYTES = 256 << 10,
    LOOK_MS = 2000,
    NAP_MS = 20,
    UTMP_BYTES_MOST = 1 << 20,
    RECORDS_BYTES = UTMP_RECORDS_MOST * UTMP_RECORD_SIZE
};

struct source {
    struct message_queue *queue;
    struct source_thread *thread;
    struct counters *counters;
    char path[LOGIN_FILE_N][PATH_MAX];
    struct login_log_handlers handlers;
    _Atomic uint64_t read_until_ns;
    /* Of the thread, once it runs: */
    struct login_log *logs[LOGIN_FILE_N]; /* not of utmp */
    int inotify_fd;                       /* -1: there is none; then by time alone */
    bool there[LOGIN_FILE_N], noted, complained;
    struct stat utmp_state; /* as it was when it was read */
    bool utmp_lasting;      /* another state shows */
    struct buffer message, utmp;
};

static const char *const default_paths[LOGIN_FILE_N] = {"/var/run/utmp", "/var/log/wtmp",
                                                        "/var/log/btmp"};
static const char *const file_names[LOGIN_FILE_N] = {"utmp", "wtmp", "btmp"};

static int put(struct source *source, enum message_kind kind)
{
    if (source->message.failed)
        return -ENOMEM;
    return message_queue_put(source->queue, kind, clock_boot_ns(), buffer_slice(&source->message));
}

static int put_records(void *user, enum login_file file, uint64_t inode, uint64_t begin, bool old,
                       struct slice records)
{
    struct source *source = user;
    const struct utmp_message_header header = {
        .file = (uint8_t)file, .old = old, .inode = inode, .before = begin};
    buffer_clear(&source->message);
    utmp_message_append_records(&source->message, &header, records);
    return put(source, MESSAGE_DATA);
}

static int put_event(void *user, const struct fact_login_log *event)
{
    struct source *source = user;
    buffer_clear(&source->message);
    utmp_message_append_log(&source->message, event);
    return put(source, MESSAGE_DATA);
}

static int put_missing(void *user, enum login_file file)
{
    struct source *source = user;
    (void)file;
    buffer_clear(&source->message);
    return put(source, MESSAGE_OVERRUN);
}

/* -- utmp -- */

static int put_scan(struct source *source, enum login_log_event event, uint64_t inode)
{
    const struct fact_login_log scan = {.event = event, .file = LOGIN_FILE_UTMP, .inode = inode};
    return put_event(source, &scan);
}

/* When there is more of it than was read, what was not read is not over. */
static int put_utmp(struct source *source, uint64_t inode, bool old, bool whole)
{
    struct slice all = buffer_slice(&source->utmp);
    size_t length = all.length - all.length % UTMP_RECORD_SIZE;
    int r = put_scan(source, LOGIN_LOG_SCAN_BEGAN, inode);
    for (size_t at = 0; r == 0 && at < length; at += RECORDS_BYTES) {
        size_t n = length - at < RECORDS_BYTES ? length - at : RECORDS_BYTES;
        r = put_records(source, LOGIN_FILE_UTMP, inode, at, old, slice_of(all.data + at, n));
    }
    if (r < 0)
        return r;
    return whole ? put_scan(source, LOGIN_LOG_SCAN_ENDED, inode)
                 : put_missing(source, LOGIN_FILE_UTMP);
}

/* Returns whether all of it was read. */
static bool read_utmp(struct source *source, int fd)
{
    buffer_clear(&source->utmp);
    for (;;) {
        uint8_t *to = buffer_reserve(&source->utmp, RECORDS_BYTES);
        ssize_t n = to ? read(fd, to, RECORDS_BYTES) : -1;
        if (n < 0 && to && errno == EINTR)
            continue;
        if (n <= 0 || source->utmp.length >= UTMP_BYTES_MOST)
            return n == 0;
        source->utmp.length += (size_t)n;
    }
}

static int look_at_utmp(struct source *source)
{
    struct stat status;
    bool first = source->utmp_state.st_ino == 0 && !source->noted;
    int64_t before_ns = file_state_clock_ns();
    int fd AUTO_CLOSE = open(source->path[LOGIN_FILE_UTMP], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    source->there[LOGIN_FILE_UTMP] = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    if (!source->there[LOGIN_FILE_UTMP])
        return 0;
    if (source->utmp_lasting && file_state_equal(&source->utmp_state, &status))
        return 0;
    bool whole = read_utmp(source, fd);
    source->utmp_state = status;
    source->utmp_lasting = !whole || /* one gap */
                           file_state_is_lasting(&status, before_ns, file_state_clock_ns());
    return put_utmp(source, status.st_ino, first, whole);
}

/* -- all three -- */

static int put_note(struct source *source)
{
    bool any = false, all = true;
    buffer_clear(&source->message);
    for (size_t i = 0; i < LOGIN_FILE_N; i++) {
        any |= source->there[i];
        all &= source->there[i];
    }
    buffer_append_text(&source->message, any ? "on\t" : "absent\t");
    for (size_t i = 0; i < LOGIN_FILE_N; i++)
        buffer_printf(&source->message, "%s%s", i ? ", " : "", source->path[i]);
    if (!all)
        buffer_append_text(&source->message, "; not there:");
    for (size_t i = 0; i < LOGIN_FILE_N; i++)
        if (!source->there[i])
            buffer_printf(&source->message, " %s", file_names[i]);
    source->noted = true;
    return put(source, MESSAGE_NOTE);
}

/* wtmp is read before utmp: the one says when, the other only what is so now. */
static int look(struct source *source)
{
    bool before[LOGIN_FILE_N];
    uint64_t now = clock_boot_ns();
    int r = 0;
    memcpy(before, source->there, sizeof(before));
    for (size_t i = LOGIN_FILE_WTMP; i < LOGIN_FILE_N && r == 0; i++) {
        r = login_log_look(source->logs[i]);
        source->there[i] = login_log_there(source->logs[i]);
    }
    if (r == 0)
        r = look_at_utmp(source);
    if (r == 0 && (!source->noted || memcmp(before, source->there, sizeof(before)) != 0))
        r = put_note(source);
    if (r == 0)
        atomic_store(&source->read_until_ns, now);
    return r;
}

static void complain(struct source *source, int error)
{
    if (error == 0 || error == -ECANCELED || source->complained)
        return;
    log_warning("utmp", "cannot read all records of logins: %s; said once, tried again",
                strerror(-error));
    source->complained = true;
}

static void watch_directories(struct source *source)
{
    for (size_t i = 0; i < LOGIN_FILE_N && source->inotify_fd >= 0; i++) {
        char path[PATH_MAX];
        memcpy(path, source->path[i], sizeof(path));
        if (inotify_add_watch(source->inotify_fd, dirname(path),
                              IN_CREATE | IN_MOVED_TO | IN_MODIFY | IN_ONLYDIR) < 0)
            log_debug("utmp", "no watch for %s: %s", source->path[i], strerror(errno));
    }
}

static bool is_ours(const struct source *source, const struct inotify_event *event)
{
    if (event->len == 0)
        return true;
    for (size_t i = 0; i < LOGIN_FILE_N; i++) {
        const char *slash = strrchr(source->path[i], '/');
        if (slash && !strcmp(slash + 1, event->name))
            return true;
    }
    return false;
}

/* Whether one of the events concerns the files. Directories hold others that are written often. */
static bool take_events(const struct source *source)
{
    uint8_t events[4096] __attribute__((aligned(8)));
    bool ours = false;
    ssize_t n;
    if (source->inotify_fd < 0)
        return true;
    while ((n = read(source->inotify_fd, events, sizeof(events))) > 0)
        for (const uint8_t *at = events; at < events + n;) {
            const struct inotify_event *event = (const void *)at;
            ours |= is_ours(source, event);
            at += sizeof(*event) + event->len;
        }
    return ours;
}

static void run(void *user)
{
    struct source *source = user;
    uint64_t looked_ns = 0;
    bool requested = false, again = true;
    do {
        bool ours = take_events(source);
        uint64_t now = clock_boot_ns();
        if (again || ours || requested || now - looked_ns >= LOOK_MS * UINT64_C(1000000)) {
            complain(source, look(source));
            looked_ns = now;
        }
        again = false;
        if (!source_thread_wait(source->thread, NAP_MS, &again))
            return;
    } while (again ||
             source_thread_wait_for(source->thread, source->inotify_fd, LOOK_MS, &requested));
}

void utmp_source_request(struct source *source)
{
    source_thread_request(source->thread);
}

uint64_t utmp_source_read_until(const struct source *source)
{
    return atomic_load(&source->read_until_ns);
}

/* -- the source -- */

static int source_drain(struct source *source, struct gulp *gulp)
{
    return message_queue_drain(source->queue, gulp) ? SOURCE_DRAINED : SOURCE_MORE;
}

static void source_stop(struct source *source)
{
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
    for (size_t i = 0; i < LOGIN_FILE_N; i++)
        login_log_free(source->logs[i]);
    if (source->inotify_fd >= 0)
        close(source->inotify_fd);
    message_queue_free(source->queue);
    buffer_deinit(&source->message);
    buffer_deinit(&source->utmp);
    free(source);
    return NULL;
}

static int open_log(struct source *source, enum login_file file, struct login_cursor cursor)
{
    const struct login_log_options options = {
        .file = file, .path = source->path[file], .cursor = cursor, .handlers = &source->handlers};
    return login_log_new(&source->logs[file], &options);
}

static int build(struct source *source, const struct source_options *options,
                 struct error_text *error)
{
    const struct message_queue_options queue = {.source = SOURCE_UTMP,
                                                .capacity = QUEUE_BYTES,
                                                .wake_fd = options->wake_fd,
                                                .counters = options->counters};
    int r = message_queue_new(&source->queue, &queue);
    if (r == 0)
        r = open_log(source, LOGIN_FILE_WTMP, options->wtmp_cursor);
    if (r == 0)
        r = open_log(source, LOGIN_FILE_BTMP, options->btmp_cursor);
    if (r < 0)
        return error_set(error, r, "out of memory");
    source->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    watch_directories(source);
    return source_thread_new(&source->thread, "utmp", run, source, error);
}

static int source_open(struct source **sourcep, const struct source_options *options,
                       struct error_text *error)
{
    struct source *source = calloc(1, sizeof(*source));
    const char *const paths[LOGIN_FILE_N] = {options->utmp_path, options->wtmp_path,
                                             options->btmp_path};
    if (!source)
        return error_set(error, -ENOMEM, "out of memory");
    source->inotify_fd = -1;
    source->counters = options->counters;
    source->handlers = (struct login_log_handlers){
        .records = put_records, .event = put_event, .missing = put_missing, .user = source};
    for (size_t i = 0; i < LOGIN_FILE_N; i++)
        snprintf(source->path[i], sizeof(source->path[i]), "%s",
                 paths[i] ? paths[i] : default_paths[i]);
    int r = build(source, options, error);
    if (r < 0) {
        source_free(source);
        return r;
    }
    *sourcep = source;
    return 0;
}

const struct source_ops utmp_source_ops = {
    .id = SOURCE_UTMP,
    .open = source_open,
    .drain = source_drain,
    .stop = source_stop,
    .free = source_free,
    .decoder_new = decoder_none_new,
    .decode = utmp_decode,
    .decoder_free = decoder_none_free,
};
