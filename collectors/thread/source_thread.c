/* Two flags, and an eventfd that is readable when one of them was set, so that a thread can wait
 * for them and for its own descriptors at once. The flag is set before the eventfd is written: a
 * wake-up may find nothing, but nothing is left without a wake-up. A second one is readable when
 * the thread has ended. */
#include "collectors/thread/source_thread.h"

#include "core/thread_rights.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct source_thread {
    pthread_t thread;
    void (*run)(void *user);
    void *user;
    const char *name;
    int wake_fd, ended_fd;
    atomic_bool requested, stopped;
    bool joined;
};

static void write_one(int fd)
{
    uint64_t one = 1;
    if (write(fd, &one, sizeof(one)) < 0)
        return; /* its counter is full: it is readable */
}

static void *start(void *argument)
{
    struct source_thread *thread = argument;
    thread_begin(thread->name);
    thread->run(thread->user);
    write_one(thread->ended_fd);
    return NULL;
}

static int create(struct source_thread *thread)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&thread->thread, NULL, start, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -r;
}

static void release(struct source_thread *thread)
{
    if (thread->wake_fd >= 0)
        close(thread->wake_fd);
    if (thread->ended_fd >= 0)
        close(thread->ended_fd);
    free(thread);
}

int source_thread_new(struct source_thread **threadp, const char *name, void (*run)(void *user),
                      void *user, struct error_text *error)
{
    struct source_thread *thread = calloc(1, sizeof(*thread));
    if (!thread)
        return -ENOMEM;
    thread->run = run;
    thread->name = name;
    thread->user = user;
    atomic_init(&thread->requested, false);
    atomic_init(&thread->stopped, false);
    thread->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    thread->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *threadp = thread;
    int r = thread->wake_fd < 0 || thread->ended_fd < 0 ? -errno : create(thread);
    if (r < 0) {
        *threadp = NULL;
        release(thread);
        return error_set(error, r, "%s: cannot start a thread: %s", name, strerror(-r));
    }
    return 0;
}

static void forget_wake(const struct source_thread *thread)
{
    uint64_t count;
    if (read(thread->wake_fd, &count, sizeof(count)) < 0)
        return; /* it was not the one that ended the wait */
}

bool source_thread_poll(struct source_thread *thread, struct pollfd *fds, unsigned n_fds,
                        unsigned timeout_ms, bool *requested)
{
    struct pollfd descriptors[1 + SOURCE_THREAD_FDS_MOST] = {
        {.fd = thread->wake_fd, .events = POLLIN}
    };
    for (unsigned i = 0; i < n_fds; i++)
        descriptors[1 + i] = fds[i];
    bool any = poll(descriptors, 1 + n_fds, (int)timeout_ms) > 0;
    for (unsigned i = 0; i < n_fds; i++)
        fds[i].revents = any ? descriptors[1 + i].revents : 0;
    if (any)
        forget_wake(thread);
    *requested = atomic_exchange(&thread->requested, false);
    return !atomic_load(&thread->stopped);
}

bool source_thread_wait_for(struct source_thread *thread, int fd, unsigned timeout_ms,
                            bool *requested)
{
    struct pollfd descriptor = {.fd = fd, .events = POLLIN};
    return source_thread_poll(thread, &descriptor, 1, timeout_ms, requested);
}

bool source_thread_wait(struct source_thread *thread, unsigned timeout_ms, bool *requested)
{
    return source_thread_wait_for(thread, -1, timeout_ms, requested);
}

void source_thread_request(struct source_thread *thread)
{
    atomic_store(&thread->requested, true);
    write_one(thread->wake_fd);
}

bool source_thread_is_stopped(const struct source_thread *thread)
{
    return atomic_load(&thread->stopped);
}

bool source_thread_end_within(struct source_thread *thread, unsigned timeout_ms)
{
    struct pollfd ended = {.fd = thread->ended_fd, .events = POLLIN};
    atomic_store(&thread->stopped, true);
    write_one(thread->wake_fd);
    return poll(&ended, 1, (int)timeout_ms) > 0;
}

void source_thread_stop(struct source_thread *thread)
{
    if (thread->joined)
        return;
    source_thread_end_within(thread, 0);
    pthread_join(thread->thread, NULL);
    thread->joined = true;
}

bool source_thread_stop_within(struct source_thread *thread, unsigned timeout_ms)
{
    if (thread->joined)
        return true;
    bool ended = source_thread_end_within(thread, timeout_ms);
    if (ended)
        pthread_join(thread->thread, NULL);
    else
        pthread_detach(thread->thread);
    thread->joined = true;
    return ended;
}

struct source_thread *source_thread_free(struct source_thread *thread)
{
    if (thread) {
        source_thread_stop(thread);
        release(thread);
    }
    return NULL;
}
