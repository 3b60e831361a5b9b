#pragma once
/*
 * Kernel events: what was done to the kernel itself or to another process, as rows of
 * `kernel_event` of one moment. What the recorder's own processes do is left out.
 *
 * Bounded: the calls of one kind by one program (by its name) of one user have at most
 * KERNEL_EVENTS_RATE rows a second, ten times as many after a quiet time; what is beyond is
 * counted. Not limited is what succeeded of modules, kexec, BPF programs and the clock.
 */
#include "core/fact.h"
#include "recorder/lifecycle/row_output.h"
#include "recorder/lifecycle/user_names.h"
#include "recorder/processes/processes.h"

enum { KERNEL_EVENTS_RATE = 200, KERNEL_EVENTS_BURST_S = 10, KERNEL_EVENTS_MOST = 4096 };

struct kernel_events;

struct kernel_events_options {
    struct row_output *output;
    struct user_names *names;
    struct processes *processes;
    bool active;        /* else there are no rows */
    uint64_t settle_ns; /* how long a row waits for the records behind its first */
};

int kernel_events_new(struct kernel_events **eventsp,
                      const struct kernel_events_options *options) MUST_CHECK;
struct kernel_events *kernel_events_free(struct kernel_events *events);

/** FACT_KERNEL_EVENT, FACT_KERNEL_TARGET; others are ignored. */
void kernel_events_fact(struct kernel_events *events, const struct fact *fact);
/** A new gulp: @p wall_ns is the wall clock minus the boot clock. */
void kernel_events_clock(struct kernel_events *events, uint64_t boot_ns, int64_t wall_ns);
void kernel_events_tick(struct kernel_events *events);
/** No row of what was heard before @p boot_ns waits. */
bool kernel_events_settled_until(const struct kernel_events *events, uint64_t boot_ns);
/** How many were beyond the rate since the last call. */
uint64_t kernel_events_take_beyond(struct kernel_events *events);
/** Write every row that waits, as it is. */
void kernel_events_flush(struct kernel_events *events);
