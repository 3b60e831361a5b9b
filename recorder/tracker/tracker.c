/* For each message: decode, count, hand the fact to who it concerns. Timers, marks and checkpoints
 * run only when all sockets have been read, so that a reader that was behind never looks like
 * silence. */
#include "recorder/tracker/tracker.h"

#include "core/log.h"
#include "recorder/accounts/accounts.h"
#include "recorder/devices/devices.h"
#include "recorder/endpoints/endpoints.h"
#include "recorder/files/files.h"
#include "recorder/kernel_events/kernel_events.h"
#include "recorder/kernel_events/time_records.h"
#include "recorder/networks/networks.h"
#include "recorder/processes/processes.h"
#include "recorder/sessions/boots.h"
#include "recorder/sessions/sessions.h"
#include "recorder/tracker/findings.h"
#include "recorder/tracker/gap.h"
#include "recorder/tracker/host_names.h"
#include "recorder/tracker/loss.h"
#include "recorder/tracker/standing_rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TOKENS_MOST = 64,
    STANDING_VALUES_MOST = 16,
    NETWORK_ROWS_MOST = 32768,
    DEVICE_ROWS_MOST = 32768,
    DEVICE_BYTES_MOST = 24 << 20,
    ACCOUNT_ROWS_MOST = 131072,
    FINDINGS_MOST = 4096,
    SESSIONS_MOST = 4096,
    ATTEMPTS_MOST = 4096,
    HOST_NAMES_MOST = 16384
};

static const uint64_t checkpoint_ns = UINT64_C(10000000000);
static const uint64_t mark_ns = UINT64_C(40000000);

/* An incoming connection waits so long for who accepts it, and a row so long for names. */
static const uint64_t accept_ns = UINT64_C(5000000000);
static const uint64_t name_ns = UINT64_C(1800000000);

enum { ENDPOINTS_MOST = 200000, FILES_MOST = 100000, FILES_BYTES_MOST = 24 << 20 };

/* A file that is closed may be opened again so soon that it is the same use. */
static const uint64_t file_quiet_ns = UINT64_C(1000000000);
/* How long files wait for the first look at /proc. */
static const uint64_t file_processes_ns = UINT64_C(5000000000);

/* How long a sync waits for files that are read. */
static const uint64_t sync_program_ns = UINT64_C(2000000000);

/* How long a sync waits for a loss to be counted: its number needs quiet moments. */
static const uint64_t sync_loss_ns = UINT64_C(15000000000);

struct pending_sync {
    uint64_t token, at_ns;
};

struct tracker {
    struct tracker_options options;
    struct timeline timeline;
    struct row_output output;
    struct user_names *names;
    struct host_names *host_names;
    struct processes *processes;
    struct endpoints *endpoints;
    struct networks *networks;
    struct files *files;
    struct devices *devices;
    struct findings *findings;
    struct accounts *accounts;
    struct sessions *sessions;
    struct kernel_events *kernel_events;
    struct buffer users; /* scratch: who is logged in */
    struct boots *boots;
    struct time_records time_records;
    struct standing_rows standing;
    struct loss loss;
    struct cursors before; /* of the earlier run */
    uint64_t last_time_us;
    struct decoder *decoders[SOURCE_N];
    const struct source_ops *ops[SOURCE_N];
    struct pending_sync syncs[TOKENS_MOST];
    size_t n_syncs;
    uint64_t next_checkpoint_ns, last_mark_ns;
    struct buffer mark;
    uint32_t audit_serial;
    _Atomic int64_t server_boot_ns; /* the server's clock minus our boot clock */
    _Atomic bool ready;
};

static void on_message(struct tracker *t, const struct message *message);

static int make_decoders(struct tracker *t)
{
    for (size_t i = 0; i < t->options.n_sources; i++) {
        const struct source_ops *ops = t->options.sources[i];
        int error = ops->decoder_new(&t->decoders[ops->id]);
        if (error)
            return error;
        t->ops[ops->id] = ops;
    }
    return 0;
}

