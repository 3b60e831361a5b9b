/* The tracker's thread takes gulps from the queue; what it asks of sources, journal and callers of
 * sync goes straight to them, none of which makes it wait. */
#include "recorder/agent/agent_private.h"

#include "core/cleanup.h"
#include "core/log.h"
#include "core/thread_rights.h"
#include "recorder/agent/recording_settings.h"

#include "collectors/fanotify/fanotify_source.h"
#include "collectors/procfs/names_source.h"
#include "collectors/procfs/proc_source.h"
#include "collectors/programs/programs_source.h"
#include "collectors/resolver/resolver_source.h"
#include "collectors/sock_diag/sock_diag_source.h"
#include "collectors/udev/udev_source.h"

static void on_ask_name(void *user, uint32_t uid)
{
    struct agent *agent = user;
    if (agent->sources.names && !names_request(agent->sources.names, uid))
        log_debug("names", "too many names are asked for at once");
}

static bool on_ask_host_name(void *user, const struct inet_address *address)
{
    struct agent *agent = user;
    return agent->sources.resolver && resolver_request(agent->sources.resolver, address);
}

/* What is not accepted is not answered: the tracker's patience ends. */
static void on_ask_program(void *user, uint64_t request, uint32_t pid, uint32_t root_pid,
                           struct slice path)
{
    struct agent *agent = user;
    struct program_request wanted = {
        .number = request, .pid = pid, .root_pid = root_pid, .path = path};
    if (agent->sources.programs && !programs_request(agent->sources.programs, &wanted))
        log_debug("programs", "too many programs are asked for at once");
}

void agent_ask_scan(struct agent *agent)
{
    if (agent->sources.proc)
        proc_source_request_full(agent->sources.proc);
}

static void on_ask_scan(void *user)
{
    agent_ask_scan(user);
}

static void on_ask_socket_scan(void *user)
{
    struct agent *agent = user;
    if (agent->sources.sock_diag)
        sock_diag_request(agent->sources.sock_diag);
}

static void on_ask_files_read(void *user)
{
    struct agent *agent = user;
    if (agent->sources.fanotify)
        fanotify_source_request(agent->sources.fanotify);
}

static void on_ask_devices(void *user)
{
    udev_source_request(((struct agent *)user)->sources.udev);
}

static void on_sync_done(void *user, uint64_t token)
{
    agent_sync_done(((struct agent *)user)->sync, token);
}

static void on_checkpoint(void *user, bool begin)
{
    journal_checkpoint(((struct agent *)user)->journal, begin);
}

static bool on_checkpoint_due(void *user)
{
    return journal_checkpoint_due(((struct agent *)user)->journal);
}

static void on_restored_line(void *user, enum verb verb, enum table_id table, uint64_t id,
                             const struct slice *values, size_t n_values)
{
    tracker_restore(((struct agent *)user)->tracker, verb, table, id, values, n_values);
}

static void take_clock(struct agent *agent)
{
    atomic_store_explicit(&agent->clock_offset_ns, tracker_clock_offset(agent->tracker),
                          memory_order_relaxed);
}

/* The root of the recorder's own processes: the agent, or the `vestige standalone` that started it
 * together with its database server. */
static uint32_t own_root(void)
{
    char path[64], comm[32] = "";
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)getppid());
    FILE *stream AUTO_FCLOSE = fopen(path, "re");
    if (stream && fgets(comm, sizeof(comm), stream) && !strcmp(comm, "vestige\n"))
        return (uint32_t)getppid();
    return (uint32_t)getpid();
}

