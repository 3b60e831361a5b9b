/* Tokens are handed out in increasing order, and marks are reached in the order in which they were
 * sent, so that the highest token reached says it for all before it. */
#include "recorder/agent/agent_sync.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct agent_sync {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t sent, reached;
    bool canceled;
};

int agent_sync_new(struct agent_sync **syncp)
{
    struct agent_sync *sync = calloc(1, sizeof(*sync));
    if (!sync)
        return -ENOMEM;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&sync->lock, NULL);
    pthread_cond_init(&sync->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    *syncp = sync;
    return 0;
}

struct agent_sync *agent_sync_free(struct agent_sync *sync)
{
    if (sync) {
        pthread_cond_destroy(&sync->changed);
        pthread_mutex_destroy(&sync->lock);
        free(sync);
    }
    return NULL;
}

static struct timespec monotonic_deadline(uint64_t deadline_ns)
{
    uint64_t now = clock_boot_ns();
    uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    uint64_t ns = (uint64_t)at.tv_nsec + left;
    at.tv_sec += (time_t)(ns / 1000000000);
    at.tv_nsec = (long)(ns % 1000000000);
    return at;
}

int agent_sync_wait(struct agent_sync *sync, struct reader *reader, uint64_t deadline_ns)
{
    struct timespec deadline = monotonic_deadline(deadline_ns);
    pthread_mutex_lock(&sync->lock);
    uint64_t token = sync->sent + 1;
    int error = sync->canceled ? -ECANCELED : reader_mark(reader, token);
    if (!error)
        sync->sent = token;
    while (!error && sync->reached < token)
        error = sync->canceled ? -ECANCELED
                               : -pthread_cond_timedwait(&sync->changed, &sync->lock, &deadline);
    pthread_mutex_unlock(&sync->lock);
    return error;
}

void agent_sync_done(struct agent_sync *sync, uint64_t token)
{
    pthread_mutex_lock(&sync->lock);
    if (token > sync->reached)
        sync->reached = token;
    pthread_cond_broadcast(&sync->changed);
    pthread_mutex_unlock(&sync->lock);
}

void agent_sync_cancel(struct agent_sync *sync)
{
    pthread_mutex_lock(&sync->lock);
    sync->canceled = true;
    pthread_cond_broadcast(&sync->changed);
    pthread_mutex_unlock(&sync->lock);
}
