#pragma once
/*
 * Turns gulps of raw messages into rows: decodes them, hands the facts to the lifecycles, keeps the
 * account of losses, and marks in the journal from where a restart can go on. One thread; it makes
 * no system call that can block; fed with the same gulps it gives the same rows.
 */
#include "collectors/source.h"
#include "recorder/row/row_sink.h"
#include "recorder/tracker/cursors.h"

struct masking;
struct tracker;

struct tracker_options {
    struct row_sink sink;
    struct counters *counters;
    const struct source_ops *const *sources; /* whose decoders are needed */
    size_t n_sources;
    const char *boot_id;
    uint64_t boot_ns; /* clocks at the start */
    int64_t real_ns;
    uint32_t agent_pid;
    struct masking *masking;                       /* of secrets; NULL: none. Not taken over */
    uint32_t own_pid;                              /* root of the recorder's own processes */
    uint64_t unaudited_before_ns;                  /* see processes_options; 0: unknown */
    unsigned settle_ms, fork_ms, late_s, late_mib; /* 0: 250, 100, 60, 8 */
    bool connector_active, taskstats_active, audit_active, bpf_active, sock_diag_active;
    bool resolver_active;               /* names of addresses are looked up */
    bool kernel_events_active;          /* rows of kernel events are wanted */
    bool programs_active;               /* files of programs are looked at */
    unsigned login_ms;                  /* see sessions.h; 0: 2000 */
    bool utmp_active;                   /* files of logins are read */
    uint32_t host_names_most;           /* remembered; 0: 16384 */
    uint32_t file_rate;                 /* rows a second of one program; 0: no limit */
    const char *files_exclude_programs; /* globs by blanks; NULL: none */
    const char *files_exclude_reads;    /* likewise; see files_options */
    /* What the tracker asks of others; each may be NULL, and none may block. */
    void *user;
    void (*ask_name)(void *user, uint32_t uid);
    bool (*ask_host_name)(void *user, const struct inet_address *address); /* false: not now */
    void (*ask_program)(void *user, uint64_t request, uint32_t pid, uint32_t root_pid,
                        struct slice path);
    void (*ask_scan)(void *user);
    void (*ask_socket_scan)(void *user);
    void (*ask_files_read)(void *user); /* for a FACT_FILES_READ */
    void (*ask_devices)(void *user);    /* for a FACT_DEVICES_READ */
    void (*sync_done)(void *user,
                      uint64_t token);          /* all that was seen before the mark is appended */
    void (*checkpoint)(void *user, bool begin); /* lines between are a checkpoint's */
    bool (*checkpoint_due)(void *user);         /* it is wanted soon; may be NULL */
};

int tracker_new(struct tracker **trackerp, const struct tracker_options *options) MUST_CHECK;
struct tracker *tracker_free(struct tracker *tracker);

/** What the journal of an earlier run says: first each line, then, once, the rest. */
void tracker_restore(struct tracker *tracker, enum verb verb, enum table_id table, uint64_t id,
                     const struct slice *values, size_t n_values);
struct tracker_recovery {
    const char *cursors; /* "" for the first start ever */
    uint64_t last_time_us;
    uint64_t births_after_mark;
};
/** To be called once before the first line is restored: it sets the clock. Returns an outcome of
 *  timeline_init. */
int tracker_begin(struct tracker *tracker, const struct tracker_recovery *recovery);
/** All lines have been restored. */
void tracker_restored(struct tracker *tracker);

/*
 * Messages of SOURCE_AGENT, kind MESSAGE_DATA, are text: a table's name, then the values of a
 * standing row of it behind seen_by, as fields of a line, tab separated. By them host and boot
 * reach the tracker on the same way as everything else, and a recording holds them.
 */
void tracker_gulp(struct tracker *tracker, const struct gulp *gulp);
/** Rows that the server refused, or that were in a damaged batch. Any thread. */
void tracker_rejected(struct tracker *tracker, uint64_t n);
/** The server's clock minus this host's boot clock, nanoseconds: a measurement stays true when the
 *  wall clock steps after it. Any thread. */
void tracker_server_time(struct tracker *tracker, int64_t server_boot_ns);
/** Write all that waits, end what ends with the recording, and the last mark. */
void tracker_finish(struct tracker *tracker);
/** Real minus boot time as the rows have it, nanoseconds. The tracker's thread. */
int64_t tracker_clock_offset(const struct tracker *tracker);
/** The first full scan of /proc is done: all that lives is known. Any thread. */
bool tracker_ready(const struct tracker *tracker);
