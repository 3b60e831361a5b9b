/*
 * Settle and end lines wait in a heap, ordered by the moment when they are due. A burst is what a
 * build or a script does: some dozens of rows within a second.
 */
#include "fleet_agent.h"

#include "fleet_rows.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define BURST_LEAST   20
#define BURST_MORE    160 /* rows */
#define BURST_STEP_US 2500
#define BURST_MEAN    (BURST_LEAST + BURST_MORE / 2.0)

struct later {
    uint64_t due_us;
    struct fleet_row row;
    enum verb verb;
};

struct fleet_agent {
    struct fleet_agent_options options;
    struct counters counters;
    struct signing_key *key;
    struct journal *journal;
    struct row_sink sink;
    struct shipper *shipper;
    pthread_mutex_t lock; /* of `shipper`, which the journal's thread wakes */
    _Atomic uint64_t n_damaged;
    struct line line;
    struct fleet_lag lag;
    struct fleet_agent_counts counts;
    uint64_t random, last_id;
    uint64_t single_us, burst_us, burst_left, mark_us; /* when the next one is due */
    struct later *heap;
    size_t n_later, capacity;
};

static void give_up(const char *what)
{
    fprintf(stderr, "fleet_tool: %s\n", what);
    exit(2);
}

static double chance(struct fleet_agent *agent)
{
    agent->random = fleet_mix(agent->random);
    return (double)(agent->random >> 11) / (double)(UINT64_C(1) << 53);
}

/* ---- settle and end lines that wait ---- */

static void swap(struct later *a, struct later *b)
{
    struct later c = *a;
    *a = *b;
    *b = c;
}

static void push(struct fleet_agent *agent, struct later later)
{
    if (agent->n_later == agent->capacity) {
        agent->capacity = agent->capacity ? agent->capacity * 2 : 64;
        agent->heap = reallocarray(agent->heap, agent->capacity, sizeof(*agent->heap));
        if (!agent->heap)
            give_up("not enough memory");
    }
    size_t i = agent->n_later++;
    agent->heap[i] = later;
    for (; i > 0 && agent->heap[i].due_us < agent->heap[(i - 1) / 2].due_us; i = (i - 1) / 2)
        swap(&agent->heap[i], &agent->heap[(i - 1) / 2]);
}

static struct later pop(struct fleet_agent *agent)
{
    struct later *heap = agent->heap, first = heap[0];
    size_t n = --agent->n_later, i = 0;
    heap[0] = heap[n];
    for (size_t child = 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && heap[child + 1].due_us < heap[child].due_us)
            child++;
        if (heap[i].due_us <= heap[child].due_us)
            break;
        swap(&heap[i], &heap[child]);
        i = child;
    }
    return first;
}

/* ---- lines ---- */

static void append(struct fleet_agent *agent, const struct fleet_row *row, enum verb verb,
                   uint64_t now_us)
{
    if (fleet_row_line(row, verb, &agent->line) != 0)
        give_up("a row could not be made");
    agent->counts.n_rows += verb == VERB_INSERT;
    agent->counts.made[row->table][verb]++;
    agent->counts.open[row->table] += verb == VERB_INSERT && row->open;
    if (agent->sink.append(agent->sink.user, &agent->line) != 0) {
        agent->counts.n_refused++;
        return;
    }
    agent->counts.n_lines++;
    if (fleet_lag_made(&agent->lag, now_us) != 0)
        give_up("not enough memory");
}

static void add_row(struct fleet_agent *agent, struct fleet_row row, uint64_t now_us)
{
    append(agent, &row, VERB_INSERT, now_us);
    uint64_t settle_us = row.id + fleet_row_delay(&row, VERB_SETTLE);
    uint64_t end_us = row.id + fleet_row_delay(&row, VERB_END);
    bool standing =
        row.table == TABLE_HOST || row.table == TABLE_BOOT || row.table == TABLE_COVERAGE;
    if (row.unsettled)
        push(agent, (struct later){settle_us, row, VERB_SETTLE});
    if (row.open && !standing)
        push(agent, (struct later){end_us, row, VERB_END});
}

