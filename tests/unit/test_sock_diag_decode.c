// links: vestige_sock_diag
/* Messages of SOURCE_SOCK_DIAG as the kernel and the source make them, and as they never would. */
#include "collectors/sock_diag/proc_net.h"
#include "collectors/sock_diag/sock_diag_decode.h"
#include "collectors/sock_diag/sock_diag_message.h"
#include "guarded.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/packet_diag.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <linux/unix_diag.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define READ_NS 777
#define NETNS   4026531833

struct facts {
    struct fact fact[8];
    char path[128]; /* of the last */
    size_t n;
};

struct wire {
    uint8_t bytes[4096] __attribute__((aligned(8)));
    size_t length;
    size_t last; /* where the last netlink message begins */
};

static void keep(void *user, const struct fact *fact)
{
    struct facts *facts = user;
    assert_true(facts->n < 8);
    if (fact->kind == FACT_SOCKET && fact->socket.socket.path.length)
        memcpy(facts->path, fact->socket.socket.path.data, fact->socket.socket.path.length);
    facts->fact[facts->n++] = *fact;
}

static int decode_with(struct decoder *decoder, const void *bytes, size_t length,
                       enum message_kind kind, struct facts *facts)
{
    *facts = (struct facts){.n = 0};
    struct guarded guarded = guarded_copy(bytes, length);
    const struct message message = {.source = SOURCE_SOCK_DIAG,
                                    .kind = kind,
                                    .boot_ns = READ_NS,
                                    .bytes = slice_of(guarded.data, length)};
    int r = sock_diag_decode(decoder, &message, keep, facts);
    guarded_free(&guarded);
    for (size_t i = 0; i < facts->n; i++) {
        assert_int_equal(facts->fact[i].source, SOURCE_SOCK_DIAG);
        assert_int_equal(facts->fact[i].boot_ns, READ_NS);
    }
    return r;
}

static int decode_bytes(const void *bytes, size_t length, struct facts *facts)
{
    struct decoder *decoder;
    assert_int_equal(sock_diag_decoder_new(&decoder), 0);
    int r = decode_with(decoder, bytes, length, MESSAGE_DATA, facts);
    assert_null(sock_diag_decoder_free(decoder));
    return r;
}

static int decode(const struct wire *wire, struct facts *facts)
{
    return decode_bytes(wire->bytes, wire->length, facts);
}

/* Making messages. */

static void begin(struct wire *wire, enum sock_diag_type type, uint32_t detail)
{
    struct sock_diag_header header = {.type = type, .detail = detail, .netns = NETNS};
    memcpy(wire->bytes, &header, sizeof(header));
    wire->length = sizeof(header);
}

static struct nlmsghdr *last(struct wire *wire)
{
    return (struct nlmsghdr *)(void *)(wire->bytes + wire->last);
}

static void put(struct wire *wire, uint16_t type, const void *fixed, size_t size)
{
    wire->last = wire->length;
    struct nlmsghdr *message = mnl_nlmsg_put_header(last(wire));
    message->nlmsg_type = type;
    memcpy(mnl_nlmsg_put_extra_header(message, size), fixed, size);
    wire->length += message->nlmsg_len;
}

static void attribute(struct wire *wire, uint16_t type, const void *value, size_t size)
{
    mnl_attr_put(last(wire), type, size, value);
    wire->length = wire->last + last(wire)->nlmsg_len;
}

static struct inet_diag_msg inet(uint8_t family, const char *local, uint16_t local_port,
                                 const char *remote, uint16_t remote_port)
{
    struct inet_diag_msg message = {
        .idiag_family = family,
        .idiag_state = 1,
        .id = {.idiag_sport = htons(local_port),
               .idiag_dport = htons(remote_port),
               .idiag_if = 3,
               .idiag_cookie = {0x11, 0x22}},
        .idiag_uid = 1000,
        .idiag_inode = 4711
    };
    assert_int_equal(inet_pton(family, local, message.id.idiag_src), 1);
    assert_int_equal(inet_pton(family, remote, message.id.idiag_dst), 1);
    return message;
}

