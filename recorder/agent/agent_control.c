/* `status` reads what others keep; `sync` goes the way of the data: sources, tracker, journal,
 * server. */
#include "recorder/agent/agent_private.h"

#include "recorder/agent/privilege.h"

#include "collectors/fanotify/fanotify_source.h"
#include "collectors/inotify/inotify_source.h"
#include "collectors/utmp/utmp_source.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

enum { CONTROL_PATH_SIZE = CONFIG_PATH_SIZE + 16 };

static void control_path(const struct agent *agent, char path[CONTROL_PATH_SIZE])
{
    snprintf(path, CONTROL_PATH_SIZE, "%s/vestiged.sock", agent->config->state_directory);
}

int agent_control_check(const struct agent *agent, struct error_text *error)
{
    char path[CONTROL_PATH_SIZE];
    control_path(agent, path);
    return control_check_path(path, error);
}

static void append_status(void *user, struct buffer *out)
{
    struct agent *agent = user;
    struct journal_status journal;
    struct shipper_status shipper = {0};
    journal_get_status(agent->journal, &journal);
    shipper_get_status(agent->shipper, &shipper);
    buffer_printf(out, "host_id %" PRIu64 "\npid %d\nboot_id %s\nseccomp %s\n",
                  agent->config->host_id, (int)getpid(), agent->host.boot_id,
                  SYSTEM_CALLS_SANITIZED ? "off" : agent->config->seccomp);
    buffer_printf(out,
                  "lag_ms %" PRIu64 "\nbatches_waiting %" PRIu64 "\nlast_shipped %" PRIu64
                  "\nserver_connected %d\n",
                  journal.oldest_age_us / 1000, shipper.n_waiting, shipper.last_shipped,
                  shipper.connected);
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

struct late_source {
    struct source *source; /* NULL: it is not open */
    void (*request)(struct source *source);
    uint64_t (*read_until)(const struct source *source);
};

/* Events wait in the kernel while the source's thread naps, or with it until it knows more. One
 * that hangs in a filesystem holds up what it has, and not the answer. */
static void read_source(const struct late_source *late, uint64_t deadline)
{
    uint64_t now = clock_boot_ns();
    if (!late->source)
        return;
    if (deadline > now)
        deadline = now + (deadline - now) / 4;
    late->request(late->source);
    while (late->read_until(late->source) < now && clock_boot_ns() < deadline)
        poll(NULL, 0, 1);
}

static void read_late_sources(const struct agent *agent, uint64_t deadline)
{
    const struct agent_sources *sources = &agent->sources;
    const struct late_source late[] = {
        {sources->fanotify, fanotify_source_request, fanotify_source_read_until},
        {sources->inotify,  inotify_source_request,  inotify_source_read_until },
        {sources->utmp,     utmp_source_request,     utmp_source_read_until    },
    };
    for (size_t i = 0; i < sizeof(late) / sizeof(late[0]); i++)
        read_source(&late[i], deadline);
}

/* Everything seen before the call is in rows when the tracker has answered the mark; then what was
 * appended is sealed, shipped and committed. */
static int run_sync(void *user, unsigned timeout_ms, struct buffer *out)
{
    struct agent *agent = user;
    uint64_t deadline = clock_boot_ns() + timeout_ms * UINT64_C(1000000);
    read_late_sources(agent, deadline);
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

int agent_control_start(struct agent *agent, struct error_text *error)
{
    char path[CONTROL_PATH_SIZE];
    control_path(agent, path);
    struct control_ops ops = {.user = agent, .status = append_status, .sync = run_sync};
    return control_start(&agent->control, path, &ops, error);
}
