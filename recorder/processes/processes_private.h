#pragma once
/* What the files of the process lifecycle share; nobody else includes it. */
#include "recorder/processes/process.h"
#include "recorder/processes/processes.h"
#include "recorder/processes/programs.h"
#include "recorder/processes/thread_events.h"

#include <openssl/lhash.h>

enum { RECENT_ENDS = 16384 };

/* A direct-mapped memory of the last ends: a /proc entry may be older than the end of its process.
 */
struct recent_end {
    uint32_t pid;
    uint64_t start_ticks, end_ns;
};

struct restored_row {
    uint32_t pid;
    uint64_t id, parent_id, start_ticks, created_us;
    bool same_boot, unaudited;
    struct shared_text *exe;
};

TAILQ_HEAD(process_list, process);

enum { TICKS_SCANNED_MOST = 2 };

struct processes {
    struct processes_options options;
    struct row_output *output;
    struct user_names *names;
    struct programs *programs; /* NULL: nobody looks at files */
    struct fork_ledger ledger;
    OPENSSL_LHASH *living;       /* struct process by pid */
    OPENSSL_LHASH *ended;        /* struct process by pid: ended, not all rows written */
    OPENSSL_LHASH *restored;     /* struct restored_row by id */
    struct actors *actors;       /* images that have ended */
    struct row_queue waiting;    /* not inserted */
    struct row_queue ending;     /* inserted, ended, numbers of the end still missing */
    struct row_queue late;       /* inserted without settle columns */
    struct row_queue unnamed;    /* the same, of kernel threads whose name is not known */
    struct row_queue undigested; /* the same, while their programs are read */
    struct row_queue refused;    /* the sink did not take the insert or the end */
    struct process_list births;  /* all that are in memory, parents before their children */
    struct process_list changes; /* with pending changes of ids */
    struct recent_end recent[RECENT_ENDS];
    struct buffer fields; /* scratch for image_fill */
    struct buffer words;
    size_t image_bytes;           /* in the fields of all images */
    uint64_t n_arguments_dropped; /* images whose arguments were over the bound, not yet in a gap */
    uint64_t audit_horizon_ns;    /* of the newest audit event heard; never ahead of its hearing */
    uint32_t login_turn;          /* counts the logins */
    uint64_t unheard_since_ns;    /* when the run before in this boot had its last word, or 0 */
    uint64_t mark_ns;             /* of the mark of that run; 0: there is none */
    bool initial_scan_done, scan_running, scan_ended;
    uint64_t scan_begin_ns, last_scan_begin_ns;
    uint64_t n_unstored;
    uint64_t n_adopted_new;      /* alive in the first scan and unknown to the journal */
    uint64_t n_threads_new;      /* threads that were not heard, of those processes */
    uint64_t n_threads_unstored; /* likewise, of those that were born before the mark */
    uint64_t n_threads_kept;     /* likewise, of processes that an earlier run left open */
    struct thread_events thread_events;
    size_t n_threads_unclear; /* processes whose threads are to be counted once more */
    unsigned n_thread_asks;   /* for that, since all were clear */
    uint64_t thread_asked_ns; /* the last time */
    bool scan_wanted;
    bool threads_forgotten;   /* not all that was heard in the initial scan had a place */
    unsigned n_ticks_scanned; /* ticks since the initial scan, up to TICKS_SCANNED_MOST */
};

/* Whether a serial of audit was given out before another; they wrap around. */
static inline bool audit_serial_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

static inline uint64_t processes_now(const struct processes *p)
{
    return p->output->timeline->now_boot_ns;
}

/* processes.c */
struct process *processes_find(struct processes *p, uint32_t pid);
/** The last life of this pid that has ended and is not all written; `older_life` leads on. */
struct process *processes_find_ended(struct processes *p, uint32_t pid);
/** The newest life of this pid that had begun at @p ns, which is of a coarse clock. */
struct process *processes_find_at(struct processes *p, uint32_t pid, uint64_t ns);
/** Add a process to the table; an older one of the same pid ends as unknown. */
struct process *processes_add(struct processes *p, uint32_t pid, uint64_t fork_ns);
void processes_end(struct processes *p, struct process *process, uint64_t ns, enum end_cause cause);
/** Drop a process from the memory of ended ones when all its rows are written. */
void processes_release(struct processes *p, struct process *process);

