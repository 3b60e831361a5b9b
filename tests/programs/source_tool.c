/*
 * Shows what sources give, as the agent's reader gets it.
 *
 *   source_tool [options] SOURCE[,SOURCE...] -- COMMAND [ARGUMENT...]
 *   source_tool [options] --ask resolver
 *   source_tool [options] --replay PATH
 *
 * Opens the sources, starts the reader, runs the command, puts a mark behind it, and takes gulps
 * until the mark comes: what the kernel had sent when the command ended has then been read. Each
 * fact is one line on standard output, "KIND key=value ..."; strings are evidence text. At the end
 * a line "READ messages=N ..." with counters and the reader's CPU time.
 *
 * A byte that the command writes to the socket of number $SOURCE_TOOL_SOCKET comes back when
 * fanotify has read and looked at all that was done before, and watches what was mounted before.
 *
 * With --ask there is no command: each line of standard input is an address whose name is asked for
 * (REFUSED address=... when it is not accepted), facts come as they are heard, and the end of the
 * input is what the end of a command is.
 *
 *   --interval MS          of the reader
 *   --receive-buffer BYTES 0: the system's default. Default: 32 MiB
 *   --record DIR           write the gulps, too
 *   --stall MS             take nothing from the queue for so long after the command has ended
 *   --settle MS            wait so long before the mark, for sources that are late (audit)
 *   --no-facts             count only; notes and scans are still shown
 *   --note                 start the command only when each source has given its first note
 *   --ends N               before the mark, wait until N sockets have ended
 *   --scans N              before the mark, wait until the sockets of the own network
 *                          namespace were scanned N times more
 *   --other-scans N        before the mark, wait until other namespaces were scanned N times
 *   --total                before the mark, wait until the kernel's number of forks was read once
 *                          more
 *   --sockets-interval S   between two dumps of sockets
 *   --bpf                  as if BPF told of TCP sockets
 *   --hosts PATH           of the resolver: the hosts file
 *   --resolv-conf PATH     and the file that names the name servers,
 *   --servers LIST         name servers instead of those,
 *   --name-timeout MS      how long one may take to answer
 *   --trees LIST           of inotify: directories by blanks,
 *   --watches N            how many of them at most,
 *   --include LIST         of fanotify: globs of paths of which alone something is told,
 *   --exclude LIST         globs of paths of which nothing is told, and
 *   --exclude-reads LIST   of which only changes are,
 *   --own DIR              the recorder's own directory,
 *   --fanotify             as if fanotify watched what it can
 *   --looks N              before the mark, ask for N looks at open files, one after the other
 *
 * The end of a scan of sockets is shown with the CPU time of all this program until then.
 */
#include "tool_options.h"

#include "collectors/bpf/bpf_source.h"
#include "collectors/connector/connector_source.h"
#include "collectors/fanotify/fanotify_source.h"
#include "collectors/inotify/inotify_source.h"
#include "collectors/resolver/resolver_source.h"
#include "collectors/rtnetlink/rtnetlink_source.h"
#include "collectors/sock_diag/sock_diag_source.h"
#include "collectors/taskstats/taskstats_source.h"
#include "core/array.h"
#include "core/cleanup.h"
#include "core/evidence_text.h"
#include "core/inet_address.h"
#include "recorder/reader/reader.h"
#include "recorder/reader/recording.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define MARK_TOKEN   0x5645535449474521u
#define MARK_WAIT_MS 60000
#define FACT_WAIT_MS 60000

/* One line a collector; see also CMakeLists.txt. */
static const struct source_ops *const known[] = {
    &connector_source, &taskstats_source,    &bpf_source,         &sock_diag_source_ops,
    &rtnetlink_source, &resolver_source_ops, &inotify_source_ops, &fanotify_source_ops,
};
#define KNOWN_N (sizeof(known) / sizeof(known[0]))

struct tool {
    struct reader_source sources[READER_SOURCES_MOST];
    size_t n_sources;
    struct decoder *decoders[SOURCE_N];
    struct counters counters;
    struct gulp_queue *queue;
    struct recording_writer *recording;
    struct buffer text;
    unsigned interval_ms, stall_ms, settle_ms;
    struct resolver_paths paths;
    const char *servers, *record_directory, *replay_path;
    const char *include;
    unsigned name_timeout_ms;
    struct source *resolver, *inotify, *files; /* files: fanotify */
    const char *trees, *exclude, *exclude_reads, *own_directory;
    uint32_t watches;
    bool fanotify;
    unsigned n_looks, n_looks_wanted;
    struct buffer input;
    bool ask;
    uint64_t receive_buffer;
    unsigned n_ends_wanted, n_scans_wanted, n_others_wanted, sockets_interval_s;
    bool no_facts, marked, note_wanted, total_wanted, bpf;
    unsigned n_ends, n_scans, n_others, n_notes, n_totals;
    uint64_t ended_ns; /* the command; UINT64_MAX: it has not */
    uint64_t netns;
    uint64_t n_messages, n_bytes, n_facts, n_malformed, n_gulps;
    uint64_t reader_cpu_ns, decode_cpu_ns;
};

