/* The thread reads events as soon as they come, so that two changes after each other are hardly
 * taken for one, and does what may wait for a disk. The reader looks for events, too, so that a
 * change of before a mark of `vestige sync` is announced before it. The files are looked at every
 * two seconds besides: a symbolic link or a mount may bring another one without an event. */
#include "collectors/accounts/accounts_source.h"

#include "collectors/accounts/account_changes.h"
#include "collectors/accounts/account_file.h"
#include "collectors/accounts/account_key.h"
#include "collectors/accounts/account_message.h"
#include "collectors/accounts/account_scan.h"
#include "collectors/thread/message_queue.h"
#include "collectors/thread/source_thread.h"
#include "core/cleanup.h"
#include "core/log.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/inotify.h>

enum { QUEUE_BYTES = 256 << 10, MESSAGE_BYTES = 8 << 10, LOOK_MS = 2000, PATH_SIZE = 256 };
enum { EVENT_BYTES = 4096 + NAME_MAX };

static const uint32_t watched = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY |
                                IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

struct source {
    struct message_queue *queue;
    struct source_thread *thread;
    struct counters *counters;
    char path[PATH_SIZE]; /* of the directory */
    struct account_key key;
    bool key_kept;
    int inotify;
    /* Of the reader: */
    uint32_t announced[ACCOUNT_PART_N]; /* the last change that was */
    uint64_t n_told;                    /* overruns */
    /* Of the thread, once it runs: */
    int directory;
    int watch;
    struct account_file_look looks[ACCOUNT_FILE_N];
    struct account_scan_result last[ACCOUNT_PART_N];
    uint64_t looked_ns[ACCOUNT_PART_N]; /* when the part was read last, or the source opened */
    struct buffer message, note;
    uint64_t moment_ns; /* of the change that is being read */

    pthread_mutex_t lock; /* of what follows */
    struct account_changes changes;
    bool unwatched;      /* the directory went away */
    uint64_t n_overruns; /* of the queue of events */
    uint64_t n_events;
};

/* -- events: the reader and the thread -- */

static void mark_all(struct source *source, uint64_t now_ns)
{
    for (enum account_part part = 0; part < ACCOUNT_PART_N; part++)
        account_changes_mark(&source->changes, part, now_ns);
}

static void take_event(struct source *source, const struct inotify_event *event, uint64_t now_ns)
{
    if (event->mask & IN_Q_OVERFLOW) {
        source->n_overruns++;
        mark_all(source, now_ns);
    } else if (event->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) {
        source->unwatched |= event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT);
    } else if (event->len) {
        bool gone = event->mask & (IN_DELETE | IN_MOVED_FROM);
        account_changes_event(&source->changes, event->name, !gone, now_ns);
    }
}

static void read_events(struct source *source)
{
    char bytes[EVENT_BYTES] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n;
    while ((n = read(source->inotify, bytes, sizeof(bytes))) > 0) {
        uint64_t now_ns = clock_boot_ns();
        source->n_events++;
        for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= n;) {
            const struct inotify_event *event = (const void *)(bytes + at);
            take_event(source, event, now_ns);
            at += (ssize_t)(sizeof(*event) + event->len);
        }
    }
}

/* False: the gulp is full. */
static bool announce(struct source *source, enum account_part part, uint32_t sequence,
                     struct gulp *gulp)
{
    struct buffer message CLEANUP(buffer_deinit) = BUFFER_NULL;
    const struct fact_account_scan scan = {
        .step = ACCOUNT_SCAN_WANTED, .part = part, .sequence = sequence};
    if (source->announced[part] == sequence)
        return true;
    account_message_append_scan(&message, &scan);
    if (message.failed ||
        gulp_add(gulp, SOURCE_ACCOUNTS, MESSAGE_DATA, clock_boot_ns(), buffer_slice(&message)) < 0)
        return false;
    source->announced[part] = sequence;
    return true;
}

/* Likewise. */
static bool tell_overruns(struct source *source, uint64_t n_overruns, struct gulp *gulp)
{
    for (; source->n_told < n_overruns; source->n_told++) {
        if (gulp_add(gulp, SOURCE_ACCOUNTS, MESSAGE_OVERRUN, clock_boot_ns(), SLICE_NULL) < 0)
            return false;
        if (source->counters)
            counter_add(source->counters, COUNTER_RECEIVE_OVERRUNS, 1);
    }
    return true;
}

