/* What an earlier run left goes to the lifecycle of its table. */
#include "recorder/tracker/tracker_private.h"

#include <inttypes.h>
#include <stdio.h>

/* Serials that passed while nobody listened are a hole like any other. */
static void continue_serials(struct tracker *t)
{
    char note[32];
    if (!t->ops[SOURCE_AUDIT] || !t->before.audit_serial)
        return;
    int length = snprintf(note, sizeof(note), "last_serial=%" PRIu32, t->before.audit_serial);
    struct message message = {.source = SOURCE_AUDIT,
                              .kind = MESSAGE_NOTE,
                              .boot_ns = t->timeline.now_boot_ns,
                              .bytes = slice_of(note, (size_t)length)};
    tracker_message(t, &message);
}

int tracker_begin(struct tracker *t, const struct tracker_recovery *recovery)
{
    cursors_parse(&t->before, recovery->cursors);
    t->last_time_us = recovery->last_time_us;
    sessions_set_cursors(t->sessions, t->before.wtmp, t->before.btmp);
    bool same_boot = t->before.known && !strcmp(t->before.boot_id, t->output.boot_id);
    int outcome = timeline_init(&t->timeline, t->options.boot_ns, t->options.real_ns,
                                t->before.last_id, same_boot ? t->before.offset_ns : INT64_MIN);
    if (outcome == TIMELINE_STEP_SEEN)
        loss_clock_step(&t->loss);
    if (same_boot) {
        processes_set_mark(t->processes, t->before.at_ns);
        loss_expect(&t->loss, &t->before, recovery->births_after_mark);
        continue_serials(t);
    }
    return outcome;
}

void tracker_restore(struct tracker *t, enum verb verb, enum table_id table, uint64_t id,
                     const struct slice *values, size_t n_values)
{
    if (table == TABLE_PROCESS)
        processes_restore(t->processes, verb, id, values, n_values);
    else if (table == TABLE_ENDPOINT)
        endpoints_restore(t->endpoints, verb, id, values, n_values);
    else if (table == TABLE_INTERFACE_ADDRESS || table == TABLE_ROUTE)
        networks_restore(t->networks, verb, table, id, values, n_values);
    else if (table == TABLE_ACCOUNT || table == TABLE_ACCOUNT_GROUP || table == TABLE_GROUP_MEMBER)
        accounts_restore(t->accounts, verb, table, id, values, n_values);
    else if (table == TABLE_FINDING)
        findings_restore(t->findings, verb, id, values, n_values);
    else if (table == TABLE_FILE_ACCESS)
        files_restore(t->files, verb, id, values, n_values);
    else if (table == TABLE_DEVICE)
        devices_restore(t->devices, verb, id, values, n_values);
    else if (table == TABLE_SESSION || table == TABLE_AUTH_ATTEMPT)
        sessions_restore(t->sessions, verb, table, id, values, n_values);
    else if (table == TABLE_ADDRESS_NAME)
        host_names_restore(t->host_names, verb, id, values, n_values);
    else if (table == TABLE_BOOT)
        boots_restore(t->boots, verb, id, values, n_values);
    else if (table == TABLE_HOST || table == TABLE_COVERAGE)
        standing_rows_restore(&t->standing, verb, table, id, values, n_values);
}

void tracker_restored(struct tracker *t)
{
    bool same_boot = t->before.known && !strcmp(t->before.boot_id, t->output.boot_id);
    processes_restored(t->processes, t->last_time_us);
    endpoints_restored(t->endpoints, same_boot, t->last_time_us);
    networks_restored(t->networks, same_boot, t->last_time_us);
    files_restored(t->files, same_boot, t->last_time_us);
    devices_restored(t->devices, same_boot, t->last_time_us);
    accounts_restored(t->accounts, t->last_time_us);
    sessions_restored(t->sessions, same_boot, t->last_time_us);
    host_names_restored(t->host_names, t->last_time_us);
    boots_restored(t->boots, t->last_time_us, t->before.shutdown_us, t->before.wtmp.inode != 0);
    standing_rows_end_restored(&t->standing, TABLE_COVERAGE, t->last_time_us, END_RECONCILED);
}
