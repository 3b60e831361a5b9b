/* The answer of the control socket is split into keys and values in place. */
#include "reports/agent/agent.h"
#include "recorder/agent/config.h"
#include "recorder/agent/control_client.h"

#include <string.h>

#define SYNC_MARGIN_MS 2000 /* for the answer itself, when the agent's own limit has passed */

static int from_configuration(struct agent *agent, const char *configuration,
                              struct error_text *error)
{
    struct config *config = NULL;
    int outcome =
        config_load(&config, configuration ? configuration : AGENT_CONFIGURATION_DEFAULT, error);
    if (outcome == -ENOENT && !configuration)
        outcome = config_new(&config);
    if (outcome)
        return outcome;
    snprintf(agent->state_directory, sizeof(agent->state_directory), "%s", config->state_directory);
    snprintf(agent->signing_key, sizeof(agent->signing_key), "%s", config->signing_key);
    snprintf(agent->option_file, sizeof(agent->option_file), "%s", config->defaults_file);
    agent->expected = config->host_id != 0;
    config_free(config);
    return 0;
}

int agent_find(struct agent *agent, const struct options *options, const char *configuration,
               struct error_text *error)
{
    const char *state = options->state_directory;
    if (state && configuration)
        return error_set(error, -EINVAL, "give either --state or --config");
    if (state && strlen(state) + sizeof("/agent") > sizeof(agent->state_directory))
        return error_set(error, -ENAMETOOLONG, "--state %.200s...: the path is too long", state);
    int outcome = 0;
    agent->expected = false;
    if (state) {
        snprintf(agent->state_directory, sizeof(agent->state_directory), "%.240s/agent", state);
        snprintf(agent->signing_key, sizeof(agent->signing_key), "%.240s/signing.key", state);
        snprintf(agent->option_file, sizeof(agent->option_file), "%.240s/agent.cnf", state);
    } else
        outcome = from_configuration(agent, configuration, error);
    if (!outcome)
        snprintf(agent->socket, sizeof(agent->socket), "%s/vestiged.sock", agent->state_directory);
    return outcome;
}

static void give_values(char *text, agent_value_handler handler, void *user)
{
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *value = strchr(line, ' ');
        if (value)
            *value++ = '\0';
        handler(user, line, value ? value : "");
    }
}

int agent_status(const struct agent *agent, unsigned timeout_ms, agent_value_handler handler,
                 void *user, struct error_text *error)
{
    struct buffer answer = {.limit = 1 << 20};
    int outcome = control_ask(agent->socket, "status", timeout_ms, &answer, error);
    buffer_append_byte(&answer, '\0');
    if (outcome == CONTROL_OK && answer.failed)
        outcome = error_set(error, -ENOMEM, "the agent's answer is too long");
    if (outcome == CONTROL_OK)
        give_values((char *)answer.data, handler, user);
    buffer_deinit(&answer);
    return outcome;
}

int agent_sync(const struct agent *agent, unsigned timeout_ms, struct error_text *error)
{
    char request[40];
    struct buffer answer = {.limit = 1 << 16};
    snprintf(request, sizeof(request), "sync %u", timeout_ms);
    int outcome = control_ask(agent->socket, request, timeout_ms + SYNC_MARGIN_MS, &answer, error);
    buffer_deinit(&answer);
    return outcome;
}
