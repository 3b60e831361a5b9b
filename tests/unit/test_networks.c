// links: vestige_tracker
/* Facts of rtnetlink in, rows of interface_address and route out, without a kernel.
 *
 * What is expected is written as one line a row: "+1 name mac address prefix family" for an insert,
 * "-1 cause" for an end; rows are numbered in the order in which they are first written, "-" is
 * NULL, and an insert of a row that has ended already has its cause behind it. */
#include "rows_test.h"

#include "core/evidence_text.h"
#include "recorder/networks/networks.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST  40
#define OWN_1 "+1 v0 02:00:00:00:00:01 - - -\n"

struct world {
    struct rows_test out;
    struct networks *networks;
};

static void open_networks(struct world *w)
{
    const struct networks_options options = {.output = &w->out.output, .most = MOST};
    assert_int_equal(networks_new(&w->networks, &options), 0);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    rows_test_init(&w->out);
    open_networks(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    networks_free(w->networks);
    rows_test_deinit(&w->out);
    free(w);
    return 0;
}

/* -- what came out -- */

static void append_line(struct world *w, struct buffer *text, struct slice line)
{
    char verb[16], table[32], copy[96] = "";
    uint64_t id;
    memcpy(copy, line.data, line.length < sizeof(copy) ? line.length : sizeof(copy) - 1);
    assert_int_equal(sscanf(copy, "%15s %31s %lu", verb, table, &id), 3);
    if (!strcmp(verb, "end")) {
        buffer_printf(text, "-%zu", rows_test_number(&w->out, id));
        rows_test_value(text, line, 1);
    } else {
        size_t n = strcmp(table, "route") ? 5 : 7;
        assert_true(slice_is(row_sink_memory_value(line, 1), "rtnetlink"));
        buffer_printf(text, "+%zu", rows_test_number(&w->out, id));
        for (size_t i = 0; i < n; i++)
            rows_test_value(text, line, 2 + i);
        if (!slice_is(row_sink_memory_value(line, 2 + n), "\\N"))
            rows_test_value(text, line, 3 + n);
    }
    buffer_append_byte(text, '\n');
}

/* The lines since the last call are these. */
static void expect(struct world *w, const char *expected)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    while (w->out.n_seen < w->out.memory.n_lines)
        append_line(w, &text, row_sink_memory_line(&w->out.memory, w->out.n_seen++));
    buffer_append_byte(&text, '\0');
    assert_string_equal((const char *)text.data, expected);
}

/* Ends of rows of an earlier run, which come in no order: these numbers, each with this cause. */
static void expect_ends(struct world *w, const char *numbers, const char *cause)
{
    char found[16] = "";
    for (; w->out.n_seen < w->out.memory.n_lines; w->out.n_seen++) {
        struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
        append_line(w, &text, row_sink_memory_line(&w->out.memory, w->out.n_seen));
        buffer_append_byte(&text, '\0');
        assert_int_equal(text.data[0], '-');
        assert_non_null(strstr((const char *)text.data, cause));
        assert_null(strchr(found, text.data[1]));
        assert_non_null(strchr(numbers, text.data[1]));
        found[strlen(found)] = (char)text.data[1];
    }
    assert_int_equal(strlen(found), strlen(numbers));
}

static struct slice last_value(struct world *w, size_t column)
{
    return row_sink_memory_value(row_sink_memory_line(&w->out.memory, w->out.memory.n_lines - 1),
                                 column);
}

/* -- what goes in -- */

static void give(struct world *w, struct fact fact)
{
    fact.source = SOURCE_RTNETLINK;
    fact.boot_ns = w->out.now;
    networks_fact(w->networks, &fact);
}

static void tick(struct world *w, uint64_t after_ms)
{
    w->out.now += after_ms * MS;
    timeline_tick(&w->out.timeline, w->out.now, real_start + (int64_t)(w->out.now - boot_start),
                  INT64_MIN);
    networks_tick(w->networks);
}

static void link_is(struct world *w, uint32_t index, const char *name, uint8_t mac, bool up)
{
    struct fact fact = {
        .kind = FACT_LINK, .link = {.index = index, .up = up, .name = slice_text(name)}
    };
    if (mac) {
        fact.link.address_length = 6;
        memcpy(fact.link.address, (uint8_t[]){2, 0, 0, 0, 0, mac}, 6);
    }
    give(w, fact);
}

