#pragma once
/* Decoding of what every netlink source may have in a gulp besides the kernel's bytes. */
#include "core/fact.h"

/** MESSAGE_OVERRUN gives FACT_OVERRUN; MESSAGE_NOTE with a tab gives FACT_NOTE (mode before the
 *  tab, detail behind it). True when the message was one of these. Pure. */
bool common_message_decode(const struct message *message, fact_handler handler, void *user);
