#pragma once
/*
 * How many tasks were born, twice: as FORK messages that were heard, and as the kernel's own total
 * (`processes` of /proc/stat). While nothing is lost their difference is constant; after a hole in
 * the connector's sequence numbers the difference says exactly how many births were missed.
 *
 * The total cannot be read at the same instant at which messages are cut off, so a reading counts
 * only when no fork was near it, and when a second one agrees.
 */
#include "core/fact.h"

struct fork_ledger {
    bool calibrated;
    bool hole;              /* messages are missing since balanced_ns, not yet counted */
    uint64_t heard;         /* FORK messages */
    uint64_t implied;       /* tasks found otherwise, whose FORK is missing */
    int64_t offset;         /* total minus heard minus implied, when nothing is missing */
    uint64_t balanced_ns;   /* boot time of the last reading without a difference */
    uint64_t hole_messages; /* by sequence numbers, since balanced_ns */
    uint64_t newest_fork_ns;
    struct {
        bool open, clean;
        unsigned ticks;
        uint64_t total, before_ns, after_ns, heard;
    } sample;
    bool candidate_known;
    int64_t candidate; /* difference of the last clean reading */
};

enum {
    FORK_LEDGER_OPEN = 0,       /* nothing new */
    FORK_LEDGER_CALIBRATED = 1, /* the first agreeing readings */
    FORK_LEDGER_BALANCED = 2,   /* nothing is missing */
    FORK_LEDGER_MISSING = 3     /* *@p missing births were neither heard nor implied */
};

void fork_ledger_heard(struct fork_ledger *ledger, uint64_t boot_ns);
/** @p n more tasks are there whose FORK is missing; less than 0: so many fewer than was said. */
void fork_ledger_implied(struct fork_ledger *ledger, int64_t n);
void fork_ledger_hole(struct fork_ledger *ledger, uint64_t messages);
void fork_ledger_reading(struct fork_ledger *ledger, const struct fact_fork_total *total);
/** All sockets have been read: see whether the reading at hand counts. */
int fork_ledger_tick(struct fork_ledger *ledger, int64_t *missing);
/** The missing births have been written down: from now on nothing is missing. */
void fork_ledger_close(struct fork_ledger *ledger, int64_t missing, uint64_t now_ns);
/** The kernel's total as far as it is accounted for; 0 before calibration. */
uint64_t fork_ledger_accounted(const struct fork_ledger *ledger);
