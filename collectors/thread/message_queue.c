/* One gulp that is filled at its end and read from its start; when all of it has been read it
 * starts anew. A message larger than the gulp gets a gulp of its own size, for as long as it waits.
 */
#include "collectors/thread/message_queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { HEADER_SPACE = 64 }; /* more than the header and padding of one message */

struct message_queue {
    struct message_queue_options options;
    pthread_mutex_t lock;
    pthread_cond_t room;
    struct gulp *gulp;
    size_t offset; /* what has been drained */
    bool closed;
    bool lost; /* something that cannot be had again */
};

int message_queue_new(struct message_queue **queuep, const struct message_queue_options *options)
{
    struct message_queue *queue = calloc(1, sizeof(*queue));
    struct gulp *gulp = gulp_new(options->capacity);
    if (!queue || !gulp) {
        gulp_free(gulp);
        free(queue);
        return -ENOMEM;
    }
    queue->options = *options;
    queue->gulp = gulp;
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->room, NULL);
    *queuep = queue;
    return 0;
}

struct message_queue *message_queue_free(struct message_queue *queue)
{
    if (queue) {
        pthread_cond_destroy(&queue->room);
        pthread_mutex_destroy(&queue->lock);
        gulp_free(queue->gulp);
        free(queue);
    }
    return NULL;
}

/* The queue is empty: give it a gulp of at least this capacity. */
static int refit(struct message_queue *queue, size_t capacity)
{
    if (queue->gulp->capacity == capacity)
        return 0;
    struct gulp *gulp = gulp_new(capacity);
    if (!gulp)
        return -ENOMEM;
    gulp_free(queue->gulp);
    queue->gulp = gulp;
    return 0;
}

static int try_put(struct message_queue *queue, enum message_kind kind, uint64_t boot_ns,
                   struct slice bytes)
{
    if (queue->gulp->used == 0) {
        size_t needed = bytes.length + HEADER_SPACE;
        size_t usual = queue->options.capacity;
        int r = refit(queue, needed > usual ? needed : usual);
        if (r < 0)
            return r;
    }
    return gulp_add(queue->gulp, queue->options.source, kind, boot_ns, bytes);
}

static void wake_reader(const struct message_queue *queue)
{
    uint64_t one = 1;
    if (queue->options.wake_fd >= 0 && write(queue->options.wake_fd, &one, sizeof(one)) < 0)
        return; /* the counter of the eventfd is full: the reader is awake */
}

int message_queue_put(struct message_queue *queue, enum message_kind kind, uint64_t boot_ns,
                      struct slice bytes)
{
    int r;
    pthread_mutex_lock(&queue->lock);
    while (!queue->closed && (r = try_put(queue, kind, boot_ns, bytes)) == -ENOBUFS) {
        wake_reader(queue);
        pthread_cond_wait(&queue->room, &queue->lock);
    }
    if (queue->closed)
        r = -ECANCELED;
    pthread_mutex_unlock(&queue->lock);
    return r;
}

void message_queue_lost(struct message_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->lost = true;
    pthread_mutex_unlock(&queue->lock);
}

void message_queue_close(struct message_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->room);
    pthread_mutex_unlock(&queue->lock);
}

static void count(const struct message_queue *queue, enum counter_id id, uint64_t n)
{
    if (queue->options.counters)
        counter_add(queue->options.counters, id, n);
}

/* False: the message stays for the next gulp. One that fits into no gulp is shortened, and left
 * out when even that does not help, so that it cannot stop those behind it. */
static bool move(struct message_queue *queue, struct gulp *to, const struct message *message)
{
    struct slice bytes = message->bytes;
    int r = gulp_add(to, message->source, message->kind, message->boot_ns, bytes);
    if (r < 0 && to->used > 0)
        return false;
    if (r < 0 && queue->options.shorten) {
        bytes.length = queue->options.shorten(bytes);
        r = gulp_add(to, message->source, message->kind, message->boot_ns, bytes);
    }
    if (r < 0) {
        count(queue, COUNTER_MESSAGES_MALFORMED, 1);
        return true;
    }
    count(queue, COUNTER_MESSAGES_RECEIVED, 1);
    count(queue, COUNTER_BYTES_RECEIVED, bytes.length);
    return true;
}

/* False: there is no room for it. */
static bool tell_loss(struct message_queue *queue, struct gulp *to)
{
    if (!queue->lost)
        return true;
    if (gulp_add(to, queue->options.source, MESSAGE_OVERRUN, clock_boot_ns(), SLICE_NULL) < 0)
        return false;
    queue->lost = false;
    count(queue, COUNTER_RECEIVE_OVERRUNS, 1);
    return true;
}

bool message_queue_drain(struct message_queue *queue, struct gulp *to)
{
    struct message message;
    bool empty = true;
    pthread_mutex_lock(&queue->lock);
    for (size_t next = queue->offset; gulp_next(queue->gulp, &next, &message); queue->offset = next)
        if (!move(queue, to, &message)) {
            empty = false;
            break;
        }
    if (empty) {
        queue->gulp->used = 0;
        queue->offset = 0;
        pthread_cond_broadcast(&queue->room);
        empty = tell_loss(queue, to);
    }
    pthread_mutex_unlock(&queue->lock);
    return empty;
}
