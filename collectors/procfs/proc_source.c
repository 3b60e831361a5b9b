/* The thread waits on a condition for the next tick, a request or the end. Its messages go through
 * a small queue, in which it may have to wait for the reader; the reader never waits for it. */
#include "collectors/procfs/proc_source.h"

#include "collectors/procfs/proc_read.h"
#include "collectors/procfs/proc_scan.h"
#include "collectors/thread/message_queue.h"
#include "collectors/thread/source_thread.h"
#include "core/log.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    QUEUE_BYTES = 256 << 10,
    KEPT_MEMORY = 64 << 10,
    INTERVAL_MS = 250,
    FULL_INTERVAL_S = 10,
    FIRST_WAIT_MS = 1000
};

struct source {
    struct message_queue *queue;
    struct source_thread *thread;
    struct proc_reader *reader;
    struct proc_scan *scan;
    struct buffer message;
    uint32_t interval_ms, full_interval_s;
    bool on_request;
    int failure; /* of the scan that runs: a process that could not be read */
    bool complained;
};

static int put(struct source *source, uint64_t boot_ns)
{
    int r = message_queue_put(source->queue, MESSAGE_DATA, boot_ns, buffer_slice(&source->message));
    if (source->message.capacity > KEPT_MEMORY)
        buffer_deinit(&source->message);
    return r;
}

static int put_process(void *user, uint32_t pid)
{
    struct source *source = user;
    uint64_t boot_ns = clock_boot_ns();
    buffer_clear(&source->message);
    int r = proc_reader_process(source->reader, pid, &source->message);
    if (r == 0)
        return put(source, boot_ns);
    if (r < 0)
        source->failure = r;
    return PROC_READ_GONE;
}

static int put_scan(struct source *source, bool begin)
{
    buffer_clear(&source->message);
    proc_entry_scan(&source->message, begin);
    return source->message.failed ? -ENOMEM : put(source, clock_boot_ns());
}

static int scan(struct source *source, bool full)
{
    int r = full ? put_scan(source, true) : 0;
    source->failure = 0;
    if (r == 0)
        r = proc_scan_walk(source->scan, full, put_process, source);
    if (r == 0)
        r = source->failure;
    return r == 0 && full ? put_scan(source, false) : r;
}

static void complain(struct source *source, int error)
{
    if (error == 0 || error == -ECANCELED)
        return;
    if (!source->complained)
        log_warning("proc", "cannot read all of /proc: %s; said once, tried again at each scan",
                    strerror(-error));
    source->complained = true;
}

static void run(void *user)
{
    struct source *source = user;
    uint64_t full_ns = source->full_interval_s * UINT64_C(1000000000), last_full = 0;
    bool requested = true;
    if (source->on_request && !source_thread_wait(source->thread, FIRST_WAIT_MS, &requested))
        return;
    requested = true;
    do {
        bool full = requested || clock_boot_ns() - last_full >= full_ns;
        if (full)
            last_full = clock_boot_ns();
        complain(source, scan(source, full));
    } while (source_thread_wait(source->thread, source->interval_ms, &requested));
}

static int put_note(struct source *source)
{
    char text[80];
    snprintf(text, sizeof(text), "on\tnew processes every %u ms, all every %u s",
             source->interval_ms, source->full_interval_s);
    return message_queue_put(source->queue, MESSAGE_NOTE, clock_boot_ns(), slice_text(text));
}

static struct source *source_free(struct source *source)
{
    if (source) {
        if (source->queue)
            message_queue_close(source->queue);
        source_thread_free(source->thread);
        message_queue_free(source->queue);
        proc_scan_free(source->scan);
        proc_reader_free(source->reader);
        buffer_deinit(&source->message);
        free(source);
    }
    return NULL;
}

static int build(struct source *source, const struct source_options *options,
                 struct error_text *error)
{
    struct message_queue_options queue = {.source = SOURCE_PROC,
                                          .capacity = QUEUE_BYTES,
                                          .wake_fd = options->wake_fd,
                                          .counters = options->counters,
                                          .shorten = proc_entry_without_arguments};
    int r = message_queue_new(&source->queue, &queue);
    if (r == 0)
        r = proc_scan_new(&source->scan, error);
    if (r == 0)
        r = proc_reader_new(&source->reader, error);
    if (r == 0)
        r = put_note(source);
    if (r == 0)
        r = source_thread_new(&source->thread, "proc", run, source, error);
    return r;
}

static int source_open(struct source **sourcep, const struct source_options *options,
                       struct error_text *error)
{
    struct source *source = calloc(1, sizeof(*source));
    if (!source)
        return -ENOMEM;
    source->interval_ms = options->proc_interval_ms ? options->proc_interval_ms : INTERVAL_MS;
    source->full_interval_s =
        options->proc_full_interval_s ? options->proc_full_interval_s : FULL_INTERVAL_S;
    source->on_request = options->proc_on_request;
    int r = build(source, options, error);
    if (r < 0) {
        source_free(source);
        return r;
    }
    *sourcep = source;
    return 0;
}

static int source_drain(struct source *source, struct gulp *gulp)
{
    return message_queue_drain(source->queue, gulp) ? SOURCE_DRAINED : SOURCE_MORE;
}

static void source_stop(struct source *source)
{
    message_queue_close(source->queue);
    source_thread_stop(source->thread);
}

void proc_source_request_full(struct source *source)
{
    source_thread_request(source->thread);
}

const struct source_ops proc_source_ops = {
    .id = SOURCE_PROC,
    .open = source_open,
    .drain = source_drain,
    .stop = source_stop,
    .free = source_free,
    .decoder_new = proc_decoder_new,
    .decode = proc_decoder_decode,
    .decoder_free = proc_decoder_free,
};
