/*
 * One thread: connect, take the next batch of the journal, deliver it, tell the journal. A failure
 * is shown in the status and waited out; nothing but a file that is no batch is ever passed over.
 * At the end there is one attempt that begins after shipper_free was called; a failure of it, or
 * the end of the grace, ends the thread.
 */
#include "recorder/shipper/shipper.h"

#include "core/cleanup.h"
#include "core/log.h"
#include "core/thread_rights.h"
#include "recorder/shipper/ship_alive.h"
#include "recorder/shipper/ship_backoff.h"
#include "recorder/shipper/ship_delivery.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#define SUBSYSTEM   "shipper"
#define RETRY_FIRST 200
#define RETRY_MOST  30000
#define ALIVE_MS    60000
#define IDLE_MS     30000 /* then the connection is tried, so that status tells the truth */
#define ABORT_MS    6000  /* to end in, of what is being waited for */
#define PATH_SIZE   4096
#define NANOSECONDS 1000000000L
#define MILLISECOND 1000000L

struct shipper {
    struct shipper_options options;
    char *defaults_file, *boot_id;
    pthread_t thread;
    struct ship_delivery delivery; /* of the thread, but for ship_delivery_abort */
    struct ship_backoff backoff;
    struct ship_alive alive; /* of the thread */

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool woken, urgent, stopping, aborting, finished;
    bool cut_off;            /* a connection was lost, and nothing was delivered since */
    bool last_attempt;       /* the attempt that is under way began after stopping was set */
    bool connecting_failed;  /* what the error of the status is about */
    bool failure_told;       /* the log has a cause, and not yet that it is over */
    uint64_t n_attempts;     /* that have begun */
    uint64_t unreached;      /* the last of them that could not connect; 0: none */
    uint64_t shipped_before; /* all batches up to this one were shipped by earlier runs */
    struct shipper_status status;
};

static struct timespec deadline_in(unsigned ms)
{
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += ms / 1000;
    deadline.tv_nsec += (long)(ms % 1000) * MILLISECOND;
    if (deadline.tv_nsec >= NANOSECONDS) {
        deadline.tv_sec++;
        deadline.tv_nsec -= NANOSECONDS;
    }
    return deadline;
}

/** False when the deadline has passed. To be called with the lock held. */
static bool wait_until(struct shipper *shipper, const struct timespec *deadline)
{
    return pthread_cond_timedwait(&shipper->changed, &shipper->lock, deadline) != ETIMEDOUT;
}

static unsigned any_number(void)
{
    unsigned number;
    if (getrandom(&number, sizeof(number), GRND_NONBLOCK) == sizeof(number))
        return number;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (unsigned)now.tv_nsec;
}

/** The lock is held. */
static void set_error(struct shipper *shipper, const struct ship_error *error, bool connecting)
{
    memcpy(shipper->status.error, error->text.text, sizeof(shipper->status.error));
    log_make_safe(shipper->status.error); /* a server's words could be lines of the status */
    shipper->status.connected = ship_delivery_connected(&shipper->delivery);
    shipper->connecting_failed = connecting;
}

/** Show why nothing is shipped; the log gets a cause once, and not each time it is met again. */
static void show_failure(struct shipper *shipper, const struct ship_error *error, bool connecting)
{
    pthread_mutex_lock(&shipper->lock);
    char before[sizeof(shipper->status.error)];
    memcpy(before, shipper->status.error, sizeof(before));
    set_error(shipper, error, connecting);
    bool known = strcmp(before, shipper->status.error) == 0;
    shipper->failure_told = true;
    pthread_mutex_unlock(&shipper->lock);
    counter_add(shipper->options.counters, COUNTER_SHIP_FAILURES, 1);
    if (!known)
        log_warning(SUBSYSTEM, "batches stay in the journal: %s", error->text.text);
}

/** The lock is held. */
static void set_clock(struct shipper *shipper)
{
    if (!ship_delivery_connected(&shipper->delivery))
        return;
    shipper->status.server_boot_us = shipper->delivery.connection.server_boot_us;
    shipper->status.server_offset_known = true;
}

