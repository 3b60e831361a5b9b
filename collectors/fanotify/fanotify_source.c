/* The thread sleeps until there are events or another mount, naps so that events gather, and reads
 * all. A new mount is watched before the nap. What is gone is forgotten after the next reading,
 * when nothing more can come of it.
 *
 * Of an event, what it says of directories goes into the tree first; then it becomes a fact. */
#include "collectors/fanotify/fanotify_private.h"

#include "core/log.h"

#include <sys/fanotify.h>

enum { NAP_MS = 20, IDLE_MS = 10000, QUEUE_BYTES = 1 << 20, TREE_BYTES = 8 << 20 };

/* Waits for room. Fails only when the source is being stopped and nobody reads on. */
void fanotify_put(struct source *source, enum message_kind kind, struct slice bytes)
{
    int r = message_queue_put(source->queue, kind, source->read_ns, bytes);
    source->told = source->told || kind != MESSAGE_NOTE;
    if (r == -ECANCELED && kind != MESSAGE_NOTE)
        message_queue_lost(source->queue);
    else if (r < 0 && r != -ECANCELED)
        log_error("fanotify", "a message is lost: %s", strerror(-r));
}

void fanotify_count(const struct source *source, enum counter_id id)
{
    if (source->counters)
        counter_add(source->counters, id, 1);
}

/* ---- reading ---- */

static void overflowed(struct source *source)
{
    fanotify_put(source, MESSAGE_OVERRUN, SLICE_NULL);
    fanotify_count(source, COUNTER_RECEIVE_OVERRUNS);
    fanotify_forget_all(source); /* renames may be among what was lost */
}

static void take_event(struct source *source, const struct fanotify_event *event)
{
    if (event->mask & FAN_Q_OVERFLOW) {
        overflowed(source);
        return;
    }
    fanotify_learn(source, event);
    fanotify_tell(source, event);
}

static void take_events(struct source *source, size_t length)
{
    struct bounded_reader reader = bounded_reader_of(source->events, length);
    struct fanotify_event event;
    int r;
    while ((r = fanotify_event_next(&reader, &event)) > 0) {
        if (r == FANOTIFY_EVENT_READ)
            take_event(source, &event);
        else
            fanotify_count(source, COUNTER_MESSAGES_MALFORMED);
    }
    if (r < 0)
        fanotify_count(source, COUNTER_MESSAGES_MALFORMED);
}

/* To somebody who waits for it, or has something to wait for. It is no loss. */
static void tell_read(struct source *source, uint64_t until_ns)
{
    int r = 0;
    if (source->told || source->requested)
        r = message_queue_put(source->queue, MESSAGE_DATA, source->read_ns,
                              slice_of(&until_ns, sizeof(until_ns)));
    if (r < 0 && r != -ECANCELED)
        log_error("fanotify", "that all is read cannot be told: %s", strerror(-r));
    source->told = source->requested = false;
}

/* Until nothing waits; what comes after that moment is younger than it. */
static void read_events(struct source *source)
{
    int n;
    uint64_t empty_ns;
    do {
        empty_ns = clock_boot_ns();
        n = fanotify_group_read(&source->group, source->events, sizeof(source->events));
        source->read_ns = clock_boot_ns();
        if (n > 0)
            take_events(source, (size_t)n);
    } while (n > 0);
    if (n < 0)
        log_error("fanotify", "cannot read: %s", strerror(-n));
    source->since_ns = empty_ns;
    if (source->unsure)
        fanotify_forget_all(source);
    source->unsure = false;
    source->n_origins = 0;
    tell_read(source, empty_ns);
    atomic_store_explicit(&source->read_until_ns, empty_ns, memory_order_release);
}

/* ---- mounts ---- */

static void put_note(struct source *source)
{
    struct buffer *note = &source->told_note;
    struct buffer now CLEANUP(buffer_deinit) = BUFFER_NULL;
    buffer_append_text(&now, "on\t");
    buffer_append_slice(&now, buffer_slice(&source->filesystems.note));
    buffer_printf(&now, "; queue of %llu events%s%s", (unsigned long long)source->group.queue_most,
                  source->group.pairs ? "" : "; renames without pairs",
                  source->group.ignores ? "" : "; nothing is passed over by the kernel");
    if (now.failed || slice_equal(buffer_slice(note), buffer_slice(&now)))
        return;
    buffer_clear(note);
    buffer_append_slice(note, buffer_slice(&now));
    source->read_ns = clock_boot_ns();
    fanotify_put(source, MESSAGE_NOTE, buffer_slice(&now));
}

/* So that what happens at the top of a filesystem is known even after it is gone. */
static void find_tops(struct source *source)
{
    struct filesystem *filesystem;
    LIST_FOREACH(filesystem, &source->filesystems.list, in_list)
    {
        if (filesystem->present && !filesystem->moved)
            (void)directory_finder_top(source->tree, filesystem);
    }
}

static void forget_filesystem(void *user, const struct filesystem *filesystem)
{
    fanotify_forget(user, filesystem);
}

/* An overlay may be there now that shows it, or none any more. */
static void judge_again(void *user, struct directory *directory)
{
    enum file_verdict before = directory->verdict;
    fanotify_judge(user, directory);
    if (directory->verdict != before)
        fanotify_heed(user, directory);
}

