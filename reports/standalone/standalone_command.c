/*
 * `vestige standalone`: a private mariadbd and an agent under one foreground program.
 *
 * Signals are blocked and read from a signalfd, so the loop is one poll(2) over signals, the ends
 * of both programs (pidfds) and what the agent says. The end has an order: the agent first, which
 * ships what is left, then mariadbd. If mariadbd ends by itself it is started again, while the
 * agent keeps its journal; an agent that was killed is started again too and counts what was
 * missed.
 */
#include "core/cleanup.h"
#include "core/log.h"
#include "recorder/agent/privilege.h"
#include "reports/agent/agent.h"
#include "reports/command.h"
#include "reports/standalone/background_verifier.h"
#include "reports/standalone/private_instance.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>

#define AGENT_READY_MS    120000
#define AGENT_LOCK_MS     60000
#define AGENT_STOP_MS     90000
#define TICK_MS           1000
#define QUIET_TICK_MS     10000 /* when nobody watches */
#define RESTARTS_MOST     5     /* of one program, within a minute */
#define RESTART_WINDOW_MS 60000
#define STATUS_TIMEOUT_MS 800  /* of a line that changes each second */
#define PATIENT_STATUS_MS 2000 /* when nobody watches */
#define LAST_STATUS_MS    5000

struct restarts {
    int64_t first_ms;
    unsigned n;
};