static void on_image_ended(void *user, const struct actor *image)
{
    struct tracker *t = user;
    files_image_ended(t->files, image);
    sessions_image_ended(t->sessions, image);
}

static void ask_program(void *user, uint64_t request, uint32_t pid, uint32_t root_pid,
                        struct slice path)
{
    const struct tracker_options *o = &((struct tracker *)user)->options;
    o->ask_program(o->user, request, pid, root_pid, path);
}

static int make_processes(struct tracker *t)
{
    const struct tracker_options *o = &t->options;
    struct user_names_request request = {.user = o->user, .ask = o->ask_name};
    int error = user_names_new(&t->names, request);
    if (error)
        return error;
    struct processes_options options = {
        .output = &t->output,
        .names = t->names,
        .settle_ns = (o->settle_ms ? o->settle_ms : 250) * UINT64_C(1000000),
        .fork_ns = (o->fork_ms ? o->fork_ms : 100) * UINT64_C(1000000),
        .late_ns = (o->late_s ? o->late_s : 60) * UINT64_C(1000000000),
        .late_most = (size_t)(o->late_mib ? o->late_mib : 8) * 1048576 / 512,
        .image_bytes_most = (size_t)(o->late_mib ? o->late_mib : 8) * 1048576,
        .audit_active = o->audit_active,
        .taskstats_active = o->taskstats_active,
        .connector_active = o->connector_active,
        .unaudited_before_ns = o->unaudited_before_ns,
        .agent_pid = o->agent_pid,
        .own_pid = o->own_pid,
        .masking = o->masking,
        .user = t,
        .ask_program = o->programs_active && o->ask_program ? ask_program : NULL,
        .image_ended = on_image_ended,
    };
    return processes_new(&t->processes, &options);
}

static bool find_host_name(void *user, const struct inet_address *address, struct slice *text)
{
    struct tracker *t = user;
    return host_names_find(t->host_names, address, t->timeline.now_boot_ns, text);
}

static const char *find_interface_name(void *user, uint32_t index)
{
    return networks_interface_name(((struct tracker *)user)->networks, index);
}

static void ask_socket_scan(void *user)
{
    struct tracker *t = user;
    if (t->options.ask_socket_scan)
        t->options.ask_socket_scan(t->options.user);
}

static int make_endpoints(struct tracker *t)
{
    const struct tracker_options *o = &t->options;
    struct endpoints_options options = {
        .output = &t->output,
        .names = t->names,
        .processes = t->processes,
        .scans = o->sock_diag_active,
        .bpf_active = o->bpf_active,
        .settle_ns = (o->settle_ms ? o->settle_ms : 250) * UINT64_C(1000000),
        .accept_ns = accept_ns,
        .name_ns = name_ns,
        .most = ENDPOINTS_MOST,
        .user = t,
        .ask_scan = ask_socket_scan,
        .host_name = find_host_name,
        .interface_name = find_interface_name,
    };
    return endpoints_new(&t->endpoints, &options);
}

static int make_files(struct tracker *t)
{
    const struct tracker_options *o = &t->options;
    struct files_options options = {
        .output = &t->output,
        .names = t->names,
        .processes = t->processes,
        .settle_ns = (o->settle_ms ? o->settle_ms : 250) * UINT64_C(1000000),
        .quiet_ns = file_quiet_ns,
        .processes_ns = file_processes_ns,
        .most = FILES_MOST,
        .bytes_most = FILES_BYTES_MOST,
        .rate = o->file_rate,
        .excluded = o->files_exclude_programs,
        .unread = o->files_exclude_reads,
    };
    return files_new(&t->files, &options);
}

static const char *users_logged_in(void *user)
{
    struct tracker *t = user;
    if (!t->options.utmp_active || !sessions_users_known(t->sessions))
        return NULL;
    buffer_clear(&t->users);
    sessions_append_users(t->sessions, &t->users);
    buffer_append_byte(&t->users, '\0');
    return t->users.failed ? NULL : (const char *)t->users.data;
}

