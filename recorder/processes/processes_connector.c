/* Connector facts, in the order of reception: birth of every task, exec, changes, death.
 *
 * A process has ended when its last task has: the count of its threads is brought to 0, or
 * taskstats has marked the last task. EXIT of the leader alone proves nothing, and a thread that
 * execs takes over the leader's pid without an EXIT of its own; counting stays right in both cases.
 *
 * A change of ids that directly precedes an EXEC belongs to the new image (setuid programs), so a
 * change waits for the next message of its process. */
#include "recorder/processes/processes_private.h"

#include <stdio.h>

static const uint64_t change_wait_ns = 50000000;

static void inherit(struct process *child, const struct process *parent)
{
    child->now = parent->now;
    child->login_uid = parent->login_uid;
    child->session = parent->session;
    child->sid = parent->sid;
    child->container = shared_text_ref(parent->container);
    child->pid_ns = parent->pid_ns;
    child->mnt_ns = parent->mnt_ns;
    child->net_ns = parent->net_ns;
    child->own = parent->own;
    child->parent_birth_id = parent->birth_id;
    child->kernel_thread = parent->kernel_thread;
    /* A kernel thread is given a name of its own, and nobody tells of it. */
    if (parent->kernel_thread)
        return;
    memcpy(child->comm, parent->comm, sizeof(child->comm));
    child->image = image_ref(parent->image);
}

/* The kernel shows a task in /proc before it tells of it, rarely by so much that a scan has found
 * it by then. It has a row; what is heard now has been counted otherwise. */
static bool was_discovered(struct processes *p, uint32_t pid, uint64_t fork_ns)
{
    static const uint64_t late_ticks = 10;
    struct process *process = processes_find(p, pid);
    uint64_t ticks = fork_ns / 10000000;
    if (!process || process->discovered == NOT_DISCOVERED ||
        !process_began_by(process->start_ticks, ticks) || ticks > process->start_ticks + late_ticks)
        return false;
    if (process->discovered == DISCOVERED_FIRST)
        p->n_adopted_new--;
    else
        fork_ledger_implied(&p->ledger, -1);
    process->discovered = NOT_DISCOVERED;
    process->in_snapshot = true;
    return true;
}

static void on_fork(struct processes *p, const struct fact *fact)
{
    const struct fact_fork *fork = &fact->fork;
    fork_ledger_heard(&p->ledger, fact->boot_ns);
    if (fork->child.pid != fork->child.tgid) {
        struct process *process = processes_find(p, fork->child.tgid);
        if (process)
            process->n_threads++;
        threads_note(p, process, fork->child.tgid, 1, fact->boot_ns);
        return;
    }
    if (was_discovered(p, fork->child.tgid, fact->boot_ns))
        return;
    struct process *parent = processes_find(p, fork->parent.tgid);
    if (!parent)
        parent = proc_adopt(p, fork->parent.tgid, 0);
    if (parent)
        connector_flush_changes(p, parent);
    struct process *child = processes_add(p, fork->child.tgid, fact->boot_ns);
    if (!child)
        return;
    child->ppid = fork->parent.tgid;
    child->in_snapshot = true;
    if (parent)
        inherit(child, parent);
    child->own |= child->pid == p->options.own_pid;
    struct process_row *row = rows_begin(p, child, fact->boot_ns);
    if (!row)
        return;
    row->parent_id = parent ? parent->current_id : 0;
    row->parent_open = !p->initial_scan_done && (!parent || parent->unseen);
    row->seen_by = SEEN_BY_CONNECTOR;
}

/* A process whose FORK was not heard. */
static struct process *imply(struct processes *p, uint32_t tgid, uint64_t ns)
{
    struct process *process = proc_adopt(p, tgid, 0);
    if (process)
        return process;
    process = processes_add(p, tgid, ns);
    if (!process)
        return NULL;
    if (p->initial_scan_done)
        fork_ledger_implied(&p->ledger, 1);
    else
        p->n_adopted_new++; /* born before anybody listened, and not lost */
    process->birth_guessed = true;
    process->threads_uncertain = true;
    process->in_snapshot = true;
    struct process_row *row = rows_begin(p, process, ns);
    if (row)
        row->seen_by = SEEN_BY_CONNECTOR;
    return process;
}

