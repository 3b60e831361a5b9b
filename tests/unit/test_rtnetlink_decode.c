// links: vestige_rtnetlink
/* rtnetlink's messages as the kernel makes them, as it makes them for others, and as nobody should
 * make them: cut off anywhere, with attributes that lie about their length. */
#include "collectors/rtnetlink/rtnetlink_decode.h"
#include "core/inet_address.h"
#include "guarded.h"

#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { FACTS_MOST = 8 };

struct facts {
    struct fact fact[FACTS_MOST];
    char name[FACTS_MOST][32];
    size_t n;
};

struct wire {
    uint8_t bytes[4096];
    size_t length, message; /* where the message at hand begins */
};

static void keep(void *user, const struct fact *fact)
{
    struct facts *facts = user;
    assert_true(facts->n < FACTS_MOST);
    if (fact->kind == FACT_LINK) {
        assert_true(fact->link.name.length < sizeof(facts->name[0]));
        memcpy(facts->name[facts->n], fact->link.name.data, fact->link.name.length);
    }
    facts->fact[facts->n++] = *fact;
}

static int decode_kind(enum message_kind kind, const void *bytes, size_t length,
                       struct facts *facts)
{
    struct decoder *decoder;
    *facts = (struct facts){.n = 0};
    assert_int_equal(rtnetlink_decoder_new(&decoder), 0);
    struct guarded guarded = guarded_copy(bytes, length);
    const struct message message = {.source = SOURCE_RTNETLINK,
                                    .kind = kind,
                                    .boot_ns = 777,
                                    .bytes = slice_of(guarded.data, length)};
    int r = rtnetlink_decode(decoder, &message, keep, facts);
    guarded_free(&guarded);
    rtnetlink_decoder_free(decoder);
    for (size_t i = 0; i < facts->n; i++) {
        assert_int_equal(facts->fact[i].source, SOURCE_RTNETLINK);
        assert_int_equal(facts->fact[i].boot_ns, 777);
    }
    return r;
}

static int decode(const struct wire *wire, struct facts *facts)
{
    return decode_kind(MESSAGE_DATA, wire->bytes, wire->length, facts);
}

static void put(struct wire *wire, const void *bytes, size_t length)
{
    assert_true(wire->length + length + 4 <= sizeof(wire->bytes));
    memcpy(wire->bytes + wire->length, bytes, length);
    wire->length += length;
    while (wire->length % 4)
        wire->bytes[wire->length++] = 0;
}

static void begin(struct wire *wire, uint16_t type, uint16_t flags, const void *header,
                  size_t length)
{
    wire->message = wire->length;
    put(wire, &(struct nlmsghdr){.nlmsg_type = type, .nlmsg_flags = flags},
        sizeof(struct nlmsghdr));
    put(wire, header, length);
}

static void put_attribute(struct wire *wire, uint16_t type, const void *bytes, uint16_t length)
{
    put(wire, &(struct nlattr){.nla_len = (uint16_t)(4 + length), .nla_type = type}, 4);
    put(wire, bytes, length);
}

static void put_u32(struct wire *wire, uint16_t type, uint32_t value)
{
    put_attribute(wire, type, &value, sizeof(value));
}

static void end(struct wire *wire)
{
    uint32_t length = (uint32_t)(wire->length - wire->message);
    memcpy(wire->bytes + wire->message, &length, sizeof(length));
}

static void begin_link(struct wire *wire, uint16_t type, uint8_t family, int index, uint32_t flags)
{
    const struct ifinfomsg header = {.ifi_family = family, .ifi_index = index, .ifi_flags = flags};
    begin(wire, type, 0, &header, sizeof(header));
}

