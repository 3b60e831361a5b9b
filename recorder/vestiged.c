/* The agent's command line. Everything it does is in agent.c. */
#include "core/log.h"
#include "recorder/agent/agent.h"
#include "recorder/agent/config.h"
#include "recorder/enrol/enrol.h"
#include "recorder/masking/masking.h"

#include <argp.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *argp_program_version = "vestiged " VESTIGE_VERSION;

static const char documentation[] =
    "The agent of Vestige: records what happens on this host and sends it to a MariaDB server.\v"
    "It runs in the foreground and ends in order on SIGTERM or SIGINT. The configuration is read "
    "from /etc/vestige/vestiged.conf if that exists; --dump-config shows every key with its "
    "meaning.\n\nExit status: 0 it ended in order; 2 something is wrong, and the last line says "
    "what.";

enum {
    OPTION_RECORD = 256,
    OPTION_REPLAY,
    OPTION_CHECK,
    OPTION_DUMP,
    OPTION_DUMP_MASKING,
    OPTION_KEY,
    OPTION_ENROLL,
    OPTION_DIRECTORY,
    OPTION_WAIT,
    OPTION_REPLACE,
    OPTION_USER
};

/* clang-format off */
static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "Read this configuration", 0},
    {"state", 's', "DIR", 0, "Keep journal and state here, whatever the configuration says", 0},
    {"signing-key", OPTION_KEY, "FILE", 0,
     "Sign batches with this key, whatever the configuration says", 0},
    {"own", 'o', "DIR", 0,
     "Files below DIR are the recorder's own, and not recorded; else the state directory", 0},
    {"user", OPTION_USER, "NAME", 0,
     "Become this system user, whatever the configuration says", 0},
    {"record", OPTION_RECORD, "DIR", 0, "Also write every raw message, with its time, to DIR", 1},
    {"replay", OPTION_REPLAY, "DIR", 0,
     "Feed a recording to the tracker and print the lines that it makes; needs no privilege", 1},
    {"check-config", OPTION_CHECK, NULL, 0, "Read the configuration, say whether it is right", 2},
    {"dump-config", OPTION_DUMP, NULL, 0, "Print the configuration in effect", 2},
    {"dump-masking", OPTION_DUMP_MASKING, NULL, 0,
     "Print the usual rules by which secrets in command lines are masked", 2},
    {"enroll", OPTION_ENROLL, "FILE", 0,
     "Enrol this host with a bundle or a token of vestige client enroll, and end", 3},
    {"directory", OPTION_DIRECTORY, "DIR", 0,
     "With --enroll: write the files there (default /etc/vestige)", 3},
    {"wait", OPTION_WAIT, "SECONDS", 0,
     "With --enroll and a token: wait so long for the approval (default 600)", 3},
    {"replace", OPTION_REPLACE, NULL, 0,
     "With --enroll: give up the identity of another host, or an enrolment that was begun", 3},
    {0},
};
/* clang-format on */

struct arguments {
    const char *config, *state, *key, *own, *record, *replay, *user;
    bool check, dump, dump_masking;
    struct enrol_options enrol;
};

static error_t parse_wait(struct arguments *arguments, const char *value, struct argp_state *state)
{
    size_t n = strspn(value, "0123456789");
    if (n == 0 || n > 7 || value[n])
        argp_error(state, "--wait %s: write a whole number of seconds", value);
    arguments->enrol.wait_s = (unsigned)strtoul(value, NULL, 10);
    return 0;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 'c':
        arguments->config = value;
        return 0;
    case 's':
        arguments->state = value;
        return 0;
    case OPTION_KEY:
        arguments->key = value;
        return 0;
    case 'o':
        arguments->own = value;
        return 0;
    case OPTION_USER:
        arguments->user = value;
        return 0;
    case OPTION_RECORD:
        arguments->record = value;
        return 0;
    case OPTION_REPLAY:
        arguments->replay = value;
        return 0;
    case OPTION_CHECK:
        arguments->check = true;
        return 0;
    case OPTION_DUMP:
        arguments->dump = true;
        return 0;
    case OPTION_DUMP_MASKING:
        arguments->dump_masking = true;
        return 0;
    case OPTION_ENROLL:
        arguments->enrol.file = value;
        return 0;
    case OPTION_DIRECTORY:
        arguments->enrol.directory = value;
        return 0;
    case OPTION_WAIT:
        return parse_wait(arguments, value, state);
    case OPTION_REPLACE:
        arguments->enrol.replace = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "there is no argument %s; see --help", value);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {options, parse, NULL, documentation, NULL, NULL, NULL};

