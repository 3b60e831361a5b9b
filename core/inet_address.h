#pragma once
/* What can be said of an address without asking anybody. */
#include "core/fact.h"

enum { INET_ADDRESS_TEXT = 46 };

/** As inet_ntop(3) writes it. @p to is "" when there is no address. */
void inet_address_text(const struct inet_address *address, char to[INET_ADDRESS_TEXT]);
/** Same family and address; the ports are not looked at. */
bool inet_address_same(const struct inet_address *a, const struct inet_address *b);
/** 0.0.0.0, ::, or none at all. */
bool inet_address_is_unspecified(const struct inet_address *address);
static inline bool inet_address_same_port(const struct inet_address *a,
                                          const struct inet_address *b)
{
    return a->port == b->port && inet_address_same(a, b);
}