static const uint8_t mac[6] = {2, 0, 0, 0, 0xab, 1};
static const uint8_t one[4] = {198, 18, 0, 1}, two[4] = {198, 18, 0, 2}, net[4] = {198, 18, 5, 0};
static const uint8_t six[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
static const uint8_t six_two[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 2};

static void put_link(struct wire *wire, uint16_t type, int index, uint32_t flags, const char *name)
{
    begin_link(wire, type, AF_UNSPEC, index, flags);
    put_attribute(wire, IFLA_IFNAME, name, (uint16_t)(strlen(name) + 1));
    put_attribute(wire, IFLA_ADDRESS, mac, sizeof(mac));
    put_u32(wire, IFLA_MTU, 1500);
    end(wire);
}

static void test_links(void **state)
{
    (void)state;
    struct wire wire = {.length = 0};
    struct facts facts;
    put_link(&wire, RTM_NEWLINK, 3, IFF_UP | IFF_BROADCAST, "v0");
    put_link(&wire, RTM_DELLINK, 4, 0, "fifteen-bytes-x");
    assert_int_equal(decode(&wire, &facts), 0);
    assert_int_equal(facts.n, 2);
    const struct fact_link *link = &facts.fact[0].link;
    assert_int_equal(facts.fact[0].kind, FACT_LINK);
    assert_false(link->end);
    assert_true(link->up);
    assert_int_equal(link->index, 3);
    assert_string_equal(facts.name[0], "v0");
    assert_int_equal(link->address_length, 6);
    assert_memory_equal(link->address, mac, 6);
    assert_true(facts.fact[1].link.end);
    assert_false(facts.fact[1].link.up);
    assert_string_equal(facts.name[1], "fifteen-bytes-x");
}

static void test_link_without_address(void **state)
{
    (void)state;
    struct wire wire = {.length = 0};
    struct facts facts;
    begin_link(&wire, RTM_NEWLINK, AF_UNSPEC, 9, 0);
    put_attribute(&wire, IFLA_IFNAME, "tun0", 4); /* and without a NUL */
    end(&wire);
    assert_int_equal(decode(&wire, &facts), 0);
    assert_string_equal(facts.name[0], "tun0");
    assert_int_equal(facts.fact[0].link.address_length, 0);
}

/* Ports of bridges, and events of radios, which have a name and no MAC address. */
static void test_what_is_no_interface(void **state)
{
    (void)state;
    struct wire wire = {.length = 0};
    struct facts facts;
    begin_link(&wire, RTM_DELLINK, AF_BRIDGE, 3, IFF_UP);
    put_attribute(&wire, IFLA_IFNAME, "v0", 3);
    end(&wire);
    begin_link(&wire, RTM_NEWLINK, AF_UNSPEC, 3, IFF_UP);
    put_attribute(&wire, IFLA_IFNAME, "wlan0", 6);
    put_attribute(&wire, IFLA_WIRELESS, "event", 5);
    end(&wire);
    assert_int_equal(decode(&wire, &facts), 0);
    assert_int_equal(facts.n, 0);
}

static void test_links_that_lie(void **state)
{
    (void)state;
    struct facts facts;
    uint8_t long_address[LINK_ADDRESS_MOST + 1] = {0};
    for (int i = 0; i < 6; i++) {
        struct wire wire = {.length = 0};
        begin_link(&wire, RTM_NEWLINK, AF_UNSPEC, i == 0 ? 0 : i == 1 ? -1 : 3, IFF_UP);
        if (i < 2 || i == 5)
            put_attribute(&wire, IFLA_IFNAME, "v0", 3);
        if (i == 3)
            put_attribute(&wire, IFLA_IFNAME, "sixteen-bytes-xx", 16);
        if (i == 4)
            put_attribute(&wire, IFLA_IFNAME, "", 1);
        if (i == 5)
            put_attribute(&wire, IFLA_ADDRESS, long_address, sizeof(long_address));
        end(&wire);
        assert_int_equal(decode(&wire, &facts), -EBADMSG);
        assert_int_equal(facts.n, 0);
    }
}

static void begin_address(struct wire *wire, uint16_t type, uint8_t family, uint8_t prefix)
{
    const struct ifaddrmsg header = {.ifa_family = family, .ifa_prefixlen = prefix, .ifa_index = 3};
    begin(wire, type, 0, &header, sizeof(header));
}

static void assert_address(const struct inet_address *address, const char *expected)
{
    char text[INET_ADDRESS_TEXT];
    inet_address_text(address, text);
    assert_string_equal(text, expected);
}

static void test_addresses(void **state)
{
    (void)state;
    struct wire wire = {.length = 0};
    struct facts facts;
    begin_address(&wire, RTM_NEWADDR, AF_INET, 24);
    put_attribute(&wire, IFA_ADDRESS, one, 4);
    put_attribute(&wire, IFA_LOCAL, one, 4);
    end(&wire);
    begin_address(&wire, RTM_NEWADDR, AF_INET, 32);
    put_attribute(&wire, IFA_ADDRESS, two, 4);
    put_attribute(&wire, IFA_LOCAL, one, 4);
    end(&wire);
    begin_address(&wire, RTM_DELADDR, AF_INET6, 64);
    put_attribute(&wire, IFA_ADDRESS, six, 16);
    end(&wire);
    begin_address(&wire, RTM_NEWADDR, AF_INET6, 128);
    put_attribute(&wire, IFA_ADDRESS, six_two, 16);
    put_attribute(&wire, IFA_LOCAL, six, 16);
    end(&wire);
    begin_address(&wire, RTM_NEWADDR, AF_PHONET, 0);
    end(&wire);
    assert_int_equal(decode(&wire, &facts), 0);
    assert_int_equal(facts.n, 4);
    static const struct {
        const char *address, *peer;
        unsigned prefix_length;
        bool end;
    } expected[] = {
        {"198.18.0.1",  "",            24,  false},
        {"198.18.0.1",  "198.18.0.2",  32,  false},
        {"2001:db8::1", "",            64,  true },
        {"2001:db8::1", "2001:db8::2", 128, false},
    };
    for (size_t i = 0; i < 4; i++) {
        const struct fact_address *address = &facts.fact[i].address;
        assert_int_equal(facts.fact[i].kind, FACT_ADDRESS);
        assert_int_equal(address->interface, 3);
        assert_address(&address->address, expected[i].address);
        assert_address(&address->peer, expected[i].peer);
        assert_int_equal(address->prefix_length, expected[i].prefix_length);
        assert_int_equal(address->end, expected[i].end);
    }
}

static void test_addresses_that_lie(void **state)
{
    (void)state;
    struct facts facts;
    static const struct {
        uint8_t family, prefix;
        uint16_t length;
    } cases[] = {
        {AF_INET,  24,  16},
        {AF_INET,  24,  3 },
        {AF_INET,  24,  0 },
        {AF_INET,  33,  4 },
        {AF_INET6, 64,  4 },
        {AF_INET6, 129, 16},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire wire = {.length = 0};
        begin_address(&wire, RTM_NEWADDR, cases[i].family, cases[i].prefix);
        put_attribute(&wire, IFA_ADDRESS, six, cases[i].length);
        end(&wire);
        assert_int_equal(decode(&wire, &facts), -EBADMSG);
    }
    struct wire wire = {.length = 0};
    begin_address(&wire, RTM_NEWADDR, AF_INET, 24); /* none at all */
    end(&wire);
    assert_int_equal(decode(&wire, &facts), -EBADMSG);
    assert_int_equal(facts.n, 0);
}

static void begin_route(struct wire *wire, uint16_t type, uint16_t flags,
                        const struct rtmsg *header)
{
    begin(wire, type, flags, header, sizeof(*header));
}

static const struct rtmsg main_route = {.rtm_family = AF_INET,
                                        .rtm_dst_len = 24,
                                        .rtm_tos = 16,
                                        .rtm_table = RT_TABLE_MAIN,
                                        .rtm_type = RTN_UNICAST};

static const struct fact_route *only_route(const struct facts *facts)
{
    assert_int_equal(facts->n, 1);
    assert_int_equal(facts->fact[0].kind, FACT_ROUTE);
    assert_int_equal(facts->fact[0].route.hop, 0);
    assert_int_equal(facts->fact[0].route.n_hops, 1);
    return &facts->fact[0].route;
}

static void test_route(void **state)
{
    (void)state;
    struct wire wire = {.length = 0};
    struct facts facts;
    begin_route(&wire, RTM_NEWROUTE, NLM_F_EXCL | NLM_F_CREATE, &main_route);
    put_u32(&wire, RTA_TABLE, 70000);
    put_attribute(&wire, RTA_DST, net, 4);
    put_u32(&wire, RTA_PRIORITY, 4294967295);
    put_attribute(&wire, RTA_GATEWAY, two, 4);
    put_u32(&wire, RTA_OIF, 3);
    end(&wire);
    assert_int_equal(decode(&wire, &facts), 0);
    const struct fact_route *route = only_route(&facts);
    assert_false(route->end);
    assert_false(route->replaces);
    assert_int_equal(route->family, AF_INET);
    assert_int_equal(route->type, RTN_UNICAST);
    assert_int_equal(route->service, 16);
    assert_int_equal(route->prefix_length, 24);
    assert_int_equal(route->table, 70000);
    assert_true(route->metric == 4294967295);
    assert_int_equal(route->interface, 3);
    assert_address(&route->destination, "198.18.5.0");
    assert_address(&route->gateway, "198.18.0.2");
    assert_address(&route->source, "0.0.0.0");
}

static void test_default_route_of_ipv6_from_a_prefix(void **state)
{
    (void)state;
    struct wire wire = {.length = 0};
    struct facts facts;
    const struct rtmsg header = {.rtm_family = AF_INET6,
                                 .rtm_src_len = 64,
                                 .rtm_table = RT_TABLE_MAIN,
                                 .rtm_type = RTN_UNICAST};
    begin_route(&wire, RTM_DELROUTE, NLM_F_REPLACE, &header);
    put_attribute(&wire, RTA_SRC, six, 16);
    put_attribute(&wire, RTA_GATEWAY, six_two, 16);
    put_u32(&wire, RTA_PRIORITY, 1024);
    end(&wire);
    assert_int_equal(decode(&wire, &facts), 0);
    const struct fact_route *route = only_route(&facts);
    assert_true(route->end);
    assert_false(route->replaces); /* an end replaces nothing */
    assert_int_equal(route->table, RT_TABLE_MAIN);
    assert_int_equal(route->interface, 0);
    assert_int_equal(route->source_prefix_length, 64);
    assert_address(&route->destination, "::");
    assert_address(&route->source, "2001:db8::1");
    assert_address(&route->gateway, "2001:db8::2");
}

static void test_gateway_of_another_family(void **state)
{
    (void)state;
    struct wire wire = {.length = 0};
    struct facts facts;
    uint8_t via[18] = {AF_INET6};
    memcpy(via + 2, six, sizeof(six));
    begin_route(&wire, RTM_NEWROUTE, NLM_F_REPLACE, &main_route);
    put_attribute(&wire, RTA_DST, net, 4);
    put_attribute(&wire, RTA_VIA, via, sizeof(via));
    end(&wire);
    assert_int_equal(decode(&wire, &facts), 0);
    assert_true(only_route(&facts)->replaces);
    assert_address(&only_route(&facts)->gateway, "2001:db8::1");
}

/* What follows from the addresses, what is cached, and other families' routes. */
static void test_routes_that_are_left_out(void **state)
{
    (void)state;
    static const struct rtmsg headers[] = {
        {.rtm_family = AF_INET,  .rtm_table = RT_TABLE_LOCAL, .rtm_type = RTN_LOCAL    },
        {.rtm_family = AF_INET,  .rtm_table = RT_TABLE_LOCAL, .rtm_type = RTN_BROADCAST},
        {.rtm_family = AF_INET6, .rtm_table = RT_TABLE_LOCAL, .rtm_type = RTN_MULTICAST},
        {.rtm_family = AF_INET6, .rtm_table = RT_TABLE_LOCAL, .rtm_type = RTN_ANYCAST  },
        {.rtm_family = AF_INET6, .rtm_type = RTN_UNICAST,     .rtm_flags = RTM_F_CLONED},
        {.rtm_family = AF_MPLS,  .rtm_table = RT_TABLE_MAIN,  .rtm_type = RTN_UNICAST  },
    };
    struct facts facts;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct wire wire = {.length = 0};
        begin_route(&wire, RTM_NEWROUTE, 0, &headers[i]);
        end(&wire);
        assert_int_equal(decode(&wire, &facts), 0);
        assert_int_equal(facts.n, 0);
    }
    struct wire wire = {.length = 0}; /* a local one that somebody has made in another table */
    begin_route(&wire, RTM_NEWROUTE, 0, &headers[0]);
    put_u32(&wire, RTA_TABLE, 100);
    end(&wire);
    assert_int_equal(decode(&wire, &facts), 0);
    assert_int_equal(only_route(&facts)->table, 100);
    wire = (struct wire){.length = 0};
    begin_route(&wire, RTM_NEWROUTE, 0,
                &(struct rtmsg){
                    .rtm_family = AF_INET, .rtm_table = RT_TABLE_LOCAL, .rtm_type = RTN_UNICAST});
    end(&wire);
    assert_int_equal(decode(&wire, &facts), 0);
    assert_int_equal(only_route(&facts)->table, RT_TABLE_LOCAL);
}

