/* One thread for both duties: while it looks at processes it takes events, too, between one process
 * and the next. After a wake-up for events it sleeps for some milliseconds, so that a storm is read
 * in gulps. */
#include "collectors/inotify/inotify_source.h"

#include "collectors/inotify/descriptor_scan.h"
#include "collectors/inotify/inotify_message.h"
#include "collectors/inotify/tree_watch.h"
#include "collectors/thread/message_queue.h"
#include "collectors/thread/source_thread.h"
#include "core/log.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    QUEUE_BYTES = 256 << 10,
    INTERVAL_S = 30,
    LEAST_MS = 1000, /* between two looks */
    NAP_MS = 5,
    FEW = 1000 /* directories */
};

struct source {
    struct message_queue *queue;
    struct source_thread *thread;
    struct file_selection *selection;
    struct counters *counters;
    uint32_t interval_s;
    atomic_bool look_requested;
    _Atomic uint64_t read_until_ns;
    /* Of the thread, once it runs: */
    struct tree_watch_handlers tree_handlers;
    struct tree_watch *trees;
    struct descriptor_scan *scan;
    struct descriptor_scan_result last; /* of the last look */
    bool complained;
    uint64_t last_ns, next_ns; /* when looks began, and begin */
    size_t n_noted;            /* directories, in the last note */
    struct buffer message, note;
};

static int put(struct source *source, enum message_kind kind, uint64_t boot_ns)
{
    return source->message.failed
               ? -ENOMEM
               : message_queue_put(source->queue, kind, boot_ns, buffer_slice(&source->message));
}

/* What a look finds, the next one finds, too; what was told once is told no more. */
static int put_event(struct source *source, enum message_kind kind, uint64_t boot_ns)
{
    int r = put(source, kind, boot_ns);
    if (r == -ECANCELED)
        message_queue_lost(source->queue);
    return r;
}

static int put_file(void *user, uint64_t boot_ns, const struct fact_file *file)
{
    struct source *source = user;
    buffer_clear(&source->message);
    inotify_message_append_file(&source->message, file);
    return put_event(source, MESSAGE_DATA, boot_ns);
}

static int put_overrun(void *user)
{
    struct source *source = user;
    if (source->counters)
        counter_add(source->counters, COUNTER_RECEIVE_OVERRUNS, 1);
    buffer_clear(&source->message);
    return put_event(source, MESSAGE_OVERRUN, clock_boot_ns());
}

static int put_open(void *user, uint64_t boot_ns, const struct fact_file_open *open)
{
    struct source *source = user;
    buffer_clear(&source->message);
    inotify_message_append_open(&source->message, open);
    return put(source, MESSAGE_DATA, boot_ns);
}

static int put_refused(void *user, uint32_t pid)
{
    struct source *source = user;
    buffer_clear(&source->message);
    inotify_message_append_refused(&source->message, pid);
    return put(source, MESSAGE_DATA, clock_boot_ns());
}

static int put_scan(struct source *source, bool begin, bool complete)
{
    struct fact_file_scan scan = {.begin = begin, .complete = complete};
    buffer_clear(&source->message);
    inotify_message_append_scan(&source->message, &scan);
    return put(source, MESSAGE_DATA, clock_boot_ns());
}

static int process_trees(struct source *source)
{
    int r = tree_watch_process(source->trees);
    atomic_store(&source->read_until_ns, tree_watch_told_until(source->trees));
    return r;
}

/* In the middle of a look. */
static int take_events(void *user)
{
    struct source *source = user;
    return source_thread_is_stopped(source->thread) ? -ECANCELED : process_trees(source);
}

static void append_note(const struct source *source, bool exact, struct buffer *to)
{
    const struct descriptor_scan_result *last = &source->last;
    buffer_printf(to, "%s\tdescriptors every %u s",
                  tree_watch_active(source->trees) ? "inotify" : "descriptors", source->interval_s);
    if (last->n_refused && exact)
        buffer_printf(to, ", not of %u processes", last->n_refused);
    else if (last->n_refused)
        buffer_append_text(to, ", not of some processes");
    if (last->n_nameless)
        buffer_append_text(to, ", not of paths that are too long");
    if (last->late)
        buffer_append_text(to, ", not all in time");
    tree_watch_append_note(source->trees, exact, to);
}

/* When it says something new, or far more or fewer directories are watched. */
static int put_note(struct source *source)
{
    struct buffer note CLEANUP(buffer_deinit) = BUFFER_NULL;
    size_t n = tree_watch_count(source->trees);
    append_note(source, false, &note);
    bool same = slice_equal(buffer_slice(&note), buffer_slice(&source->note)) &&
                n / 2 <= source->n_noted + FEW && source->n_noted / 2 <= n + FEW;
    if (note.failed || same)
        return note.failed ? -ENOMEM : 0;
    buffer_clear(&source->note);
    buffer_append_slice(&source->note, buffer_slice(&note));
    source->n_noted = n;
    buffer_clear(&source->message);
    append_note(source, true, &source->message);
    return put(source, MESSAGE_NOTE, clock_boot_ns());
}

