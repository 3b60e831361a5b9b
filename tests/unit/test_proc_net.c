// links: vestige_sock_diag
/* Lines of /proc/net as kernels write them, and as they never would. */
#include "collectors/sock_diag/proc_net.h"
#include "guarded.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int parse_bytes(enum proc_net_file file, const void *line, size_t length,
                       struct socket_description *to)
{
    static uint8_t path[PROC_NET_PATH_SIZE];
    struct guarded guarded = guarded_copy(line, length);
    int r = proc_net_line(file, slice_of(guarded.data, length), path, to);
    guarded_free(&guarded);
    return r;
}

static int parse(enum proc_net_file file, const char *line, struct socket_description *to)
{
    return parse_bytes(file, line, strlen(line), to);
}

static void assert_address(const struct inet_address *address, const char *text, uint16_t port)
{
    char buffer[INET6_ADDRSTRLEN];
    assert_non_null(inet_ntop(address->family, address->bytes, buffer, sizeof(buffer)));
    assert_string_equal(buffer, text);
    assert_int_equal(address->port, port);
}

#define TCP_LINE(state, timer)                                                                     \
    "   4: 0100007F:1F90 0200000A:D431 " state " 00000000:00000000 " timer                         \
    ":00000000 00000000  1000        0 123456 2 000000005f56e407 20 4 30 10 -1"

static void test_tcp(void **state)
{
    (void)state;
    struct socket_description socket;
    assert_int_equal(parse(PROC_NET_TCP, TCP_LINE("01", "00"), &socket), 0);
    assert_int_equal(socket.family, AF_INET);
    assert_int_equal(socket.type, SOCK_STREAM);
    assert_int_equal(socket.protocol, IPPROTO_TCP);
    assert_int_equal(socket.state, 1);
    assert_address(&socket.local, "127.0.0.1", 8080);
    assert_address(&socket.remote, "10.0.0.2", 54321);
    assert_int_equal(socket.uid, 1000);
    assert_int_equal(socket.inode, 123456);
    assert_int_equal(socket.cookie, 0);
    assert_int_equal(socket.bytes_sent, UINT64_MAX);
    assert_int_equal(socket.bytes_received, UINT64_MAX);
}

static void test_tcp_that_is_no_socket(void **state)
{
    (void)state;
    struct socket_description socket;
    assert_int_equal(parse(PROC_NET_TCP, "  sl  local_address rem_address   st tx_queue", &socket),
                     PROC_NET_NONE);
    assert_int_equal(parse(PROC_NET_TCP, TCP_LINE("06", "03"), &socket), PROC_NET_NONE);
    assert_int_equal(parse(PROC_NET_TCP, TCP_LINE("05", "03"), &socket), PROC_NET_NONE);
    assert_int_equal(parse(PROC_NET_TCP, TCP_LINE("05", "02"), &socket), 0);
    assert_int_equal(parse(PROC_NET_TCP, TCP_LINE("03", "01"), &socket), PROC_NET_NONE);
    assert_int_equal(parse(PROC_NET_TCP, TCP_LINE("0C", "01"), &socket), PROC_NET_NONE);
}

static void test_six(void **state)
{
    (void)state;
    struct socket_description socket;
    assert_int_equal(parse(PROC_NET_UDP6,
                           " 231: B80D01200000000000000000010000AF:FFFF "
                           "00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 "
                           "00000000 65534        0 99 2 000000009fa9400d 0",
                           &socket),
                     0);
    assert_int_equal(socket.family, AF_INET6);
    assert_int_equal(socket.type, SOCK_DGRAM);
    assert_int_equal(socket.protocol, IPPROTO_UDP);
    assert_address(&socket.local, "2001:db8::af00:1", 65535);
    assert_int_equal(socket.remote.family, 0);
    assert_int_equal(socket.uid, 65534);
    assert_int_equal(parse(PROC_NET_TCP6,
                           "   0: 0000000000000000FFFF00000100007F:0016 "
                           "0000000000000000FFFF00000200007F:C001 01 00000000:00000000 00:00000000 "
                           "00000000     0        0 7 1 0000000000000000 20 4 30 10 -1",
                           &socket),
                     0);
    assert_int_equal(socket.family, AF_INET6);
    assert_address(&socket.local, "127.0.0.1", 22);
    assert_address(&socket.remote, "127.0.0.2", 49153);
}

