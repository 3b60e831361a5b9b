#pragma once
/* Addresses that wait, first in, first out. Not thread-safe. */
#include "core/fact.h"

enum { ADDRESS_QUEUE_MOST = 4096 };

struct address_queue {
    struct inet_address items[ADDRESS_QUEUE_MOST];
    size_t first, n;
};

static inline bool address_queue_full(const struct address_queue *queue)
{
    return queue->n == ADDRESS_QUEUE_MOST;
}

/** It must not be full. */
static inline void address_queue_append(struct address_queue *queue,
                                        const struct inet_address *address)
{
    queue->items[(queue->first + queue->n++) % ADDRESS_QUEUE_MOST] = *address;
}

/** The first, which stays; NULL when there is none. */
static inline const struct inet_address *address_queue_first(const struct address_queue *queue)
{
    return queue->n ? &queue->items[queue->first] : NULL;
}

static inline void address_queue_drop_first(struct address_queue *queue)
{
    queue->first = (queue->first + 1) % ADDRESS_QUEUE_MOST;
    queue->n--;
}
