/* Audit facts: who (login user, session, ids) and what (program, arguments, directory).
 *
 * An exec's record is joined to the connector's EXEC by pid and order. The record carries the time
 * of a coarse clock at the entry of the system call, so the image it speaks of is the oldest one of
 * that pid which has no record yet and began at or after that time. An older image without a record
 * stays without: its record was lost, and the next one does not move into its place. */
#include "recorder/processes_private.h"

#include <stdio.h>

/* Records are stamped in whole milliseconds, downwards. */
static const uint64_t stamp_slack_ns = 2000000;

static struct process_row *oldest_unjoined(struct process *process, uint64_t not_before_ns)
{
    struct process_row *found = NULL;
    for (; process; process = process->older_life)
        for (struct process_row *row = process->row; row; row = row->older)
            if (row->audit_expected && !row->audit_joined && row->exec_ns >= not_before_ns)
                found = row;
    return found;
}

static void join(struct processes *p, struct process_row *row, const struct fact_audit_exec *exec)
{
    struct process *process = row->process;
    if (row->image && !row->image->known) {
        comm_set(row->image->comm, exec->comm);
        image_fill(p, row->image, exec->exe, exec->argv, exec->n_argv, exec->argc, exec->cwd,
                   exec->tty);
        row->image->known = true;
    }
    connector_flush_comm(p, process);
    row->login_uid = exec->login_uid;
    row->session = exec->session;
    if (!row->inserted)
        row->birth = (struct credentials){exec->uid, exec->euid, exec->gid, exec->egid};
    if (!row->ppid)
        row->ppid = exec->ppid;
    if (row == process->row && !process->ended) {
        process->login_uid = exec->login_uid;
        process->session = exec->session;
        if (process->now.uid == ID_UNSET)
            process->now = (struct credentials){exec->uid, exec->euid, exec->gid, exec->egid};
    }
    row->audit_joined = true;
    row->seen_by |= SEEN_BY_AUDIT;
    counter_add(p->output->counters, COUNTER_AUDIT_JOINED, 1);
    rows_evaluate(p, row);
}

/* The connector did not say it (messages lost, or no connector): the record stands alone. */
static struct process_row *imply_exec(struct processes *p, const struct fact_audit_exec *exec,
                                      uint64_t ns)
{
    if (p->options.connector_active && !p->ledger.hole)
        return NULL;
    struct process *process = processes_find(p, exec->pid);
    if (!process) {
        if (processes_find_ended(p, exec->pid))
            return NULL;
        fork_ledger_implied(&p->ledger, 1);
        process = processes_add(p, exec->pid, ns);
        if (!process)
            return NULL;
        process->ppid = exec->ppid;
        process->threads_uncertain = true;
        process->in_snapshot = true;
        struct process *parent = processes_find(p, exec->ppid);
        struct process_row *row = rows_begin(p, process, ns);
        if (row)
            row->parent_id = parent ? parent->current_id : 0;
    }
    if (process->row && process->row->audit_joined)
        return NULL;
    struct process_row *row = process->row;
    if (!row || row->inserted)
        return NULL;
    image_unref(row->image);
    image_unref(process->image);
    process->image = image_new(&p->image_bytes);
    row->image = image_ref(process->image);
    row->exec_ns = ns;
    row->audit_expected = true;
    return row;
}

static void on_exec(struct processes *p, const struct fact_audit_exec *exec)
{
    uint64_t ns = timeline_boot_ns(p->output->timeline, exec->real_ms * 1000000);
    uint64_t not_before = ns > stamp_slack_ns ? ns - stamp_slack_ns : 0;
    if (ns > p->audit_horizon_ns)
        p->audit_horizon_ns = ns;
    struct process_row *row = oldest_unjoined(processes_find_ended(p, exec->pid), not_before);
    if (!row)
        row = oldest_unjoined(processes_find(p, exec->pid), not_before);
    if (!row)
        row = imply_exec(p, exec, ns);
    if (row)
        join(p, row, exec);
    else
        counter_add(p->output->counters, COUNTER_AUDIT_UNJOINED, 1);
}

struct login_change {
    struct processes *p;
    const struct process *parent;
    uint32_t old_login_uid, login_uid, session;
    uint64_t since_ns;
};

static void apply_login(struct process *process, const struct login_change *change)
{
    process->login_uid = change->login_uid;
    process->session = change->session;
    for (struct process_row *row = process->row; row; row = row->older) {
        if (row->created_ns >= change->since_ns && !row->settled && !row->audit_joined) {
            row->login_uid = change->login_uid;
            row->session = change->session;
        }
    }
}

/* A child that was forked after the login, and heard of before it, has inherited the old value. */
static void inherit_login(void *item, void *user)
{
    struct process *process = item;
    const struct login_change *change = user;
    if (process->ppid == change->parent->pid && process->fork_ns >= change->since_ns &&
        process->login_uid == change->old_login_uid)
        apply_login(process, change);
}

static void id_text(char *text, size_t size, uint32_t id)
{
    if (id == ID_UNSET)
        snprintf(text, size, "unset");
    else
        snprintf(text, size, "%u", id);
}

/* The record of a login comes before that of an exec which followed it, although the connector has
 * already spoken of the new image: the login belongs to the one before. */
static uint64_t image_at_login(const struct process *process)
{
    uint64_t id = process->current_id;
    for (const struct process_row *row = process->row;
         row && row->audit_expected && !row->audit_joined && row->previous_id; row = row->older)
        id = row->previous_id;
    return id;
}

static void on_login(struct processes *p, const struct fact_audit_login *login)
{
    struct process *process = processes_find(p, login->pid);
    if (!process)
        process = processes_find_ended(p, login->pid);
    if (!process)
        return;
    uint64_t ns = timeline_boot_ns(p->output->timeline, login->real_ms * 1000000);
    struct login_change change = {.p = p,
                                  .parent = process,
                                  .login_uid = login->login_uid,
                                  .old_login_uid = login->old_login_uid,
                                  .session = login->session,
                                  .since_ns = ns};
    char before[16], after[16];
    id_text(before, sizeof(before), login->old_login_uid);
    id_text(after, sizeof(after), login->login_uid);
    rows_change(p, image_at_login(process), SEEN_BY_AUDIT, ns, "login_uid", slice_text(before),
                slice_text(after));
    apply_login(process, &change);
    OPENSSL_LH_doall_arg(p->living, inherit_login, &change);
}

void audit_fact(struct processes *p, const struct fact *fact)
{
    if (fact->kind == FACT_AUDIT_EXEC)
        on_exec(p, &fact->audit_exec);
    else
        on_login(p, &fact->audit_login);
}
