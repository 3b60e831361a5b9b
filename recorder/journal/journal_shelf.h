#pragma once
/*
 * The sealed batches of a journal: which are there, which are shipped, how much they take, and
 * which may go. Batches are known by their numbers alone, so that a million of them that wait for
 * a server take no memory. All functions may be called from any thread.
 */
#include "recorder/journal/journal_directory.h"

struct journal_shelf;

struct journal_shelf_status {
    uint64_t last;            /* the newest sealed batch, 0: none */
    uint64_t first_unshipped; /* 0: all are shipped */
    uint64_t n_unshipped;
    uint64_t covered;         /* by the checkpoint; 0: there is none */
    uint64_t uncovered_bytes; /* sealed since the checkpoint, by this run */
};

/** Walks the directory; removes what an unfinished write left. */
int journal_shelf_new(struct journal_shelf **shelfp, struct journal_directory *directory,
                      struct error_text *error) MUST_CHECK;
struct journal_shelf *journal_shelf_free(struct journal_shelf *shelf);

void journal_shelf_get_status(struct journal_shelf *shelf, struct journal_shelf_status *status);
/** Bytes on the disk of all files but the open batch. Never waits. */
uint64_t journal_shelf_bytes(const struct journal_shelf *shelf);
/** The smallest number that is on the disk, shipped ones included; 0: none. */
uint64_t journal_shelf_first(struct journal_shelf *shelf);
/** Whether there are shipped batches that the next checkpoint will remove. */
bool journal_shelf_has_shipped(struct journal_shelf *shelf);
/** A batch was sealed. */
void journal_shelf_sealed(struct journal_shelf *shelf, uint64_t batch, uint64_t bytes);
/** A batch is in the database. Returns 0 (also when it was known), or a negative errno. */
int journal_shelf_shipped(struct journal_shelf *shelf, uint64_t batch) MUST_CHECK;
/** The checkpoint that covers @p batch is durable (it takes @p bytes, the one before took
 *  @p former_bytes): removes what it covers and is shipped. */
void journal_shelf_covered(struct journal_shelf *shelf, uint64_t batch, uint64_t bytes,
                           uint64_t former_bytes);
