#pragma once
/*
 * A process (one life of a pid) and its rows (one for each program image). A row is inserted when
 * its sources have spoken or its time is up; a process that has ended lives on in memory until its
 * rows are written.
 */
#include "core/fact.h"
#include "recorder/lifecycle/comm.h"
#include "recorder/lifecycle/row_output.h"
#include "recorder/lifecycle/shared_text.h"

#include <sys/queue.h>

struct credentials {
    uint32_t uid, euid, gid, egid;
};

/* What an exec brought: the settle columns between comm and session_id, as text of a line. A child
 * shares it with its parent until it execs; it is filled when audit has spoken. */
LIST_HEAD(row_refs, process_row);

/* What is known of its file. */
enum program_state { PROGRAM_NOT_ASKED, PROGRAM_PENDING, PROGRAM_TOLD };

struct image {
    unsigned owners;
    bool known;                 /* as complete as it will be */
    bool guessed;               /* of a record that may be of another image: not to be told */
    char comm[16];              /* as the exec set it; "": not known yet */
    struct shared_text *fields; /* exe .. tty as text of a line; NULL: not known, or dropped */
    size_t *total_bytes;        /* of all images' fields, for the bound */
    enum program_state program_state;
    uint32_t program_pid;        /* in whose name it was asked for */
    struct shared_text *program; /* exe_sha256 .. exe_modified_at as text of a line; or NULL */
    struct row_refs rows;        /* that share it */
};

/* What a record of audit says besides the image, while nobody knows whether it is this row's. */
struct audit_word {
    int64_t real_ms;
    uint32_t serial, ppid, login_uid, session;
    struct credentials ids;
};

struct process;

struct process_row {
    TAILQ_ENTRY(process_row) in_queue;
    struct row_queue *queue; /* the queue it stands in, or NULL */
    uint64_t deadline_ns;
    struct process_row *older; /* the image before it, while that one is not done */
    struct process *process;
    uint64_t id, previous_id, parent_id;
    uint64_t created_ns, exec_ns, ended_ns; /* exec_ns 0: began by fork; ended_ns 0: lives */
    uint64_t before_ns;  /* when the image before it began, or the process: its record is younger */
    uint64_t seen_ns;    /* when /proc showed this image; 0: never */
    uint64_t created_us; /* as it was inserted */
    enum end_cause end_cause;
    uint32_t ppid;
    struct credentials birth;
    uint32_t login_uid, session;
    struct image *image; /* by process_row_set_image */
    LIST_ENTRY(process_row) in_image;
    char comm[16]; /* "": the image's */
    unsigned seen_by;
    struct audit_word word;
    bool audit_expected, audit_joined;
    bool audit_guessed; /* a record has come that may be its own: `word` and the guessed image */
    bool parent_open;   /* its parent is yet to be found, or checked, by the first scan */
    /* What the database will have: a row is finished when all three are true. */
    bool inserted, settled, end_written;
};

TAILQ_HEAD(row_list, process_row);

/* Rows in the order of their deadlines. */
struct row_queue {
    struct row_list rows;
    size_t n;
};

struct process_end {
    bool seen_exit, seen_stats;
    uint32_t code;      /* of the task whose EXIT was told last, as in wait(2) */
    bool code_known;    /* an EXIT was */
    uint32_t last_code; /* of the task that taskstats calls the last one */
    bool threaded;      /* others than the leader ended */
    uint32_t uid;       /* real, at exit; ID_UNSET */
    char comm[16];      /* at exit */
    uint64_t user_us, system_us, max_rss_kib, read_bytes, write_bytes;
    uint64_t ns;
};

enum { PENDING_CHANGES = 2 };

/* A change of ids which belongs to the next image, should an exec follow at once. */
struct pending_change {
    bool is_gid;
    uint64_t boot_ns;
    uint32_t old_real, old_effective, real, effective;
};

/* What threads that /proc shows and nobody has heard of were counted as. */
enum threads_as {
    THREADS_NOT_COUNTED,
    THREADS_KEPT,     /* of a process that an earlier run left open */
    THREADS_UNSTORED, /* of one that an earlier run knew and had no row of yet */
    THREADS_NEW,      /* of one that is new, in the first scan */
    THREADS_IMPLIED   /* their FORK is among the missing messages */
};