static int complain(const struct error_text *error)
{
    fprintf(stderr, "source_tool: %s\n", error->text);
    return 2;
}

static const char *evidence(struct tool *tool, struct slice bytes)
{
    if (slice_is_null(bytes))
        return "-";
    buffer_clear(&tool->text);
    evidence_text_append(&tool->text, bytes);
    buffer_append_byte(&tool->text, 0);
    return tool->text.failed ? "?" : (const char *)tool->text.data;
}

static void print_task(const char *kind, const struct fact_task *task)
{
    printf("%s pid=%u tgid=%u", kind, task->pid, task->tgid);
}

static void print_ids(const char *kind, const struct fact_ids *ids)
{
    print_task(kind, &ids->task);
    printf(" real=%u effective=%u", ids->real, ids->effective);
}

static void print_task_stats(struct tool *tool, const struct fact_task_stats *stats)
{
    printf("TASK_STATS pid=%u tgid=%u ppid=%u uid=%u gid=%u code=0x%x last=%d forked_no_exec=%d "
           "begin_real_s=%" PRIu64 " elapsed_us=%" PRIu64 " user_us=%" PRIu64 " system_us=%" PRIu64
           " max_rss_kib=%" PRIu64 " read_bytes=%" PRIu64 " write_bytes=%" PRIu64 " comm=%s",
           stats->pid, stats->tgid, stats->ppid, stats->uid, stats->gid, stats->exit_code,
           stats->last, stats->forked_no_exec, stats->begin_real_s, stats->elapsed_us,
           stats->user_us, stats->system_us, stats->max_rss_kib, stats->read_bytes,
           stats->write_bytes, evidence(tool, stats->comm));
}

static void print_audit_exec(struct tool *tool, const struct fact_audit_exec *exec)
{
    printf("AUDIT_EXEC serial=%u pid=%u ppid=%u login_uid=%u session=%u uid=%u euid=%u argc=%u "
           "n_argv=%u",
           exec->serial, exec->pid, exec->ppid, exec->login_uid, exec->session, exec->uid,
           exec->euid, exec->argc, exec->n_argv);
    printf(" comm=%s", evidence(tool, exec->comm));
    printf(" exe=%s", evidence(tool, exec->exe));
    printf(" cwd=%s", evidence(tool, exec->cwd));
    printf(" tty=%s argv=", evidence(tool, exec->tty));
    for (uint32_t i = 0; i < exec->n_argv; i++)
        printf("[%s]", evidence(tool, exec->argv[i]));
}

static void print_process(struct tool *tool, const struct fact_proc_process *process)
{
    printf("PROC_PROCESS pid=%u ppid=%u start_ticks=%" PRIu64 " n_threads=%u kernel_thread=%d "
           "uid=%u euid=%u login_uid=%u sid=%u argc=%u",
           process->pid, process->ppid, process->start_ticks, process->n_threads,
           process->kernel_thread, process->uid, process->euid, process->login_uid, process->sid,
           process->argc);
    printf(" comm=%s", evidence(tool, process->comm));
    printf(" exe=%s", evidence(tool, process->exe));
    printf(" cgroup=%s", evidence(tool, process->cgroup));
}

static const char *address_text(const struct inet_address *address, char *to, size_t size)
{
    char text[INET6_ADDRSTRLEN];
    if (address->family == 0)
        return "-";
    inet_ntop(address->family, address->bytes, text, sizeof(text));
    snprintf(to, size, "%s,%u", text, address->port);
    return to;
}

static const char *bytes_text(uint64_t bytes, char *to, size_t size)
{
    snprintf(to, size, "%" PRIu64, bytes);
    return bytes == UINT64_MAX ? "-" : to;
}

static void print_description(struct tool *tool, const struct socket_description *socket)
{
    char local[80], remote[80], sent[24], received[24];
    printf(" cookie=%" PRIu64 " netns=%" PRIu64 " inode=%" PRIu64
           " family=%u type=%u protocol=%u state=%u local=%s remote=%s interface=%u uid=%u error=%d"
           " bytes_sent=%s bytes_received=%s path=%s",
           socket->cookie, socket->netns, socket->inode, socket->family, socket->type,
           socket->protocol, socket->state, address_text(&socket->local, local, sizeof(local)),
           address_text(&socket->remote, remote, sizeof(remote)), socket->interface, socket->uid,
           socket->error, bytes_text(socket->bytes_sent, sent, sizeof(sent)),
           bytes_text(socket->bytes_received, received, sizeof(received)),
           evidence(tool, socket->path));
}

