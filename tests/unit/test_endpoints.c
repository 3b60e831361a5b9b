// links: vestige_tracker
/* Facts of sockets in, rows out: each way in which a conversation can begin, be attributed and end.
 */
#include "core/inet_address.h"
#include "recorder/endpoints/endpoints.h"
#include "recorder/row/row_sink_memory.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)

enum { ESTABLISHED = 1, SYN_SENT = 2, SYN_RECEIVED = 3, CLOSE = 7, LISTEN = 10 };
enum { NETNS = 4026531840, CLIENT = 100, SERVER = 200 };

struct world {
    struct row_sink_memory memory;
    struct counters counters;
    struct timeline timeline;
    struct row_output output;
    struct user_names *names;
    struct processes *processes;
    struct endpoints *endpoints;
    uint64_t now;
    bool name_is_known;
    unsigned n_scans_asked;
};

static const int64_t real_start = INT64_C(1780000000) * 1000000000;
static const uint64_t boot_start = UINT64_C(1000000) * MS;

static bool host_name(void *user, const struct inet_address *address, struct slice *text)
{
    const struct world *w = user;
    *text = w->name_is_known && address->bytes[3] == 9 ? slice_text("nine.example") : SLICE_NULL;
    return w->name_is_known || address->bytes[3] != 9;
}

static void ask_scan(void *user)
{
    ((struct world *)user)->n_scans_asked++;
}

static const char *interface_name(void *user, uint32_t index)
{
    (void)user;
    return index == 3 ? "eth3" : NULL;
}

static void make(struct world *w, bool bpf, bool scans)
{
    const struct endpoints_options options = {.output = &w->output,
                                              .names = w->names,
                                              .processes = w->processes,
                                              .scans = scans,
                                              .bpf_active = bpf,
                                              .settle_ns = 250 * MS,
                                              .accept_ns = 5000 * MS,
                                              .name_ns = 1800 * MS,
                                              .most = 100,
                                              .user = w,
                                              .ask_scan = ask_scan,
                                              .host_name = host_name,
                                              .interface_name = interface_name};
    w->endpoints = endpoints_free(w->endpoints);
    assert_int_equal(endpoints_new(&w->endpoints, &options), 0);
}

static void make_endpoints(struct world *w, bool bpf)
{
    make(w, bpf, false);
}

static void add_process(struct world *w, uint32_t pid, uint32_t uid, const char *comm)
{
    const struct fact fact = {
        .kind = FACT_PROC_PROCESS,
        .boot_ns = w->now,
        .proc_process = {.pid = pid,
                         .ppid = 1,
                         .start_ticks = w->now / 10000000,
                         .n_threads = 1,
                         .uid = uid,
                         .euid = uid,
                         .gid = uid,
                         .egid = uid,
                         .login_uid = 1000,
                         .session = 3,
                         .sid = pid,
                         .comm = slice_text(comm),
                         .exe = slice_text("/bin/x")}
    };
    processes_fact(w->processes, &fact);
}

static void tick(struct world *w, uint64_t after_ms)
{
    w->now += after_ms * MS;
    timeline_tick(&w->timeline, w->now, real_start + (int64_t)(w->now - boot_start), INT64_MIN);
    processes_tick(w->processes);
    endpoints_tick(w->endpoints);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    w->now = boot_start;
    w->name_is_known = true;
    timeline_init(&w->timeline, boot_start, real_start, 0, INT64_MIN);
    w->output = (struct row_output){.sink = row_sink_memory(&w->memory),
                                    .timeline = &w->timeline,
                                    .counters = &w->counters,
                                    .boot_id = "00000000-0000-0000-0000-000000000001"};
    assert_int_equal(user_names_new(&w->names, (struct user_names_request){0}), 0);
    user_names_learn(w->names, &(struct fact_user_name){.uid = 1000, .name = slice_text("alice")});
    struct processes_options options = {.output = &w->output,
                                        .names = w->names,
                                        .settle_ns = 250 * MS,
                                        .late_most = 100,
                                        .image_bytes_most = 1048576,
                                        .connector_active = true};
    assert_int_equal(processes_new(&w->processes, &options), 0);
    make_endpoints(w, true);
    add_process(w, CLIENT, 1000, "client");
    add_process(w, SERVER, 0, "server");
    tick(w, 1000);
    row_sink_memory_clear(&w->memory);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    endpoints_free(w->endpoints);
    processes_free(w->processes);
    user_names_free(w->names);
    line_deinit(&w->output.line);
    row_sink_memory_deinit(&w->memory);
    free(w);
    return 0;
}

static struct inet_address address(uint8_t last, uint16_t port)
{
    return (struct inet_address){
        .family = AF_INET, .port = port, .bytes = {127, 0, 0, last}
    };
}

