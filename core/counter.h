#pragma once
/*
 * Counters with names: every message received and every drop is one of these, readable through
 * `vestige status` and written to the log at the end. Incrementing is one relaxed atomic addition,
 * legal from every thread.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum counter_id {
    COUNTER_MESSAGES_RECEIVED,
    COUNTER_BYTES_RECEIVED,
    COUNTER_MESSAGES_SPOOFED,   /* sender pid was not the kernel's */
    COUNTER_MESSAGES_MALFORMED, /* could not be decoded; kept out, counted */
    COUNTER_MESSAGES_UNKNOWN,   /* decoded type that no collector wants */
    COUNTER_RECEIVE_OVERRUNS,   /* ENOBUFS */
    COUNTER_FACTS,
    COUNTER_PROCESSES_BORN,
    COUNTER_PROCESSES_ENDED,
    COUNTER_PROCESSES_LOST,
    COUNTER_ENDPOINTS_BORN,
    COUNTER_ENDPOINTS_ENDED,
    COUNTER_FILES_BORN,
    COUNTER_FILES_ENDED,
    COUNTER_AUDIT_JOINED,
    COUNTER_AUDIT_UNJOINED,
    COUNTER_PROGRAMS_HASHED,      /* files that were read for their digest */
    COUNTER_PROGRAMS_UNKNOWN,     /* images of whose file nobody could say anything certain */
    COUNTER_PROGRAMS_LATE,        /* answers that came when nobody waited any more */
    COUNTER_USER_FIELDS_UNUSABLE, /* of users of the switch: too long, or no name */
    COUNTER_LINES_WRITTEN,
    COUNTER_LINES_REFUSED, /* journal full, or its buffer */
    COUNTER_LINES_LATE,    /* settle lines */
    COUNTER_GAPS,
    COUNTER_BATCHES_SEALED,
    COUNTER_BATCHES_SHIPPED,
    COUNTER_ROWS_SHIPPED,
    COUNTER_ROWS_REJECTED,
    COUNTER_SHIP_FAILURES,
    COUNTER_N
};

struct counters {
    _Atomic uint64_t value[COUNTER_N];
};

static inline void counter_add(struct counters *counters, enum counter_id id, uint64_t n)
{
    atomic_fetch_add_explicit(&counters->value[id], n, memory_order_relaxed);
}

static inline uint64_t counter_get(const struct counters *counters, enum counter_id id)
{
    return atomic_load_explicit(&counters->value[id], memory_order_relaxed);
}

/** The name as shown by `vestige status`: words of a-z and _. Never NULL for a valid id. */
const char *counter_name(enum counter_id id);