static int make_devices(struct tracker *t)
{
    struct devices_options options = {
        .output = &t->output,
        .most = DEVICE_ROWS_MOST,
        .bytes_most = DEVICE_BYTES_MOST,
        .user = t,
        .users_logged_in = users_logged_in,
        .answers = t->options.ask_devices != NULL,
    };
    return devices_new(&t->devices, &options);
}

static bool find_actor(void *user, uint32_t pid, uint64_t from_ns, uint64_t until_ns,
                       struct actor *actor)
{
    return processes_actor_between(((struct tracker *)user)->processes, pid, from_ns, until_ns,
                                   actor);
}

static bool find_living(void *user, uint32_t pid, struct actor *actor)
{
    return processes_living_actor(((struct tracker *)user)->processes, pid, actor);
}

static bool are_processes_known(void *user)
{
    return processes_last_scan_ns(((struct tracker *)user)->processes) != 0;
}

static void note_finding(void *user, const char *class, const char *subject, const char *detail)
{
    struct tracker *t = user;
    findings_note(t->findings, class, slice_text(subject), slice_text(detail),
                  timeline_real_us(&t->timeline, t->timeline.now_boot_ns));
}

static int make_sessions(struct tracker *t)
{
    struct sessions_options options = {
        .output = &t->output,
        .names = t->names,
        .merge_ns = (t->options.login_ms ? t->options.login_ms : 2000) * UINT64_C(1000000),
        .sessions_most = SESSIONS_MOST,
        .attempts_most = ATTEMPTS_MOST,
        .utmp_active = t->options.utmp_active,
        .user = t,
        .actor = find_actor,
        .living = find_living,
        .processes_known = are_processes_known,
        .finding = note_finding,
    };
    return sessions_new(&t->sessions, &options);
}

static int make_kernel_events(struct tracker *t)
{
    const struct tracker_options *o = &t->options;
    struct kernel_events_options options = {
        .output = &t->output,
        .names = t->names,
        .processes = t->processes,
        .active = o->kernel_events_active,
        .settle_ns = (o->settle_ms ? o->settle_ms : 250) * UINT64_C(1000000),
    };
    return kernel_events_new(&t->kernel_events, &options);
}

static int make_host_names(struct tracker *t)
{
    const struct tracker_options *o = &t->options;
    struct host_names_options options = {
        .output = &t->output,
        .addresses_most = o->host_names_most ? o->host_names_most : HOST_NAMES_MOST,
        .active = o->resolver_active,
        .user = o->user,
        .ask = o->ask_host_name,
    };
    return host_names_new(&t->host_names, &options);
}

static int make_accounts(struct tracker *t)
{
    int error = findings_new(
        &t->findings, &(struct findings_options){.output = &t->output, .most = FINDINGS_MOST});
    const struct accounts_options options = {
        .output = &t->output, .findings = t->findings, .most = ACCOUNT_ROWS_MOST};
    return error ? error : accounts_new(&t->accounts, &options);
}

static int make_boots(struct tracker *t)
{
    return boots_new(&t->boots, &(struct boots_options){.output = &t->output,
                                                        .findings = t->findings,
                                                        .utmp_active = t->options.utmp_active});
}

int tracker_new(struct tracker **trackerp, const struct tracker_options *options)
{
    struct tracker *t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    t->options = *options;
    t->output = (struct row_output){
        .sink = options->sink, .timeline = &t->timeline, .counters = options->counters};
    memcpy(t->output.boot_id, options->boot_id, strnlen(options->boot_id, 36));
    atomic_init(&t->server_boot_ns, INT64_MIN);
    standing_rows_init(&t->standing, &t->output);
    t->time_records.output = &t->output;
    int error = make_decoders(t);
    if (!error)
        error = make_host_names(t);
    if (!error)
        error = make_processes(t);
    if (!error)
        error = make_endpoints(t);
    if (!error)
        error = make_files(t);
    if (!error)
        error = make_devices(t);
    if (!error)
        error = make_sessions(t);
    if (!error)
        error = make_kernel_events(t);
    if (!error)
        error = networks_new(&t->networks, &(struct networks_options){.output = &t->output,
                                                                      .most = NETWORK_ROWS_MOST});
    if (!error)
        error = make_accounts(t);
    if (!error)
        error = make_boots(t);
    if (error) {
        tracker_free(t);
        return error;
    }
    loss_init(&t->loss, &t->output, t->processes, options->connector_active);
    *trackerp = t;
    return 0;
}