static struct socket_description tcp(uint64_t cookie, struct inet_address local,
                                     struct inet_address remote)
{
    return (struct socket_description){.cookie = cookie,
                                       .netns = NETNS,
                                       .family = AF_INET,
                                       .type = SOCK_STREAM,
                                       .protocol = IPPROTO_TCP,
                                       .local = local,
                                       .remote = remote,
                                       .uid = ID_UNSET,
                                       .bytes_sent = UINT64_MAX,
                                       .bytes_received = UINT64_MAX};
}

static void give(struct world *w, struct fact fact)
{
    fact.boot_ns = w->now;
    endpoints_fact(w->endpoints, &fact);
}

static void call(struct world *w, enum socket_call which, uint32_t pid,
                 struct socket_description socket)
{
    give(w, (struct fact){
                .kind = FACT_SOCKET_CALL,
                .source = SOURCE_BPF,
                .socket_call = {.call = which,
                                .pid = pid,
                                .uid = pid == CLIENT ? 1000 : 0,
                                .login_uid = 1000,
                                .session = 3,
                                .comm = slice_text(pid == CLIENT ? "curl" : "httpd"),
                                .socket = socket}
    });
}

static void change(struct world *w, uint8_t from, uint8_t to, struct socket_description socket)
{
    give(w, (struct fact){
                .kind = FACT_SOCKET_STATE,
                .source = SOURCE_BPF,
                .socket_state = {.old_state = from, .new_state = to, .socket = socket}
    });
}

static void close_tcp(struct world *w, uint8_t from, struct socket_description socket, int error,
                      uint64_t sent, uint64_t received)
{
    socket.error = error;
    socket.bytes_sent = sent;
    socket.bytes_received = received;
    change(w, from, CLOSE, socket);
}

static void scan(struct world *w, bool begin, bool complete)
{
    give(w, (struct fact){
                .kind = FACT_SOCKET_SCAN,
                .socket_scan = {.begin = begin, .complete = complete, .netns = NETNS}
    });
}

static void existing(struct world *w, uint8_t state, uint64_t inode,
                     struct socket_description socket)
{
    socket.state = state;
    socket.inode = inode;
    give(w, (struct fact){.kind = FACT_SOCKET, .socket = {.socket = socket}});
}

static void destroyed(struct world *w, struct socket_description socket, uint64_t sent,
                      uint64_t received)
{
    socket.bytes_sent = sent;
    socket.bytes_received = received;
    give(w, (struct fact){
                .kind = FACT_SOCKET, .socket = {.end = true, .socket = socket}
    });
}

static void owner(struct world *w, uint64_t inode, uint32_t pid)
{
    give(w, (struct fact){
                .kind = FACT_SOCKET_OWNER, .socket_owner = {.inode = inode, .pid = pid}
    });
}

static void audit(struct world *w, enum audit_call which, uint32_t pid, int32_t result,
                  struct inet_address peer)
{
    give(w, (struct fact){
                .kind = FACT_AUDIT_SOCKET,
                .source = SOURCE_AUDIT,
                .audit_socket = {.real_ms = (real_start + (int64_t)(w->now - boot_start)) / 1000000,
                                 .call = which,
                                 .result = result,
                                 .pid = pid,
                                 .login_uid = 1000,
                                 .uid = pid == CLIENT ? 1000 : 0,
                                 .comm = slice_text("nc"),
                                 .address = peer}
    });
}

static struct slice line(struct world *w, size_t number, const char *verb)
{
    struct slice text = row_sink_memory_line(&w->memory, number);
    assert_false(slice_is_null(text));
    assert_memory_equal(text.data, verb, strlen(verb));
    return text;
}

static void assert_value(struct slice text, size_t column, const char *expected)
{
    struct slice value = row_sink_memory_value(text, column);
    if (!slice_is(value, expected))
        fail_msg("column %zu is '%.*s', not '%s' in: %.*s", column, (int)value.length, value.data,
                 expected, (int)text.length, text.data);
}

static void assert_peer(struct slice text, const char *direction, const char *host,
                        const char *port)
{
    assert_value(text, ENDPOINT_DIRECTION, direction);
    assert_value(text, ENDPOINT_REMOTE_ADDRESS, host);
    assert_value(text, ENDPOINT_REMOTE_PORT, port);
}

static void assert_owner(struct slice text, const char *pid, const char *source, const char *comm)
{
    assert_value(text, ENDPOINT_PID, pid);
    assert_value(text, ENDPOINT_PID_SOURCE, source);
    assert_value(text, ENDPOINT_APPLICATION, comm);
}