static void print_socket(struct tool *tool, const struct fact_socket *fact)
{
    printf("SOCKET end=%d", fact->end);
    print_description(tool, &fact->socket);
}

static void print_socket_scan(const struct fact_socket_scan *scan)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    printf("SOCKET_SCAN begin=%d complete=%d netns=%" PRIu64 " cpu_ns=%" PRId64, scan->begin,
           scan->complete, scan->netns, (int64_t)used.tv_sec * 1000000000 + used.tv_nsec);
}

static void print_network_address(const char *name, const struct inet_address *address)
{
    char text[INET_ADDRESS_TEXT];
    inet_address_text(address, text);
    printf(" %s=%s", name, text[0] ? text : "-");
}

static void print_link(struct tool *tool, const struct fact_link *link)
{
    printf("LINK end=%d up=%d index=%u name=%s address=", link->end, link->up, link->index,
           evidence(tool, link->name));
    for (size_t i = 0; i < link->address_length; i++)
        printf("%02x", link->address[i]);
}

static void print_route(const struct fact_route *route)
{
    printf("ROUTE end=%d replaces=%d hop=%u n_hops=%u type=%u service=%u prefix_length=%u "
           "source_prefix_length=%u table=%u metric=%u interface=%u",
           route->end, route->replaces, route->hop, route->n_hops, route->type, route->service,
           route->prefix_length, route->source_prefix_length, route->table, route->metric,
           route->interface);
    print_network_address("destination", &route->destination);
    print_network_address("source_address", &route->source);
    print_network_address("gateway", &route->gateway);
}

static void print_network_fact(struct tool *tool, const struct fact *fact)
{
    switch (fact->kind) {
    case FACT_LINK:
        print_link(tool, &fact->link);
        break;
    case FACT_ADDRESS:
        printf("ADDRESS end=%d interface=%u prefix_length=%u", fact->address.end,
               fact->address.interface, fact->address.prefix_length);
        print_network_address("address", &fact->address.address);
        print_network_address("peer", &fact->address.peer);
        break;
    case FACT_ROUTE:
        print_route(&fact->route);
        break;
    default:
        printf("NETWORK_SCAN step=%d routes_only=%d complete=%d", (int)fact->network_scan.step,
               fact->network_scan.routes_only, fact->network_scan.complete);
    }
}

/* Escaped as a field, too: it may hold newlines, and a line ends with one. */
static void print_host_name(struct tool *tool, const struct fact_host_name *name)
{
    char address[INET6_ADDRSTRLEN] = "?";
    struct buffer field CLEANUP(buffer_deinit) = BUFFER_NULL;
    inet_ntop(name->address.family, name->address.bytes, address, sizeof(address));
    evidence_field_append(&field, slice_text(evidence(tool, name->name)));
    printf("HOST_NAME address=%s answered=%d origin=%s name=%.*s", address, name->answered,
           name->origin == NAME_FROM_HOSTS ? "hosts" : "dns", (int)field.length,
           (const char *)field.data);
}

static const char *field(struct tool *tool, struct slice bytes)
{
    struct buffer escaped CLEANUP(buffer_deinit) = BUFFER_NULL;
    if (slice_is_null(bytes))
        return "-";
    evidence_field_append(&escaped, slice_text(evidence(tool, bytes)));
    buffer_clear(&tool->text);
    buffer_append_slice(&tool->text, buffer_slice(&escaped));
    buffer_append_byte(&tool->text, 0);
    return tool->text.failed ? "?" : (const char *)tool->text.data;
}

static void print_status(const struct file_status *status)
{
    char size[24];
    printf(" device=%" PRIu64 " inode=%" PRIu64 " mode=0x%x size=%s", status->device, status->inode,
           status->mode, bytes_text(status->size, size, sizeof(size)));
}

static void print_events(uint32_t events)
{
    static const char *const names[] = {"opened",    "executed", "modified", "closed_after_write",
                                        "closed",    "created",  "deleted",  "renamed",
                                        "attributes"};
    const char *before = " events=";
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (events & 1U << i) {
            printf("%s%s", before, names[i]);
            before = ",";
        }
}