static void link_ends(struct world *w, uint32_t index)
{
    give(w,
         (struct fact){
             .kind = FACT_LINK, .link = {.index = index, .end = true, .name = slice_text("v0")}
    });
}

static struct inet_address parse(const char *text)
{
    struct inet_address address = {.family = text && strchr(text, ':') ? AF_INET6 : AF_INET};
    if (!text)
        return (struct inet_address){0};
    assert_int_equal(inet_pton(address.family, text, address.bytes), 1);
    return address;
}

static void address(struct world *w, bool end, uint32_t index, const char *text, uint8_t prefix)
{
    give(w,
         (struct fact){
             .kind = FACT_ADDRESS,
             .address = {
                         .end = end, .interface = index, .prefix_length = prefix, .address = parse(text)}
    });
}

static struct fact_route route_of(const char *destination, uint8_t prefix, const char *gateway,
                                  uint32_t interface)
{
    struct fact_route route = {.type = RTN_UNICAST,
                               .n_hops = 1,
                               .prefix_length = prefix,
                               .table = RT_TABLE_MAIN,
                               .destination = parse(destination),
                               .gateway = parse(gateway),
                               .interface = interface};
    route.family = route.source.family = route.destination.family;
    return route;
}

static void route(struct world *w, struct fact_route fact)
{
    give(w, (struct fact){.kind = FACT_ROUTE, .route = fact});
}

/* A message with several next hops, all through interface 3. */
static void hops(struct world *w, bool end, bool replaces, const char *const *gateways)
{
    uint16_t n = 0;
    while (gateways[n])
        n++;
    for (uint16_t i = 0; i < n; i++) {
        struct fact_route fact = route_of("198.18.5.0", 24, gateways[i], 3);
        fact.end = end;
        fact.replaces = replaces;
        fact.hop = i;
        fact.n_hops = n;
        route(w, fact);
    }
}

static void scan(struct world *w, enum network_scan_step step, bool routes_only, bool complete)
{
    give(w, (struct fact){
                .kind = FACT_NETWORK_SCAN, .network_scan = {step, routes_only, complete}
    });
}

static void begin_scan(struct world *w, bool routes_only)
{
    scan(w, NETWORK_SCAN_BEGAN, routes_only, false);
}

static void end_scan(struct world *w, bool complete)
{
    scan(w, NETWORK_SCAN_ENDED, false, complete);
}

/* -- interfaces and addresses -- */

static void test_interface_with_addresses(void **state)
{
    struct world *w = *state;
    link_is(w, 3, "v0", 1, true);
    address(w, false, 3, "198.18.0.1", 24);
    address(w, false, 3, "2001:db8::1", 64);
    expect(w, OWN_1 "+2 v0 02:00:00:00:00:01 198.18.0.1 24 inet\n"
                    "+3 v0 02:00:00:00:00:01 2001:db8::1 64 inet6\n");
    link_is(w, 3, "v0", 1, true); /* said again, as a dump does */
    address(w, false, 3, "198.18.0.1", 24);
    expect(w, "");
    tick(w, 1500);
    address(w, true, 3, "198.18.0.1", 24);
    expect(w, "-2 removed\n");
    assert_true(slice_is(last_value(w, 0), "2026-05-28 20:26:41.500000"));
    address(w, true, 3, "198.18.0.1", 24);
    expect(w, "");
    address(w, false, 3, "198.18.0.1", 24); /* another life of the same address */
    expect(w, "+4 v0 02:00:00:00:00:01 198.18.0.1 24 inet\n");
    assert_true(slice_is(last_value(w, 0), "2026-05-28 20:26:41.500000"));
    link_ends(w, 3);
    expect(w, "-1 removed\n-3 removed\n-4 removed\n");
    link_ends(w, 3);
    expect(w, "");
    assert_int_equal(networks_rows(w->networks), 0);
}

static void test_interface_without_mac(void **state)
{
    struct world *w = *state;
    link_is(w, 9, "tun\xff", 0, false);
    expect(w, "+1 tun\\\\xff - - - -\n");
}