static void test_short_connection_is_two_lines(void **state)
{
    struct world *w = *state;
    struct inet_address client = address(1, 40000), service = address(2, 80);
    struct socket_description out = tcp(11, client, service), in = tcp(12, service, client);
    struct socket_description unnamed = tcp(11, address(0, 0), service);
    memset(unnamed.local.bytes, 0, sizeof(unnamed.local.bytes));
    call(w, SOCKET_CALL_CONNECT, CLIENT, unnamed);
    change(w, SYN_SENT, ESTABLISHED, out);
    change(w, SYN_RECEIVED, ESTABLISHED, in);
    call(w, SOCKET_CALL_ACCEPT, SERVER, in);
    close_tcp(w, 5, out, 0, 100, 200);
    close_tcp(w, 9, in, 0, 200, 100);
    assert_int_equal(w->memory.n_lines, 2);
    struct slice text = line(w, 0, "insert\tendpoint\t");
    assert_peer(text, "out", "127.0.0.2", "80");
    assert_owner(text, "100", "exact", "curl");
    assert_value(text, ENDPOINT_USERNAME, "alice");
    assert_value(text, ENDPOINT_LOGIN_UID, "1000");
    assert_value(text, ENDPOINT_SEEN_BY, "bpf");
    assert_value(text, ENDPOINT_STATUS, "established");
    assert_value(text, ENDPOINT_LOCAL_PORT, "40000");
    assert_value(text, ENDPOINT_BYTES_SENT, "100");
    assert_value(text, ENDPOINT_BYTES_RECEIVED, "200");
    assert_value(text, ENDPOINT_END_CAUSE, "closed");
    text = line(w, 1, "insert\tendpoint\t");
    assert_peer(text, "in", "127.0.0.1", "40000");
    assert_owner(text, "200", "exact", "httpd");
    assert_value(text, ENDPOINT_BYTES_SENT, "200");
    assert_int_equal(endpoints_living(w->endpoints), 0);
}

static void test_refused_and_failed(void **state)
{
    struct world *w = *state;
    struct socket_description socket = tcp(11, address(1, 40000), address(2, 81));
    call(w, SOCKET_CALL_CONNECT, CLIENT, socket);
    close_tcp(w, SYN_SENT, socket, ECONNREFUSED, 0, 0);
    call(w, SOCKET_CALL_CONNECT, CLIENT, socket); /* the same socket again */
    close_tcp(w, SYN_SENT, socket, ETIMEDOUT, 0, 0);
    assert_int_equal(w->memory.n_lines, 2);
    assert_value(line(w, 0, "insert"), ENDPOINT_STATUS, "refused");
    assert_value(line(w, 1, "insert"), ENDPOINT_STATUS, "failed");
    assert_value(line(w, 1, "insert"), ENDPOINT_COOKIE, "11");
}

static void test_pending_connection_is_settled_later(void **state)
{
    struct world *w = *state;
    struct socket_description socket = tcp(11, address(1, 40000), address(2, 81));
    call(w, SOCKET_CALL_CONNECT, CLIENT, socket);
    assert_false(endpoints_settled_until(w->endpoints, w->now));
    tick(w, 251);
    assert_true(endpoints_settled_until(w->endpoints, w->now));
    assert_int_equal(w->memory.n_lines, 1);
    assert_owner(line(w, 0, "insert"), "100", "exact", "curl");
    assert_value(line(w, 0, "insert"), ENDPOINT_STATUS, "\\N");
    tick(w, 5000);
    change(w, SYN_SENT, ESTABLISHED, socket);
    assert_int_equal(w->memory.n_lines, 2);
    assert_value(line(w, 1, "settle"), 0, "established");
    close_tcp(w, 5, socket, 0, 1, 2);
    assert_int_equal(w->memory.n_lines, 3);
    assert_value(line(w, 2, "end"), 2, "1");
    assert_value(line(w, 2, "end"), 3, "2");
}

static void test_names_are_waited_for(void **state)
{
    struct world *w = *state;
    struct socket_description socket = tcp(11, address(1, 40000), address(9, 81));
    w->name_is_known = false;
    call(w, SOCKET_CALL_CONNECT, CLIENT, socket);
    change(w, SYN_SENT, ESTABLISHED, socket);
    close_tcp(w, 5, socket, 0, 1, 2);
    assert_int_equal(w->memory.n_lines, 0);
    tick(w, 251);
    assert_value(line(w, 0, "insert"), ENDPOINT_STATUS, "\\N");
    assert_value(line(w, 0, "insert"), ENDPOINT_BYTES_SENT, "1");
    w->name_is_known = true;
    tick(w, 20);
    assert_value(line(w, 1, "settle"), 0, "established");
    assert_value(line(w, 1, "settle"), 4, "nine.example");
    assert_int_equal(endpoints_living(w->endpoints), 0);
}

