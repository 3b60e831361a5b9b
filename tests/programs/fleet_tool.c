/*
 * Many simulated agents in one process, each with the threads of the real journal and shipper:
 *
 *   fleet_tool --agents FILE [--rows-per-second R] [--for SECONDS] [--seed N] [--grace SECONDS]
 *   fleet_tool --agents FILE --in-turn ROWS       one after the other: connect, ship ROWS rows, go
 *   fleet_tool --agents FILE --drain ROWS         ship ROWS of `process`, in the journals already
 *   fleet_tool --agents FILE --drain ROWS --bare TABLE
 *                                                 the same by bare array binds, into TABLE
 *
 * FILE has a line for each agent: host id, option file, directory of its journal, with tabs
 * between. Prints lines of words: "tick" ten times a second (milliseconds, age in ms of the oldest
 * line that is not stored, agents in which it is over 5 s), "agent" for each at the end, "turn" for
 * each in turn, and "name value". Exit status 0: all was stored or counted; 1: not; 2: an error.
 */
#include "fleet_agent.h"
#include "ship_bare.h"
#include "ship_rows_made.h"
#include "tool_options.h"

#include "core/array.h"
#include "core/log.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define TICK_US    5000
#define LATE_US    5000000
#define SECOND_US  UINT64_C(1000000)
#define WAIT_MS    600000
#define LINE_BYTES 16384

struct place {
    uint64_t host_id;
    char *defaults, *journal, *key;
};

struct tool {
    const char *agents_file, *bare;
    double rows_per_second;
    uint64_t seconds, seed, grace, in_turn, drain, retry_most;
    struct place *places;
    struct fleet_agent **agents;
    size_t n;
    uint64_t start_us, most_late_us;
};

static const struct tool_option known_options[] = {
    {"agents",          TOOL_TEXT,   offsetof(struct tool, agents_file)    },
    {"rows-per-second", TOOL_REAL,   offsetof(struct tool, rows_per_second)},
    {"for",             TOOL_NUMBER, offsetof(struct tool, seconds)        },
    {"seed",            TOOL_NUMBER, offsetof(struct tool, seed)           },
    {"grace",           TOOL_NUMBER, offsetof(struct tool, grace)          },
    {"in-turn",         TOOL_NUMBER, offsetof(struct tool, in_turn)        },
    {"drain",           TOOL_NUMBER, offsetof(struct tool, drain)          },
    {"bare",            TOOL_TEXT,   offsetof(struct tool, bare)           },
    {"retry-most",      TOOL_NUMBER, offsetof(struct tool, retry_most)     },
};

static void give_up(const char *what)
{
    fprintf(stderr, "fleet_tool: %s\n", what);
    exit(2);
}