/* How a process that /proc showed before its FORK was heard was counted. */
enum discovered_as { NOT_DISCOVERED, DISCOVERED_FIRST, DISCOVERED_LATER };

struct process {
    unsigned owners; /* the table, and each row that is not done */
    uint32_t pid, ppid;
    uint64_t current_id;                /* of the row of the image that runs now */
    uint64_t birth_id, parent_birth_id; /* of the first row: no other process ever has it */
    uint64_t fork_ns, start_ticks;
    uint64_t image_ns; /* when the image that runs now began */
    uint32_t n_threads;
    struct credentials now;
    uint32_t login_uid, session, sid;
    char comm[16];             /* as it is now; "": the image's */
    char deferred_comm[16];    /* a change whose old value will be known when the image is */
    uint64_t deferred_comm_ns; /* 0: there is none */
    struct shared_text *container;
    uint64_t pid_ns, mnt_ns, net_ns;
    bool kernel_thread, own, unaudited;
    bool unseen; /* a row of an earlier run was taken up; /proc has yet to show by whom */
    enum discovered_as discovered;
    bool birth_guessed;     /* its FORK was not heard: it began before fork_ns */
    bool stored;            /* at least one of its rows is inserted */
    bool threads_uncertain; /* messages were lost: the thread count proves nothing */
    bool threads_unclear;   /* a thread was born or ended while /proc was read */
    enum threads_as threads_as;
    int64_t threads_unheard;  /* so many of its threads; less than 0 counts as none */
    uint64_t threads_read_ns; /* when the reading that was compared had ended; 0: not known */
    bool ended;
    bool leader_gone;        /* its first thread has ended, others run */
    bool replaced;           /* another process got its pid before its EXIT was heard */
    bool in_snapshot;        /* found by the full scan that is under way */
    struct process_row *row; /* of the image that runs now; then the older ones */
    struct image *image;     /* of the image that runs now */
    struct shared_text
        *restored_exe; /* of the row of an earlier run, while it is unseen; or NULL */
    struct process_end end;
    uint32_t login_turn; /* the last login that it has to do with */
    unsigned n_pending;
    struct pending_change pending[PENDING_CHANGES];
    struct process *older_life; /* of the same pid, ended, while its rows are not all written */
    TAILQ_ENTRY(process) in_changes;
    bool changes_queued;
    TAILQ_ENTRY(process) in_births;
};

struct process *process_new(uint32_t pid, uint64_t fork_ns);
struct process *process_ref(struct process *process);
struct process *process_unref(struct process *process);
/** A row of the process for the image that begins at @p created_ns; it becomes the current one and
 *  owns a reference of the process. NULL when memory is exhausted. */
struct process_row *process_add_row(struct process *process, uint64_t id, uint64_t created_ns);
/** Give up the image it has, if any, and share @p image; NULL: none. */
void process_row_set_image(struct process_row *row, struct image *image);
/** The row is done: unlink it from its process and free it. */
void process_row_finish(struct process_row *row);

/** @p total_bytes counts the bytes of the fields of all images, and outlives them. */
struct image *image_new(size_t *total_bytes);
/** Takes @p fields over; NULL drops what there is. */
void image_consume_fields(struct image *image, struct shared_text *fields);
/** The name that @p comm stands for when it is "". */
static inline struct slice comm_or_image(const char comm[16], const struct image *image)
{
    return comm[0] || !image || image->guessed ? comm_slice(comm) : comm_slice(image->comm);
}
struct image *image_ref(struct image *image);
struct image *image_unref(struct image *image);

void row_queue_init(struct row_queue *queue);
/** Put @p row at the end of @p queue, taking it out of the queue it stood in. */
void row_queue_put(struct row_queue *queue, struct process_row *row, uint64_t deadline_ns);
void row_queue_remove(struct process_row *row);

/** Whether a process that /proc says began at @p start_ticks had this pid already when one is said
 *  to have begun at @p told_ticks. The latter is a FORK message's time, which is after the start:
 * by a rounding as a rule, by much when the parent was preempted. So both are the same process, or
 * the one in /proc is older. */
static inline bool process_began_by(uint64_t start_ticks, uint64_t told_ticks)
{
    return start_ticks <= told_ticks + 1;
}