static void test_names_are_not_waited_for_for_ever(void **state)
{
    struct world *w = *state;
    struct socket_description socket = tcp(11, address(1, 40000), address(9, 81));
    w->name_is_known = false;
    call(w, SOCKET_CALL_CONNECT, CLIENT, socket);
    change(w, SYN_SENT, ESTABLISHED, socket);
    tick(w, 251);
    tick(w, 1500);
    assert_int_equal(w->memory.n_lines, 1);
    tick(w, 100);
    assert_value(line(w, 1, "settle"), 0, "established");
    assert_value(line(w, 1, "settle"), 4, "\\N");
}

/* Who accepts is waited for; a listener stands in for it only when nobody does. */
static void test_accept_is_waited_for(void **state)
{
    struct world *w = *state;
    struct inet_address service = address(2, 80), none = {0};
    call(w, SOCKET_CALL_LISTEN, SERVER, tcp(1, service, none));
    tick(w, 251);
    assert_value(line(w, 0, "insert"), ENDPOINT_DIRECTION, "listen");
    assert_value(line(w, 0, "insert"), ENDPOINT_STATUS, "listening");
    assert_value(line(w, 0, "insert"), ENDPOINT_REMOTE_ADDRESS, "\\N");
    change(w, SYN_RECEIVED, ESTABLISHED, tcp(2, service, address(1, 40000)));
    change(w, SYN_RECEIVED, ESTABLISHED, tcp(3, service, address(1, 40001)));
    tick(w, 3000);
    assert_int_equal(w->memory.n_lines, 1);
    call(w, SOCKET_CALL_ACCEPT, CLIENT, tcp(2, service, address(1, 40000)));
    tick(w, 2001);
    assert_int_equal(w->memory.n_lines, 3);
    assert_owner(line(w, 1, "insert"), "100", "exact", "curl");
    assert_owner(line(w, 2, "insert"), "200", "inferred", "httpd");
}

static void test_datagrams_have_a_row_for_each_peer(void **state)
{
    struct world *w = *state;
    struct socket_description socket = tcp(21, address(1, 5000), address(2, 53));
    socket.type = SOCK_DGRAM;
    socket.protocol = IPPROTO_UDP;
    call(w, SOCKET_CALL_SEND, CLIENT, socket);
    socket.remote = address(3, 53);
    call(w, SOCKET_CALL_SEND, CLIENT, socket);
    call(w, SOCKET_CALL_RECEIVE, CLIENT, socket);
    socket.remote = address(4, 53);
    call(w, SOCKET_CALL_RECEIVE, CLIENT, socket);
    destroyed(w, socket, UINT64_MAX, UINT64_MAX);
    assert_int_equal(w->memory.n_lines, 3);
    const char *const expected[][3] = {
        {"127.0.0.4", "in",  "established"},
        {"127.0.0.3", "out", "established"},
        {"127.0.0.2", "out", "requested"  }
    };
    for (size_t i = 0; i < 3; i++) {
        struct slice text = line(w, i, "insert");
        assert_peer(text, expected[i][1], expected[i][0], "53");
        assert_value(text, ENDPOINT_STATUS, expected[i][2]);
        assert_value(text, ENDPOINT_PROTOCOL, "udp");
        assert_value(text, ENDPOINT_BYTES_SENT, "\\N");
        assert_value(text, ENDPOINT_END_CAUSE, "closed");
    }
}

static void test_what_was_there_before(void **state)
{
    struct world *w = *state;
    struct inet_address service = address(2, 80), none = {0};
    struct socket_description bound = tcp(1, service, none);
    bound.interface = 3;
    scan(w, true, false);
    existing(w, LISTEN, 501, bound);
    existing(w, ESTABLISHED, 502, tcp(2, service, address(1, 40000)));
    existing(w, ESTABLISHED, 503, tcp(3, address(1, 40000), service));
    existing(w, SYN_RECEIVED, 0, tcp(4, service, address(1, 40001)));
    scan(w, false, true);
    owner(w, 501, SERVER);
    owner(w, 502, SERVER);
    owner(w, 502, CLIENT);
    owner(w, 777, CLIENT);
    tick(w, 251);
    assert_int_equal(w->memory.n_lines, 3);
    assert_owner(line(w, 0, "insert"), "200", "exact", "server");
    assert_value(line(w, 0, "insert"), ENDPOINT_SEEN_BY, "proc,sock_diag");
    assert_value(line(w, 0, "insert"), ENDPOINT_INTERFACE, "eth3");
    assert_owner(line(w, 1, "insert"), "100", "inferred", "client");
    assert_value(line(w, 1, "insert"), ENDPOINT_DIRECTION, "in");
    assert_owner(line(w, 2, "insert"), "\\N", "\\N", "\\N");
    assert_value(line(w, 2, "insert"), ENDPOINT_DIRECTION, "out");
    /* The next dump finds the first only; an incomplete one ends nothing. */
    tick(w, 1000);
    scan(w, true, false);
    existing(w, LISTEN, 501, bound);
    scan(w, false, false);
    assert_int_equal(w->memory.n_lines, 3);
    scan(w, true, false);
    existing(w, LISTEN, 501, bound);
    scan(w, false, true);
    tick(w, 200);
    assert_int_equal(w->memory.n_lines, 5);
    assert_value(line(w, 3, "end"), 1, "unknown");
    assert_int_equal(endpoints_living(w->endpoints), 1);
}

