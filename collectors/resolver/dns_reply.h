#pragma once
/*
 * The question that DNS is asked for the name of an address, and the name in its answer. Pure.
 *
 * A name is the raw bytes of its labels, with dots between them; a dot or a backslash inside of a
 * label has a backslash before it, so that no byte and no boundary is lost. The root is ".".
 */
#include "core/error.h"
#include "core/fact.h"

enum { DNS_QUESTION_SIZE = 80, DNS_NAME_SIZE = 512 };

struct dns_name {
    uint8_t bytes[DNS_NAME_SIZE];
    size_t length;
};

/** The name in in-addr.arpa or ip6.arpa of a plain address. */
void dns_question(char to[DNS_QUESTION_SIZE], const struct inet_address *address);

enum { DNS_REPLY_NAME = 0, DNS_REPLY_NONE = 1 };

/** The first PTR record of @p question, or of what it is an alias of. DNS_REPLY_NAME,
 *  DNS_REPLY_NONE, or -EBADMSG. */
int dns_reply_name(struct slice reply, const char *question, struct dns_name *name) MUST_CHECK;
