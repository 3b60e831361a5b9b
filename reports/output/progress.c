/* A thread that waits for the end with a limit of a second at a time: the asking thread is inside
 * the client library and cannot speak. */
#include "reports/output/progress.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct progress {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    bool is_over;
    const char *what, *unit;
    const _Atomic uint64_t *count; /* NULL: nothing is counted */
};

static void show(const struct progress *progress, unsigned seconds)
{
    if (progress->count)
        fprintf(stderr, "\r%s: %u s, %" PRIu64 " %s ", progress->what, seconds, *progress->count,
                progress->unit);
    else
        fprintf(stderr, "\r%s: %u s ", progress->what, seconds);
}

static void *run(void *user)
{
    struct progress *progress = user;
    struct timespec next;
    clock_gettime(CLOCK_REALTIME, &next);
    pthread_mutex_lock(&progress->mutex);
    for (unsigned seconds = 1; !progress->is_over; seconds++) {
        next.tv_sec++;
        while (!progress->is_over &&
               pthread_cond_timedwait(&progress->ended, &progress->mutex, &next) == 0)
            continue;
        if (!progress->is_over)
            show(progress, seconds);
        else if (seconds > 1)
            fprintf(stderr, "\r%*s\r", 60, "");
    }
    pthread_mutex_unlock(&progress->mutex);
    return NULL;
}

struct progress *progress_begin(const char *what)
{
    return progress_begin_counting(what, NULL, NULL);
}

struct progress *progress_begin_counting(const char *what, const _Atomic uint64_t *count,
                                         const char *unit)
{
    struct progress *progress = isatty(STDERR_FILENO) ? calloc(1, sizeof(*progress)) : NULL;
    if (!progress)
        return NULL;
    progress->what = what;
    progress->count = count;
    progress->unit = unit;
    pthread_mutex_init(&progress->mutex, NULL);
    pthread_cond_init(&progress->ended, NULL);
    if (pthread_create(&progress->thread, NULL, run, progress)) {
        free(progress);
        return NULL;
    }
    return progress;
}

struct progress *progress_end(struct progress *progress)
{
    if (!progress)
        return NULL;
    pthread_mutex_lock(&progress->mutex);
    progress->is_over = true;
    pthread_cond_signal(&progress->ended);
    pthread_mutex_unlock(&progress->mutex);
    pthread_join(progress->thread, NULL);
    pthread_cond_destroy(&progress->ended);
    pthread_mutex_destroy(&progress->mutex);
    free(progress);
    return NULL;
}
