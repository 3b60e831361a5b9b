#pragma once
/*
 * What a collector is: a table of functions, and an opaque handle of its own.
 *
 * The life of a source:
 *   open    subscribe. From then on the kernel keeps messages for us. Everything that needs
 *           privilege happens here. Says in @p error what is missing and what to do.
 *   drain   on the reader thread, every 10 to 20 ms: move all messages that wait into the gulp,
 *           until EAGAIN. Never blocks, never decodes, never allocates for each message. A lost
 *           message (ENOBUFS) becomes a MESSAGE_OVERRUN in the gulp, at its place in the order.
 *           A message whose sender is not the kernel is counted and left out.
 *   stop    ask for no more messages, restore what open changed in the kernel; what is already
 *           queued can still be drained. The thread of a source of events first tells what waits.
 *   free    close descriptors, release memory; without a stop before, as after a start of the agent
 *           that failed, do first what stop does.
 *
 * Decoding is separate and pure: a decoder has no descriptor, reads no clock, no file and writes no
 * log. It may keep state between messages (an audit event comes in several records) within a bound.
 * The reader's thread, unit tests, replay and fuzzers call the same `decode`.
 */
#include "core/counter.h"
#include "core/fact.h"

struct source; /* each collector defines its own and casts */
struct fanotify_group;

/* Outcomes of drain. */
enum {
    SOURCE_DRAINED = 0, /* read until EAGAIN */
    SOURCE_MORE = 1     /* the gulp is full, there is more */
};

/* From where a file that grows is read on; inode 0: from its beginning. */
struct login_cursor {
    uint64_t inode, offset; /* bytes */
    uint64_t first,
        last; /* digests of the first record and of the one before the offset; 0: unknown */
};

struct source_options {
    size_t receive_buffer;         /* bytes for SO_RCVBUFFORCE */
    const char *state_directory;   /* where a source may keep what it must restore; NULL: nowhere */
    const char *audit_rules;       /* "own" or "none" */
    const char *audit_mode;        /* "auto" or "guest" */
    uint32_t audit_backlog_limit;  /* as owner; 0: leave it */
    int audit_guard;               /* channel of audit_guard.h; 0: there is none */
    uint32_t guard_pid;            /* of the process at its other end */
    uint32_t proc_interval_ms;     /* 0: 250 */
    uint32_t proc_full_interval_s; /* 0: 10 */
    bool proc_on_request;          /* the first scan waits for a request, at most a second */
    uint32_t sock_diag_interval_s; /* 0: 30 */
    bool kernel_events;            /* audit: rules of them are wanted */
    bool kernel_event_paths;       /* audit: and PATH records, of every event */
    bool bpf_active;               /* ends of TCP sockets and who uses sockets come from BPF */
    const char *name_servers;      /* as c-ares takes them; NULL or "": the system's */
    uint32_t name_timeout_ms;      /* 0: 2000 */
    uint32_t user_keep_s;          /* how long the switch is believed about a user; 0: 600 */
    uint32_t user_absent_s;        /* and that there is none, or no answer; 0: 60 */
    bool fanotify_active;          /* what fanotify can watch, it does */
    struct fanotify_group
        *fanotify_group;       /* made while this process was root; taken over. NULL: none */
    const char *files_include; /* globs by blanks, as in fnmatch(3), * matches / too; "": all */
    const char *files_exclude; /* globs by blanks: nothing of these paths is told */
    const char *files_exclude_reads; /* globs by blanks: only changes of these are told */
    const char *files_exclude_types; /* names of filesystem types by blanks */
    const char *files_trees;         /* directories by blanks, for inotify */
    uint32_t files_watches;          /* directories that inotify watches at most; 0: 65536 */
    const char *own_directory;       /* of the recorder itself: nothing in it is told; NULL: none */
    uint32_t files_scan_interval_s;  /* of looks at /proc/PID/fd; 0: 30 */
    uint64_t program_largest;        /* bytes of a program that is hashed; 0: 256 MiB */
    const char *accounts_directory;  /* that of passwd, shadow, group and gshadow; NULL: /etc */
    const char *utmp_path, *wtmp_path, *btmp_path; /* NULL: the system's */
    struct login_cursor wtmp_cursor, btmp_cursor;
    struct counters *counters;
    int wake_fd; /* eventfd of the reader, for sources with a thread of their own; or -1 */
};

struct decoder; /* each collector defines its own and casts */

struct source_ops {
    enum source_id id;
    int (*open)(struct source **sourcep, const struct source_options *options,
                struct error_text *error) MUST_CHECK;
    int (*drain)(struct source *source, struct gulp *gulp) MUST_CHECK;
    void (*stop)(struct source *source);
    struct source *(*free)(struct source *source);

    int (*decoder_new)(struct decoder **decoderp) MUST_CHECK;
    /** Returns 0, or -EBADMSG for a message that cannot be understood (facts decoded before the
     *  fault may have been handed out). */
    int (*decode)(struct decoder *decoder, const struct message *message, fact_handler handler,
                  void *user) MUST_CHECK;
    struct decoder *(*decoder_free)(struct decoder *decoder);
};

/** Of a source whose messages are understood one by one: its decoder is NULL. */
static inline int decoder_none_new(struct decoder **decoderp)
{
    *decoderp = NULL;
    return 0;
}

static inline struct decoder *decoder_none_free(struct decoder *decoder)
{
    return decoder;
}
