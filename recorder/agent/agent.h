#pragma once
/*
 * The agent as a whole: opens journal and sources, starts the threads, waits for the end, stops
 * them in order.
 *
 *   reader thread    sources -> gulps -> queue
 *   tracker thread   queue -> rows -> journal's buffer
 *   journal thread   buffer -> files           (recorder/journal/journal.h)
 *   shipper thread   files -> MariaDB          (recorder/shipper/shipper.h)
 *   control thread   answers `status` and `sync`
 *   main thread      signals, clock, watchdog
 *   guard process    puts audit back if the agent is killed (recorder/agent/agent_guard.h)
 */
#include "recorder/agent/config.h"

struct agent_options {
    const struct config *config;
    const char *record_directory; /* NULL: no recording */
    const char *own_directory;    /* files below it are the recorder's own; NULL: its state */
};

/** Runs until SIGTERM or SIGINT. Returns 0, or an error with its text. */
int agent_run(const struct agent_options *options, struct error_text *error) MUST_CHECK;
/** Feed a recording to the tracker and write its lines to standard output. @p config_path, which
 * may be NULL, is read for the rules of masking where the recording was masked by some of its
 * host's own. */
int agent_replay(const char *directory, const char *config_path,
                 struct error_text *error) MUST_CHECK;
