/* A message is a fixed header and attributes; each attribute's length is checked before it is read.
 * A message that lies costs itself: what follows it in the datagram is still decoded.
 *
 * Left out are routes that follow from the addresses (local, broadcast, multicast and anycast ones
 * of the local table), and cached ones. */
#include "collectors/rtnetlink/rtnetlink_decode.h"

#include "collectors/netlink/common_message.h"
#include "collectors/netlink/netlink_walk.h"
#include "core/bounded_reader.h"

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>

struct decoder {
    char unused;
};

int rtnetlink_decoder_new(struct decoder **decoderp)
{
    struct decoder *decoder = calloc(1, sizeof(*decoder));
    if (!decoder)
        return -ENOMEM;
    *decoderp = decoder;
    return 0;
}

struct decoder *rtnetlink_decoder_free(struct decoder *decoder)
{
    free(decoder);
    return NULL;
}

static const struct {
    const char *text;
    struct fact_network_scan scan;
} notes[RTNETLINK_NOTE_N] = {
    [RTNETLINK_SCAN_WANTED] = {"scan=wanted",       {NETWORK_SCAN_WANTED}                 },
    [RTNETLINK_SCAN_BEGAN] = {"scan=began",        {NETWORK_SCAN_BEGAN}                  },
    [RTNETLINK_SCAN_ROUTES_BEGAN] = {"scan=routes_began",
                               {NETWORK_SCAN_BEGAN, .routes_only = true}                  },
    [RTNETLINK_SCAN_COMPLETE] = {"scan=complete",     {NETWORK_SCAN_ENDED, .complete = true}},
    [RTNETLINK_SCAN_INCOMPLETE] = {"scan=incomplete",   {NETWORK_SCAN_ENDED}                  },
};

struct slice rtnetlink_note_text(enum rtnetlink_note note)
{
    return slice_text(notes[note].text);
}

/* What a message gives its facts to. */
struct output {
    const struct message *message;
    fact_handler handler;
    void *user;
};

static void give(const struct output *output, struct fact *fact)
{
    fact->source = SOURCE_RTNETLINK;
    fact->boot_ns = output->message->boot_ns;
    output->handler(output->user, fact);
}

static int decode_note(const struct output *output)
{
    for (size_t i = 0; i < RTNETLINK_NOTE_N; i++) {
        if (!slice_is(output->message->bytes, notes[i].text))
            continue;
        struct fact fact = {.kind = FACT_NETWORK_SCAN, .network_scan = notes[i].scan};
        give(output, &fact);
        return 0;
    }
    return -EBADMSG;
}

/* The payloads of attributes by their types, SLICE_NULL: not there. */
#define ATTRIBUTES_MOST 64
_Static_assert(IFLA_WIRELESS < ATTRIBUTES_MOST && RTA_TABLE < ATTRIBUTES_MOST &&
                   IFA_LOCAL < ATTRIBUTES_MOST,
               "room for all that are read");

struct attributes {
    struct slice payload[ATTRIBUTES_MOST];
};

/* False when an attribute is longer than what is left of its message. */
static bool parse_attributes(struct attributes *attributes, struct slice bytes)
{
    const struct nlattr *attribute = (const void *)bytes.data;
    int left = bytes.length > INT32_MAX ? INT32_MAX : (int)bytes.length;
    *attributes = (struct attributes){0};
    while (mnl_attr_ok(attribute, left)) {
        uint16_t type = mnl_attr_get_type(attribute);
        if (type < ATTRIBUTES_MOST)
            attributes->payload[type] =
                slice_of(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute));
        left -= (int)MNL_ALIGN(attribute->nla_len);
        attribute = mnl_attr_next(attribute);
    }
    return left < (int)sizeof(*attribute);
}

/* Numbers: 0 when the attribute is not there; false when its length is another. */
static bool take_u32(const struct attributes *attributes, uint16_t type, uint32_t *value)
{
    struct slice payload = attributes->payload[type];
    *value = 0;
    if (slice_is_null(payload))
        return true;
    if (payload.length != sizeof(*value))
        return false;
    memcpy(value, payload.data, sizeof(*value));
    return true;
}

static size_t address_length(uint8_t family)
{
    return family == AF_INET ? 4 : 16;
}

static bool set_address(struct inet_address *address, uint8_t family, struct slice bytes)
{
    if ((family != AF_INET && family != AF_INET6) || bytes.length != address_length(family))
        return false;
    address->family = family;
    memcpy(address->bytes, bytes.data, bytes.length);
    return true;
}

/* No address when the attribute is not there; false when its length is not that of its family. */
static bool take_address(const struct attributes *attributes, uint16_t type, uint8_t family,
                         struct inet_address *address)
{
    struct slice payload = attributes->payload[type];
    return slice_is_null(payload) || set_address(address, family, payload);
}