struct tracker *tracker_free(struct tracker *t)
{
    if (!t)
        return NULL;
    for (size_t i = 0; i < SOURCE_N; i++)
        if (t->decoders[i])
            t->ops[i]->decoder_free(t->decoders[i]);
    endpoints_free(t->endpoints);
    files_free(t->files);
    kernel_events_free(t->kernel_events);
    networks_free(t->networks);
    devices_free(t->devices);
    accounts_free(t->accounts);
    boots_free(t->boots);
    findings_free(t->findings);
    sessions_free(t->sessions);
    buffer_deinit(&t->users);
    processes_free(t->processes);
    host_names_free(t->host_names);
    user_names_free(t->names);
    standing_rows_deinit(&t->standing);
    line_deinit(&t->output.line);
    buffer_deinit(&t->mark);
    free(t);
    return NULL;
}

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
    on_message(t, &message);
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

/* Split the fields of a standing row; what is too long or too many is not a row of ours. */
static size_t split_fields(char *text, const char *values[], size_t most)
{
    size_t n = 0;
    for (char *field = strsep(&text, "\t"); field; field = strsep(&text, "\t")) {
        if (n == most)
            return 0;
        values[n++] = strcmp(field, "\\N") ? field : NULL;
    }
    return n;
}

/* "late", tab, milliseconds: the agent did not run. */
static bool on_late(struct tracker *t, const char *text)
{
    char detail[96];
    unsigned ms;
    if (sscanf(text, "late\t%u", &ms) != 1)
        return false;
    snprintf(detail, sizeof(detail),
             "nothing was read for %u.%03u s: it was stopped, or had no processor", ms / 1000,
             ms % 1000);
    findings_note(t->findings, "agent-did-not-run", slice_text("vestiged"), slice_text(detail),
                  timeline_real_us(&t->timeline, t->timeline.now_boot_ns));
    return true;
}

static void on_standing_row(struct tracker *t, struct slice bytes)
{
    char text[8192];
    const char *values[STANDING_VALUES_MOST];
    if (bytes.length >= sizeof(text))
        return;
    memcpy(text, bytes.data, bytes.length);
    text[bytes.length] = '\0';
    if (on_late(t, text))
        return;
    size_t n = split_fields(text, values, STANDING_VALUES_MOST);
    enum table_id table = n ? catalogue_find(slice_text(values[0])) : TABLE_NONE;
    if (table == TABLE_BOOT && n == 1 + BOOT_VALUES) {
        boots_begin(t->boots, values + 1);
    } else if (table == TABLE_HOST) {
        standing_rows_set(&t->standing, table, t->timeline.now_boot_ns, values + 1, n - 1, 0,
                          END_REMOVED);
    }
}

/* A source that was not opened, or that cannot be read any more. */
static bool is_unwatched(const char *mode)
{
    return !strcmp(mode, "off") || !strcmp(mode, "failed");
}

/* What of files is left out here, behind what the source leaves out. */
static void append_files_left_out(const struct tracker *t, const struct fact *fact,
                                  struct buffer *detail)
{
    const char *programs = t->options.files_exclude_programs;
    if (fact->source != SOURCE_FANOTIFY && fact->source != SOURCE_INOTIFY)
        return;
    if (programs && *programs)
        buffer_printf(detail, "%sprograms left out: %s", detail->length ? "; " : "", programs);
    if (t->options.file_rate)
        buffer_printf(detail, "%sat most %" PRIu32 " rows a second of one program",
                      detail->length ? "; " : "", t->options.file_rate);
}

