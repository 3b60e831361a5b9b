#pragma once
/*
 * One simulated agent: the real journal and the real shipper, with their threads, and in the place
 * of sources and tracker a generator that makes rows by the clock, whatever the server does. All
 * functions are called by one thread.
 */
#include "fleet_lag.h"

#include "core/error.h"
#include "recorder/shipper/shipper.h"

struct fleet_agent;

struct fleet_agent_options {
    uint64_t host_id;
    const char *defaults_file;
    const char *journal;
    const char *signing_key; /* NULL: batches are not signed */
    uint64_t seed;
    double rows_per_second;                 /* half of them one by one, half in bursts */
    unsigned retry_first_ms, retry_most_ms; /* 0: the shipper's */
};

/** What the agent has made and what became of it. Lines: inserts, settles and ends. */
struct fleet_agent_counts {
    uint64_t made[TABLE_N][VERB_N];
    uint64_t open[TABLE_N];   /* of the inserts */
    uint64_t n_rows, n_lines; /* inserts; all lines that the journal took */
    uint64_t n_refused;       /* lines that the journal did not take: counted as lost */
    uint64_t n_shipped, n_rejected, n_damaged, n_batches, n_failures;
};

int fleet_agent_new(struct fleet_agent **agentp, const struct fleet_agent_options *options,
                    struct error_text *error) MUST_CHECK;
/** Ends the shipper, then the journal. */
struct fleet_agent *fleet_agent_free(struct fleet_agent *agent);
int fleet_agent_start_shipper(struct fleet_agent *agent, struct error_text *error) MUST_CHECK;

/** Write what an agent writes when it starts, and make the first row due after @p now_us. */
void fleet_agent_begin(struct fleet_agent *agent, uint64_t now_us);
/** Make all that is due. */
void fleet_agent_make(struct fleet_agent *agent, uint64_t now_us);
/** Make @p n rows at once; what is due of earlier ones is made, too. */
void fleet_agent_make_now(struct fleet_agent *agent, uint64_t n, uint64_t now_us);
/** Find out what has been shipped. */
void fleet_agent_look(struct fleet_agent *agent, uint64_t now_us);

const struct fleet_lag *fleet_agent_lag(const struct fleet_agent *agent);
void fleet_agent_count(const struct fleet_agent *agent, struct fleet_agent_counts *counts);
struct journal *fleet_agent_journal(struct fleet_agent *agent);
struct shipper *fleet_agent_shipper(struct fleet_agent *agent);
uint64_t fleet_agent_host(const struct fleet_agent *agent);
