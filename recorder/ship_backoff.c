/* The step doubles from first_ms to most_ms; the upper half of it is left to chance. */
#include "recorder/ship_backoff.h"

void ship_backoff_reset(struct ship_backoff *backoff)
{
    backoff->next_ms = 0;
}

unsigned ship_backoff_step(struct ship_backoff *backoff, unsigned random)
{
    unsigned step = backoff->next_ms ? backoff->next_ms : backoff->first_ms;
    if (step > backoff->most_ms)
        step = backoff->most_ms;
    backoff->next_ms = step > backoff->most_ms / 2 ? backoff->most_ms : step * 2;
    return step - random % (step / 2 + 1);
}
