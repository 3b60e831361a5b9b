#pragma once
/*
 * Gap rows: here something was not seen. Small losses of one source and kind are gathered, so that
 * a storm of losses does not become a storm of rows: until a second is without one. While none is,
 * there is a row after five seconds, then one a minute, and one of five seconds when somebody asks.
 * The rows of a storm are its span, cut: each begins where the one before ends, and counts what was
 * noticed in it.
 */
#include "recorder/lifecycle/row_output.h"

#include "core/gulp.h"

enum { GAP_UNKNOWN = -1 }; /* a count that nobody knows */

struct gap {
    const char *source; /* connector, taskstats, audit, proc, journal, server, clock, agent */
    const char *cause;  /* a word */
    const char *unit;   /* process, event, record, row */
    uint64_t from_ns, until_ns;       /* boot clock */
    int64_t count, at_least, at_most; /* or GAP_UNKNOWN */
    const char *detail;               /* for people; NULL: none */
};

/** Returns 0 or the sink's error; the caller keeps what it wanted to say and tries again. */
int gap_write(struct row_output *output, const struct gap *gap) MUST_CHECK;

/* What is being gathered: one for each source, cause and unit that can come often. */
struct gap_gatherer {
    const char *source, *cause, *unit;
    uint64_t first_ns, last_ns; /* of what is gathered, or of the last row */
    uint64_t opened_ns;         /* when the first of it was noticed */
    uint64_t begin_ns;          /* of the storm */
    uint64_t count;
    bool count_unknown, open;
    bool goes_on; /* there is a row of the same storm */
};

/** @p since_ns: from when on it may have been lost. @p count GAP_UNKNOWN: nobody knows. */
void gap_gather(struct gap_gatherer *gatherer, uint64_t since_ns, uint64_t now_ns, int64_t count);
/** Write what was gathered when its time is up, or when @p now_ns is UINT64_MAX. */
void gap_gatherer_tick(struct gap_gatherer *gatherer, struct row_output *output, uint64_t now_ns);
/** Somebody waits for what was noticed until @p until_ns: it is written when it is five seconds
 * old. */
void gap_gatherer_hurry(struct gap_gatherer *gatherer, struct row_output *output, uint64_t now_ns,
                        uint64_t until_ns);
/** Nothing that was noticed until @p until_ns is still gathered. */
static inline bool gap_gatherer_settled_until(const struct gap_gatherer *gatherer,
                                              uint64_t until_ns)
{
    return !gatherer->open || gatherer->opened_ns > until_ns;
}