static void print_file_fact(struct tool *tool, const struct fact *fact)
{
    const struct fact_file *file = &fact->file;
    const struct fact_file_open *open_file = &fact->file_open;
    if (fact->kind == FACT_FILE) {
        printf("FILE pid=%u since_ns=%" PRIu64 " directory=%d path_at_read=%d", file->pid,
               file->since_ns, file->directory, file->path_at_read);
        print_events(file->events);
        print_status(&file->status);
        printf(" path=%s", field(tool, file->path));
        printf(" new_path=%s", field(tool, file->new_path));
    } else if (fact->kind == FACT_FILE_OPEN) {
        printf("FILE_OPEN pid=%u descriptors=%u writable=%d deleted=%d", open_file->pid,
               open_file->descriptors, open_file->writable, open_file->deleted);
        print_status(&open_file->status);
        printf(" path=%s", field(tool, open_file->path));
    } else if (fact->kind == FACT_FILE_REFUSED) {
        printf("FILE_REFUSED pid=%u", fact->file_refused.pid);
    } else {
        struct timespec used;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
        printf("FILE_SCAN begin=%d complete=%d cpu_ns=%" PRId64, fact->file_scan.begin,
               fact->file_scan.complete, (int64_t)used.tv_sec * 1000000000 + used.tv_nsec);
    }
}

static void print_task_fact(struct tool *tool, const struct fact *fact)
{
    switch (fact->kind) {
    case FACT_FORK:
        print_task("FORK", &fact->fork.child);
        printf(" parent_pid=%u parent_tgid=%u", fact->fork.parent.pid, fact->fork.parent.tgid);
        break;
    case FACT_EXEC:
        print_task("EXEC", &fact->exec);
        break;
    case FACT_UID:
        print_ids("UID", &fact->uid);
        break;
    case FACT_GID:
        print_ids("GID", &fact->gid);
        break;
    case FACT_SID:
        print_task("SID", &fact->sid);
        break;
    case FACT_COMM:
        print_task("COMM", &fact->comm.task);
        printf(" comm=%s", evidence(tool, fact->comm.comm));
        break;
    default:
        print_task("EXIT", &fact->exit.task);
        printf(" code=0x%x parent_tgid=%u", fact->exit.code, fact->exit.parent_tgid);
    }
}

static void print_socket_call(struct tool *tool, const struct fact_socket_call *call)
{
    static const char *const names[] = {
        [SOCKET_CALL_CONNECT] = "connect", [SOCKET_CALL_LISTEN] = "listen",
        [SOCKET_CALL_ACCEPT] = "accept",   [SOCKET_CALL_SEND] = "send",
        [SOCKET_CALL_RECEIVE] = "receive", [SOCKET_CALL_BIND] = "bind",
    };
    _Static_assert(sizeof(names) / sizeof(names[0]) == SOCKET_CALL_N, "name each call");
    printf("SOCKET_CALL call=%s pid=%u caller_uid=%u login_uid=%u session=%u comm=%s",
           names[call->call], call->pid, call->uid, call->login_uid, call->session,
           evidence(tool, call->comm));
    print_description(tool, &call->socket);
}

static void print_socket_state(struct tool *tool, const struct fact_socket_state *state)
{
    printf("SOCKET_STATE old=%u new=%u", state->old_state, state->new_state);
    print_description(tool, &state->socket);
}

static void print_socket_fact(struct tool *tool, const struct fact *fact)
{
    switch (fact->kind) {
    case FACT_SOCKET_CALL:
        print_socket_call(tool, &fact->socket_call);
        break;
    case FACT_SOCKET_STATE:
        print_socket_state(tool, &fact->socket_state);
        break;
    case FACT_BPF_LOST:
        printf("BPF_LOST events=%" PRIu64, fact->bpf_lost.events);
        break;
    case FACT_SOCKET:
        print_socket(tool, &fact->socket);
        break;
    case FACT_SOCKET_SCAN:
        print_socket_scan(&fact->socket_scan);
        break;
    case FACT_SOCKET_OWNER:
        printf("SOCKET_OWNER inode=%" PRIu64 " pid=%u descriptor=%d", fact->socket_owner.inode,
               fact->socket_owner.pid, fact->socket_owner.descriptor);
        break;
    default:
        printf(fact->kind == FACT_OVERRUN ? "OVERRUN" : "UNKNOWN");
    }
}

