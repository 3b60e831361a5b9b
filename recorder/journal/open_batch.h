#pragma once
/*
 * The batch that is being written: its file in plain text, and beside it what a sealed batch is
 * made of. Belongs to the journal's thread.
 */
#include "recorder/journal/batch_header.h"
#include "recorder/journal/batch_writer.h"
#include "recorder/journal/journal_chunk.h"
#include "recorder/journal/journal_directory.h"

/** Where a chain of batches stands: what the next batch goes on from. */
struct batch_chain {
    uint64_t host_id;
    char boot_id[37];
    const struct signing_key *key; /* NULL: batches are not signed */
    uint64_t last;                 /* the newest sealed batch; 0: none */
    uint8_t last_hash[BATCH_HASH_SIZE];
    struct batch_mark mark; /* the last one; births: those after it up to now */
    bool marked;            /* else there never was a mark */
};

struct open_batch;

/** @p chain is kept up to date: its mark at each write, its end at each seal. */
int open_batch_new(struct open_batch **batchp, struct journal_directory *directory,
                   struct batch_chain *chain) MUST_CHECK;
/** Closes the file and leaves it. */
struct open_batch *open_batch_free(struct open_batch *batch);

/** Go on from a batch of a crash that could not be sealed: its file is there, its lines are in
 *  *@p writerp, which is taken over. Nothing can be written before open_batch_seal has sealed it.
 *  @p damaged: of the file's end something could not be read, so it is kept beside. */
int open_batch_resume(struct open_batch *batch, struct batch_writer **writerp,
                      const struct batch_header *header, bool damaged) MUST_CHECK;
/** The number of the batch that was resumed and is not sealed yet; 0: none. */
uint64_t open_batch_resumed(const struct open_batch *batch);

/** Write the entries [from, to) of a chunk, which all belong to this batch, whose text begins at
 *  @p offset, and the chunk's mark when it stands at one of them or at @p to. Returns 0, or a
 *  negative errno: then nothing was written, and the same call is to be made again. */
int open_batch_write(struct open_batch *batch, const struct journal_chunk *chunk, size_t from,
                     size_t to, size_t offset) MUST_CHECK;
/** Lines in it. */
size_t open_batch_lines(const struct open_batch *batch);
/** Bytes of its file, 0 when there is none. */
uint64_t open_batch_bytes(const struct open_batch *batch);

/** Seal it: *@p bytes is what the sealed file takes on the disk. Returns 0 or a negative errno:
 *  then it is to be called again, and nothing may be written before it succeeds. */
int open_batch_seal(struct open_batch *batch, uint64_t *bytes) MUST_CHECK;
/** The agent stops in order and there are marks but no lines: say so in the file, durably. */
int open_batch_close(struct open_batch *batch, uint64_t time_us) MUST_CHECK;