static void on_note(struct tracker *t, const struct fact *fact)
{
    struct buffer mode CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct buffer detail CLEANUP(buffer_deinit) = BUFFER_NULL;
    buffer_append_slice(&mode, fact->note.mode);
    buffer_append_byte(&mode, '\0');
    buffer_append_slice(&detail, fact->note.detail);
    if (!slice_is(fact->note.mode, "off"))
        append_files_left_out(t, fact, &detail);
    if (fact->source == SOURCE_AUDIT && !t->options.kernel_events_active)
        buffer_printf(&detail, "%skernel events left out", detail.length ? "; " : "");
    buffer_append_byte(&detail, '\0');
    if (mode.failed || detail.failed)
        return;
    const char *values[] = {t->output.boot_id, source_name(fact->source), (const char *)mode.data,
                            detail.length > 1 ? (const char *)detail.data : NULL};
    standing_rows_set(&t->standing, TABLE_COVERAGE, fact->boot_ns, values, 4, 2, END_CLOSED);
    bool heard = !is_unwatched((const char *)mode.data);
    if (fact->source == SOURCE_AUDIT)
        processes_set_audit(t->processes, heard);
    if (fact->source == SOURCE_RTNETLINK && !heard)
        networks_unwatched(t->networks);
    if (fact->source == SOURCE_UDEV && !heard)
        devices_unwatched(t->devices);
    if (fact->source == SOURCE_ACCOUNTS && !heard)
        accounts_unwatched(t->accounts);
    if (fact->source == SOURCE_UTMP && !heard)
        boots_unheard(t->boots);
    if (fact->source == SOURCE_INOTIFY && !heard)
        files_unscanned(t->files);
}

static void on_loss(struct tracker *t, const struct fact *fact)
{
    int wanted = loss_fact(&t->loss, fact);
    if (wanted == LOSS_SCAN_WANTED && t->options.ask_scan)
        t->options.ask_scan(t->options.user);
    if (wanted == LOSS_SOCKET_SCAN_WANTED)
        ask_socket_scan(t);
}

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
    case FACT_USER_NAME:
        user_names_learn(t->names, &fact->user_name);
        accounts_fact(t->accounts, fact);
        break;
    case FACT_HOST_NAME:
        host_names_learn(t->host_names, &fact->host_name, fact->boot_ns);
        break;
    case FACT_NOTE:
        on_note(t, fact);
        break;
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
        if (fact->kind == FACT_AUDIT_EXEC) {
            t->audit_serial = fact->audit_exec.serial;
            if (loss_fact(&t->loss, fact) != LOSS_NOTED)
                return;
        }
        processes_fact(t->processes, fact);
        if (fact->kind == FACT_AUDIT_LOGIN)
            sessions_fact(t->sessions, fact);
        break;
    }
}

