// links: vestige_audit
/* Calls on sockets from their records, and the rules that make the kernel write these. */
#include "audit_test.h"

#include "collectors/audit/audit_rules.h"

static int socket_call(struct audit_test *test, uint32_t serial, const char *head)
{
    char fields[512];
    snprintf(fields, sizeof(fields),
             "%s items=0 ppid=1 pid=77 auid=1000 uid=5 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 "
             "fsgid=0 tty=(none) ses=3 comm=\"nc\" exe=\"/usr/bin/nc\" key=\"vestige\"",
             head);
    return audit_test_record(test, AUDIT_SYSCALL, serial, fields);
}

static int address(struct audit_test *test, uint32_t serial, const char *hexadecimal)
{
    char fields[400];
    snprintf(fields, sizeof(fields), "saddr=%s", hexadecimal);
    return audit_test_record(test, AUDIT_SOCKADDR, serial, fields);
}

static void test_connect(void **state)
{
    struct audit_test *test = *state;
    assert_int_equal(socket_call(test, 1,
                                 "arch=c000003e syscall=42 success=no exit=-115 a0=3 a1=7f "
                                 "a2=10 a3=0"),
                     0);
    audit_test_expect(test, "");
    assert_int_equal(address(test, 1, "02000050C0A800010000000000000000"), 0);
    audit_test_expect(test, "connect 1 pid=77 uid=5 auid=1000 result=-115 fd=3 "
                            "peer=192.168.0.1:80 comm=nc\n");
}

static void test_ipv6_and_mapped(void **state)
{
    struct audit_test *test = *state;
    assert_int_equal(
        socket_call(test, 1, "arch=c000003e syscall=44 success=yes exit=9 a0=4 a1=1 a2=9 a3=0"), 0);
    assert_int_equal(address(test, 1, "0A0000350000000020010DB800000000000000000000000100000000"),
                     0);
    audit_test_expect(test, "send 1 pid=77 uid=5 auid=1000 result=9 fd=4 peer=2001:db8::1:53 "
                            "comm=nc\n");
    assert_int_equal(
        socket_call(test, 2, "arch=c000003e syscall=42 success=yes exit=0 a0=4 a1=1 a2=1c a3=0"),
        0);
    assert_int_equal(address(test, 2, "0A0000350000000000000000000000000000FFFF7F00000900000000"),
                     0);
    audit_test_expect(test, "connect 2 pid=77 uid=5 auid=1000 result=0 fd=4 peer=127.0.0.9:53 "
                            "comm=nc\n");
}

static void test_accept_without_address_is_complete_at_once(void **state)
{
    struct audit_test *test = *state;
    assert_int_equal(
        socket_call(test, 1, "arch=c000003e syscall=288 success=yes exit=9 a0=4 a1=0 a2=0 a3=0"),
        0);
    audit_test_expect(test, "accept 1 pid=77 uid=5 auid=1000 result=9 fd=4 peer=:0 comm=nc\n");
    assert_int_equal(
        socket_call(test, 2, "arch=c000003e syscall=43 success=yes exit=9 a0=4 a1=7f a2=8 a3=0"),
        0);
    audit_test_expect(test, "");
    assert_int_equal(address(test, 2, "02009C40C0A800020000000000000000"), 0);
    audit_test_expect(test, "accept 2 pid=77 uid=5 auid=1000 result=9 fd=4 "
                            "peer=192.168.0.2:40000 comm=nc\n");
}

static void test_multiplexed_calls_of_old_programs(void **state)
{
    struct audit_test *test = *state;
    assert_int_equal(
        socket_call(test, 1, "arch=40000003 syscall=102 success=yes exit=0 a0=3 a1=ff a2=0 a3=0"),
        0);
    assert_int_equal(address(test, 1, "02000050C0A800010000000000000000"), 0);
    audit_test_expect(test, "connect 1 pid=77 uid=5 auid=1000 result=0 fd=3 "
                            "peer=192.168.0.1:80 comm=nc\n");
}

static void test_interleaved_and_foreign(void **state)
{
    struct audit_test *test = *state;
    const char *head = "arch=c000003e syscall=42 success=yes exit=0 a0=3 a1=7f a2=10 a3=0";
    assert_int_equal(socket_call(test, 1, head), 0);
    assert_int_equal(socket_call(test, 2, head), 0);
    assert_int_equal(
        socket_call(test, 3, "arch=c000003e syscall=1 success=yes exit=0 a0=3 a1=0 a2=10 a3=0"), 0);
    assert_int_equal(address(test, 2, "02000051C0A800010000000000000000"), 0);
    assert_int_equal(address(test, 1, "02000050C0A800010000000000000000"), 0);
    assert_int_equal(address(test, 3, "02000052C0A800010000000000000000"), 0);
    audit_test_expect(test,
                      "connect 2 pid=77 uid=5 auid=1000 result=0 fd=3 peer=192.168.0.1:81 comm=nc\n"
                      "connect 1 pid=77 uid=5 auid=1000 result=0 fd=3 peer=192.168.0.1:80 "
                      "comm=nc\n");
}