static void on_exec(struct processes *p, const struct fact *fact)
{
    struct process *process = processes_find(p, fact->exec.tgid);
    if (!process)
        process = imply(p, fact->exec.tgid, fact->boot_ns);
    if (!process)
        return;
    if (process->n_pending &&
        fact->boot_ns - process->pending[process->n_pending - 1].boot_ns < change_wait_ns)
        process->n_pending = 0;
    connector_flush_changes(p, process);
    connector_flush_comm(p, process);
    if (image_begin(p, process, fact->boot_ns, SEEN_BY_CONNECTOR))
        process->leader_gone = false;
}

/* Whose EXIT it is: of the process that lives, or of one that was found to have ended before. */
static struct process *exiting(struct processes *p, const struct fact *fact)
{
    const struct fact_exit *exit = &fact->exit;
    struct process *living = processes_find(p, exit->task.tgid);
    struct process *waiting = NULL;
    for (struct process *life = processes_find_ended(p, exit->task.tgid); life;
         life = life->older_life)
        if (!life->end.seen_exit && (!living || life->replaced))
            waiting = life;
    if (waiting)
        return waiting;
    if (living)
        return living;
    if (exit->task.pid == exit->task.tgid)
        return imply(p, exit->task.tgid, fact->boot_ns);
    if (p->initial_scan_done && threads_change(p, exit->task.tgid, fact->boot_ns, false) <= 0)
        fork_ledger_implied(&p->ledger, 1);
    return NULL;
}

static void on_task_exit(struct processes *p, const struct fact *fact)
{
    const struct fact_exit *exit = &fact->exit;
    struct process *process = exiting(p, fact);
    if (exit->task.pid != exit->task.tgid)
        threads_note(p, process, exit->task.tgid, -1, fact->boot_ns);
    if (!process)
        return;
    connector_flush_changes(p, process);
    bool leader = exit->task.pid == exit->task.tgid;
    process->end.code = exit->code;
    process->end.code_known = true;
    process->end.threaded |= !leader;
    bool unheard_thread = process->threads_uncertain && process->n_threads == 1 && !leader &&
                          !process->leader_gone; /* its FORK is missing */
    if (unheard_thread && p->initial_scan_done)
        fork_ledger_implied(&p->ledger, 1);
    else if (!unheard_thread && process->n_threads)
        process->n_threads--;
    process->leader_gone |= leader;
    if (process->ended) {
        process->end.seen_exit = process->n_threads == 0 || process->threads_uncertain;
        if (process->row)
            rows_evaluate(p, process->row);
        return;
    }
    /* With messages missing, the end is what taskstats says; a scan finds what both have missed. */
    bool counted = !process->threads_uncertain || !p->options.taskstats_active;
    if (counted && process->n_threads == 0) {
        process->end.seen_exit = true;
        processes_end(p, process, fact->boot_ns, END_EXIT);
    }
}

static void change_text(char *text, size_t size, uint32_t real, uint32_t effective)
{
    if (real == ID_UNSET)
        snprintf(text, size, "unset");
    else if (real == effective)
        snprintf(text, size, "%u", real);
    else
        snprintf(text, size, "%u/%u", real, effective);
}

static void write_change(struct processes *p, const struct process *process,
                         const struct pending_change *change)
{
    char before[32], after[32];
    change_text(before, sizeof(before), change->old_real, change->old_effective);
    change_text(after, sizeof(after), change->real, change->effective);
    rows_change(p, process->current_id, SEEN_BY_CONNECTOR, change->boot_ns,
                change->is_gid ? "gid" : "uid", slice_text(before), slice_text(after));
}

void connector_flush_changes(struct processes *p, struct process *process)
{
    for (unsigned i = 0; i < process->n_pending; i++)
        write_change(p, process, &process->pending[i]);
    process->n_pending = 0;
    if (process->changes_queued) {
        TAILQ_REMOVE(&p->changes, process, in_changes);
        process->changes_queued = false;
    }
}