static struct wire dumped(uint8_t protocol, const struct inet_diag_msg *message)
{
    struct wire wire;
    begin(&wire, SOCK_DIAG_DUMP, protocol);
    put(&wire, SOCK_DIAG_BY_FAMILY, message, sizeof(*message));
    attribute(&wire, INET_DIAG_SHUTDOWN, "\3", 1);
    return wire;
}

static struct wire ended(uint8_t protocol, const struct inet_diag_msg *message,
                         const struct tcp_info *info)
{
    struct wire wire;
    begin(&wire, SOCK_DIAG_END, 0);
    put(&wire, SOCK_DIAG_BY_FAMILY, message, sizeof(*message));
    attribute(&wire, INET_DIAG_PROTOCOL, &protocol, 1);
    if (info)
        attribute(&wire, INET_DIAG_INFO, info, sizeof(*info));
    return wire;
}

static const struct socket_description *only(const struct wire *wire, struct facts *facts)
{
    assert_int_equal(decode(wire, facts), 0);
    assert_int_equal(facts->n, 1);
    assert_int_equal(facts->fact[0].kind, FACT_SOCKET);
    assert_int_equal(facts->fact[0].socket.socket.netns, NETNS);
    return &facts->fact[0].socket.socket;
}

static void assert_address(const struct inet_address *address, uint8_t family, const char *text,
                           uint16_t port)
{
    char buffer[INET6_ADDRSTRLEN];
    assert_int_equal(address->family, family);
    assert_non_null(inet_ntop(family, address->bytes, buffer, sizeof(buffer)));
    assert_string_equal(buffer, text);
    assert_int_equal(address->port, port);
}

static void assert_dumped(const struct socket_description *socket, uint8_t family, uint8_t type,
                          uint16_t protocol)
{
    assert_int_equal(socket->family, family);
    assert_int_equal(socket->type, type);
    assert_int_equal(socket->protocol, protocol);
    assert_int_equal(socket->cookie, 0x2200000011);
    assert_int_equal(socket->inode, 4711);
    assert_int_equal(socket->bytes_sent, UINT64_MAX);
    assert_int_equal(socket->bytes_received, UINT64_MAX);
    assert_int_equal(socket->error, 0);
}

/* Dumps. */

static void test_tcp(void **state)
{
    (void)state;
    struct facts facts;
    struct inet_diag_msg message = inet(AF_INET, "192.0.2.1", 22, "198.51.100.7", 65535);
    struct wire wire = dumped(IPPROTO_TCP, &message);
    const struct socket_description *socket = only(&wire, &facts);
    assert_false(facts.fact[0].socket.end);
    assert_dumped(socket, AF_INET, SOCK_STREAM, IPPROTO_TCP);
    assert_address(&socket->local, AF_INET, "192.0.2.1", 22);
    assert_address(&socket->remote, AF_INET, "198.51.100.7", 65535);
    assert_int_equal(socket->state, 1);
    assert_int_equal(socket->interface, 3);
    assert_int_equal(socket->uid, 1000);
}

static void test_six_and_mapped(void **state)
{
    (void)state;
    struct facts facts;
    struct inet_diag_msg message = inet(AF_INET6, "2001:db8::1", 80, "fe80::2", 1);
    struct wire wire = dumped(IPPROTO_TCP, &message);
    const struct socket_description *socket = only(&wire, &facts);
    assert_dumped(socket, AF_INET6, SOCK_STREAM, IPPROTO_TCP);
    assert_address(&socket->local, AF_INET6, "2001:db8::1", 80);
    assert_address(&socket->remote, AF_INET6, "fe80::2", 1);
    message = inet(AF_INET6, "::ffff:192.0.2.1", 80, "::ffff:198.51.100.7", 1);
    wire = dumped(IPPROTO_TCP, &message);
    socket = only(&wire, &facts);
    assert_int_equal(socket->family, AF_INET6);
    assert_address(&socket->local, AF_INET, "192.0.2.1", 80);
    assert_address(&socket->remote, AF_INET, "198.51.100.7", 1);
}

