/* Order of start: guard, journal (one agent a directory), sources (from then on the kernel keeps
 * messages), tracker with what the journal says of the run before, threads. Order of stop: sources
 * and reader, tracker, a last seal, shipper, journal. */
#include "recorder/agent/agent.h"

#include "core/cleanup.h"
#include "core/evidence_text.h"
#include "core/log.h"
#include "core/thread_rights.h"
#include "recorder/agent/agent_guard.h"
#include "recorder/agent/agent_sources.h"
#include "recorder/agent/agent_sync.h"
#include "recorder/agent/control.h"
#include "recorder/agent/host_facts.h"
#include "recorder/agent/privilege.h"
#include "recorder/agent/unaudited.h"
#include "recorder/journal/journal.h"
#include "recorder/masking/masking.h"
#include "recorder/reader/recording.h"
#include "recorder/shipper/shipper.h"
#include "recorder/tracker/tracker.h"

#include "collectors/bpf/bpf_source.h"
#include "collectors/fanotify/fanotify_group.h"
#include "collectors/fanotify/fanotify_source.h"
#include "collectors/procfs/names_source.h"
#include "collectors/procfs/proc_source.h"
#include "collectors/programs/programs_source.h"
#include "collectors/resolver/resolver_source.h"
#include "collectors/sock_diag/sock_diag_source.h"
#include "collectors/udev/udev_source.h"
#include "collectors/utmp/utmp_source.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

enum {
    SHIP_GRACE_MS = 5000,
    READY_MS = 10000,
    CONTROL_PATH_SIZE = CONFIG_PATH_SIZE + 16,
    HOST_LOOK_S = 5
};
#define STUCK_NS UINT64_C(60000000000)

struct agent {
    const struct config *config;
    const char *record_directory, *own_directory;
    bool own_given; /* by `vestige standalone`, which says itself who the agent is */
    struct counters counters;
    struct host_facts host;
    struct buffer host_row;  /* as the tracker was told last */
    struct signing_key *key; /* NULL: batches are not signed */
    struct journal *journal;
    struct journal_recovery recovery;
    struct agent_guard guard;
    struct agent_sources sources;
    struct fanotify_group fanotify_group; /* until its source takes it over */
    struct masking *masking;              /* of secrets in command lines; NULL: off */
    struct tracker *tracker;
    struct gulp_queue *queue;
    struct reader *reader;
    struct shipper *shipper;
    struct control *control;
    struct agent_sync *sync;
    struct recording_writer *recording;
    uint64_t unaudited_before_ns;
    uint64_t start_boot_ns; /* the clocks by which the tracker began, and a replay begins */
    int64_t start_real_ns;
    _Atomic int64_t
        clock_offset_ns; /* the tracker's real time minus boot time; INT64_MIN: not set */
    pthread_t tracker_thread;
    _Atomic uint64_t
        tracker_beat_ns; /* when it was seen to do something, or to have nothing to do */
    bool tracker_running;
    int wake_fd, signal_fd;
    unsigned seconds; /* ticks of one */
};

static void on_sealed(void *user, uint64_t batch)
{
    struct agent *agent = user;
    (void)batch;
    if (agent->shipper)
        shipper_wake(agent->shipper);
}

static void on_lost(void *user, const struct shipper_loss *loss)
{
    struct agent *agent = user;
    /* A refused gap row must not make gap rows for ever. */
    if (loss->table != TABLE_GAP)
        tracker_rejected(agent->tracker, loss->n ? loss->n : 1);
}

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

static void on_ask_scan(void *user)
{
    struct agent *agent = user;
    if (agent->sources.proc)
        proc_source_request_full(agent->sources.proc);
}

