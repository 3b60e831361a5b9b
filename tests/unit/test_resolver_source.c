// links: vestige_resolver
/* The resolver's thread: the hosts file and its changes, and a name server that never answers. That
 * one is a socket of this test, so no query leaves the machine. */
#include "collectors/resolver/address_queue.h"
#include "collectors/resolver/dns_breaker.h"
#include "collectors/resolver/resolver_source.h"
#include "core/cleanup.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { WAIT_MS = 60000, FACTS_MOST = 20000 };

struct fixture {
    char directory[64], hosts[80], next[80], servers[40];
    int server; /* bound, and silent */
    struct source *source;
    struct counters counters;
    struct gulp *gulp;
    unsigned n, n_notes;
    char note[256];
    struct {
        char address[INET6_ADDRSTRLEN], name[40];
        bool is_named, answered;
        enum name_origin origin;
    } facts[FACTS_MOST];
};

static void take(void *user, const struct fact *fact)
{
    struct fixture *f = user;
    const struct fact_host_name *name = &fact->host_name;
    assert_int_equal(fact->source, SOURCE_RESOLVER);
    if (fact->kind == FACT_NOTE) {
        f->n_notes++;
        snprintf(f->note, sizeof(f->note), "%.*s", (int)fact->note.detail.length,
                 (const char *)fact->note.detail.data);
        return;
    }
    assert_int_equal(fact->kind, FACT_HOST_NAME);
    assert_true(f->n < FACTS_MOST);
    assert_non_null(inet_ntop(name->address.family, name->address.bytes, f->facts[f->n].address,
                              sizeof(f->facts[f->n].address)));
    f->facts[f->n].is_named = !slice_is_null(name->name);
    f->facts[f->n].answered = name->answered;
    f->facts[f->n].origin = name->origin;
    snprintf(f->facts[f->n].name, sizeof(f->facts[f->n].name), "%.*s", (int)name->name.length,
             slice_is_null(name->name) ? "" : (const char *)name->name.data);
    f->n++;
}

static void drain(struct fixture *f)
{
    struct message message;
    int r;
    do {
        size_t offset = 0;
        f->gulp->used = 0;
        r = resolver_source_ops.drain(f->source, f->gulp);
        while (gulp_next(f->gulp, &offset, &message))
            assert_int_equal(resolver_source_ops.decode(NULL, &message, take, f), 0);
    } while (r == SOURCE_MORE);
}

static void wait_for(struct fixture *f, unsigned n)
{
    for (int waited = 0; waited < WAIT_MS && f->n < n; waited += 5) {
        drain(f);
        poll(NULL, 0, f->n < n ? 5 : 0);
    }
    assert_int_equal(f->n, n);
}

static void expect_fact(const struct fixture *f, unsigned i, const char *address, const char *name,
                        bool answered, enum name_origin origin)
{
    assert_true(i < f->n);
    assert_string_equal(f->facts[i].address, address);
    assert_int_equal(f->facts[i].is_named, name != NULL);
    assert_string_equal(f->facts[i].name, name ? name : "");
    assert_int_equal(f->facts[i].answered, answered);
    assert_int_equal(f->facts[i].origin, origin);
}

static void write_hosts(struct fixture *f, const char *text)
{
    FILE *file = fopen(f->next, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(f->next, f->hosts), 0);
}

static void bind_server(struct fixture *f)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    f->server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(f->server >= 0);
    assert_int_equal(bind(f->server, (struct sockaddr *)&address, length), 0);
    assert_int_equal(getsockname(f->server, (struct sockaddr *)&address, &length), 0);
    snprintf(f->servers, sizeof(f->servers), "127.0.0.1:%u", ntohs(address.sin_port));
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    snprintf(f->directory, sizeof(f->directory), "/tmp/vestige-resolver-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->hosts, sizeof(f->hosts), "%s/hosts", f->directory);
    snprintf(f->next, sizeof(f->next), "%s/next", f->directory);
    f->gulp = gulp_new(16384);
    assert_non_null(f->gulp);
    bind_server(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->source)
        resolver_source_ops.stop(f->source);
    resolver_source_ops.free(f->source);
    gulp_free(f->gulp);
    close(f->server);
    unlink(f->hosts);
    rmdir(f->directory);
    free(f);
    return 0;
}

