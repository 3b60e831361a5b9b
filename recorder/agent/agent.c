/* Order of start: guard, journal (one agent a directory), sources (from then on the kernel keeps
 * messages), tracker with what the journal says of the run before, threads. Order of stop: sources
 * and reader, tracker, a last seal, shipper, journal. */
#include "recorder/agent/agent_private.h"

#include "core/cleanup.h"
#include "core/log.h"
#include "recorder/agent/privilege.h"
#include "recorder/agent/unaudited.h"

#include "collectors/bpf/bpf_source.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

enum { SHIP_GRACE_MS = 5000, READY_MS = 10000, HOST_LOOK_S = 5 };
#define STUCK_NS UINT64_C(60000000000)

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

/* The journal's times are the tracker's, also while the wall clock is not believed. */
static uint64_t journal_now_us(void *user)
{
    struct agent *agent = user;
    int64_t offset = atomic_load_explicit(&agent->clock_offset_ns, memory_order_relaxed);
    int64_t now = offset == INT64_MIN ? clock_real_ns() : (int64_t)clock_boot_ns() + offset;
    return now > 0 ? (uint64_t)now / 1000 : 0;
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

/* What can be known to be wrong before anything is opened. */
static int check_paths(const struct agent *agent, struct error_text *error)
{
    int result = agent_control_check(agent, error);
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
    agent->unaudited_before_ns = unaudited_before(agent->config->state_directory,
                                                  agent->host.boot_id, &agent->unaudited_noted);
    return agent_sources_open(&agent->sources, agent->config, &options, error);
}

static int start_masking(struct agent *agent, struct error_text *error)
{
    if (!strcmp(agent->config->masking_mode, "off"))
        return 0;
    return masking_open(&agent->masking, agent->config->masking_rules, error);
}

static int start_queue(struct agent *agent, struct error_text *error)
{
    int result = gulp_queue_new(&agent->queue, (size_t)agent->config->queue_mib * 1048576, 0);
    if (!result)
        result = agent_host_tell_first(agent);
    if (!result)
        result = agent_sync_new(&agent->sync);
    return result ? error_set(error, result, "out of memory") : 0;
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
    return result ? result : agent_tracker_start(agent, error);
}

/* What is heard becomes rows, and rows become files. A server that is away is no matter of life. */
static bool makes_progress(const struct agent *agent)
{
    uint64_t beat = atomic_load(&agent->tracker_beat_ns), now = clock_boot_ns();
    uint64_t idle = now > beat ? now - beat : 0;
    return idle < STUCK_NS && journal_writes_for_ns(agent->journal) < STUCK_NS;
}

/* Every second: the server's clock for the tracker, life for the watchdog, now and then the host;
 * what the disk had no room for. */
static void second_tick(struct agent *agent)
{
    if (agent->seconds++ % HOST_LOOK_S == 0)
        agent_host_look(agent);
    if (!agent->unaudited_noted)
        agent->unaudited_noted = unaudited_note(agent->config->state_directory, agent->host.boot_id,
                                                agent->unaudited_before_ns);

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
        result = agent_tracker_begin(agent, error);
    if (!result)
        result = start_queue(agent, error);
    if (!result)
        result = start_threads(agent, error);
    if (!result)
        result =
            privilege_drop("vestiged", system_calls_mode(agent->config->seccomp), false, error);
    if (!result)
        result = agent_control_start(agent, error);
    /* Threads that the agent began while it was read in /proc could not be told from those before.
     */
    if (!result)
        agent_ask_scan(agent);
    return result;
}

/* The last batch holds the ends of what was watched. A server that is away does not hold up the
 * end: the batch waits in the journal. */
static void ship_rest(struct agent *agent)
{
    if (!agent->journal || !agent->shipper)
        return;
    uint64_t batch = journal_seal_request(agent->journal);
    int result = shipper_wait_reachable(agent->shipper, batch, SHIP_GRACE_MS);
    if (result)
        log_notice("agent",
                   "the server %s: the last batches stay in the journal until the next start",
                   result == -EHOSTUNREACH ? "cannot be reached" : "does not take them now");
}

/* Legal after any part of start. */
static void stop(struct agent *agent)
{
    if (agent->sync)
        agent_sync_cancel(agent->sync);
    agent->control = control_free(agent->control);
    agent->reader = reader_stop(agent->reader);
    agent_tracker_join(agent);
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