static void add_hop(struct wire *hops, int interface, const uint8_t gateway[4])
{
    put(hops,
        &(struct rtnexthop){.rtnh_len = sizeof(struct rtnexthop) + 8, .rtnh_ifindex = interface},
        sizeof(struct rtnexthop));
    put_attribute(hops, RTA_GATEWAY, gateway, 4);
}

static void multipath(struct wire *wire, const void *hops, size_t length)
{
    *wire = (struct wire){.length = 0};
    begin_route(wire, RTM_NEWROUTE, NLM_F_REPLACE, &main_route);
    put_attribute(wire, RTA_DST, net, 4);
    put_attribute(wire, RTA_MULTIPATH, hops, (uint16_t)length);
    end(wire);
}

static void test_next_hops(void **state)
{
    (void)state;
    struct wire wire, hops = {.length = 0};
    struct facts facts;
    add_hop(&hops, 3, two);
    add_hop(&hops, 4, one);
    put(&hops, &(struct rtnexthop){.rtnh_len = sizeof(struct rtnexthop), .rtnh_ifindex = 5},
        sizeof(struct rtnexthop));
    multipath(&wire, hops.bytes, hops.length);
    assert_int_equal(decode(&wire, &facts), 0);
    assert_int_equal(facts.n, 3);
    static const char *const gateways[] = {"198.18.0.2", "198.18.0.1", ""};
    for (unsigned i = 0; i < 3; i++) {
        const struct fact_route *route = &facts.fact[i].route;
        assert_true(route->replaces);
        assert_int_equal(route->hop, i);
        assert_int_equal(route->n_hops, 3);
        assert_int_equal(route->interface, 3 + i);
        assert_address(&route->gateway, gateways[i]);
        assert_address(&route->destination, "198.18.5.0");
    }
}

