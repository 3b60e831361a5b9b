// links: vestige_netlink
/* The socket against the real kernel, with protocols that need no privilege. */
#include "collectors/netlink/netlink_socket.h"
#include "collectors/netlink/netlink_walk.h"

#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

#define TIMEOUT_MS 60000

struct rig {
    struct counters counters;
    struct netlink_socket socket;
    struct gulp *gulp;
};

static void rig_open(struct rig *rig, int protocol, size_t message_size, size_t receive_buffer)
{
    const struct netlink_socket_options options = {.protocol = protocol,
                                                   .source = SOURCE_TASKSTATS,
                                                   .name = "test",
                                                   .message_size = message_size,
                                                   .receive_buffer = receive_buffer,
                                                   .counters = &rig->counters};
    struct error_text error = ERROR_TEXT_NULL;
    memset(&rig->counters, 0, sizeof(rig->counters));
    assert_int_equal(netlink_socket_open(&rig->socket, &options, &error), 0);
    rig->gulp = gulp_new(65536);
    assert_non_null(rig->gulp);
}

static void rig_close(struct rig *rig)
{
    netlink_socket_close(&rig->socket);
    netlink_socket_close(&rig->socket); /* twice is allowed */
    gulp_free(rig->gulp);
}

static uint64_t counted(const struct rig *rig, enum counter_id id)
{
    return counter_get(&rig->counters, id);
}

static void test_other_senders_are_left_out(void **state)
{
    (void)state;
    struct rig rig;
    struct nlmsghdr forged = {.nlmsg_len = sizeof(forged), .nlmsg_type = NLMSG_MIN_TYPE};
    rig_open(&rig, NETLINK_USERSOCK, 4096, 0);
    struct mnl_socket *sender = mnl_socket_open(NETLINK_USERSOCK);
    assert_non_null(sender);
    const struct sockaddr_nl to = {.nl_family = AF_NETLINK,
                                   .nl_pid = mnl_socket_get_portid(rig.socket.mnl)};
    for (int i = 0; i < 3; i++)
        assert_int_equal(sendto(mnl_socket_get_fd(sender), &forged, sizeof(forged), 0,
                                (const struct sockaddr *)&to, sizeof(to)),
                         sizeof(forged));
    assert_int_equal(netlink_socket_drain(&rig.socket, rig.gulp), SOURCE_DRAINED);
    assert_int_equal(rig.gulp->used, 0);
    assert_int_equal(counted(&rig, COUNTER_MESSAGES_SPOOFED), 3);
    assert_int_equal(counted(&rig, COUNTER_MESSAGES_RECEIVED), 0);
    mnl_socket_close(sender);
    rig_close(&rig);
}

static struct nlmsghdr *get_link(char *buffer, int index)
{
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    struct ifinfomsg *link;
    request->nlmsg_type = RTM_GETLINK;
    link = mnl_nlmsg_put_extra_header(request, sizeof(*link));
    link->ifi_index = index;
    return request;
}

static void count_links(void *user, const struct nlmsghdr *header)
{
    *(unsigned *)user += header->nlmsg_type == RTM_NEWLINK;
}

static void test_requests(void **state)
{
    (void)state;
    struct rig rig;
    char buffer[256];
    unsigned n_links = 0;
    rig_open(&rig, NETLINK_ROUTE, 32768, 0);
    assert_int_equal(
        netlink_socket_request(&rig.socket, get_link(buffer, 1), TIMEOUT_MS, count_links, &n_links),
        0);
    assert_int_equal(n_links, 1);
    assert_int_equal(netlink_socket_request(&rig.socket, get_link(buffer, 0x7fffffff), TIMEOUT_MS,
                                            count_links, &n_links),
                     -ENODEV);
    assert_int_equal(n_links, 1);
    assert_int_equal(netlink_socket_drain(&rig.socket, rig.gulp), SOURCE_DRAINED);
    assert_int_equal(rig.gulp->used, 0); /* answers are not data */
    rig_close(&rig);
}

static bool never(void *user, const struct message *message)
{
    (void)message;
    ++*(unsigned *)user;
    return false;
}

/* Ask for @p n links without waiting for the answers. */
static void send_requests(struct rig *rig, unsigned n)
{
    char buffer[256];
    for (unsigned i = 0; i < n; i++) {
        struct nlmsghdr *request = get_link(buffer, 1);
        request->nlmsg_flags = NLM_F_REQUEST;
        request->nlmsg_seq = 1000 + i;
        assert_int_equal(netlink_socket_send(&rig->socket, request, request->nlmsg_len), 0);
    }
}

static void assert_answers(const struct gulp *gulp, size_t *offset, unsigned first, unsigned n)
{
    struct message message;
    for (unsigned i = 0; i < n; i++) {
        assert_true(gulp_next(gulp, offset, &message));
        assert_int_equal(message.source, SOURCE_TASKSTATS);
        assert_int_equal(message.kind, MESSAGE_DATA);
        assert_true(message.boot_ns > 0);
        const struct nlmsghdr *header = netlink_walk_next(&message.bytes);
        assert_non_null(header);
        assert_int_equal(header->nlmsg_seq, first + i);
    }
    assert_false(gulp_next(gulp, offset, &message));
}

