/* Two sides. The tracker's side, here, puts lines into a chunk of memory under the lock, and
 * decides which batch each line belongs to, so that a number can be promised before anything is
 * written. The journal's thread (journal_thread.c) writes. */
#include "recorder/journal/journal_private.h"

#include "core/log.h"
#include "recorder/journal/journal_restore.h"
#include "recorder/journal/journal_start.h"
#include "recorder/journal/sealed_batch.h"

#include <stdio.h>
#include <stdlib.h>

#define SEAL_MS      1000
#define BATCH_LINES  10000
#define BATCH_BYTES  (4u * 1024 * 1024)
#define LINE_BYTES   (64u * 1024 * 1024)
#define BUFFER_BYTES (8u * 1024 * 1024)

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
int journal_end_batch(struct journal *journal)
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
    int error = batch_is_full(journal, length) ? journal_end_batch(journal) : 0;
    bool first = journal->pending.text.length == 0;
    if (!error)
        error = journal_chunk_add(&journal->pending, line);
    if (error)
        return error;
    if (first || journal->batch_lines == 0) {
        uint64_t now = journal_monotonic_ns();
        if (journal->batch_lines == 0)
            journal->batch_began_ns = now;
        if (first) {
            journal->pending.first_us = journal_now_us(journal);
            journal->line_ns = now;
            pthread_cond_signal(&journal->wake);
        }
    }
    journal->lines_since_mark++;
    journal->batch_lines++;
    journal->batch_bytes += length;
    if (batch_is_full(journal, 1))
        journal_end_batch(journal); /* if this fails, the next line tries again */
    if (journal_chunk_bytes(&journal->pending) > journal->options.buffer_bytes / 2 &&
        !journal->urgent) {
        journal->urgent = true;
        pthread_cond_signal(&journal->wake);
    }
    return 0;
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
    journal_count(journal, error ? COUNTER_LINES_REFUSED : COUNTER_LINES_WRITTEN);
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
            journal->mark_ns = journal_monotonic_ns();
            if (journal_chunk_entries(&journal->pending) == 0)
                pthread_cond_signal(&journal->wake);
        }
        journal_chunk_set_mark(&journal->pending, cursors, journal_now_us(journal));
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
    if (journal_end_batch(journal) != 0)
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

static void begin_checkpoint(struct journal *journal)
{
    struct checkpoint *checkpoint = &journal->checkpoint;
    checkpoint_begin(checkpoint);
    pthread_mutex_lock(&journal->lock);
    checkpoint->covers = request_seal(journal);
    pthread_mutex_unlock(&journal->lock);
}

static void end_checkpoint(struct journal *journal)
{
    struct checkpoint finished = journal->checkpoint;
    journal->checkpoint = (struct checkpoint){0};
    if (!finished.active || !finished.writer)
        return;
    finished.time_us = journal_now_us(journal);
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
        begin_checkpoint(journal);
    else
        end_checkpoint(journal);
}

bool journal_checkpoint_due(const struct journal *journal)
{
    return atomic_load_explicit(&journal->due, memory_order_relaxed);
}

/* ---- opening and the shipper's side ---- */

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
    journal_update_due(journal);
    result = journal_start_thread(journal);
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
    uint64_t first_us = batch_reader_header(reader)->first_us, now = journal_now_us(journal);
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
    uint64_t since = atomic_load(&journal->writes_since_ns), now = journal_monotonic_ns();
    return since && now > since ? now - since : 0;
}

int journal_shipped(struct journal *journal, uint64_t batch)
{
    int error = journal_shelf_shipped(journal->shelf, batch);
    if (!error)
        journal_update_due(journal);
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
