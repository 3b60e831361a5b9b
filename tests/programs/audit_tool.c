/*
 * The audit source alone, one fact a line, until SIGTERM or SIGINT:
 *
 *   audit_tool [--state DIR] [--mode auto|guest] [--rules own|none] [--backlog N] [--bench N]
 *
 * Writes "READY" when the source is open, then facts as "KIND name=value ..." with text in
 * hexadecimal ("-": unknown, arguments separated by commas), and at the end "END" with counters.
 * With --bench the messages are kept, and decoded N times at the end: "BENCH ns_per_exec=...".
 */
#include "collectors/audit/audit_source.h"
#include "core/cleanup.h"

#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>

#define GULP_BYTES  (4u * 1024 * 1024)
#define INTERVAL_MS 20

struct tool {
    struct source *source;
    struct decoder *decoder;
    struct counters counters;
    struct gulp *kept; /* newest first */
    unsigned n_bench;
    bool silent;
    uint64_t n_execs, n_malformed;
};

static void print_text(const char *name, struct slice text)
{
    printf(" %s=%s", name, slice_is_null(text) ? "-" : "");
    for (size_t i = 0; i < text.length; i++)
        printf("%02x", text.data[i]);
}

static void print_exec(const struct fact_audit_exec *exec)
{
    printf("EXEC serial=%u real_ms=%" PRId64
           " pid=%u ppid=%u login_uid=%u session=%u uid=%u euid=%u"
           " gid=%u egid=%u argc=%u n_argv=%u",
           exec->serial, exec->real_ms, exec->pid, exec->ppid, exec->login_uid, exec->session,
           exec->uid, exec->euid, exec->gid, exec->egid, exec->argc, exec->n_argv);
    print_text("comm", exec->comm);
    print_text("exe", exec->exe);
    print_text("tty", exec->tty);
    print_text("cwd", exec->cwd);
    print_text("key", exec->key);
    printf(" argv=");
    for (uint32_t i = 0; i < exec->n_argv; i++) {
        printf("%s", i ? "," : "");
        for (size_t at = 0; at < exec->argv[i].length; at++)
            printf("%02x", exec->argv[i].data[at]);
    }
    putchar('\n');
}

static void take_fact(void *user, const struct fact *fact)
{
    struct tool *tool = user;
    tool->n_execs += fact->kind == FACT_AUDIT_EXEC;
    if (tool->silent)
        return;
    switch (fact->kind) {
    case FACT_AUDIT_EXEC:
        print_exec(&fact->audit_exec);
        break;
    case FACT_AUDIT_LOGIN:
        printf("LOGIN pid=%u old_login_uid=%u login_uid=%u old_session=%u session=%u\n",
               fact->audit_login.pid, fact->audit_login.old_login_uid, fact->audit_login.login_uid,
               fact->audit_login.old_session, fact->audit_login.session);
        break;
    case FACT_AUDIT_HOLE:
        printf("HOLE first=%u last=%u\n", fact->audit_hole.first, fact->audit_hole.last);
        break;
    case FACT_AUDIT_LOST:
        printf("LOST records=%u\n", fact->audit_lost.records);
        break;
    case FACT_AUDIT_RULES:
        printf("RULES since_ns=%" PRIu64 "\n", fact->audit_rules.since_ns);
        break;
    case FACT_NOTE:
        printf("NOTE %.*s: %.*s\n", (int)fact->note.mode.length, (const char *)fact->note.mode.data,
               (int)fact->note.detail.length, (const char *)fact->note.detail.data);
        break;
    case FACT_AUDIT_SOCKET: /* rules of others ask for it */
        printf("SOCKET serial=%u pid=%u call=%d\n", fact->audit_socket.serial,
               fact->audit_socket.pid, (int)fact->audit_socket.call);
        break;
    case FACT_KERNEL_EVENT: /* likewise, and the kernel by itself of BPF */
        printf("KERNEL serial=%u pid=%u kind=%d\n", fact->kernel_event.serial,
               fact->kernel_event.pid, (int)fact->kernel_event.kind);
        break;
    case FACT_KERNEL_TARGET:
        break;
    default:
        printf("OTHER kind=%d\n", fact->kind);
    }
}

static void decode_gulp(struct tool *tool, const struct gulp *gulp)
{
    struct message message;
    for (size_t offset = 0; gulp_next(gulp, &offset, &message);)
        if (audit_source.decode(tool->decoder, &message, take_fact, tool) < 0)
            tool->n_malformed++;
}

