#pragma once
/*
 * Whether two large sets of lines are the same, in little memory and whatever the order: each line
 * is given a number of 128 bits by a secret of this run, and what one side adds the other takes
 * away. Who changed the lines could not know the secret, so nobody can make two changes cancel out;
 * that a difference stays unseen by chance is as likely as guessing 128 bits.
 *
 * There is one sum for a batch, or for several when they are too many; a sum that is not zero says
 * in which batches to look closer.
 */
#include "recorder/journal/batch_digest.h"

#include <stdatomic.h>

struct line_sums {
    _Atomic uint64_t *sums; /* two a bucket */
    size_t n;               /* buckets */
};

/** What tells lines apart, besides their host. */
struct line_key {
    uint32_t host_id;
    enum table_id table;
    enum verb verb;
    uint64_t id, batch;
    uint8_t digest[BATCH_DIGEST_SIZE];
};

#define LINE_SECRET_SIZE 16

int line_sums_init(struct line_sums *sums, size_t n) MUST_CHECK;
void line_sums_deinit(struct line_sums *sums);
/** Any thread may add. @p digest computes; one belongs to one thread. Returns 0 or -EIO. */
int line_sums_change(struct line_sums *sums, struct batch_digest *digest,
                     const uint8_t secret[LINE_SECRET_SIZE], const struct line_key *line,
                     bool add) MUST_CHECK;
size_t line_sums_bucket(const struct line_sums *sums, uint64_t batch);
bool line_sums_is_zero(const struct line_sums *sums, size_t bucket);
