/* A recording goes through the same decoders and the same tracker; only the clock and the sink are
 * others. Recordings of runs that began with an empty journal give the same rows, but for what came
 * from the server's side: a confirmed clock step, and gaps for what journal or server refused. */
#include "recorder/agent/agent.h"

#include "core/cleanup.h"
#include "recorder/agent/agent_sources.h"
#include "recorder/agent/recording_settings.h"
#include "recorder/masking/masking.h"
#include "recorder/reader/recording.h"
#include "recorder/row/row_sink_stream.h"
#include "recorder/tracker/tracker.h"

#include <stdio.h>

DEFINE_CLEANUP(auto_recording_reader, struct recording_reader, recording_reader_free);
DEFINE_CLEANUP(auto_masking, struct masking, masking_free);
DEFINE_CLEANUP(auto_tracker, struct tracker, tracker_free);

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

/* The rules themselves are not in the recording. */
static int open_own_masking(struct masking **maskingp, const char *config_path,
                            struct error_text *error)
{
    struct config *config = NULL;
    int result = config_path ? config_load(&config, config_path, error) : 0;
    if (!result && (!config || !config->masking_rules[0]))
        result = error_set(error, -EINVAL,
                           "replay: secrets were masked by rules of that host's own: name its "
                           "configuration with --config, else they would be shown");
    if (!result)
        result = masking_open(maskingp, config->masking_rules, error);
    config_free(config);
    return result;
}

static int open_masking(struct masking **maskingp, const char *settings, const char *config_path,
                        struct error_text *error)
{
    switch (recording_settings_masking(settings)) {
    case RECORDING_UNMASKED:
        return 0;
    case RECORDING_MASKED_BY_OWN_RULES:
        return open_own_masking(maskingp, config_path, error);
    default:
        return masking_open(maskingp, "", error);
    }
}

int agent_replay(const char *directory, const char *config_path, struct error_text *error)
{
    struct recording_reader *reader CLEANUP(auto_recording_reader) = NULL;
    /* These outlive the tracker. */
    struct masking *masking CLEANUP(auto_masking) = NULL;
    struct recording_lists lists CLEANUP(recording_lists_deinit) = {0};
    struct tracker *tracker CLEANUP(auto_tracker) = NULL;
    struct counters counters = {0};
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
    result = open_masking(&masking, header->settings, config_path, error);
    if (result)
        return result;
    options.masking = masking;
    options.sources = agent_sources_all(&options.n_sources);
    recording_settings_read(&options, &lists, header->settings);
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
