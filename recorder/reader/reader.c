/* The thread waits on one descriptor with a deadline. Sources other than the connector are read
 * into a chain that is held back until the connector has been read to its end, which may take more
 * than one tick when memory is short: the order in the queue is right in any case. */
#include "recorder/reader/reader.h"

#include "core/buffer.h"
#include "core/cleanup.h"
#include "core/log.h"
#include "core/thread_rights.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#define DEFAULT_INTERVAL_MS 15
#define MOST_INTERVAL_MS    1000
#define IDLE_GULP_NS        100000000
#define STOP_PATIENCE_NS    5000000000
#define MARKS_MOST          64
#define LATE_NS             2000000000 /* a thread that has to wait so long is starved or stopped */

struct chain {
    struct gulp *first, *last;
};

struct reader {
    pthread_t thread;
    struct reader_source sources[READER_SOURCES_MOST];
    bool failed[READER_SOURCES_MOST];
    size_t n_sources;
    uint64_t interval_ns;
    struct gulp_queue *queue;
    int wake_fd;
    atomic_bool stopping;

    pthread_mutex_t marks_lock; /* of what others want to be put into a gulp */
    uint64_t marks[MARKS_MOST];
    size_t n_marks;
    struct buffer told; /* empty: nothing */

    /* Of the thread alone. */
    struct chain held;       /* of all but the connector, until it may be handed over */
    bool held_complete;      /* they were read until EAGAIN */
    size_t n_marks_taken;    /* the first marks of the list: they came before this drain */
    uint64_t handed_over_ns; /* CLOCK_BOOTTIME of the last gulp handed over */
    uint64_t late_ns;        /* not yet told; 0: none */
};

static uint64_t clock_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static bool chain_add(struct reader *self, struct chain *chain)
{
    struct gulp *gulp = gulp_queue_get(self->queue);
    if (!gulp)
        return false;
    if (chain->last)
        chain->last->next = gulp;
    else
        chain->first = gulp;
    chain->last = gulp;
    return true;
}

/* A source that cannot be read any more is left alone from now on, and its coverage ends. */
static void give_up_source(struct reader *self, size_t i, struct gulp *gulp, int error)
{
    enum source_id id = self->sources[i].ops->id;
    char text[128];
    int length = snprintf(text, sizeof(text), "failed\tcannot be read: %s", strerror(-error));
    log_error("reader", "%s cannot be read any more: %s", source_name(id), strerror(-error));
    if (gulp_add(gulp, id, MESSAGE_NOTE, clock_boot_ns(), slice_of(text, (size_t)length)) == 0)
        self->failed[i] = true; /* else it fails again with the next gulp */
}

/* Read one source to its end into the chain. False when memory ended first. */
static bool drain_source(struct reader *self, size_t i, struct chain *chain)
{
    while (!self->failed[i]) {
        int r = self->sources[i].ops->drain(self->sources[i].source, chain->last);
        if (r == SOURCE_DRAINED)
            return true;
        if (r < 0)
            give_up_source(self, i, chain->last, r);
        else if (!chain_add(self, chain))
            return false;
    }
    return true;
}

static bool drain_sources(struct reader *self, struct chain *chain, bool connector)
{
    bool drained = true;
    for (size_t i = 0; i < self->n_sources; i++)
        if ((self->sources[i].ops->id == SOURCE_CONNECTOR) == connector)
            drained &= drain_source(self, i, chain);
    return drained;
}

static void take_marks(struct reader *self)
{
    pthread_mutex_lock(&self->marks_lock);
    self->n_marks_taken = self->n_marks;
    pthread_mutex_unlock(&self->marks_lock);
}

/* Behind all messages; the marks that do not fit stay for the next tick. */
static void put_marks(struct reader *self, struct gulp *gulp)
{
    size_t done = 0;
    if (self->n_marks_taken == 0)
        return;
    pthread_mutex_lock(&self->marks_lock);
    while (done < self->n_marks_taken &&
           gulp_add(gulp, SOURCE_AGENT, MESSAGE_MARK, clock_boot_ns(),
                    slice_of(&self->marks[done], sizeof(self->marks[done]))) == 0)
        done++;
    self->n_marks -= done;
    self->n_marks_taken -= done;
    memmove(self->marks, self->marks + done, self->n_marks * sizeof(self->marks[0]));
    pthread_mutex_unlock(&self->marks_lock);
}