static void print_other_fact(struct tool *tool, const struct fact *fact)
{
    switch (fact->kind) {
    case FACT_SEQUENCE:
        printf("SEQUENCE cpu=%u sequence=%u", fact->sequence.cpu, fact->sequence.sequence);
        break;
    case FACT_TASK_STATS:
        print_task_stats(tool, &fact->task_stats);
        break;
    case FACT_AUDIT_EXEC:
        print_audit_exec(tool, &fact->audit_exec);
        break;
    case FACT_AUDIT_LOGIN:
        printf("AUDIT_LOGIN pid=%u old_login_uid=%u login_uid=%u session=%u", fact->audit_login.pid,
               fact->audit_login.old_login_uid, fact->audit_login.login_uid,
               fact->audit_login.session);
        break;
    case FACT_AUDIT_HOLE:
        printf("AUDIT_HOLE first=%u last=%u", fact->audit_hole.first, fact->audit_hole.last);
        break;
    case FACT_AUDIT_LOST:
        printf("AUDIT_LOST records=%u", fact->audit_lost.records);
        break;
    case FACT_AUDIT_RULES:
        printf("AUDIT_RULES since_ns=%" PRIu64 "", fact->audit_rules.since_ns);
        break;
    case FACT_PROC_PROCESS:
        print_process(tool, &fact->proc_process);
        break;
    case FACT_PROC_SCAN:
        printf("PROC_SCAN begin=%d n_threads=%u", fact->proc_scan.begin, fact->proc_scan.n_threads);
        break;
    case FACT_FORK_TOTAL:
        printf("FORK_TOTAL total=%" PRIu64 " before_ns=%" PRIu64 " after_ns=%" PRIu64,
               fact->fork_total.total, fact->fork_total.before_ns, fact->fork_total.after_ns);
        break;
    case FACT_USER_NAME:
        printf("USER_NAME uid=%u origin=%d name=%s", fact->user_name.uid, fact->user_name.origin,
               evidence(tool, fact->user_name.name));
        break;
    case FACT_HOST_NAME:
        print_host_name(tool, &fact->host_name);
        break;
    case FACT_NOTE:
        printf("NOTE mode=%s", evidence(tool, fact->note.mode));
        printf(" detail=%s", evidence(tool, fact->note.detail));
        break;
    default:
        print_socket_fact(tool, fact);
    }
}

/* The end of a look at all of them has no namespace. */
static void count_scan(struct tool *tool, const struct fact_socket_scan *scan)
{
    if (scan->begin || scan->netns == 0)
        return;
    tool->n_scans += scan->netns == tool->netns;
    tool->n_others += scan->netns != tool->netns;
}

static void take_fact(void *user, const struct fact *fact)
{
    struct tool *tool = user;
    if (fact->kind == FACT_FILES_READ)
        return;
    tool->n_facts++;
    if (fact->kind == FACT_SOCKET_SCAN)
        count_scan(tool, &fact->socket_scan);
    tool->n_ends += fact->kind == FACT_SOCKET && fact->socket.end && fact->socket.socket.local.port;
    tool->n_notes += fact->kind == FACT_NOTE;
    tool->n_totals += fact->kind == FACT_FORK_TOTAL && fact->fork_total.before_ns > tool->ended_ns;
    tool->n_looks += fact->kind == FACT_FILE_SCAN && !fact->file_scan.begin;
    if (tool->no_facts && fact->kind != FACT_NOTE && fact->kind != FACT_SOCKET_SCAN &&
        fact->kind != FACT_FILE_SCAN)
        return;
    if (fact->kind >= FACT_FORK && fact->kind <= FACT_EXIT)
        print_task_fact(tool, fact);
    else if (fact->kind >= FACT_LINK && fact->kind <= FACT_NETWORK_SCAN)
        print_network_fact(tool, fact);
    else if (fact->kind >= FACT_FILE && fact->kind <= FACT_FILE_SCAN)
        print_file_fact(tool, fact);
    else
        print_other_fact(tool, fact);
    printf(" source=%s boot_ns=%" PRIu64 "\n", source_name(fact->source), fact->boot_ns);
}

static const struct source_ops *find_ops(enum source_id id)
{
    for (size_t i = 0; i < KNOWN_N; i++)
        if (known[i]->id == id)
            return known[i];
    return NULL;
}

static void decode_message(struct tool *tool, const struct message *message)
{
    tool->n_messages++;
    tool->n_bytes += message->bytes.length;
    if (message->kind == MESSAGE_MARK) {
        uint64_t token = 0;
        if (message->bytes.length == sizeof(token))
            memcpy(&token, message->bytes.data, sizeof(token));
        tool->marked |= token == MARK_TOKEN;
        return;
    }
    const struct source_ops *ops = find_ops(message->source);
    if (!ops || (!tool->decoders[message->source] &&
                 ops->decoder_new(&tool->decoders[message->source]) < 0))
        return;
    if (ops->decode(tool->decoders[message->source], message, take_fact, tool) < 0)
        tool->n_malformed++;
}

static uint64_t thread_cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

static void decode_gulp(struct tool *tool, const struct gulp *gulp)
{
    struct message message;
    size_t offset = 0;
    uint64_t before = thread_cpu_ns();
    while (gulp_next(gulp, &offset, &message))
        decode_message(tool, &message);
    tool->decode_cpu_ns += thread_cpu_ns() - before;
    tool->n_gulps++;
}

/* Returns 0, or 2 when there is nothing to take within the time, or the recording failed. */
static int take_gulp(struct tool *tool, unsigned timeout_ms)
{
    struct gulp *gulp;
    int r = gulp_queue_take(tool->queue, &gulp, timeout_ms);
    if (r != GULP_QUEUE_GULP)
        return 2;
    if (tool->recording && recording_writer_add(tool->recording, gulp) < 0)
        r = 2;
    decode_gulp(tool, gulp);
    gulp_queue_give_back(tool->queue, gulp);
    return r;
}

