#pragma once
/* How long to wait after a failure, so that a fleet whose server comes back does not come all at
 * once: any time up to a limit, which doubles from failure to failure. */

#include <stdbool.h>

struct ship_backoff {
    unsigned first_ms, most_ms;
    unsigned next_ms; /* 0: nothing failed since the last success */
};

void ship_backoff_reset(struct ship_backoff *backoff);
/** The time to wait now, 1 ms at the least. @p crowded: the server said that it has too many
 *  connections; then the limit is larger from the first failure on. @p random is any number. */
unsigned ship_backoff_step(struct ship_backoff *backoff, bool crowded, unsigned random);
/** The time to wait before the first attempt after a connection that had worked was lost: the
 *  server may have been restarted, and all its agents have lost theirs. A failure after it goes on
 *  from that limit. */
unsigned ship_backoff_spread(struct ship_backoff *backoff, unsigned random);