static void test_what_comes_while_waiting_is_kept(void **state)
{
    (void)state;
    struct rig rig;
    char buffer[256];
    unsigned n_seen = 0;
    size_t offset = 0;
    rig_open(&rig, NETLINK_ROUTE, 32768, 0);
    send_requests(&rig, 3);
    assert_int_equal(netlink_socket_wait(&rig.socket, 10, never, &n_seen), -ETIMEDOUT);
    assert_int_equal(n_seen, 3);
    assert_int_equal(
        netlink_socket_request(&rig.socket, get_link(buffer, 1), TIMEOUT_MS, NULL, NULL), 0);
    assert_int_equal(netlink_socket_drain(&rig.socket, rig.gulp), SOURCE_DRAINED);
    assert_answers(rig.gulp, &offset, 1000, 3);
    rig_close(&rig);
}

static void test_small_gulp(void **state)
{
    (void)state;
    struct rig rig;
    unsigned n_gulps = 0, n_messages = 0;
    int r;
    rig_open(&rig, NETLINK_ROUTE, 8192, 1 << 20);
    struct gulp *small = gulp_new(8192 + 64);
    assert_non_null(small);
    send_requests(&rig, 5);
    do {
        struct message message;
        size_t offset = 0;
        r = netlink_socket_drain(&rig.socket, small);
        while (gulp_next(small, &offset, &message))
            n_messages++;
        small->used = 0;
        n_gulps++;
    } while (r == SOURCE_MORE && n_gulps < 100);
    assert_int_equal(r, SOURCE_DRAINED);
    assert_int_equal(n_messages, 5);
    assert_true(n_gulps > 3);
    gulp_free(small);
    rig_close(&rig);
}

static void test_too_long_datagrams_are_malformed(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NETLINK_ROUTE, 64, 0);
    send_requests(&rig, 2);
    assert_int_equal(netlink_socket_drain(&rig.socket, rig.gulp), SOURCE_DRAINED);
    assert_int_equal(rig.gulp->used, 0);
    assert_int_equal(counted(&rig, COUNTER_MESSAGES_MALFORMED), 2);
    rig_close(&rig);
}

struct headers {
    unsigned n;
    int32_t nsid; /* of the last */
};

static void put_header(void *user, uint8_t *to, int32_t nsid)
{
    struct headers *headers = user;
    memset(to, 0x5a, 12);
    headers->n++;
    headers->nsid = nsid;
}

static void test_a_header_comes_before_each_datagram(void **state)
{
    (void)state;
    struct rig rig;
    struct message message;
    size_t offset = 0;
    unsigned n_messages = 0;
    struct headers headers = {.n = 0};
    rig_open(&rig, NETLINK_ROUTE, 32768, 0);
    rig.socket.options.header_size = 12;
    rig.socket.options.header = put_header;
    rig.socket.options.header_user = &headers;
    send_requests(&rig, 3);
    assert_int_equal(netlink_socket_drain(&rig.socket, rig.gulp), SOURCE_DRAINED);
    while (gulp_next(rig.gulp, &offset, &message)) {
        struct slice left = slice_of(message.bytes.data + 12, message.bytes.length - 12);
        assert_int_equal(message.bytes.data[0], 0x5a);
        assert_int_equal(message.bytes.data[11], 0x5a);
        assert_int_equal(netlink_walk_next(&left)->nlmsg_seq, 1000 + n_messages);
        n_messages++;
    }
    assert_int_equal(n_messages, 3);
    assert_int_equal(headers.n, 3);
    assert_int_equal(headers.nsid, NETLINK_SOCKET_NSID_NONE);
    rig_close(&rig);
}

static void test_receive_buffer_is_read_back(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NETLINK_ROUTE, 4096, 65536);
    assert_int_equal(rig.socket.receive_buffer, 2 * 65536);
    assert_false(rig.socket.buffer_is_small);
    rig_close(&rig);
}

static void test_no_such_protocol(void **state)
{
    (void)state;
    struct netlink_socket socket;
    struct error_text error = ERROR_TEXT_NULL;
    const struct netlink_socket_options options = {.protocol = 31, .name = "some source"};
    assert_true(netlink_socket_open(&socket, &options, &error) < 0);
    assert_non_null(strstr(error.text, "some source"));
    netlink_socket_close(&socket);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_senders_are_left_out),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_what_comes_while_waiting_is_kept),
        cmocka_unit_test(test_small_gulp),
        cmocka_unit_test(test_too_long_datagrams_are_malformed),
        cmocka_unit_test(test_a_header_comes_before_each_datagram),
        cmocka_unit_test(test_receive_buffer_is_read_back),
        cmocka_unit_test(test_no_such_protocol),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