static int open_source(struct tool *tool, const struct source_ops *ops,
                       const struct source_options *options, struct error_text *error)
{
    struct reader_source *source = &tool->sources[tool->n_sources];
    int r = ops == &resolver_source_ops
                ? resolver_source_open(&source->source, options, &tool->paths, error)
                : ops->open(&source->source, options, error);
    if (r < 0)
        return r;
    source->ops = ops;
    if (ops == &resolver_source_ops)
        tool->resolver = source->source;
    if (ops == &inotify_source_ops)
        tool->inotify = source->source;
    if (ops == &fanotify_source_ops)
        tool->files = source->source;
    tool->n_sources++;
    return 0;
}

static int open_sources(struct tool *tool, char *names, int wake_fd)
{
    const struct source_options options = {.receive_buffer = tool->receive_buffer,
                                           .audit_rules = "own",
                                           .audit_mode = "auto",
                                           .proc_interval_ms = 1000,
                                           .sock_diag_interval_s = tool->sockets_interval_s,
                                           .bpf_active = tool->bpf,
                                           .name_servers = tool->servers,
                                           .name_timeout_ms = tool->name_timeout_ms,
                                           .files_trees = tool->trees,
                                           .files_watches = tool->watches,
                                           .files_include = tool->include,
                                           .files_exclude = tool->exclude,
                                           .files_exclude_reads = tool->exclude_reads,
                                           .own_directory = tool->own_directory,
                                           .fanotify_active = tool->fanotify,
                                           .counters = &tool->counters,
                                           .wake_fd = wake_fd};
    char *rest = NULL;
    for (char *name = strtok_r(names, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        struct error_text error = ERROR_TEXT_NULL;
        const struct source_ops *ops = NULL;
        for (size_t i = 0; i < KNOWN_N; i++)
            if (strcmp(source_name(known[i]->id), name) == 0)
                ops = known[i];
        if (!ops || tool->n_sources == READER_SOURCES_MOST) {
            error_set(&error, -EINVAL, "no source \"%s\"", name);
            return complain(&error);
        }
        if (open_source(tool, ops, &options, &error) < 0)
            return complain(&error);
    }
    return 0;
}

static void pause_ms(unsigned ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&pause, &pause) < 0)
        ;
}

/* A round of fanotify that is under way may have begun before a mount, and the next one has not. */
static void answer(struct tool *tool, int fd)
{
    char byte;
    if (recv(fd, &byte, 1, MSG_DONTWAIT) != 1)
        return;
    for (int rounds = 0; tool->files && rounds < 2; rounds++) {
        uint64_t now = clock_boot_ns();
        fanotify_source_request(tool->files);
        while (fanotify_source_read_until(tool->files) < now) {
            (void)take_gulp(tool, 5);
            if (clock_boot_ns() > now + FACT_WAIT_MS * UINT64_C(1000000))
                return; /* who asks gives up, too */
        }
    }
    (void)send(fd, &byte, 1, MSG_NOSIGNAL);
}

/* Gulps are taken while the command runs, unless a stall is asked for. */
static int run_command(struct tool *tool, char **command)
{
    int ends[2];
    char number[16];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
        return 2;
    AUTO_CLOSE int ours = ends[0];
    snprintf(number, sizeof(number), "%d", ends[1]);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        setenv("SOURCE_TOOL_SOCKET", number, 1);
        dup2(STDERR_FILENO, STDOUT_FILENO);
        execvp(command[0], command);
        _exit(127);
    }
    close(ends[1]);
    if (child < 0)
        return 2;
    int status;
    while (waitpid(child, &status, tool->stall_ms ? 0 : WNOHANG) == 0) {
        (void)take_gulp(tool, 20);
        answer(tool, ours);
    }
    tool->ended_ns = clock_boot_ns();
    pause_ms(tool->stall_ms);
    printf("COMMAND pid=%d status=0x%x\n", child, (unsigned)status);
    return 0;
}

/* Takes gulps until @p counter is at least @p n. Returns 0, or 2 when it is not in time. */
static int take_until(struct tool *tool, const unsigned *counter, unsigned n)
{
    uint64_t until_ns = clock_boot_ns() + FACT_WAIT_MS * UINT64_C(1000000);
    while (*counter < n && clock_boot_ns() < until_ns)
        (void)take_gulp(tool, 10);
    if (*counter < n)
        fprintf(stderr, "source_tool: %u of %u came in time\n", *counter, n);
    return *counter < n ? 2 : 0;
}

static void ask_name(struct tool *tool, const char *text)
{
    struct inet_address address = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};
    if (inet_pton(address.family, text, address.bytes) != 1 ||
        !resolver_request(tool->resolver, &address))
        printf("REFUSED address=%s\n", text);
}

