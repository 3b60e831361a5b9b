/* What was born and gone while nobody listened, by comparison of two totals: what the mark of the
 * run before accounts for, and what the kernel says now. Threads count there, too, so that those
 * which live have to be known as born before the mark or since. */
#include "recorder/processes/processes_private.h"

static void count_threads(void *item, void *user)
{
    const struct process *process = item;
    struct processes_state *state = user;
    bool leader = process->n_threads && !process->leader_gone;
    uint64_t n = process->n_threads - leader;
    state->threads += n;
    if (!process->stored)
        state->unstored_threads += n;
}

void processes_get_state(struct processes *p, struct processes_state *state)
{
    struct process *agent = processes_find(p, p->options.agent_pid);
    struct processes_state own = {0};
    *state = (struct processes_state){
        .forks = fork_ledger_accounted(&p->ledger),
        .unstored = p->n_unstored + p->output->refused_processes,
    };
    OPENSSL_LH_doall_arg(p->living, count_threads, state);
    if (agent)
        count_threads(agent, &own);
    state->threads -= own.threads;
    state->unstored_threads -= own.unstored_threads;
}

/* Threads that are alive and were certainly born since the mark: of the processes that the run
 * before knew and had no row of, those that are more than it knew of. */
static int64_t threads_found(const struct processes *p, const struct processes_state *before)
{
    int64_t more = (int64_t)(p->n_threads_unstored - before->unstored_threads);
    return (int64_t)p->n_threads_new + (more > 0 ? more : 0);
}

static int64_t threads_unheard(const struct processes *p)
{
    return (int64_t)(p->n_threads_kept + p->n_threads_new + p->n_threads_unstored);
}

void processes_go_on(const struct processes *p, const struct processes_state *before,
                     uint64_t stored_after, struct processes_state *state)
{
    int64_t found = threads_found(p, before);
    state->forks = before->forks ? before->forks + p->ledger.heard + p->ledger.implied : 0;
    state->unstored += before->unstored - stored_after - p->n_adopted_new - (uint64_t)found;
    if (p->initial_scan_done)
        state->threads += before->threads - (uint64_t)(threads_unheard(p) - found);
    else /* of processes that are not read yet all that is known is what was heard */
        state->threads =
            before->threads + (uint64_t)found +
            (uint64_t)thread_events_change_of_others(&p->thread_events, p->options.agent_pid);
    if (before->unstored_threads > p->n_threads_unstored)
        state->unstored_threads += before->unstored_threads - p->n_threads_unstored;
}

bool processes_unheard(struct processes *p, const struct processes_state *before,
                       uint64_t stored_after, struct processes_unheard *unheard)
{
    if (!p->ledger.calibrated || !processes_threads_counted(p))
        return false;
    *unheard = (struct processes_unheard){.known = before->forks && !p->threads_forgotten};
    if (!unheard->known)
        return true;
    int64_t born = p->ledger.offset - (int64_t)before->forks + (int64_t)before->unstored;
    int64_t neither = born - (int64_t)stored_after - (int64_t)p->n_adopted_new;
    int64_t found = threads_found(p, before);
    int64_t grown = threads_unheard(p) - (int64_t)before->threads;
    unheard->at_most = neither - found;
    unheard->lost = neither - (grown > found ? grown : found);
    if (unheard->at_most < 0)
        unheard->at_most = 0;
    if (unheard->lost < 0)
        unheard->lost = 0;
    return true;
}
