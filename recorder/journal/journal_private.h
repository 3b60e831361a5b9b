#pragma once
/* What the two sides of the journal share: the tracker's thread is in journal.c, the journal's own
 * in journal_thread.c. */
#include "core/gulp.h"
#include "recorder/journal/checkpoint.h"
#include "recorder/journal/journal.h"
#include "recorder/journal/journal_chunk.h"

#include <pthread.h>
#include <time.h>

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

static inline uint64_t journal_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static inline uint64_t journal_now_us(const struct journal *journal)
{
    if (journal->options.now_us)
        return journal->options.now_us(journal->options.now_user);
    int64_t now_ns = clock_real_ns();
    return now_ns > 0 ? (uint64_t)now_ns / 1000 : 0;
}

static inline void journal_count(const struct journal *journal, enum counter_id id)
{
    if (journal->options.counters)
        counter_add(journal->options.counters, id, 1);
}

/* journal.c */
/** The batch ends behind what is pending; the lock is held. */
int journal_end_batch(struct journal *journal);

/* journal_thread.c */
int journal_start_thread(struct journal *journal) MUST_CHECK;
/** Find out whether a checkpoint is due. */
void journal_update_due(struct journal *journal);