/* Every length that a next hop can have but the right one, and the list cut off anywhere. */
static void test_next_hops_that_lie(void **state)
{
    (void)state;
    struct wire wire, hops = {.length = 0};
    struct facts facts;
    add_hop(&hops, 3, two);
    add_hop(&hops, 4, one);
    for (size_t length = 0; length < hops.length; length++) {
        multipath(&wire, hops.bytes, length);
        assert_int_equal(decode(&wire, &facts), length == 16 ? 0 : -EBADMSG);
        assert_int_equal(facts.n, length == 16 ? 1 : 0);
    }
    for (unsigned length = 0; length <= UINT16_MAX; length += length < 64 ? 1 : 251) {
        struct wire lie = hops;
        uint16_t value = (uint16_t)length;
        memcpy(lie.bytes + 16, &value, sizeof(value));
        multipath(&wire, lie.bytes, lie.length);
        int r = decode(&wire, &facts);
        /* 8: its attribute, of length 8, passes for a third one */
        assert_int_equal(r, length == 16 || length == 8 ? 0 : -EBADMSG);
        assert_int_equal(facts.n, length == 16 ? 2 : length == 8 ? 3 : 0);
    }
}

static void test_routes_that_lie(void **state)
{
    (void)state;
    static const struct {
        uint16_t type, length;
        uint8_t dst_len, src_len;
    } cases[] = {
        {RTA_DST,       16, 24, 0 },
        {RTA_DST,       0,  24, 0 },
        {RTA_SRC,       5,  24, 0 },
        {RTA_GATEWAY,   16, 24, 0 },
        {RTA_VIA,       1,  24, 0 },
        {RTA_VIA,       6,  24, 0 },
        {RTA_TABLE,     2,  24, 0 },
        {RTA_PRIORITY,  8,  24, 0 },
        {RTA_OIF,       3,  24, 0 },
        {RTA_MULTIPATH, 0,  24, 0 },
        {RTA_METRICS,   4,  33, 0 },
        {RTA_METRICS,   4,  24, 33},
    };
    static const uint8_t bytes[16] = {0xff, 0xff, 0xff, 0xff};
    struct facts facts;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire wire = {.length = 0};
        struct rtmsg header = main_route;
        header.rtm_dst_len = cases[i].dst_len;
        header.rtm_src_len = cases[i].src_len;
        begin_route(&wire, RTM_NEWROUTE, 0, &header);
        put_attribute(&wire, cases[i].type, bytes, cases[i].length);
        end(&wire);
        assert_int_equal(decode(&wire, &facts), -EBADMSG);
        assert_int_equal(facts.n, 0);
    }
}