/* Take empty gulps out of the chain, but keep the last of all if it has something to say. */
static struct gulp *drop_empty(struct reader *self, struct gulp *chain, bool keep_last)
{
    struct gulp *first = NULL, **end = &first;
    while (chain) {
        struct gulp *gulp = chain;
        chain = gulp->next;
        gulp->next = NULL;
        if (gulp->used == 0 && (chain || !keep_last)) {
            gulp_queue_give_back(self->queue, gulp);
            continue;
        }
        *end = gulp;
        end = &gulp->next;
    }
    return first;
}

static void hand_over(struct reader *self, struct gulp *chain, bool caught_up)
{
    int64_t real_ns;
    uint64_t boot_ns = clock_both_ns(&real_ns);
    bool idle_is_over = caught_up && boot_ns - self->handed_over_ns >= IDLE_GULP_NS;
    bool any = false;
    for (struct gulp *gulp = chain; gulp; gulp = gulp->next) {
        gulp->boot_ns = boot_ns;
        gulp->real_ns = real_ns;
        gulp->caught_up = caught_up && !gulp->next;
        any |= gulp->used > 0;
    }
    chain = drop_empty(self, chain, caught_up && (any || idle_is_over));
    if (chain)
        self->handed_over_ns = boot_ns;
    gulp_queue_put(self->queue, chain);
}

/* What does not fit stays for the next tick. */
static void put_told(struct reader *self, struct gulp *gulp)
{
    pthread_mutex_lock(&self->marks_lock);
    if (self->told.length &&
        gulp_add(gulp, SOURCE_AGENT, MESSAGE_DATA, clock_boot_ns(), buffer_slice(&self->told)) == 0)
        buffer_clear(&self->told);
    pthread_mutex_unlock(&self->marks_lock);
}

/* For so long nobody read the sockets, whatever it was that kept this thread from running. */
static void put_late(struct reader *self, struct gulp *gulp)
{
    char text[64];
    if (!self->late_ns)
        return;
    int length = snprintf(text, sizeof(text), "late\t%" PRIu64, self->late_ns / 1000000);
    if (gulp_add(gulp, SOURCE_AGENT, MESSAGE_DATA, clock_boot_ns(),
                 slice_of(text, (size_t)length)) == 0)
        self->late_ns = 0;
}

/* One round. False when memory was short, so that something may be left in the sockets. */
static bool tick(struct reader *self)
{
    struct chain connector = {NULL, NULL};
    if (!chain_add(self, &connector))
        return false;
    if (!self->held.first) {
        if (!chain_add(self, &self->held)) {
            gulp_queue_give_back(self->queue, connector.first);
            return false;
        }
        take_marks(self);
        self->held_complete = drain_sources(self, &self->held, false);
    }
    if (!drain_sources(self, &connector, true)) {
        hand_over(self, connector.first, false);
        return false;
    }
    if (self->held_complete) {
        put_told(self, self->held.last);
        put_late(self, self->held.last);
        put_marks(self, self->held.last);
    }
    connector.last->next = self->held.first;
    self->held = (struct chain){NULL, NULL};
    hand_over(self, connector.first, self->held_complete);
    return self->held_complete;
}

static void wait_until(const struct reader *self, uint64_t deadline_ns)
{
    uint64_t now = clock_monotonic_ns();
    if (now >= deadline_ns)
        return;
    struct timespec timeout = {.tv_sec = (time_t)((deadline_ns - now) / 1000000000),
                               .tv_nsec = (long)((deadline_ns - now) % 1000000000)};
    struct pollfd descriptor = {.fd = self->wake_fd, .events = POLLIN};
    uint64_t ignored;
    if (ppoll(&descriptor, 1, &timeout, NULL) > 0 &&
        read(self->wake_fd, &ignored, sizeof(ignored)) < 0 && errno != EAGAIN)
        log_debug("reader", "cannot read the wake descriptor: %s", strerror(errno));
}