static void show_connection(struct shipper *shipper)
{
    pthread_mutex_lock(&shipper->lock);
    shipper->status.connected = true;
    set_clock(shipper);
    bool told = shipper->status.is_clear;
    shipper->status.is_clear = shipper->delivery.connection.is_clear;
    if (shipper->connecting_failed)
        shipper->status.error[0] = '\0';
    shipper->connecting_failed = false;
    pthread_mutex_unlock(&shipper->lock);
    if (shipper->delivery.connection.is_clear && !told)
        log_warning(SUBSYSTEM,
                    "EVIDENCE IS SENT IN CLEAR, as allow-cleartext in the option file says:"
                    " anybody on the way can read and change it");
}

static void show_success(struct shipper *shipper, uint64_t batch)
{
    pthread_mutex_lock(&shipper->lock);
    bool told = shipper->failure_told;
    shipper->failure_told = false;
    shipper->status.last_shipped = batch;
    shipper->status.error[0] = '\0';
    set_clock(shipper);
    pthread_cond_broadcast(&shipper->changed);
    pthread_mutex_unlock(&shipper->lock);
    if (told)
        log_notice(SUBSYSTEM, "shipping again, from batch %" PRIu64, batch);
}

/** Wait after a failure. Returns whether to go on. */
static bool wait_for_next(struct shipper *shipper, unsigned ms)
{
    struct timespec deadline = deadline_in(ms);
    pthread_mutex_lock(&shipper->lock);
    while (!shipper->stopping && !shipper->urgent && wait_until(shipper, &deadline))
        ;
    shipper->urgent = false;
    bool go_on = !shipper->aborting && !shipper->last_attempt;
    pthread_mutex_unlock(&shipper->lock);
    return go_on;
}

/** The lock is not held. */
static void note_unreached(struct shipper *shipper)
{
    pthread_mutex_lock(&shipper->lock);
    shipper->unreached = shipper->n_attempts;
    pthread_cond_broadcast(&shipper->changed);
    pthread_mutex_unlock(&shipper->lock);
}

static bool fail(struct shipper *shipper, const struct ship_error *error, bool connecting)
{
    bool crowded = ship_error_is_crowd(error->number);
    show_failure(shipper, error, connecting);
    if (connecting)
        note_unreached(shipper);
    return wait_for_next(shipper, ship_backoff_step(&shipper->backoff, crowded, any_number()));
}

/** The connection is gone: that alone is no failure, but once more without a delivery between is.
 *  Returns whether to go on. */
static bool cut_off(struct shipper *shipper, const struct ship_error *error)
{
    if (shipper->cut_off)
        return fail(shipper, error, true);
    shipper->cut_off = true;
    pthread_mutex_lock(&shipper->lock);
    set_error(shipper, error, true);
    bool at_once = shipper->last_attempt && !shipper->aborting;
    pthread_mutex_unlock(&shipper->lock);
    return at_once || wait_for_next(shipper, ship_backoff_spread(&shipper->backoff, any_number()));
}

static void report_loss(struct shipper *shipper, const struct shipper_loss *loss)
{
    if (shipper->options.lost)
        shipper->options.lost(shipper->options.lost_user, loss);
}

static void report_rejected(struct shipper *shipper, uint64_t batch,
                            const struct ship_receipt *receipt)
{
    for (size_t i = 0; i < TABLE_N * VERB_N; i++) {
        struct shipper_loss loss = {.batch = batch,
                                    .table = (enum table_id)(i / VERB_N),
                                    .verb = (enum verb)(i % VERB_N),
                                    .first_us = receipt->first_us,
                                    .last_us = receipt->last_us};
        loss.n = receipt->result.rejected[loss.table][loss.verb];
        if (loss.n == 0)
            continue;
        counter_add(shipper->options.counters, COUNTER_ROWS_REJECTED, loss.n);
        log_warning(SUBSYSTEM,
                    "the server refused %" PRIu64 " %s lines of %s in batch %" PRIu64
                    "; they are in its table `rejected`",
                    loss.n, verb_name(loss.verb), catalogue_table(loss.table)->name, batch);
        report_loss(shipper, &loss);
    }
}

static uint64_t count_rejected(const struct ship_result *result)
{
    uint64_t n = 0;
    for (size_t i = 0; i < TABLE_N * VERB_N; i++)
        n += result->rejected[i / VERB_N][i % VERB_N];
    return n;
}