static int try_open(struct fixture *f, const char *servers, unsigned timeout_ms,
                    struct error_text *error)
{
    const struct resolver_paths paths = {.hosts = f->hosts, .resolv_conf = "/dev/null"};
    struct source_options options = {.name_servers = servers,
                                     .name_timeout_ms = timeout_ms,
                                     .counters = &f->counters,
                                     .wake_fd = -1};
    return resolver_source_open(&f->source, &options, &paths, error);
}

static void open_source(struct fixture *f, unsigned timeout_ms)
{
    struct error_text error = ERROR_TEXT_NULL;
    assert_int_equal(try_open(f, f->servers, timeout_ms, &error), 0);
}

static bool request(struct fixture *f, const char *text)
{
    struct inet_address address = {.family = strchr(text, ':') ? AF_INET6 : AF_INET, .port = 80};
    assert_int_equal(inet_pton(address.family, text, address.bytes), 1);
    return resolver_request(f->source, &address);
}

static bool request_number(struct fixture *f, uint32_t number)
{
    char text[INET_ADDRSTRLEN];
    snprintf(text, sizeof(text), "10.%u.%u.%u", number >> 16 & 0xff, number >> 8 & 0xff,
             number & 0xff);
    return request(f, text);
}

static void test_hosts_and_changes(void **state)
{
    struct fixture *f = *state;
    write_hosts(f, "192.0.2.1 one\n2001:db8::1 six\n0.0.0.0 nobody\n");
    open_source(f, 30000);
    assert_true(request(f, "192.0.2.1"));
    assert_true(request(f, "::ffff:192.0.2.1"));
    assert_true(request(f, "2001:db8::1"));
    assert_true(request(f, "0.0.0.0"));
    assert_true(request(f, "::"));
    wait_for(f, 5);
    expect_fact(f, 0, "192.0.2.1", "one", true, NAME_FROM_HOSTS);
    expect_fact(f, 1, "192.0.2.1", "one", true, NAME_FROM_HOSTS);
    expect_fact(f, 2, "2001:db8::1", "six", true, NAME_FROM_HOSTS);
    expect_fact(f, 3, "0.0.0.0", NULL, true, NAME_FROM_HOSTS);
    expect_fact(f, 4, "::", NULL, true, NAME_FROM_HOSTS);
    assert_int_equal(f->n_notes, 1);
    assert_non_null(strstr(f->note, "hosts file and dns by 127.0.0.1:"));
    write_hosts(f, "192.0.2.1 uno\n192.0.2.9 nine\n");
    wait_for(f, 8); /* nobody asked for them */
    expect_fact(f, 5, "192.0.2.1", "uno", true, NAME_FROM_HOSTS);
    expect_fact(f, 6, "192.0.2.9", "nine", true, NAME_FROM_HOSTS);
    expect_fact(f, 7, "2001:db8::1", NULL, false, NAME_FROM_HOSTS);
}

/* It counts from the moment when it is there: the request looks. */
static void test_entry_just_added(void **state)
{
    struct fixture *f = *state;
    write_hosts(f, "192.0.2.1 one\n");
    open_source(f, 30000);
    assert_true(request(f, "192.0.2.1"));
    wait_for(f, 1);
    write_hosts(f, "192.0.2.1 one\n192.0.2.2 two\n");
    assert_true(request(f, "192.0.2.2"));
    wait_for(f, 3);
    expect_fact(f, 1, "192.0.2.2", "two", true, NAME_FROM_HOSTS); /* as a change */
    expect_fact(f, 2, "192.0.2.2", "two", true, NAME_FROM_HOSTS);
}

