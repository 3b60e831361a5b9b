/* For each message: decode, count, hand the fact to who it concerns. Timers, marks and checkpoints
 * run only when all sockets have been read, so that a reader that was behind never looks like
 * silence. */
#include "recorder/tracker/tracker_private.h"

#include "core/log.h"

/* The more rows are open, the rarer a checkpoint is: it stays a small part of what is written. */
static const uint64_t checkpoint_ns = UINT64_C(10000000000);
static const uint64_t checkpoint_row_ns = UINT64_C(10000000);
static const uint64_t checkpoint_name_ns = UINT64_C(1000000);
/* When the journal asks for one. */
static const uint64_t hurried_ns = UINT64_C(1000000000);
static const uint64_t hurried_row_ns = UINT64_C(100000);
static const uint64_t mark_ns = UINT64_C(40000000);

/* How long a sync waits for files that are read, and for audit's word on rows that are written: it
 * comes by a thread of the kernel, which may be behind. */
static const uint64_t sync_program_ns = UINT64_C(2000000000);

/* How long a sync waits for a loss to be counted: its number needs quiet moments. */
static const uint64_t sync_loss_ns = UINT64_C(15000000000);

static void on_loss(struct tracker *t, const struct fact *fact)
{
    int wanted = loss_fact(&t->loss, fact);
    if (wanted == LOSS_SCAN_WANTED && t->options.ask_scan)
        t->options.ask_scan(t->options.user);
    if (wanted == LOSS_SOCKET_SCAN_WANTED)
        tracker_ask_socket_scan(t);
}

static void on_process_fact(struct tracker *t, const struct fact *fact)
{
    if (fact->kind == FACT_AUDIT_EXEC) {
        t->audit_serial = fact->audit_exec.serial;
        if (loss_fact(&t->loss, fact) != LOSS_NOTED)
            return;
    }
    processes_fact(t->processes, fact);
    if (fact->kind == FACT_AUDIT_LOGIN)
        sessions_fact(t->sessions, fact);
}

static void on_lifecycle_fact(struct tracker *t, const struct fact *fact)
{
    switch (fact->kind) {
    case FACT_SOCKET:
    case FACT_SOCKET_SCAN:
    case FACT_SOCKET_OWNER:
    case FACT_SOCKET_CALL:
    case FACT_SOCKET_STATE:
    case FACT_AUDIT_SOCKET:
        endpoints_fact(t->endpoints, fact);
        break;
    case FACT_FILE:
    case FACT_FILE_OPEN:
    case FACT_FILE_SCAN:
    case FACT_FILE_REFUSED:
        files_fact(t->files, fact);
        break;
    case FACT_AUDIT_USER:
    case FACT_LOGIN_RECORD:
    case FACT_LOGIN_LOG:
        sessions_fact(t->sessions, fact);
        boots_fact(t->boots, fact);
        time_records_fact(&t->time_records, fact);
        break;
    case FACT_KERNEL_EVENT:
    case FACT_KERNEL_TARGET:
        kernel_events_fact(t->kernel_events, fact);
        break;
    case FACT_LINK:
    case FACT_ADDRESS:
    case FACT_ROUTE:
    case FACT_NETWORK_SCAN:
        networks_fact(t->networks, fact);
        break;
    case FACT_DEVICE:
    case FACT_DEVICE_SCAN:
    case FACT_DEVICES_READ:
        devices_fact(t->devices, fact);
        break;
    case FACT_ACCOUNT:
    case FACT_ACCOUNT_GROUP:
    case FACT_GROUP_MEMBER:
    case FACT_ACCOUNT_SCAN:
        accounts_fact(t->accounts, fact);
        break;
    default:
        on_process_fact(t, fact);
        break;
    }
}

/* What concerns the recorder itself, and names, which all lifecycles use. */
static void on_fact(void *user, const struct fact *fact)
{
    struct tracker *t = user;
    counter_add(t->options.counters, COUNTER_FACTS, 1);
    switch (fact->kind) {
    case FACT_SEQUENCE:
    case FACT_OVERRUN:
    case FACT_AUDIT_HOLE:
    case FACT_AUDIT_LOST:
    case FACT_AUDIT_RULES:
    case FACT_BPF_LOST:
        on_loss(t, fact);
        break;
    case FACT_NOTE:
        tracker_note(t, fact);
        break;
    case FACT_USER_NAME:
        user_names_learn(t->names, &fact->user_name);
        accounts_fact(t->accounts, fact);
        break;
    case FACT_HOST_NAME:
        host_names_learn(t->host_names, &fact->host_name, fact->boot_ns);
        break;
    default:
        on_lifecycle_fact(t, fact);
        break;
    }
}

