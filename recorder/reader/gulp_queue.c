/* A linked list under a mutex; the lock is held for a few pointer moves a tick. Empty gulps are
 * kept for reuse, but only so many that memory falls again after a stall of the tracker. */
#include "recorder/reader/gulp_queue.h"

#include "core/cleanup.h"

#include <pthread.h>
#include <time.h>

#define DEFAULT_LIMIT (16 * 1024 * 1024)
#define DEFAULT_GULP  (256 * 1024)
#define KEPT_EMPTY    6
#define FEWEST_GULPS  4

struct gulp_queue {
    pthread_mutex_t lock;
    pthread_cond_t filled; /* or closed */
    struct gulp *first, *last;
    struct gulp *empty;
    size_t n_empty, n_gulps, most_gulps, gulp_bytes;
    bool closed;
};

static int init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    int r = pthread_condattr_init(&attributes);
    if (r != 0)
        return -r;
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    r = pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
    return -r;
}

int gulp_queue_new(struct gulp_queue **queuep, size_t limit_bytes, size_t gulp_bytes)
{
    struct gulp_queue *self = calloc(1, sizeof(*self));
    if (!self)
        return -ENOMEM;
    int r = init_condition(&self->filled);
    if (r < 0) {
        free(self);
        return r;
    }
    pthread_mutex_init(&self->lock, NULL);
    self->gulp_bytes = gulp_bytes ? gulp_bytes : DEFAULT_GULP;
    self->most_gulps = (limit_bytes ? limit_bytes : DEFAULT_LIMIT) / self->gulp_bytes;
    if (self->most_gulps < FEWEST_GULPS)
        self->most_gulps = FEWEST_GULPS;
    *queuep = self;
    return 0;
}

static void free_chain(struct gulp *chain)
{
    while (chain) {
        struct gulp *next = chain->next;
        gulp_free(chain);
        chain = next;
    }
}

struct gulp_queue *gulp_queue_free(struct gulp_queue *self)
{
    if (!self)
        return NULL;
    free_chain(self->first);
    free_chain(self->empty);
    pthread_cond_destroy(&self->filled);
    pthread_mutex_destroy(&self->lock);
    free(self);
    return NULL;
}

struct gulp *gulp_queue_get(struct gulp_queue *self)
{
    pthread_mutex_lock(&self->lock);
    struct gulp *gulp = self->empty;
    bool make = !gulp && self->n_gulps < self->most_gulps;
    if (gulp) {
        self->empty = gulp->next;
        self->n_empty--;
    } else if (make) {
        self->n_gulps++;
    }
    pthread_mutex_unlock(&self->lock);
    if (gulp) {
        gulp->next = NULL;
        return gulp;
    }
    gulp = make ? gulp_new(self->gulp_bytes) : NULL;
    if (make && !gulp) {
        pthread_mutex_lock(&self->lock);
        self->n_gulps--;
        pthread_mutex_unlock(&self->lock);
    }
    return gulp;
}

void gulp_queue_put(struct gulp_queue *self, struct gulp *chain)
{
    if (!chain)
        return;
    struct gulp *last = chain;
    while (last->next)
        last = last->next;
    pthread_mutex_lock(&self->lock);
    if (self->last)
        self->last->next = chain;
    else
        self->first = chain;
    self->last = last;
    pthread_cond_signal(&self->filled);
    pthread_mutex_unlock(&self->lock);
}

void gulp_queue_close(struct gulp_queue *self)
{
    pthread_mutex_lock(&self->lock);
    self->closed = true;
    pthread_cond_broadcast(&self->filled);
    pthread_mutex_unlock(&self->lock);
}

static struct timespec deadline_in(unsigned timeout_ms)
{
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += timeout_ms / 1000;
    deadline.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000;
    }
    return deadline;
}

int gulp_queue_take(struct gulp_queue *self, struct gulp **gulpp, unsigned timeout_ms)
{
    struct timespec deadline = deadline_in(timeout_ms);
    int outcome = GULP_QUEUE_TIMEOUT, r = 0;
    pthread_mutex_lock(&self->lock);
    while (!self->first && !self->closed && r == 0)
        r = pthread_cond_timedwait(&self->filled, &self->lock, &deadline);
    struct gulp *gulp = self->first;
    if (gulp) {
        self->first = gulp->next;
        if (!self->first)
            self->last = NULL;
        gulp->next = NULL;
        *gulpp = gulp;
        outcome = GULP_QUEUE_GULP;
    } else if (self->closed) {
        outcome = GULP_QUEUE_CLOSED;
    }
    pthread_mutex_unlock(&self->lock);
    return outcome;
}

void gulp_queue_give_back(struct gulp_queue *self, struct gulp *gulp)
{
    if (!gulp)
        return;
    gulp->used = 0;
    gulp->caught_up = false;
    pthread_mutex_lock(&self->lock);
    bool keep = self->n_empty < KEPT_EMPTY;
    if (keep) {
        gulp->next = self->empty;
        self->empty = gulp;
        self->n_empty++;
    } else {
        self->n_gulps--;
    }
    pthread_mutex_unlock(&self->lock);
    if (!keep)
        gulp_free(gulp);
}

size_t gulp_queue_bytes(struct gulp_queue *self)
{
    pthread_mutex_lock(&self->lock);
    size_t bytes = self->n_gulps * self->gulp_bytes;
    pthread_mutex_unlock(&self->lock);
    return bytes;
}