static void test_raw(void **state)
{
    (void)state;
    struct socket_description socket;
    assert_int_equal(parse(PROC_NET_RAW,
                           "   1: 00000000:0001 00000000:0000 07 00000000:00000000 00:00000000 "
                           "00000000     0        0 136654 2 00000000b30569fb 0",
                           &socket),
                     0);
    assert_int_equal(socket.type, SOCK_RAW);
    assert_int_equal(socket.protocol, IPPROTO_ICMP);
    assert_int_equal(socket.local.port, IPPROTO_ICMP);
    assert_int_equal(socket.inode, 136654);
    /* A raw socket for protocol 6 is no TCP socket. */
    assert_int_equal(parse(PROC_NET_RAW,
                           "   6: 00000000:0006 00000000:0000 03 00000000:00000000 03:00000000 "
                           "00000000     0        0 136655 2 00000000b30569fb 0",
                           &socket),
                     0);
    assert_int_equal(socket.protocol, IPPROTO_TCP);
}

static void test_packet(void **state)
{
    (void)state;
    struct socket_description socket;
    assert_int_equal(parse(PROC_NET_PACKET,
                           "sk               RefCnt Type Proto  Iface R Rmem   User   Inode",
                           &socket),
                     PROC_NET_NONE);
    assert_int_equal(parse(PROC_NET_PACKET,
                           "00000000c5948b95 3      3    0806   12    1 0      1000   136646",
                           &socket),
                     0);
    assert_int_equal(socket.family, AF_PACKET);
    assert_int_equal(socket.type, SOCK_RAW);
    assert_int_equal(socket.protocol, 0x0806);
    assert_int_equal(socket.interface, 12);
    assert_int_equal(socket.uid, 1000);
    assert_int_equal(socket.inode, 136646);
    assert_int_equal(socket.local.family, 0);
}

#define UNIX_LINE(flags, path) "0000000036ad6d16: 00000002 00000000 " flags " 0005 01 116496" path

static void test_unix(void **state)
{
    (void)state;
    struct socket_description socket;
    assert_int_equal(parse(PROC_NET_UNIX, "Num       RefCount Protocol Flags    Type St", &socket),
                     PROC_NET_NONE);
    assert_int_equal(parse(PROC_NET_UNIX, UNIX_LINE("00000000", " /run/x"), &socket),
                     PROC_NET_NONE);
    assert_int_equal(parse(PROC_NET_UNIX, UNIX_LINE("00000000", ""), &socket), PROC_NET_NONE);
    assert_int_equal(parse(PROC_NET_UNIX, UNIX_LINE("00010000", " /run/two  words "), &socket), 0);
    assert_int_equal(socket.family, AF_UNIX);
    assert_int_equal(socket.type, SOCK_SEQPACKET);
    assert_int_equal(socket.state, 10);
    assert_int_equal(socket.inode, 116496);
    assert_int_equal(socket.uid, ID_UNSET);
    assert_true(slice_is(socket.path, "/run/two  words "));
    assert_int_equal(parse(PROC_NET_UNIX, UNIX_LINE("00010000", " @abc"), &socket), 0);
    assert_true(slice_equal(socket.path, slice_of("\0abc", 4)));
    assert_int_equal(parse(PROC_NET_UNIX, UNIX_LINE("00010000", " "), &socket), 0);
    assert_int_equal(socket.path.length, 0);
    assert_int_equal(parse(PROC_NET_UNIX, UNIX_LINE("00010000", ""), &socket), -EBADMSG);
}

