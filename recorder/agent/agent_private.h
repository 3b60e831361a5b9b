#pragma once
/* The agent's state, for the files agent*.c of this folder. What a member points at belongs to it,
 * if nothing else is said. */
#include "recorder/agent/agent.h"
#include "recorder/agent/agent_guard.h"
#include "recorder/agent/agent_sources.h"
#include "recorder/agent/agent_sync.h"
#include "recorder/agent/control.h"
#include "recorder/agent/host_facts.h"
#include "recorder/journal/journal.h"
#include "recorder/masking/masking.h"
#include "recorder/reader/recording.h"
#include "recorder/shipper/shipper.h"
#include "recorder/tracker/tracker.h"

#include "collectors/fanotify/fanotify_group.h"

#include <pthread.h>
#include <stdatomic.h>

struct agent {
    const struct config *config;                  /* the caller's */
    const char *record_directory, *own_directory; /* the caller's */
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
    bool unaudited_noted; /* for the runs after this one; else there was no room for it */
    _Atomic int64_t
        clock_offset_ns; /* the tracker's real time minus boot time; INT64_MIN: not set */
    pthread_t tracker_thread;
    _Atomic uint64_t
        tracker_beat_ns; /* when it was seen to do something, or to have nothing to do */
    bool tracker_running;
    int wake_fd, signal_fd;
    unsigned seconds; /* ticks of one */
};

/* -- agent_tracker.c: the tracker, its thread, and what it asks of others -- */

/** What an earlier run left is restored, and what the tracker is given is recorded, when that is
 *  wanted. */
int agent_tracker_begin(struct agent *agent, struct error_text *error) MUST_CHECK;
int agent_tracker_start(struct agent *agent, struct error_text *error) MUST_CHECK;
/** After the reader has stopped. */
void agent_tracker_join(struct agent *agent);
/** Let all of /proc be looked at. */
void agent_ask_scan(struct agent *agent);

/* -- agent_host.c: what the tracker is told of the host -- */

/** What it has to know before the first message: the host, the boot, what is not watched. */
int agent_host_tell_first(struct agent *agent) MUST_CHECK;
/** A host gets another name, time zone or release while it runs. */
void agent_host_look(struct agent *agent);

/* -- agent_control.c: the answers of the control socket -- */

int agent_control_check(const struct agent *agent, struct error_text *error) MUST_CHECK;
int agent_control_start(struct agent *agent, struct error_text *error) MUST_CHECK;
