/* The whole range is left to chance ("full jitter"): agents that failed in the same moment are
 * spread evenly over it, also those that fail again and again together. */
#include "recorder/shipper/ship_backoff.h"

#define SPREAD_MS     2000
#define CROWDED_FIRST 10 /* times first_ms */
#define CROWDED_MOST  2  /* times most_ms */

void ship_backoff_reset(struct ship_backoff *backoff)
{
    backoff->next_ms = 0;
}

static unsigned times(unsigned a, unsigned b)
{
    unsigned product;
    return __builtin_mul_overflow(a, b, &product) ? ~0u : product;
}

/* Up to @p limit; never 0, or an agent would ask without a pause. */
static unsigned any_up_to(unsigned limit, unsigned random)
{
    return limit ? 1 + random % limit : 1;
}

unsigned ship_backoff_step(struct ship_backoff *backoff, bool crowded, unsigned random)
{
    unsigned least = crowded ? times(backoff->first_ms, CROWDED_FIRST) : backoff->first_ms;
    unsigned most = crowded ? times(backoff->most_ms, CROWDED_MOST) : backoff->most_ms;
    unsigned step = backoff->next_ms > least ? backoff->next_ms : least;
    if (step > most)
        step = most;
    backoff->next_ms = step > most / 2 ? most : step * 2;
    return any_up_to(step, random);
}

unsigned ship_backoff_spread(struct ship_backoff *backoff, unsigned random)
{
    unsigned limit = backoff->most_ms < SPREAD_MS ? backoff->most_ms : SPREAD_MS;
    if (backoff->next_ms < limit)
        backoff->next_ms = limit;
    return any_up_to(limit, random);
}
