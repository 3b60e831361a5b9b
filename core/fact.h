#pragma once
/*
 * A fact: one thing that a source saw, decoded. Slices point into the message or into the decoder
 * and are valid only until the handler returns. Numbers that the source did not give have the
 * value that is named beside them. Process ids are those of the first pid namespace.
 */
#include "core/gulp.h"

#define ID_UNSET UINT32_MAX /* uid, gid, login uid, audit session: unknown or not set */

enum fact_kind {
    /* process connector, Documentation of cn_proc: include/uapi/linux/cn_proc.h */
    FACT_SEQUENCE, /* one a connector message: for loss counting */
    FACT_FORK,
    FACT_EXEC,
    FACT_UID,
    FACT_GID,
    FACT_SID,
    FACT_COMM,
    FACT_EXIT,
    /* taskstats, Documentation/accounting/taskstats-struct.rst */
    FACT_TASK_STATS,
    /* audit */
    FACT_AUDIT_EXEC,
    FACT_AUDIT_LOGIN,
    FACT_AUDIT_HOLE, /* serials that never came */
    FACT_AUDIT_LOST, /* the kernel's own counter went up */
    /* /proc */
    FACT_PROC_PROCESS, /* a living process */
    FACT_PROC_SCAN,    /* a full scan began or ended */
    FACT_FORK_TOTAL,   /* `processes` of /proc/stat, between two clock readings */
    FACT_USER_NAME,
    /* any source */
    FACT_OVERRUN, /* messages were lost, number unknown */
    FACT_NOTE,    /* mode and detail of the source, for `coverage` */
    FACT_N
};

struct fact_task {
    uint32_t pid;  /* the task (thread) */
    uint32_t tgid; /* its process */
};

struct fact_fork {
    struct fact_task parent, child;
};

/* UID and GID: real and effective. */
struct fact_ids {
    struct fact_task task;
    uint32_t real, effective;
};

struct fact_comm {
    struct fact_task task;
    struct slice comm;
};

struct fact_exit {
    struct fact_task task;
    uint32_t code;        /* as in wait(2): status << 8 | signal */
    uint32_t parent_tgid; /* real parent; 0: unknown */
};

struct fact_sequence {
    uint32_t cpu, sequence;
};

struct fact_task_stats {
    uint32_t pid, tgid; /* tgid 0: the kernel is too old to say */
    uint32_t ppid;
    uint32_t uid, gid;   /* real, at exit */
    uint32_t exit_code;  /* the leader's, see taskstats version 12; others 0 */
    bool last;           /* AGROUP: this was the last task of its process */
    bool forked_no_exec; /* AFORK */
    struct slice comm;
    uint64_t begin_real_s; /* 0: unknown */
    uint64_t elapsed_us;
    uint64_t user_us, system_us;
    uint64_t max_rss_kib;
    uint64_t read_bytes, write_bytes; /* storage I/O; UINT64_MAX: unknown */
};

struct fact_audit_exec {
    uint32_t serial;
    int64_t real_ms; /* the record's time, milliseconds since 1970; of a coarse clock */
    uint32_t pid, ppid;
    uint32_t login_uid, session;
    uint32_t uid, euid, gid, egid;
    struct slice comm, exe, tty, cwd; /* SLICE_NULL: unknown; tty "(none)" is given as empty */
    const struct slice *argv;
    uint32_t argc;   /* declared by the kernel */
    uint32_t n_argv; /* in argv; fewer than argc: pieces were lost */
    struct slice key;
};

struct fact_audit_login {
    uint32_t serial;
    int64_t real_ms;
    uint32_t pid;
    uint32_t old_login_uid, login_uid, old_session, session;
};

struct fact_audit_hole {
    uint32_t first, last; /* serials missing, inclusive */
};

struct fact_audit_lost {
    uint32_t records; /* since the last report */
};

struct fact_proc_process {
    uint32_t pid, ppid;
    uint64_t start_ticks; /* field 22 of /proc/PID/stat */
    uint32_t n_threads;   /* 0: it has ended, and its parent has not looked yet */
    bool kernel_thread;
    uint32_t uid, euid, gid, egid, login_uid, session, sid;
    uint64_t pid_ns, mnt_ns, net_ns;  /* inode numbers, 0: could not be read */
    struct slice comm, exe, cwd, tty; /* SLICE_NULL: could not be read */
    struct slice cgroup, container;   /* container: the id in the cgroup's path, or SLICE_NULL */
    const struct slice *argv;
    uint32_t argc; /* 0 and argv NULL: could not be read */
};

struct fact_proc_scan {
    bool begin;         /* else: end */
    uint32_t n_threads; /* end: living threads that are not leaders and started after `since` */
};

struct fact_fork_total {
    uint64_t total;               /* forks of tasks since boot */
    uint64_t before_ns, after_ns; /* CLOCK_BOOTTIME around the reading */
};

struct fact_user_name {
    uint32_t uid;
    struct slice name; /* SLICE_NULL: there is none */
};

struct fact_note {
    struct slice mode, detail;
};

struct fact {
    enum fact_kind kind;
    enum source_id source;
    uint64_t boot_ns; /* when it happened as far as the source knows, else when it was read */
    union {
        struct fact_sequence sequence;
        struct fact_fork fork;
        struct fact_task exec, sid;
        struct fact_ids uid, gid;
        struct fact_comm comm;
        struct fact_exit exit;
        struct fact_task_stats task_stats;
        struct fact_audit_exec audit_exec;
        struct fact_audit_login audit_login;
        struct fact_audit_hole audit_hole;
        struct fact_audit_lost audit_lost;
        struct fact_proc_process proc_process;
        struct fact_proc_scan proc_scan;
        struct fact_fork_total fork_total;
        struct fact_user_name user_name;
        struct fact_note note;
    };
};

/** Receives facts. May keep nothing that the fact's slices point to. */
typedef void (*fact_handler)(void *user, const struct fact *fact);
