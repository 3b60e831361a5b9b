#pragma once
/*
 * An address by itself, as a key: no port, unused bytes 0, and an IPv4 address that is mapped into
 * IPv6 as the IPv4 address that it is.
 */
#include "core/fact.h"

#include <sys/socket.h>

/** Family 0 when it is neither an IPv4 nor an IPv6 address. */
static inline struct inet_address plain_address(const struct inet_address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct inet_address plain = {.family = 0};
    if (address->family == AF_INET) {
        plain.family = AF_INET;
        memcpy(plain.bytes, address->bytes, 4);
    } else if (address->family == AF_INET6 && !memcmp(address->bytes, mapped, sizeof(mapped))) {
        plain.family = AF_INET;
        memcpy(plain.bytes, address->bytes + sizeof(mapped), 4);
    } else if (address->family == AF_INET6) {
        plain.family = AF_INET6;
        memcpy(plain.bytes, address->bytes, 16);
    }
    return plain;
}

/** An order of plain addresses, as of memcmp. */
static inline int plain_address_compare(const struct inet_address *a, const struct inet_address *b)
{
    return a->family != b->family ? a->family - b->family : memcmp(a->bytes, b->bytes, 16);
}

static inline bool plain_address_is_unspecified(const struct inet_address *address)
{
    static const uint8_t unspecified[16] = {0};
    return !memcmp(address->bytes, unspecified, sizeof(unspecified));
}