struct standalone {
    const struct options *options;
    uint64_t for_s;
    bool no_agent;
    struct private_instance_agent agent_begins;
    struct private_directory directory;
    struct private_server server;
    struct child agent;
    struct background_verifier *verifier;
    int agent_lock;
    int signals;
    bool terminal;   /* a person watches: one line that changes */
    bool line_shown; /* and it is on the screen now */
    bool recording;
    int64_t end_ms, next_tick_ms;
    struct restarts server_restarts, agent_restarts;
    char agent_line[1024]; /* what the agent says, up to its newline */
    size_t agent_line_length;
    char agent_program[4096];
    struct live {
        bool known;
        uint64_t n_processes, n_endpoints, n_gaps;
        char lag[32];
    } live;
    struct error_text *error;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- what is said --- */

static void clear_line(struct standalone *standalone)
{
    if (standalone->line_shown)
        fputs("\r\033[K", stdout);
    standalone->line_shown = false;
}

static void notice(const char *text)
{
    printf("%s\n", text);
    fflush(stdout);
}

static void append_grouped(char text[32], uint64_t value)
{
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%" PRIu64, value);
    size_t used = 0;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = '\0';
}

static void take_value(void *user, const char *key, const char *value)
{
    struct live *live = user;
    if (!strcmp(key, "processes_ended"))
        live->n_processes = strtoull(value, NULL, 10);
    else if (!strcmp(key, "endpoints_born"))
        live->n_endpoints = strtoull(value, NULL, 10);
    else if (!strcmp(key, "gaps"))
        live->n_gaps = strtoull(value, NULL, 10);
    else if (!strcmp(key, "lag_ms"))
        snprintf(live->lag, sizeof(live->lag), "%.1f s", strtod(value, NULL) / 1000);
}

static void ask_live(struct standalone *standalone, unsigned timeout_ms)
{
    struct agent agent;
    struct live live = {.known = true};
    struct error_text reason;
    struct options options = {.state_directory = standalone->directory.path};
    if (agent_find(&agent, &options, NULL, &reason) ||
        agent_status(&agent, timeout_ms, take_value, &live, &reason))
        return;
    standalone->live = live;
}

static void describe_live(const struct standalone *standalone, char text[160])
{
    const struct live *live = &standalone->live;
    char processes[32], endpoints[32], gaps[32];
    append_grouped(processes, live->n_processes);
    append_grouped(endpoints, live->n_endpoints);
    append_grouped(gaps, live->n_gaps);
    snprintf(text, 160, "%s process%s  %s endpoint%s  %s gap%s%s%s", processes,
             live->n_processes == 1 ? "" : "es", endpoints, live->n_endpoints == 1 ? "" : "s", gaps,
             live->n_gaps == 1 ? "" : "s", *live->lag ? "  lag " : "", live->lag);
}

static void tick(struct standalone *standalone)
{
    char text[160];
    standalone->next_tick_ms = now_ms() + (standalone->terminal ? TICK_MS : QUIET_TICK_MS);
    if (!standalone->recording)
        return;
    ask_live(standalone, standalone->terminal ? STATUS_TIMEOUT_MS : PATIENT_STATUS_MS);
    if (!standalone->live.known) /* a line would say that nothing was recorded */
        return;
    describe_live(standalone, text);
    if (standalone->terminal)
        printf("\r\033[Krecording  %s", text);
    else
        printf("recording  %s\n", text);
    standalone->line_shown = standalone->terminal;
    fflush(stdout);
}

static void say_how_to_ask(struct standalone *standalone)
{
    const char *path = standalone->directory.path;
    clear_line(standalone);
    if (standalone->no_agent)
        printf("serving what was recorded in %s, without recording\n", path);
    else
        printf("recording this host into %s\n", path);
    printf("ask with:  mariadb --defaults-file=%s/client.cnf vestige\n"
           "      or:  vestige query --state %s 'SELECT ...'\n",
           path, path);
    if (standalone->for_s)
        printf("ends after %" PRIu64 " s, or with Ctrl-C\n", standalone->for_s);
    else
        printf("ends with Ctrl-C\n");
    fflush(stdout);
}

/* --- the agent --- */

static void pass_on(struct standalone *standalone, const char *line)
{
    clear_line(standalone);
    fflush(stdout);
    fprintf(stderr, "%s\n", line);
    if (!strncmp(line, "vestiged: agent: recording", strlen("vestiged: agent: recording")))
        standalone->recording = true;
}

static void read_agent(struct standalone *standalone)
{
    char data[4096];
    ssize_t n;
    while (standalone->agent.output >= 0 &&
           (n = read(standalone->agent.output, data, sizeof(data))) != 0) {
        if (n < 0 && errno != EINTR)
            return;
        for (ssize_t i = 0; i < n; i++) {
            size_t used = standalone->agent_line_length;
            if (data[i] != '\n' && used < sizeof(standalone->agent_line) - 1) {
                standalone->agent_line[standalone->agent_line_length++] = data[i];
                continue;
            }
            standalone->agent_line[used] = '\0';
            standalone->agent_line_length = 0;
            pass_on(standalone, standalone->agent_line);
        }
    }
    if (standalone->agent.output >= 0) { /* its end of the pipe is closed */
        close(standalone->agent.output);
        standalone->agent.output = -1;
    }
}

static int start_agent(struct standalone *standalone)
{
    char configuration[4096], key[4096];
    private_directory_file(&standalone->directory, "vestiged.conf", configuration);
    private_directory_file(&standalone->directory, "signing.key", key);
    const char *const argv[] = {"vestiged",
                                "--config",
                                configuration,
                                "--signing-key",
                                key,
                                "--own",
                                standalone->directory.path,
                                standalone->agent_begins.user ? "--user" : NULL,
                                standalone->agent_begins.user,
                                NULL};
    const struct child_options options = {.name = "vestiged",
                                          .path = standalone->agent_program,
                                          .argv = argv,
                                          .input = -1,
                                          .output_file = -1,
                                          .error_file = -1,
                                          .capture = true,
                                          .inherit = standalone->agent_lock};
    standalone->recording = false;
    child_deinit(&standalone->agent);
    return child_start(&standalone->agent, &options, standalone->error);
}

static int agent_ended(struct standalone *standalone)
{
    char end[64];
    read_agent(standalone);
    child_describe_end(&standalone->agent, end);
    return error_set(standalone->error, -ECHILD, "the agent %s; what it said is above", end);
}

/* Outcomes of a wait. */
enum { GOES_ON = 0, TIME_TO_END = 1 };

static int read_signals(struct standalone *standalone)
{
    struct signalfd_siginfo info;
    return read(standalone->signals, &info, sizeof(info)) > 0 ? TIME_TO_END : GOES_ON;
}

static int wait_for_recording(struct standalone *standalone)
{
    int64_t deadline = now_ms() + AGENT_READY_MS;
    while (!standalone->recording) {
        struct pollfd events[] = {
            {.fd = standalone->signals,      .events = POLLIN},
            {.fd = standalone->agent.output, .events = POLLIN},
            {.fd = standalone->agent.pidfd,  .events = POLLIN},
        };
        poll(events, 3, 1000);
        if (events[0].revents && read_signals(standalone) == TIME_TO_END)
            return TIME_TO_END;
        read_agent(standalone);
        if (child_wait(&standalone->agent, 0) == 0)
            return agent_ended(standalone);
        if (now_ms() > deadline)
            return error_set(standalone->error, -ETIMEDOUT,
                             "the agent does not say that it records after 120 s");
    }
    return GOES_ON;
}

static int check_agent(struct standalone *standalone)
{
    struct error_text reason = ERROR_TEXT_NULL;
    if (child_find_program(standalone->agent_program, "vestiged", true))
        return error_set(standalone->error, -ENOENT,
                         "the agent vestiged is neither beside this program nor in PATH");
    int outcome = privilege_check(true, &reason);
    if (outcome)
        error_set(standalone->error, outcome,
                  "%.300s; without them what was recorded before can be served with --no-agent",
                  reason.text);
    return outcome;
}

static int lock_agent(struct standalone *standalone)
{
    standalone->agent_lock = private_directory_wait_lock(&standalone->directory, "agent.lock", 0);
    if (standalone->agent_lock == -ETIMEDOUT) {
        notice("waiting for the agent of the run before to end ...");
        standalone->agent_lock =
            private_directory_wait_lock(&standalone->directory, "agent.lock", AGENT_LOCK_MS);
    }
    if (standalone->agent_lock >= 0)
        return 0;
    return error_set(standalone->error, standalone->agent_lock,
                     "%s: the agent of the run before still runs, or agent.lock cannot be made: %s",
                     standalone->directory.path, strerror(-standalone->agent_lock));
}

/* --- start, watch, end --- */

static int start(struct standalone *standalone)
{
    int outcome = private_server_start(&standalone->server, &standalone->directory, notice,
                                       standalone->error);
    if (!outcome)
        outcome = private_instance_prepare(&standalone->server,
                                           standalone->no_agent ? NULL : &standalone->agent_begins,
                                           notice, standalone->error);
    if (outcome || standalone->no_agent)
        return outcome;
    outcome = lock_agent(standalone);
    if (!outcome)
        outcome = start_agent(standalone);
    return outcome ? outcome : wait_for_recording(standalone);
}

static bool may_restart(struct restarts *restarts)
{
    int64_t now = now_ms();
    if (restarts->n == 0 || now - restarts->first_ms > RESTART_WINDOW_MS)
        *restarts = (struct restarts){.first_ms = now};
    return ++restarts->n <= RESTARTS_MOST;
}

static int restart_server(struct standalone *standalone)
{
    char end[64];
    child_describe_end(&standalone->server.child, end);
    clear_line(standalone);
    fflush(stdout);
    log_warning("standalone", "mariadbd %s; it is started again, the agent goes on", end);
    if (!may_restart(&standalone->server_restarts))
        return error_set(standalone->error, -ECHILD,
                         "mariadbd %s again and again; see %s/mariadb.log", end,
                         standalone->directory.path);
    return private_server_restart(&standalone->server, notice, standalone->error);
}

static int restart_agent(struct standalone *standalone)
{
    char end[64];
    read_agent(standalone);
    if (!WIFSIGNALED(standalone->agent.wait_status) || !may_restart(&standalone->agent_restarts))
        return agent_ended(standalone);
    child_describe_end(&standalone->agent, end);
    clear_line(standalone);
    fflush(stdout);
    log_warning("standalone", "the agent %s; it is started again and counts what was missed", end);
    int outcome = start_agent(standalone);
    return outcome ? outcome : wait_for_recording(standalone);
}

static int handle_events(struct standalone *standalone)
{
    int64_t now = now_ms(), next = standalone->next_tick_ms;
    if (standalone->end_ms && standalone->end_ms < next)
        next = standalone->end_ms;
    struct pollfd events[] = {
        {.fd = standalone->signals,            .events = POLLIN},
        {.fd = standalone->agent.output,       .events = POLLIN},
        {.fd = standalone->agent.pidfd,        .events = POLLIN},
        {.fd = standalone->server.child.pidfd, .events = POLLIN},
    };
    poll(events, 4, next > now ? (int)(next - now) : 0);
    if (events[0].revents && read_signals(standalone) == TIME_TO_END)
        return TIME_TO_END;
    if (events[1].revents)
        read_agent(standalone);
    if (events[3].revents && child_wait(&standalone->server.child, 0) == 0) {
        int outcome = restart_server(standalone);
        if (outcome)
            return outcome;
    }
    if (events[2].revents && child_wait(&standalone->agent, 0) == 0)
        return restart_agent(standalone);
    return GOES_ON;
}

static int watch(struct standalone *standalone)
{
    if (standalone->for_s)
        standalone->end_ms = now_ms() + (int64_t)standalone->for_s * 1000;
    for (;;) {
        int outcome = handle_events(standalone);
        if (outcome)
            return outcome == TIME_TO_END ? 0 : outcome;
        int64_t now = now_ms();
        bool is_over = standalone->end_ms && now >= standalone->end_ms;
        if (now >= standalone->next_tick_ms) /* also when it comes so late that both are due */
            tick(standalone);
        if (is_over)
            return 0;
    }
}

static int stop_agent(struct standalone *standalone)
{
    int outcome = 0;
    if (standalone->agent.pid) {
        if (standalone->recording)
            ask_live(standalone, LAST_STATUS_MS);
        clear_line(standalone);
        notice("ending: the agent ships what is left ...");
        child_signal(&standalone->agent, SIGTERM);
        int64_t deadline = now_ms() + AGENT_STOP_MS;
        while (child_wait(&standalone->agent, 100) && now_ms() < deadline)
            read_agent(standalone);
        if (standalone->agent.pid) {
            child_signal(&standalone->agent, SIGKILL);
            outcome = error_set(standalone->error, -ETIMEDOUT,
                                "the agent did not end within 90 s and was killed; what it did not "
                                "ship stays in its journal");
            while (child_wait(&standalone->agent, -1))
                continue;
        } else if (standalone->agent.wait_status) {
            outcome = agent_ended(standalone);
        }
        read_agent(standalone);
    }
    child_deinit(&standalone->agent);
    if (standalone->agent_lock >= 0)
        close(standalone->agent_lock);
    return outcome;
}

static void say_end(struct standalone *standalone)
{
    char text[160];
    describe_live(standalone, text);
    if (standalone->live.known)
        printf("ended: %s\n", text);
    else
        printf("ended\n");
    printf("the data stay in %s: serve them with vestige standalone --state %s --no-agent\n",
           standalone->directory.path, standalone->directory.path);
}

static int run_instance(struct standalone *standalone)
{
    int outcome = start(standalone);
    if (outcome == GOES_ON)
        outcome = background_verifier_start(&standalone->verifier, standalone->directory.path,
                                            standalone->error);
    if (outcome == GOES_ON) {
        say_how_to_ask(standalone);
        standalone->next_tick_ms = now_ms() + TICK_MS;
        outcome = watch(standalone);
    }
    if (outcome == TIME_TO_END)
        outcome = 0;
    int stopped = stop_agent(standalone);
    clear_line(standalone);
    standalone->verifier = background_verifier_stop(standalone->verifier);
    private_server_stop(&standalone->server);
    if (!outcome)
        outcome = stopped;
    if (!outcome)
        say_end(standalone);
    return outcome;
}

static int block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN); /* a terminal that is gone must not end us before the agent */
    if (sigprocmask(SIG_BLOCK, &set, NULL))
        return -errno;
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

