/* `vestige doctor`: what of this host's set-up loses evidence. It changes nothing. */
#include "core/cleanup.h"
#include "recorder/agent/control_client.h"
#include "reports/agent/agent.h"
#include "reports/command.h"
#include "reports/doctor/doctor.h"

#include <stdlib.h>
#include <string.h>

#define AGENT_TIMEOUT_MS 5000
#define FOUND_BYTES      600

static void read_command_line(struct doctor *doctor)
{
    AUTO_FCLOSE FILE *file = fopen("/proc/cmdline", "re");
    if (!file || !fgets(doctor->command_line, sizeof(doctor->command_line), file))
        doctor->command_line[0] = '\0';
    doctor->command_line[strcspn(doctor->command_line, "\n")] = '\0';
}

static const struct missing {
    const char *key, *source, *why;
} missing[] = {
    {"source_connector_off", "connector",
     "births are not heard: a process is known by its exec, its end, or the next look into /proc"},
    {"source_taskstats_off", "taskstats",
     "what a process used is not known, and its end is inferred from its threads"                },
    {"source_audit_off",     "audit",
     "arguments and login users are missing, and programs and directories of what ends before the "
     "next look into /proc"                                                                      },
    {"source_proc_off",      "proc",
     "what ran before the agent, containers and namespaces are not known, and losses not counted"},
    {"source_names_off",     "names",     "user names are missing"                               },
    {"source_bpf_off",       "bpf",
     "which process opened a connection is inferred from audit, and costs rules"                 },
    {"source_sock_diag_off", "sock_diag",
     "connections that are older than the agent, and who has them, are not known"                },
    {"source_rtnetlink_off", "rtnetlink", "addresses and routes are not recorded"                },
    {"source_udev_off",      "udev",      "devices are not recorded"                             },
    {"source_accounts_off",  "accounts",  "accounts, groups and members are not recorded"        },
    {"source_utmp_off",      "utmp",      "failed and past logins are not recorded"              },
    {"source_resolver_off",  "resolver",  "names of addresses are missing"                       },
};

/* Sources that the running agent had to do without. */
static void take_value(void *user, const char *key, const char *value)
{
    struct doctor *doctor = user;
    char what[32], found[FOUND_BYTES], advice[100];
    if (!strcmp(key, "pid"))
        doctor->agent_pid = (unsigned)strtoul(value, NULL, 10);
    if (!strcmp(key, "seccomp"))
        snprintf(doctor->agent_calls, sizeof(doctor->agent_calls), "%s", value);
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
        const struct missing *one = &missing[i];
        if (strcmp(key, one->key))
            continue;
        snprintf(what, sizeof(what), "source %s", one->source);
        snprintf(found, sizeof(found), "off: %s", value);
        bool resolver = !strcmp(one->source, "resolver");
        const char *section = resolver                       ? "names"
                              : !strcmp(one->source, "utmp") ? "sessions"
                                                             : one->source;
        snprintf(advice, sizeof(advice),
                 "set %s in section [%s] of the configuration, and start the agent again",
                 resolver ? "resolve" : "mode", section);
        doctor_add(doctor, FINDING_WRONG, what, found, one->why,
                   strstr(value, "by configuration") ? advice
                                                     : "mend it, and start the agent again");
    }
}

static int check_agent(struct doctor *doctor, const struct options *options,
                       const char *configuration, struct error_text *error)
{
    struct agent agent;
    struct error_text reason = ERROR_TEXT_NULL;
    int outcome = agent_find(&agent, options, configuration, error);
    if (outcome)
        return outcome;
    snprintf(doctor->state_directory, sizeof(doctor->state_directory), "%s", agent.state_directory);
    snprintf(doctor->signing_key, sizeof(doctor->signing_key), "%s", agent.signing_key);
    snprintf(doctor->option_file, sizeof(doctor->option_file), "%s", agent.option_file);
    outcome = agent_status(&agent, AGENT_TIMEOUT_MS, take_value, doctor, &reason);
    doctor->agent_runs = outcome != -ENOENT && outcome != -ECONNREFUSED;
    if (outcome == CONTROL_OK)
        doctor_add(doctor, FINDING_OK, "agent", "runs", NULL, NULL);
    else if (outcome == -EACCES)
        doctor_add(doctor, FINDING_NOTE, "agent", "not allowed to ask", NULL,
                   "run vestige doctor as root");
    else
        doctor_add(doctor, FINDING_WRONG, "agent",
                   doctor->agent_runs ? reason.text : "does not run",
                   "nothing is recorded on this host",
                   "start vestiged or vestige standalone; for an instance elsewhere give --state "
                   "DIR");
    return 0;
}

static int run(struct doctor *doctor, const struct options *options, const char *configuration,
               struct error_text *error)
{
    static const char *const titles[FINDING_TEXTS] = {"what", "found", "why it loses evidence",
                                                      "what to do"};
    int outcome = check_agent(doctor, options, configuration, error);
    if (outcome)
        return outcome;
    read_command_line(doctor);
    doctor_check_audit(doctor);
    doctor_check_kernel(doctor);
    doctor_check_network(doctor);
    doctor_check_files(doctor);
    doctor_check_logins(doctor);
    doctor_check_signing(doctor);
    doctor_check_credential(doctor);
    doctor_check_host(doctor);
    doctor_check_agent(doctor);
    outcome = findings_print(&doctor->findings, options->format, titles, 1);
    if (outcome)
        return error_set(error, outcome, "the rows cannot be written: %s", strerror(-outcome));
    size_t n = doctor->findings.n_wrong;
    fprintf(output_remarks(options->format),
            n == 0   ? "Nothing of this host's set-up loses evidence.\n"
            : n == 1 ? "One thing loses evidence.\n"
                     : "%zu things lose evidence.\n",
            n);
    return 0;
}

int doctor_command(int argc, char **argv)
{
    struct options options;
    struct error_text error = ERROR_TEXT_NULL;
    struct doctor doctor = {.findings = FINDINGS_NULL};
    const char *configuration = NULL;
    const struct option_own own[] = {
        {"config", OPTION_TEXT, &configuration, "FILE",
         "the agent's configuration (default " AGENT_CONFIGURATION_DEFAULT ")", 0, 0},
    };
    const struct command_line line = {
        .words = "doctor",
        .summary = "What of this host's set-up loses evidence, why, and what to do about it. It "
                   "changes nothing;\nas root it sees more. Exit status: 0 nothing is wrong, 1 "
                   "something is, 2 error.",
        .groups = OPTIONS_STATE | OPTIONS_OUTPUT,
        .own = own,
        .n_own = sizeof(own) / sizeof(own[0]),
    };
    int outcome = options_parse(&options, &line, argc, argv, &error);
    if (outcome == OPTIONS_HELP_SHOWN)
        return STATUS_ROWS;
    if (!outcome)
        outcome = run(&doctor, &options, configuration, &error);
    size_t n_wrong = doctor.findings.n_wrong;
    findings_deinit(&doctor.findings);
    return command_end("doctor", command_status(outcome, n_wrong ? STATUS_WRONG : STATUS_ROWS),
                       &error);
}
