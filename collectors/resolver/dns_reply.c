/* libresolv takes the message apart: it follows compressed names within their bounds and gives
 * labels as they are, where the parser of c-ares refuses names with bytes that no host name has. */
#include "collectors/resolver/dns_reply.h"

#include <arpa/nameser.h>
#include <limits.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>

void dns_question(char to[DNS_QUESTION_SIZE], const struct inet_address *address)
{
    const uint8_t *bytes = address->bytes;
    if (address->family == AF_INET) {
        snprintf(to, DNS_QUESTION_SIZE, "%u.%u.%u.%u.in-addr.arpa", bytes[3], bytes[2], bytes[1],
                 bytes[0]);
        return;
    }
    size_t length = 0;
    for (size_t i = 16; i-- > 0;)
        length += (size_t)snprintf(to + length, DNS_QUESTION_SIZE - length, "%x.%x.",
                                   bytes[i] & 0xfU, bytes[i] >> 4);
    snprintf(to + length, DNS_QUESTION_SIZE - length, "ip6.arpa");
}

static void append_label(struct dns_name *name, const uint8_t *label, size_t length)
{
    if (name->length > 0)
        name->bytes[name->length++] = '.';
    for (size_t i = 0; i < length; i++) {
        if (label[i] == '.' || label[i] == '\\')
            name->bytes[name->length++] = '\\';
        name->bytes[name->length++] = label[i];
    }
}

/* NS_MAXCDNAME bytes at most, each with a backslash at most: DNS_NAME_SIZE is enough. */
static int read_name(const ns_msg *message, const ns_rr *record, struct dns_name *name)
{
    uint8_t wire[NS_MAXCDNAME];
    _Static_assert(DNS_NAME_SIZE >= 2 * NS_MAXCDNAME, "any name has room");
    if (ns_name_unpack(ns_msg_base(*message), ns_msg_end(*message), ns_rr_rdata(*record), wire,
                       sizeof(wire)) != ns_rr_rdlen(*record))
        return -EBADMSG;
    name->length = 0;
    for (const uint8_t *label = wire; *label; label += *label + 1)
        append_label(name, label + 1, *label);
    if (name->length == 0)
        name->bytes[name->length++] = '.';
    return DNS_REPLY_NAME;
}

int dns_reply_name(struct slice reply, const char *question, struct dns_name *name)
{
    char owner[NS_MAXDNAME];
    ns_msg message;
    ns_rr record;
    if (reply.length > INT_MAX || ns_initparse(reply.data, (int)reply.length, &message) < 0)
        return -EBADMSG;
    snprintf(owner, sizeof(owner), "%s", question);
    for (int i = 0; i < ns_msg_count(message, ns_s_an); i++) {
        if (ns_parserr(&message, ns_s_an, i, &record) < 0)
            return -EBADMSG;
        if (ns_rr_class(record) != ns_c_in || strcasecmp(ns_rr_name(record), owner) != 0)
            continue;
        if (ns_rr_type(record) == ns_t_ptr)
            return read_name(&message, &record, name);
        if (ns_rr_type(record) == ns_t_cname &&
            ns_name_uncompress(ns_msg_base(message), ns_msg_end(message), ns_rr_rdata(record),
                               owner, sizeof(owner)) < 0)
            return -EBADMSG;
    }
    return DNS_REPLY_NONE;
}
