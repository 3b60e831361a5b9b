/* Threads that /proc shows and nobody has heard of were born while nobody listened, or their FORK
 * is among the missing messages. What was heard is compared with the number that was read, of which
 * it is only known that it was right at some moment between two. A thread that is born or ends then
 * would be counted twice, or not at all; and the kernel stamps a birth, and an end, some time after
 * /proc shows it. So a reading with such an event near it, however late that is heard, is corrected
 * by another one. */
#include "recorder/processes/processes_private.h"

static const uint64_t guard_ns = 5000000;
static const uint64_t needed_ns = 1000000000; /* how long events are remembered, if memory allows */
static const uint64_t ask_interval_ns = 100000000;
static const uint64_t unread_ns = 5000000000; /* asked again without a reading */
enum { ASKS_MOST = 20 }; /* a process that makes threads all the time is never read alone */

static void set_unclear(struct processes *p, struct process *process, bool unclear)
{
    if (process->threads_unclear == unclear)
        return;
    process->threads_unclear = unclear;
    if (unclear)
        p->n_threads_unclear++;
    else
        p->n_threads_unclear--;
}

void threads_note(struct processes *p, struct process *process, uint32_t tgid, int change,
                  uint64_t ns)
{
    uint64_t now = processes_now(p);
    uint64_t needed = p->initial_scan_done && now > needed_ns ? now - needed_ns : 0;
    thread_events_note(&p->thread_events, (struct thread_event){tgid, change, ns}, needed);
    if (process && !process->ended && process->threads_as != THREADS_NOT_COUNTED &&
        process->threads_read_ns && ns <= process->threads_read_ns + guard_ns)
        set_unclear(p, process, true);
}

int threads_change(const struct processes *p, uint32_t tgid, uint64_t moment_ns, bool after)
{
    return thread_events_change(&p->thread_events, tgid, moment_ns, after);
}

static uint32_t n_plus(uint32_t n, int64_t change)
{
    int64_t sum = (int64_t)n + change;
    return sum < 1 ? 1 : (uint32_t)sum;
}

static void add(struct processes *p, enum threads_as as, int64_t n)
{
    if (as == THREADS_KEPT)
        p->n_threads_kept += (uint64_t)n;
    else if (as == THREADS_UNSTORED)
        p->n_threads_unstored += (uint64_t)n;
    else if (as == THREADS_NEW)
        p->n_threads_new += (uint64_t)n;
    else if (as == THREADS_IMPLIED)
        fork_ledger_implied(&p->ledger, n);
}

/* The moments between which the number was read; messages of old have one only. */
static uint64_t read_until(const struct fact *fact)
{
    uint64_t until = fact->proc_process.threads_until_ns;
    return until ? until : fact->boot_ns;
}

static bool is_clear(const struct processes *p, const struct fact *fact)
{
    const struct fact_proc_process *entry = &fact->proc_process;
    uint64_t from = entry->threads_from_ns;
    if (!entry->threads_until_ns)
        return true;
    if (p->initial_scan_done && p->thread_events.forgotten_ns > from)
        return false;
    return !thread_events_between(&p->thread_events, entry->pid,
                                  from > guard_ns ? from - guard_ns : 0,
                                  entry->threads_until_ns + guard_ns);
}

/* Not heard, of a process that is new. One more than one was there before anybody listened for each
 * whose end alone was heard. */
static int64_t unheard_of_new(const struct processes *p, const struct fact *fact)
{
    const struct fact_proc_process *entry = &fact->proc_process;
    return (int64_t)entry->n_threads - 1 - threads_change(p, entry->pid, read_until(fact), false);
}

static enum threads_as counted_as(const struct processes *p, const struct process *process)
{
    if (p->initial_scan_done)
        return THREADS_IMPLIED;
    if (process->stored)
        return THREADS_KEPT;
    return process->start_ticks * 10000000 <= p->mark_ns ? THREADS_UNSTORED : THREADS_NEW;
}

/* The kernel still counts a leader that has ended before its threads. */
static int64_t shown(const struct process *process, const struct fact_proc_process *entry)
{
    return (int64_t)entry->n_threads - process->leader_gone;
}

static void set_number(const struct processes *p, struct process *process, const struct fact *fact)
{
    int since = threads_change(p, process->pid, read_until(fact), true);
    process->n_threads = n_plus(0, shown(process, &fact->proc_process) + since);
}