static void on_ask_socket_scan(void *user)
{
    struct agent *agent = user;
    if (agent->sources.sock_diag)
        sock_diag_request(agent->sources.sock_diag);
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

static void on_restored_line(void *user, enum verb verb, enum table_id table, uint64_t id,
                             const struct slice *values, size_t n_values)
{
    tracker_restore(((struct agent *)user)->tracker, verb, table, id, values, n_values);
}

/* The journal's times are the tracker's, also while the wall clock is not believed. */
static uint64_t journal_now_us(void *user)
{
    struct agent *agent = user;
    int64_t offset = atomic_load_explicit(&agent->clock_offset_ns, memory_order_relaxed);
    int64_t now = offset == INT64_MIN ? clock_real_ns() : (int64_t)clock_boot_ns() + offset;
    return now > 0 ? (uint64_t)now / 1000 : 0;
}

static void take_clock(struct agent *agent)
{
    atomic_store_explicit(&agent->clock_offset_ns, tracker_clock_offset(agent->tracker),
                          memory_order_relaxed);
}

static int make_directory(const char *path, struct error_text *error)
{
    static const char advice[] = "name another with state_directory in section [agent]";
    if (mkdir(path, 0700) && errno != EEXIST)
        return error_set(error, -errno, "cannot make the state directory %s: %s; %s", path,
                         strerror(errno), advice);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || faccessat(fd, ".", W_OK, 0))
        return error_set(error, -errno, "cannot write in the state directory %s: %s; %s", path,
                         strerror(errno), advice);
    return 0;
}

static void control_path(const struct agent *agent, char path[CONTROL_PATH_SIZE])
{
    snprintf(path, CONTROL_PATH_SIZE, "%s/vestiged.sock", agent->config->state_directory);
}

/* What can be known to be wrong before anything is opened. */
static int check_paths(const struct agent *agent, struct error_text *error)
{
    char path[CONTROL_PATH_SIZE];
    control_path(agent, path);
    int result = control_check_path(path, error);
    if (!result)
        result = make_directory(agent->config->state_directory, error);
    return result ? result : shipper_check_option_file(agent->config->defaults_file, error);
}

/* Without a key the evidence is still worth having. With one that others can read, its signatures
 * would claim what they cannot prove. */
static int load_key(struct agent *agent, struct error_text *error)
{
    const char *path = agent->config->signing_key;
    int result = signing_key_load(&agent->key, path, error);
    if (result != -ENOENT)
        return result;
    log_warning("agent",
                "there is no signing key %s: batches are not signed, so nobody can tell whether"
                " this host made them; `vestige client enroll` and `client rotate` make one",
                path);
    return 0;
}

/* What root alone can do for a source. Why it cannot, the source will say. */
static void prepare_sources(struct agent *agent)
{
    struct error_text reason;
    if (agent_sources_want(agent->config, SOURCE_FANOTIFY) &&
        fanotify_group_init(&agent->fanotify_group, &reason) < 0)
        log_debug("fanotify", "not made yet: %s", reason.text);
}

static int become_user(const struct agent *agent, struct error_text *error)
{
    struct privilege_options options = {.user = agent->config->user,
                                        .state_directory = agent->config->state_directory,
                                        .defaults_file = agent->config->defaults_file,
                                        .record_directory = agent->record_directory,
                                        .warn_of_root = !agent->own_given};
    return privilege_become(&options, error);
}

static int open_journal(struct agent *agent, struct error_text *error)
{
    char directory[CONFIG_PATH_SIZE + 16];
    snprintf(directory, sizeof(directory), "%s/journal", agent->config->state_directory);
    struct journal_options options = {
        .directory = directory,
        .host_id = agent->config->host_id,
        .boot_id = agent->host.boot_id,
        .key = agent->key,
        .limit_bytes = (uint64_t)agent->config->journal_limit_mib * 1048576,
        .counters = &agent->counters,
        .sealed = on_sealed,
        .sealed_user = agent,
        .now_us = journal_now_us,
        .now_user = agent,
    };
    return journal_open(&agent->journal, &options, &agent->recovery, error);
}