static void ask_lines(struct tool *tool)
{
    struct buffer *input = &tool->input;
    uint8_t *end;
    size_t used = 0;
    while ((end = memchr(input->data + used, '\n', input->length - used))) {
        *end = '\0';
        ask_name(tool, (const char *)input->data + used);
        used = (size_t)(end - input->data) + 1;
    }
    memmove(input->data, input->data + used, input->length - used);
    input->length -= used;
}

/* Until the end of standard input. */
static int ask_input(struct tool *tool)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    ssize_t n = 1;
    if (!tool->resolver)
        return 2;
    while (n > 0) {
        (void)take_gulp(tool, 5);
        if (poll(&input, 1, 0) <= 0)
            continue;
        uint8_t *to = buffer_reserve(&tool->input, 4096);
        n = to ? read(STDIN_FILENO, to, 4096) : -1;
        tool->input.length += n > 0 ? (size_t)n : 0;
        if (n > 0)
            ask_lines(tool);
    }
    return n < 0 ? 2 : 0;
}

static int record_sources(struct tool *tool, int wake_fd, char **command)
{
    struct error_text error = ERROR_TEXT_NULL;
    struct reader *reader;
    const struct reader_options options = {.sources = tool->sources,
                                           .n_sources = tool->n_sources,
                                           .interval_ms = tool->interval_ms,
                                           .queue = tool->queue,
                                           .wake_fd = wake_fd};
    if (reader_start(&reader, &options, &error) < 0)
        return complain(&error);
    int r = take_until(tool, &tool->n_notes, tool->note_wanted ? (unsigned)tool->n_sources : 0);
    if (r == 0)
        r = tool->ask ? ask_input(tool) : run_command(tool, command);
    if (r == 0)
        r = take_until(tool, &tool->n_ends, tool->n_ends_wanted);
    if (r == 0)
        r = take_until(tool, &tool->n_scans, tool->n_scans + tool->n_scans_wanted);
    if (r == 0)
        r = take_until(tool, &tool->n_others, tool->n_others_wanted);
    if (r == 0)
        r = take_until(tool, &tool->n_totals, tool->total_wanted);
    for (unsigned i = 0; r == 0 && tool->inotify && i < tool->n_looks_wanted; i++) {
        inotify_source_scan(tool->inotify);
        r = take_until(tool, &tool->n_looks, tool->n_looks + 1);
    }
    for (unsigned waited = 0; waited < tool->settle_ms; waited += 10)
        (void)take_gulp(tool, 10);
    if (r == 0 && reader_mark(reader, MARK_TOKEN) < 0)
        r = 2;
    while (r == 0 && !tool->marked)
        r = take_gulp(tool, MARK_WAIT_MS);
    if (r != 0)
        fprintf(stderr, "source_tool: the mark did not come\n");
    tool->reader_cpu_ns = reader_cpu_ns(reader);
    reader_stop(reader);
    while (take_gulp(tool, 0) == 0)
        ;
    return r;
}

static uint64_t own_netns(void)
{
    struct stat status;
    return stat("/proc/self/ns/net", &status) < 0 ? 0 : status.st_ino;
}

static int record(struct tool *tool, char *names, const char *directory, char **command)
{
    struct error_text error = ERROR_TEXT_NULL;
    struct recording_header header = {.boot_ns = clock_boot_ns(),
                                      .real_ns = clock_real_ns(),
                                      .ticks_per_second = (uint32_t)sysconf(_SC_CLK_TCK),
                                      .own_pid = (uint32_t)getpid()};
    if (directory && recording_writer_open(&tool->recording, directory, &header, &error) < 0)
        return complain(&error);
    AUTO_CLOSE int wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (wake_fd < 0 || gulp_queue_new(&tool->queue, 0, 0) < 0)
        return 2;
    tool->netns = own_netns();
    int r = open_sources(tool, names, wake_fd);
    if (r == 0)
        r = record_sources(tool, wake_fd, command);
    for (size_t i = 0; i < tool->n_sources; i++)
        tool->sources[i].ops->free(tool->sources[i].source);
    gulp_queue_free(tool->queue);
    if (recording_writer_close(tool->recording, &error) < 0)
        return complain(&error);
    return r;
}

static int replay(struct tool *tool, const char *path)
{
    struct error_text error = ERROR_TEXT_NULL;
    struct recording_reader *reader;
    const struct gulp *gulp;
    if (recording_reader_open(&reader, path, &error) < 0)
        return complain(&error);
    int r;
    while ((r = recording_reader_next(reader, &gulp, &error)) == RECORDING_GULP)
        decode_gulp(tool, gulp);
    recording_reader_free(reader);
    return r < 0 ? complain(&error) : 0;
}