static struct tracker_options make_options(struct agent *agent)
{
    const struct config *config = agent->config;
    struct tracker_options options = {
        .sink = journal_sink(agent->journal),
        .counters = &agent->counters,
        .boot_id = agent->host.boot_id,
        .agent_pid = (uint32_t)getpid(),
        .own_pid = own_root(),
        .masking = agent->masking,
        .unaudited_before_ns = agent->unaudited_before_ns,
        .settle_ms = config->settle_ms,
        .fork_ms = config->fork_ms,
        .late_s = config->remember_s,
        .late_mib = config->remember_mib,
        .connector_active = agent->sources.connector,
        .taskstats_active = agent->sources.taskstats,
        .audit_active = agent->sources.audit,
        .bpf_active = agent->sources.bpf,
        .sock_diag_active = agent->sources.sock_diag != NULL,
        .resolver_active = agent->sources.resolver != NULL,
        .kernel_events_active = strcmp(config->kernel_events_mode, "off") != 0,
        .programs_active = agent->sources.programs != NULL,
        .utmp_active = agent->sources.utmp != NULL,
        .login_ms = config->sessions_merge_ms,
        .host_names_most = config->name_cache_entries,
        .file_rate = config->files_rate_per_program,
        .files_exclude_programs = config->files_exclude_programs,
        .files_exclude_reads = config->files_exclude_reads,
        .user = agent,
        .ask_name = on_ask_name,
        .ask_host_name = on_ask_host_name,
        .ask_program = on_ask_program,
        .ask_scan = on_ask_scan,
        .ask_socket_scan = on_ask_socket_scan,
        .ask_files_read = on_ask_files_read,
        .ask_devices = agent->sources.udev ? on_ask_devices : NULL,
        .sync_done = on_sync_done,
        .checkpoint = on_checkpoint,
        .checkpoint_due = on_checkpoint_due,
    };
    options.boot_ns = clock_both_ns(&options.real_ns);
    options.sources = agent_sources_all(&options.n_sources);
    return options;
}

/* What the journal says of the run before. */
static int restore(struct agent *agent, struct error_text *error)
{
    struct tracker_recovery recovery = {.cursors = agent->recovery.cursors,
                                        .last_time_us = agent->recovery.last_time_us,
                                        .births_after_mark = agent->recovery.births_after_mark};
    if (tracker_begin(agent->tracker, &recovery) == TIMELINE_STEP_SEEN)
        log_warning("clock",
                    "the wall clock is implausible (before 2026, or over an hour away from "
                    "the run before); it is not followed until the server confirms it");
    take_clock(agent);
    int result = journal_restore(agent->journal, on_restored_line, agent, error);
    if (!result)
        tracker_restored(agent->tracker);
    return result;
}

static int start_recording(struct agent *agent, const struct tracker_options *options,
                           struct error_text *error)
{
    if (!agent->record_directory)
        return 0;
    struct recording_header header = {.host_id = agent->config->host_id,
                                      .boot_ns = options->boot_ns,
                                      .real_ns = options->real_ns,
                                      .ticks_per_second = agent->host.ticks_per_second,
                                      .own_pid = options->own_pid};
    snprintf(header.boot_id, sizeof(header.boot_id), "%s", agent->host.boot_id);
    snprintf(header.hostname, sizeof(header.hostname), "%s",
             agent->host.hostname ? agent->host.hostname : "");
    snprintf(header.kernel, sizeof(header.kernel), "%s",
             agent->host.kernel ? agent->host.kernel : "");
    recording_settings_write(options, header.settings, sizeof(header.settings));
    return recording_writer_open(&agent->recording, agent->record_directory, &header, error);
}

int agent_tracker_begin(struct agent *agent, struct error_text *error)
{
    const struct tracker_options options = make_options(agent);
    int result = tracker_new(&agent->tracker, &options);
    if (result)
        return error_set(error, result, "out of memory");
    result = restore(agent, error);
    return result ? result : start_recording(agent, &options, error);
}

static void *run_tracker(void *user)
{
    struct agent *agent = user;
    struct gulp *gulp;
    int outcome;
    thread_begin("tracker");
    while ((outcome = gulp_queue_take(agent->queue, &gulp, 1000)) != GULP_QUEUE_CLOSED) {
        atomic_store(&agent->tracker_beat_ns, clock_boot_ns());
        if (outcome != GULP_QUEUE_GULP)
            continue;
        if (agent->recording && recording_writer_add(agent->recording, gulp) != 0)
            log_debug("recording", "a gulp could not be written");
        tracker_gulp(agent->tracker, gulp);
        take_clock(agent);
        gulp_queue_give_back(agent->queue, gulp);
    }
    tracker_finish(agent->tracker);
    return NULL;
}

int agent_tracker_start(struct agent *agent, struct error_text *error)
{
    atomic_store(&agent->tracker_beat_ns, clock_boot_ns());
    int result = -pthread_create(&agent->tracker_thread, NULL, run_tracker, agent);
    agent->tracker_running = result == 0;
    return result ? error_set(error, result, "cannot start a thread: %s", strerror(-result)) : 0;
}

void agent_tracker_join(struct agent *agent)
{
    if (agent->tracker_running)
        pthread_join(agent->tracker_thread, NULL);
}