/* Lines of the run before, as the journal gives them back. */
static void restore_all(struct world *w, struct row_sink_memory *before)
{
    for (size_t i = 0; i < before->n_lines; i++) {
        struct slice text = row_sink_memory_line(before, i), values[ENDPOINT_COLUMN_N];
        assert_memory_equal(text.data, "insert\tendpoint\t", 16);
        for (size_t column = 0; column < ENDPOINT_COLUMN_N; column++) {
            values[column] = row_sink_memory_value(text, column);
            if (slice_is(values[column], "\\N"))
                values[column] = SLICE_NULL;
        }
        endpoints_restore(w->endpoints, VERB_INSERT,
                          strtoull((const char *)text.data + 16, NULL, 10), values,
                          ENDPOINT_COLUMN_N);
    }
}

/* The dump was asked for before the socket ended, and is read after it. */
static void test_dump_that_is_older_than_an_end(void **state)
{
    struct world *w = *state;
    struct socket_description socket = tcp(2, address(1, 40000), address(2, 80));
    call(w, SOCKET_CALL_CONNECT, CLIENT, socket);
    close_tcp(w, 5, socket, 0, 1, 2);
    existing(w, ESTABLISHED, 502, socket);
    tick(w, 251);
    assert_int_equal(w->memory.n_lines, 1);
    assert_int_equal(endpoints_living(w->endpoints), 0);
    existing(w, ESTABLISHED, 502, socket); /* the same socket, connected again */
    assert_int_equal(endpoints_living(w->endpoints), 1);
}

static void test_restart_takes_up_what_still_exists(void **state)
{
    struct world *w = *state;
    struct inet_address service = address(2, 80), none = {0};
    struct row_sink_memory before = ROW_SINK_MEMORY_NULL;
    call(w, SOCKET_CALL_LISTEN, SERVER, tcp(1, service, none));
    call(w, SOCKET_CALL_CONNECT, CLIENT, tcp(2, address(1, 40000), address(2, 81)));
    call(w, SOCKET_CALL_CONNECT, CLIENT, tcp(3, address(1, 40001), address(2, 82)));
    tick(w, 251);
    assert_int_equal(w->memory.n_lines, 3);
    before = w->memory;
    w->memory = (struct row_sink_memory)ROW_SINK_MEMORY_NULL;
    make_endpoints(w, true);
    restore_all(w, &before);
    endpoints_restored(w->endpoints, true, 0);
    endpoints_checkpoint(w->endpoints); /* before they are found: none may be forgotten */
    assert_int_equal(w->memory.n_lines, 3);
    row_sink_memory_deinit(&before);
    before = w->memory;
    w->memory = (struct row_sink_memory)ROW_SINK_MEMORY_NULL;
    make_endpoints(w, true);
    restore_all(w, &before);
    endpoints_restored(w->endpoints, true, 0);
    tick(w, 1000);
    scan(w, true, false);
    existing(w, LISTEN, 501, tcp(1, service, none));
    change(w, SYN_SENT, ESTABLISHED, tcp(2, address(1, 40000), address(2, 81)));
    scan(w, false, true);
    tick(w, 200);
    assert_int_equal(w->memory.n_lines, 2);
    assert_value(line(w, 0, "settle"), 0, "established");
    assert_value(line(w, 1, "end"), 1, "reconciled");
    change(w, LISTEN, CLOSE, tcp(1, service, none));
    assert_value(line(w, 2, "end"), 1, "closed");
    row_sink_memory_deinit(&before);
}

static void test_reboot_ends_all(void **state)
{
    struct world *w = *state;
    struct row_sink_memory before;
    call(w, SOCKET_CALL_LISTEN, SERVER, tcp(1, address(2, 80), (struct inet_address){0}));
    tick(w, 251);
    before = w->memory;
    w->memory = (struct row_sink_memory)ROW_SINK_MEMORY_NULL;
    make_endpoints(w, true);
    restore_all(w, &before);
    endpoints_restored(w->endpoints, false, UINT64_C(1780000009) * 1000000);
    assert_value(line(w, 0, "end"), 1, "reboot");
    assert_value(line(w, 0, "end"), 0, "2026-05-28 20:26:49.000000");
    row_sink_memory_deinit(&before);
}

