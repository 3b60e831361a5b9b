#pragma once
/*
 * The journal: a directory of batches not yet shipped. recorder/journal.md describes the files.
 *
 * The tracker's thread appends lines and marks to a buffer in memory (bounded in bytes). A thread
 * of the journal's own writes them to the open batch's file within 50 ms, seals the batch after one
 * second, 10,000 lines or 4 MiB, compresses and fsyncs it. Nothing of this blocks the tracker.
 */
#include "core/counter.h"
#include "recorder/keys/signing_key.h"
#include "recorder/row/row_sink.h"

#include <stdatomic.h>

struct journal;

struct journal_options {
    const char *directory; /* made (0700) if missing */
    uint64_t host_id;
    const char *boot_id; /* 36 characters, lower case */
    /** Signs each batch, on the journal's thread; must outlive the journal. NULL: not signed. */
    const struct signing_key *key;
    uint64_t limit_bytes;      /* 0: the smaller of 8 GiB and 10 % of the filesystem */
    size_t buffer_bytes;       /* lines in memory that are not yet in the file; 0: 8 MiB */
    unsigned seal_after_ms;    /* after a batch's first line; 0: 1000 */
    struct counters *counters; /* lines written and refused, batches sealed; may be NULL */
    /** Real time in microseconds since 1970, for the times of headers and marks, and the age of
     * what waits; called on any thread. NULL: CLOCK_REALTIME. */
    uint64_t (*now_us)(void *user);
    void *now_user;
    /** Called on the journal's thread after each sealed batch; may be NULL. */
    void (*sealed)(void *user, uint64_t batch);
    void *sealed_user;
};

/** What was found at opening: an open batch of a crashed agent is sealed as it is. */
struct journal_recovery {
    char cursors[1024];    /* the last mark that was written, sealed or open; "" if none ever */
    uint64_t last_time_us; /* real time (microseconds) of the last line or mark; 0: none */
    uint64_t births_after_mark; /* process lines with previous_id NULL, and what gaps count */
    bool crashed;               /* there was an open batch, so nobody closed the journal */
};

/** Returns 0; -EBUSY: another agent has it; -EPERM, -EACCES, -EROFS, -ENOSPC ...: @p error says
 *  what and where. @p recovery may be NULL. */
int journal_open(struct journal **journalp, const struct journal_options *options,
                 struct journal_recovery *recovery, struct error_text *error) MUST_CHECK;
/** Writes and seals what is left, joins the thread, frees. What cannot be written (a full disk) is
 *  counted in the log. */
struct journal *journal_free(struct journal *journal);

/** The sink for the tracker. Its functions may be called from one thread only. append refuses with
 *  -ENOSPC (journal full, or its disk), -ENOBUFS (buffer full: the disk is slow) or -ENOMEM, and
 *  counts it; the next append tries again. */
struct row_sink journal_sink(struct journal *journal);

/** Seal what has been appended so far; returns the number of the batch that will hold it (or, when
 *  there is nothing, of the last sealed one, which may still be on its way to the disk). Any
 *  thread. */
uint64_t journal_seal_request(struct journal *journal);
/** Bytes on disk, batches waiting, whether it is full. Any thread. */
struct journal_status {
    uint64_t bytes, limit_bytes;
    uint64_t first_batch, last_batch; /* first not shipped (0: none), last sealed (0: none) */
    uint64_t n_batches;               /* sealed, not shipped */
    uint64_t oldest_age_us;           /* how long ago first_batch began, by now_us; 0: none */
    bool full;                        /* lines are refused */
    char error[256];                  /* why nothing can be written now; "" when all is well */
};
void journal_get_status(struct journal *journal, struct journal_status *status);
/** How long the write takes that the thread is in now; 0: it is in none. Any thread. */
uint64_t journal_writes_for_ns(const struct journal *journal);

/*
 * The checkpoint: the insert lines of the rows that are open now, by which a restart knows what an
 * earlier run left open. It is a file of the journal's directory in the format of a batch; batches
 * that have been shipped are kept until a checkpoint covers them.
 */

/** Begin a checkpoint: from the next append on, lines go to it until journal_checkpoint_end. They
 *  are not shipped. Called on the tracker's thread, which then appends an insert line for each open
 *  row. @p begin true starts, false ends and makes it durable (in the journal's thread). */
void journal_checkpoint(struct journal *journal, bool begin);
/** Whether it is time for one: so much was sealed since the last (300 batches or 64 MiB), or lines
 * are refused and batches that are shipped could be deleted. Cheap; any thread. */
bool journal_checkpoint_due(const struct journal *journal);

typedef void (*journal_line_handler)(void *user, enum verb verb, enum table_id table, uint64_t id,
                                     const struct slice *values, size_t n_values);
/** Give every line since the last checkpoint (and the checkpoint's own) to @p handler, in order;
 *  values are unescaped, SLICE_NULL for \N. To be called once, before the first append. A damaged
 *  file is named in the log and left at its damage; the others are given. */
int journal_restore(struct journal *journal, journal_line_handler handler, void *user,
                    struct error_text *error) MUST_CHECK;

/** Forget a batch that is in the database (it is deleted when a checkpoint covers it). Also 0 when
 *  it was known. Any thread. */
int journal_shipped(struct journal *journal, uint64_t batch) MUST_CHECK;
/** The first batch that is sealed and not shipped, or 0. Any thread. */
uint64_t journal_next_to_ship(struct journal *journal);
/** Path of a sealed batch that is not shipped, in @p path. */
void journal_batch_path(const struct journal *journal, uint64_t batch, char path[4096]);
