/* Execs that only audit tells of: there is no connector, or its messages are missing. The record is
 * then the birth of the image, and of its process when nobody knows it. */
#include "recorder/processes/processes_private.h"

static const uint64_t stamp_slack_ns = 2000000;

static struct process_row *imply(struct processes *p, const struct fact_audit_exec *exec,
                                 uint64_t ns)
{
    fork_ledger_implied(&p->ledger, 1);
    struct process *process = processes_add(p, exec->pid, ns);
    if (!process)
        return NULL;
    struct process *parent = processes_find(p, exec->ppid);
    process->ppid = exec->ppid;
    process->birth_guessed = true;
    process->threads_uncertain = true;
    process->in_snapshot = true;
    struct process_row *row = rows_begin(p, process, ns);
    if (row)
        row->parent_id = parent ? parent->current_id : 0;
    return row ? image_begin(p, process, ns, 0) : NULL;
}

/* The record speaks of the image which /proc has shown, when it is from before that. */
static struct process_row *seen_image(struct process_row *row, uint64_t ns)
{
    if (row->settled)
        return NULL;
    row->exec_ns = ns > row->created_ns ? ns : row->created_ns;
    row->audit_expected = true;
    return row;
}

/* Audit stamps the begin of an exec, and /proc may have been read before its end. A process may
 * rename itself, and a path depends on who looks: both have to be others. */
static bool shows_another(struct processes *p, const struct process_row *row,
                          const struct fact_audit_exec *exec)
{
    return !slice_equal(comm_or_image(row->comm, row->image), exec->comm) &&
           image_is_another(p, row->image, exec->exe);
}

static struct process_row *next_image(struct processes *p, struct process *process,
                                      const struct fact_audit_exec *exec, uint64_t ns)
{
    struct process_row *row = process->row;
    if (!row || row->end_written)
        return NULL;
    bool heard = row->audit_joined || row->audit_guessed;
    if (heard && !audit_serial_before(row->word.serial, exec->serial))
        return NULL;
    if (!heard && row->exec_ns && ns <= row->exec_ns + stamp_slack_ns)
        return NULL;
    if (!heard && ns <= row->seen_ns && !shows_another(p, row, exec))
        return seen_image(row, ns);
    uint64_t began_ns = row->exec_ns ? row->exec_ns : row->created_ns;
    row = image_begin(p, process, ns > began_ns ? ns : began_ns, 0);
    if (row)
        row->audit_expected = true;
    return row;
}

static bool ended_since(const struct processes *p, uint32_t pid, uint64_t ns)
{
    const struct recent_end *end = &p->recent[pid % RECENT_ENDS];
    return end->pid == pid && ns <= end->end_ns + stamp_slack_ns;
}

struct process_row *alone_exec(struct processes *p, const struct fact_audit_exec *exec, uint64_t ns)
{
    if (p->options.connector_active && !p->ledger.hole)
        return NULL;
    struct process *life = processes_find_at(p, exec->pid, ns);
    if (life && (!life->ended || ns <= life->end.ns + stamp_slack_ns))
        return next_image(p, life, exec, ns);
    if (processes_find(p, exec->pid) || ended_since(p, exec->pid, ns))
        return NULL; /* of a life which is not in memory any more */
    return imply(p, exec, ns);
}
