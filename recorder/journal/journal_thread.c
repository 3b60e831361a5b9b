/* The thread takes what is pending as a whole and writes it, batch by batch; what cannot be written
 * stays as it is and is tried again, while new lines wait within the bound. It sleeps until
 * something is due; an idle journal wakes nobody. */
#include "recorder/journal/journal_private.h"

#include "core/log.h"
#include "core/thread_rights.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define FLUSH_NS    (UINT64_C(25) * 1000000) /* half of what is promised: the write takes time */
#define MARK_NS     (UINT64_C(1000) * 1000000)
#define RETRY_NS    (UINT64_C(250) * 1000000)
#define DUE_BATCHES 300
#define DUE_BYTES   (UINT64_C(64) * 1024 * 1024)
#define NEVER       UINT64_MAX

static bool chunk_in_flight(const struct journal *journal)
{
    return !journal_chunk_is_empty(&journal->chunk);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* When there is something to do; the lock is held. */
static uint64_t due_ns(const struct journal *journal)
{
    if (journal->stop)
        return 0;
    if (journal->retry_ns)
        return journal->retry_ns;
    if (journal->urgent ||
        (journal->finished.active && journal->finished.covers <= journal->chain.last))
        return 0;
    uint64_t due = NEVER;
    if (journal_chunk_entries(&journal->pending))
        due = journal->line_ns + FLUSH_NS;
    if (journal->pending.has_mark)
        due = earlier(due, journal->mark_ns + MARK_NS);
    if (journal->batch_lines)
        due = earlier(due,
                      journal->batch_began_ns + journal->options.seal_after_ms * UINT64_C(1000000));
    return due;
}

static void wait_until_due(struct journal *journal)
{
    uint64_t due;
    while ((due = due_ns(journal)) > journal_monotonic_ns()) {
        const struct timespec until = {(time_t)(due / 1000000000), (long)(due % 1000000000)};
        if (due == NEVER)
            pthread_cond_wait(&journal->wake, &journal->lock);
        else
            pthread_cond_timedwait(&journal->wake, &journal->lock, &until);
    }
}

/* Take what is pending, unless the chunk before it is still to be written; the lock is held. */
static void take(struct journal *journal)
{
    uint64_t age_ns = journal_monotonic_ns() - journal->batch_began_ns;
    if (journal->stop || age_ns >= journal->options.seal_after_ms * UINT64_C(1000000))
        journal_end_batch(journal);
    if (chunk_in_flight(journal))
        return;
    struct journal_chunk empty = journal->chunk;
    journal->chunk = journal->pending;
    journal->pending = empty;
    journal->position = journal->offset = 0;
    journal->segment_written = false;
    journal->in_flight = journal->unwritten = journal_chunk_bytes(&journal->chunk);
    journal->urgent = false;
}

/* What is counted against the limit moves from memory to the open file, and from there to the
 * shelf: it is taken off the one before it is put on the other, so that it never counts twice. */
static void note_progress(struct journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    journal->unwritten = journal_chunk_bytes(&journal->chunk) - journal->offset;
    journal->open_bytes = open_batch_bytes(journal->batch);
    pthread_mutex_unlock(&journal->lock);
}

static int seal(struct journal *journal)
{
    uint64_t bytes;
    int error = open_batch_seal(journal->batch, &bytes);
    if (error)
        return error;
    note_progress(journal);
    journal_shelf_sealed(journal->shelf, journal->chain.last, bytes);
    journal_count(journal, COUNTER_BATCHES_SEALED);
    if (journal->options.sealed)
        journal->options.sealed(journal->options.sealed_user, journal->chain.last);
    return 0;
}

/* Lines leave a reserve of the disk: a shipped batch goes only with a checkpoint, for which the
 * open batch has to be sealed, so a journal that has filled its disk could never be emptied without
 * one. When something is shipped the reserve is there to be used: a checkpoint will give it back.
 */
static bool is_withheld(struct journal *journal, size_t length)
{
    uint64_t free_bytes, reserve;
    if (length == 0 || journal->last_round || journal_shelf_has_shipped(journal->shelf) ||
        journal_directory_room(journal->directory, &free_bytes, &reserve) != 0)
        journal->withheld = false;
    else
        journal->withheld = free_bytes < length + reserve * (journal->withheld ? 2 : 1);
    return journal->withheld;
}

/* What a start could not do, before all else. */
static int catch_up(struct journal *journal)
{
    int error = journal_directory_make(journal->directory, NULL);
    if (!error && open_batch_resumed(journal->batch))
        error = seal(journal);
    return error;
}

/* Write and seal up to the end of the next batch, or of the chunk. */
static int write_segment(struct journal *journal)
{
    const struct journal_chunk *chunk = &journal->chunk;
    size_t n = journal_chunk_entries(chunk), to = journal->position, length = 0;
    if (!journal->segment_written) {
        for (; to < n && journal_chunk_entry(chunk, to)->length; to++)
            length += journal_chunk_entry(chunk, to)->length;
        if (is_withheld(journal, length))
            return -ENOSPC;
        int error = open_batch_write(journal->batch, chunk, journal->position, to, journal->offset);
        if (error)
            return error;
        journal->position = to;
        journal->offset += length;
        journal->segment_written = true;
        note_progress(journal);
    }
    if (to == n)
        return 0;
    int error = seal(journal);
    if (error)
        return error;
    journal->position++;
    journal->segment_written = false;
    return 0;
}

static int write_chunk(struct journal *journal)
{
    if (!chunk_in_flight(journal))
        return 0;
    do {
        int error = write_segment(journal);
        if (error)
            return error;
    } while (!journal->segment_written);
    journal_chunk_clear(&journal->chunk);
    return 0;
}

/* Write the checkpoint that waits, when the batches that it covers are sealed. The tracker may put
 * a newer one in its place at any time, so it is taken out while it is written. */
static int finish_checkpoint(struct journal *journal)
{
    struct checkpoint checkpoint = {0};
    pthread_mutex_lock(&journal->lock);
    if (journal->finished.active && journal->finished.covers <= journal->chain.last) {
        checkpoint = journal->finished;
        journal->finished = (struct checkpoint){0};
    }
    pthread_mutex_unlock(&journal->lock);
    if (!checkpoint.active)
        return 0;
    int error = checkpoint_write(&checkpoint, journal->directory, journal->shelf, &journal->chain);
    if (error) {
        pthread_mutex_lock(&journal->lock);
        if (!journal->finished.active) {
            journal->finished = checkpoint;
            checkpoint = (struct checkpoint){0};
        }
        pthread_mutex_unlock(&journal->lock);
    }
    checkpoint_deinit(&checkpoint);
    return error;
}

/* Much was sealed; or lines are refused, and what is shipped could go. */
void journal_update_due(struct journal *journal)
{
    struct journal_shelf_status status;
    journal_shelf_get_status(journal->shelf, &status);
    pthread_mutex_lock(&journal->lock);
    bool is_short = journal->full || journal->error[0];
    pthread_mutex_unlock(&journal->lock);
    bool due = status.last - earlier(status.covered, status.last) >= DUE_BATCHES ||
               status.uncovered_bytes >= DUE_BYTES ||
               (is_short && journal_shelf_has_shipped(journal->shelf));
    atomic_store_explicit(&journal->due, due, memory_order_relaxed);
}

/* Say once that writing fails, and once that it goes on; the lock is held. */
static void note_result(struct journal *journal, int error)
{
    const char *path = journal_directory_path(journal->directory);
    bool failed = journal->error[0] != 0;
    if (error && !failed)
        log_warning("journal",
                    "%s: cannot be written: %s; lines wait in memory, and what does not fit there "
                    "is counted as lost: make room",
                    path, strerror(-error));
    else if (!error && failed)
        log_notice("journal", "%s: written again", path);
    if (error)
        snprintf(journal->error, sizeof(journal->error), "%s: cannot be written: %s", path,
                 strerror(-error));
    else
        journal->error[0] = 0;
    journal->retry_ns = error ? journal_monotonic_ns() + RETRY_NS : 0;
    if (!chunk_in_flight(journal))
        journal->in_flight = journal->unwritten = 0;
}

/* Whether the thread can end: all is written, or what is left cannot be; the lock is held. */
static bool is_done(const struct journal *journal, int error)
{
    if (!journal->stop)
        return false;
    return error || (!chunk_in_flight(journal) && journal_chunk_is_empty(&journal->pending) &&
                     journal->batch_lines == 0 && !journal->finished.active);
}

static void end(struct journal *journal, int error)
{
    size_t lost = 0;
    const struct journal_chunk *chunks[] = {&journal->chunk, &journal->pending};
    for (int c = 0; c < 2; c++)
        for (size_t i = c ? 0 : journal->position; i < journal_chunk_entries(chunks[c]); i++)
            lost += journal_chunk_entry(chunks[c], i)->length != 0;
    if (lost)
        log_error("journal", "%s: %zu lines could not be written and are lost: %s",
                  journal_directory_path(journal->directory), lost, strerror(-error));
    if (error || open_batch_lines(journal->batch))
        return;
    error = open_batch_close(journal->batch, journal_now_us(journal));
    if (error)
        log_warning("journal", "%s: cannot be closed in order: %s",
                    journal_directory_path(journal->directory), strerror(-error));
}

static void *run(void *user)
{
    struct journal *journal = user;
    bool done;
    int error;
    thread_begin("journal");
    pthread_mutex_lock(&journal->lock);
    do {
        wait_until_due(journal);
        take(journal);
        journal->last_round = journal->stop;
        pthread_mutex_unlock(&journal->lock);
        atomic_store(&journal->writes_since_ns, journal_monotonic_ns());
        error = catch_up(journal);
        if (!error)
            error = write_chunk(journal);
        if (!error)
            error = finish_checkpoint(journal);
        journal_update_due(journal);
        atomic_store(&journal->writes_since_ns, 0);
        pthread_mutex_lock(&journal->lock);
        note_result(journal, error);
        done = is_done(journal, error);
    } while (!done);
    pthread_mutex_unlock(&journal->lock);
    end(journal, error);
    return NULL;
}

int journal_start_thread(struct journal *journal)
{
    sigset_t all, former;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former);
    int error = -pthread_create(&journal->thread, NULL, run, journal);
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    journal->started = !error;
    if (!error)
        pthread_setname_np(journal->thread, "journal");
    return error;
}