static void on_mark(struct tracker *t, struct slice token)
{
    if (t->n_syncs == TOKENS_MOST || token.length != sizeof(uint64_t))
        return;
    struct pending_sync *sync = &t->syncs[t->n_syncs++];
    memcpy(&sync->token, token.data, sizeof(uint64_t));
    sync->at_ns = t->timeline.now_boot_ns;
    sync->settled_ns = 0;
    if (t->options.ask_devices)
        t->options.ask_devices(t->options.user);
}

void tracker_message(struct tracker *t, const struct message *message)
{
    if (message->kind == MESSAGE_MARK) {
        on_mark(t, message->bytes);
        return;
    }
    if (message->source == SOURCE_AGENT && message->kind == MESSAGE_DATA) {
        tracker_agent_said(t, message->bytes);
        return;
    }
    if (!t->ops[message->source])
        return;
    int error = t->ops[message->source]->decode(t->decoders[message->source], message, on_fact, t);
    if (error)
        counter_add(t->options.counters, COUNTER_MESSAGES_MALFORMED, 1);
}

static void write_mark(struct tracker *t, bool clean)
{
    struct cursors cursors = {.offset_ns = t->timeline.offset_ns,
                              .last_id = t->timeline.last_id,
                              .at_ns = t->timeline.now_boot_ns,
                              .audit_serial = t->audit_serial,
                              .clean = clean};
    memcpy(cursors.boot_id, t->output.boot_id, sizeof(cursors.boot_id));
    processes_get_state(t->processes, &cursors.processes);
    loss_state(&t->loss, &cursors.processes);
    cursors.unheard_since_ns = loss_unheard_since(&t->loss);
    sessions_cursors(t->sessions, &cursors.wtmp, &cursors.btmp);
    cursors.shutdown_us = boots_shutdown_us(t->boots);
    buffer_clear(&t->mark);
    cursors_append(&t->mark, &cursors);
    if (!t->mark.failed)
        t->output.sink.mark(t->output.sink.user, buffer_slice(&t->mark));
    t->last_mark_ns = t->timeline.now_boot_ns;
}

static bool is_checkpoint_due(const struct tracker *t)
{
    const struct tracker_options *o = &t->options;
    uint64_t now = t->timeline.now_boot_ns;
    return now >= t->next_checkpoint_ns ||
           (now >= t->next_hurried_ns && o->checkpoint_due && o->checkpoint_due(o->user));
}

static void checkpoint(struct tracker *t)
{
    uint64_t now = t->timeline.now_boot_ns;
    /* Before the first full scan, rows of an earlier run are not yet taken up. */
    if (!t->options.checkpoint || !is_checkpoint_due(t) || !processes_last_scan_ns(t->processes))
        return;
    size_t n_rows = processes_living(t->processes) + endpoints_living(t->endpoints) +
                    networks_rows(t->networks) + files_rows(t->files) + accounts_rows(t->accounts) +
                    findings_rows(t->findings) + devices_rows(t->devices) +
                    sessions_rows(t->sessions);
    t->next_checkpoint_ns = now + checkpoint_ns + n_rows * checkpoint_row_ns +
                            host_names_open_rows(t->host_names) * checkpoint_name_ns;
    t->next_hurried_ns = now + hurried_ns + n_rows * hurried_row_ns;
    t->options.checkpoint(t->options.user, true);
    processes_checkpoint(t->processes);
    endpoints_checkpoint(t->endpoints);
    networks_checkpoint(t->networks);
    accounts_checkpoint(t->accounts);
    findings_checkpoint(t->findings);
    files_checkpoint(t->files);
    devices_checkpoint(t->devices);
    sessions_checkpoint(t->sessions);
    host_names_checkpoint(t->host_names);
    boots_checkpoint(t->boots);
    standing_rows_checkpoint(&t->standing);
    t->options.checkpoint(t->options.user, false);
}

static bool rows_settled(const struct tracker *t, uint64_t at_ns)
{
    return files_settled_until(t->files, at_ns) && endpoints_settled_until(t->endpoints, at_ns) &&
           kernel_events_settled_until(t->kernel_events, at_ns) &&
           sessions_settled_until(t->sessions, at_ns) && networks_settled(t->networks) &&
           devices_settled_until(t->devices, at_ns) && accounts_settled(t->accounts);
}

/* What waits for its row until then is noticed only then, when it is lost. */
static bool losses_settled(struct tracker *t, struct pending_sync *sync)
{
    if (!sync->settled_ns)
        sync->settled_ns = t->timeline.now_boot_ns;
    loss_hurry(&t->loss, sync->settled_ns);
    return loss_settled_until(&t->loss, sync->settled_ns);
}

/* Losses and dumps need their time, and are waited for only so long. */
static bool is_written(struct tracker *t, struct pending_sync *sync)
{
    uint64_t waited_ns = t->timeline.now_boot_ns - sync->at_ns;
    files_hurry(t->files, sync->at_ns);
    if (!processes_settled_until(t->processes, sync->at_ns))
        return false;
    if (waited_ns <= sync_program_ns && !(processes_told_until(t->processes, sync->at_ns) &&
                                          processes_digested_until(t->processes, sync->at_ns)))
        return false;
    return waited_ns > sync_loss_ns || (rows_settled(t, sync->at_ns) && losses_settled(t, sync));
}