/* Cut off anywhere, by the datagram and by the message's own length. */
static void test_cut_off(void **state)
{
    (void)state;
    struct wire whole = {.length = 0};
    struct facts facts;
    put_link(&whole, RTM_NEWLINK, 3, IFF_UP, "v0");
    for (size_t length = 0; length < whole.length; length++) {
        struct wire wire = whole;
        wire.length = length;
        assert_int_equal(decode(&wire, &facts), -EBADMSG);
        assert_int_equal(facts.n, 0);
        if (length < sizeof(struct nlmsghdr))
            continue;
        end(&wire);
        int r = decode(&wire, &facts);
        /* where the name, or the MAC address, ends, it is a message of its own */
        bool is_whole = (length >= 39 && length < 44) || (length >= 50 && length < 56);
        assert_int_equal(r, is_whole ? 0 : -EBADMSG);
    }
    assert_int_equal(decode(&whole, &facts), 0);
}

static void test_attribute_lengths(void **state)
{
    (void)state;
    struct facts facts;
    struct wire whole = {.length = 0};
    begin_address(&whole, RTM_NEWADDR, AF_INET, 24);
    put_attribute(&whole, IFA_LOCAL, one, 4);
    put_attribute(&whole, IFA_LABEL, "v0", 3);
    end(&whole);
    for (unsigned length = 0; length <= UINT16_MAX; length += length < 64 ? 1 : 251) {
        struct wire wire = whole;
        uint16_t value = (uint16_t)length;
        memcpy(wire.bytes + sizeof(struct nlmsghdr) + sizeof(struct ifaddrmsg), &value, 2);
        int r = decode(&wire, &facts);
        assert_int_equal(r, length == 8 ? 0 : -EBADMSG);
        assert_int_equal(facts.n, r == 0 ? 1 : 0);
    }
}