static void test_new_mac(void **state)
{
    struct world *w = *state;
    link_is(w, 3, "v0", 1, true);
    address(w, false, 3, "198.18.0.1", 24);
    route(w, route_of("198.18.0.0", 24, NULL, 3));
    expect(w, OWN_1 "+2 v0 02:00:00:00:00:01 198.18.0.1 24 inet\n"
                    "+3 198.18.0.0 24 - v0 254 0 inet\n");
    link_is(w, 3, "v0", 2, true);
    expect(w, "-1 removed\n+4 v0 02:00:00:00:00:02 - - -\n"
              "-2 removed\n+5 v0 02:00:00:00:00:02 198.18.0.1 24 inet\n");
    address(w, true, 3, "198.18.0.1", 24);
    expect(w, "-5 removed\n");
}

static void test_rename(void **state)
{
    struct world *w = *state;
    link_is(w, 3, "v0", 1, true);
    address(w, false, 3, "198.18.0.1", 24);
    route(w, route_of("0.0.0.0", 0, "198.18.0.2", 3));
    assert_string_equal(networks_interface_name(w->networks, 3), "v0");
    expect(w, OWN_1 "+2 v0 02:00:00:00:00:01 198.18.0.1 24 inet\n"
                    "+3 0.0.0.0 0 198.18.0.2 v0 254 0 inet\n");
    link_is(w, 3, "wan", 1, true);
    expect(w, "-1 removed\n+4 wan 02:00:00:00:00:01 - - -\n"
              "-2 removed\n+5 wan 02:00:00:00:00:01 198.18.0.1 24 inet\n"
              "-3 removed\n+6 0.0.0.0 0 198.18.0.2 wan 254 0 inet\n");
    assert_string_equal(networks_interface_name(w->networks, 3), "wan");
    assert_null(networks_interface_name(w->networks, 4));
    assert_null(networks_interface_name(w->networks, 0));
    struct fact_route gone = route_of("0.0.0.0", 0, "198.18.0.2", 3);
    gone.end = true;
    route(w, gone);
    link_ends(w, 3);
    expect(w, "-6 removed\n-4 removed\n-5 removed\n");
}

/* One address to several peers is several addresses. */
static void test_peers(void **state)
{
    struct world *w = *state;
    struct fact fact = {
        .kind = FACT_ADDRESS,
        .address = {.interface = 3, .prefix_length = 32, .address = parse("198.18.1.1")}
    };
    link_is(w, 3, "v0", 1, true);
    fact.address.peer = parse("198.18.1.2");
    give(w, fact);
    fact.address.peer = parse("198.18.1.3");
    give(w, fact);
    expect(w, OWN_1 "+2 v0 02:00:00:00:00:01 198.18.1.1 32 inet\n"
                    "+3 v0 02:00:00:00:00:01 198.18.1.1 32 inet\n");
    fact.address.end = true;
    give(w, fact);
    expect(w, "-3 removed\n");
}

static void test_unknown_interface(void **state)
{
    struct world *w = *state;
    address(w, false, 7, "198.18.0.1", 24);
    address(w, true, 7, "198.18.0.1", 24);
    route(w, route_of("198.18.5.0", 24, "198.18.0.2", 7));
    expect(w, "");
    assert_int_equal(networks_take_beyond(w->networks), 0);
}

/* -- routes -- */

static void test_routes(void **state)
{
    struct world *w = *state;
    link_is(w, 3, "v0", 1, true);
    struct fact_route six = route_of("::", 0, "fe80::1", 3);
    six.metric = 1024;
    six.table = 4294967295;
    route(w, six);
    route(w, route_of("198.18.7.0", 24, NULL, 0)); /* a black hole */
    expect(w, OWN_1 "+2 :: 0 fe80::1 v0 4294967295 1024 inet6\n"
                    "+3 198.18.7.0 24 - - 254 0 inet\n");
    six.metric = 512;
    route(w, six);
    six.end = true;
    route(w, six);
    expect(w, "+4 :: 0 fe80::1 v0 4294967295 512 inet6\n-4 removed\n");
    link_ends(w, 3);
    expect(w, "-1 removed\n-2 removed\n");
    struct fact_route hole = route_of("198.18.7.0", 24, NULL, 0);
    hole.end = true;
    route(w, hole);
    expect(w, "-3 removed\n");
}