static int source_drain(struct source *source, struct gulp *gulp)
{
    uint32_t sequence[ACCOUNT_PART_N];
    bool news = false;
    pthread_mutex_lock(&source->lock);
    read_events(source);
    uint64_t n_overruns = source->n_overruns;
    for (enum account_part part = 0; part < ACCOUNT_PART_N; part++) {
        sequence[part] = source->changes.part[part].sequence;
        news |= source->announced[part] != sequence[part] || source->changes.part[part].released;
    }
    pthread_mutex_unlock(&source->lock);
    if (news)
        source_thread_request(source->thread);
    bool room = tell_overruns(source, n_overruns, gulp);
    for (enum account_part part = 0; part < ACCOUNT_PART_N; part++)
        room = room && announce(source, part, sequence[part], gulp);
    return room && message_queue_drain(source->queue, gulp) ? SOURCE_DRAINED : SOURCE_MORE;
}

/* -- the thread -- */

static int put(struct source *source, enum message_kind kind, uint64_t boot_ns)
{
    int r = source->message.failed
                ? -ENOMEM
                : message_queue_put(source->queue, kind, boot_ns, buffer_slice(&source->message));
    buffer_clear(&source->message);
    return r;
}

static int take_fact(void *user, const struct fact *fact)
{
    struct source *source = user;
    if (fact->kind == FACT_ACCOUNT)
        account_message_append_account(&source->message, &fact->account);
    else if (fact->kind == FACT_ACCOUNT_GROUP)
        account_message_append_group(&source->message, &fact->account_group);
    else
        account_message_append_member(&source->message, &fact->group_member);
    return source->message.length < MESSAGE_BYTES ? 0
                                                  : put(source, MESSAGE_DATA, source->moment_ns);
}

static void append_fault(struct buffer *to, enum account_file file, int error)
{
    if (error)
        buffer_printf(to, "; %s: %s", account_file_name(file), strerror(-error));
}

static void append_note(const struct source *source, struct buffer *to)
{
    uint64_t n_malformed = 0;
    buffer_printf(to, "on\tpasswd, shadow, group and gshadow of %s", source->path);
    if (source->watch < 0)
        buffer_append_text(to, "; not watched, looked at every 2 s");
    for (enum account_part part = 0; part < ACCOUNT_PART_N; part++) {
        const struct account_scan_result *last = &source->last[part];
        append_fault(to, part == ACCOUNT_PART_ACCOUNTS ? FILE_PASSWD : FILE_GROUP, last->error);
        append_fault(to, part == ACCOUNT_PART_ACCOUNTS ? FILE_SHADOW : FILE_GSHADOW,
                     last->password_error);
        if (last->password_error)
            buffer_append_text(to, ", passwords are those known before");
        n_malformed += last->n_malformed;
    }
    if (n_malformed)
        buffer_printf(to, "; %llu malformed lines or names left out",
                      (unsigned long long)n_malformed);
    if (!source->key_kept)
        buffer_append_text(to, "; the key of the digests is of this run only");
}

/* When it says something new. */
static int put_note(struct source *source)
{
    append_note(source, &source->message);
    if (slice_equal(buffer_slice(&source->message), buffer_slice(&source->note))) {
        buffer_clear(&source->message);
        return 0;
    }
    buffer_clear(&source->note);
    buffer_append_slice(&source->note, buffer_slice(&source->message));
    return put(source, MESSAGE_NOTE, clock_boot_ns());
}

static int put_scan(struct source *source, enum account_scan_step step, enum account_part part,
                    uint32_t sequence)
{
    const struct fact_account_scan scan = {
        .step = step, .part = part, .sequence = sequence, .complete = source->last[part].complete};
    account_message_append_scan(&source->message, &scan);
    return put(source, MESSAGE_DATA, source->moment_ns);
}

/* What another look may find better. */
static bool is_passing(int error)
{
    return error == -EAGAIN || error == -EIO || error == -ENOMEM || error == -EMFILE ||
           error == -ENFILE;
}

/* The files are looked at before they are read: what changes in between is seen at the next look.
 */
static void look_at_part(struct source *source, enum account_part part)
{
    for (enum account_file file = 0; file < ACCOUNT_FILE_N; file++)
        if (account_file_part(file) == part)
            (void)account_file_changed(&source->looks[file], source->directory,
                                       account_file_name(file));
}