static void on_ids(struct processes *p, const struct fact *fact, bool is_gid)
{
    const struct fact_ids *ids = is_gid ? &fact->gid : &fact->uid;
    struct process *process = processes_find(p, ids->task.tgid);
    if (!process)
        return;
    uint32_t *real = is_gid ? &process->now.gid : &process->now.uid;
    uint32_t *effective = is_gid ? &process->now.egid : &process->now.euid;
    struct pending_change change = {.is_gid = is_gid,
                                    .boot_ns = fact->boot_ns,
                                    .old_real = *real,
                                    .old_effective = *effective,
                                    .real = ids->real,
                                    .effective = ids->effective};
    *real = ids->real;
    *effective = ids->effective;
    if (change.old_real == change.real && change.old_effective == change.effective)
        return;
    if (process->n_pending == PENDING_CHANGES)
        connector_flush_changes(p, process);
    process->pending[process->n_pending++] = change;
    if (!process->changes_queued) {
        TAILQ_INSERT_TAIL(&p->changes, process, in_changes);
        process->changes_queued = true;
    }
}

void connector_flush_comm(struct processes *p, struct process *process)
{
    if (!process->deferred_comm_ns)
        return;
    struct slice before = process->image ? comm_slice(process->image->comm) : SLICE_NULL;
    rows_change(p, process->current_id, SEEN_BY_CONNECTOR, process->deferred_comm_ns, "comm",
                before, comm_slice(process->deferred_comm));
    process->deferred_comm_ns = 0;
}

static void on_comm(struct processes *p, const struct fact *fact)
{
    struct process *process = processes_find(p, fact->comm.task.tgid);
    if (!process || fact->comm.task.pid != fact->comm.task.tgid)
        return;
    connector_flush_changes(p, process);
    struct slice before = comm_or_image(process->comm, process->image);
    if (slice_equal(before, fact->comm.comm) && !slice_is_null(before))
        return;
    if (slice_is_null(before) && !process->deferred_comm_ns) {
        comm_set(process->deferred_comm, fact->comm.comm);
        process->deferred_comm_ns = fact->boot_ns;
    } else {
        rows_change(p, process->current_id, SEEN_BY_CONNECTOR, fact->boot_ns, "comm", before,
                    fact->comm.comm);
    }
    comm_set(process->comm, fact->comm.comm);
}

static void on_sid(struct processes *p, const struct fact *fact)
{
    struct process *process = processes_find(p, fact->sid.tgid);
    if (!process || process->sid == fact->sid.tgid)
        return;
    connector_flush_changes(p, process);
    char before[16] = "", after[16];
    if (process->sid != ID_UNSET)
        snprintf(before, sizeof(before), "%u", process->sid);
    snprintf(after, sizeof(after), "%u", fact->sid.tgid);
    rows_change(p, process->current_id, SEEN_BY_CONNECTOR, fact->boot_ns, "sid",
                *before ? slice_text(before) : SLICE_NULL, slice_text(after));
    process->sid = fact->sid.tgid;
}

void connector_fact(struct processes *p, const struct fact *fact)
{
    switch (fact->kind) {
    case FACT_FORK:
        on_fork(p, fact);
        break;
    case FACT_EXEC:
        on_exec(p, fact);
        break;
    case FACT_EXIT:
        on_task_exit(p, fact);
        break;
    case FACT_UID:
        on_ids(p, fact, false);
        break;
    case FACT_GID:
        on_ids(p, fact, true);
        break;
    case FACT_COMM:
        on_comm(p, fact);
        break;
    case FACT_SID:
        on_sid(p, fact);
        break;
    default:
        break;
    }
}

void connector_tick(struct processes *p)
{
    struct process *process;
    while ((process = TAILQ_FIRST(&p->changes)) &&
           process->pending[0].boot_ns + change_wait_ns < processes_now(p))
        connector_flush_changes(p, process);
}
