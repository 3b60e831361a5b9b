/* /proc: processes that were there before, fields that nobody else gives, and the check that no end
 * was missed. An entry may be older than what the connector has already said; start times and the
 * memory of recent ends tell. */
#include "recorder/processes/processes_private.h"

/* The entry is of a process that has ended since, or of one before it. */
static bool recently_ended(const struct processes *p, const struct fact_proc_process *entry)
{
    const struct recent_end *end = &p->recent[entry->pid % RECENT_ENDS];
    return end->pid == entry->pid && process_began_by(entry->start_ticks, end->start_ticks);
}

static void take_text(struct shared_text **to, struct slice bytes)
{
    if (slice_is_null(bytes) || slice_equal(shared_text_slice(*to), bytes))
        return;
    shared_text_unref(*to);
    *to = shared_text_new(bytes);
}

static uint64_t start_ns(const struct fact_proc_process *entry)
{
    return entry->start_ticks * 10000000;
}

/* The time of birth was that of the first message. */
static void correct_birth(struct process *process, const struct fact_proc_process *entry)
{
    struct process_row *row = process->row;
    if (!process->birth_guessed || start_ns(entry) >= process->fork_ns)
        return;
    process->birth_guessed = false;
    process->fork_ns = start_ns(entry);
    if (row && !row->inserted && !row->previous_id)
        row->created_ns = row->before_ns = process->fork_ns;
}

/* What does not change at an exec, or what nobody said before. */
static void complete_process(struct process *process, const struct fact_proc_process *entry)
{
    correct_birth(process, entry);
    process->start_ticks = entry->start_ticks;
    process->kernel_thread = entry->kernel_thread;
    take_text(&process->container, entry->container);
    if (entry->pid_ns)
        process->pid_ns = entry->pid_ns;
    if (entry->mnt_ns)
        process->mnt_ns = entry->mnt_ns;
    if (entry->net_ns)
        process->net_ns = entry->net_ns;
    if (!process->ppid)
        process->ppid = entry->ppid;
    if (process->sid == ID_UNSET)
        process->sid = entry->sid;
    if (process->now.uid == ID_UNSET)
        process->now = (struct credentials){entry->uid, entry->euid, entry->gid, entry->egid};
    if (process->login_uid == ID_UNSET)
        process->login_uid = entry->login_uid;
    if (process->session == ID_UNSET)
        process->session = entry->session;
}

static void complete_row(struct processes *p, struct process *process, const struct fact *fact)
{
    const struct fact_proc_process *entry = &fact->proc_process;
    struct process_row *row = process->row;
    if (!row || fact->boot_ns < row->exec_ns)
        return;
    row->seen_ns = fact->boot_ns;
    if (row->settled)
        return;
    if (!process->image)
        process->image = image_new(&p->image_bytes);
    if (!row->image)
        process_row_set_image(row, process->image);
    if (row->image && !row->image->known && !row->image->fields)
        image_fill(p, row->image, entry->exe, entry->argv, entry->argc, entry->argc, entry->cwd,
                   entry->tty);
    if (row->image && slice_is_null(comm_or_image(row->comm, row->image)))
        comm_set(row->image->guessed ? row->comm : row->image->comm, entry->comm);
    if (!row->audit_expected)
        program_ask(p, row);
    if (row->login_uid == ID_UNSET)
        row->login_uid = process->login_uid;
    if (row->session == ID_UNSET)
        row->session = process->session;
    if (row->birth.uid == ID_UNSET)
        row->birth = process->now;
    if (row->inserted) {
        rows_evaluate(p, row);
        return;
    }
    if (!row->ppid)
        row->ppid = process->ppid;
    row->seen_by |= SEEN_BY_PROC;
}

/* Rows that were born before it was known what their parent is; until now it was taken for
 * @p taken_id, 0: for nobody. */
static void name_parent(struct processes *p, const struct process *parent, uint64_t taken_id)
{
    struct process_row *row;
    TAILQ_FOREACH(row, &p->waiting.rows, in_queue)
    if (row->parent_id == taken_id && row->ppid == parent->pid && row->process != parent) {
        row->parent_id = parent->current_id;
        row->parent_open = false;
    }
}

/* @p taken_id: of the row that was taken for its own until now. */
static struct process *discover(struct processes *p, const struct fact *fact, uint64_t taken_id)
{
    const struct fact_proc_process *entry = &fact->proc_process;
    struct process *process = processes_add(p, entry->pid, start_ns(entry));
    if (!process)
        return NULL;
    if (p->initial_scan_done) {
        process->discovered = DISCOVERED_LATER;
        fork_ledger_implied(&p->ledger, threads_implied(p, fact));
        process->threads_uncertain = true;
    } else {
        process->discovered = DISCOVERED_FIRST;
        p->n_adopted_new++;
    }
    struct process *parent = processes_find(p, entry->ppid);
    process->ppid = entry->ppid;
    process->own = entry->pid == p->options.own_pid || (parent && parent->own);
    process->unaudited = !entry->kernel_thread && start_ns(entry) < p->options.unaudited_before_ns;
    comm_set(process->comm, entry->comm);
    complete_process(process, entry);
    struct process_row *row = rows_begin(p, process, start_ns(entry));
    if (!row)
        return process;
    row->seen_by = SEEN_BY_PROC;
    row->parent_id = parent ? parent->current_id : 0;
    row_queue_put(&p->waiting, row, fact->boot_ns + p->options.settle_ns);
    complete_row(p, process, fact);
    name_parent(p, process, taken_id);
    return process;
}

