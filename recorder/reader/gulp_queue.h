#pragma once
/*
 * Carries gulps from the reader's thread to the tracker's, and their memory back. What bounds it is
 * the memory of all gulps, filled or empty, wherever they are: when it is used up the reader gets
 * none and leaves messages in the kernel's socket buffers, so that nothing is lost here.
 */
#include "core/gulp.h"

struct gulp_queue;

/** @p limit_bytes (0: 16 MiB) for gulps of @p gulp_bytes each (0: 256 KiB); at least four fit. */
int gulp_queue_new(struct gulp_queue **queuep, size_t limit_bytes, size_t gulp_bytes) MUST_CHECK;
/** Frees what is queued too. No thread may use the queue any more. */
struct gulp_queue *gulp_queue_free(struct gulp_queue *queue);

/* For the reader's thread. */

/** An empty gulp, or NULL when the bound is reached. */
struct gulp *gulp_queue_get(struct gulp_queue *queue);
/** Hand over a chain of gulps (linked by `next`), in order. Never fails. */
void gulp_queue_put(struct gulp_queue *queue, struct gulp *chain);
/** Nothing more will come. */
void gulp_queue_close(struct gulp_queue *queue);

/* For the tracker's thread. */

enum { GULP_QUEUE_GULP = 0, GULP_QUEUE_TIMEOUT = 1, GULP_QUEUE_CLOSED = 2 };
/** The next gulp; waits for at most @p timeout_ms. GULP_QUEUE_CLOSED only when all were taken. */
int gulp_queue_take(struct gulp_queue *queue, struct gulp **gulpp, unsigned timeout_ms) MUST_CHECK;

/** Give one gulp (not a chain) back for reuse. Any thread. NULL is allowed. */
void gulp_queue_give_back(struct gulp_queue *queue, struct gulp *gulp);
/** Bytes of memory in gulps now. Any thread. */
size_t gulp_queue_bytes(struct gulp_queue *queue);