static int open_sources(struct agent *agent, struct error_text *error)
{
    struct source_options options = {
        .receive_buffer = (size_t)agent->config->receive_buffer_kib * 1024,
        .state_directory = agent->config->state_directory,
        .audit_rules = agent->config->audit_rules,
        .audit_mode = agent->config->audit_mode,
        .kernel_events = strcmp(agent->config->kernel_events_mode, "off") != 0,
        .kernel_event_paths = strcmp(agent->config->kernel_events_paths, "off") != 0,
        .audit_backlog_limit = agent->config->audit_backlog_limit,
        .audit_guard = agent->guard.channel,
        .guard_pid = (uint32_t)agent->guard.pid,
        .proc_interval_ms = agent->config->proc_interval_ms,
        .proc_on_request = true,
        .proc_full_interval_s = agent->config->proc_full_interval_s,
        .sock_diag_interval_s = agent->config->sock_diag_interval_s,
        .name_servers = agent->config->name_servers,
        .name_timeout_ms = agent->config->name_timeout_ms,
        .user_keep_s = agent->config->user_keep_s,
        .user_absent_s = agent->config->user_absent_s,
        .program_largest = (uint64_t)agent->config->programs_largest_mib << 20,
        .files_include = agent->config->files_include,
        .files_exclude = agent->config->files_exclude,
        .files_exclude_reads = agent->config->files_exclude_reads,
        .files_exclude_types = agent->config->files_exclude_types,
        .files_trees = agent->config->files_trees,
        .files_scan_interval_s = agent->config->files_scan_interval_s,
        .own_directory = agent->own_directory,
        .fanotify_group = &agent->fanotify_group,
        .accounts_directory = agent->config->accounts_directory,
        .utmp_path = agent->config->sessions_utmp,
        .wtmp_path = agent->config->sessions_wtmp,
        .btmp_path = agent->config->sessions_btmp,
        .counters = &agent->counters,
        .wake_fd = agent->wake_fd,
    };
    struct cursors before;
    cursors_parse(&before, agent->recovery.cursors);
    options.wtmp_cursor = before.wtmp;
    options.btmp_cursor = before.btmp;
    agent->unaudited_before_ns =
        unaudited_before(agent->config->state_directory, agent->host.boot_id);
    return agent_sources_open(&agent->sources, agent->config, &options, error);
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

static int start_masking(struct agent *agent, struct error_text *error)
{
    if (!strcmp(agent->config->masking_mode, "off"))
        return 0;
    return masking_open(&agent->masking, agent->config->masking_rules, error);
}

static int start_tracker(struct agent *agent, struct error_text *error)
{
    const struct config *config = agent->config;
    agent->start_boot_ns = clock_boot_ns();
    agent->start_real_ns = clock_real_ns();
    struct tracker_options options = {
        .sink = journal_sink(agent->journal),
        .counters = &agent->counters,
        .boot_id = agent->host.boot_id,
        .boot_ns = agent->start_boot_ns,
        .real_ns = agent->start_real_ns,
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
        .ask_devices = agent->sources.udev ? on_ask_devices : NULL,
        .sync_done = on_sync_done,
        .checkpoint = on_checkpoint,
    };
    options.sources = agent_sources_all(&options.n_sources);
    int result = tracker_new(&agent->tracker, &options);
    if (result)
        return error_set(error, result, "out of memory");
    struct tracker_recovery recovery = {.cursors = agent->recovery.cursors,
                                        .last_time_us = agent->recovery.last_time_us,
                                        .births_after_mark = agent->recovery.lines_after_mark};
    if (tracker_begin(agent->tracker, &recovery) == TIMELINE_STEP_SEEN)
        log_warning("clock",
                    "the wall clock is implausible (before 2026, or over an hour away from "
                    "the run before); it is not followed until the server confirms it");
    take_clock(agent);
    result = journal_restore(agent->journal, on_restored_line, agent, error);
    if (!result)
        tracker_restored(agent->tracker);
    return result;
}

/* One field of a standing row: the values are single lines of the system's own files. */
static void append_value(struct buffer *text, const char *value)
{
    buffer_append_byte(text, '\t');
    if (!value) {
        buffer_append_text(text, "\\N");
        return;
    }
    for (; *value; value++)
        buffer_append_byte(text, *value == '\t' || *value == '\n' ? ' ' : *value);
}

static void append_row(struct buffer *text, const char *table, const char *const *values, size_t n)
{
    buffer_append_text(text, table);
    for (size_t i = 0; i < n; i++)
        append_value(text, values[i]);
}

static void append_host(struct buffer *text, const struct host_facts *host)
{
    const char *const values[] = {host->hostname,   host->machine_id, host->os_name,
                                  host->os_version, host->kernel,     host->architecture,
                                  host->vendor,     host->model,      host->time_zone};
    append_row(text, "host", values, sizeof(values) / sizeof(values[0]));
}

static int add_row(struct gulp *gulp, const struct buffer *text)
{
    return text->failed
               ? -ENOMEM
               : gulp_add(gulp, SOURCE_AGENT, MESSAGE_DATA, clock_boot_ns(), buffer_slice(text));
}

/* What the tracker has to know before the first message: the host, the boot, what is not watched.
 */
static int first_gulp(struct agent *agent)
{
    const struct host_facts *host = &agent->host;
    struct buffer boot CLEANUP(buffer_deinit) = BUFFER_NULL;
    const char *boot_values[] = {host->boot_id, host->kernel, host->kernel_command_line};
    struct gulp *gulp = gulp_queue_get(agent->queue);
    if (!gulp)
        return -ENOMEM;
    append_row(&boot, "boot", boot_values, sizeof(boot_values) / sizeof(boot_values[0]));
    append_host(&agent->host_row, host);
    int error = add_row(gulp, &boot);
    if (!error)
        error = add_row(gulp, &agent->host_row);
    for (size_t i = 0; !error && i < agent->sources.n_missing; i++) {
        struct buffer note CLEANUP(buffer_deinit) = BUFFER_NULL;
        buffer_printf(&note, "off\t%s", agent->sources.missing[i].reason);
        error = gulp_add(gulp, agent->sources.missing[i].source, MESSAGE_NOTE, clock_boot_ns(),
                         buffer_slice(&note));
    }
    gulp->boot_ns = clock_boot_ns();
    gulp->real_ns = clock_real_ns();
    gulp_queue_put(agent->queue, gulp);
    return error;
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

static void append_status(void *user, struct buffer *out)
{
    struct agent *agent = user;
    struct journal_status journal;
    struct shipper_status shipper = {0};
    journal_get_status(agent->journal, &journal);
    shipper_get_status(agent->shipper, &shipper);
    uint64_t now_us = (uint64_t)clock_real_ns() / 1000;
    uint64_t lag_us = shipper.n_waiting && journal.oldest_us && now_us > journal.oldest_us
                          ? now_us - journal.oldest_us
                          : 0;
    buffer_printf(out, "host_id %" PRIu64 "\npid %d\nboot_id %s\nseccomp %s\n",
                  agent->config->host_id, (int)getpid(), agent->host.boot_id,
                  SYSTEM_CALLS_SANITIZED ? "off" : agent->config->seccomp);
    buffer_printf(out,
                  "lag_ms %" PRIu64 "\nbatches_waiting %" PRIu64 "\nlast_shipped %" PRIu64
                  "\nserver_connected %d\n",
                  lag_us / 1000, shipper.n_waiting, shipper.last_shipped, shipper.connected);
    buffer_printf(out,
                  "journal_bytes %" PRIu64 "\njournal_limit_bytes %" PRIu64
                  "\njournal_full %d\nlast_batch %" PRIu64 "\n",
                  journal.bytes, journal.limit_bytes, journal.full, journal.last_batch);
    buffer_printf(out, "reader_cpu_us %" PRIu64 "\nqueue_bytes %zu\n",
                  reader_cpu_ns(agent->reader) / 1000, gulp_queue_bytes(agent->queue));
    for (int id = 0; id < COUNTER_N; id++)
        buffer_printf(out, "%s %" PRIu64 "\n", counter_name((enum counter_id)id),
                      counter_get(&agent->counters, (enum counter_id)id));
    for (size_t i = 0; i < agent->sources.n_missing; i++)
        buffer_printf(out, "source_%s_off %s\n", source_name(agent->sources.missing[i].source),
                      agent->sources.missing[i].reason);
    if (journal.error[0])
        buffer_printf(out, "journal_error %s\n", journal.error);
    if (shipper.is_clear)
        buffer_append_text(out, "server_cleartext yes\n");
    if (shipper.error[0])
        buffer_printf(out, "ship_error %s\n", shipper.error);
}

/* Events of files wait in the kernel while the source's thread naps. */
static void read_files(const struct agent *agent, uint64_t deadline)
{
    uint64_t now = clock_boot_ns();
    if (!agent->sources.fanotify)
        return;
    fanotify_source_request(agent->sources.fanotify);
    while (fanotify_source_read_until(agent->sources.fanotify) < now && clock_boot_ns() < deadline)
        poll(NULL, 0, 1);
}

static void read_logins(const struct agent *agent, uint64_t deadline)
{
    uint64_t now = clock_boot_ns();
    if (!agent->sources.utmp)
        return;
    utmp_source_request(agent->sources.utmp);
    while (utmp_source_read_until(agent->sources.utmp) < now && clock_boot_ns() < deadline)
        poll(NULL, 0, 1);
}

/* Everything seen before the call is in rows when the tracker has answered the mark; then what was
 * appended is sealed, shipped and committed. */
static int run_sync(void *user, unsigned timeout_ms, struct buffer *out)
{
    struct agent *agent = user;
    uint64_t deadline = clock_boot_ns() + timeout_ms * UINT64_C(1000000);
    read_files(agent, deadline);
    read_logins(agent, deadline);
    int error = agent_sync_wait(agent->sync, agent->reader, deadline);
    if (error) {
        buffer_printf(out,
                      "the recorder is behind: what was seen before this call is not yet "
                      "written after %u ms",
                      timeout_ms);
        return error;
    }
    uint64_t batch = journal_seal_request(agent->journal);
    uint64_t now = clock_boot_ns();
    unsigned left_ms = now < deadline ? (unsigned)((deadline - now) / 1000000) : 0;
    error = shipper_wait(agent->shipper, batch, left_ms);
    struct shipper_status status;
    shipper_get_status(agent->shipper, &status);
    if (error)
        buffer_printf(
            out,
            "batch %" PRIu64 " is not in the database after %u ms, %" PRIu64 " batches wait%s%s",
            batch, timeout_ms, status.n_waiting, status.error[0] ? ": " : "", status.error);
    else
        buffer_printf(out, "batch %" PRIu64 "\n", batch);
    return error;
}

/* The words of a setting are divided by blanks, those of a list by tabs. */
static void add_list(const char *name, const char *list, char *settings, size_t size)
{
    size_t length = strlen(settings);
    snprintf(settings + length, size - length, " %s=%s", name, list);
    for (char *at = settings + length + 1; (at = strchr(at, ' '));)
        *at = '\t';
}

static void add_file_settings(const struct config *config, char *settings, size_t size)
{
    size_t length = strlen(settings);
    snprintf(settings + length, size - length, " file_rate=%u", config->files_rate_per_program);
    length = strlen(settings);
    snprintf(settings + length, size - length, " kernel_events=%d",
             strcmp(config->kernel_events_mode, "off") != 0);
    add_list("exclude_programs", config->files_exclude_programs, settings, size);
    add_list("exclude_reads", config->files_exclude_reads, settings, size);
}

static int start_recording(struct agent *agent, struct error_text *error)
{
    if (!agent->record_directory)
        return 0;
    struct recording_header header = {.host_id = agent->config->host_id,
                                      .boot_ns = agent->start_boot_ns,
                                      .real_ns = agent->start_real_ns,
                                      .ticks_per_second = agent->host.ticks_per_second,
                                      .own_pid = own_root()};
    snprintf(header.boot_id, sizeof(header.boot_id), "%s", agent->host.boot_id);
    snprintf(header.hostname, sizeof(header.hostname), "%s",
             agent->host.hostname ? agent->host.hostname : "");
    snprintf(header.kernel, sizeof(header.kernel), "%s",
             agent->host.kernel ? agent->host.kernel : "");
    snprintf(header.settings, sizeof(header.settings),
             "connector=%d taskstats=%d audit=%d settle_ms=%u fork_ms=%u unaudited_before=%" PRIu64
             " remember_s=%u remember_mib=%u resolver=%d host_names=%u bpf=%d programs=%d"
             " utmp=%d login_ms=%u masking=%d",
             agent->sources.connector, agent->sources.taskstats, agent->sources.audit,
             agent->config->settle_ms, agent->config->fork_ms, agent->unaudited_before_ns,
             agent->config->remember_s, agent->config->remember_mib,
             agent->sources.resolver != NULL, agent->config->name_cache_entries, agent->sources.bpf,
             agent->sources.programs != NULL, agent->sources.utmp != NULL,
             agent->config->sessions_merge_ms, agent->masking != NULL);
    add_file_settings(agent->config, header.settings, sizeof(header.settings));
    return recording_writer_open(&agent->recording, agent->record_directory, &header, error);
}

static int start_queue(struct agent *agent, struct error_text *error)
{
    int result = gulp_queue_new(&agent->queue, (size_t)agent->config->queue_mib * 1048576, 0);
    if (!result)
        result = first_gulp(agent);
    if (!result)
        result = agent_sync_new(&agent->sync);
    return result ? error_set(error, result, "out of memory") : start_recording(agent, error);
}

static int start_threads(struct agent *agent, struct error_text *error)
{
    struct shipper_options ship = {.journal = agent->journal,
                                   .host_id = agent->config->host_id,
                                   .defaults_file = agent->config->defaults_file,
                                   .counters = &agent->counters,
                                   .retry_first_ms = agent->config->retry_first_ms,
                                   .retry_most_ms = agent->config->retry_most_ms,
                                   .schema_version = VESTIGE_SCHEMA_VERSION,
                                   .boot_id = agent->host.boot_id,
                                   .lost = on_lost,
                                   .lost_user = agent};
    int result = shipper_start(&agent->shipper, &ship, error);
    if (result)
        return result;
    struct reader_options reader = {.sources = agent->sources.open,
                                    .n_sources = agent->sources.n_open,
                                    .interval_ms = agent->config->reader_interval_ms,
                                    .queue = agent->queue,
                                    .wake_fd = agent->wake_fd};
    result = reader_start(&agent->reader, &reader, error);
    if (result)
        return result;
    atomic_store(&agent->tracker_beat_ns, clock_boot_ns());
    result = -pthread_create(&agent->tracker_thread, NULL, run_tracker, agent);
    agent->tracker_running = result == 0;
    return result ? error_set(error, result, "cannot start a thread: %s", strerror(-result)) : 0;
}

static int start_control(struct agent *agent, struct error_text *error)
{
    char path[CONTROL_PATH_SIZE];
    control_path(agent, path);
    struct control_ops ops = {.user = agent, .status = append_status, .sync = run_sync};
    return control_start(&agent->control, path, &ops, error);
}

/* A host gets another name, time zone or release while it runs. */
static void look_at_host(struct agent *agent)
{
    struct buffer row CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct host_facts host;
    if (host_facts_init(&host, "") < 0)
        return;
    append_host(&row, &host);
    host_facts_deinit(&host);
    if (row.failed || slice_equal(buffer_slice(&row), buffer_slice(&agent->host_row)) ||
        reader_tell(agent->reader, buffer_slice(&row)) < 0)
        return;
    buffer_clear(&agent->host_row);
    buffer_append_slice(&agent->host_row, buffer_slice(&row));
}

/* What is heard becomes rows, and rows become files. A server that is away is no matter of life. */
static bool makes_progress(const struct agent *agent)
{
    uint64_t beat = atomic_load(&agent->tracker_beat_ns), now = clock_boot_ns();
    uint64_t idle = now > beat ? now - beat : 0;
    return idle < STUCK_NS && journal_writes_for_ns(agent->journal) < STUCK_NS;
}

/* Every second: the server's clock for the tracker, life for the watchdog, now and then the host.
 */
static void second_tick(struct agent *agent)
{
    if (agent->seconds++ % HOST_LOOK_S == 0)
        look_at_host(agent);

    struct shipper_status status;
    shipper_get_status(agent->shipper, &status);
    if (status.server_offset_known)
        tracker_server_time(agent->tracker, status.server_boot_us * 1000);
    if (makes_progress(agent))
        sd_notify(0, "WATCHDOG=1");
}

static void wait_ready(struct agent *agent)
{
    uint64_t deadline = clock_boot_ns() + READY_MS * UINT64_C(1000000);
    struct pollfd signals = {.fd = agent->signal_fd, .events = POLLIN};
    while (agent->sources.proc && !tracker_ready(agent->tracker) && clock_boot_ns() < deadline)
        if (poll(&signals, 1, 5) > 0)
            return;
}

static void wait_end(struct agent *agent)
{
    struct pollfd signals = {.fd = agent->signal_fd, .events = POLLIN};
    while (poll(&signals, 1, 1000) <= 0)
        second_tick(agent);
    struct signalfd_siginfo info;
    if (read(agent->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        log_notice("agent", "ending on signal %u from pid %u uid %u", info.ssi_signo, info.ssi_pid,
                   info.ssi_uid);
}

static int open_descriptors(struct agent *agent, struct error_text *error)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    agent->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    agent->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (agent->signal_fd < 0 || agent->wake_fd < 0)
        return error_set(error, -errno, "cannot open a descriptor: %s", strerror(errno));
    return 0;
}

static int start(struct agent *agent, struct error_text *error)
{
    bool audit = agent_sources_want(agent->config, SOURCE_AUDIT);
    int result = privilege_check(audit, error);
    if (!result)
        result = open_descriptors(agent, error);
    if (!result)
        result = host_facts_init(&agent->host, "");
    if (!result && !agent->host.boot_id)
        result = error_set(error, -ENOENT, "cannot read the boot id from /proc; is it mounted?");
    if (!result)
        result = check_paths(agent, error);
    if (!result)
        result = load_key(agent, error);
    if (!result)
        result = start_masking(agent, error);
    if (!result)
        prepare_sources(agent);
    if (!result)
        result = become_user(agent, error);
    if (!result && audit)
        result = agent_guard_start(&agent->guard, agent->config->state_directory,
                                   system_calls_mode(agent->config->seccomp),
                                   agent->fanotify_group.fd, error);
    if (!result)
        result = open_journal(agent, error);
    if (!result)
        result = agent_guard_wait(&agent->guard, error);
    if (!result)
        result = open_sources(agent, error);
    if (!result)
        agent_guard_keep(&agent->guard, bpf_source_signals(agent->sources.bpf_source));
    if (!result)
        result = start_tracker(agent, error);
    if (!result)
        result = start_queue(agent, error);
    if (!result)
        result = start_threads(agent, error);
    if (!result)
        result =
            privilege_drop("vestiged", system_calls_mode(agent->config->seccomp), false, error);
    if (!result)
        result = start_control(agent, error);
    /* Threads that the agent began while it was read in /proc could not be told from those before.
     */
    if (!result)
        on_ask_scan(agent);
    return result;
}

/* The last batch holds the ends of what was watched. A server that is away does not hold up the
 * end: the batch waits in the journal. */
static void ship_rest(struct agent *agent)
{
    if (!agent->journal || !agent->shipper)
        return;
    uint64_t batch = journal_seal_request(agent->journal);
    if (shipper_wait(agent->shipper, batch, SHIP_GRACE_MS) != 0)
        log_notice("agent", "the last batches stay in the journal until the next start");
}

/* Legal after any part of start. */
static void stop(struct agent *agent)
{
    if (agent->sync)
        agent_sync_cancel(agent->sync);
    agent->control = control_free(agent->control);
    agent->reader = reader_stop(agent->reader);
    if (agent->tracker_running)
        pthread_join(agent->tracker_thread, NULL);
    agent_sources_close(&agent->sources);
    fanotify_group_deinit(&agent->fanotify_group);
    agent_guard_stop(&agent->guard);
    ship_rest(agent);
    agent->shipper = shipper_free(agent->shipper, 0);
    agent->tracker = tracker_free(agent->tracker);
    agent->masking = masking_free(agent->masking);
    agent->journal = journal_free(agent->journal);
    agent->key = signing_key_free(agent->key);
    struct error_text error = ERROR_TEXT_NULL;
    if (agent->recording && recording_writer_close(agent->recording, &error) != 0)
        log_error("recording", "%s", error.text);
    agent->sync = agent_sync_free(agent->sync);
    agent->queue = gulp_queue_free(agent->queue);
    host_facts_deinit(&agent->host);
    buffer_deinit(&agent->host_row);
    cleanup_close(&agent->wake_fd);
    cleanup_close(&agent->signal_fd);
}

int agent_run(const struct agent_options *options, struct error_text *error)
{
    struct agent agent = {.config = options->config,
                          .record_directory = options->record_directory,
                          .own_directory = options->own_directory
                                               ? options->own_directory
                                               : options->config->state_directory,
                          .own_given = options->own_directory != NULL,
                          .fanotify_group = FANOTIFY_GROUP_NULL,
                          .wake_fd = -1,
                          .signal_fd = -1,
                          .clock_offset_ns = INT64_MIN};
    int result = start(&agent, error);
    if (!result) {
        wait_ready(&agent);
        log_notice("agent", "recording this host (host_id %" PRIu64 "), state in %s",
                   agent.config->host_id, agent.config->state_directory);
        sd_notify(0, "READY=1");
        wait_end(&agent);
        sd_notify(0, "STOPPING=1");
    }
    stop(&agent);
    return result;
}
