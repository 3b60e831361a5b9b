/* Two sides. The tracker's side puts lines into a chunk of memory under the lock, and decides there
 * which batch each line belongs to, so that a number can be promised before anything is written.
 * The journal's thread takes the chunk as a whole and writes it, batch by batch; a chunk that
 * cannot be written stays as it is and is tried again, while new lines wait within the bound.
 * The thread sleeps until something is due; an idle journal wakes nobody. */
#include "recorder/journal/journal.h"

#include "core/gulp.h"
#include "core/log.h"
#include "core/thread_rights.h"
#include "recorder/journal/batch_writer.h"
#include "recorder/journal/journal_restore.h"
#include "recorder/journal/journal_start.h"
#include "recorder/journal/sealed_batch.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FLUSH_NS     (UINT64_C(25) * 1000000) /* half of what is promised: the write takes time */
#define MARK_NS      (UINT64_C(1000) * 1000000)
#define RETRY_NS     (UINT64_C(250) * 1000000)
#define SEAL_MS      1000
#define BATCH_LINES  10000
#define BATCH_BYTES  (4u * 1024 * 1024)
#define LINE_BYTES   (64u * 1024 * 1024)
#define BUFFER_BYTES (8u * 1024 * 1024)
#define DUE_BATCHES  300
#define DUE_BYTES    (UINT64_C(64) * 1024 * 1024)
#define NEVER        UINT64_MAX

struct checkpoint {
    struct batch_writer *writer; /* NULL: out of memory, nothing will come of it */
    uint64_t covers, time_us;
    bool active;
};

struct journal {
    struct journal_options options;
    struct journal_directory *directory;
    struct journal_shelf *shelf;
    pthread_t thread;
    bool started;
    uint64_t resumed; /* the batch of a crash that was not sealed at the start; 0: none */

    /* the tracker's thread only */
    struct checkpoint checkpoint; /* while it is active, lines go to it */

    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct journal_chunk pending;
    uint64_t next_batch;                               /* the number that the next line gets */
    uint64_t batch_lines, batch_bytes, batch_began_ns; /* of that batch so far */
    uint64_t line_ns, mark_ns; /* when the first line, the first mark of `pending` came */
    uint64_t lines_since_mark;
    char last_mark[BATCH_CURSORS_SIZE];
    bool marked, urgent, stop, full;
    size_t in_flight, unwritten; /* bytes that the thread holds; those not yet in the file */
    uint64_t open_bytes, retry_ns;
    struct checkpoint finished; /* while it is active, it waits to be written */
    char error[256];
    atomic_bool due;
    _Atomic uint64_t writes_since_ns; /* 0: it waits */

    /* the journal's thread only */
    struct batch_chain chain;
    struct open_batch *batch;
    struct journal_chunk chunk;
    size_t position, offset; /* entry and text that are to be written next */
    bool segment_written;    /* all up to `position`; its batch is to be sealed */
    bool withheld;           /* the last of the disk was not used for lines */
    bool last_round;         /* what is not written now is lost */
};

static uint64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t now_us(const struct journal *journal)
{
    if (journal->options.now_us)
        return journal->options.now_us(journal->options.now_user);
    int64_t now_ns = clock_real_ns();
    return now_ns > 0 ? (uint64_t)now_ns / 1000 : 0;
}

static void count(const struct journal *journal, enum counter_id id)
{
    if (journal->options.counters)
        counter_add(journal->options.counters, id, 1);
}

static void checkpoint_deinit(struct checkpoint *checkpoint)
{
    batch_writer_free(checkpoint->writer);
    *checkpoint = (struct checkpoint){0};
}

/* ---- the tracker's side ---- */

static uint64_t disk_bytes(struct journal *journal)
{
    return journal_shelf_bytes(journal->shelf) + journal->open_bytes + journal->unwritten +
           journal_chunk_bytes(&journal->pending);
}