/* Routes that differ in what a row does not say are rows of their own. */
static void test_routes_that_look_the_same(void **state)
{
    struct world *w = *state;
    struct fact_route variants[4];
    for (size_t i = 0; i < 4; i++)
        variants[i] = route_of("2001:db8:5::", 48, NULL, 0);
    variants[1].service = 16;
    variants[2].type = RTN_UNREACHABLE;
    variants[3].source = parse("2001:db8::");
    variants[3].source_prefix_length = 32;
    for (size_t i = 0; i < 4; i++)
        route(w, variants[i]);
    expect(w, "+1 2001:db8:5:: 48 - - 254 0 inet6\n+2 2001:db8:5:: 48 - - 254 0 inet6\n"
              "+3 2001:db8:5:: 48 - - 254 0 inet6\n+4 2001:db8:5:: 48 - - 254 0 inet6\n");
    for (size_t i = 4; i-- > 0;) {
        variants[i].end = true;
        route(w, variants[i]);
    }
    expect(w, "-4 removed\n-3 removed\n-2 removed\n-1 removed\n");
}

static const char *const a_b[] = {"198.18.0.2", "198.18.0.3", NULL};
static const char *const b_c[] = {"198.18.0.3", "198.18.0.4", NULL};
static const char *const only_b[] = {"198.18.0.3", NULL};
static const char *const only_c[] = {"198.18.0.4", NULL};

#define A_AND_B                                                                                    \
    OWN_1 "+2 198.18.5.0 24 198.18.0.2 v0 254 0 inet\n+3 198.18.5.0 24 198.18.0.3 v0 254 0 inet\n"

static void test_next_hops(void **state)
{
    struct world *w = *state;
    link_is(w, 3, "v0", 1, true);
    hops(w, false, false, a_b);
    expect(w, A_AND_B);
    hops(w, false, true, b_c); /* b stays */
    expect(w, "+4 198.18.5.0 24 198.18.0.4 v0 254 0 inet\n-2 removed\n");
    hops(w, true, false, only_b);
    expect(w, "-3 removed\n");
    hops(w, false, true, only_b);
    expect(w, "+5 198.18.5.0 24 198.18.0.3 v0 254 0 inet\n-4 removed\n");
    hops(w, true, false, a_b);
    expect(w, "-5 removed\n");
}

/* Of several routes to one destination it is not told which was replaced; a dump tells. */
static void test_replacing_one_of_several(void **state)
{
    struct world *w = *state;
    link_is(w, 3, "v0", 1, true);
    hops(w, false, false, (const char *[]){"198.18.0.2", NULL});
    hops(w, false, false, only_b);
    expect(w, A_AND_B);
    hops(w, false, true, only_c);
    expect(w, "+4 198.18.5.0 24 198.18.0.4 v0 254 0 inet\n");
    begin_scan(w, true);
    hops(w, false, false, only_b);
    hops(w, false, false, only_c);
    end_scan(w, true);
    expect(w, "-2 removed\n");
}

static void test_replacing_where_nothing_was(void **state)
{
    struct world *w = *state;
    link_is(w, 3, "v0", 1, true);
    hops(w, false, true, only_b);
    expect(w, OWN_1 "+2 198.18.5.0 24 198.18.0.3 v0 254 0 inet\n");
    hops(w, false, true, only_b);
    expect(w, "");
}

static void test_interface_goes_down(void **state)
{
    struct world *w = *state;
    link_is(w, 3, "v0", 1, true);
    address(w, false, 3, "198.18.0.1", 24);
    hops(w, false, false, a_b);
    route(w, route_of("198.18.0.0", 24, NULL, 3));
    expect(w, OWN_1 "+2 v0 02:00:00:00:00:01 198.18.0.1 24 inet\n"
                    "+3 198.18.5.0 24 198.18.0.2 v0 254 0 inet\n"
                    "+4 198.18.5.0 24 198.18.0.3 v0 254 0 inet\n"
                    "+5 198.18.0.0 24 - v0 254 0 inet\n");
    link_is(w, 3, "v0", 1, false);
    expect(w, "-5 removed\n"); /* of the others it is not known; the address stays */
    link_is(w, 3, "v0", 1, true);
    route(w, route_of("198.18.0.0", 24, NULL, 3));
    expect(w, "+6 198.18.0.0 24 - v0 254 0 inet\n");
}