/* -- without BPF -- */

static void test_audit_names_who_connected(void **state)
{
    struct world *w = *state;
    make_endpoints(w, false);
    audit(w, AUDIT_CALL_CONNECT, CLIENT, 0, address(2, 80));
    destroyed(w, tcp(31, address(1, 40000), address(2, 80)), 100, 200);
    struct slice text = line(w, 0, "insert");
    assert_owner(text, "100", "inferred", "nc");
    assert_peer(text, "out", "127.0.0.2", "80");
    assert_value(text, ENDPOINT_LOCAL_PORT, "40000");
    assert_value(text, ENDPOINT_COOKIE, "31");
    assert_value(text, ENDPOINT_SEEN_BY, "audit,sock_diag");
    assert_value(text, ENDPOINT_BYTES_RECEIVED, "200");
}

static void test_audit_accept_with_address_is_exact(void **state)
{
    struct world *w = *state;
    make_endpoints(w, false);
    audit(w, AUDIT_CALL_ACCEPT, SERVER, 5, address(1, 40000));
    destroyed(w, tcp(32, address(2, 80), address(1, 40000)), 200, 100);
    struct slice text = line(w, 0, "insert");
    assert_owner(text, "200", "exact", "nc");
    assert_peer(text, "in", "127.0.0.1", "40000");
}

static void test_audit_refused_has_no_socket(void **state)
{
    struct world *w = *state;
    make_endpoints(w, false);
    audit(w, AUDIT_CALL_CONNECT, CLIENT, -ECONNREFUSED, address(2, 81));
    audit(w, AUDIT_CALL_CONNECT, CLIENT, -EISCONN, address(2, 82));
    assert_int_equal(w->memory.n_lines, 1);
    assert_value(line(w, 0, "insert"), ENDPOINT_STATUS, "refused");
    assert_owner(line(w, 0, "insert"), "100", "exact", "nc");
}

/* Two users to one peer: nothing is claimed that is not known. */
static void test_concurrent_equal_peers_are_never_exact(void **state)
{
    struct world *w = *state;
    make_endpoints(w, false);
    audit(w, AUDIT_CALL_CONNECT, CLIENT, 0, address(2, 80));
    audit(w, AUDIT_CALL_CONNECT, SERVER, 0, address(2, 80));
    destroyed(w, tcp(41, address(1, 40001), address(2, 80)), 1, 1);
    destroyed(w, tcp(42, address(1, 40002), address(2, 80)), 1, 1);
    assert_int_equal(w->memory.n_lines, 2);
    for (size_t i = 0; i < 2; i++)
        assert_value(line(w, i, "insert"), ENDPOINT_PID_SOURCE, "inferred");
}

/* The socket still exists: a dump is asked for, and /proc says whose it is. */
static void test_audit_connect_that_lasts(void **state)
{
    struct world *w = *state;
    make_endpoints(w, false);
    audit(w, AUDIT_CALL_CONNECT, CLIENT, -EINPROGRESS, address(2, 80));
    tick(w, 210);
    assert_int_equal(w->n_scans_asked, 1);
    scan(w, true, false);
    existing(w, ESTABLISHED, 600, tcp(51, address(1, 40003), address(2, 80)));
    scan(w, false, true);
    owner(w, 600, CLIENT);
    tick(w, 60);
    struct slice text = line(w, 0, "insert");
    assert_value(text, ENDPOINT_STATUS, "established");
    assert_owner(text, "100", "exact", "nc");
    assert_value(text, ENDPOINT_SEEN_BY, "audit,proc,sock_diag");
}

static void test_room_is_bounded(void **state)
{
    struct world *w = *state;
    for (uint64_t cookie = 1; cookie <= 103; cookie++)
        call(w, SOCKET_CALL_CONNECT, CLIENT, tcp(cookie, address(1, 40000), address(2, 80)));
    assert_int_equal(endpoints_living(w->endpoints), 100);
    assert_int_equal(endpoints_take_dropped(w->endpoints), 3);
    assert_int_equal(endpoints_take_dropped(w->endpoints), 0);
}

static void test_full_journal_loses_no_row(void **state)
{
    struct world *w = *state;
    struct socket_description socket = tcp(11, address(1, 40000), address(2, 80));
    w->memory.refuse = -ENOSPC;
    call(w, SOCKET_CALL_CONNECT, CLIENT, socket);
    change(w, SYN_SENT, ESTABLISHED, socket);
    close_tcp(w, 5, socket, 0, 1, 2);
    tick(w, 300);
    assert_int_equal(w->memory.n_lines, 0);
    w->memory.refuse = 0;
    tick(w, 20);
    assert_int_equal(w->memory.n_lines, 1);
    assert_value(line(w, 0, "insert"), ENDPOINT_STATUS, "established");
    assert_int_equal(endpoints_living(w->endpoints), 0);
}

