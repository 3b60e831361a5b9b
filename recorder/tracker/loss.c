/* Exact is the number of process lifecycles: after a hole in the connector's sequence numbers, a
 * full scan of /proc finds who lives, and the ledger of forks says how many more were born. Other
 * losses are counted in the unit in which the kernel tells them, or not at all. */
#include "recorder/tracker/loss.h"

#include "core/log.h"

#include <inttypes.h>
#include <stdio.h>

/* While records come, a hole is reported within this time. */
static const uint64_t hole_known_ns = UINT64_C(6000000000);

void loss_init(struct loss *loss, struct row_output *output, struct processes *processes,
               bool counts_births)
{
    static const struct gap_gatherer gatherers[LOSS_KIND_N] = {
        [LOSS_CONNECTOR_EVENTS] = {.source = "connector", .cause = "overrun",           .unit = "event" },
        [LOSS_TASKSTATS_EVENTS] = {.source = "taskstats", .cause = "overrun",           .unit = "event" },
        [LOSS_AUDIT_OVERRUN] = {.source = "audit",     .cause = "overrun",           .unit = "event" },
        [LOSS_AUDIT_EVENTS] = {.source = "audit",     .cause = "missing_serials",   .unit = "event" },
        [LOSS_AUDIT_RECORDS] = {.source = "audit",     .cause = "kernel_backlog",    .unit = "record"},
        [LOSS_AUDIT_RULES] = {.source = "audit",     .cause = "rules_deleted",     .unit = "event" },
        [LOSS_SERVER_ROWS] = {.source = "server",    .cause = "rejected",          .unit = "row"   },
        [LOSS_RTNETLINK_EVENTS] = {.source = "rtnetlink", .cause = "overrun",           .unit = "event" },
        [LOSS_NETWORK_ROWS] = {.source = "rtnetlink", .cause = "memory_bound",      .unit = "row"   },
        [LOSS_SOCK_DIAG_EVENTS] = {.source = "sock_diag", .cause = "overrun",           .unit = "event" },
        [LOSS_BPF_EVENTS] = {.source = "bpf",       .cause = "overrun",           .unit = "event" },
        [LOSS_ENDPOINT_ROWS] = {.source = "sockets",   .cause = "memory_bound",      .unit = "row"   },
        [LOSS_FANOTIFY_EVENTS] = {.source = "fanotify",  .cause = "overrun",           .unit = "event" },
        [LOSS_INOTIFY_EVENTS] = {.source = "inotify",   .cause = "overrun",           .unit = "event" },
        [LOSS_FILE_EVENTS] = {.source = "files",     .cause = "memory_bound",      .unit = "event" },
        [LOSS_UDEV_EVENTS] = {.source = "udev",      .cause = "overrun",           .unit = "event" },
        [LOSS_DEVICE_ROWS] = {.source = "udev",      .cause = "memory_bound",      .unit = "row"   },
        [LOSS_ACCOUNT_EVENTS] = {.source = "accounts",  .cause = "overrun",           .unit = "event" },
        [LOSS_ACCOUNT_ROWS] = {.source = "accounts",  .cause = "memory_bound",      .unit = "row"   },
        [LOSS_FINDING_ROWS] = {.source = "findings",  .cause = "memory_bound",      .unit = "row"   },
        [LOSS_LOGIN_RECORDS] = {.source = "utmp",      .cause = "unread",            .unit = "record"},
        [LOSS_SESSION_ROWS] = {.source = "sessions",  .cause = "memory_bound",      .unit = "row"   },
        [LOSS_KERNEL_EVENTS] = {.source = "audit",     .cause = "rate_limit",        .unit = "event" },
        [LOSS_ARGUMENTS] = {.source = "agent",     .cause = "arguments_dropped", .unit = "record"},
    };
    *loss = (struct loss){.output = output, .processes = processes, .counts_births = counts_births};
    memcpy(loss->gatherers, gatherers, sizeof(gatherers));
}

