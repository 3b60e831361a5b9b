// links: vestige_bpf
/* Records as the BPF programs write them, and as nobody should. */
#include "collectors/bpf/bpf_decode.h"
#include "collectors/bpf/bpf_record.h"
#include "guarded.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

struct facts {
    struct fact fact[2];
    char comm[BPF_RECORD_COMM];
    size_t comm_length;
    char target[128];
    size_t n;
};

static void keep(void *user, const struct fact *fact)
{
    struct facts *facts = user;
    assert_true(facts->n < 2);
    if (fact->kind == FACT_SOCKET_CALL) {
        facts->comm_length = fact->socket_call.comm.length;
        memcpy(facts->comm, fact->socket_call.comm.data, facts->comm_length);
    }
    if (fact->kind == FACT_KERNEL_EVENT)
        snprintf(facts->target, sizeof(facts->target), "%.*s",
                 (int)fact->kernel_event.target.length,
                 (const char *)fact->kernel_event.target.data);
    facts->fact[facts->n++] = *fact;
}

static int decode(enum message_kind kind, const void *bytes, size_t length, struct facts *facts)
{
    struct decoder *decoder;
    *facts = (struct facts){.n = 0};
    assert_int_equal(bpf_decoder_new(&decoder), 0);
    struct guarded guarded = guarded_copy(bytes, length);
    const struct message message = {.source = SOURCE_BPF,
                                    .kind = kind,
                                    .boot_ns = 777,
                                    .bytes = slice_of(guarded.data, length)};
    int r = bpf_decode(decoder, &message, keep, facts);
    guarded_free(&guarded);
    bpf_decoder_free(decoder);
    return r;
}

static struct bpf_record sample(enum bpf_record_kind kind)
{
    return (struct bpf_record){
        .magic = BPF_RECORD_MAGIC,
        .version = BPF_RECORD_VERSION,
        .size = sizeof(struct bpf_record),
        .boot_ns = 5000000001,
        .cookie = 0x1234567890,
        .inode = 4242,
        .bytes_sent = UINT64_MAX,
        .bytes_received = UINT64_MAX,
        .netns = 4026531840,
        .interface = 3,
        .socket_uid = 1001,
        .pid = 4194303,
        .uid = 1000,
        .login_uid = 1002,
        .session = 7,
        .protocol = IPPROTO_TCP,
        .kind = (unsigned char)kind,
        .family = AF_INET,
        .type = SOCK_STREAM,
        .old_state = TCP_CLOSE,
        .new_state = TCP_SYN_SENT,
        .local = {.family = AF_INET, .port = 65535, .address = {127, 0, 0, 1}},
        .remote = {.family = AF_INET, .port = 443,   .address = {10, 1, 2, 3} },
        .comm = "a name",
    };
}

static void decode_sample(const struct bpf_record *record, struct facts *facts)
{
    assert_int_equal(decode(MESSAGE_DATA, record, sizeof(*record), facts), 0);
    assert_int_equal(facts->n, 1);
    assert_int_equal(facts->fact[0].source, SOURCE_BPF);
    assert_int_equal(facts->fact[0].boot_ns, 5000000001);
}

static void assert_address(const struct inet_address *address, uint8_t family, uint16_t port,
                           const void *bytes, size_t length)
{
    static const uint8_t zeros[16];
    assert_int_equal(address->family, family);
    assert_int_equal(address->port, port);
    assert_memory_equal(address->bytes, bytes, length);
    assert_memory_equal(address->bytes + length, zeros, 16 - length);
}

