#pragma once
/*
 * An answer as a message: uint8_t family (AF_INET, AF_INET6), uint8_t origin, uint8_t answered,
 * uint8_t known, the 4 or 16 bytes of the address, and the bytes of the name when it is known.
 */
#include "collectors/source.h"

enum { HOST_NAME_MOST = 1024, RESOLVER_MESSAGE_MOST = 4 + 16 + HOST_NAME_MOST };

/** Returns the length of the message. The name has at most HOST_NAME_MOST bytes. */
size_t resolver_message_write(uint8_t to[RESOLVER_MESSAGE_MOST], const struct fact_host_name *name);

/** As source_ops.decode; the decoder keeps nothing between messages. */
int resolver_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                    void *user) MUST_CHECK;
