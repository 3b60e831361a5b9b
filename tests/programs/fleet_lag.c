/* The first half of the buckets has steps of 10 ms, the second of a second. */
#include "fleet_lag.h"

#include <stdlib.h>

#define FINE_N       (FLEET_LAG_BUCKETS / 2)
#define FINE_US      UINT64_C(10000)
#define COARSE_US    UINT64_C(1000000)
#define FIRST_LENGTH 256

void fleet_lag_deinit(struct fleet_lag *lag)
{
    free(lag->times);
    *lag = (struct fleet_lag){0};
}

static int grow(struct fleet_lag *lag)
{
    size_t capacity = lag->capacity ? lag->capacity * 2 : FIRST_LENGTH;
    uint64_t *times = calloc(capacity, sizeof(*times));
    if (!times)
        return -ENOMEM;
    for (uint64_t i = lag->n_shipped; i < lag->n_made; i++)
        times[i & (capacity - 1)] = lag->times[i & (lag->capacity - 1)];
    free(lag->times);
    lag->times = times;
    lag->capacity = capacity;
    return 0;
}

int fleet_lag_made(struct fleet_lag *lag, uint64_t now_us)
{
    if (lag->n_made - lag->n_shipped == lag->capacity && grow(lag) != 0)
        return -ENOMEM;
    lag->times[lag->n_made++ & (lag->capacity - 1)] = now_us;
    return 0;
}

static size_t bucket_of(uint64_t us)
{
    if (us < FINE_N * FINE_US)
        return us / FINE_US;
    size_t bucket = FINE_N + (us - FINE_N * FINE_US) / COARSE_US;
    return bucket < FLEET_LAG_BUCKETS ? bucket : FLEET_LAG_BUCKETS - 1;
}

static uint64_t end_of(size_t bucket)
{
    return bucket < FINE_N ? (bucket + 1) * FINE_US
                           : FINE_N * FINE_US + (bucket - FINE_N + 1) * COARSE_US;
}

void fleet_lag_shipped(struct fleet_lag *lag, uint64_t n, uint64_t now_us)
{
    for (; lag->n_shipped < n && lag->n_shipped < lag->n_made; lag->n_shipped++) {
        uint64_t us = now_us - lag->times[lag->n_shipped & (lag->capacity - 1)];
        lag->buckets[bucket_of(us)]++;
        if (us > lag->max_us)
            lag->max_us = us;
    }
}

uint64_t fleet_lag_oldest(const struct fleet_lag *lag, uint64_t now_us)
{
    if (lag->n_shipped == lag->n_made)
        return 0;
    return now_us - lag->times[lag->n_shipped & (lag->capacity - 1)];
}

uint64_t fleet_lag_percentile(const struct fleet_lag *lag, unsigned permille)
{
    uint64_t n = 0, wanted = (lag->n_shipped * permille + 999) / 1000;
    for (size_t i = 0; i < FLEET_LAG_BUCKETS && wanted; i++) {
        n += lag->buckets[i];
        if (n >= wanted)
            return end_of(i) < lag->max_us ? end_of(i) : lag->max_us;
    }
    return lag->max_us;
}

void fleet_lag_add(struct fleet_lag *lag, const struct fleet_lag *other)
{
    for (size_t i = 0; i < FLEET_LAG_BUCKETS; i++)
        lag->buckets[i] += other->buckets[i];
    lag->n_made += other->n_made;
    lag->n_shipped += other->n_shipped;
    if (other->max_us > lag->max_us)
        lag->max_us = other->max_us;
}