static void answer_syncs(struct tracker *t)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->n_syncs; i++) {
        if (!is_written(t, &t->syncs[i]))
            t->syncs[kept++] = t->syncs[i];
        else if (t->options.sync_done)
            t->options.sync_done(t->options.user, t->syncs[i].token);
    }
    t->n_syncs = kept;
}

static void clock_tick(struct tracker *t, const struct gulp *gulp)
{
    int64_t server = atomic_load_explicit(&t->server_boot_ns, memory_order_relaxed);
    if (server != INT64_MIN)
        server -= gulp->real_ns - (int64_t)gulp->boot_ns;
    int step = timeline_tick(&t->timeline, gulp->boot_ns, gulp->real_ns, server);
    if (step == TIMELINE_STEP_SEEN)
        log_warning("clock", "the wall clock has moved by over an hour; it is not followed before "
                             "the server's time confirms it");
    if (step != TIMELINE_STEADY)
        loss_clock_step(&t->loss);
    kernel_events_clock(t->kernel_events, gulp->boot_ns, t->timeline.wall_ns);
}

/* What had no place in memory is a loss like any other. */
static void note_beyond(struct tracker *t)
{
    loss_rows(&t->loss, LOSS_SESSION_ROWS,
              sessions_take_beyond(t->sessions) + boots_take_beyond(t->boots));
    loss_rows(&t->loss, LOSS_KERNEL_EVENTS, kernel_events_take_beyond(t->kernel_events));
    loss_rows(&t->loss, LOSS_FILE_EVENTS, files_take_beyond(t->files));
    loss_rows(&t->loss, LOSS_DEVICE_ROWS, devices_take_beyond(t->devices));
    loss_rows(&t->loss, LOSS_NETWORK_ROWS, networks_take_beyond(t->networks));
    loss_rows(&t->loss, LOSS_ACCOUNT_ROWS, accounts_take_beyond(t->accounts));
    loss_rows(&t->loss, LOSS_FINDING_ROWS, findings_take_beyond(t->findings));
    loss_rows(&t->loss, LOSS_ENDPOINT_ROWS, endpoints_take_dropped(t->endpoints));
}

void tracker_gulp(struct tracker *t, const struct gulp *gulp)
{
    struct message message;
    size_t offset = 0;
    clock_tick(t, gulp);
    while (gulp_next(gulp, &offset, &message))
        tracker_message(t, &message);
    if (!gulp->caught_up)
        return;
    processes_tick(t->processes);
    if (processes_take_scan_wanted(t->processes) && t->options.ask_scan)
        t->options.ask_scan(t->options.user);
    endpoints_tick(t->endpoints);
    networks_tick(t->networks);
    accounts_tick(t->accounts);
    findings_tick(t->findings);
    files_tick(t->files);
    devices_tick(t->devices);
    sessions_tick(t->sessions);
    boots_tick(t->boots);
    standing_rows_tick(&t->standing);
    kernel_events_tick(t->kernel_events);
    note_beyond(t);
    loss_tick(&t->loss);
    if (t->timeline.now_boot_ns - t->last_mark_ns >= mark_ns)
        write_mark(t, false);
    checkpoint(t);
    answer_syncs(t);
    if (processes_last_scan_ns(t->processes))
        atomic_store_explicit(&t->ready, true, memory_order_release);
}

void tracker_rejected(struct tracker *t, uint64_t n)
{
    atomic_fetch_add_explicit(&t->loss.rejected, n, memory_order_relaxed);
}

void tracker_server_time(struct tracker *t, int64_t server_boot_ns)
{
    atomic_store_explicit(&t->server_boot_ns, server_boot_ns, memory_order_relaxed);
}

void tracker_finish(struct tracker *t)
{
    processes_flush(t->processes);
    endpoints_flush(t->endpoints);
    networks_flush(t->networks);
    accounts_flush(t->accounts);
    findings_flush(t->findings);
    files_flush(t->files);
    devices_flush(t->devices);
    sessions_flush(t->sessions);
    boots_flush(t->boots);
    kernel_events_flush(t->kernel_events);
    loss_finish(&t->loss);
    standing_rows_end(&t->standing, TABLE_COVERAGE,
                      timeline_real_us(&t->timeline, t->timeline.now_boot_ns), END_CLOSED);
    standing_rows_flush(&t->standing);
    write_mark(t, true);
    t->next_checkpoint_ns = 0;
    checkpoint(t);
}

int64_t tracker_clock_offset(const struct tracker *t)
{
    return t->timeline.offset_ns;
}

bool tracker_ready(const struct tracker *t)
{
    return atomic_load_explicit(&t->ready, memory_order_acquire);
}