/* Everything that waits. */
static void drain(struct tool *tool)
{
    int r = SOURCE_MORE;
    while (r == SOURCE_MORE) {
        struct gulp *gulp = gulp_new(GULP_BYTES);
        if (!gulp)
            abort();
        r = audit_source.drain(tool->source, gulp);
        if (r < 0)
            printf("ERROR %s\n", strerror(-r));
        decode_gulp(tool, gulp);
        if (tool->n_bench && gulp->used) {
            gulp->next = tool->kept;
            tool->kept = gulp;
        } else {
            gulp_free(gulp);
        }
    }
    fflush(stdout);
}

static uint64_t cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

static void bench(struct tool *tool)
{
    struct gulp *oldest_first = NULL;
    for (struct gulp *gulp = tool->kept, *next; gulp; gulp = next) {
        next = gulp->next;
        gulp->next = oldest_first;
        oldest_first = gulp;
    }
    tool->silent = true;
    tool->n_execs = 0;
    uint64_t before = cpu_ns();
    for (unsigned i = 0; i < tool->n_bench; i++) {
        audit_source.decoder_free(tool->decoder);
        if (audit_source.decoder_new(&tool->decoder) < 0)
            abort();
        for (const struct gulp *gulp = oldest_first; gulp; gulp = gulp->next)
            decode_gulp(tool, gulp);
    }
    printf("BENCH execs=%" PRIu64 " ns_per_exec=%" PRIu64 "\n", tool->n_execs,
           tool->n_execs ? (cpu_ns() - before) / tool->n_execs : 0);
    for (struct gulp *gulp = oldest_first, *next; gulp; gulp = next) {
        next = gulp->next;
        gulp_free(gulp);
    }
}

static int parse_options(int argc, char **argv, struct source_options *options, struct tool *tool)
{
    static const struct option names[] = {
        {"state",   required_argument, NULL, 's'},
        {"mode",    required_argument, NULL, 'm'},
        {"rules",   required_argument, NULL, 'r'},
        {"bench",   required_argument, NULL, 'b'},
        {"backlog", required_argument, NULL, 'l'},
        {"buffer",  required_argument, NULL, 'f'},
        {NULL,      0,                 NULL, 0  }
    };
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (option == 's')
            options->state_directory = optarg;
        else if (option == 'm')
            options->audit_mode = optarg;
        else if (option == 'r')
            options->audit_rules = optarg;
        else if (option == 'b')
            tool->n_bench = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'l')
            options->audit_backlog_limit = (uint32_t)strtoul(optarg, NULL, 10);
        else if (option == 'f')
            options->receive_buffer = strtoul(optarg, NULL, 10);
        else
            return 2;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct tool tool;
    struct source_options options = {.receive_buffer = 32u * 1024 * 1024,
                                     .audit_backlog_limit = 8192,
                                     .audit_mode = "auto",
                                     .audit_rules = "own",
                                     .bpf_active = true,
                                     .counters = &tool.counters,
                                     .wake_fd = -1};
    struct error_text error = ERROR_TEXT_NULL;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    AUTO_CLOSE int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (parse_options(argc, argv, &options, &tool) || signal_fd < 0)
        return 2;
    if (audit_source.open(&tool.source, &options, &error) < 0 ||
        audit_source.decoder_new(&tool.decoder) < 0) {
        fprintf(stderr, "audit_tool: %s\n", error.text);
        return 1;
    }
    puts("READY");
    struct pollfd ended = {.fd = signal_fd, .events = POLLIN};
    do
        drain(&tool);
    while (poll(&ended, 1, INTERVAL_MS) == 0);
    audit_source.stop(tool.source);
    drain(&tool);
    audit_source.free(tool.source);
    printf("END messages=%" PRIu64 " unknown=%" PRIu64 " overruns=%" PRIu64 " malformed=%" PRIu64
           " execs=%" PRIu64 " cpu_ns=%" PRIu64 "\n",
           counter_get(&tool.counters, COUNTER_MESSAGES_RECEIVED),
           counter_get(&tool.counters, COUNTER_MESSAGES_UNKNOWN),
           counter_get(&tool.counters, COUNTER_RECEIVE_OVERRUNS), tool.n_malformed, tool.n_execs,
           cpu_ns());
    if (tool.n_bench)
        bench(&tool);
    audit_source.decoder_free(tool.decoder);
    return 0;
}