static int set_path(char path[CONFIG_PATH_SIZE], const char *option, const char *value,
                    struct error_text *error)
{
    if (!value)
        return 0;
    if (strlen(value) >= CONFIG_PATH_SIZE)
        return error_set(error, -ENAMETOOLONG, "%s %s: the path is longer than %d bytes", option,
                         value, CONFIG_PATH_SIZE - 1);
    strcpy(path, value);
    return 0;
}

static int load_config(struct config **configp, const struct arguments *arguments,
                       struct error_text *error)
{
    static const char standard[] = "/etc/vestige/vestiged.conf";
    struct stat status;
    const char *path = arguments->config;
    if (!path && stat(standard, &status) == 0)
        path = standard;
    int result = path ? config_load(configp, path, error) : config_new(configp);
    if (result)
        return result;
    struct config *config = *configp;
    if (arguments->user && strlen(arguments->user) >= sizeof(config->user))
        return error_set(error, -ENAMETOOLONG, "--user %.40s...: the name is too long",
                         arguments->user);
    if (arguments->user)
        strcpy(config->user, arguments->user);
    result = set_path(config->state_directory, "--state", arguments->state, error);
    return result ? result : set_path(config->signing_key, "--signing-key", arguments->key, error);
}

static int dump_config(const struct config *config)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    config_dump(config, &text);
    return fwrite(text.data, 1, text.length, stdout) == text.length && fflush(stdout) == 0 ? 0
                                                                                           : -EIO;
}

static int check_config(const struct config *config, struct error_text *error)
{
    struct masking *masking = NULL;
    int result = masking_open(&masking, config->masking_rules, error);
    masking_free(masking);
    if (!result)
        printf("the configuration is right\n");
    return result;
}

static int run(const struct arguments *arguments, struct error_text *error)
{
    struct config *config = NULL;
    if (arguments->dump_masking)
        return fputs(masking_rules_default(), stdout) < 0 || fflush(stdout) ? -EIO : 0;
    if (arguments->replay)
        return agent_replay(arguments->replay, arguments->config, error);
    if (arguments->enrol.file)
        return enrol_run(&arguments->enrol, error);
    int result = load_config(&config, arguments, error);
    if (!result && arguments->dump)
        result = dump_config(config);
    else if (!result && arguments->check)
        result = check_config(config, error);
    else if (!result && !config->host_id)
        result =
            error_set(error, -EINVAL,
                      "host_id is not set: enroll this host on the server with `vestige client "
                      "enroll`, and put the host_id that it names into vestiged.conf");
    else if (!result)
        result = agent_run(&(struct agent_options){.config = config,
                                                   .record_directory = arguments->record,
                                                   .own_directory = arguments->own},
                           error);
    config_free(config);
    return result;
}

int main(int argc, char **argv)
{
    /* An arena for each thread would keep what it once held: 10 MiB more, resident. With one for
     * all, threads wait for each other: 8 us an exec. Without a fixed threshold the first large
     * buffer that is freed raises it, and the next ones stay: 7 MiB, and 12 more at some hour. */
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    struct arguments arguments = {
        .enrol = {.directory = ENROL_DIRECTORY, .wait_s = 600}
    };
    struct error_text error = ERROR_TEXT_NULL;
    log_set_program("vestiged");
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    int result = run(&arguments, &error);
    if (result)
        log_error("agent", "%s", error.text[0] ? error.text : strerror(-result));
    return result ? 2 : 0;
}