static void on_message(struct tracker *t, const struct message *message)
{
    if (message->kind == MESSAGE_MARK) {
        if (t->n_syncs < TOKENS_MOST && message->bytes.length == sizeof(uint64_t)) {
            struct pending_sync *sync = &t->syncs[t->n_syncs++];
            memcpy(&sync->token, message->bytes.data, sizeof(uint64_t));
            sync->at_ns = t->timeline.now_boot_ns;
            if (t->options.ask_devices)
                t->options.ask_devices(t->options.user);
        }
        return;
    }
    if (message->source == SOURCE_AGENT && message->kind == MESSAGE_DATA) {
        on_standing_row(t, message->bytes);
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
    sessions_cursors(t->sessions, &cursors.wtmp, &cursors.btmp);
    cursors.shutdown_us = boots_shutdown_us(t->boots);
    buffer_clear(&t->mark);
    cursors_append(&t->mark, &cursors);
    if (!t->mark.failed)
        t->output.sink.mark(t->output.sink.user, buffer_slice(&t->mark));
    t->last_mark_ns = t->timeline.now_boot_ns;
}

static void checkpoint(struct tracker *t)
{
    uint64_t now = t->timeline.now_boot_ns;
    /* Before the first full scan, rows of an earlier run are not yet taken up. */
    if (!t->options.checkpoint || now < t->next_checkpoint_ns ||
        !processes_last_scan_ns(t->processes))
        return;
    size_t n_rows = processes_living(t->processes) + endpoints_living(t->endpoints) +
                    networks_rows(t->networks) + files_rows(t->files) + accounts_rows(t->accounts) +
                    findings_rows(t->findings) + devices_rows(t->devices) +
                    sessions_rows(t->sessions);
    t->next_checkpoint_ns =
        now + checkpoint_ns + n_rows * 10000000 + host_names_open_rows(t->host_names) * 1000000;
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

/* Losses and dumps need their time, and are waited for only so long. */
static bool is_written(struct tracker *t, const struct pending_sync *sync)
{
    files_hurry(t->files, sync->at_ns);
    return processes_settled_until(t->processes, sync->at_ns) &&
           (processes_digested_until(t->processes, sync->at_ns) ||
            t->timeline.now_boot_ns > sync->at_ns + sync_program_ns) &&
           (files_settled_until(t->files, sync->at_ns) ||
            t->timeline.now_boot_ns > sync->at_ns + sync_loss_ns) &&
           (endpoints_settled_until(t->endpoints, sync->at_ns) ||
            t->timeline.now_boot_ns > sync->at_ns + sync_loss_ns) &&
           (kernel_events_settled_until(t->kernel_events, sync->at_ns) ||
            t->timeline.now_boot_ns > sync->at_ns + sync_loss_ns) &&
           (sessions_settled_until(t->sessions, sync->at_ns) ||
            t->timeline.now_boot_ns > sync->at_ns + sync_loss_ns) &&
           ((loss_settled(&t->loss) && networks_settled(t->networks) &&
             devices_settled_until(t->devices, sync->at_ns) && accounts_settled(t->accounts)) ||
            t->timeline.now_boot_ns > sync->at_ns + sync_loss_ns);
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

void tracker_gulp(struct tracker *t, const struct gulp *gulp)
{
    struct message message;
    size_t offset = 0;
    clock_tick(t, gulp);
    while (gulp_next(gulp, &offset, &message))
        on_message(t, &message);
    if (!gulp->caught_up)
        return;
    processes_tick(t->processes);
    endpoints_tick(t->endpoints);
    networks_tick(t->networks);
    accounts_tick(t->accounts);
    findings_tick(t->findings);
    files_tick(t->files);
    devices_tick(t->devices);
    sessions_tick(t->sessions);
    boots_tick(t->boots);
    loss_rows(&t->loss, LOSS_SESSION_ROWS,
              sessions_take_beyond(t->sessions) + boots_take_beyond(t->boots));
    kernel_events_tick(t->kernel_events);
    loss_rows(&t->loss, LOSS_KERNEL_EVENTS, kernel_events_take_beyond(t->kernel_events));
    loss_rows(&t->loss, LOSS_FILE_EVENTS, files_take_beyond(t->files));
    loss_rows(&t->loss, LOSS_DEVICE_ROWS, devices_take_beyond(t->devices));
    loss_rows(&t->loss, LOSS_NETWORK_ROWS, networks_take_beyond(t->networks));
    loss_rows(&t->loss, LOSS_ACCOUNT_ROWS, accounts_take_beyond(t->accounts));
    loss_rows(&t->loss, LOSS_FINDING_ROWS, findings_take_beyond(t->findings));
    loss_rows(&t->loss, LOSS_ENDPOINT_ROWS, endpoints_take_dropped(t->endpoints));
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

size_t tracker_living(const struct tracker *t)
{
    return processes_living(t->processes);
}
