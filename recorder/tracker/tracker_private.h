#pragma once
/* The tracker's state, for the files tracker*.c. */
#include "recorder/accounts/accounts.h"
#include "recorder/devices/devices.h"
#include "recorder/endpoints/endpoints.h"
#include "recorder/files/files.h"
#include "recorder/kernel_events/kernel_events.h"
#include "recorder/kernel_events/time_records.h"
#include "recorder/lifecycle/findings.h"
#include "recorder/lifecycle/gap.h"
#include "recorder/networks/networks.h"
#include "recorder/processes/processes.h"
#include "recorder/sessions/boots.h"
#include "recorder/sessions/sessions.h"
#include "recorder/tracker/host_names.h"
#include "recorder/tracker/loss.h"
#include "recorder/tracker/standing_rows.h"
#include "recorder/tracker/tracker.h"

enum { TOKENS_MOST = 64 };

struct pending_sync {
    uint64_t token, at_ns;
    uint64_t settled_ns; /* when all was in a row, or lost; 0: it is not */
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
    uint64_t next_checkpoint_ns, next_hurried_ns, last_mark_ns;
    struct buffer mark;
    uint32_t audit_serial;
    _Atomic int64_t server_boot_ns; /* the server's clock minus our boot clock */
    _Atomic bool ready;
};

/* -- tracker.c -- */
void tracker_message(struct tracker *tracker, const struct message *message);

/* -- tracker_new.c -- */
/** @p user is the tracker: one of the lifecycles asks, or the tracker itself. */
void tracker_ask_socket_scan(void *user);

/* -- tracker_coverage.c: what the agent and its sources say of themselves -- */
/** A message of SOURCE_AGENT. */
void tracker_agent_said(struct tracker *tracker, struct slice bytes);
/** A source says how it works, or that it cannot. */
void tracker_note(struct tracker *tracker, const struct fact *fact);
