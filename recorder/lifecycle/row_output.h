#pragma once
/*
 * The way of a row out of the tracker: ids and times, one line builder, the sink, and the count of
 * what the sink refused, which becomes gap rows as soon as it takes lines again.
 */
#include "recorder/lifecycle/timeline.h"
#include "recorder/row/row_sink.h"

#include "core/counter.h"

enum seen_by {
    SEEN_BY_AUDIT = 1 << 0,
    SEEN_BY_CONNECTOR = 1 << 1,
    SEEN_BY_TASKSTATS = 1 << 2,
    SEEN_BY_PROC = 1 << 3,
    SEEN_BY_SOCK_DIAG = 1 << 4,
    SEEN_BY_BPF = 1 << 5,
    SEEN_BY_FANOTIFY = 1 << 6,
    SEEN_BY_INOTIFY = 1 << 7,
    SEEN_BY_UDEV = 1 << 8,
    SEEN_BY_UTMP = 1 << 9,
    SEEN_BY_AGENT = 1 << 10,
    SEEN_BY_RTNETLINK = 1 << 11
};

enum end_cause {
    END_EXIT,
    END_EXEC,
    END_CLOSED,
    END_REMOVED,
    END_RECONCILED,
    END_REBOOT,
    END_UNKNOWN
};

struct row_output {
    struct row_sink sink;
    struct line line;
    struct timeline *timeline;
    struct counters *counters;
    char boot_id[37];
    /* Refused by the sink since the last gap row: */
    uint64_t refused_processes, refused_rows;
    uint64_t refused_first_ns, refused_last_ns;
    int refused_error;
};

/** Finish the line at hand and give it to the sink. Returns 0 or the sink's error. */
int row_output_send(struct row_output *output) MUST_CHECK;
/** Count a refused row; @p is_process: it is a process that has no other row. */
void row_output_refused(struct row_output *output, bool is_process, int error);
/** The time of a moment of the boot clock, as a value of the line at hand. */
void row_output_time(struct row_output *output, uint64_t boot_ns);
void row_output_seen_by(struct row_output *output, unsigned seen_by);
/** The values of an end, or, of a row that is still open, their NULLs. */
void row_output_end(struct row_output *output, bool ended, uint64_t ended_us, enum end_cause cause);
const char *end_cause_name(enum end_cause cause);
