// links: vestige_sock_diag
/* The table in tcp_bytes.h: what destroy messages of real connections had. */
#include "collectors/sock_diag/tcp_bytes.h"

#include <linux/tcp.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The fields that count, of one socket that sent 100 or 200 bytes of payload. */
struct seen {
    uint64_t sent, acknowledged, received;
    uint32_t segments_in, segments_out, data_in, data_out, delivered, unread;
};

static struct tcp_info info_of(const struct seen *seen)
{
    return (struct tcp_info){.tcpi_bytes_sent = seen->sent,
                             .tcpi_bytes_acked = seen->acknowledged,
                             .tcpi_bytes_received = seen->received,
                             .tcpi_segs_in = seen->segments_in,
                             .tcpi_segs_out = seen->segments_out,
                             .tcpi_data_segs_in = seen->data_in,
                             .tcpi_data_segs_out = seen->data_out,
                             .tcpi_delivered = seen->delivered,
                             .tcpi_snd_wnd = 65536};
}

static void assert_bytes(struct tcp_bytes bytes, uint64_t sent, uint64_t received)
{
    assert_int_equal(bytes.sent, sent);
    assert_int_equal(bytes.received, received);
}

static struct tcp_bytes bytes_of(const struct tcp_info *info, uint32_t unread)
{
    return tcp_bytes_of(slice_of(info, sizeof(*info)), unread);
}

static void test_table(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct seen seen;
        uint64_t received;
    } rows[] = {
        {"peer first, end read; it had connected",       {200, 201, 101, 6, 3, 1, 1, 3, 0}, 100},
        {"peer first, end read; we had connected",       {100, 102, 201, 5, 5, 1, 1, 3, 0}, 200},
        {"peer first, end not read",                     {100, 102, 201, 5, 6, 1, 1, 3, 1}, 200},
        {"we first, both ends together",                 {100, 102, 201, 4, 6, 1, 1, 3, 1}, 200},
        {"we by halves",                                 {100, 102, 201, 4, 6, 1, 1, 3, 0}, 200},
        {"reset by the peer; it had connected",          {200, 200, 100, 5, 2, 1, 1, 2, 0}, 100},
        {"reset by the peer; we had connected",          {105, 106, 200, 5, 5, 1, 2, 3, 0}, 200},
        {"peer first, we write and are reset",           {204, 200, 101, 6, 3, 1, 2, 2, 1}, 100},
        {"closed with unread data",                      {200, 200, 105, 5, 4, 2, 1, 2, 5}, 105},
        {"nothing sent, both ends",                      {0, 2, 1, 2, 4, 0, 0, 2, 1},       0  },
        {"nothing received but the end",                 {100, 102, 1, 3, 5, 0, 1, 3, 1},   0  },
        {"nothing sent, the end read",                   {0, 1, 101, 5, 2, 1, 0, 2, 0},     100},
        {"known to be wrong: we first, peer much later", {200, 201, 100, 5, 3, 1, 1, 3, 0}, 99 },
        {"known to be wrong: closed behind unread data", {0, 0, 101, 4, 3, 1, 0, 1, 101},   101},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tcp_info info = info_of(&rows[i].seen);
        struct tcp_bytes bytes = bytes_of(&info, rows[i].seen.unread);
        if (bytes.received != rows[i].received)
            fail_msg("%s: %llu", rows[i].what, (unsigned long long)bytes.received);
        assert_int_equal(bytes.sent, rows[i].seen.sent);
    }
}

static void test_what_was_sent_again_counts_once(void **state)
{
    (void)state;
    struct tcp_info info = info_of(&(struct seen){300, 201, 101, 6, 5, 1, 2, 3, 0});
    info.tcpi_bytes_retrans = 100;
    info.tcpi_total_retrans = 1;
    assert_bytes(bytes_of(&info, 0), 200, 100);
    info.tcpi_bytes_retrans = 301;
    assert_int_equal(bytes_of(&info, 0).sent, 0);
}

static void test_counters_that_were_cleared(void **state)
{
    (void)state;
    struct tcp_info info = {.tcpi_snd_wnd = 65536};
    assert_bytes(bytes_of(&info, 0), UINT64_MAX, UINT64_MAX);
    info.tcpi_snd_wnd = 0; /* refused, never connected, or it listened */
    assert_bytes(bytes_of(&info, 0), 0, 0);
    info = (struct tcp_info){.tcpi_segs_in = 1, .tcpi_segs_out = 1};
    assert_bytes(bytes_of(&info, 0), 0, 0);
}

static void test_older_and_newer_kernels(void **state)
{
    (void)state;
    struct {
        struct tcp_info info;
        uint8_t more[64];
    } newer = {.info = info_of(&(struct seen){200, 201, 101, 6, 3, 1, 1, 3, 0})};
    assert_bytes(tcp_bytes_of(slice_of(&newer, sizeof(newer)), 0), 200, 100);
    size_t least = offsetof(struct tcp_info, tcpi_bytes_retrans) + 8;
    assert_bytes(tcp_bytes_of(slice_of(&newer, least), 0), 200, 100);
    assert_bytes(tcp_bytes_of(slice_of(&newer, least - 1), 0), UINT64_MAX, UINT64_MAX);
    assert_bytes(tcp_bytes_of(SLICE_NULL, 0), UINT64_MAX, UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_what_was_sent_again_counts_once),
        cmocka_unit_test(test_counters_that_were_cleared),
        cmocka_unit_test(test_older_and_newer_kernels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
