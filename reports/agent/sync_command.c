/* `vestige sync`: return once everything that the agent saw before the call can be queried. */
#include "reports/agent/agent.h"
#include "reports/command.h"

int sync_command(int argc, char **argv)
{
    uint64_t timeout_s = 30;
    const char *configuration = NULL;
    const struct option_own own[] = {
        {"timeout", OPTION_NUMBER, &timeout_s,     "SECONDS", "wait at most so long (default 30)", 1,
         3600                                                                                          },
        {"config",  OPTION_TEXT,   &configuration, "FILE",
         "the agent's configuration (default " AGENT_CONFIGURATION_DEFAULT ")",                    0, 0},
    };
    const struct command_line line = {
        .words = "sync",
        .summary =
            "Return once all that the agent of this host saw before the call can be queried."
            "\nExit status: 0 done, 2 not done in time; the error says how far behind it is.",
        .groups = OPTIONS_STATE,
        .own = own,
        .n_own = sizeof(own) / sizeof(own[0]),
    };
    struct options options;
    struct agent agent;
    struct error_text error = ERROR_TEXT_NULL;
    int outcome = options_parse(&options, &line, argc, argv, &error);
    if (outcome == OPTIONS_HELP_SHOWN)
        return STATUS_ROWS;
    if (!outcome)
        outcome = agent_find(&agent, &options, configuration, &error);
    if (!outcome)
        outcome = agent_sync(&agent, (unsigned)timeout_s * 1000, &error);
    return command_end("sync", command_status(outcome, STATUS_ROWS), &error);
}