/* Once full, it stays so until an eighth is free: else lines would come and go one by one. The
 * thread is woken to see whether a checkpoint would make room. */
static bool has_room(struct journal *journal, size_t length)
{
    uint64_t used = disk_bytes(journal) + length, limit = journal->options.limit_bytes;
    bool was_full = journal->full;
    journal->full = used > (was_full ? limit - limit / 8 : limit);
    if (journal->full && !was_full) {
        journal->urgent = true;
        pthread_cond_signal(&journal->wake);
    }
    return !journal->full;
}

/* A line that is large beside the bound may pass it, one at a time: it is legal. */
static bool has_memory(const struct journal *journal, size_t length)
{
    size_t used = journal->in_flight + journal_chunk_bytes(&journal->pending);
    size_t bound = journal->options.buffer_bytes;
    return used + length <= bound || (length > bound / 2 && used <= bound / 2);
}

static int admit(struct journal *journal, size_t length)
{
    if (length > LINE_BYTES)
        return -EMSGSIZE;
    if (!has_room(journal, length))
        return -ENOSPC;
    if (!has_memory(journal, length))
        return journal->error[0] ? -ENOSPC : -ENOBUFS;
    return 0;
}

/* The batch ends behind what is pending. */
static int end_batch(struct journal *journal)
{
    if (journal->batch_lines == 0)
        return 0;
    int error = journal_chunk_end_batch(&journal->pending);
    if (error)
        return error;
    journal->next_batch++;
    journal->batch_lines = journal->batch_bytes = 0;
    journal->urgent = true;
    pthread_cond_signal(&journal->wake);
    return 0;
}

static bool batch_is_full(const struct journal *journal, size_t more)
{
    return journal->batch_lines >= BATCH_LINES || journal->batch_bytes + more > BATCH_BYTES;
}

static int add_line(struct journal *journal, const struct line *line)
{
    size_t length = line->text.length;
    int error = batch_is_full(journal, length) ? end_batch(journal) : 0;
    bool first = journal->pending.text.length == 0;
    if (!error)
        error = journal_chunk_add(&journal->pending, line);
    if (error)
        return error;
    if (first || journal->batch_lines == 0) {
        uint64_t now = monotonic_ns();
        if (journal->batch_lines == 0)
            journal->batch_began_ns = now;
        if (first) {
            journal->pending.first_us = now_us(journal);
            journal->line_ns = now;
            pthread_cond_signal(&journal->wake);
        }
    }
    journal->lines_since_mark++;
    journal->batch_lines++;
    journal->batch_bytes += length;
    if (batch_is_full(journal, 1))
        end_batch(journal); /* if this fails, the next line tries again */
    if (journal_chunk_bytes(&journal->pending) > journal->options.buffer_bytes / 2 &&
        !journal->urgent) {
        journal->urgent = true;
        pthread_cond_signal(&journal->wake);
    }
    return 0;
}

static int checkpoint_add(struct checkpoint *checkpoint, const struct line *line)
{
    if (!checkpoint->writer)
        return -ENOMEM;
    int error = batch_writer_add(checkpoint->writer, line->verb, line->table, line->id,
                                 buffer_slice(&line->text));
    if (error)
        checkpoint->writer = batch_writer_free(checkpoint->writer);
    return error;
}

static int append(void *user, const struct line *line)
{
    struct journal *journal = user;
    if (journal->checkpoint.active)
        return checkpoint_add(&journal->checkpoint, line);
    pthread_mutex_lock(&journal->lock);
    int error = admit(journal, line->text.length);
    if (!error)
        error = add_line(journal, line);
    pthread_mutex_unlock(&journal->lock);
    count(journal, error ? COUNTER_LINES_REFUSED : COUNTER_LINES_WRITTEN);
    return error;
}

