/* A recording goes through the same decoders and the same tracker; only the clock and the sink are
 * others. Recordings of runs that began with an empty journal give the same rows, but for what came
 * from the server's side: a confirmed clock step, and gaps for what journal or server refused. */
#include "recorder/agent/agent.h"

#include "core/cleanup.h"
#include "recorder/agent/agent_sources.h"
#include "recorder/masking/masking.h"
#include "recorder/reader/recording.h"
#include "recorder/row/row_sink_stream.h"
#include "recorder/tracker/tracker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

DEFINE_CLEANUP(auto_recording_reader, struct recording_reader, recording_reader_free);
DEFINE_CLEANUP(auto_masking, struct masking, masking_free);
DEFINE_CLEANUP(auto_tracker, struct tracker, tracker_free);

/* "name=number name=number ...": the number, or @p otherwise. */
static uint64_t setting(const char *settings, const char *name, uint64_t otherwise)
{
    size_t length = strlen(name);
    for (const char *at = strstr(settings, name); at; at = strstr(at + 1, name))
        if ((at == settings || at[-1] == ' ') && at[length] == '=')
            return strtoull(at + length + 1, NULL, 10);
    return otherwise;
}

/* A list of words, divided by tabs; NULL: there is none. */
static char *list_setting(const char *settings, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = strstr(settings, name); at; at = strstr(at + 1, name)) {
        if (at == settings || at[-1] != ' ' || at[length] != '=')
            continue;
        char *list = strndup(at + length + 1, strcspn(at + length + 1, " "));
        for (char *tab = list; tab && (tab = strchr(tab, '\t'));)
            *tab = ' ';
        return list;
    }
    return NULL;
}

static void read_settings(struct tracker_options *options, const char *settings)
{
    options->connector_active = setting(settings, "connector", 1);
    options->taskstats_active = setting(settings, "taskstats", 1);
    options->audit_active = setting(settings, "audit", 1);
    options->bpf_active = setting(settings, "bpf", 0);
    options->resolver_active = setting(settings, "resolver", 0);
    options->kernel_events_active = setting(settings, "kernel_events", 0);
    options->programs_active = setting(settings, "programs", 0);
    options->login_ms = (unsigned)setting(settings, "login_ms", 0);
    options->utmp_active = setting(settings, "utmp", 0);
    options->host_names_most = (uint32_t)setting(settings, "host_names", 0);
    options->settle_ms = (unsigned)setting(settings, "settle_ms", 250);
    options->fork_ms = (unsigned)setting(settings, "fork_ms", 100);
    options->late_s = (unsigned)setting(settings, "remember_s", 0);
    options->late_mib = (unsigned)setting(settings, "remember_mib", 0);
    options->file_rate = (uint32_t)setting(settings, "file_rate", 0);
    options->unaudited_before_ns = setting(settings, "unaudited_before", 0);
}

/* The answer is in the recording, if there was one: rows wait for it as they did. */
static void on_ask_name(void *user, uint32_t uid)
{
    (void)user;
    (void)uid;
}

static void on_ask_program(void *user, uint64_t request, uint32_t pid, uint32_t root_pid,
                           struct slice path)
{
    (void)user;
    (void)request;
    (void)pid;
    (void)root_pid;
    (void)path;
}

int agent_replay(const char *directory, struct error_text *error)
{
    struct recording_reader *reader CLEANUP(auto_recording_reader) = NULL;
    struct masking *masking CLEANUP(auto_masking) = NULL; /* outlives the tracker */
    struct tracker *tracker CLEANUP(auto_tracker) = NULL;
    static struct counters counters;
    int result = recording_reader_open(&reader, directory, error);
    if (result)
        return result;
    const struct recording_header *header = recording_reader_header(reader);
    struct tracker_options options = {.sink = row_sink_stream(stdout),
                                      .counters = &counters,
                                      .boot_id = header->boot_id,
                                      .boot_ns = header->boot_ns,
                                      .real_ns = header->real_ns,
                                      .own_pid = header->own_pid,
                                      .connector_active = true,
                                      .taskstats_active = true,
                                      .audit_active = true,
                                      .ask_name = on_ask_name,
                                      .ask_program = on_ask_program};
    if (setting(header->settings, "masking", 1))
        result = masking_open(&masking, "", error);
    if (result)
        return result;
    options.masking = masking;
    options.sources = agent_sources_all(&options.n_sources);
    read_settings(&options, header->settings);
    char *programs AUTO_FREE = list_setting(header->settings, "exclude_programs");
    char *reads AUTO_FREE = list_setting(header->settings, "exclude_reads");
    options.files_exclude_programs = programs;
    options.files_exclude_reads = reads;
    result = tracker_new(&tracker, &options);
    if (result)
        return error_set(error, result, "out of memory");
    struct tracker_recovery recovery = {.cursors = ""};
    if (tracker_begin(tracker, &recovery) != TIMELINE_STEADY)
        fprintf(stderr, "vestiged: the recording's clock was implausible\n");
    tracker_restored(tracker);
    const struct gulp *gulp;
    while ((result = recording_reader_next(reader, &gulp, error)) == RECORDING_GULP)
        tracker_gulp(tracker, gulp);
    tracker_finish(tracker);
    if (fflush(stdout) == EOF)
        return error_set(error, -errno, "cannot write to standard output: %s", strerror(errno));
    return result == RECORDING_END ? 0 : result;
}