static void look_again(struct source *source, enum account_part part)
{
    for (enum account_file file = 0; file < ACCOUNT_FILE_N; file++)
        source->looks[file].looked &= account_file_part(file) != part;
}

/* Events have no time, and on a busy machine they are read late. A file that came since the part
 * was read last says when it did. */
static uint64_t moment_of(const struct source *source, enum account_part part, uint64_t heard_ns)
{
    int64_t real_ns;
    int64_t boot_ns = (int64_t)clock_both_ns(&real_ns), offset_ns = real_ns - boot_ns;
    int64_t moment_ns = (int64_t)heard_ns, after_ns = (int64_t)source->looked_ns[part];
    for (enum account_file file = 0; file < ACCOUNT_FILE_N; file++) {
        const struct timespec *at = &source->looks[file].status.st_ctim;
        int64_t ns = at->tv_sec * INT64_C(1000000000) + at->tv_nsec - offset_ns;
        if (account_file_part(file) == part && ns > after_ns && ns < moment_ns)
            moment_ns = ns;
    }
    return (uint64_t)moment_ns;
}

static int read_part(struct source *source, enum account_part part, struct account_change change)
{
    struct account_scan_result *last = &source->last[part];
    const struct account_scan_options options = {
        .directory = source->directory, .key = &source->key, .take = take_fact, .user = source};
    uint64_t now_ns = clock_boot_ns();
    look_at_part(source, part);
    source->moment_ns = moment_of(source, part, change.first_ns);
    source->looked_ns[part] = now_ns;
    int r = put_scan(source, ACCOUNT_SCAN_BEGAN, part, change.sequence);
    if (r == 0)
        r = account_scan_run(&options, part, last);
    if (source->counters && r == 0)
        counter_add(source->counters, COUNTER_MESSAGES_MALFORMED, last->n_malformed);
    if (r == 0 && source->message.length)
        r = put(source, MESSAGE_DATA, source->moment_ns);
    if (r == 0) /* before the end of the reading, for which `vestige sync` waits */
        r = put_note(source);
    if (r == 0)
        r = put_scan(source, ACCOUNT_SCAN_ENDED, part, change.sequence);
    if (r < 0 || is_passing(last->error) || is_passing(last->password_error))
        look_again(source, part);
    return r;
}

/* Returns how long to wait for the next part that is due. */
static int read_parts(struct source *source, unsigned *wait_ms)
{
    int r = 0;
    *wait_ms = LOOK_MS;
    for (enum account_part part = 0; part < ACCOUNT_PART_N && r == 0; part++) {
        struct account_change change = {.first_ns = 0};
        uint64_t now_ns = clock_boot_ns();
        pthread_mutex_lock(&source->lock);
        uint64_t due_ns = account_changes_due(&source->changes, part);
        if (due_ns <= now_ns)
            change = account_changes_take(&source->changes, part);
        pthread_mutex_unlock(&source->lock);
        if (due_ns <= now_ns)
            r = read_part(source, part, change);
        else if (due_ns - now_ns < *wait_ms * UINT64_C(1000000))
            *wait_ms = (unsigned)((due_ns - now_ns) / 1000000) + 1;
    }
    return r;
}