/* A row of an earlier run has been taken up. If it is of another program, the process has executed
 * since, while nobody watched. Those that it forked since this run began have the new one as their
 * parent. */
static void check_adopted(struct processes *p, struct process *process, const struct fact *fact)
{
    const struct fact_proc_process *entry = &fact->proc_process;
    struct process_row *before = process->row;
    if (!process->unseen || !before)
        return;
    uint64_t before_id = before->id;
    if (process->restored_exe && restored_image_differs(p, process->restored_exe, entry)) {
        uint64_t began_ns = p->unheard_since_ns;
        if (began_ns < start_ns(entry))
            began_ns = start_ns(entry);
        struct process_row *row = rows_begin(p, process, began_ns);
        if (row) {
            row->previous_id = before_id;
            row->parent_id = before->parent_id;
            row->seen_by = SEEN_BY_PROC;
            row_queue_put(&p->waiting, row, fact->boot_ns + p->options.settle_ns);
        }
        rows_end(p, before, fact->boot_ns, END_RECONCILED);
    }
    process->restored_exe = shared_text_unref(process->restored_exe);
    process->unseen = false;
    name_parent(p, process, before_id);
}

/* A row of an earlier run is written, but the children of its process inherit what it is. */
static void complete_adopted(struct processes *p, struct process *process,
                             const struct fact_proc_process *entry)
{
    if (process->image || !process->row || !process->row->inserted)
        return;
    process->image = image_new(&p->image_bytes);
    if (!process->image)
        return;
    image_fill(p, process->image, entry->exe, entry->argv, entry->argc, entry->argc, entry->cwd,
               entry->tty);
    process->image->known = true;
    comm_set(process->image->comm, entry->comm);
    comm_set(process->comm, entry->comm);
    process_row_set_image(process->row, process->image);
    program_ask(p, process->row);
    process->own |= process->pid == p->options.own_pid;
}

/* The process that the entry speaks of, if it is known. Its pid may have been given to another
 * while nobody watched, and a message of that one taken for the former's: @p taken_id is then the
 * row. */
static struct process *known_process(struct processes *p, const struct fact *fact,
                                     uint64_t *taken_id)
{
    const struct fact_proc_process *entry = &fact->proc_process;
    struct process *process = processes_find(p, entry->pid);
    if (!process || process_began_by(entry->start_ticks, process->start_ticks))
        return process;
    if (process->unseen) {
        *taken_id = process->current_id;
        processes_end(p, process, fact->boot_ns, END_RECONCILED);
    }
    return NULL;
}

static void on_process(struct processes *p, const struct fact *fact)
{
    const struct fact_proc_process *entry = &fact->proc_process;
    uint64_t taken_id = 0;
    if (entry->n_threads == 0)
        return;
    struct process *process = known_process(p, fact, &taken_id);
    bool known = process != NULL;
    if (known && process->start_ticks > entry->start_ticks + 1 && fact->boot_ns < process->fork_ns)
        return; /* it was read before this one was there */
    if (!known && recently_ended(p, entry))
        return;
    if (!known)
        process = proc_adopt(p, entry->pid, entry->start_ticks);
    if (!process) {
        process = discover(p, fact, taken_id);
    } else {
        check_adopted(p, process, fact);
        complete_process(process, entry);
        complete_row(p, process, fact);
        complete_adopted(p, process, entry);
    }
    if (!process)
        return;
    process->in_snapshot = true;
    threads_count(p, process, fact, known);
}

static void forget_mark(void *item)
{
    ((struct process *)item)->in_snapshot = false;
}

static void on_scan(struct processes *p, const struct fact *fact)
{
    if (fact->proc_scan.begin) {
        p->scan_running = true;
        p->scan_ended = false;
        p->scan_begin_ns = fact->boot_ns;
        OPENSSL_LH_doall(p->living, forget_mark);
    } else if (p->scan_running) {
        p->scan_ended = true;
    }
}

void proc_fact(struct processes *p, const struct fact *fact)
{
    if (fact->kind == FACT_PROC_PROCESS)
        on_process(p, fact);
    else
        on_scan(p, fact);
}

struct gone {
    struct processes *p;
    struct process *list[64];
    size_t n;
};

static void collect_gone(void *item, void *user)
{
    struct process *process = item;
    struct gone *gone = user;
    if (!process->in_snapshot && process->fork_ns < gone->p->scan_begin_ns &&
        gone->n < sizeof(gone->list) / sizeof(gone->list[0]))
        gone->list[gone->n++] = process;
}

/* Living processes which the scan did not find have ended without our hearing of it. */
static void end_gone(struct processes *p)
{
    struct gone gone = {.p = p};
    do {
        gone.n = 0;
        OPENSSL_LH_doall_arg(p->living, collect_gone, &gone);
        for (size_t i = 0; i < gone.n; i++)
            processes_end(p, gone.list[i], p->scan_begin_ns,
                          gone.list[i]->end.code_known || gone.list[i]->end.seen_stats
                              ? END_EXIT
                              : END_UNKNOWN);
    } while (gone.n == sizeof(gone.list) / sizeof(gone.list[0]));
}

void proc_tick(struct processes *p)
{
    if (!p->scan_ended)
        return;
    p->scan_ended = p->scan_running = false;
    p->last_scan_begin_ns = p->scan_begin_ns;
    end_gone(p);
    if (p->initial_scan_done)
        return;
    p->initial_scan_done = true;
    restore_end(p, true, timeline_real_us(p->output->timeline, p->scan_begin_ns), END_RECONCILED);
}