/* processes_actor.c */
/** An image has ended: keep who it was. */
void processes_remember_actor(struct processes *p, const struct process_row *row);
/** The last that is known of a row which is about to be forgotten. */
void processes_refresh_actor(struct processes *p, const struct process_row *row);

/* processes_rows.c */
struct process_row *rows_begin(struct processes *p, struct process *process, uint64_t created_ns);
/** The row's situation changed: write what can be written. The row may be freed. */
void rows_evaluate(struct processes *p, struct process_row *row);
void rows_end(struct processes *p, struct process_row *row, uint64_t ns, enum end_cause cause);
void rows_tick(struct processes *p);
void rows_flush(struct processes *p);
void rows_checkpoint(struct processes *p, struct process_row *row);
void rows_change(struct processes *p, uint64_t process_id, unsigned seen_by, uint64_t boot_ns,
                 const char *kind, struct slice old_value, struct slice new_value);

/* processes_image.c */
/** The process executes a program at @p ns: its present image ends, and this is the next one's row,
 *  of which no source but @p seen_by has spoken yet. NULL when memory is exhausted. */
struct process_row *image_begin(struct processes *p, struct process *process, uint64_t ns,
                                unsigned seen_by);
/** Describe the image: the fields of a row between comm and session_id. */
void image_fill(struct processes *p, struct image *image, struct slice exe,
                const struct slice *argv, uint32_t n_argv, uint32_t argc, struct slice cwd,
                struct slice tty);

/** Whether the image is known to be of another file than @p exe. */
bool image_is_another(struct processes *p, const struct image *image, struct slice exe);

/* processes_connector.c */
void connector_fact(struct processes *p, const struct fact *fact);
void connector_flush_changes(struct processes *p, struct process *process);
/** Write the change of the name that waits for the old one, known or not. */
void connector_flush_comm(struct processes *p, struct process *process);
void connector_tick(struct processes *p);

/* processes_audit.c, processes_alone.c, processes_login.c */
void audit_fact(struct processes *p, const struct fact *fact);
/** Nobody will say whose the word was that came for this row: it is not told. */
void audit_forget_guess(struct process_row *row);
/** An exec at @p ns which the connector did not tell of: its row, or NULL when the record says
 *  nothing new. */
struct process_row *alone_exec(struct processes *p, const struct fact_audit_exec *exec,
                               uint64_t ns);
void login_fact(struct processes *p, const struct fact *fact);

/* processes_program.c */
int program_begin(struct processes *p) MUST_CHECK;
/** What its image executes is known: have the file looked at, once an image. */
void program_ask(struct processes *p, struct process_row *row);

/* processes_stats.c, processes_proc.c */
void stats_fact(struct processes *p, const struct fact *fact);
void proc_fact(struct processes *p, const struct fact *fact);
void proc_tick(struct processes *p);
/** A row left open by an earlier run, of this pid and boot, becomes a living process, which is one
 * that began at @p start_ticks or later; 0: nobody knows. */
struct process *proc_adopt(struct processes *p, uint32_t pid, uint64_t start_ticks);

/* processes_threads.c */
/** A thread of @p tgid was born (1) or has ended (-1); @p process may be NULL: nobody knows it. */
void threads_note(struct processes *p, struct process *process, uint32_t tgid, int change,
                  uint64_t ns);
/** By how many the threads of @p tgid have grown by what was heard up to a moment, or after it. */
int threads_change(const struct processes *p, uint32_t tgid, uint64_t moment_ns, bool after);
/** Compare the entry of /proc with what was heard of the process, which is @p known since before
 *  this entry, or not. */
void threads_count(struct processes *p, struct process *process, const struct fact *fact,
                   bool known);
/** How many births, its own and its threads', a process that the entry discovers stands for. */
int64_t threads_implied(const struct processes *p, const struct fact *fact);
void threads_end(struct processes *p, struct process *process);
void threads_tick(struct processes *p);

/* processes_restore.c */
/** Whether /proc shows another program than the row that was restored has. */
bool restored_image_differs(struct processes *p, const struct shared_text *restored_exe,
                            const struct fact_proc_process *entry);
void restore_end(struct processes *p, bool same_boot, uint64_t ended_us, enum end_cause cause);
