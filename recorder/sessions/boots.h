#pragma once
/*
 * Boots as rows of `boot`: each with its start, its end, and whether that was clean.
 *
 * The boot at hand is known by its boot id; its row stays open over restarts of the agent. One that
 * was recorded is over when another boot id is seen, and one that only wtmp(5) tells of (boot_id is
 * NULL) when wtmp tells of the next. Clean is an end that was announced: by `shutdown` in wtmp, as
 * last(1) has it, or by audit's SYSTEM_SHUTDOWN; then the announcement is the end, else the last
 * moment that is known of the boot. Without wtmp a silent end may have been either: ended_clean is
 * NULL.
 *
 * Times are microseconds since 1970. A record of wtmp is of the boot at hand when it is at most
 * BOOT_SLACK_S from its start: hosts begin with a clock that is set later. One thread; no system
 * calls; the same facts give the same rows.
 */
#include "core/fact.h"
#include "recorder/lifecycle/findings.h"
#include "recorder/lifecycle/row_output.h"

enum { BOOT_SLACK_S = 600, BOOT_VALUES = 3 };

struct boots;

struct boots_options {
    struct row_output *output;
    struct findings *findings; /* "boot_time_backwards", "boot_record_without_boot" */
    bool utmp_active;          /* wtmp is read, so that what it says of the past is waited for */
};

int boots_new(struct boots **bootsp, const struct boots_options *options) MUST_CHECK;
struct boots *boots_free(struct boots *boots);

/** The boot at hand: boot id, kernel, command line; NULL: unknown. After the restoring. */
void boots_begin(struct boots *boots, const char *const values[BOOT_VALUES]);
/** FACT_LOGIN_RECORD and FACT_LOGIN_LOG of wtmp, FACT_AUDIT_USER of a shutdown; others are ignored.
 */
void boots_fact(struct boots *boots, const struct fact *fact);
/** Nobody reads wtmp: what waits for it is written. */
void boots_unheard(struct boots *boots);
/** All sockets have been read: what the sink refused is tried again. */
void boots_tick(struct boots *boots);
/** A last attempt to write what the sink refused; what it refuses again is counted. */
void boots_flush(struct boots *boots);

/** Lines of an earlier run, in the order of the journal. */
void boots_restore(struct boots *boots, enum verb verb, uint64_t id, const struct slice *values,
                   size_t n_values);
/** All lines have been restored; the last of them was written at @p last_real_us. @p shutdown_us:
 *  what boots_shutdown_us said then. @p wtmp_known: that run had read wtmp. */
void boots_restored(struct boots *boots, uint64_t last_real_us, uint64_t shutdown_us,
                    bool wtmp_known);
/** When the end of the boot at hand was announced; 0: it was not. */
uint64_t boots_shutdown_us(const struct boots *boots);
/** Insert lines of all rows that are open now, for a checkpoint. */
void boots_checkpoint(struct boots *boots);
/** Rows for which there was no room, since the last call. */
uint64_t boots_take_beyond(struct boots *boots);
