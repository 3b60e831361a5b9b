/* Bytes behind the length of the family are never looked at. */
#include "core/inet_address.h"

#include <arpa/inet.h>

static size_t length_of(uint8_t family)
{
    return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
}

void inet_address_text(const struct inet_address *address, char to[INET_ADDRESS_TEXT])
{
    if (length_of(address->family) == 0 ||
        !inet_ntop(address->family, address->bytes, to, INET_ADDRESS_TEXT))
        to[0] = '\0';
}

bool inet_address_same(const struct inet_address *a, const struct inet_address *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, length_of(a->family)) == 0;
}

bool inet_address_is_unspecified(const struct inet_address *address)
{
    static const uint8_t zeros[16];
    return memcmp(address->bytes, zeros, length_of(address->family)) == 0;
}