static bool valid_prefix(uint8_t family, uint8_t length)
{
    return length <= 8 * address_length(family);
}

static bool is_inet(uint8_t family)
{
    return family == AF_INET || family == AF_INET6;
}

/* The name is followed by a NUL, as a rule. */
static bool take_name(const struct attributes *attributes, struct slice *name)
{
    struct slice payload = attributes->payload[IFLA_IFNAME];
    if (slice_is_null(payload) || payload.length > IFNAMSIZ)
        return false;
    *name = slice_of(payload.data, strnlen((const char *)payload.data, payload.length));
    return name->length > 0 && name->length < IFNAMSIZ;
}

/* Those of other families are of bridge ports and the like, and those with IFLA_WIRELESS are events
 * of a radio: neither describes the interface. */
static int decode_link(const struct output *output, bool end, struct slice payload)
{
    struct ifinfomsg header;
    struct attributes attributes;
    struct bounded_reader reader = bounded_reader_of(payload.data, payload.length);
    bounded_reader_copy(&reader, &header, sizeof(header));
    if (reader.failed || !parse_attributes(&attributes, slice_of(reader.position, reader.left)))
        return -EBADMSG;
    if (header.ifi_family != AF_UNSPEC || !slice_is_null(attributes.payload[IFLA_WIRELESS]))
        return 0;
    struct fact fact = {.kind = FACT_LINK};
    struct fact_link *link = &fact.link;
    struct slice address = attributes.payload[IFLA_ADDRESS];
    if (header.ifi_index <= 0 || !take_name(&attributes, &link->name) ||
        address.length > sizeof(link->address))
        return -EBADMSG;
    link->end = end;
    link->up = header.ifi_flags & IFF_UP;
    link->index = (uint32_t)header.ifi_index;
    link->address_length = (uint8_t)address.length;
    if (address.length)
        memcpy(link->address, address.data, address.length);
    give(output, &fact);
    return 0;
}

/* With a peer IFA_ADDRESS is the peer's, otherwise it is the only one that IPv6 gives. */
static int decode_address(const struct output *output, bool end, struct slice payload)
{
    struct ifaddrmsg header;
    struct attributes attributes;
    struct bounded_reader reader = bounded_reader_of(payload.data, payload.length);
    bounded_reader_copy(&reader, &header, sizeof(header));
    if (reader.failed || !parse_attributes(&attributes, slice_of(reader.position, reader.left)))
        return -EBADMSG;
    if (!is_inet(header.ifa_family))
        return 0;
    struct fact fact = {.kind = FACT_ADDRESS};
    struct fact_address *address = &fact.address;
    struct inet_address local = {0}, other = {0};
    if (!take_address(&attributes, IFA_LOCAL, header.ifa_family, &local) ||
        !take_address(&attributes, IFA_ADDRESS, header.ifa_family, &other) ||
        !(local.family || other.family) || header.ifa_index == 0 ||
        !valid_prefix(header.ifa_family, header.ifa_prefixlen))
        return -EBADMSG;
    address->end = end;
    address->interface = header.ifa_index;
    address->prefix_length = header.ifa_prefixlen;
    address->address = local.family ? local : other;
    if (local.family && other.family && memcmp(local.bytes, other.bytes, sizeof(local.bytes)) != 0)
        address->peer = other;
    give(output, &fact);
    return 0;
}

/* A gateway of the route's own family, or (RTA_VIA) of any. */
static bool take_gateway(const struct attributes *attributes, uint8_t family,
                         struct inet_address *gateway)
{
    struct slice via = attributes->payload[RTA_VIA];
    *gateway = (struct inet_address){0};
    if (slice_is_null(via))
        return take_address(attributes, RTA_GATEWAY, family, gateway);
    struct bounded_reader reader = bounded_reader_of(via.data, via.length);
    uint16_t via_family = bounded_reader_u16(&reader);
    return !reader.failed && via_family <= UINT8_MAX &&
           set_address(gateway, (uint8_t)via_family, slice_of(reader.position, reader.left));
}

/* The next hop at the start of @p left, which is moved behind it. */
static bool take_hop(struct slice *left, struct fact_route *route)
{
    struct rtnexthop hop;
    struct attributes attributes;
    if (left->length < sizeof(hop))
        return false;
    memcpy(&hop, left->data, sizeof(hop));
    if (hop.rtnh_len < sizeof(hop) || hop.rtnh_len > left->length ||
        !parse_attributes(&attributes,
                          slice_of(left->data + sizeof(hop), hop.rtnh_len - sizeof(hop))) ||
        !take_gateway(&attributes, route->family, &route->gateway))
        return false;
    route->interface = (uint32_t)hop.rtnh_ifindex;
    size_t step = (hop.rtnh_len + (size_t)3) & ~(size_t)3;
    if (step > left->length)
        step = left->length;
    *left = slice_of(left->data + step, left->length - step);
    return true;
}