/* The dump's part was made before the removal, and came behind it. */
static void test_a_dump_shows_what_has_just_gone(void **state)
{
    struct world *w = *state;
    struct fact_route gone = route_of("10.0.0.0", 8, NULL, 2), other = gone;
    other.metric = 7;
    link_is(w, 2, "eth0", 0xa0, true);
    route(w, gone);
    begin_scan(w, true);
    gone.end = true;
    route(w, gone);
    size_t lines = w->out.memory.n_lines;
    gone.end = false;
    gone.dumped = other.dumped = true;
    route(w, gone);
    assert_int_equal(w->out.memory.n_lines, lines);
    route(w, other);
    assert_int_equal(w->out.memory.n_lines, lines + 1);
    gone.dumped = false; /* it is there again */
    route(w, gone);
    assert_int_equal(w->out.memory.n_lines, lines + 2);
    end_scan(w, true);
    assert_int_equal(w->out.memory.n_lines, lines + 2);
}

/* A dump between the word that the interface is down and the removal of its routes. */
static void test_a_dump_shows_what_is_about_to_go(void **state)
{
    struct world *w = *state;
    link_is(w, 2, "eth0", 0xa0, true);
    route(w, route_of("10.0.0.0", 8, NULL, 2));
    tick(w, 300);
    size_t lines = w->out.memory.n_lines;
    link_is(w, 2, "eth0", 0xa0, false);
    assert_int_equal(w->out.memory.n_lines, lines + 1);
    begin_scan(w, true);
    route(w, route_of("10.0.0.0", 8, NULL, 2));
    end_scan(w, true);
    assert_int_equal(w->out.memory.n_lines, lines + 1);
    link_is(w, 2, "eth0", 0xa0, true);
    route(w, route_of("10.0.0.0", 8, NULL, 2));
    assert_int_equal(w->out.memory.n_lines, lines + 2);
}

/* -- dumps -- */

static void test_what_a_dump_does_not_name_is_gone(void **state)
{
    struct world *w = *state;
    link_is(w, 3, "v0", 1, true);
    link_is(w, 4, "v1", 2, true);
    address(w, false, 3, "198.18.0.1", 24);
    address(w, false, 3, "198.18.0.2", 24);
    route(w, route_of("198.18.7.0", 24, NULL, 0));
    route(w, route_of("198.18.8.0", 24, NULL, 0));
    expect(w, OWN_1 "+2 v1 02:00:00:00:00:02 - - -\n"
                    "+3 v0 02:00:00:00:00:01 198.18.0.1 24 inet\n"
                    "+4 v0 02:00:00:00:00:01 198.18.0.2 24 inet\n"
                    "+5 198.18.7.0 24 - - 254 0 inet\n+6 198.18.8.0 24 - - 254 0 inet\n");
    tick(w, 1000);
    scan(w, NETWORK_SCAN_WANTED, false, false);
    assert_false(networks_settled(w->networks));
    begin_scan(w, false);
    assert_false(networks_settled(w->networks));
    link_is(w, 3, "v0", 1, true);
    address(w, false, 3, "198.18.0.2", 24);
    route(w, route_of("198.18.8.0", 24, NULL, 0));
    tick(w, 500);
    address(w, false, 3, "198.18.0.3", 24); /* came while it was under way */
    expect(w, "+7 v0 02:00:00:00:00:01 198.18.0.3 24 inet\n");
    end_scan(w, true);
    assert_true(networks_settled(w->networks));
    expect(w, "-5 removed\n-3 removed\n-2 removed\n");
    assert_true(slice_is(last_value(w, 0), "2026-05-28 20:26:41.000000"));
}

static void test_a_dump_of_routes_ends_routes_only(void **state)
{
    struct world *w = *state;
    link_is(w, 3, "v0", 1, true);
    address(w, false, 3, "198.18.0.1", 24);
    route(w, route_of("198.18.0.0", 24, NULL, 3));
    expect(w, OWN_1 "+2 v0 02:00:00:00:00:01 198.18.0.1 24 inet\n"
                    "+3 198.18.0.0 24 - v0 254 0 inet\n");
    begin_scan(w, true);
    end_scan(w, true);
    expect(w, "-3 removed\n");
}

static void test_an_incomplete_dump_ends_nothing(void **state)
{
    struct world *w = *state;
    link_is(w, 3, "v0", 1, true);
    begin_scan(w, false);
    end_scan(w, false);
    end_scan(w, true); /* that never began */
    expect(w, OWN_1);
    assert_true(networks_settled(w->networks));
}