void loss_expect(struct loss *loss, const struct cursors *before, uint64_t births_after_mark)
{
    loss->expect = true;
    loss->before = *before;
    loss->births_after_mark = births_after_mark;
    loss->unheard_until_ns = loss->output->timeline->now_boot_ns;
    for (size_t i = 0; i < SOURCE_N; i++)
        loss->drained_ns[i] = before->at_ns;
    loss->audit_checked_ns = before->at_ns;
}

void loss_clock_step(struct loss *loss)
{
    loss->step_open = true;
    loss->step_ns = loss->output->timeline->now_boot_ns;
}

static uint64_t now_ns(const struct loss *loss)
{
    return loss->output->timeline->now_boot_ns;
}

void loss_rows(struct loss *loss, enum loss_kind kind, uint64_t n)
{
    if (n)
        gap_gather(&loss->gatherers[kind], now_ns(loss), now_ns(loss), (int64_t)n);
}

static int connector_hole(struct loss *loss, uint64_t messages)
{
    struct fork_ledger *ledger = processes_ledger(loss->processes);
    uint64_t since = ledger->balanced_ns ? ledger->balanced_ns : now_ns(loss);
    fork_ledger_hole(ledger, messages);
    processes_hole(loss->processes);
    loss->hole_ns = now_ns(loss);
    if (messages)
        gap_gather(&loss->gatherers[LOSS_CONNECTOR_EVENTS], since, now_ns(loss), (int64_t)messages);
    return LOSS_SCAN_WANTED;
}

static int on_sequence(struct loss *loss, const struct fact_sequence *sequence)
{
    if (sequence->cpu >= CURSORS_CPUS)
        return LOSS_NOTED;
    uint32_t missing = sequence->sequence - loss->sequence[sequence->cpu] - 1;
    bool known = loss->sequence_known[sequence->cpu];
    loss->sequence[sequence->cpu] = sequence->sequence;
    loss->sequence_known[sequence->cpu] = true;
    /* A number from before is a message that another one overtook; it is no loss. */
    if (!known || missing == 0 || missing > INT32_MAX)
        return LOSS_NOTED;
    return connector_hole(loss, missing);
}

/* Since when a source's messages may be lost. */
static uint64_t heard_ns(const struct loss *loss, enum source_id source)
{
    return loss->drained_ns[source] ? loss->drained_ns[source] : now_ns(loss);
}

static int on_overrun(struct loss *loss, enum source_id source)
{
    /* 0: none of its own; connector and BPF say how many */
    static const enum loss_kind kinds[SOURCE_N] = {
        [SOURCE_TASKSTATS] = LOSS_TASKSTATS_EVENTS, [SOURCE_AUDIT] = LOSS_AUDIT_OVERRUN,
        [SOURCE_RTNETLINK] = LOSS_RTNETLINK_EVENTS, [SOURCE_SOCK_DIAG] = LOSS_SOCK_DIAG_EVENTS,
        [SOURCE_FANOTIFY] = LOSS_FANOTIFY_EVENTS,   [SOURCE_INOTIFY] = LOSS_INOTIFY_EVENTS,
        [SOURCE_UDEV] = LOSS_UDEV_EVENTS,           [SOURCE_ACCOUNTS] = LOSS_ACCOUNT_EVENTS,
        [SOURCE_UTMP] = LOSS_LOGIN_RECORDS,
    };
    if (source == SOURCE_CONNECTOR)
        return connector_hole(loss, 0);
    if (kinds[source])
        gap_gather(&loss->gatherers[kinds[source]], heard_ns(loss, source), now_ns(loss),
                   GAP_UNKNOWN);
    return source == SOURCE_TASKSTATS   ? LOSS_SCAN_WANTED
           : source == SOURCE_SOCK_DIAG ? LOSS_SOCKET_SCAN_WANTED
                                        : LOSS_NOTED;
}

