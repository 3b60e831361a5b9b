#pragma once
/*
 * The one thread that reads all sources. Every `interval_ms` it drains them in the order in which
 * they are given, but the connector last, and hands the gulps over in one go, the connector's
 * first: so when the tracker comes to a message of another source, it has seen every connector
 * message that was there before it.
 *
 * `caught_up` is set on the last gulp of a tick in which every source was read until EAGAIN. When
 * nothing was read, nothing is handed over, except an empty gulp with `caught_up` every 100 ms: it
 * carries the clock by which the tracker's timers run, also in a replay.
 *
 * When the queue has no room the reader does not drain; the sockets' buffers hold seconds.
 */
#include "collectors/source.h"
#include "recorder/reader/gulp_queue.h"

struct reader;

struct reader_source {
    const struct source_ops *ops;
    struct source *source; /* opened; stays the caller's, to be freed after reader_stop */
};

#define READER_SOURCES_MOST 16

struct reader_options {
    const struct reader_source *sources; /* copied */
    size_t n_sources;
    unsigned interval_ms; /* 1 to 1000; 0: 15 */
    struct gulp_queue *queue;
    int wake_fd; /* eventfd(2), EFD_NONBLOCK; a write to it makes the reader drain at once. Stays
                    the caller's. */
};

int reader_start(struct reader **readerp, const struct reader_options *options,
                 struct error_text *error) MUST_CHECK;

/** Stop the sources (on the reader's thread), drain what they still have, close the queue, join and
 *  free. Somebody has to take from the queue meanwhile: after 5 s without room it gives up. */
struct reader *reader_stop(struct reader *reader);

/** Drain at once, and put a MESSAGE_MARK of SOURCE_AGENT with @p token behind everything that the
 *  sources had when this was called. Returns 0, or -EBUSY when 64 marks wait. Any thread. */
int reader_mark(struct reader *reader, uint64_t token) MUST_CHECK;

/** Put MESSAGE_DATA of SOURCE_AGENT with @p bytes (copied) behind what the sources have. What waits
 *  is replaced. Returns 0 or -ENOMEM. Any thread. */
int reader_tell(struct reader *reader, struct slice bytes) MUST_CHECK;

/** CPU time of the reader's thread, nanoseconds. Any thread, before reader_stop. */
uint64_t reader_cpu_ns(struct reader *reader);