/* All are looked at before the first is given, because each says how many they are. */
static int give_hops(const struct output *output, struct fact *fact, struct slice hops)
{
    struct fact_route scratch = fact->route;
    struct slice left = hops;
    uint16_t n = 0;
    while (left.length && take_hop(&left, &scratch))
        n++;
    if (n == 0 || left.length)
        return -EBADMSG;
    fact->route.n_hops = n;
    for (left = hops; take_hop(&left, &fact->route); fact->route.hop++)
        give(output, fact);
    return 0;
}

static bool is_implied(const struct rtmsg *header, uint32_t table)
{
    return table == RT_TABLE_LOCAL &&
           (header->rtm_type == RTN_LOCAL || header->rtm_type == RTN_BROADCAST ||
            header->rtm_type == RTN_MULTICAST || header->rtm_type == RTN_ANYCAST);
}

static bool take_route(const struct attributes *attributes, const struct rtmsg *header,
                       struct fact_route *route)
{
    uint8_t family = header->rtm_family;
    *route = (struct fact_route){.n_hops = 1,
                                 .family = family,
                                 .type = header->rtm_type,
                                 .service = header->rtm_tos,
                                 .prefix_length = header->rtm_dst_len,
                                 .source_prefix_length = header->rtm_src_len,
                                 .destination.family = family,
                                 .source.family = family};
    bool right = valid_prefix(family, header->rtm_dst_len) &&
                 valid_prefix(family, header->rtm_src_len) &&
                 take_u32(attributes, RTA_TABLE, &route->table) &&
                 take_u32(attributes, RTA_PRIORITY, &route->metric) &&
                 take_u32(attributes, RTA_OIF, &route->interface) &&
                 take_address(attributes, RTA_DST, family, &route->destination) &&
                 take_address(attributes, RTA_SRC, family, &route->source) &&
                 take_gateway(attributes, family, &route->gateway);
    if (slice_is_null(attributes->payload[RTA_TABLE]))
        route->table = header->rtm_table;
    return right;
}

static int decode_route(const struct output *output, const struct nlmsghdr *message,
                        struct slice payload)
{
    struct rtmsg header;
    struct attributes attributes;
    struct bounded_reader reader = bounded_reader_of(payload.data, payload.length);
    bounded_reader_copy(&reader, &header, sizeof(header));
    if (reader.failed || !parse_attributes(&attributes, slice_of(reader.position, reader.left)))
        return -EBADMSG;
    if (!is_inet(header.rtm_family) || header.rtm_flags & RTM_F_CLONED)
        return 0;
    struct fact fact = {.kind = FACT_ROUTE};
    if (!take_route(&attributes, &header, &fact.route))
        return -EBADMSG;
    if (is_implied(&header, fact.route.table))
        return 0;
    fact.route.end = message->nlmsg_type == RTM_DELROUTE;
    fact.route.replaces = !fact.route.end && message->nlmsg_flags & NLM_F_REPLACE;
    fact.route.dumped = message->nlmsg_flags & NLM_F_MULTI;
    struct slice hops = attributes.payload[RTA_MULTIPATH];
    if (!slice_is_null(hops))
        return give_hops(output, &fact, hops);
    give(output, &fact);
    return 0;
}

static int decode_message(const struct output *output, const struct nlmsghdr *header)
{
    struct slice payload =
        slice_of(mnl_nlmsg_get_payload(header), mnl_nlmsg_get_payload_len(header));
    switch (header->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
        return decode_link(output, header->nlmsg_type == RTM_DELLINK, payload);
    case RTM_NEWADDR:
    case RTM_DELADDR:
        return decode_address(output, header->nlmsg_type == RTM_DELADDR, payload);
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        return decode_route(output, header, payload);
    default:
        return 0; /* answers to requests, and what only says that it is time for a dump */
    }
}

int rtnetlink_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                     void *user)
{
    const struct output output = {message, handler, user};
    const struct nlmsghdr *header;
    struct slice left = message->bytes;
    int result = 0;
    (void)decoder;
    if (common_message_decode(message, handler, user))
        return 0;
    if (message->kind == MESSAGE_NOTE)
        return decode_note(&output);
    if (message->kind != MESSAGE_DATA)
        return -EBADMSG;
    while ((header = netlink_walk_next(&left)))
        if (decode_message(&output, header) < 0)
            result = -EBADMSG;
    return left.length || message->bytes.length == 0 ? -EBADMSG : result;
}