static int look(struct source *source)
{
    const struct descriptor_scan_handlers handlers = {
        .take = put_open, .refuse = put_refused, .pause = take_events, .user = source};
    struct descriptor_scan_result *last = &source->last;
    int r = put_scan(source, true, false);
    if (r < 0)
        return r;
    r = descriptor_scan_run(source->scan, source->interval_s * UINT64_C(500000000), &handlers,
                            last);
    bool complete = r == 0 && last->n_nameless == 0 && !last->late;
    int end = put_scan(source, false, complete);
    return r < 0 ? r : end;
}

/* A request may come in the middle of a look, too: that look is not the one that was asked for. */
static void heed_request(struct source *source)
{
    const uint64_t least_ns = LEAST_MS * UINT64_C(1000000);
    bool requested = atomic_exchange(&source->look_requested, false);
    if (requested && source->last_ns + least_ns < source->next_ns)
        source->next_ns = source->last_ns + least_ns;
}

static int look_when_due(struct source *source)
{
    uint64_t now = clock_boot_ns();
    heed_request(source);
    if (now < source->next_ns)
        return 0;
    source->last_ns = now;
    source->next_ns = now + source->interval_s * UINT64_C(1000000000);
    int r = tree_watch_retry(source->trees);
    if (r == 0)
        r = look(source);
    heed_request(source);
    return r;
}

static void complain(struct source *source, int error)
{
    if (error == 0 || error == -ECANCELED || source->complained)
        return;
    log_warning("inotify", "cannot look at all files: %s; said once, tried again",
                strerror(-error));
    source->complained = true;
}

static unsigned wait_ms(const struct source *source)
{
    uint64_t now = clock_boot_ns();
    uint64_t left_ms = source->next_ns > now ? (source->next_ns - now) / 1000000 + 1 : 0;
    unsigned most_ms = source->interval_s * 1000U;
    return tree_watch_timeout_ms(source->trees, left_ms < most_ms ? (unsigned)left_ms : most_ms);
}

/* Directories first, so that what comes later is heard. */
static void run(void *user)
{
    struct source *source = user;
    bool requested;
    do {
        int r = process_trees(source);
        if (r == 0 && tree_watch_settled(source->trees))
            r = look_when_due(source);
        if (r == 0 && tree_watch_settled(source->trees))
            r = put_note(source);
        complain(source, r);
    } while (source_thread_wait(source->thread, tree_watch_settled(source->trees) ? NAP_MS : 0,
                                &requested) &&
             source_thread_wait_for(source->thread, tree_watch_fd(source->trees),
                                    requested ? 0 : wait_ms(source), &requested));
    complain(source, tree_watch_finish(source->trees));
}

void inotify_source_scan(struct source *source)
{
    atomic_store(&source->look_requested, true);
    source_thread_request(source->thread);
}

void inotify_source_request(struct source *source)
{
    source_thread_request(source->thread);
}

uint64_t inotify_source_read_until(const struct source *source)
{
    return atomic_load(&source->read_until_ns);
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
    tree_watch_free(source->trees);
    descriptor_scan_free(source->scan);
    file_selection_free(source->selection);
    message_queue_free(source->queue);
    buffer_deinit(&source->message);
    buffer_deinit(&source->note);
    free(source);
    return NULL;
}

static int build(struct source *source, const struct source_options *options,
                 struct error_text *error)
{
    const struct message_queue_options queue = {.source = SOURCE_INOTIFY,
                                                .capacity = QUEUE_BYTES,
                                                .wake_fd = options->wake_fd,
                                                .counters = options->counters};
    int r = message_queue_new(&source->queue, &queue);
    if (r < 0)
        return error_set(error, r, "out of memory");
    r = file_selection_new(&source->selection, options, error);
    const struct tree_watch_options trees = {.trees = options->files_trees,
                                             .unmarkable_only = options->fanotify_active,
                                             .most = options->files_watches,
                                             .selection = source->selection,
                                             .handlers = &source->tree_handlers};
    if (r == 0)
        r = tree_watch_new(&source->trees, &trees, error);
    if (r == 0)
        r = descriptor_scan_new(&source->scan, source->selection, error);
    return r < 0 ? r : source_thread_new(&source->thread, "inotify", run, source, error);
}

static int source_open(struct source **sourcep, const struct source_options *options,
                       struct error_text *error)
{
    struct source *source = calloc(1, sizeof(*source));
    if (!source)
        return error_set(error, -ENOMEM, "out of memory");
    source->counters = options->counters;
    source->interval_s =
        options->files_scan_interval_s ? options->files_scan_interval_s : INTERVAL_S;
    source->tree_handlers =
        (struct tree_watch_handlers){.take = put_file, .overrun = put_overrun, .user = source};
    int r = build(source, options, error);
    if (r < 0) {
        source_free(source);
        return r;
    }
    *sourcep = source;
    return 0;
}

const struct source_ops inotify_source_ops = {
    .id = SOURCE_INOTIFY,
    .open = source_open,
    .drain = source_drain,
    .stop = source_stop,
    .free = source_free,
    .decoder_new = decoder_none_new,
    .decode = inotify_decode,
    .decoder_free = decoder_none_free,
};