/* While an interface is renamed in the middle of a dump, what was not yet named stays unnamed. */
static void test_rename_during_a_dump(void **state)
{
    struct world *w = *state;
    link_is(w, 3, "v0", 1, true);
    address(w, false, 3, "198.18.0.1", 24);
    expect(w, OWN_1 "+2 v0 02:00:00:00:00:01 198.18.0.1 24 inet\n");
    begin_scan(w, false);
    link_is(w, 3, "v9", 1, true);
    expect(w, "-1 removed\n+3 v9 02:00:00:00:00:01 - - -\n"
              "-2 removed\n+4 v9 02:00:00:00:00:01 198.18.0.1 24 inet\n");
    end_scan(w, true);
    expect(w, "-4 removed\n");
}

static void test_unwatched(void **state)
{
    struct world *w = *state;
    link_is(w, 3, "v0", 1, true);
    address(w, false, 3, "198.18.0.1", 24);
    route(w, route_of("198.18.7.0", 24, NULL, 0));
    expect(w, OWN_1 "+2 v0 02:00:00:00:00:01 198.18.0.1 24 inet\n"
                    "+3 198.18.7.0 24 - - 254 0 inet\n");
    networks_unwatched(w->networks);
    expect(w, "-3 unknown\n-1 unknown\n-2 unknown\n");
    assert_int_equal(networks_rows(w->networks), 0);
    assert_null(networks_interface_name(w->networks, 3));
}

/* -- restarts -- */

struct restored_line {
    struct buffer text[11];
    struct slice values[11];
    size_t n;
};

static void read_values(struct restored_line *to, struct slice line, size_t n)
{
    to->n = n;
    for (size_t i = 0; i < n; i++) {
        struct slice value = row_sink_memory_value(line, i);
        to->text[i] = (struct buffer)BUFFER_NULL;
        assert_false(slice_is_null(value));
        if (!slice_is(value, "\\N"))
            assert_int_equal(evidence_field_unescape(&to->text[i], value), 0);
        to->values[i] = slice_is(value, "\\N") ? SLICE_NULL : buffer_slice(&to->text[i]);
    }
}

static void restore_line(struct world *w, struct slice line)
{
    char verb[16], table[32], copy[96] = "";
    uint64_t id;
    struct restored_line values;
    memcpy(copy, line.data, line.length < sizeof(copy) ? line.length : sizeof(copy) - 1);
    assert_int_equal(sscanf(copy, "%15s %31s %lu", verb, table, &id), 3);
    bool insert = !strcmp(verb, "insert"), is_route = !strcmp(table, "route");
    read_values(&values, line, !insert ? 2 : is_route ? 11 : 9);
    networks_restore(w->networks, insert ? VERB_INSERT : VERB_END,
                     is_route ? TABLE_ROUTE : TABLE_INTERFACE_ADDRESS, id, values.values, values.n);
    for (size_t i = 0; i < values.n; i++)
        buffer_deinit(&values.text[i]);
}

/* A new one is given the lines of the journal, from @p first on. */
static void restart(struct world *w, size_t first, bool same_boot)
{
    uint64_t last_us = timeline_real_us(&w->out.timeline, w->out.now);
    networks_free(w->networks);
    open_networks(w);
    for (size_t i = first; i < w->out.memory.n_lines; i++)
        restore_line(w, row_sink_memory_line(&w->out.memory, i));
    tick(w, 60000);
    networks_restored(w->networks, same_boot, last_us);
}

static void begin_three(struct world *w)
{
    link_is(w, 3, "v\xff", 1, true);
    address(w, false, 3, "198.18.0.1", 24);
    address(w, false, 3, "198.18.0.2", 24);
    address(w, true, 3, "198.18.0.2", 24);
    route(w, route_of("198.18.5.0", 24, "198.18.0.2", 3));
    expect(w, "+1 v\\\\xff 02:00:00:00:00:01 - - -\n"
              "+2 v\\\\xff 02:00:00:00:00:01 198.18.0.1 24 inet\n"
              "+3 v\\\\xff 02:00:00:00:00:01 198.18.0.2 24 inet\n-3 removed\n"
              "+4 198.18.5.0 24 198.18.0.2 v\\\\xff 254 0 inet\n");
}