/* What is behind a message that lies is decoded; the lie is told. */
static void test_a_lie_costs_itself(void **state)
{
    (void)state;
    struct wire wire = {.length = 0};
    struct facts facts;
    begin_link(&wire, RTM_NEWLINK, AF_UNSPEC, 3, IFF_UP);
    end(&wire);
    put_link(&wire, RTM_NEWLINK, 4, IFF_UP, "v1");
    assert_int_equal(decode(&wire, &facts), -EBADMSG);
    assert_int_equal(facts.n, 1);
    assert_string_equal(facts.name[0], "v1");
}

static void test_other_messages(void **state)
{
    (void)state;
    struct wire wire = {.length = 0};
    struct facts facts;
    int32_t zero = 0;
    begin(&wire, NLMSG_DONE, NLM_F_MULTI, &zero, sizeof(zero));
    end(&wire);
    begin(&wire, NLMSG_ERROR, 0, &zero, sizeof(zero));
    end(&wire);
    begin(&wire, RTM_NEWNEIGH, 0, &zero, sizeof(zero));
    end(&wire);
    begin(&wire, RTM_DELNEXTHOP, 0, &zero, sizeof(zero));
    end(&wire);
    assert_int_equal(decode(&wire, &facts), 0);
    assert_int_equal(facts.n, 0);
    assert_int_equal(decode_kind(MESSAGE_MARK, "12345678", 8, &facts), -EBADMSG);
    assert_int_equal(decode_kind(MESSAGE_OVERRUN, "", 0, &facts), 0);
    assert_int_equal(facts.n, 1);
    assert_int_equal(facts.fact[0].kind, FACT_OVERRUN);
}

