#pragma once
/*
 * The account of what was not seen: holes in sequences, overruns, what the kernel says it lost,
 * what was lost while no agent ran, what journal and server refused. It becomes gap rows.
 */
#include "recorder/lifecycle/gap.h"
#include "recorder/processes/processes.h"
#include "recorder/tracker/cursors.h"

#include <stdatomic.h>

enum loss_kind {
    LOSS_CONNECTOR_EVENTS,
    LOSS_TASKSTATS_EVENTS,
    LOSS_AUDIT_OVERRUN,
    LOSS_AUDIT_EVENTS,
    LOSS_AUDIT_RECORDS,
    LOSS_AUDIT_RULES, /* that were deleted by others */
    LOSS_SERVER_ROWS,
    LOSS_ARGUMENTS, /* of execs, over the bound of memory */
    LOSS_RTNETLINK_EVENTS,
    LOSS_NETWORK_ROWS,
    LOSS_SOCK_DIAG_EVENTS,
    LOSS_BPF_EVENTS,
    LOSS_ENDPOINT_ROWS,
    LOSS_FANOTIFY_EVENTS,
    LOSS_INOTIFY_EVENTS,
    LOSS_FILE_EVENTS, /* beyond the bound of memory */
    LOSS_UDEV_EVENTS,
    LOSS_DEVICE_ROWS,
    LOSS_ACCOUNT_EVENTS,
    LOSS_ACCOUNT_ROWS,
    LOSS_FINDING_ROWS,
    LOSS_LOGIN_RECORDS, /* of a file of logins that was gone before it was read */
    LOSS_SESSION_ROWS,
    LOSS_KERNEL_EVENTS, /* beyond what one program may have */
    LOSS_KIND_N
};

struct loss {
    struct row_output *output;
    struct processes *processes;
    struct gap_gatherer gatherers[LOSS_KIND_N];
    uint32_t sequence[CURSORS_CPUS];
    bool sequence_known[CURSORS_CPUS];
    uint64_t hole_ns;              /* when the connector's last hole was noticed; 0: none open */
    uint64_t drained_ns[SOURCE_N]; /* when the source last had nothing more */
    uint64_t audit_checked_ns;     /* holes in audit's serials that are still to come are younger */
    bool counts_births;
    bool expect; /* an earlier run's state has to be compared */
    struct cursors before;
    uint64_t births_after_mark, unheard_until_ns;
    bool step_open;
    uint64_t step_ns;
    _Atomic uint64_t rejected;
};

/** @p counts_births: the connector is heard, so that the kernel's total of forks can be compared.
 */
void loss_init(struct loss *loss, struct row_output *output, struct processes *processes,
               bool counts_births);
/** An earlier run in this boot left this state; @p births_after_mark see journal.h. */
void loss_expect(struct loss *loss, const struct cursors *before, uint64_t births_after_mark);
void loss_clock_step(struct loss *loss);
/** @p n rows found no room since the last call. */
void loss_rows(struct loss *loss, enum loss_kind kind, uint64_t n);

enum { LOSS_NOTED = 0, LOSS_SCAN_WANTED = 1, LOSS_SOCKET_SCAN_WANTED = 2 };
/** FACT_SEQUENCE, FACT_OVERRUN, FACT_AUDIT_HOLE, FACT_AUDIT_LOST, FACT_AUDIT_RULES, FACT_BPF_LOST,
 *  FACT_AUDIT_EXEC
 * (others are ignored). LOSS_SCAN_WANTED: a full scan of /proc is needed to count it;
 *  LOSS_SOCKET_SCAN_WANTED: a dump of all sockets, to know what still exists. */
int loss_fact(struct loss *loss, const struct fact *fact);
void loss_tick(struct loss *loss);
/** Write what was noticed until @p boot_ns, though the loss goes on. */
void loss_hurry(struct loss *loss, uint64_t boot_ns);
/** Nothing that can still be counted is open; what was noticed until @p boot_ns is in a gap row. */
bool loss_settled_until(const struct loss *loss, uint64_t boot_ns);
/** Write all that is open, counted or not. */
void loss_finish(struct loss *loss);
/** Until an earlier run's losses are written down, its state stays what a restart compares with. */
void loss_state(const struct loss *loss, struct processes_state *state);
/** Since when losses of earlier runs are in no row (boot clock); 0: all are. */
uint64_t loss_unheard_since(const struct loss *loss);