static void mark(void *user, struct slice cursors)
{
    struct journal *journal = user;
    if (!batch_cursors_valid(cursors)) {
        log_error("journal", "a mark that cannot be written (%zu bytes)", cursors.length);
        return;
    }
    pthread_mutex_lock(&journal->lock);
    bool same =
        journal->marked && journal->lines_since_mark == 0 && slice_is(cursors, journal->last_mark);
    if (!same) {
        if (!journal->pending.has_mark) {
            journal->mark_ns = monotonic_ns();
            if (journal_chunk_entries(&journal->pending) == 0)
                pthread_cond_signal(&journal->wake);
        }
        journal_chunk_set_mark(&journal->pending, cursors, now_us(journal));
        memcpy(journal->last_mark, journal->pending.mark.cursors, sizeof(journal->last_mark));
        journal->marked = true;
        journal->lines_since_mark = 0;
    }
    pthread_mutex_unlock(&journal->lock);
}

struct row_sink journal_sink(struct journal *journal)
{
    return (struct row_sink){.user = journal, .append = append, .mark = mark};
}

static uint64_t request_seal(struct journal *journal)
{
    /* Without memory for the end of the batch it ends by time. */
    uint64_t batch = journal->batch_lines ? journal->next_batch : journal->next_batch - 1;
    if (end_batch(journal) != 0)
        log_warning("journal", "out of memory, batch %llu is sealed later",
                    (unsigned long long)batch);
    return batch;
}

uint64_t journal_seal_request(struct journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    uint64_t batch = request_seal(journal);
    pthread_mutex_unlock(&journal->lock);
    return batch;
}

static void checkpoint_begin(struct journal *journal)
{
    struct checkpoint *checkpoint = &journal->checkpoint;
    checkpoint_deinit(checkpoint);
    checkpoint->active = true;
    if (batch_writer_new(&checkpoint->writer) != 0)
        log_warning("journal", "out of memory, no checkpoint is written");
    pthread_mutex_lock(&journal->lock);
    checkpoint->covers = request_seal(journal);
    pthread_mutex_unlock(&journal->lock);
}

static void checkpoint_end(struct journal *journal)
{
    struct checkpoint finished = journal->checkpoint;
    journal->checkpoint = (struct checkpoint){0};
    if (!finished.active || !finished.writer)
        return;
    finished.time_us = now_us(journal);
    pthread_mutex_lock(&journal->lock);
    struct checkpoint former = journal->finished;
    journal->finished = finished;
    pthread_cond_signal(&journal->wake);
    pthread_mutex_unlock(&journal->lock);
    checkpoint_deinit(&former);
}

void journal_checkpoint(struct journal *journal, bool begin)
{
    if (begin)
        checkpoint_begin(journal);
    else
        checkpoint_end(journal);
}

bool journal_checkpoint_due(const struct journal *journal)
{
    return atomic_load_explicit(&journal->due, memory_order_relaxed);
}