static void test_notes(void **state)
{
    (void)state;
    static const struct fact_network_scan expected[RTNETLINK_NOTE_N] = {
        [RTNETLINK_SCAN_WANTED] = {.step = NETWORK_SCAN_WANTED},
        [RTNETLINK_SCAN_BEGAN] = {.step = NETWORK_SCAN_BEGAN },
        [RTNETLINK_SCAN_ROUTES_BEGAN] = {.step = NETWORK_SCAN_BEGAN,  .routes_only = true},
        [RTNETLINK_SCAN_COMPLETE] = {.step = NETWORK_SCAN_ENDED,                           .complete = true},
        [RTNETLINK_SCAN_INCOMPLETE] = {.step = NETWORK_SCAN_ENDED},
    };
    struct facts facts;
    for (int note = 0; note < RTNETLINK_NOTE_N; note++) {
        struct slice text = rtnetlink_note_text((enum rtnetlink_note)note);
        assert_int_equal(decode_kind(MESSAGE_NOTE, text.data, text.length, &facts), 0);
        assert_int_equal(facts.n, 1);
        assert_int_equal(facts.fact[0].kind, FACT_NETWORK_SCAN);
        assert_int_equal(facts.fact[0].network_scan.step, expected[note].step);
        assert_int_equal(facts.fact[0].network_scan.routes_only, expected[note].routes_only);
        assert_int_equal(facts.fact[0].network_scan.complete, expected[note].complete);
    }
    assert_int_equal(decode_kind(MESSAGE_NOTE, "scan=", 5, &facts), -EBADMSG);
    assert_int_equal(decode_kind(MESSAGE_NOTE, "", 0, &facts), -EBADMSG);
    assert_int_equal(decode_kind(MESSAGE_NOTE, "on\tall", 6, &facts), 0);
    assert_int_equal(facts.fact[0].kind, FACT_NOTE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_link_without_address),
        cmocka_unit_test(test_what_is_no_interface),
        cmocka_unit_test(test_links_that_lie),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_addresses_that_lie),
        cmocka_unit_test(test_route),
        cmocka_unit_test(test_default_route_of_ipv6_from_a_prefix),
        cmocka_unit_test(test_gateway_of_another_family),
        cmocka_unit_test(test_routes_that_are_left_out),
        cmocka_unit_test(test_next_hops),
        cmocka_unit_test(test_next_hops_that_lie),
        cmocka_unit_test(test_routes_that_lie),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_attribute_lengths),
        cmocka_unit_test(test_a_lie_costs_itself),
        cmocka_unit_test(test_other_messages),
        cmocka_unit_test(test_notes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