int loss_fact(struct loss *loss, const struct fact *fact)
{
    uint64_t since = heard_ns(loss, SOURCE_AUDIT);
    uint64_t checked = loss->audit_checked_ns ? loss->audit_checked_ns : fact->boot_ns;
    switch (fact->kind) {
    case FACT_SEQUENCE:
        return on_sequence(loss, &fact->sequence);
    case FACT_OVERRUN:
        return on_overrun(loss, fact->source);
    case FACT_AUDIT_HOLE:
        gap_gather(&loss->gatherers[LOSS_AUDIT_EVENTS],
                   checked < fact->boot_ns ? checked : fact->boot_ns, fact->boot_ns,
                   (int64_t)(uint32_t)(fact->audit_hole.last - fact->audit_hole.first) + 1);
        return LOSS_NOTED;
    case FACT_AUDIT_EXEC:
        if (now_ns(loss) > hole_known_ns + loss->audit_checked_ns)
            loss->audit_checked_ns = now_ns(loss) - hole_known_ns;
        return LOSS_NOTED;
    case FACT_AUDIT_LOST:
        gap_gather(&loss->gatherers[LOSS_AUDIT_RECORDS], since, now_ns(loss),
                   fact->audit_lost.records);
        return LOSS_NOTED;
    case FACT_AUDIT_RULES:
        gap_gather(&loss->gatherers[LOSS_AUDIT_RULES], fact->audit_rules.since_ns, now_ns(loss),
                   GAP_UNKNOWN);
        return LOSS_NOTED;
    case FACT_BPF_LOST:
        gap_gather(&loss->gatherers[LOSS_BPF_EVENTS], heard_ns(loss, SOURCE_BPF), now_ns(loss),
                   (int64_t)fact->bpf_lost.events);
        return LOSS_SOCKET_SCAN_WANTED;
    default:
        return LOSS_NOTED;
    }
}

static void close_hole(struct loss *loss, int64_t missing)
{
    struct fork_ledger *ledger = processes_ledger(loss->processes);
    char detail[160];
    snprintf(detail, sizeof(detail),
             "%" PRIu64 " connector messages missing; a thread "
             "that was born and gone among them counts as a process",
             ledger->hole_messages);
    struct gap gap = {.source = "connector",
                      .cause = "overrun",
                      .unit = "process",
                      .from_ns = ledger->balanced_ns,
                      .until_ns = loss->hole_ns,
                      .count = missing,
                      .at_least = GAP_UNKNOWN,
                      .at_most = GAP_UNKNOWN,
                      .detail = detail};
    if (missing > 0) {
        if (gap_write(loss->output, &gap) != 0)
            return;
        counter_add(loss->output->counters, COUNTER_PROCESSES_LOST, (uint64_t)missing);
        if (loss->expect && loss->before.processes.forks)
            loss->before.processes.forks += (uint64_t)missing; /* they are in a row now */
    }
    fork_ledger_close(ledger, missing, now_ns(loss));
    loss->hole_ns = 0;
}

static void ledger_tick(struct loss *loss)
{
    int64_t missing;
    int outcome = fork_ledger_tick(processes_ledger(loss->processes), &missing);
    if (outcome == FORK_LEDGER_MISSING && loss->hole_ns &&
        processes_last_scan_ns(loss->processes) > loss->hole_ns &&
        processes_threads_counted(loss->processes))
        close_hole(loss, missing);
}

/* False while it cannot be said yet. */
static bool count_unheard(struct loss *loss, struct processes_unheard *unheard)
{
    if (loss->counts_births)
        return processes_unheard(loss->processes, &loss->before.processes, loss->births_after_mark,
                                 unheard);
    *unheard = (struct processes_unheard){.known = false};
    return processes_last_scan_ns(loss->processes) != 0;
}

/* A run that was killed before it could say leaves what was lost before it, too. */
uint64_t loss_unheard_since(const struct loss *loss)
{
    const struct cursors *before = &loss->before;
    if (!loss->expect)
        return 0;
    return before->unheard_since_ns ? before->unheard_since_ns : before->at_ns;
}

/* What was born and gone while no agent listened. */
static void unheard_tick(struct loss *loss)
{
    struct processes_unheard unheard;
    /* Who was born in a hole and lives is found by the scan that it asked for. */
    if (!loss->expect || loss->hole_ns || !count_unheard(loss, &unheard))
        return;
    struct gap gap = {.source = "agent",
                      .cause = loss->before.clean ? "not_running" : "killed",
                      .unit = "process",
                      .from_ns = loss_unheard_since(loss),
                      .until_ns = loss->unheard_until_ns,
                      .count = unheard.known ? unheard.lost : GAP_UNKNOWN,
                      .at_least = GAP_UNKNOWN,
                      .at_most = unheard.known ? unheard.at_most : GAP_UNKNOWN};
    if (unheard.known && unheard.at_most == 0) {
        loss->expect = false;
        return;
    }
    if (gap_write(loss->output, &gap) != 0)
        return;
    loss->expect = false;
    counter_add(loss->output->counters, COUNTER_PROCESSES_LOST,
                unheard.known ? (uint64_t)unheard.lost : 0);
}