/* ---- the journal's thread ---- */

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
    while ((due = due_ns(journal)) > monotonic_ns()) {
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
    uint64_t age_ns = monotonic_ns() - journal->batch_began_ns;
    if (journal->stop || age_ns >= journal->options.seal_after_ms * UINT64_C(1000000))
        end_batch(journal);
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
    count(journal, COUNTER_BATCHES_SEALED);
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

/* The header says what that of the last covered batch says, so that the chain can go on from it. */
static void checkpoint_header(struct journal *journal, const struct checkpoint *checkpoint,
                              struct batch_header *header)
{
    struct batch_reader *reader;
    struct error_text error = ERROR_TEXT_NULL;
    if (checkpoint->covers == 0) {
        *header = (struct batch_header){0};
    } else if (sealed_batch_open(journal->directory, checkpoint->covers, &reader, &error) == 0) {
        *header = *batch_reader_header(reader);
        batch_reader_free(reader);
    } else {
        log_warning("journal", "%s", error.text);
        *header = (struct batch_header){0};
    }
    memcpy(header->previous_hash, header->hash, BATCH_HASH_SIZE);
    header->kind = BATCH_CHECKPOINT;
    header->format = BATCH_FORMAT;
    header->host_id = journal->chain.host_id;
    header->batch = checkpoint->covers;
    header->recovered = false;
    header->first_us = header->last_us = checkpoint->time_us;
    memcpy(header->boot_id, journal->chain.boot_id, sizeof(header->boot_id));
}

static int write_checkpoint(struct journal *journal, const struct checkpoint *checkpoint)
{
    struct batch_header header;
    struct slice pieces[2];
    uint64_t bytes, former = journal_directory_bytes(journal->directory, JOURNAL_CHECKPOINT);
    checkpoint_header(journal, checkpoint, &header);
    int error = batch_writer_finish(checkpoint->writer, &header, NULL, pieces);
    if (!error)
        error = journal_directory_save(journal->directory, JOURNAL_CHECKPOINT, pieces, &bytes);
    if (!error)
        journal_shelf_covered(journal->shelf, checkpoint->covers, bytes, former);
    return error;
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
    int error = write_checkpoint(journal, &checkpoint);
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
static void update_due(struct journal *journal)
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
    journal->retry_ns = error ? monotonic_ns() + RETRY_NS : 0;
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
    error = open_batch_close(journal->batch, now_us(journal));
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
        atomic_store(&journal->writes_since_ns, monotonic_ns());
        error = catch_up(journal);
        if (!error)
            error = write_chunk(journal);
        if (!error)
            error = finish_checkpoint(journal);
        update_due(journal);
        atomic_store(&journal->writes_since_ns, 0);
        pthread_mutex_lock(&journal->lock);
        note_result(journal, error);
        done = is_done(journal, error);
    } while (!done);
    pthread_mutex_unlock(&journal->lock);
    end(journal, error);
    return NULL;
}

/* ---- opening and the shipper's side ---- */

static int start_thread(struct journal *journal)
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

static void set_options(struct journal *journal, const struct journal_options *options)
{
    journal->options = *options;
    journal->options.directory = journal->options.boot_id = NULL; /* the caller's memory */
    if (journal->options.buffer_bytes == 0)
        journal->options.buffer_bytes = BUFFER_BYTES;
    if (journal->options.seal_after_ms == 0)
        journal->options.seal_after_ms = SEAL_MS;
    journal->chain.host_id = options->host_id;
    journal->chain.key = options->key;
    snprintf(journal->chain.boot_id, sizeof(journal->chain.boot_id), "%s", options->boot_id);
}

static void init_locks(struct journal *journal)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&journal->lock, NULL);
    pthread_cond_init(&journal->wake, &attributes);
    pthread_condattr_destroy(&attributes);
}

static int open_all(struct journal *journal, const struct journal_options *options,
                    struct journal_recovery *recovery, struct error_text *error)
{
    int result = journal_directory_open(&journal->directory, options->directory, error);
    if (!result)
        result = journal_shelf_new(&journal->shelf, journal->directory, error);
    if (!result && open_batch_new(&journal->batch, journal->directory, &journal->chain) != 0)
        result = error_set(error, -ENOMEM, "journal %s: out of memory", options->directory);
    if (!result)
        result = journal_start(journal->directory, journal->shelf, &journal->chain, journal->batch,
                               recovery, error);
    if (result)
        return result;
    if (journal->options.limit_bytes == 0)
        journal->options.limit_bytes = journal_directory_default_limit(journal->directory);
    journal->resumed = open_batch_resumed(journal->batch);
    journal->open_bytes = open_batch_bytes(journal->batch);
    journal->next_batch = (journal->resumed ? journal->resumed : journal->chain.last) + 1;
    journal->urgent = journal->resumed || !journal_directory_is_made(journal->directory);
    update_due(journal);
    result = start_thread(journal);
    return result ? error_set(error, result, "journal %s: cannot start: %s", options->directory,
                              strerror(-result))
                  : 0;
}