static void test_restart_takes_up_what_is_still_true(void **state)
{
    struct world *w = *state;
    begin_three(w);
    restart(w, 0, true);
    begin_scan(w, false);
    link_is(w, 8, "v\xff", 1, true); /* whatever its index is now */
    address(w, false, 8, "198.18.0.1", 24);
    address(w, false, 8, "198.18.0.2", 24);
    end_scan(w, true);
    expect(w, "+5 v\\\\xff 02:00:00:00:00:01 198.18.0.2 24 inet\n-4 reconciled\n");
    assert_true(slice_is(last_value(w, 0), "2026-05-28 20:27:40.000000"));
    address(w, true, 8, "198.18.0.1", 24);
    expect(w, "-2 removed\n");
    assert_int_equal(networks_rows(w->networks), 2);
}

static void test_restart_waits_for_a_complete_dump(void **state)
{
    struct world *w = *state;
    begin_three(w);
    restart(w, 0, true);
    begin_scan(w, false);
    end_scan(w, false);
    begin_scan(w, true);
    end_scan(w, true);
    expect(w, "");
    begin_scan(w, false);
    link_is(w, 3, "v\xff", 2, true); /* another MAC address */
    expect(w, "+5 v\\\\xff 02:00:00:00:00:02 - - -\n");
    end_scan(w, true);
    expect_ends(w, "124", "reconciled");
}

static void test_reboot(void **state)
{
    struct world *w = *state;
    begin_three(w);
    restart(w, 0, false);
    expect_ends(w, "124", "reboot");
    assert_true(slice_is(last_value(w, 0), "2026-05-28 20:26:40.000000"));
    begin_scan(w, false);
    link_is(w, 3, "v\xff", 1, true);
    end_scan(w, true);
    expect(w, "+5 v\\\\xff 02:00:00:00:00:01 - - -\n");
}

static void test_unwatched_after_a_restart(void **state)
{
    struct world *w = *state;
    begin_three(w);
    restart(w, 0, true);
    networks_unwatched(w->networks);
    expect_ends(w, "124", "unknown");
    assert_true(slice_is(last_value(w, 0), "2026-05-28 20:26:40.000000"));
}

/* Two open rows that say the same are taken up by two things that are so. */
static void test_restart_with_rows_that_look_the_same(void **state)
{
    struct world *w = *state;
    struct fact_route plain = route_of("198.18.5.0", 24, NULL, 0), service = plain;
    service.service = 16;
    route(w, plain);
    route(w, service);
    expect(w, "+1 198.18.5.0 24 - - 254 0 inet\n+2 198.18.5.0 24 - - 254 0 inet\n");
    restart(w, 0, true);
    begin_scan(w, false);
    route(w, service);
    route(w, plain);
    end_scan(w, true);
    expect(w, "");
    restart(w, 0, true);
    begin_scan(w, false);
    route(w, service);
    end_scan(w, true);
    size_t n_before = w->out.memory.n_lines;
    assert_int_equal(n_before, 3); /* one of the two is reconciled */
    assert_int_equal(networks_rows(w->networks), 1);
}

/* From a checkpoint alone a restart knows the same, also when it comes before the first dump. */
static void test_checkpoint(void **state)
{
    struct world *w = *state;
    begin_three(w);
    for (int i = 0; i < 2; i++) {
        size_t first = w->out.memory.n_lines;
        networks_checkpoint(w->networks);
        assert_int_equal(w->out.memory.n_lines, first + 3);
        restart(w, first, true);
    }
    w->out.n_seen = w->out.memory.n_lines;
    begin_scan(w, false);
    link_is(w, 3, "v\xff", 1, true);
    end_scan(w, true);
    expect_ends(w, "24", "reconciled");
    size_t first = w->out.memory.n_lines;
    networks_checkpoint(w->networks);
    assert_int_equal(w->out.memory.n_lines, first + 1);
    expect(w, "+1 v\\\\xff 02:00:00:00:00:01 - - -\n");
}

/* -- bad days -- */