static void write_refused(struct loss *loss, uint64_t *count, const char *unit)
{
    struct row_output *output = loss->output;
    if (*count == 0)
        return;
    struct gap gap = {.source = "journal",
                      .cause = output->refused_error == -ENOSPC ? "journal_full" : "buffer_full",
                      .unit = unit,
                      .from_ns = output->refused_first_ns,
                      .until_ns = output->refused_last_ns,
                      .count = (int64_t)*count,
                      .at_least = GAP_UNKNOWN,
                      .at_most = GAP_UNKNOWN};
    if (gap_write(output, &gap) == 0)
        *count = 0;
}

static void write_step(struct loss *loss)
{
    const struct timeline *timeline = loss->output->timeline;
    char detail[96];
    if (!loss->step_open)
        return;
    snprintf(detail, sizeof(detail), "the wall clock stepped by %" PRId64 " s and was%s followed",
             timeline->step_ns / 1000000000, timeline->refused_step_ns ? " not" : "");
    struct gap gap = {.source = "clock",
                      .cause = "clock_step",
                      .unit = "event",
                      .from_ns = loss->step_ns,
                      .until_ns = loss->step_ns,
                      .count = GAP_UNKNOWN,
                      .at_least = GAP_UNKNOWN,
                      .at_most = GAP_UNKNOWN,
                      .detail = detail};
    loss->step_open = gap_write(loss->output, &gap) != 0;
}

void loss_tick(struct loss *loss)
{
    uint64_t now = now_ns(loss);
    uint64_t since = loss->drained_ns[SOURCE_AGENT] ? loss->drained_ns[SOURCE_AGENT] : now;
    uint64_t rejected = atomic_exchange_explicit(&loss->rejected, 0, memory_order_relaxed);
    if (rejected)
        gap_gather(&loss->gatherers[LOSS_SERVER_ROWS], now, now, (int64_t)rejected);
    uint64_t dropped = processes_take_arguments_dropped(loss->processes);
    if (dropped)
        gap_gather(&loss->gatherers[LOSS_ARGUMENTS], since, now, (int64_t)dropped);
    ledger_tick(loss);
    unheard_tick(loss);
    for (size_t i = 0; i < LOSS_KIND_N; i++)
        gap_gatherer_tick(&loss->gatherers[i], loss->output, now);
    write_refused(loss, &loss->output->refused_processes, "process");
    write_refused(loss, &loss->output->refused_rows, "row");
    write_step(loss);
    for (size_t i = 0; i < SOURCE_N; i++)
        loss->drained_ns[i] = now;
}

void loss_hurry(struct loss *loss, uint64_t boot_ns)
{
    for (size_t i = 0; i < LOSS_KIND_N; i++)
        gap_gatherer_hurry(&loss->gatherers[i], loss->output, now_ns(loss), boot_ns);
}

bool loss_settled_until(const struct loss *loss, uint64_t boot_ns)
{
    bool open = loss->hole_ns != 0 || loss->expect || loss->output->refused_processes ||
                loss->output->refused_rows;
    for (size_t i = 0; i < LOSS_KIND_N; i++)
        open |= !gap_gatherer_settled_until(&loss->gatherers[i], boot_ns);
    return !open;
}

void loss_finish(struct loss *loss)
{
    loss_tick(loss);
    for (size_t i = 0; i < LOSS_KIND_N; i++)
        gap_gatherer_tick(&loss->gatherers[i], loss->output, UINT64_MAX);
}

void loss_state(const struct loss *loss, struct processes_state *state)
{
    if (loss->expect)
        processes_go_on(loss->processes, &loss->before.processes, loss->births_after_mark, state);
}