static void print_totals(const struct tool *tool)
{
    printf("READ messages=%" PRIu64 " bytes=%" PRIu64 " facts=%" PRIu64 " malformed=%" PRIu64
           " gulps=%" PRIu64 " overruns=%" PRIu64 " spoofed=%" PRIu64 " reader_cpu_ns=%" PRIu64
           " decode_cpu_ns=%" PRIu64 "\n",
           tool->n_messages, tool->n_bytes, tool->n_facts, tool->n_malformed, tool->n_gulps,
           counter_get(&tool->counters, COUNTER_RECEIVE_OVERRUNS),
           counter_get(&tool->counters, COUNTER_MESSAGES_SPOOFED), tool->reader_cpu_ns,
           tool->decode_cpu_ns);
}

static void deinit(struct tool *tool)
{
    for (size_t i = 0; i < SOURCE_N; i++)
        if (tool->decoders[i])
            find_ops((enum source_id)i)->decoder_free(tool->decoders[i]);
    buffer_deinit(&tool->text);
    buffer_deinit(&tool->input);
}

static const struct tool_option known_options[] = {
    {"interval",         TOOL_UNSIGNED, offsetof(struct tool, interval_ms)       },
    {"receive-buffer",   TOOL_NUMBER,   offsetof(struct tool, receive_buffer)    },
    {"record",           TOOL_TEXT,     offsetof(struct tool, record_directory)  },
    {"replay",           TOOL_TEXT,     offsetof(struct tool, replay_path)       },
    {"stall",            TOOL_UNSIGNED, offsetof(struct tool, stall_ms)          },
    {"settle",           TOOL_UNSIGNED, offsetof(struct tool, settle_ms)         },
    {"no-facts",         TOOL_FLAG,     offsetof(struct tool, no_facts)          },
    {"note",             TOOL_FLAG,     offsetof(struct tool, note_wanted)       },
    {"ends",             TOOL_UNSIGNED, offsetof(struct tool, n_ends_wanted)     },
    {"scans",            TOOL_UNSIGNED, offsetof(struct tool, n_scans_wanted)    },
    {"other-scans",      TOOL_UNSIGNED, offsetof(struct tool, n_others_wanted)   },
    {"total",            TOOL_FLAG,     offsetof(struct tool, total_wanted)      },
    {"sockets-interval", TOOL_UNSIGNED, offsetof(struct tool, sockets_interval_s)},
    {"bpf",              TOOL_FLAG,     offsetof(struct tool, bpf)               },
    {"ask",              TOOL_FLAG,     offsetof(struct tool, ask)               },
    {"hosts",            TOOL_TEXT,     offsetof(struct tool, paths.hosts)       },
    {"resolv-conf",      TOOL_TEXT,     offsetof(struct tool, paths.resolv_conf) },
    {"servers",          TOOL_TEXT,     offsetof(struct tool, servers)           },
    {"name-timeout",     TOOL_UNSIGNED, offsetof(struct tool, name_timeout_ms)   },
    {"trees",            TOOL_TEXT,     offsetof(struct tool, trees)             },
    {"watches",          TOOL_UNSIGNED, offsetof(struct tool, watches)           },
    {"include",          TOOL_TEXT,     offsetof(struct tool, include)           },
    {"exclude",          TOOL_TEXT,     offsetof(struct tool, exclude)           },
    {"exclude-reads",    TOOL_TEXT,     offsetof(struct tool, exclude_reads)     },
    {"own",              TOOL_TEXT,     offsetof(struct tool, own_directory)     },
    {"fanotify",         TOOL_FLAG,     offsetof(struct tool, fanotify)          },
    {"looks",            TOOL_UNSIGNED, offsetof(struct tool, n_looks_wanted)    },
};

int main(int argc, char **argv)
{
    struct tool tool = {
        .receive_buffer = 32 * 1024 * 1024,
        .ended_ns = UINT64_MAX,
        .paths = {.hosts = "/etc/hosts", .resolv_conf = "/etc/resolv.conf"},
    };
    int first = tool_options_parse(known_options, N_ELEMENTS(known_options), &tool, argc, argv);
    int left = argc - first;
    if (tool.ask ? left != 1
                 : !tool.replay_path && (left < 3 || strcmp(argv[first + 1], "--") != 0)) {
        fprintf(stderr, "usage: source_tool [options] SOURCE[,SOURCE...] -- COMMAND [ARGUMENT...]\n"
                        "       source_tool [options] --ask resolver\n"
                        "       source_tool [options] --replay PATH\n");
        return 2;
    }
    if (tool.ask)
        setvbuf(stdout, NULL, _IOLBF, 0);
    int r = tool.replay_path ? replay(&tool, tool.replay_path)
                             : record(&tool, argv[first], tool.record_directory, argv + first + 2);
    if (r == 0)
        print_totals(&tool);
    deinit(&tool);
    return r;
}