static uint64_t next_id(struct fleet_agent *agent, uint64_t now_us)
{
    agent->last_id = now_us > agent->last_id ? now_us : agent->last_id + 1;
    return agent->last_id;
}

static void make_row(struct fleet_agent *agent, uint64_t now_us)
{
    add_row(agent, fleet_row_choose(next_id(agent, now_us)), now_us);
}

/** The rows that are open now, as the tracker gives them: a restart of the agent would need them.
 */
static void write_checkpoint(struct fleet_agent *agent)
{
    journal_checkpoint(agent->journal, true);
    for (size_t i = 0; i < agent->n_later; i++)
        if (agent->heap[i].verb == VERB_END &&
            (fleet_row_line(&agent->heap[i].row, VERB_INSERT, &agent->line) != 0 ||
             agent->sink.append(agent->sink.user, &agent->line) != 0))
            give_up("a checkpoint could not be written");
    journal_checkpoint(agent->journal, false);
}

/* ---- the clock ---- */

static uint64_t in_seconds(uint64_t now_us, double seconds)
{
    return now_us + (uint64_t)(seconds * 1e6);
}

static uint64_t next_single(struct fleet_agent *agent, uint64_t from_us)
{
    return in_seconds(from_us, -log(1 - chance(agent)) / (agent->options.rows_per_second / 2));
}

/** The wait is as long as the burst was large, so that the rate holds over a short run, too. */
static uint64_t next_burst(struct fleet_agent *agent, uint64_t from_us, double rows)
{
    double seconds = rows / (agent->options.rows_per_second / 2);
    return in_seconds(from_us, seconds * (0.5 + chance(agent)));
}

static void make_bursts(struct fleet_agent *agent, uint64_t now_us)
{
    while (agent->burst_us <= now_us) {
        uint64_t size = BURST_LEAST + (uint64_t)(chance(agent) * (BURST_MORE + 1));
        if (agent->burst_left == 0)
            agent->burst_left = size;
        make_row(agent, now_us);
        agent->burst_left--;
        if (agent->burst_left)
            agent->burst_us += BURST_STEP_US;
        else
            agent->burst_us = next_burst(agent, agent->burst_us, BURST_MEAN);
    }
}

void fleet_agent_make(struct fleet_agent *agent, uint64_t now_us)
{
    uint64_t n_lines = agent->counts.n_lines;
    while (agent->single_us <= now_us) {
        make_row(agent, now_us);
        agent->single_us = next_single(agent, agent->single_us);
    }
    make_bursts(agent, now_us);
    while (agent->n_later && agent->heap[0].due_us <= now_us) {
        struct later later = pop(agent);
        append(agent, &later.row, later.verb, now_us);
    }
    if (agent->counts.n_lines != n_lines) {
        char cursors[64];
        int length = snprintf(cursors, sizeof(cursors), "audit=%llu",
                              (unsigned long long)agent->counts.n_lines);
        agent->sink.mark(agent->sink.user, slice_of(cursors, (size_t)length));
    }
    if (journal_checkpoint_due(agent->journal))
        write_checkpoint(agent);
}

void fleet_agent_make_now(struct fleet_agent *agent, uint64_t n, uint64_t now_us)
{
    agent->single_us = agent->burst_us = UINT64_MAX;
    for (uint64_t i = 0; i < n; i++)
        make_row(agent, now_us);
    fleet_agent_make(agent, now_us);
}

void fleet_agent_begin(struct fleet_agent *agent, uint64_t now_us)
{
    for (unsigned i = 0; i < FLEET_STANDING_N; i++)
        add_row(agent, fleet_row_standing(next_id(agent, now_us), i), now_us);
    agent->single_us = next_single(agent, now_us);
    agent->burst_us =
        in_seconds(now_us, chance(agent) * BURST_MEAN / (agent->options.rows_per_second / 2));
}

/* ---- journal and shipper ---- */

static void sealed(void *user, uint64_t batch)
{
    struct fleet_agent *agent = user;
    (void)batch;
    pthread_mutex_lock(&agent->lock);
    if (agent->shipper)
        shipper_wake(agent->shipper);
    pthread_mutex_unlock(&agent->lock);
}