static void test_each_call(void **state)
{
    static const struct {
        enum bpf_record_kind kind;
        enum socket_call call;
    } calls[] = {
        {BPF_RECORD_CONNECT, SOCKET_CALL_CONNECT},
        {BPF_RECORD_LISTEN,  SOCKET_CALL_LISTEN },
        {BPF_RECORD_ACCEPT,  SOCKET_CALL_ACCEPT },
        {BPF_RECORD_SEND,    SOCKET_CALL_SEND   },
        {BPF_RECORD_RECEIVE, SOCKET_CALL_RECEIVE},
    };
    struct facts facts;
    (void)state;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        const struct bpf_record record = sample(calls[i].kind);
        decode_sample(&record, &facts);
        const struct fact_socket_call *call = &facts.fact[0].socket_call;
        assert_int_equal(facts.fact[0].kind, FACT_SOCKET_CALL);
        assert_int_equal(call->call, calls[i].call);
        assert_int_equal(call->pid, 4194303);
        assert_int_equal(call->uid, 1000);
        assert_int_equal(call->login_uid, 1002);
        assert_int_equal(call->session, 7);
        assert_int_equal(facts.comm_length, 6);
        assert_memory_equal(facts.comm, "a name", 6);
        assert_int_equal(call->socket.cookie, 0x1234567890);
        assert_int_equal(call->socket.netns, 4026531840);
        assert_int_equal(call->socket.inode, 4242);
        assert_int_equal(call->socket.family, AF_INET);
        assert_int_equal(call->socket.type, SOCK_STREAM);
        assert_int_equal(call->socket.protocol, IPPROTO_TCP);
        assert_int_equal(call->socket.state, TCP_SYN_SENT);
        assert_int_equal(call->socket.interface, 3);
        assert_int_equal(call->socket.uid, 1001);
        assert_int_equal(call->socket.error, 0);
        assert_true(call->socket.bytes_sent == UINT64_MAX);
        assert_true(call->socket.bytes_received == UINT64_MAX);
        assert_true(slice_is_null(call->socket.path));
        assert_address(&call->socket.local, AF_INET, 65535, "\x7f\0\0\1", 4);
        assert_address(&call->socket.remote, AF_INET, 443, "\x0a\1\2\3", 4);
    }
}

static void test_end_of_a_connection(void **state)
{
    struct facts facts;
    struct bpf_record record = sample(BPF_RECORD_STATE);
    (void)state;
    record.old_state = TCP_LAST_ACK;
    record.new_state = TCP_CLOSE;
    record.bytes_sent = 100;
    record.bytes_received = 0;
    record.error = ECONNRESET;
    decode_sample(&record, &facts);
    const struct fact_socket_state *change = &facts.fact[0].socket_state;
    assert_int_equal(facts.fact[0].kind, FACT_SOCKET_STATE);
    assert_int_equal(change->old_state, TCP_LAST_ACK);
    assert_int_equal(change->new_state, TCP_CLOSE);
    assert_int_equal(change->socket.state, TCP_CLOSE);
    assert_int_equal(change->socket.bytes_sent, 100);
    assert_int_equal(change->socket.bytes_received, 0);
    assert_int_equal(change->socket.error, ECONNRESET);
}

static void test_addresses(void **state)
{
    static const struct bpf_record_end ipv6 = {
        .family = AF_INET6, .port = 53, .address = {0x20, 1, [15] = 9}
    };
    static const struct bpf_record_end mapped = {
        .family = AF_INET6, .port = 80, .address = {[10] = 0xff, 0xff, 192, 0, 2, 1}
    };
    static const struct bpf_record_end any = {.family = AF_INET6, .port = 80};
    static const struct bpf_record_end none = {.family = AF_INET6};
    static const struct bpf_record_end none_ipv4 = {.family = AF_INET};
    struct facts facts;
    struct bpf_record record = sample(BPF_RECORD_LISTEN);
    const struct socket_description *socket = &facts.fact[0].socket_call.socket;
    (void)state;
    record.family = AF_INET6;
    record.local = ipv6;
    record.remote = none;
    decode_sample(&record, &facts);
    assert_address(&socket->local, AF_INET6, 53, ipv6.address, 16);
    assert_int_equal(socket->remote.family, 0);
    record.local = mapped;
    record.remote = none_ipv4;
    decode_sample(&record, &facts);
    assert_int_equal(socket->family, AF_INET6);
    assert_address(&socket->local, AF_INET, 80, "\xc0\0\2\1", 4);
    assert_int_equal(socket->remote.family, 0);
    record.local = any;
    decode_sample(&record, &facts);
    assert_address(&socket->local, AF_INET6, 80, any.address, 16);
}