static struct socket_description udp(uint64_t cookie, struct inet_address local,
                                     struct inet_address remote)
{
    struct socket_description socket = tcp(cookie, local, remote);
    socket.type = SOCK_DGRAM;
    socket.protocol = IPPROTO_UDP;
    return socket;
}

/* A dump in which nothing is found. */
static void empty_dump(struct world *w)
{
    scan(w, true, false);
    scan(w, false, true);
}

/* The kernel tells of an end some milliseconds later, and a dump may pass between. */
static void test_end_that_is_read_behind_a_dump(void **state)
{
    struct world *w = *state;
    struct socket_description datagrams = udp(61, address(1, 5000), address(2, 53));
    struct socket_description stream = tcp(62, address(1, 40000), address(2, 80));
    call(w, SOCKET_CALL_SEND, CLIENT, datagrams);
    call(w, SOCKET_CALL_CONNECT, CLIENT, stream);
    change(w, SYN_SENT, ESTABLISHED, stream);
    tick(w, 300);
    assert_int_equal(w->memory.n_lines, 2);
    empty_dump(w);
    tick(w, 15);
    assert_int_equal(w->memory.n_lines, 2);
    destroyed(w, datagrams, UINT64_MAX, UINT64_MAX);
    close_tcp(w, 5, stream, 0, 100, 200);
    tick(w, 300);
    assert_int_equal(w->memory.n_lines, 4);
    assert_value(line(w, 2, "end"), 0, "2026-05-28 20:26:41.315000");
    assert_value(line(w, 2, "end"), 1, "closed");
    assert_value(line(w, 3, "end"), 1, "closed");
    assert_value(line(w, 3, "end"), 2, "100");
}

/* So late that its row has ended: it is not another socket's end, nor another socket. */
static void test_end_that_is_heard_too_late(void **state)
{
    struct world *w = *state;
    struct inet_address service = address(2, 80);
    make_endpoints(w, false);
    audit(w, AUDIT_CALL_CONNECT, CLIENT, 0, service);
    existing(w, ESTABLISHED, 600, tcp(71, address(1, 40000), service));
    tick(w, 300);
    empty_dump(w);
    tick(w, 200);
    assert_int_equal(w->memory.n_lines, 2);
    assert_value(line(w, 1, "end"), 0, "2026-05-28 20:26:41.300000");
    assert_value(line(w, 1, "end"), 1, "unknown");
    audit(w, AUDIT_CALL_CONNECT, SERVER, 0, service);
    destroyed(w, tcp(71, address(1, 40000), service), 1, 2);
    tick(w, 300);
    assert_int_equal(w->memory.n_lines, 3);
    assert_owner(line(w, 2, "insert"), "200", "inferred", "nc");
    assert_value(line(w, 2, "insert"), ENDPOINT_COOKIE, "\\N");
    assert_int_equal(endpoints_living(w->endpoints), 1);
}

static void test_state_that_is_heard_too_late(void **state)
{
    struct world *w = *state;
    struct socket_description stream = tcp(62, address(1, 40000), address(2, 80));
    call(w, SOCKET_CALL_CONNECT, CLIENT, stream);
    change(w, SYN_SENT, ESTABLISHED, stream);
    tick(w, 300);
    empty_dump(w);
    tick(w, 200);
    assert_int_equal(w->memory.n_lines, 2);
    close_tcp(w, 5, stream, 0, 100, 200);
    assert_int_equal(w->memory.n_lines, 2);
    assert_int_equal(endpoints_living(w->endpoints), 0);
}

/* A connection of audit has a socket that no dump has shown yet. */
static void test_unbound_end_that_is_read_behind_a_dump(void **state)
{
    struct world *w = *state;
    make_endpoints(w, false);
    audit(w, AUDIT_CALL_CONNECT, CLIENT, 0, address(2, 80));
    tick(w, 300);
    empty_dump(w);
    audit(w, AUDIT_CALL_CONNECT, CLIENT, 0, address(2, 81));
    tick(w, 15);
    destroyed(w, tcp(81, address(1, 40000), address(2, 80)), 100, 200);
    tick(w, 300);
    assert_int_equal(w->memory.n_lines, 3);
    assert_value(line(w, 1, "end"), 1, "closed");
    assert_value(line(w, 1, "end"), 2, "100");
    assert_value(line(w, 2, "insert"), ENDPOINT_REMOTE_PORT, "81");
    /* Another dump shows none for the second, which had no row yet at the first one. */
    empty_dump(w);
    tick(w, 200);
    assert_value(line(w, 3, "end"), 1, "unknown");
    assert_int_equal(endpoints_living(w->endpoints), 0);
}

