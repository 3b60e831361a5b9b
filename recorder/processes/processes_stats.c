/* Taskstats: the numbers of a process that has ended, with its last task.
 *
 * The message carries no start time finer than a second, but how long the task lived; by that the
 * two lives of a reused pid are told apart. */
#include "recorder/processes/processes_private.h"

static const uint64_t elapsed_slack_us = 50000;
static const uint64_t begin_slack_ns = 2000000000;

static bool lived_as_long(const struct process *process, uint64_t elapsed_us)
{
    uint64_t lived_us = (process->end.ns - process->fork_ns) / 1000;
    uint64_t difference = lived_us > elapsed_us ? lived_us - elapsed_us : elapsed_us - lived_us;
    return difference <= elapsed_slack_us || process->threads_uncertain;
}

/* The second in which the task began, by the wall clock, against the fork of the process. */
static bool near(uint64_t a_ns, uint64_t b_ns)
{
    return (a_ns > b_ns ? a_ns - b_ns : b_ns - a_ns) <= begin_slack_ns;
}

static bool began_then(const struct processes *p, const struct process *process,
                       const struct fact *fact)
{
    uint64_t begin_s = fact->task_stats.begin_real_s;
    if (process->threads_uncertain || !begin_s || begin_s > INT64_MAX / 1000000000)
        return true;
    struct timeline_moment begin =
        timeline_moment(p->output->timeline, (int64_t)begin_s * 1000000000, fact->boot_ns);
    return near(begin.boot_ns, process->fork_ns) || near(begin.other_ns, process->fork_ns);
}

/* The task began so long before its message was read; but time spent suspended is not counted. */
static uint64_t began_ns(const struct fact *fact)
{
    uint64_t lived_ns = fact->task_stats.elapsed_us * 1000;
    return fact->boot_ns > lived_ns ? fact->boot_ns - lived_ns : 0;
}

/* The oldest life of the pid that has ended, waits for its numbers, and lasted as long. */
static struct process *find_ended_life(struct processes *p, uint32_t pid, uint64_t elapsed_us)
{
    struct process *found = NULL;
    for (struct process *life = processes_find_ended(p, pid); life; life = life->older_life)
        if (!life->end.seen_stats && lived_as_long(life, elapsed_us))
            found = life;
    return found;
}

static struct process *find_life(struct processes *p, const struct fact *fact)
{
    const struct fact_task_stats *stats = &fact->task_stats;
    uint32_t pid = stats->tgid ? stats->tgid : stats->pid;
    struct process *ended = find_ended_life(p, pid, stats->elapsed_us);
    if (ended)
        return ended;
    struct process *living = processes_find(p, pid);
    if (living)
        return began_then(p, living, fact) ? living : NULL;
    uint64_t begin_ns = began_ns(fact);
    return proc_adopt(p, pid,
                      begin_ns > begin_slack_ns ? (begin_ns - begin_slack_ns) / 10000000 : 0);
}

/* Neither its birth nor its death was heard, but its numbers are here. */
static struct process *imply_life(struct processes *p, const struct fact *fact)
{
    const struct fact_task_stats *stats = &fact->task_stats;
    uint32_t pid = stats->tgid ? stats->tgid : stats->pid;
    if ((!p->ledger.hole && p->options.connector_active) || processes_find(p, pid))
        return NULL;
    uint64_t begin = began_ns(fact);
    fork_ledger_implied(&p->ledger, 1);
    struct process *process = processes_add(p, pid, begin);
    if (!process)
        return NULL;
    process->ppid = stats->ppid;
    process->birth_guessed = true;
    process->threads_uncertain = true;
    process->now = (struct credentials){stats->uid, stats->uid, stats->gid, stats->gid};
    struct process *parent = processes_find(p, stats->ppid);
    struct process_row *row = rows_begin(p, process, begin);
    if (row)
        row->parent_id = parent ? parent->current_id : 0;
    return process;
}

static void add_bytes(uint64_t *sum, uint64_t bytes)
{
    *sum = bytes == UINT64_MAX || *sum == UINT64_MAX ? UINT64_MAX : *sum + bytes;
}

/* I/O comes for each task; the rest is the last one's, which speaks for all. */
static void take_task(struct process_end *end, const struct fact_task_stats *stats)
{
    add_bytes(&end->read_bytes, stats->read_bytes);
    add_bytes(&end->write_bytes, stats->write_bytes);
    if (stats->max_rss_kib > end->max_rss_kib)
        end->max_rss_kib = stats->max_rss_kib;
}

static void take_last(struct process_end *end, const struct fact_task_stats *stats)
{
    end->seen_stats = true;
    end->uid = stats->uid;
    comm_set(end->comm, stats->comm);
    end->user_us = stats->user_us;
    end->system_us = stats->system_us;
    end->last_code = stats->exit_code;
    end->threaded |= stats->tgid && stats->pid != stats->tgid;
}

static void complete_row(struct process *process, const struct fact *fact)
{
    const struct fact_task_stats *stats = &fact->task_stats;
    struct process_row *row = process->row;
    if (!row)
        return;
    row->seen_by |= SEEN_BY_TASKSTATS;
    if (!row->ppid)
        row->ppid = stats->ppid;
    if (process->threads_uncertain && !row->inserted && !row->previous_id &&
        row->created_ns >= process->fork_ns) {
        uint64_t end_ns = process->ended ? process->end.ns : fact->boot_ns;
        uint64_t lived_ns = stats->elapsed_us * 1000;
        if (end_ns > lived_ns && end_ns - lived_ns < row->created_ns)
            row->created_ns = process->fork_ns = end_ns - lived_ns;
    }
}

void stats_fact(struct processes *p, const struct fact *fact)
{
    const struct fact_task_stats *stats = &fact->task_stats;
    if (!stats->last) {
        struct process *living = processes_find(p, stats->tgid);
        if (living)
            take_task(&living->end, stats);
        return;
    }
    struct process *process = find_life(p, fact);
    if (!process)
        process = imply_life(p, fact);
    if (!process)
        return;
    take_task(&process->end, stats);
    take_last(&process->end, stats);
    complete_row(process, fact);
    if (!process->ended) {
        processes_end(p, process, fact->boot_ns, END_EXIT);
        return;
    }
    if (process->row)
        rows_evaluate(p, process->row);
}