int journal_open(struct journal **journalp, const struct journal_options *options,
                 struct journal_recovery *recovery, struct error_text *error)
{
    struct journal_recovery ignored;
    struct journal *journal = calloc(1, sizeof(*journal));
    if (!journal)
        return error_set(error, -ENOMEM, "journal %s: out of memory", options->directory);
    if (!recovery)
        recovery = &ignored;
    *recovery = (struct journal_recovery){0};
    set_options(journal, options);
    init_locks(journal);
    int result = open_all(journal, options, recovery, error);
    if (result) {
        journal_free(journal);
        return result;
    }
    *journalp = journal;
    return 0;
}

struct journal *journal_free(struct journal *journal)
{
    if (!journal)
        return NULL;
    if (journal->started) {
        pthread_mutex_lock(&journal->lock);
        journal->stop = true;
        pthread_cond_signal(&journal->wake);
        pthread_mutex_unlock(&journal->lock);
        pthread_join(journal->thread, NULL);
    }
    open_batch_free(journal->batch);
    checkpoint_deinit(&journal->checkpoint);
    checkpoint_deinit(&journal->finished);
    journal_chunk_deinit(&journal->pending);
    journal_chunk_deinit(&journal->chunk);
    journal_shelf_free(journal->shelf);
    journal_directory_free(journal->directory);
    pthread_cond_destroy(&journal->wake);
    pthread_mutex_destroy(&journal->lock);
    free(journal);
    return NULL;
}

static uint64_t age_us(struct journal *journal, uint64_t batch)
{
    struct batch_reader *reader;
    if (!batch || sealed_batch_open(journal->directory, batch, &reader, NULL) != 0)
        return 0;
    uint64_t first_us = batch_reader_header(reader)->first_us, now = now_us(journal);
    batch_reader_free(reader);
    return now > first_us ? now - first_us : 0;
}

void journal_get_status(struct journal *journal, struct journal_status *status)
{
    struct journal_shelf_status shelf;
    journal_shelf_get_status(journal->shelf, &shelf);
    *status = (struct journal_status){
        .limit_bytes = journal->options.limit_bytes,
        .first_batch = shelf.first_unshipped,
        .last_batch = shelf.last,
        .n_batches = shelf.n_unshipped,
        .oldest_age_us = age_us(journal, shelf.first_unshipped),
    };
    pthread_mutex_lock(&journal->lock);
    if (journal->full)
        has_room(journal, 0); /* a full journal is found to have room when it is asked */
    status->full = journal->full;
    status->bytes = journal_shelf_bytes(journal->shelf) + journal->open_bytes;
    memcpy(status->error, journal->error, sizeof(status->error));
    pthread_mutex_unlock(&journal->lock);
}

uint64_t journal_writes_for_ns(const struct journal *journal)
{
    uint64_t since = atomic_load(&journal->writes_since_ns), now = monotonic_ns();
    return since && now > since ? now - since : 0;
}

int journal_shipped(struct journal *journal, uint64_t batch)
{
    int error = journal_shelf_shipped(journal->shelf, batch);
    if (!error)
        update_due(journal);
    return error;
}

uint64_t journal_next_to_ship(struct journal *journal)
{
    struct journal_shelf_status status;
    journal_shelf_get_status(journal->shelf, &status);
    return status.first_unshipped;
}

void journal_batch_path(const struct journal *journal, uint64_t batch, char path[4096])
{
    char name[JOURNAL_NAME_SIZE];
    journal_file_name(name, JOURNAL_FILE_SEALED, batch);
    snprintf(path, 4096, "%s/%s", journal_directory_path(journal->directory), name);
}

int journal_restore(struct journal *journal, journal_line_handler handler, void *user,
                    struct error_text *error)
{
    return journal_restore_lines(journal->directory, journal->shelf, journal->resumed, handler,
                                 user, error);
}