/** Returns the one before. */
static struct shipper *set_shipper(struct fleet_agent *agent, struct shipper *shipper)
{
    pthread_mutex_lock(&agent->lock);
    struct shipper *former = agent->shipper;
    agent->shipper = shipper;
    pthread_mutex_unlock(&agent->lock);
    return former;
}

static void lost(void *user, const struct shipper_loss *loss)
{
    struct fleet_agent *agent = user;
    if (loss->damaged)
        agent->n_damaged += loss->n;
}

static int open_journal(struct fleet_agent *agent, struct error_text *error)
{
    const struct fleet_agent_options *options = &agent->options;
    int r = options->signing_key ? signing_key_load(&agent->key, options->signing_key, error) : 0;
    if (r != 0)
        return r;
    struct journal_options journal_options = {.directory = options->journal,
                                              .host_id = options->host_id,
                                              .boot_id = FLEET_BOOT_ID,
                                              .key = agent->key,
                                              .counters = &agent->counters,
                                              .sealed = sealed,
                                              .sealed_user = agent};
    return journal_open(&agent->journal, &journal_options, NULL, error);
}

int fleet_agent_new(struct fleet_agent **agentp, const struct fleet_agent_options *options,
                    struct error_text *error)
{
    struct fleet_agent *agent = calloc(1, sizeof(*agent));
    if (!agent)
        return error_set(error, -ENOMEM, "not enough memory");
    agent->options = *options;
    pthread_mutex_init(&agent->lock, NULL);
    agent->random = fleet_mix(options->seed * 1000003 + options->host_id);
    int r = open_journal(agent, error);
    if (r != 0) {
        fleet_agent_free(agent);
        return r;
    }
    agent->sink = journal_sink(agent->journal);
    *agentp = agent;
    return 0;
}

int fleet_agent_start_shipper(struct fleet_agent *agent, struct error_text *error)
{
    struct shipper_options options = {.journal = agent->journal,
                                      .host_id = agent->options.host_id,
                                      .defaults_file = agent->options.defaults_file,
                                      .counters = &agent->counters,
                                      .retry_first_ms = agent->options.retry_first_ms,
                                      .retry_most_ms = agent->options.retry_most_ms,
                                      .lost = lost,
                                      .lost_user = agent};
    struct shipper *shipper;
    int r = shipper_start(&shipper, &options, error);
    if (r == 0)
        set_shipper(agent, shipper);
    return r;
}

struct fleet_agent *fleet_agent_free(struct fleet_agent *agent)
{
    if (!agent)
        return NULL;
    shipper_free(set_shipper(agent, NULL), 0);
    journal_free(agent->journal);
    signing_key_free(agent->key);
    line_deinit(&agent->line);
    fleet_lag_deinit(&agent->lag);
    pthread_mutex_destroy(&agent->lock);
    free(agent->heap);
    free(agent);
    return NULL;
}

void fleet_agent_look(struct fleet_agent *agent, uint64_t now_us)
{
    uint64_t n = counter_get(&agent->counters, COUNTER_ROWS_SHIPPED) +
                 counter_get(&agent->counters, COUNTER_ROWS_REJECTED) + agent->n_damaged;
    fleet_lag_shipped(&agent->lag, n, now_us);
}

const struct fleet_lag *fleet_agent_lag(const struct fleet_agent *agent)
{
    return &agent->lag;
}

void fleet_agent_count(const struct fleet_agent *agent, struct fleet_agent_counts *counts)
{
    *counts = agent->counts;
    counts->n_shipped = counter_get(&agent->counters, COUNTER_ROWS_SHIPPED);
    counts->n_rejected = counter_get(&agent->counters, COUNTER_ROWS_REJECTED);
    counts->n_batches = counter_get(&agent->counters, COUNTER_BATCHES_SHIPPED);
    counts->n_failures = counter_get(&agent->counters, COUNTER_SHIP_FAILURES);
    counts->n_damaged = agent->n_damaged;
}

struct journal *fleet_agent_journal(struct fleet_agent *agent)
{
    return agent->journal;
}

struct shipper *fleet_agent_shipper(struct fleet_agent *agent)
{
    return agent->shipper;
}

uint64_t fleet_agent_host(const struct fleet_agent *agent)
{
    return agent->options.host_id;
}