/* An entry that comes while DNS is being asked goes before what DNS says. */
static void test_entry_before_dns(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in asker;
    socklen_t length = sizeof(asker);
    uint8_t query[512];
    write_hosts(f, "");
    open_source(f, 30000);
    assert_true(request(f, "192.0.2.2"));
    struct pollfd server = {.fd = f->server, .events = POLLIN};
    assert_int_equal(poll(&server, 1, WAIT_MS), 1);
    ssize_t n = recvfrom(f->server, query, sizeof(query), 0, (struct sockaddr *)&asker, &length);
    assert_true(n > 12); /* it is under way */
    write_hosts(f, "192.0.2.2 two\n");
    wait_for(f, 1);
    expect_fact(f, 0, "192.0.2.2", "two", true, NAME_FROM_HOSTS);
    query[2] |= 0x80; /* an answer: */
    query[3] |= 3;    /* there is no such name */
    assert_int_equal(sendto(f->server, query, (size_t)n, 0, (struct sockaddr *)&asker, length), n);
    wait_for(f, 2);
    expect_fact(f, 1, "192.0.2.2", "two", true, NAME_FROM_HOSTS);
}

/* The requests are more than the thread holds at a time. */
static void request_many(struct fixture *f, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        while (!request_number(f, i)) {
            drain(f);
            poll(NULL, 0, 1);
        }
}

static unsigned count_queries(const struct fixture *f)
{
    uint8_t query[512];
    unsigned n = 0;
    while (recv(f->server, query, sizeof(query), MSG_DONTWAIT) >= 0)
        n++;
    return n;
}

static void test_silent_server(void **state)
{
    struct fixture *f = *state;
    open_source(f, 100);
    for (uint32_t i = 0; i < 2000; i++)
        assert_true(request_number(f, i));
    wait_for(f, 2000);
    for (unsigned i = 0; i < 2000; i++)
        expect_fact(f, i, f->facts[i].address, NULL, false, NAME_FROM_DNS);
    uint64_t before = clock_boot_ns();
    count_queries(f);
    request_many(f, 15000);
    wait_for(f, 17000);
    /* Nobody is asked any more, but for whether there is somebody again: each time by two queries.
     * The second one of an earlier time may be among these. */
    uint64_t seconds = (clock_boot_ns() - before) / 1000000000;
    assert_in_range(count_queries(f), 0, 2 * (seconds / DNS_BREAKER_PROBE_S + 1) + 1);
    assert_true(request_number(f, 1));
    wait_for(f, 17001);
    drain(f);
    assert_int_equal(f->n, 17001);
}

/* Nobody drains, nobody answers: requests are refused at their bound, and stop ends it all. */
static void test_bounds(void **state)
{
    struct fixture *f = *state;
    uint32_t accepted = 0;
    open_source(f, 30000);
    while (accepted < 100000 && request_number(f, accepted))
        accepted++;
    assert_true(accepted >= ADDRESS_QUEUE_MOST);
    assert_true(accepted <= 2 * ADDRESS_QUEUE_MOST + 64);
    resolver_source_ops.stop(f->source);
    drain(f);
    assert_int_equal(f->n, 0);
}

static void test_not_an_address(void **state)
{
    struct fixture *f = *state;
    struct inet_address address = {.family = AF_UNIX};
    open_source(f, 100);
    assert_false(resolver_request(f->source, &address));
}

static void test_refusal_says_what_to_do(void **state)
{
    struct fixture *f = *state;
    struct error_text error = ERROR_TEXT_NULL;
    assert_int_equal(try_open(f, "not an address", 100, &error), -EINVAL);
    assert_non_null(strstr(error.text, "[names] servers = not an address: write"));
    assert_null(f->source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hosts_and_changes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_entry_just_added, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_entry_before_dns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_silent_server, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_an_address, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusal_says_what_to_do, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