static void test_name_without_an_end(void **state)
{
    struct facts facts;
    struct bpf_record record = sample(BPF_RECORD_CONNECT);
    (void)state;
    memset(record.comm, 'x', sizeof(record.comm));
    decode_sample(&record, &facts);
    assert_int_equal(facts.comm_length, sizeof(record.comm));
    memset(record.comm, 0, sizeof(record.comm));
    decode_sample(&record, &facts);
    assert_int_equal(facts.comm_length, 0);
}

static void assert_refused(const void *bytes, size_t length)
{
    struct facts facts;
    assert_int_equal(decode(MESSAGE_DATA, bytes, length, &facts), -EBADMSG);
    assert_int_equal(facts.n, 0);
}

static void test_other_lengths(void **state)
{
    struct {
        struct bpf_record record;
        uint8_t more[8];
    } longer = {.record = sample(BPF_RECORD_STATE)};
    (void)state;
    for (size_t length = 0; length < sizeof(struct bpf_record); length++) {
        assert_refused(&longer, length);
        struct bpf_record honest = longer.record;
        honest.size = (unsigned short)length;
        assert_refused(&honest, length);
    }
    assert_refused(&longer, sizeof(longer));
    longer.record.size = sizeof(longer);
    assert_refused(&longer, sizeof(longer));
    longer.record.size = UINT16_MAX;
    assert_refused(&longer, sizeof(struct bpf_record));
}

static void test_other_numbers(void **state)
{
    (void)state;
#define REFUSED(member, value)                                                                     \
    do {                                                                                           \
        struct bpf_record record = sample(BPF_RECORD_CONNECT);                                     \
        record.member = (value);                                                                   \
        assert_refused(&record, sizeof(record));                                                   \
    } while (0)
    REFUSED(magic, BPF_RECORD_MAGIC + 1);
    REFUSED(version, 0);
    REFUSED(version, BPF_RECORD_VERSION + 1);
    REFUSED(kind, BPF_RECORD_KIND_N);
    REFUSED(kind, 255);
    REFUSED(family, 0);
    REFUSED(family, AF_UNIX);
    REFUSED(old_state, 0);
    REFUSED(old_state, 14);
    REFUSED(new_state, 0);
    REFUSED(new_state, 255);
    REFUSED(unused, 1);
    REFUSED(error, -1);
    REFUSED(local.family, 0);
    REFUSED(local.family, 255);
    REFUSED(local.unused, 1);
    REFUSED(remote.family, AF_UNIX);
    REFUSED(remote.unused, 255);
}

static int decode_note(const char *text, struct facts *facts)
{
    return decode(MESSAGE_NOTE, text, strlen(text), facts);
}

static void test_losses(void **state)
{
    static const char *const wrong[] = {
        "",        "lost",    "lost=",    "lost=x",
        "lost=5x", "lost= 5", "lost=-1",  "lost=18446744073709551616",
        "last=5",  " lost=5", "lost=5\n", "lost=99999999999999999999999999"};
    struct facts facts;
    (void)state;
    assert_int_equal(decode_note("lost=18446744073709551615", &facts), 0);
    assert_int_equal(facts.n, 1);
    assert_int_equal(facts.fact[0].kind, FACT_BPF_LOST);
    assert_int_equal(facts.fact[0].boot_ns, 777);
    assert_true(facts.fact[0].bpf_lost.events == UINT64_MAX);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(decode_note(wrong[i], &facts), -EBADMSG);
        assert_int_equal(facts.n, 0);
    }
}