/** Tell the journal, which then may forget the batch. Returns whether to go on. */
static bool forget(struct shipper *shipper, uint64_t batch)
{
    int r = journal_shipped(shipper->options.journal, batch);
    if (r == 0)
        return true;
    struct ship_error error = SHIP_ERROR_NULL;
    ship_error_set(&error, SHIP_FAILED, "cannot mark batch %" PRIu64 " as shipped: %s", batch,
                   strerror(-r));
    return fail(shipper, &error, false);
}

static bool delivered(struct shipper *shipper, uint64_t batch, const struct ship_receipt *receipt)
{
    struct counters *counters = shipper->options.counters;
    ship_backoff_reset(&shipper->backoff);
    shipper->cut_off = false;
    show_success(shipper, batch);
    if (receipt->counted) {
        uint64_t n_rejected = count_rejected(&receipt->result);
        counter_add(counters, COUNTER_BATCHES_SHIPPED, 1);
        counter_add(counters, COUNTER_ROWS_SHIPPED, receipt->result.n_rows - n_rejected);
        report_rejected(shipper, batch, receipt);
    }
    return forget(shipper, batch);
}

/** Keep a file that is no batch under another name, and pass over it, so that it does not hold up
 *  all others for ever. */
static bool set_aside(struct shipper *shipper, uint64_t batch, const char *path,
                      const struct ship_receipt *receipt, const struct ship_error *error)
{
    char aside[PATH_SIZE + 16];
    snprintf(aside, sizeof(aside), "%s.damaged", path);
    if (link(path, aside) != 0 && errno != ENOENT && errno != EEXIST) {
        struct ship_error failure = SHIP_ERROR_NULL;
        ship_error_set(&failure, SHIP_FAILED, "cannot keep damaged %s: %s", path, strerror(errno));
        return fail(shipper, &failure, false);
    }
    log_error(SUBSYSTEM,
              "batch %" PRIu64 " is damaged and will not be shipped; it is kept as %s: %s", batch,
              aside, error->text.text);
    struct shipper_loss loss = {.damaged = true,
                                .batch = batch,
                                .table = TABLE_NONE,
                                .n = receipt->n_lines,
                                .first_us = receipt->first_us,
                                .last_us = receipt->last_us};
    report_loss(shipper, &loss);
    return forget(shipper, batch);
}

static bool ship(struct shipper *shipper, uint64_t batch)
{
    char path[PATH_SIZE];
    struct ship_error error = SHIP_ERROR_NULL;
    struct ship_receipt receipt;
    journal_batch_path(shipper->options.journal, batch, path);
    switch (ship_delivery_send(&shipper->delivery, batch, path, &receipt, &error)) {
    case SHIP_DELIVERED:
        return delivered(shipper, batch, &receipt);
    case SHIP_DAMAGED:
        return set_aside(shipper, batch, path, &receipt, &error);
    case SHIP_CUT_OFF:
        return cut_off(shipper, &error);
    default:
        return fail(shipper, &error, false);
    }
}

/** Nothing to ship: wait for more. Returns whether to go on. */
static bool idle(struct shipper *shipper)
{
    struct timespec deadline = deadline_in(IDLE_MS);
    struct ship_error error = SHIP_ERROR_NULL;
    bool in_time = true;
    pthread_mutex_lock(&shipper->lock);
    while (in_time && !shipper->woken && !shipper->urgent && !shipper->stopping)
        in_time = wait_until(shipper, &deadline);
    bool go_on = !shipper->stopping || shipper->woken;
    pthread_mutex_unlock(&shipper->lock);
    if (in_time)
        return go_on;
    switch (ship_delivery_ping(&shipper->delivery, &error)) {
    case SHIP_DELIVERED:
        show_connection(shipper);
        return true;
    case SHIP_CUT_OFF:
        return cut_off(shipper, &error);
    default:
        show_failure(shipper, &error, true);
        return true;
    }
}