static int run(struct standalone *standalone)
{
    const char *path = standalone->options->state_directory;
    if (standalone->no_agent && standalone->agent_begins.keys)
        return error_set(standalone->error, -EINVAL,
                         "--config is for the agent, of which --no-agent starts none");
    int outcome = standalone->no_agent ? 0 : check_agent(standalone);
    if (outcome)
        return outcome;
    standalone->signals = block_signals();
    if (standalone->signals < 0)
        return error_set(standalone->error, standalone->signals, "no signalfd");
    outcome =
        private_directory_open(&standalone->directory, path ? path : PRIVATE_DIRECTORY_DEFAULT,
                               !standalone->no_agent, standalone->error);
    if (outcome)
        return outcome;
    outcome = run_instance(standalone);
    private_directory_close(&standalone->directory);
    return outcome;
}

int standalone_command(int argc, char **argv)
{
    struct options options;
    struct error_text error = ERROR_TEXT_NULL;
    struct standalone standalone = {.options = &options,
                                    .directory = PRIVATE_DIRECTORY_NULL,
                                    .server = PRIVATE_SERVER_NULL,
                                    .agent = CHILD_NULL,
                                    .agent_lock = -1,
                                    .signals = -1,
                                    .terminal = isatty(STDOUT_FILENO),
                                    .error = &error};
    const struct option_own own[] = {
        {"for",      OPTION_NUMBER, &standalone.for_s,             "SECONDS",
         "end by itself so long after recording began",                              1, 1000000000},
        {"no-agent", OPTION_FLAG,   &standalone.no_agent,          NULL,
         "record nothing; serve what was recorded before",                           0, 0         },
        {"user",     OPTION_TEXT,   &standalone.agent_begins.user, "NAME",
         "the system user that the agent becomes (default: it stays who starts it)", 0, 0         },
        {"config",   OPTION_TEXT,   &standalone.agent_begins.keys, "FILE",
         "keys of vestiged.conf that the agent begins with; later they are in DIR",  0, 0         },
        {"state",    OPTION_TEXT,   &options.state_directory,      "DIR",
         "where everything is kept (default " PRIVATE_DIRECTORY_DEFAULT ")",         0, 0         },
    };
    const struct command_line line = {
        .words = "standalone",
        .summary = "Record this host into a private MariaDB, in the foreground, until Ctrl-C. "
                   "Started again\nit goes on with the same data.",
        .own = own,
        .n_own = sizeof(own) / sizeof(own[0]),
    };
    int outcome = options_parse(&options, &line, argc, argv, &error);
    if (outcome == OPTIONS_HELP_SHOWN)
        return STATUS_ROWS;
    if (!outcome)
        outcome = run(&standalone);
    return command_end("standalone", command_status(outcome, STATUS_ROWS), &error);
}