static uint64_t clock_us(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * SECOND_US + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t now_us(void)
{
    return clock_us(CLOCK_REALTIME);
}

static void read_places(struct tool *tool)
{
    char line[LINE_BYTES], defaults[4096], journal[4096], key[4096];
    FILE *file = fopen(tool->agents_file, "re");
    if (!file)
        give_up("the file of the agents cannot be read");
    while (fgets(line, sizeof(line), file)) {
        struct place place = {0};
        if (sscanf(line, "%" SCNu64 "\t%4095[^\t]\t%4095[^\t]\t%4095[^\n]", &place.host_id,
                   defaults, journal, key) != 4)
            give_up("a line of the file of the agents cannot be read");
        place.defaults = strdup(defaults);
        place.journal = strdup(journal);
        place.key = strdup(key);
        tool->places = reallocarray(tool->places, tool->n + 1, sizeof(place));
        if (!tool->places || !place.defaults || !place.journal || !place.key)
            give_up("not enough memory");
        tool->places[tool->n++] = place;
    }
    fclose(file);
    tool->agents = calloc(tool->n ? tool->n : 1, sizeof(struct fleet_agent *));
    if (!tool->agents)
        give_up("not enough memory");
}

static void open_agent(struct tool *tool, size_t i)
{
    struct error_text error = ERROR_TEXT_NULL;
    const struct place *place = &tool->places[i];
    struct fleet_agent_options options = {
        .host_id = place->host_id,
        .defaults_file = place->defaults,
        .journal = place->journal,
        .signing_key = strcmp(place->key, "-") == 0 ? NULL : place->key,
        .seed = tool->seed,
        .rows_per_second = tool->rows_per_second / (double)tool->n,
        .retry_most_ms = (unsigned)tool->retry_most,
    };
    if (fleet_agent_new(&tool->agents[i], &options, &error) != 0)
        give_up(error.text);
}

static void start_shipper(struct fleet_agent *agent)
{
    struct error_text error = ERROR_TEXT_NULL;
    if (fleet_agent_start_shipper(agent, &error) != 0)
        give_up(error.text);
}

static void free_places(struct tool *tool)
{
    for (size_t i = 0; i < tool->n; i++) {
        free(tool->places[i].defaults);
        free(tool->places[i].journal);
        free(tool->places[i].key);
    }
    free(tool->places);
    free(tool->agents);
}

/* ---- many at once, by the clock ---- */

static void sleep_until(uint64_t steady_us)
{
    const struct timespec until = {(time_t)(steady_us / SECOND_US),
                                   (long)(steady_us % SECOND_US) * 1000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/** Tell how it stands. Returns whether anything is not yet in the database. */
static bool look(struct tool *tool, bool tell)
{
    uint64_t now = now_us(), oldest = 0;
    size_t n_late = 0;
    for (size_t i = 0; i < tool->n; i++) {
        fleet_agent_look(tool->agents[i], now);
        uint64_t age = fleet_lag_oldest(fleet_agent_lag(tool->agents[i]), now);
        n_late += age > LATE_US;
        if (age > oldest)
            oldest = age;
    }
    if (tell) {
        printf("tick %" PRIu64 " %" PRIu64 " %zu\n", (now - tool->start_us) / 1000, oldest / 1000,
               n_late);
        fflush(stdout);
    }
    return oldest > 0;
}

static void follow_clock(struct tool *tool)
{
    uint64_t steady = clock_us(CLOCK_MONOTONIC), begin = steady;
    for (unsigned tick = 0; steady - begin < tool->seconds * SECOND_US; tick++) {
        steady += TICK_US;
        sleep_until(steady);
        uint64_t late = clock_us(CLOCK_MONOTONIC) - steady;
        if (late > tool->most_late_us)
            tool->most_late_us = late;
        for (size_t i = 0; i < tool->n; i++)
            fleet_agent_make(tool->agents[i], now_us());
        if (tick % 2 == 0)
            look(tool, tick % 20 == 0);
    }
}

static void wait_for_the_rest(struct tool *tool)
{
    uint64_t begin = clock_us(CLOCK_MONOTONIC), steady = begin;
    for (size_t i = 0; i < tool->n; i++)
        journal_seal_request(fleet_agent_journal(tool->agents[i]));
    for (unsigned tick = 0; look(tool, tick % 20 == 0); tick++) {
        if (steady - begin > tool->grace * SECOND_US)
            break;
        steady += TICK_US;
        sleep_until(steady);
    }
    printf("drain_ms %" PRIu64 "\n", (clock_us(CLOCK_MONOTONIC) - begin) / 1000);
}

static void add(struct fleet_agent_counts *to, const struct fleet_agent_counts *counts)
{
    for (size_t i = 0; i < TABLE_N * VERB_N; i++)
        to->made[i / VERB_N][i % VERB_N] += counts->made[i / VERB_N][i % VERB_N];
    for (size_t i = 0; i < TABLE_N; i++)
        to->open[i] += counts->open[i];
    to->n_rows += counts->n_rows;
    to->n_lines += counts->n_lines;
    to->n_refused += counts->n_refused;
    to->n_shipped += counts->n_shipped;
    to->n_rejected += counts->n_rejected;
    to->n_damaged += counts->n_damaged;
    to->n_batches += counts->n_batches;
    to->n_failures += counts->n_failures;
}

static void tell_agent(struct fleet_agent *agent, struct fleet_agent_counts *sum)
{
    struct fleet_agent_counts counts;
    struct shipper_status status;
    struct journal_status journal;
    const struct fleet_lag *lag = fleet_agent_lag(agent);
    fleet_agent_count(agent, &counts);
    shipper_get_status(fleet_agent_shipper(agent), &status);
    journal_get_status(fleet_agent_journal(agent), &journal);
    printf("agent %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
           " %" PRIu64 " %" PRIu64 " %s\n",
           fleet_agent_host(agent), counts.n_lines, counts.n_shipped, counts.n_failures,
           status.n_waiting, journal.bytes, fleet_lag_percentile(lag, 500) / 1000,
           fleet_lag_percentile(lag, 990) / 1000, lag->max_us / 1000, status.error);
    add(sum, &counts);
}

static void tell_lines(const struct fleet_agent_counts *counts)
{
    for (int table = 0; table < TABLE_N; table++)
        if (counts->made[table][VERB_INSERT])
            printf("table %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
                   catalogue_table((enum table_id)table)->name, counts->made[table][VERB_INSERT],
                   counts->open[table], counts->made[table][VERB_SETTLE],
                   counts->made[table][VERB_END]);
    printf("rows %" PRIu64 "\nlines %" PRIu64 "\nrefused %" PRIu64 "\nshipped %" PRIu64
           "\nrejected %" PRIu64 "\ndamaged %" PRIu64 "\nbatches %" PRIu64 "\nfailures %" PRIu64
           "\n",
           counts->n_rows, counts->n_lines, counts->n_refused, counts->n_shipped,
           counts->n_rejected, counts->n_damaged, counts->n_batches, counts->n_failures);
}

static void tell_cost(struct tool *tool)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("generator_cpu_ms %" PRIu64 "\nall_cpu_ms %" PRIu64 "\nresident_kib %ld\n"
           "generator_late_ms %" PRIu64 "\n",
           clock_us(CLOCK_THREAD_CPUTIME_ID) / 1000,
           ((uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec) * 1000 +
               ((uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec) / 1000,
           usage.ru_maxrss, tool->most_late_us / 1000);
}

static bool tell_all(struct tool *tool)
{
    struct fleet_agent_counts sum = {0};
    struct fleet_lag *lag = calloc(1, sizeof(*lag));
    if (!lag)
        give_up("not enough memory");
    for (size_t i = 0; i < tool->n; i++) {
        tell_agent(tool->agents[i], &sum);
        fleet_lag_add(lag, fleet_agent_lag(tool->agents[i]));
    }
    tell_lines(&sum);
    printf("lag_p50_ms %" PRIu64 "\nlag_p99_ms %" PRIu64 "\nlag_max_ms %" PRIu64 "\n",
           fleet_lag_percentile(lag, 500) / 1000, fleet_lag_percentile(lag, 990) / 1000,
           lag->max_us / 1000);
    free(lag);
    return sum.n_lines == sum.n_shipped + sum.n_rejected + sum.n_damaged;
}

static int run(struct tool *tool)
{
    for (size_t i = 0; i < tool->n; i++) {
        open_agent(tool, i);
        start_shipper(tool->agents[i]);
    }
    tool->start_us = now_us();
    printf("start_us %" PRIu64 "\n", tool->start_us);
    for (size_t i = 0; i < tool->n; i++)
        fleet_agent_begin(tool->agents[i], tool->start_us);
    follow_clock(tool);
    printf("made_ms %" PRIu64 "\n", (now_us() - tool->start_us) / 1000);
    wait_for_the_rest(tool);
    bool complete = tell_all(tool);
    tell_cost(tool);
    fflush(stdout);
    for (size_t i = 0; i < tool->n; i++)
        tool->agents[i] = fleet_agent_free(tool->agents[i]);
    return complete ? 0 : 1;
}

/* ---- one after the other ---- */

static bool take_turn(struct tool *tool, size_t i, struct fleet_agent_counts *sum)
{
    open_agent(tool, i);
    struct fleet_agent *agent = tool->agents[i];
    fleet_agent_make_now(agent, tool->in_turn, now_us());
    uint64_t batch = journal_seal_request(fleet_agent_journal(agent));
    struct journal_status status;
    do {
        sleep_until(clock_us(CLOCK_MONOTONIC) + 1000);
        journal_get_status(fleet_agent_journal(agent), &status);
    } while (status.last_batch < batch);
    uint64_t begin = clock_us(CLOCK_MONOTONIC);
    start_shipper(agent);
    bool shipped = shipper_wait(fleet_agent_shipper(agent), batch, WAIT_MS) == 0;
    uint64_t took = clock_us(CLOCK_MONOTONIC) - begin;
    fleet_agent_look(agent, now_us());
    struct fleet_agent_counts counts;
    fleet_agent_count(agent, &counts);
    add(sum, &counts);
    tool->agents[i] = fleet_agent_free(agent);
    printf("turn %" PRIu64 "\n", took);
    fflush(stdout);
    return shipped;
}

static int run_in_turn(struct tool *tool)
{
    struct fleet_agent_counts sum = {0};
    bool complete = true;
    for (size_t i = 0; i < tool->n; i++)
        complete &= take_turn(tool, i, &sum);
    tell_lines(&sum);
    tell_cost(tool);
    return complete ? 0 : 1;
}

/* ---- as fast as it goes ---- */

static void fill(struct tool *tool, size_t i)
{
    open_agent(tool, i);
    struct journal *journal = fleet_agent_journal(tool->agents[i]);
    struct row_sink sink = journal_sink(journal);
    struct made_rows made = {.first_id = now_us()};
    made_rows_append(&made, tool->drain / tool->n, &sink);
    uint64_t batch = journal_seal_request(journal);
    struct journal_status status;
    do {
        sleep_until(clock_us(CLOCK_MONOTONIC) + 1000);
        journal_get_status(journal, &status);
    } while (status.last_batch < batch);
}

static bool ship_all(struct tool *tool)
{
    bool complete = true;
    for (size_t i = 0; i < tool->n; i++)
        start_shipper(tool->agents[i]);
    for (size_t i = 0; i < tool->n; i++) {
        struct journal_status status;
        journal_get_status(fleet_agent_journal(tool->agents[i]), &status);
        complete &=
            shipper_wait(fleet_agent_shipper(tool->agents[i]), status.last_batch, WAIT_MS) == 0;
    }
    return complete;
}

static void *bind_all(void *user)
{
    ship_bare_insert(user);
    return NULL;
}

/** Arrays are made before, connections are there already; @p begin_us is when the first is sent. */
static void bind_bare(struct tool *tool, uint64_t *begin_us)
{
    struct bare **bares = calloc(tool->n, sizeof(*bares));
    pthread_t *threads = calloc(tool->n, sizeof(*threads));
    if (!bares || !threads)
        give_up("not enough memory");
    for (size_t i = 0; i < tool->n; i++)
        bares[i] = ship_bare_load(fleet_agent_journal(tool->agents[i]), tool->places[i].defaults,
                                  tool->places[i].host_id, tool->bare);
    *begin_us = clock_us(CLOCK_MONOTONIC);
    for (size_t i = 0; i < tool->n; i++)
        if (pthread_create(&threads[i], NULL, bind_all, bares[i]) != 0)
            give_up("a thread could not be started");
    for (size_t i = 0; i < tool->n; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < tool->n; i++)
        ship_bare_free(bares[i]);
    free(bares);
    free(threads);
}

static int run_drain(struct tool *tool)
{
    bool complete = true;
    for (size_t i = 0; i < tool->n; i++)
        fill(tool, i);
    uint64_t begin = clock_us(CLOCK_MONOTONIC);
    if (tool->bare)
        bind_bare(tool, &begin);
    else
        complete = ship_all(tool);
    uint64_t took = clock_us(CLOCK_MONOTONIC) - begin;
    printf("rows %" PRIu64 "\nseconds %.6f\n", tool->drain / tool->n * tool->n,
           (double)took / (double)SECOND_US);
    tell_cost(tool);
    for (size_t i = 0; i < tool->n; i++)
        tool->agents[i] = fleet_agent_free(tool->agents[i]);
    return complete ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct tool tool = {.rows_per_second = 100, .seconds = 10, .seed = 1, .grace = 60};
    tool_options_parse(known_options, N_ELEMENTS(known_options), &tool, argc, argv);
    log_set_program("fleet_tool");
    if (!tool.agents_file || tool.rows_per_second <= 0) {
        fprintf(stderr, "usage: fleet_tool --agents FILE [...]\n");
        return 2;
    }
    read_places(&tool);
    int status = tool.in_turn ? run_in_turn(&tool) : tool.drain ? run_drain(&tool) : run(&tool);
    free_places(&tool);
    return status;
}
