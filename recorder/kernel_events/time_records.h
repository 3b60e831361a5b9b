#pragma once
/*
 * What wtmp(5) tells of the wall clock being set: a pair of records, OLD_TIME and NEW_TIME, becomes
 * a row of `kernel_event` of kind clock_step. Programs write them that set the clock for good, as
 * date(1) of some systems. Steps that the agent itself sees are in kernel_events.h.
 */
#include "core/fact.h"
#include "recorder/lifecycle/row_output.h"

struct time_records {
    struct row_output *output;
    int64_t old_us; /* of the last OLD_TIME, microseconds since 1970; 0: none waits for its pair */
};

/** FACT_LOGIN_RECORD of wtmp; others are ignored. */
void time_records_fact(struct time_records *records, const struct fact *fact);