static void test_sides_that_are_not_there(void **state)
{
    (void)state;
    struct facts facts;
    struct inet_diag_msg message = inet(AF_INET6, "::", 80, "::", 0);
    struct wire wire = dumped(IPPROTO_TCP, &message);
    const struct socket_description *socket = only(&wire, &facts);
    assert_address(&socket->local, AF_INET6, "::", 80);
    assert_int_equal(socket->remote.family, 0);
    message = inet(AF_INET6, "::ffff:0.0.0.0", 0, "::ffff:192.0.2.1", 0);
    wire = dumped(IPPROTO_UDP, &message);
    socket = only(&wire, &facts);
    assert_int_equal(socket->local.family, 0);
    assert_address(&socket->remote, AF_INET, "192.0.2.1", 0);
}

static void test_other_protocols(void **state)
{
    (void)state;
    struct facts facts;
    struct inet_diag_msg message = inet(AF_INET, "192.0.2.1", 53, "0.0.0.0", 0);
    message.idiag_state = 7;
    struct wire wire = dumped(IPPROTO_UDP, &message);
    assert_dumped(only(&wire, &facts), AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    wire = dumped(IPPROTO_UDPLITE, &message);
    assert_dumped(only(&wire, &facts), AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
    message.id.idiag_sport = htons(IPPROTO_ICMP);
    wire = dumped(IPPROTO_RAW, &message);
    const struct socket_description *socket = only(&wire, &facts);
    assert_dumped(socket, AF_INET, SOCK_RAW, IPPROTO_ICMP);
    assert_int_equal(socket->local.port, IPPROTO_ICMP);
}

static void test_entries_that_are_no_sockets(void **state)
{
    (void)state;
    static const struct {
        uint8_t state, timer;
        size_t n;
    } cases[] = {
        {6,  0, 0}, /* TIME_WAIT */
        {5,  3, 0}, /* TIME_WAIT in FIN_WAIT2 */
        {5,  2, 1}, /* a socket in FIN_WAIT2 */
        {3,  1, 0},
        {12, 1, 0}, /* requests */
        {10, 0, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct facts facts;
        struct inet_diag_msg message = inet(AF_INET, "192.0.2.1", 22, "198.51.100.7", 9);
        message.idiag_state = cases[i].state;
        message.idiag_timer = cases[i].timer;
        struct wire wire = dumped(IPPROTO_TCP, &message);
        assert_int_equal(decode(&wire, &facts), 0);
        assert_int_equal(facts.n, cases[i].n);
    }
}

static struct wire unix_dump(uint8_t state, const char *name, size_t length)
{
    struct wire wire;
    const struct unix_diag_msg message = {
        .udiag_family = AF_UNIX,
        .udiag_type = SOCK_STREAM,
        .udiag_state = state,
        .udiag_ino = 4711,
        .udiag_cookie = {0x11, 0x22}
    };
    begin(&wire, SOCK_DIAG_DUMP, 0);
    put(&wire, SOCK_DIAG_BY_FAMILY, &message, sizeof(message));
    attribute(&wire, UNIX_DIAG_NAME, name, length);
    attribute(&wire, UNIX_DIAG_UID, &(uint32_t){1000}, 4);
    return wire;
}

static void test_unix(void **state)
{
    (void)state;
    struct facts facts;
    struct wire wire = unix_dump(10, "/run/docker.sock\0", 17);
    const struct socket_description *socket = only(&wire, &facts);
    assert_dumped(socket, AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(socket->state, 10);
    assert_int_equal(socket->uid, 1000);
    assert_int_equal(socket->local.family, 0);
    assert_int_equal(socket->path.length, 16);
    assert_string_equal(facts.path, "/run/docker.sock");
    wire = unix_dump(10, "\0a\0b", 4);
    assert_int_equal(only(&wire, &facts)->path.length, 4);
    assert_memory_equal(facts.path, "\0a\0b", 4);
    wire = unix_dump(10, "not terminated", 14);
    assert_int_equal(only(&wire, &facts)->path.length, 14);
    wire = unix_dump(1, "/run/docker.sock\0", 17);
    assert_int_equal(decode(&wire, &facts), 0);
    assert_int_equal(facts.n, 0);
}

static void test_packet(void **state)
{
    (void)state;
    struct facts facts;
    struct wire wire;
    const struct packet_diag_msg message = {
        .pdiag_family = AF_PACKET,
        .pdiag_type = SOCK_DGRAM,
        .pdiag_num = 0x0806,
        .pdiag_ino = 4711,
        .pdiag_cookie = {0x11, 0x22}
    };
    const struct packet_diag_info info = {.pdi_index = 9};
    begin(&wire, SOCK_DIAG_DUMP, 0);
    put(&wire, SOCK_DIAG_BY_FAMILY, &message, sizeof(message));
    attribute(&wire, PACKET_DIAG_INFO, &info, sizeof(info));
    const struct socket_description *socket = only(&wire, &facts);
    assert_dumped(socket, AF_PACKET, SOCK_DGRAM, 0x0806);
    assert_int_equal(socket->interface, 9);
    assert_int_equal(socket->uid, ID_UNSET);
    attribute(&wire, PACKET_DIAG_UID, &(uint32_t){7}, 4);
    assert_int_equal(only(&wire, &facts)->uid, 7);
}

/* Ends. */

static void test_end_of_tcp(void **state)
{
    (void)state;
    struct facts facts;
    struct inet_diag_msg message = inet(AF_INET6, "::1", 22, "::1", 50000);
    const struct tcp_info info = {.tcpi_bytes_sent = 200,
                                  .tcpi_bytes_acked = 201,
                                  .tcpi_bytes_received = 101,
                                  .tcpi_segs_in = 6,
                                  .tcpi_segs_out = 3,
                                  .tcpi_data_segs_in = 1,
                                  .tcpi_data_segs_out = 1,
                                  .tcpi_delivered = 3};
    message.idiag_state = 7;
    struct wire wire = ended(IPPROTO_TCP, &message, &info);
    const struct socket_description *socket = only(&wire, &facts);
    assert_true(facts.fact[0].socket.end);
    assert_int_equal(socket->cookie, 0x2200000011);
    assert_int_equal(socket->state, 7);
    assert_int_equal(socket->uid, ID_UNSET);
    assert_int_equal(socket->inode, 0);
    assert_int_equal(socket->type, SOCK_STREAM);
    assert_int_equal(socket->protocol, IPPROTO_TCP);
    assert_int_equal(socket->bytes_sent, 200);
    assert_int_equal(socket->bytes_received, 100);
    assert_address(&socket->remote, AF_INET6, "::1", 50000);
    message.idiag_rqueue = 2; /* nobody read two bytes: then it is not known that one is the end */
    wire = ended(IPPROTO_TCP, &message, &info);
    assert_int_equal(only(&wire, &facts)->bytes_received, 101);
    wire = ended(IPPROTO_TCP, &message, NULL);
    assert_int_equal(only(&wire, &facts)->bytes_received, UINT64_MAX);
}

static void test_end_of_udp(void **state)
{
    (void)state;
    struct facts facts;
    struct inet_diag_msg message = inet(AF_INET, "0.0.0.0", 5353, "0.0.0.0", 0);
    struct wire wire = ended(IPPROTO_UDP, &message, NULL);
    const struct socket_description *socket = only(&wire, &facts);
    assert_true(facts.fact[0].socket.end);
    assert_int_equal(socket->type, SOCK_DGRAM);
    assert_address(&socket->local, AF_INET, "0.0.0.0", 5353);
    assert_int_equal(socket->remote.family, 0);
    assert_int_equal(socket->uid, ID_UNSET);
    assert_int_equal(socket->bytes_sent, UINT64_MAX);
    assert_int_equal(socket->bytes_received, UINT64_MAX);
}

static void test_end_needs_its_protocol(void **state)
{
    (void)state;
    struct facts facts;
    struct wire wire;
    struct inet_diag_msg message = inet(AF_INET, "0.0.0.0", 5353, "0.0.0.0", 0);
    begin(&wire, SOCK_DIAG_END, 0);
    put(&wire, SOCK_DIAG_BY_FAMILY, &message, sizeof(message));
    assert_int_equal(decode(&wire, &facts), -EBADMSG);
    attribute(&wire, INET_DIAG_PROTOCOL, "\6\0\0\0", 4);
    assert_int_equal(decode(&wire, &facts), -EBADMSG);
    assert_int_equal(facts.n, 0);
}

/* Framing. */

static void test_several_in_one_datagram(void **state)
{
    (void)state;
    struct facts facts;
    struct inet_diag_msg message = inet(AF_INET, "192.0.2.1", 22, "198.51.100.7", 9);
    struct wire wire = dumped(IPPROTO_TCP, &message);
    put(&wire, SOCK_DIAG_BY_FAMILY, &message, 20); /* cut */
    put(&wire, SOCK_DIAG_BY_FAMILY, &message, sizeof(message));
    put(&wire, 99, &message, sizeof(message));
    put(&wire, NLMSG_DONE, &(int){0}, sizeof(int));
    assert_int_equal(decode(&wire, &facts), -EBADMSG);
    assert_int_equal(facts.n, 2);
}

static void test_every_beginning(void **state)
{
    (void)state;
    struct facts facts;
    struct inet_diag_msg message = inet(AF_INET, "192.0.2.1", 22, "198.51.100.7", 9);
    const struct tcp_info info = {0};
    const struct wire wires[] = {dumped(IPPROTO_TCP, &message), ended(IPPROTO_TCP, &message, &info),
                                 unix_dump(10, "/x", 3)};
    for (size_t i = 0; i < sizeof(wires) / sizeof(wires[0]); i++) {
        for (size_t length = 0; length < wires[i].length; length++) {
            assert_int_equal(decode_bytes(wires[i].bytes, length, &facts), -EBADMSG);
            assert_int_equal(facts.n, 0);
        }
        assert_int_equal(decode(&wires[i], &facts), 0);
    }
}

/* Each byte of the lengths is set to each value: nothing but these two answers, and no crash. */
static void test_hostile_lengths(void **state)
{
    (void)state;
    struct facts facts;
    struct inet_diag_msg message = inet(AF_INET, "192.0.2.1", 22, "198.51.100.7", 9);
    const struct tcp_info info = {0};
    struct wire wires[] = {ended(IPPROTO_TCP, &message, &info), unix_dump(10, "/run/x", 7)};
    const size_t attributes[] = {32 + sizeof(message), 32 + sizeof(struct unix_diag_msg)};
    for (size_t i = 0; i < 2; i++)
        for (size_t byte = 0; byte < 8; byte++) {
            uint8_t *at = wires[i].bytes + (byte < 4 ? 16 + byte : attributes[i] + byte - 4);
            uint8_t right = *at;
            for (unsigned value = 0; value < 256; value++) {
                *at = (uint8_t)value;
                assert_in_range(decode(&wires[i], &facts) + EBADMSG, 0, EBADMSG);
                assert_true(facts.n <= 1);
            }
            *at = right;
            assert_int_equal(decode(&wires[i], &facts), 0);
        }
}

static void test_wrong_family(void **state)
{
    (void)state;
    struct facts facts;
    struct inet_diag_msg message = inet(AF_INET, "192.0.2.1", 22, "198.51.100.7", 9);
    message.idiag_family = 44;
    struct wire wire = dumped(IPPROTO_TCP, &message);
    assert_int_equal(decode(&wire, &facts), -EBADMSG);
    wire = ended(IPPROTO_TCP, &message, NULL);
    assert_int_equal(decode(&wire, &facts), -EBADMSG);
    message.idiag_family = AF_UNIX;
    wire = ended(IPPROTO_TCP, &message, NULL);
    assert_int_equal(decode(&wire, &facts), -EBADMSG);
}

/* Scans. */

static int decode_scan(struct decoder *decoder, enum sock_diag_type type, uint32_t detail,
                       struct facts *facts)
{
    struct wire wire;
    begin(&wire, type, detail);
    return decode_with(decoder, wire.bytes, wire.length, MESSAGE_DATA, facts);
}

static bool scan_is_complete(struct decoder *decoder, uint32_t detail)
{
    struct facts facts;
    assert_int_equal(decode_scan(decoder, SOCK_DIAG_SCAN_END, detail, &facts), 0);
    assert_int_equal(facts.n, 1);
    assert_int_equal(facts.fact[0].kind, FACT_SOCKET_SCAN);
    assert_false(facts.fact[0].socket_scan.begin);
    assert_int_equal(facts.fact[0].socket_scan.netns, NETNS);
    return facts.fact[0].socket_scan.complete;
}

static void test_scans(void **state)
{
    (void)state;
    struct facts facts;
    struct decoder *decoder;
    assert_int_equal(sock_diag_decoder_new(&decoder), 0);
    assert_int_equal(decode_scan(decoder, SOCK_DIAG_SCAN_BEGIN, 0, &facts), 0);
    assert_true(facts.fact[0].socket_scan.begin);
    assert_int_equal(facts.fact[0].socket_scan.netns, NETNS);
    assert_true(scan_is_complete(decoder, 1));
    assert_false(scan_is_complete(decoder, 0));
    assert_int_equal(decode_scan(decoder, SOCK_DIAG_SCAN_END, 2, &facts), -EBADMSG);
    struct inet_diag_msg message = inet(AF_INET, "192.0.2.1", 22, "198.51.100.7", 9);
    struct wire wire = dumped(IPPROTO_TCP, &message);
    last(&wire)->nlmsg_flags = NLM_F_MULTI | NLM_F_DUMP_INTR;
    assert_int_equal(decode_with(decoder, wire.bytes, wire.length, MESSAGE_DATA, &facts), 0);
    assert_int_equal(facts.n, 1);
    assert_false(scan_is_complete(decoder, 1));
    assert_true(scan_is_complete(decoder, 1));
    begin(&wire, SOCK_DIAG_DUMP, IPPROTO_TCP);
    put(&wire, NLMSG_ERROR, &(struct nlmsgerr){.error = -ENOMEM}, sizeof(struct nlmsgerr));
    assert_int_equal(decode_with(decoder, wire.bytes, wire.length, MESSAGE_DATA, &facts), 0);
    assert_int_equal(facts.n, 0);
    assert_int_equal(decode_scan(decoder, SOCK_DIAG_SCAN_BEGIN, 0, &facts), 0);
    assert_true(scan_is_complete(decoder, 1));
    sock_diag_decoder_free(decoder);
}

static void test_owners(void **state)
{
    (void)state;
    struct facts facts;
    struct wire wire;
    const struct sock_diag_owner owners[] = {
        {4711,       4194304, 3        },
        {UINT32_MAX, 1,       INT32_MAX}
    };
    begin(&wire, SOCK_DIAG_OWNERS, 0);
    memcpy(wire.bytes + wire.length, owners, sizeof(owners));
    wire.length += sizeof(owners);
    assert_int_equal(decode(&wire, &facts), 0);
    assert_int_equal(facts.n, 2);
    assert_int_equal(facts.fact[0].kind, FACT_SOCKET_OWNER);
    assert_int_equal(facts.fact[0].socket_owner.inode, 4711);
    assert_int_equal(facts.fact[0].socket_owner.pid, 4194304);
    assert_int_equal(facts.fact[1].socket_owner.descriptor, INT32_MAX);
    assert_int_equal(decode_bytes(wire.bytes, wire.length - 1, &facts), -EBADMSG);
    assert_int_equal(facts.n, 1);
}

static int decode_lines(uint32_t file, const char *text, struct facts *facts)
{
    struct wire wire;
    begin(&wire, SOCK_DIAG_LINES, file);
    memcpy(wire.bytes + wire.length, text, strlen(text));
    wire.length += strlen(text);
    return decode(&wire, facts);
}

/* The second path holds a line feed: what follows it is lost, those behind it are not. */
static void test_lines(void **state)
{
    (void)state;
    struct facts facts;
    assert_int_equal(decode_lines(PROC_NET_UNIX,
                                  "Num RefCount Protocol Flags Type St Inode Path\n"
                                  "0: 00000002 00000000 00010000 0001 01 11 /run/a\n"
                                  "0: 00000002 00000000 00010000 0001 01 12 /run/b\n"
                                  "/run/c\n"
                                  "0: 00000002 00000000 00010000 0001 01 13 @d",
                                  &facts),
                     -EBADMSG);
    assert_int_equal(facts.n, 3);
    assert_int_equal(facts.fact[0].socket.socket.inode, 11);
    assert_int_equal(facts.fact[1].socket.socket.inode, 12);
    assert_int_equal(facts.fact[2].socket.socket.inode, 13);
    assert_int_equal(facts.fact[2].socket.socket.netns, NETNS);
    assert_memory_equal(facts.path, "\0d", 2);
    assert_int_equal(decode_lines(PROC_NET_TCP, "", &facts), 0);
    assert_int_equal(decode_lines(PROC_NET_N, "", &facts), -EBADMSG);
}

static void test_other_messages(void **state)
{
    (void)state;
    struct facts facts;
    struct decoder *decoder;
    struct wire wire;
    assert_int_equal(sock_diag_decoder_new(&decoder), 0);
    assert_int_equal(decode_with(decoder, "", 0, MESSAGE_OVERRUN, &facts), 0);
    assert_int_equal(facts.fact[0].kind, FACT_OVERRUN);
    assert_int_equal(decode_with(decoder, "on\tall", 6, MESSAGE_NOTE, &facts), 0);
    assert_int_equal(facts.fact[0].kind, FACT_NOTE);
    assert_int_equal(decode_with(decoder, "no tab", 6, MESSAGE_NOTE, &facts), -EBADMSG);
    begin(&wire, (enum sock_diag_type)77, 0);
    assert_int_equal(decode_with(decoder, wire.bytes, wire.length, MESSAGE_DATA, &facts), -EBADMSG);
    begin(&wire, SOCK_DIAG_SCAN_BEGIN, 0);
    assert_int_equal(decode_with(decoder, wire.bytes, wire.length + 1, MESSAGE_DATA, &facts),
                     -EBADMSG);
    begin(&wire, SOCK_DIAG_DUMP, 256);
    struct inet_diag_msg message = inet(AF_INET, "192.0.2.1", 22, "198.51.100.7", 9);
    put(&wire, SOCK_DIAG_BY_FAMILY, &message, sizeof(message));
    assert_int_equal(decode(&wire, &facts), -EBADMSG);
    sock_diag_decoder_free(decoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_six_and_mapped),
        cmocka_unit_test(test_sides_that_are_not_there),
        cmocka_unit_test(test_other_protocols),
        cmocka_unit_test(test_entries_that_are_no_sockets),
        cmocka_unit_test(test_unix),
        cmocka_unit_test(test_packet),
        cmocka_unit_test(test_end_of_tcp),
        cmocka_unit_test(test_end_of_udp),
        cmocka_unit_test(test_end_needs_its_protocol),
        cmocka_unit_test(test_several_in_one_datagram),
        cmocka_unit_test(test_every_beginning),
        cmocka_unit_test(test_hostile_lengths),
        cmocka_unit_test(test_wrong_family),
        cmocka_unit_test(test_scans),
        cmocka_unit_test(test_owners),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_other_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
