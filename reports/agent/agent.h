#pragma once
/* The agent of this host, as `status` and `sync` ask it. */
#include "core/buffer.h"
#include "reports/options/options.h"

#define AGENT_CONFIGURATION_DEFAULT "/etc/vestige/vestiged.conf"

struct agent {
    char state_directory[256];
    char signing_key[256];
    char option_file[256];
    char socket[300];
    bool expected; /* this host is enrolled: an agent should run here */
};

/** Where the agent is: in the standalone instance of --state, else where the file @p configuration
 *  says (NULL: the usual one, which may be missing). */
int agent_find(struct agent *agent, const struct options *options, const char *configuration,
               struct error_text *error) MUST_CHECK;

typedef void (*agent_value_handler)(void *user, const char *key, const char *value);
/** Ask for the status and give its lines, in their order. Outcomes as of control_ask. */
int agent_status(const struct agent *agent, unsigned timeout_ms, agent_value_handler handler,
                 void *user, struct error_text *error) MUST_CHECK;
/** Return once all that was seen before can be queried. Outcomes as of control_ask. */
int agent_sync(const struct agent *agent, unsigned timeout_ms, struct error_text *error) MUST_CHECK;