static bool is_locked(const struct source *source, enum account_file file)
{
    char name[32];
    struct stat status;
    snprintf(name, sizeof(name), "%s.lock", account_file_name(file));
    return fstatat(source->directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

/* What changed without an event, or before there was a watch. The mutex is not held while the file
 * system is asked, which may hang: the reader takes it. What events have said meanwhile of the
 * locks is newer. */
static void look_at_files(struct source *source)
{
    bool changed[ACCOUNT_FILE_N], locked[ACCOUNT_FILE_N];
    pthread_mutex_lock(&source->lock);
    uint64_t n_events = source->n_events;
    pthread_mutex_unlock(&source->lock);
    for (enum account_file file = 0; file < ACCOUNT_FILE_N; file++) {
        changed[file] =
            account_file_changed(&source->looks[file], source->directory, account_file_name(file));
        locked[file] = is_locked(source, file);
    }
    uint64_t now_ns = clock_boot_ns();
    pthread_mutex_lock(&source->lock);
    for (enum account_file file = 0; file < ACCOUNT_FILE_N; file++) {
        const struct account_change *change = &source->changes.part[account_file_part(file)];
        if (n_events == source->n_events)
            account_changes_lock(&source->changes, file, locked[file]);
        if (changed[file] && !change->first_ns)
            account_changes_mark(&source->changes, account_file_part(file), now_ns);
    }
    pthread_mutex_unlock(&source->lock);
}

static void open_directory(struct source *source)
{
    int fd = open(source->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && source->directory >= 0)
        close(source->directory);
    if (fd >= 0)
        source->directory = fd;
    source->watch = inotify_add_watch(source->inotify, source->path, watched);
}

/* Another directory may be in its place. */
static void watch_again(struct source *source)
{
    pthread_mutex_lock(&source->lock);
    bool unwatched = source->unwatched;
    source->unwatched = false;
    pthread_mutex_unlock(&source->lock);
    if (unwatched && source->watch >= 0) {
        inotify_rm_watch(source->inotify, source->watch);
        source->watch = -1;
    }
    if (source->watch < 0)
        open_directory(source);
}

static void run(void *user)
{
    struct source *source = user;
    uint64_t looked_ns = 0;
    unsigned wait_ms = 0;
    bool requested;
    int r = 0;
    do {
        uint64_t now_ns = clock_boot_ns();
        if (now_ns - looked_ns >= LOOK_MS * UINT64_C(1000000)) {
            looked_ns = now_ns;
            watch_again(source);
            look_at_files(source);
        }
        pthread_mutex_lock(&source->lock);
        read_events(source);
        pthread_mutex_unlock(&source->lock);
        r = read_parts(source, &wait_ms);
        if (r < 0 && r != -ECANCELED)
            log_error("accounts", "a message is lost: %s", strerror(-r));
    } while (r != -ECANCELED &&
             source_thread_wait_for(source->thread, source->inotify, wait_ms, &requested));
}

/* -- the source -- */

static void source_stop(struct source *source)
{
    message_queue_close(source->queue);
    source_thread_stop(source->thread);
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

static struct source *source_free(struct source *source)
{
    if (!source)
        return NULL;
    if (source->queue)
        message_queue_close(source->queue);
    source_thread_free(source->thread);
    message_queue_free(source->queue);
    close_fd(source->inotify);
    close_fd(source->directory);
    pthread_mutex_destroy(&source->lock);
    buffer_deinit(&source->message);
    buffer_deinit(&source->note);
    explicit_bzero(&source->key, sizeof(source->key));
    free(source);
    return NULL;
}

static int set_up(struct source *source, const struct source_options *options,
                  struct error_text *error)
{
    const struct message_queue_options queue = {.source = SOURCE_ACCOUNTS,
                                                .capacity = QUEUE_BYTES,
                                                .wake_fd = options->wake_fd,
                                                .counters = options->counters};
    source->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (source->inotify < 0)
        return error_set(error, -errno,
                         "cannot watch files: %s; raise fs.inotify.max_user_instances",
                         strerror(errno));
    open_directory(source);
    uint64_t now_ns = clock_boot_ns();
    mark_all(source, now_ns);
    for (enum account_part part = 0; part < ACCOUNT_PART_N; part++)
        source->looked_ns[part] = now_ns;
    if (source->directory < 0)
        return error_set(error, -ENOENT, "there is no directory %s; mend [accounts] directory",
                         source->path);
    int r = message_queue_new(&source->queue, &queue);
    if (r == 0)
        r = account_key_get(&source->key, options->state_directory, &source->key_kept);
    if (r < 0)
        return error_set(error, r, "%s", strerror(-r));
    return source_thread_new(&source->thread, "accounts", run, source, error);
}

static int source_open(struct source **sourcep, const struct source_options *options,
                       struct error_text *error)
{
    const char *directory = options->accounts_directory;
    struct source *source = calloc(1, sizeof(*source));
    if (!source)
        return error_set(error, -ENOMEM, "out of memory");
    source->inotify = source->directory = source->watch = -1;
    source->counters = options->counters;
    pthread_mutex_init(&source->lock, NULL);
    snprintf(source->path, sizeof(source->path), "%s", directory ? directory : "/etc");
    int r = set_up(source, options, error);
    if (r < 0) {
        source_free(source);
        return r;
    }
    *sourcep = source;
    return 0;
}

const struct source_ops accounts_source_ops = {
    .id = SOURCE_ACCOUNTS,
    .open = source_open,
    .drain = source_drain,
    .stop = source_stop,
    .free = source_free,
    .decoder_new = decoder_none_new,
    .decode = account_message_decode,
    .decoder_free = decoder_none_free,
};
