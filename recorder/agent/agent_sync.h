#pragma once
/* Callers of `sync` wait here until the tracker has come to their mark. */
#include "recorder/reader/reader.h"

struct agent_sync;

int agent_sync_new(struct agent_sync **syncp) MUST_CHECK;
/** Nobody may wait any more. NULL is allowed. */
struct agent_sync *agent_sync_free(struct agent_sync *sync);
/** Send a mark through @p reader and wait for it until @p deadline_ns (CLOCK_BOOTTIME). Returns 0,
 *  -ETIMEDOUT, -EBUSY, or -ECANCELED when the agent ends. Any thread. */
int agent_sync_wait(struct agent_sync *sync, struct reader *reader,
                    uint64_t deadline_ns) MUST_CHECK;
/** The mark with this token was reached. The tracker's thread. */
void agent_sync_done(struct agent_sync *sync, uint64_t token);
/** Let all who wait return. */
void agent_sync_cancel(struct agent_sync *sync);