/** Tell the server that this agent lives, when it is time. False when the connection is gone. */
static bool give_sign_of_life(struct shipper *shipper, struct ship_error *error)
{
    if (!ship_alive_due(&shipper->alive))
        return true;
    struct journal_status journal;
    journal_get_status(shipper->options.journal, &journal);
    const struct ship_alive_state state = {
        .batches_waiting = journal.n_batches,
        .journal_bytes = journal.bytes,
        .journal_limit_bytes = journal.limit_bytes,
        .waiting_us = journal.oldest_age_us,
        .gaps = counter_get(shipper->options.counters, COUNTER_GAPS),
        .journal_full = journal.full || journal.error[0],
    };
    if (ship_alive_send(&shipper->alive, &shipper->delivery.connection, &state, error) ==
        SHIP_LOST) {
        ship_delivery_disconnect(&shipper->delivery);
        return false;
    }
    show_connection(shipper);
    return true;
}

static bool begin_attempt(struct shipper *shipper)
{
    pthread_mutex_lock(&shipper->lock);
    bool go_on = !shipper->aborting;
    shipper->last_attempt = shipper->stopping;
    shipper->woken = shipper->urgent = false;
    shipper->n_attempts++;
    pthread_mutex_unlock(&shipper->lock);
    return go_on;
}

static bool is_aborting(struct shipper *shipper)
{
    pthread_mutex_lock(&shipper->lock);
    bool aborting = shipper->aborting;
    pthread_mutex_unlock(&shipper->lock);
    return aborting;
}

/** One attempt at one thing. Returns whether to go on. */
static bool step(struct shipper *shipper)
{
    struct ship_error error = SHIP_ERROR_NULL;
    if (!begin_attempt(shipper))
        return false;
    if (!ship_delivery_connected(&shipper->delivery)) {
        if (ship_delivery_connect(&shipper->delivery, &error) != SHIP_DELIVERED)
            return fail(shipper, &error, true);
        show_connection(shipper);
        if (is_aborting(shipper))
            return false;
    }
    if (!give_sign_of_life(shipper, &error))
        return fail(shipper, &error, true);
    uint64_t batch = journal_next_to_ship(shipper->options.journal);
    return batch ? ship(shipper, batch) : idle(shipper);
}

static void *run(void *user)
{
    struct shipper *shipper = user;
    thread_begin("shipper");
    mysql_thread_init();
    while (step(shipper))
        ;
    mysql_thread_end();
    pthread_mutex_lock(&shipper->lock);
    shipper->finished = true;
    pthread_cond_broadcast(&shipper->changed);
    pthread_mutex_unlock(&shipper->lock);
    return NULL;
}

static void find_shipped_before(struct shipper *shipper)
{
    struct journal_status status;
    journal_get_status(shipper->options.journal, &status);
    uint64_t next = journal_next_to_ship(shipper->options.journal);
    shipper->shipped_before = next ? next - 1 : status.last_batch;
}

/** Signals are for the main thread; a broken connection must not end the agent by SIGPIPE. */
static int start_thread(struct shipper *shipper)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&shipper->thread, NULL, run, shipper);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -r;
}

static void init_lock(struct shipper *shipper)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&shipper->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&shipper->lock, NULL);
}

static void release(struct shipper *shipper)
{
    ship_delivery_deinit(&shipper->delivery);
    pthread_cond_destroy(&shipper->changed);
    pthread_mutex_destroy(&shipper->lock);
    free(shipper->defaults_file);
    free(shipper->boot_id);
    free(shipper);
}

int shipper_check_option_file(const char *path, struct error_text *error)
{
    int fd AUTO_CLOSE = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        return 0;
    int r = -errno;
    return error_set(error, r,
                     "cannot read the option file %s: %s; `vestige client enroll` makes it, and "
                     "defaults_file in section [agent] names it",
                     path, strerror(-r));
}

static struct shipper *new_shipper(const struct shipper_options *options)
{
    struct shipper *shipper = calloc(1, sizeof(*shipper));
    if (!shipper)
        return NULL;
    shipper->options = *options;
    shipper->backoff.first_ms = options->retry_first_ms ? options->retry_first_ms : RETRY_FIRST;
    shipper->backoff.most_ms = options->retry_most_ms ? options->retry_most_ms : RETRY_MOST;
    init_lock(shipper);
    shipper->defaults_file = strdup(options->defaults_file);
    shipper->boot_id = options->boot_id ? strdup(options->boot_id) : NULL;
    ship_alive_init(&shipper->alive, shipper->boot_id,
                    options->alive_ms ? options->alive_ms : ALIVE_MS);
    if (ship_delivery_init(&shipper->delivery, shipper->defaults_file, options->host_id,
                           options->schema_version) == 0 &&
        shipper->defaults_file) {
        if (options->clock_ms)
            shipper->delivery.clock_ms = options->clock_ms;
        return shipper;
    }
    release(shipper);
    return NULL;
}

