/* A mutex, a condition on the monotonic clock and two flags. */
#include "collectors/procfs/source_thread.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct source_thread {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    void (*run)(void *user);
    void *user;
    bool requested, stopped, joined;
};

static void *start(void *argument)
{
    struct source_thread *thread = argument;
    thread->run(thread->user);
    return NULL;
}

static int create(struct source_thread *thread, const char *name)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&thread->thread, NULL, start, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r == 0)
        pthread_setname_np(thread->thread, name);
    return -r;
}

static void release(struct source_thread *thread)
{
    pthread_cond_destroy(&thread->changed);
    pthread_mutex_destroy(&thread->lock);
    free(thread);
}

int source_thread_new(struct source_thread **threadp, const char *name, void (*run)(void *user),
                      void *user, struct error_text *error)
{
    struct source_thread *thread = calloc(1, sizeof(*thread));
    pthread_condattr_t attributes;
    if (!thread)
        return -ENOMEM;
    thread->run = run;
    thread->user = user;
    pthread_mutex_init(&thread->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&thread->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    *threadp = thread;
    int r = create(thread, name);
    if (r < 0) {
        *threadp = NULL;
        release(thread);
        return error_set(error, r, "%s: cannot start a thread: %s", name, strerror(-r));
    }
    return 0;
}

bool source_thread_wait(struct source_thread *thread, unsigned timeout_ms, bool *requested)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&thread->lock);
    int r = 0;
    while (!thread->requested && !thread->stopped && r == 0)
        r = pthread_cond_timedwait(&thread->changed, &thread->lock, &until);
    *requested = thread->requested;
    thread->requested = false;
    bool go_on = !thread->stopped;
    pthread_mutex_unlock(&thread->lock);
    return go_on;
}

void source_thread_request(struct source_thread *thread)
{
    pthread_mutex_lock(&thread->lock);
    thread->requested = true;
    pthread_cond_signal(&thread->changed);
    pthread_mutex_unlock(&thread->lock);
}

void source_thread_stop(struct source_thread *thread)
{
    pthread_mutex_lock(&thread->lock);
    bool join = !thread->joined;
    thread->stopped = thread->joined = true;
    pthread_cond_signal(&thread->changed);
    pthread_mutex_unlock(&thread->lock);
    if (join)
        pthread_join(thread->thread, NULL);
}

struct source_thread *source_thread_free(struct source_thread *thread)
{
    if (thread) {
        source_thread_stop(thread);
        release(thread);
    }
    return NULL;
}