/* What was heard of it is compared with the reading before, if there was one. */
static int64_t unheard_of_known(const struct processes *p, const struct process *process,
                                const struct fact *fact)
{
    int since = threads_change(p, process->pid, read_until(fact), true);
    return shown(process, &fact->proc_process) - n_plus(process->n_threads, -since);
}

int64_t threads_implied(const struct processes *p, const struct fact *fact)
{
    const struct fact_proc_process *entry = &fact->proc_process;
    int heard = threads_change(p, entry->pid, read_until(fact), false);
    return n_plus(entry->n_threads ? entry->n_threads : 1, heard > 0 ? -heard : 0);
}

/* A discovered process was implied with its threads. */
static int64_t unheard(const struct processes *p, const struct process *process,
                       const struct fact *fact, bool known)
{
    if (!known && p->initial_scan_done)
        return threads_implied(p, fact) - 1;
    bool compared = p->initial_scan_done || process->threads_as != THREADS_NOT_COUNTED;
    return known && compared ? unheard_of_known(p, process, fact) : unheard_of_new(p, fact);
}

static int64_t not_negative(int64_t n)
{
    return n > 0 ? n : 0;
}

static void count(struct processes *p, struct process *process, const struct fact *fact, bool known)
{
    process->threads_unheard = unheard(p, process, fact, known);
    process->threads_as = counted_as(p, process);
    if (known || !p->initial_scan_done)
        add(p, process->threads_as, not_negative(process->threads_unheard));
    set_number(p, process, fact);
    if (p->initial_scan_done && !p->ledger.hole && process->fork_ns)
        process->threads_uncertain = false;
}

/* What the reading before it had too many, or too few. That fewer than none were not heard is a
 * lost end, or an end or a birth at the moment of the reading, and counts as none. */
static void count_again(struct processes *p, struct process *process, const struct fact *fact)
{
    int64_t before = not_negative(process->threads_unheard);
    process->threads_unheard += unheard_of_known(p, process, fact);
    add(p, process->threads_as, not_negative(process->threads_unheard) - before);
    set_number(p, process, fact);
}

void threads_count(struct processes *p, struct process *process, const struct fact *fact,
                   bool known)
{
    if (known && process->threads_unclear)
        count_again(p, process, fact);
    else if (!known || process->threads_uncertain)
        count(p, process, fact, known);
    else
        return;
    process->threads_read_ns = fact->proc_process.threads_until_ns;
    set_unclear(p, process, !is_clear(p, fact));
}

void threads_end(struct processes *p, struct process *process)
{
    set_unclear(p, process, false);
}

/* Not while /proc is being read: one ask, one reading. */
static bool may_ask(const struct processes *p)
{
    uint64_t now = processes_now(p);
    if (!p->initial_scan_done || p->n_thread_asks == ASKS_MOST ||
        (p->scan_running && now - p->scan_begin_ns < unread_ns))
        return false;
    if (p->n_thread_asks == 0)
        return true;
    bool read = p->last_scan_begin_ns > p->thread_asked_ns;
    return now - p->thread_asked_ns >= (read ? ask_interval_ns : unread_ns);
}

void threads_tick(struct processes *p)
{
    if (p->initial_scan_done && p->n_ticks_scanned == 0)
        p->threads_forgotten = p->thread_events.forgotten_ns != 0;
    if (p->initial_scan_done && p->n_ticks_scanned < TICKS_SCANNED_MOST)
        p->n_ticks_scanned++;
    if (!p->n_threads_unclear) {
        p->n_thread_asks = 0;
    } else if (may_ask(p)) {
        p->n_thread_asks++;
        p->thread_asked_ns = processes_now(p);
        p->scan_wanted = true;
    }
}

/* Two ticks after a reading all messages from before it have been handed over. */
bool processes_threads_counted(const struct processes *p)
{
    return p->n_ticks_scanned >= TICKS_SCANNED_MOST &&
           (!p->n_threads_unclear || p->n_thread_asks >= ASKS_MOST);
}

bool processes_take_scan_wanted(struct processes *p)
{
    bool wanted = p->scan_wanted;
    p->scan_wanted = false;
    return wanted;
}
