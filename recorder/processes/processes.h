#pragma once
/*
 * The lifecycle of processes: facts of connector, taskstats, audit and /proc become rows of
 * `process` and `process_change`. One thread; no system calls; the same facts give the same rows.
 *
 *   connector   birth, exec, changes of ids and names, end of every task
 *   taskstats   the end of a process, with its numbers
 *   audit       login user, arguments, program
 *   /proc       what was there before, and what the others could not say
 */
#include "recorder/lifecycle/actors.h"
#include "recorder/lifecycle/row_output.h"
#include "recorder/lifecycle/user_names.h"
#include "recorder/processes/fork_ledger.h"

struct masking;
struct processes;

struct processes_options {
    struct row_output *output;
    struct user_names *names;
    uint64_t settle_ns;      /* how long a row waits for its sources, and an end for its numbers */
    uint64_t fork_ns;        /* an image between fork and exec that lasted longer is a row */
    uint64_t late_ns;        /* how long a row waits for a late audit record */
    size_t late_most;        /* how many rows may wait so; the oldest are settled as they are */
    size_t image_bytes_most; /* of programs and arguments in memory; over it arguments are dropped
                                and counted */
    bool audit_active;       /* an exec without audit record is worth waiting */
    bool taskstats_active;
    bool connector_active;
    uint64_t unaudited_before_ns; /* tasks forked before have no audit context; 0: all have one */
    uint32_t agent_pid;           /* its threads end with it, so a mark leaves them out */
    uint32_t own_pid;             /* the recorder; its descendants are marked `own` */
    struct masking *masking;      /* of secrets in command lines; NULL: none. Not taken over */
    void *user;
    /** Have the file of a program looked at; must not block. NULL: nobody does. */
    void (*ask_program)(void *user, uint64_t request, uint32_t pid, uint32_t root_pid,
                        struct slice path);
    /** An image has ended; NULL: nobody wants to know. */
    void (*image_ended)(void *user, const struct actor *actor);
};

int processes_new(struct processes **processesp,
                  const struct processes_options *options) MUST_CHECK;
struct processes *processes_free(struct processes *processes);

/** Connector, taskstats, audit, /proc and programs' facts; others are ignored. */
void processes_fact(struct processes *processes, const struct fact *fact);
/** All sockets have been read: run what is due. */
void processes_tick(struct processes *processes);
/** Connector messages are missing: thread counts prove nothing before the next full scan. */
void processes_hole(struct processes *processes);
/** Audit began or ceased to be heard. */
void processes_set_audit(struct processes *processes, bool active);

/** Rows that are still waiting to be inserted or ended, born or ended before @p boot_ns. */
bool processes_settled_until(const struct processes *processes, uint64_t boot_ns);
/** No exec of the last seconds before @p boot_ns has a row already and still waits for audit's
 * word. */
bool processes_told_until(const struct processes *processes, uint64_t boot_ns);
/** No program that was executed before @p boot_ns is still looked at. */
bool processes_digested_until(const struct processes *processes, uint64_t boot_ns);
/** Write every row that waits, as it is. Ends nothing that lives. */
void processes_flush(struct processes *processes);

/* What a mark has to keep, and what a restart starts from. */
struct processes_state {
    uint64_t forks;            /* the kernel's total that is accounted for; 0: not yet known */
    uint64_t unstored;         /* processes that are known and in no row yet */
    uint64_t threads;          /* living threads that are not leaders */
    uint64_t unstored_threads; /* those of them whose process is in no row yet */
};
void processes_get_state(struct processes *processes, struct processes_state *state);
/** While it cannot be said what was lost since @p before, @p state goes on from it: with what this
 * run has heard, and less what was thought to be lost and is not. So nothing is counted twice if
 * this run is killed, too. Numbers may be negative, and are then so modulo 2^64. */
void processes_go_on(const struct processes *processes, const struct processes_state *before,
                     uint64_t stored_after, struct processes_state *state);
/** When the mark of the run before in this boot was written (CLOCK_BOOTTIME); not said: there was
 *  none. */
void processes_set_mark(struct processes *processes, uint64_t mark_ns);

/** A row which an earlier run left open (or closed, by an end line). @p values as in a journal
 * line. To be called for each line of the journal, in order, before the first fact. */
void processes_restore(struct processes *processes, enum verb verb, uint64_t id,
                       const struct slice *values, size_t n_values);
/** All lines have been restored. Rows of another boot are ended as `reboot` at @p last_ns' real
 * time
 *  @p last_real_us. */
void processes_restored(struct processes *processes, uint64_t last_real_us);
/** Insert lines of all rows that are open now, for a checkpoint. */
void processes_checkpoint(struct processes *processes);

/** What was lost while nobody listened. */
struct processes_unheard {
    bool known;   /* the kernel's total told it */
    int64_t lost; /* processes */
    int64_t at_most;
};
/** The first full scan has ended and the ledger is calibrated: count the processes that were born
 *  since @p before and are neither stored nor alive. @p stored_after: process rows that were in the
 *  journal behind the mark. Returns false while it cannot be said yet. */
bool processes_unheard(struct processes *processes, const struct processes_state *before,
                       uint64_t stored_after, struct processes_unheard *unheard);
/** The threads of all processes have been compared with what was heard of them, or some process has
 *  too many births and ends for that: what was lost can be said. */
bool processes_threads_counted(const struct processes *processes);
/** Whether /proc should be read once more; said once. */
bool processes_take_scan_wanted(struct processes *processes);
/** How many images lost their arguments to the bound since the last call. */
uint64_t processes_take_arguments_dropped(struct processes *processes);
/** Boot time at which the last complete full scan began; 0: none yet. */
uint64_t processes_last_scan_ns(const struct processes *processes);
struct fork_ledger *processes_ledger(struct processes *processes);
size_t processes_living(const struct processes *processes);
/** Who @p pid was at @p at_ns (boot clock); false: nobody knows. */
bool processes_actor(struct processes *processes, uint32_t pid, uint64_t at_ns,
                     struct actor *actor);
/** The last who @p pid was between these two moments, inclusive. */
bool processes_actor_between(struct processes *processes, uint32_t pid, uint64_t from_ns,
                             uint64_t until_ns, struct actor *actor);
/** Who @p pid is now; false: there is no such process. */
bool processes_living_actor(struct processes *processes, uint32_t pid, struct actor *actor);
enum { PROCESSES_ACTORS_MOST = 5 };
/** The images of @p pid that ran at some moment between, oldest first. Returns how many. */
size_t processes_actors(struct processes *processes, uint32_t pid, uint64_t since_ns,
                        uint64_t until_ns, struct actor actors[PROCESSES_ACTORS_MOST]);
