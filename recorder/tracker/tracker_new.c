/* The lifecycles, each with the bounds of its memory, and what they ask of each other: none of them
 * knows another but through the functions here. */
#include "recorder/tracker/tracker_private.h"

#include <stdlib.h>

enum {
    SETTLE_MS = 250,
    FORK_MS = 100,
    LATE_S = 60,
    LATE_MIB = 8,
    LATE_ROW_BYTES = 512, /* of memory, as a rule */
    LOGIN_MS = 2000,
    ENDPOINTS_MOST = 200000,
    FILES_MOST = 100000,
    FILES_BYTES_MOST = 24 << 20,
    NETWORK_ROWS_MOST = 32768,
    DEVICE_ROWS_MOST = 32768,
    DEVICE_BYTES_MOST = 24 << 20,
    ACCOUNT_ROWS_MOST = 131072,
    FINDINGS_MOST = 4096,
    SESSIONS_MOST = 4096,
    ATTEMPTS_MOST = 4096,
    HOST_NAMES_MOST = 16384
};

static const uint64_t ms_ns = 1000000;

/* An incoming connection waits so long for who accepts it, and a row so long for names. */
static const uint64_t accept_ns = UINT64_C(5000000000);
static const uint64_t name_ns = UINT64_C(1800000000);

/* A file that is closed may be opened again so soon that it is the same use. */
static const uint64_t file_quiet_ns = UINT64_C(1000000000);
/* How long files wait for the first look at /proc. */
static const uint64_t file_processes_ns = UINT64_C(5000000000);

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
        .settle_ns = o->settle_ms * ms_ns,
        .fork_ns = o->fork_ms * ms_ns,
        .late_ns = o->late_s * UINT64_C(1000) * ms_ns,
        .late_most = ((size_t)o->late_mib << 20) / LATE_ROW_BYTES,
        .image_bytes_most = (size_t)o->late_mib << 20,
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

void tracker_ask_socket_scan(void *user)
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
        .settle_ns = o->settle_ms * ms_ns,
        .accept_ns = accept_ns,
        .name_ns = name_ns,
        .most = ENDPOINTS_MOST,
        .user = t,
        .ask_scan = tracker_ask_socket_scan,
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
        .settle_ns = o->settle_ms * ms_ns,
        .quiet_ns = file_quiet_ns,
        .processes_ns = file_processes_ns,
        .most = FILES_MOST,
        .bytes_most = FILES_BYTES_MOST,
        .rate = o->file_rate,
        .excluded = o->files_exclude_programs,
        .unread = o->files_exclude_reads,
        .user = o->user,
        .ask_read = o->ask_files_read,
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
        .merge_ns = t->options.login_ms * ms_ns,
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
        .settle_ns = o->settle_ms * ms_ns,
    };
    return kernel_events_new(&t->kernel_events, &options);
}

static int make_host_names(struct tracker *t)
{
    const struct tracker_options *o = &t->options;
    struct host_names_options options = {
        .output = &t->output,
        .addresses_most = o->host_names_most,
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

static void set_default(unsigned *value, unsigned otherwise)
{
    if (*value == 0)
        *value = otherwise;
}

static void set_defaults(struct tracker_options *options)
{
    set_default(&options->settle_ms, SETTLE_MS);
    set_default(&options->fork_ms, FORK_MS);
    set_default(&options->late_s, LATE_S);
    set_default(&options->late_mib, LATE_MIB);
    set_default(&options->login_ms, LOGIN_MS);
    set_default(&options->host_names_most, HOST_NAMES_MOST);
}

int tracker_new(struct tracker **trackerp, const struct tracker_options *options)
{
    struct tracker *t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    t->options = *options;
    set_defaults(&t->options);
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