/* What the next dump finds was not gone. */
static void test_dump_behind_a_dump(void **state)
{
    struct world *w = *state;
    struct socket_description seen = udp(61, address(1, 5000), address(2, 53));
    struct socket_description gone = udp(62, address(1, 5001), address(2, 53));
    call(w, SOCKET_CALL_SEND, CLIENT, seen);
    call(w, SOCKET_CALL_SEND, CLIENT, gone);
    tick(w, 300);
    empty_dump(w);
    tick(w, 100);
    scan(w, true, false);
    existing(w, ESTABLISHED, 600, seen);
    tick(w, 100);
    assert_int_equal(w->memory.n_lines, 3);
    assert_value(line(w, 2, "end"), 0, "2026-05-28 20:26:41.300000");
    scan(w, false, true);
    tick(w, 300);
    assert_int_equal(w->memory.n_lines, 3);
    assert_int_equal(endpoints_living(w->endpoints), 1);
}

static void test_dump_is_settled_when_its_ends_are_written(void **state)
{
    struct world *w = *state;
    call(w, SOCKET_CALL_SEND, CLIENT, udp(61, address(1, 5000), address(2, 53)));
    tick(w, 300);
    uint64_t before = w->now - 1;
    empty_dump(w);
    assert_true(endpoints_settled_until(w->endpoints, before));
    assert_false(endpoints_settled_until(w->endpoints, w->now));
    tick(w, 199);
    assert_false(endpoints_settled_until(w->endpoints, w->now));
    tick(w, 1);
    assert_true(endpoints_settled_until(w->endpoints, w->now));
    assert_int_equal(w->memory.n_lines, 2);
    call(w, SOCKET_CALL_SEND, CLIENT, udp(62, address(1, 5000), address(2, 53)));
    tick(w, 300);
    empty_dump(w);
    endpoints_flush(w->endpoints);
    assert_int_equal(w->memory.n_lines, 4);
    assert_value(line(w, 3, "end"), 1, "unknown");
}

/* Nothing is settled before the first look's ends are written, of which some are an earlier run's.
 */
static void test_first_look_is_settled_when_its_ends_are_written(void **state)
{
    struct world *w = *state;
    struct fact all = {.kind = FACT_SOCKET_SCAN, .socket_scan = {.complete = true}};
    uint64_t before = w->now;
    make(w, true, true);
    assert_false(endpoints_settled_until(w->endpoints, before));
    tick(w, 15);
    empty_dump(w);
    give(w, all);
    tick(w, 199);
    assert_false(endpoints_settled_until(w->endpoints, before));
    tick(w, 1);
    assert_true(endpoints_settled_until(w->endpoints, before));
    give(w, all);
    assert_true(endpoints_settled_until(w->endpoints, w->now));
}

/* A host of very many namespaces. */
static void test_more_dumps_than_are_kept(void **state)
{
    struct world *w = *state;
    call(w, SOCKET_CALL_SEND, CLIENT, udp(61, address(1, 5000), address(2, 53)));
    tick(w, 300);
    for (unsigned i = 0; i < 256; i++)
        empty_dump(w);
    assert_int_equal(w->memory.n_lines, 1);
    empty_dump(w);
    assert_int_equal(w->memory.n_lines, 2);
    assert_value(line(w, 1, "end"), 1, "unknown");
    tick(w, 200);
    assert_true(endpoints_settled_until(w->endpoints, w->now));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_short_connection_is_two_lines),
        TEST(test_refused_and_failed),
        TEST(test_pending_connection_is_settled_later),
        TEST(test_names_are_waited_for),
        TEST(test_names_are_not_waited_for_for_ever),
        TEST(test_accept_is_waited_for),
        TEST(test_datagrams_have_a_row_for_each_peer),
        TEST(test_what_was_there_before),
        TEST(test_dump_that_is_older_than_an_end),
        TEST(test_restart_takes_up_what_still_exists),
        TEST(test_reboot_ends_all),
        TEST(test_audit_names_who_connected),
        TEST(test_audit_accept_with_address_is_exact),
        TEST(test_audit_refused_has_no_socket),
        TEST(test_concurrent_equal_peers_are_never_exact),
        TEST(test_audit_connect_that_lasts),
        TEST(test_room_is_bounded),
        TEST(test_full_journal_loses_no_row),
        TEST(test_end_that_is_read_behind_a_dump),
        TEST(test_end_that_is_heard_too_late),
        TEST(test_state_that_is_heard_too_late),
        TEST(test_unbound_end_that_is_read_behind_a_dump),
        TEST(test_dump_behind_a_dump),
        TEST(test_dump_is_settled_when_its_ends_are_written),
        TEST(test_first_look_is_settled_when_its_ends_are_written),
        TEST(test_more_dumps_than_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
