/* The table of living processes, and the memory of those that have ended but are not written yet.
 * What a fact means is in processes_connector.c, processes_audit.c, processes_stats.c and
 * processes_proc.c; when a row is written, in processes_rows.c; what was lost before a restart, in
 * processes_unheard.c. */
#include "recorder/processes/processes_private.h"

#include <stdlib.h>

/* What audit has not said of an exec by then it will hardly say. */
static const uint64_t recent_ns = UINT64_C(10000000000);

static unsigned long process_hash(const void *item)
{
    return ((const struct process *)item)->pid * 2654435761UL;
}

static int process_compare(const void *a, const void *b)
{
    return ((const struct process *)a)->pid != ((const struct process *)b)->pid;
}

static unsigned long restored_hash(const void *item)
{
    return (unsigned long)(((const struct restored_row *)item)->id * UINT64_C(0x9e3779b97f4a7c15));
}

static int restored_compare(const void *a, const void *b)
{
    return ((const struct restored_row *)a)->id != ((const struct restored_row *)b)->id;
}

int processes_new(struct processes **processesp, const struct processes_options *options)
{
    struct processes *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->options = *options;
    p->output = options->output;
    p->names = options->names;
    p->living = OPENSSL_LH_new(process_hash, process_compare);
    p->ended = OPENSSL_LH_new(process_hash, process_compare);
    p->restored = OPENSSL_LH_new(restored_hash, restored_compare);
    row_queue_init(&p->waiting);
    row_queue_init(&p->ending);
    row_queue_init(&p->late);
    row_queue_init(&p->unnamed);
    row_queue_init(&p->undigested);
    row_queue_init(&p->refused);
    TAILQ_INIT(&p->births);
    TAILQ_INIT(&p->changes);
    if (!p->living || !p->ended || !p->restored || actors_new(&p->actors) < 0 ||
        program_begin(p) < 0) {
        processes_free(p);
        return -ENOMEM;
    }
    *processesp = p;
    return 0;
}

static void free_process(void *item)
{
    struct process *process = item;
    while (process) {
        struct process *older = process->older_life;
        process_ref(process);
        while (process->row)
            process_row_finish(process->row);
        process_unref(process);
        process_unref(process);
        process = older;
    }
}

static void free_restored(void *item)
{
    struct restored_row *row = item;
    shared_text_unref(row->exe);
    free(row);
}

struct processes *processes_free(struct processes *p)
{
    if (!p)
        return NULL;
    OPENSSL_LH_doall(p->living, free_process);
    OPENSSL_LH_doall(p->ended, free_process);
    OPENSSL_LH_doall(p->restored, free_restored);
    OPENSSL_LH_free(p->living);
    OPENSSL_LH_free(p->ended);
    OPENSSL_LH_free(p->restored);
    actors_free(p->actors);
    if (p->programs)
        programs_give_up(p->programs); /* of images that no row has any more */
    programs_free(p->programs);
    buffer_deinit(&p->fields);
    buffer_deinit(&p->words);
    thread_events_deinit(&p->thread_events);
    free(p);
    return NULL;
}

/* Several times an exec: of the key only that is set which hash and comparison look at. */
static struct process *find(OPENSSL_LHASH *table, uint32_t pid)
{
    struct process key;
    key.pid = pid;
    return OPENSSL_LH_retrieve(table, &key);
}

struct process *processes_find(struct processes *p, uint32_t pid)
{
    return find(p->living, pid);
}

struct process *processes_find_ended(struct processes *p, uint32_t pid)
{
    return find(p->ended, pid);
}

/* The birth of one whose FORK was not heard is only known to be before its first message. */
struct process *processes_find_at(struct processes *p, uint32_t pid, uint64_t ns)
{
    static const uint64_t coarse_ns = 20000000;
    struct process *life = processes_find(p, pid);
    if (life && (life->birth_guessed || life->fork_ns <= ns + coarse_ns))
        return life;
    for (life = processes_find_ended(p, pid); life; life = life->older_life)
        if (life->birth_guessed || life->fork_ns <= ns + coarse_ns)
            return life;
    return NULL;
}

struct process *processes_add(struct processes *p, uint32_t pid, uint64_t fork_ns)
{
    /* The pid is used again: its former owner has ended, and its EXIT was lost or is yet to come,
     * because the kernel sends it after the parent was woken. */
    struct process *stale = processes_find(p, pid);
    if (stale) {
        stale->replaced = true;
        processes_end(p, stale, fork_ns, END_EXIT);
    }
    struct process *process = process_new(pid, fork_ns);
    if (!process)
        return NULL;
    OPENSSL_LH_insert(p->living, process);
    if (OPENSSL_LH_error(p->living))
        return process_unref(process);
    TAILQ_INSERT_TAIL(&p->births, process, in_births);
    p->n_unstored++;
    counter_add(p->output->counters, COUNTER_PROCESSES_BORN, 1);
    return process;
}

static void remember_end(struct processes *p, const struct process *process)
{
    p->recent[process->pid % RECENT_ENDS] = (struct recent_end){
        .pid = process->pid, .start_ticks = process->start_ticks, .end_ns = process->end.ns};
}

static void forget(struct processes *p, struct process *process)
{
    TAILQ_REMOVE(&p->births, process, in_births);
    process_unref(process);
}

/* The newest life of a pid stands in the memory of ended processes, and leads to older ones. The
 * memory takes the table's reference over. */
