#pragma once
/*
 * How late lines are: from the moment when a line was made until its agent was told that the batch
 * is committed. Lines are shipped in the order in which they were made. One thread.
 */
#include "core/error.h"

#include <stddef.h>
#include <stdint.h>

#define FLEET_LAG_BUCKETS 2048

struct fleet_lag {
    uint64_t *times; /* of lines not yet shipped, a ring; capacity is a power of two */
    size_t capacity;
    uint64_t n_made, n_shipped;
    uint64_t max_us;
    uint32_t buckets[FLEET_LAG_BUCKETS];
};

void fleet_lag_deinit(struct fleet_lag *lag);
/** A line was made. Returns 0 or -ENOMEM. */
int fleet_lag_made(struct fleet_lag *lag, uint64_t now_us) MUST_CHECK;
/** @p n lines in all are in the database. */
void fleet_lag_shipped(struct fleet_lag *lag, uint64_t n, uint64_t now_us);
/** Age of the oldest line that is not shipped; 0: all are. */
uint64_t fleet_lag_oldest(const struct fleet_lag *lag, uint64_t now_us);
/** The lag that @p permille of 1,000 lines do not exceed, to 10 ms (beyond 10 s to 1 s). */
uint64_t fleet_lag_percentile(const struct fleet_lag *lag, unsigned permille);
/** Add the lines of @p other to what @p lag has counted. */
void fleet_lag_add(struct fleet_lag *lag, const struct fleet_lag *other);
