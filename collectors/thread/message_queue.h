#pragma once
/*
 * Messages on their way from the thread of a source to the reader: bounded in bytes. The producer
 * waits when it is full; the reader never waits for more than a memory copy.
 */
#include "core/counter.h"
#include "core/gulp.h"

struct message_queue;

struct message_queue_options {
    enum source_id source;
    size_t capacity;           /* bytes; one larger message is let in when the queue is empty */
    int wake_fd;               /* eventfd that is written when the producer has to wait; or -1 */
    struct counters *counters; /* may be NULL */
    /** How many bytes of a message that fits into no gulp are to be kept; NULL: none. */
    size_t (*shorten)(struct slice message);
};

int message_queue_new(struct message_queue **queuep,
                      const struct message_queue_options *options) MUST_CHECK;
struct message_queue *message_queue_free(struct message_queue *queue);

/** Waits for room. Returns 0, -ENOMEM, or -ECANCELED after message_queue_close. */
int message_queue_put(struct message_queue *queue, enum message_kind kind, uint64_t boot_ns,
                      struct slice bytes) MUST_CHECK;
/** What was to be put after the close cannot be had again: a MESSAGE_OVERRUN comes at the end. */
void message_queue_lost(struct message_queue *queue);
/** Producers wait no longer; what is queued can still be drained. */
void message_queue_close(struct message_queue *queue);
/** Moves messages into @p to. Returns true when none is left. */
bool message_queue_drain(struct message_queue *queue, struct gulp *to);