static void test_other_messages(void **state)
{
    struct facts facts;
    (void)state;
    assert_int_equal(decode_note("on\taccept by something", &facts), 0);
    assert_int_equal(facts.n, 1);
    assert_int_equal(facts.fact[0].kind, FACT_NOTE);
    assert_int_equal(decode(MESSAGE_OVERRUN, "", 0, &facts), 0);
    assert_int_equal(facts.n, 1);
    assert_int_equal(facts.fact[0].kind, FACT_OVERRUN);
    assert_int_equal(facts.fact[0].source, SOURCE_BPF);
    assert_int_equal(decode(MESSAGE_MARK, "12345678", 8, &facts), -EBADMSG);
    assert_int_equal(facts.n, 0);
}

static void test_signals(void **state)
{
    static const struct {
        uint64_t number;
        int error;
        const char *target;
    } signals[] = {
        {9,          0, "SIGKILL to vestiged, pid 4711"               },
        {9,          1, "SIGKILL to vestiged, pid 4711, by the kernel"},
        {64,         0, "signal 64 to vestiged, pid 4711"             },
        {UINT64_MAX, 0, "signal 0 to vestiged, pid 4711"              },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        struct bpf_record record = {.magic = BPF_RECORD_MAGIC,
                                    .version = BPF_RECORD_VERSION,
                                    .size = sizeof(record),
                                    .boot_ns = 99,
                                    .kind = BPF_RECORD_SIGNAL,
                                    .cookie = 4711,
                                    .inode = signals[i].number,
                                    .error = signals[i].error,
                                    .pid = 12,
                                    .uid = 1000,
                                    .login_uid = 1001};
        struct facts facts;
        assert_int_equal(decode(MESSAGE_DATA, &record, sizeof(record), &facts), 0);
        assert_int_equal(facts.n, 1);
        assert_int_equal(facts.fact[0].kind, FACT_KERNEL_EVENT);
        assert_int_equal(facts.fact[0].boot_ns, 99);
        assert_int_equal(facts.fact[0].kernel_event.kind, KERNEL_SIGNAL);
        assert_int_equal(facts.fact[0].kernel_event.pid, 12);
        assert_int_equal(facts.fact[0].kernel_event.login_uid, 1001);
        assert_string_equal(facts.target, signals[i].target);
        record.error = -1;
        assert_int_equal(decode(MESSAGE_DATA, &record, sizeof(record), &facts), -EBADMSG);
    }
}

static void test_the_guard(void **state)
{
    struct bpf_record record = {.magic = BPF_RECORD_MAGIC,
                                .version = BPF_RECORD_VERSION,
                                .size = sizeof(record),
                                .kind = BPF_RECORD_SIGNAL,
                                .cookie = 4712,
                                .inode = 19,
                                .interface = 1,
                                .pid = 12};
    struct facts facts;
    (void)state;
    assert_int_equal(decode(MESSAGE_DATA, &record, sizeof(record), &facts), 0);
    assert_string_equal(facts.target, "SIGSTOP to the guard of vestiged, pid 4712");
}

static void test_moved(void **state)
{
    struct bpf_record record = {.magic = BPF_RECORD_MAGIC,
                                .version = BPF_RECORD_VERSION,
                                .size = sizeof(record),
                                .kind = BPF_RECORD_MOVED,
                                .cookie = 4711,
                                .pid = 12};
    struct facts facts;
    (void)state;
    assert_int_equal(decode(MESSAGE_DATA, &record, sizeof(record), &facts), 0);
    assert_int_equal(facts.fact[0].kernel_event.kind, KERNEL_TAMPER);
    assert_int_equal(facts.fact[0].kernel_event.pid, 12);
    assert_string_equal(facts.target, "control group of vestiged, pid 4711");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_call),     cmocka_unit_test(test_end_of_a_connection),
        cmocka_unit_test(test_addresses),     cmocka_unit_test(test_name_without_an_end),
        cmocka_unit_test(test_other_lengths), cmocka_unit_test(test_other_numbers),
        cmocka_unit_test(test_losses),        cmocka_unit_test(test_other_messages),
        cmocka_unit_test(test_signals),       cmocka_unit_test(test_the_guard),
        cmocka_unit_test(test_moved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