static void drain_at_stop(struct reader *self)
{
    for (size_t i = 0; i < self->n_sources; i++)
        self->sources[i].ops->stop(self->sources[i].source);
    uint64_t until_ns = clock_monotonic_ns() + STOP_PATIENCE_NS;
    while (!tick(self)) {
        if (clock_monotonic_ns() > until_ns) {
            log_warning("reader", "the tracker did not take what was read; it counts as lost");
            break;
        }
        struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL);
    }
    while (self->held.first) {
        struct gulp *next = self->held.first->next;
        gulp_queue_give_back(self->queue, self->held.first);
        self->held.first = next;
    }
}

static void *run(void *user)
{
    struct reader *self = user;
    uint64_t deadline_ns = clock_monotonic_ns();
    thread_begin("vestige-reader");
    while (!atomic_load_explicit(&self->stopping, memory_order_acquire)) {
        uint64_t now = clock_monotonic_ns();
        if (now > deadline_ns + LATE_NS)
            self->late_ns += now - deadline_ns;
        tick(self);
        now = clock_monotonic_ns();
        deadline_ns += self->interval_ns;
        if (deadline_ns < now || deadline_ns > now + self->interval_ns)
            deadline_ns = now + self->interval_ns;
        wait_until(self, deadline_ns);
    }
    drain_at_stop(self);
    gulp_queue_close(self->queue);
    return NULL;
}

/* Signals are the main thread's business. */
static int start_thread(struct reader *self)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&self->thread, NULL, run, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -r;
}

int reader_start(struct reader **readerp, const struct reader_options *options,
                 struct error_text *error)
{
    unsigned interval_ms = options->interval_ms ? options->interval_ms : DEFAULT_INTERVAL_MS;
    if (options->n_sources > READER_SOURCES_MOST || interval_ms > MOST_INTERVAL_MS)
        return error_set(error, -EINVAL, "reader: %zu sources every %u ms: at most %d and %d",
                         options->n_sources, interval_ms, READER_SOURCES_MOST, MOST_INTERVAL_MS);
    struct reader *self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(error, -ENOMEM, "reader: out of memory");
    if (options->n_sources)
        memcpy(self->sources, options->sources, options->n_sources * sizeof(self->sources[0]));
    self->n_sources = options->n_sources;
    self->interval_ns = (uint64_t)interval_ms * 1000000;
    self->queue = options->queue;
    self->wake_fd = options->wake_fd;
    pthread_mutex_init(&self->marks_lock, NULL);
    int r = start_thread(self);
    if (r < 0) {
        pthread_mutex_destroy(&self->marks_lock);
        free(self);
        return error_set(error, r, "reader: cannot start its thread: %s", strerror(-r));
    }
    *readerp = self;
    return 0;
}

static void wake(const struct reader *self)
{
    uint64_t one = 1;
    if (write(self->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        log_debug("reader", "cannot write the wake descriptor: %s", strerror(errno));
}

struct reader *reader_stop(struct reader *self)
{
    if (!self)
        return NULL;
    atomic_store_explicit(&self->stopping, true, memory_order_release);
    wake(self);
    pthread_join(self->thread, NULL);
    pthread_mutex_destroy(&self->marks_lock);
    buffer_deinit(&self->told);
    free(self);
    return NULL;
}

int reader_mark(struct reader *self, uint64_t token)
{
    pthread_mutex_lock(&self->marks_lock);
    bool room = self->n_marks < MARKS_MOST;
    if (room)
        self->marks[self->n_marks++] = token;
    pthread_mutex_unlock(&self->marks_lock);
    wake(self);
    return room ? 0 : -EBUSY;
}

int reader_tell(struct reader *self, struct slice bytes)
{
    pthread_mutex_lock(&self->marks_lock);
    buffer_clear(&self->told);
    buffer_append_slice(&self->told, bytes);
    bool failed = self->told.failed;
    if (failed)
        buffer_clear(&self->told);
    pthread_mutex_unlock(&self->marks_lock);
    return failed ? -ENOMEM : 0;
}

uint64_t reader_cpu_ns(struct reader *self)
{
    clockid_t clock;
    struct timespec used;
    if (pthread_getcpuclockid(self->thread, &clock) != 0 || clock_gettime(clock, &used) < 0)
        return 0;
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}