static void follow_mounts(struct source *source)
{
    int r = filesystems_update(&source->filesystems);
    if (r < 0)
        log_error("fanotify", "cannot follow mounts: %s", strerror(-r));
    fanotify_heed_files(source);
    source->generation++;
    directory_tree_each_pinned(source->tree, NULL, judge_again, source);
    read_events(source);
    filesystems_forget_gone(&source->filesystems, forget_filesystem, source);
    find_tops(source);
    put_note(source);
}

/* ---- the source ---- */

/* False: the thread has to end. */
static bool nap(struct source *source, unsigned ms, bool for_events, bool *mounts_changed)
{
    struct pollfd fds[] = {
        {.fd = source->filesystems.mounts_fd,      .events = POLLPRI},
        {.fd = for_events ? source->group.fd : -1, .events = POLLIN },
    };
    bool requested;
    bool on = source_thread_poll(source->thread, fds, 2, ms, &requested);
    source->requested = source->requested || requested;
    *mounts_changed = fds[0].revents & (POLLPRI | POLLERR);
    return on;
}

static void run(void *user)
{
    struct source *source = user;
    bool mounts_changed = true, on = true;
    while (on) {
        if (mounts_changed)
            follow_mounts(source);
        else
            read_events(source);
        on = nap(source, IDLE_MS, true, &mounts_changed);
        if (on && !mounts_changed)
            on = nap(source, NAP_MS, false, &mounts_changed);
    }
    read_events(source);
}

static int take_group(struct source *source, const struct source_options *options,
                      struct error_text *error)
{
    if (!options->fanotify_group || options->fanotify_group->fd < 0)
        return fanotify_group_init(&source->group, error);
    source->group = *options->fanotify_group;
    *options->fanotify_group = (struct fanotify_group)FANOTIFY_GROUP_NULL;
    return 0;
}

static int open_all(struct source *source, const struct source_options *options,
                    struct error_text *error)
{
    const struct message_queue_options queue_options = {.source = SOURCE_FANOTIFY,
                                                        .capacity = QUEUE_BYTES,
                                                        .wake_fd = options->wake_fd,
                                                        .counters = options->counters};
    int r = file_selection_new(&source->selection, options, error);
    if (r == 0)
        r = take_group(source, options, error);
    if (r == 0)
        r = filesystems_init(&source->filesystems, &source->group, source->selection, error);
    if (r < 0)
        return r;
    r = filesystems_update(&source->filesystems);
    if (r == 0)
        r = directory_tree_new(&source->tree, TREE_BYTES);
    if (r == 0)
        r = message_queue_new(&source->queue, &queue_options);
    if (r < 0)
        return error_set(error, r, "fanotify: %s", strerror(-r));
    if (LIST_EMPTY(&source->filesystems.list))
        return error_set(error, -EOPNOTSUPP, "fanotify: no filesystem can be watched: %.*s",
                         (int)source->filesystems.note.length,
                         (const char *)source->filesystems.note.data);
    return source_thread_new(&source->thread, "fanotify", run, source, error);
}

static struct source *source_free(struct source *source)
{
    if (source) {
        if (source->queue)
            message_queue_close(source->queue);
        source_thread_free(source->thread);
        message_queue_free(source->queue);
        directory_tree_free(source->tree);
        filesystems_deinit(&source->filesystems);
        fanotify_group_deinit(&source->group);
        file_selection_free(source->selection);
        buffer_deinit(&source->told_note);
        buffer_deinit(&source->path);
        buffer_deinit(&source->new_path);
        buffer_deinit(&source->real_path);
        free(source);
    }
    return NULL;
}

static int source_open(struct source **sourcep, const struct source_options *options,
                       struct error_text *error)
{
    struct source *source = calloc(1, sizeof(*source));
    if (!source)
        return error_set(error, -ENOMEM, "out of memory");
    source->group = (struct fanotify_group)FANOTIFY_GROUP_NULL;
    source->filesystems.mounts_fd = -1;
    source->counters = options->counters;
    source->own_pid = (uint32_t)getpid();
    source->generation = 1;
    source->since_ns = clock_boot_ns();
    int r = open_all(source, options, error);
    if (r < 0) {
        source_free(source);
        return r;
    }
    *sourcep = source;
    return 0;
}

void fanotify_source_request(struct source *source)
{
    source_thread_request(source->thread);
}

uint64_t fanotify_source_read_until(const struct source *source)
{
    return atomic_load_explicit(&source->read_until_ns, memory_order_acquire);
}

static int source_drain(struct source *source, struct gulp *gulp)
{
    return message_queue_drain(source->queue, gulp) ? SOURCE_DRAINED : SOURCE_MORE;
}

/* The thread reads once more what waits. Nobody drains until then: when the queue is full, the rest
 * is lost. */
static void source_stop(struct source *source)
{
    source_thread_end_within(source->thread, SOURCE_THREAD_END_MS);
    message_queue_close(source->queue);
    source_thread_stop(source->thread);
}

const struct source_ops fanotify_source_ops = {
    .id = SOURCE_FANOTIFY,
    .open = source_open,
    .drain = source_drain,
    .stop = source_stop,
    .free = source_free,
    .decoder_new = decoder_none_new,
    .decode = fanotify_decode,
    .decoder_free = decoder_none_free,
};
