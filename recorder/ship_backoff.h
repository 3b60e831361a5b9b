#pragma once
/* How long to wait after a failure: doubling, and never the same for two agents. */

struct ship_backoff {
    unsigned first_ms, most_ms;
    unsigned next_ms; /* 0: nothing failed since the last success */
};

void ship_backoff_reset(struct ship_backoff *backoff);
/** The time to wait now: between half of the step and all of it. @p random is any number. */
unsigned ship_backoff_step(struct ship_backoff *backoff, unsigned random);