static void keep_ended(struct processes *p, struct process *process)
{
    process->older_life = OPENSSL_LH_insert(p->ended, process);
    if (!process->older_life && OPENSSL_LH_error(p->ended))
        forget(p, process);
}

void processes_end(struct processes *p, struct process *process, uint64_t ns, enum end_cause cause)
{
    if (process->ended)
        return;
    connector_flush_changes(p, process);
    OPENSSL_LH_delete(p->living, process);
    threads_end(p, process);
    process->ended = true;
    process->end.ns = ns;
    remember_end(p, process);
    counter_add(p->output->counters, COUNTER_PROCESSES_ENDED, 1);
    keep_ended(p, process);
    if (process->row)
        rows_end(p, process->row, ns, cause);
    else
        processes_release(p, process);
}

void processes_release(struct processes *p, struct process *process)
{
    if (!process->ended || process->row)
        return;
    struct process *newest = processes_find_ended(p, process->pid);
    if (newest == process) {
        OPENSSL_LH_delete(p->ended, process);
        if (process->older_life)
            OPENSSL_LH_insert(p->ended, process->older_life);
    } else {
        while (newest && newest->older_life != process)
            newest = newest->older_life;
        if (!newest)
            return;
        newest->older_life = process->older_life;
    }
    connector_flush_comm(p, process);
    forget(p, process);
}

void processes_fact(struct processes *p, const struct fact *fact)
{
    switch (fact->kind) {
    case FACT_FORK:
    case FACT_EXEC:
    case FACT_UID:
    case FACT_GID:
    case FACT_SID:
    case FACT_COMM:
    case FACT_EXIT:
        connector_fact(p, fact);
        break;
    case FACT_TASK_STATS:
        stats_fact(p, fact);
        break;
    case FACT_AUDIT_EXEC:
    case FACT_AUDIT_LOGIN:
        audit_fact(p, fact);
        break;
    case FACT_PROC_PROCESS:
    case FACT_PROC_SCAN:
        proc_fact(p, fact);
        break;
    case FACT_PROGRAM:
        if (p->programs)
            programs_answer(p->programs, fact);
        break;
    case FACT_FORK_TOTAL:
        fork_ledger_reading(&p->ledger, &fact->fork_total);
        break;
    default:
        break;
    }
}

void processes_tick(struct processes *p)
{
    connector_tick(p);
    if (p->programs)
        programs_tick(p->programs, processes_now(p));
    rows_tick(p);
    proc_tick(p);
    threads_tick(p);
}

void processes_set_mark(struct processes *p, uint64_t mark_ns)
{
    p->mark_ns = mark_ns;
}

void processes_set_audit(struct processes *p, bool active)
{
    p->options.audit_active = active;
}

static bool queue_settled(const struct row_queue *queue, uint64_t deadline_ns)
{
    const struct process_row *first = TAILQ_FIRST(&queue->rows);
    return !first || first->deadline_ns > deadline_ns;
}

/* What the kernel tells on several processors is not quite in the order of its times. */
static bool changes_wait(const struct processes *p, uint64_t boot_ns)
{
    const struct process *process;
    TAILQ_FOREACH(process, &p->changes, in_changes)
    if (process->pending[0].boot_ns <= boot_ns)
        return true;
    return false;
}

bool processes_settled_until(const struct processes *p, uint64_t boot_ns)
{
    uint64_t deadline = boot_ns + p->options.settle_ns;
    return queue_settled(&p->waiting, deadline) && queue_settled(&p->ending, deadline) &&
           !changes_wait(p, boot_ns);
}

bool processes_told_until(const struct processes *p, uint64_t boot_ns)
{
    const struct process_row *row;
    TAILQ_FOREACH_REVERSE(row, &p->late.rows, row_list, in_queue)
    {
        if (row->exec_ns <= boot_ns && row->exec_ns + recent_ns >= boot_ns)
            return false;
    }
    return true;
}

bool processes_digested_until(const struct processes *p, uint64_t boot_ns)
{
    return !p->programs || programs_settled_until(p->programs, boot_ns);
}

void processes_flush(struct processes *p)
{
    struct process *process;
    if (p->programs)
        programs_give_up(p->programs);
    while ((process = TAILQ_FIRST(&p->changes)))
        connector_flush_changes(p, process);
    rows_flush(p);
}

static void mark_uncertain(void *item)
{
    ((struct process *)item)->threads_uncertain = true;
}

void processes_hole(struct processes *p)
{
    p->n_thread_asks = 0;
    OPENSSL_LH_doall(p->living, mark_uncertain);
}

uint64_t processes_take_arguments_dropped(struct processes *p)
{
    uint64_t n = p->n_arguments_dropped;
    p->n_arguments_dropped = 0;
    return n;
}

uint64_t processes_last_scan_ns(const struct processes *p)
{
    return p->last_scan_begin_ns;
}

struct fork_ledger *processes_ledger(struct processes *p)
{
    return &p->ledger;
}

size_t processes_living(const struct processes *p)
{
    return OPENSSL_LH_num_items(p->living);
}

static void checkpoint_process(void *item, void *user)
{
    for (const struct process *life = item; life; life = life->older_life)
        for (struct process_row *row = life->row; row; row = row->older)
            if (row->inserted && !row->end_written)
                rows_checkpoint(user, row);
}

void processes_checkpoint(struct processes *p)
{
    OPENSSL_LH_doall_arg(p->living, checkpoint_process, p);
    OPENSSL_LH_doall_arg(p->ended, checkpoint_process, p);
}