/* Of a family that is no IP, cut short, too long, no hexadecimal: no address, and never a crash. */
static void test_hostile_addresses(void **state)
{
    struct audit_test *test = *state;
    const char *head = "arch=c000003e syscall=42 success=yes exit=0 a0=3 a1=7f a2=10 a3=0";
    const char *const addresses[] = {
        "", "0", "02", "0200", "02000050C0A8", "01002F746D702F78", "0A000050000000002001"};
    for (uint32_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        assert_int_equal(socket_call(test, i, head), 0);
        assert_int_equal(address(test, i, addresses[i]), 0);
        buffer_append_byte(&test->facts, 0);
        assert_non_null(strstr((const char *)test->facts.data, "peer=:0 "));
        buffer_clear(&test->facts);
    }
    char large[361];
    memset(large, 'F', 360);
    large[360] = '\0';
    assert_int_equal(socket_call(test, 90, head), 0);
    assert_int_equal(address(test, 90, large), 0);
    assert_int_equal(socket_call(test, 91, head), 0);
    assert_int_equal(address(test, 91, "02zz0050C0A80001"), -EBADMSG);
    assert_int_equal(audit_test_record(test, AUDIT_SOCKADDR, 91, "x=1"), -EBADMSG);
    assert_int_equal(audit_test_record(test, AUDIT_SYSCALL, 92,
                                       "arch=c000003e syscall=42 success=yes exit=0 a0=3 a1=7"),
                     -EBADMSG); /* nobody's */
}

/* What waits is bounded: the oldest is given up, and what comes for it is nobody's. */
static void test_waiting_calls_are_bounded(void **state)
{
    struct audit_test *test = *state;
    const char *head = "arch=c000003e syscall=42 success=yes exit=0 a0=3 a1=7f a2=10 a3=0";
    for (uint32_t serial = 1; serial <= 65; serial++)
        assert_int_equal(socket_call(test, serial, head), 0);
    assert_int_equal(address(test, 1, "02000050C0A800010000000000000000"), 0);
    audit_test_expect(test, "");
    for (uint32_t serial = 2; serial <= 65; serial++)
        assert_int_equal(address(test, serial, "02000050C0A800010000000000000000"), 0);
    size_t n = 0;
    for (size_t i = 0; i < test->facts.length; i++)
        n += test->facts.data[i] == '\n';
    assert_int_equal(n, 64);
}

static void test_rules_for_sockets(void **state)
{
    (void)state;
    struct audit_rules execs = AUDIT_RULES_NULL, all = AUDIT_RULES_NULL;
    assert_int_equal(audit_rules_append_keyed(&execs, false), 0);
    assert_int_equal(audit_rules_append_keyed(&all, true), 0);
    assert_int_equal(execs.n, 2);
    assert_int_equal(all.n, 8); /* for each of two tables: IPv4, IPv6, accept without an address */
    for (size_t i = 0; i < all.n; i++) {
        assert_true(audit_rule_is_keyed(all.list[i]));
        assert_true(audit_rule_is_exit(all.list[i]));
        assert_int_equal(audit_rules_contain(&execs, all.list[i]), i < execs.n);
    }
    audit_rules_deinit(&execs);
    audit_rules_deinit(&all);
}

/* The kernel gives an event the key of the first rule that matches. */
static void test_rules_behind_others(void **state)
{
    (void)state;
    struct audit_rules rules = AUDIT_RULES_NULL;
    const struct audit_rule_data other = {.flags = AUDIT_FILTER_EXIT, .action = AUDIT_ALWAYS};
    const struct audit_rule_data exclude = {.flags = AUDIT_FILTER_EXCLUDE};
    assert_int_equal(audit_rules_append(&rules, &other, sizeof(other)), 0);
    assert_int_equal(audit_rules_append_keyed(&rules, false), 0);
    assert_int_equal(audit_rules_append(&rules, &exclude, sizeof(exclude)), 0);
    assert_false(audit_rules_precede_others(&rules));
    assert_int_equal(audit_rules_append(&rules, &other, sizeof(other)), 0);
    assert_true(audit_rules_precede_others(&rules));
    size_t n = rules.n;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(audit_rules_append_twin(&rules, rules.list[1 + i]), 0);
        assert_false(audit_rule_equal(rules.list[n + i], rules.list[1 + i]));
        assert_true(audit_rule_is_keyed(rules.list[n + i]));
    }
    assert_int_equal(audit_rules_append_twin(&rules, rules.list[n]), 0);
    assert_true(audit_rule_equal(rules.list[n + 2], rules.list[1])); /* the twin's twin */
    audit_rules_drop_first(&rules, n);
    assert_int_equal(rules.n, 3);
    assert_false(audit_rules_precede_others(&rules));
    audit_rules_deinit(&rules);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, audit_test_setup, audit_test_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_connect),
        TEST(test_ipv6_and_mapped),
        TEST(test_accept_without_address_is_complete_at_once),
        TEST(test_multiplexed_calls_of_old_programs),
        TEST(test_interleaved_and_foreign),
        TEST(test_hostile_addresses),
        TEST(test_waiting_calls_are_bounded),
        cmocka_unit_test(test_rules_for_sockets),
        cmocka_unit_test(test_rules_behind_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