int shipper_start(struct shipper **shipperp, const struct shipper_options *options,
                  struct error_text *error)
{
    int r = shipper_check_option_file(options->defaults_file, error);
    if (r != 0)
        return r;
    if (mysql_library_init(0, NULL, NULL) != 0)
        return error_set(error, -ENOMEM, "cannot set up MariaDB's client library");
    struct shipper *shipper = new_shipper(options);
    if (!shipper)
        return error_set(error, -ENOMEM, "not enough memory for the shipper");
    find_shipped_before(shipper);
    r = start_thread(shipper);
    if (r != 0) {
        release(shipper);
        return error_set(error, r, "cannot start the shipper's thread: %s", strerror(-r));
    }
    *shipperp = shipper;
    return 0;
}

static bool finishes_in(struct shipper *shipper, unsigned ms)
{
    struct timespec deadline = deadline_in(ms);
    pthread_mutex_lock(&shipper->lock);
    while (!shipper->finished && wait_until(shipper, &deadline))
        ;
    bool finished = shipper->finished;
    pthread_mutex_unlock(&shipper->lock);
    return finished;
}

static void set_stopping(struct shipper *shipper, bool aborting)
{
    pthread_mutex_lock(&shipper->lock);
    shipper->stopping = true;
    shipper->aborting = aborting;
    pthread_cond_broadcast(&shipper->changed);
    pthread_mutex_unlock(&shipper->lock);
}

/** Nobody can end a connection that is being made: a server that trickles its greeting could keep
 *  the agent from ending. It is left to the end of the process, and touches no journal any more. */
struct shipper *shipper_free(struct shipper *shipper, unsigned grace_ms)
{
    if (!shipper)
        return NULL;
    set_stopping(shipper, false);
    bool finished = finishes_in(shipper, grace_ms);
    set_stopping(shipper, true);
    if (!finished)
        ship_delivery_abort(&shipper->delivery);
    if (!finishes_in(shipper, ABORT_MS)) {
        log_warning(SUBSYSTEM, "a connection that is being made to the server is not waited for");
        pthread_detach(shipper->thread);
        return NULL;
    }
    pthread_join(shipper->thread, NULL);
    release(shipper);
    return NULL;
}

void shipper_wake(struct shipper *shipper)
{
    pthread_mutex_lock(&shipper->lock);
    shipper->woken = true;
    pthread_cond_broadcast(&shipper->changed);
    pthread_mutex_unlock(&shipper->lock);
}

static int wait_for_batch(struct shipper *shipper, uint64_t batch, unsigned timeout_ms,
                          bool give_up)
{
    struct timespec deadline = deadline_in(timeout_ms);
    bool in_time = true, shipped;
    pthread_mutex_lock(&shipper->lock);
    uint64_t before = shipper->n_attempts;
    shipper->urgent = true;
    pthread_cond_broadcast(&shipper->changed);
    while (!(shipped = shipper->shipped_before >= batch || shipper->status.last_shipped >= batch) &&
           in_time && !(give_up && shipper->unreached > before))
        in_time = wait_until(shipper, &deadline);
    pthread_mutex_unlock(&shipper->lock);
    return shipped ? 0 : in_time ? -EHOSTUNREACH : -ETIMEDOUT;
}

int shipper_wait(struct shipper *shipper, uint64_t batch, unsigned timeout_ms)
{
    return wait_for_batch(shipper, batch, timeout_ms, false);
}

int shipper_wait_reachable(struct shipper *shipper, uint64_t batch, unsigned timeout_ms)
{
    return wait_for_batch(shipper, batch, timeout_ms, true);
}

void shipper_get_status(struct shipper *shipper, struct shipper_status *status)
{
    struct journal_status journal;
    journal_get_status(shipper->options.journal, &journal);
    pthread_mutex_lock(&shipper->lock);
    *status = shipper->status;
    pthread_mutex_unlock(&shipper->lock);
    status->n_waiting = journal.n_batches;
    if (status->server_offset_known)
        status->server_offset_us = ship_connection_offset(status->server_boot_us);
}