static void test_longest_path(void **state)
{
    (void)state;
    struct socket_description socket;
    char line[512] = UNIX_LINE("00010000", " ");
    size_t start = strlen(line);
    memset(line + start, 'p', PROC_NET_PATH_SIZE);
    assert_int_equal(parse_bytes(PROC_NET_UNIX, line, start + PROC_NET_PATH_SIZE - 1, &socket), 0);
    assert_int_equal(socket.path.length, PROC_NET_PATH_SIZE - 1);
    assert_int_equal(parse_bytes(PROC_NET_UNIX, line, start + PROC_NET_PATH_SIZE, &socket),
                     -EBADMSG);
}

static void test_lies(void **state)
{
    (void)state;
    struct socket_description socket;
    static const char *const lines[] = {
        "",
        "    ",
        "garbage",
        "   4: 0100007F1F90 0200000A:D431 01 0:0 00:0 0 1000 0 1",
        "   4: 0100007F:11F90 0200000A:D431 01 0:0 00:0 0 1000 0 1",
        "   4: 100007F:1F90 0200000A:D431 01 0:0 00:0 0 1000 0 1",
        "   4: 00100007F:1F90 0200000A:D431 01 0:0 00:0 0 1000 0 1",
        "   4: 0100007G:1F90 0200000A:D431 01 0:0 00:0 0 1000 0 1",
        "   4: 0100007F: 0200000A:D431 01 0:0 00:0 0 1000 0 1",
        "   4: 0100007F:1F90 0200000A:D431 101 0:0 00:0 0 1000 0 1",
        "   4: 0100007F:1F90 0200000A:D431 01 0:0 00 0 1000 0 1",
        "   4: 0100007F:1F90 0200000A:D431 01 0:0 00:0 0 4294967296 0 1",
        "   4: 0100007F:1F90 0200000A:D431 01 0:0 00:0 0 -1 0 1",
        "   4: 0100007F:1F90 0200000A:D431 01 0:0 00:0 0 1000 0 18446744073709551616",
        "   4: 0100007F:1F90 0200000A:D431 01 0:0 00:0 0 1000 0 ",
        "   4: 0100007F:1F90 0200000A:D431 01 0:0 00:0 0 1000 0 12x",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (parse(PROC_NET_TCP, lines[i], &socket) != -EBADMSG)
            fail_msg("line %zu", i);
    assert_int_equal(parse(PROC_NET_TCP,
                           "   4: 0100007F:1F90 0200000A:D431 01 0:0 00:0 0 4294967295 0 "
                           "18446744073709551615",
                           &socket),
                     0);
    assert_int_equal(socket.uid, UINT32_MAX);
    assert_int_equal(socket.inode, UINT64_MAX);
}

static void test_every_beginning(void **state)
{
    (void)state;
    static const char *const lines[PROC_NET_N] = {
        [PROC_NET_TCP] = TCP_LINE("01", "00"),
        [PROC_NET_PACKET] = "00000000c5948b95 3      3    0806   12    1 0      1000   136646",
        [PROC_NET_UNIX] = UNIX_LINE("00010000", " /run/x"),
    };
    struct socket_description socket;
    for (int file = 0; file < PROC_NET_N; file++) {
        assert_non_null(proc_net_name((enum proc_net_file)file));
        for (size_t length = 0; lines[file] && length < strlen(lines[file]); length++)
            assert_in_range(parse_bytes((enum proc_net_file)file, lines[file], length, &socket) +
                                EBADMSG,
                            0, EBADMSG + PROC_NET_NONE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_tcp_that_is_no_socket),
        cmocka_unit_test(test_six),
        cmocka_unit_test(test_raw),
        cmocka_unit_test(test_packet),
        cmocka_unit_test(test_unix),
        cmocka_unit_test(test_longest_path),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_every_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