static void test_refused_rows_wait(void **state)
{
    struct world *w = *state;
    link_is(w, 3, "v0", 1, true);
    address(w, false, 3, "198.18.0.1", 24);
    expect(w, OWN_1 "+2 v0 02:00:00:00:00:01 198.18.0.1 24 inet\n");
    w->out.memory.refuse = -ENOSPC;
    address(w, true, 3, "198.18.0.1", 24);  /* its end waits */
    address(w, false, 3, "198.18.0.2", 24); /* lives, and waits */
    address(w, false, 3, "198.18.0.3", 24); /* ends before it is written */
    address(w, true, 3, "198.18.0.3", 24);
    tick(w, 1000);
    assert_int_equal(networks_rows(w->networks), 4);
    w->out.memory.refuse = 0;
    networks_checkpoint(w->networks); /* has what the database has open */
    expect(w, OWN_1 "+2 v0 02:00:00:00:00:01 198.18.0.1 24 inet\n");
    tick(w, 1000);
    expect(w, "-2 removed\n+3 v0 02:00:00:00:00:01 198.18.0.2 24 inet\n"
              "+4 v0 02:00:00:00:00:01 198.18.0.3 24 inet removed\n");
    assert_int_equal(networks_rows(w->networks), 2);
    assert_int_equal(w->out.output.refused_rows, 0);
    tick(w, 1000);
    expect(w, "");
}

static void test_refused_at_the_end_is_counted(void **state)
{
    struct world *w = *state;
    w->out.memory.refuse = -ENOSPC;
    link_is(w, 3, "v0", 1, true);
    address(w, false, 3, "198.18.0.1", 24);
    networks_flush(w->networks);
    assert_int_equal(w->out.output.refused_rows, 2);
    assert_int_equal(w->out.output.refused_error, -ENOSPC);
    expect(w, "");
}

static void fill(struct world *w, unsigned first, unsigned n)
{
    char text[32];
    for (unsigned i = first; i < first + n; i++) {
        snprintf(text, sizeof(text), "198.18.9.%u", i);
        address(w, false, 3, text, 24);
    }
}

static void test_bound(void **state)
{
    struct world *w = *state;
    link_is(w, 3, "v0", 1, true);
    fill(w, 1, MOST - 1);
    assert_int_equal(networks_rows(w->networks), MOST);
    assert_int_equal(networks_take_beyond(w->networks), 0);
    fill(w, MOST, 5);
    link_is(w, 4, "v1", 2, true);
    address(w, false, 4, "198.18.8.1", 24); /* of the one that found no room */
    assert_int_equal(networks_take_beyond(w->networks), 7);
    assert_int_equal(networks_take_beyond(w->networks), 0);
    assert_int_equal(w->out.memory.n_lines, MOST);
    assert_null(networks_interface_name(w->networks, 4));
    for (int i = 0; i < 2; i++) { /* what a dump finds beyond it is told once */
        begin_scan(w, false);
        link_is(w, 3, "v0", 1, true);
        fill(w, 1, MOST + 2);
        end_scan(w, true);
        assert_int_equal(networks_take_beyond(w->networks), i == 0 ? 3 : 0);
    }
    begin_scan(w, true);
    route(w, route_of("198.18.5.0", 24, NULL, 0));
    end_scan(w, true);
    assert_int_equal(networks_take_beyond(w->networks), 0);
    address(w, true, 3, "198.18.9.1", 24);
    fill(w, 200, 1);
    assert_int_equal(networks_take_beyond(w->networks), 0);
    assert_int_equal(networks_rows(w->networks), MOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_interface_with_addresses),
        TEST(test_interface_without_mac),
        TEST(test_new_mac),
        TEST(test_rename),
        TEST(test_peers),
        TEST(test_unknown_interface),
        TEST(test_routes),
        TEST(test_routes_that_look_the_same),
        TEST(test_next_hops),
        TEST(test_replacing_one_of_several),
        TEST(test_replacing_where_nothing_was),
        TEST(test_interface_goes_down),
        TEST(test_a_dump_shows_what_has_just_gone),
        TEST(test_a_dump_shows_what_is_about_to_go),
        TEST(test_what_a_dump_does_not_name_is_gone),
        TEST(test_a_dump_of_routes_ends_routes_only),
        TEST(test_an_incomplete_dump_ends_nothing),
        TEST(test_rename_during_a_dump),
        TEST(test_unwatched),
        TEST(test_restart_takes_up_what_is_still_true),
        TEST(test_restart_waits_for_a_complete_dump),
        TEST(test_reboot),
        TEST(test_unwatched_after_a_restart),
        TEST(test_restart_with_rows_that_look_the_same),
        TEST(test_checkpoint),
        TEST(test_refused_rows_wait),
        TEST(test_refused_at_the_end_is_counted),
        TEST(test_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
