/* Overruns and notes are the same for all sources: facts without a body, or two slices. */
#include "collectors/netlink/common_message.h"

bool common_message_decode(const struct message *message, fact_handler handler, void *user)
{
    struct fact fact = {.source = message->source, .boot_ns = message->boot_ns};
    if (message->kind == MESSAGE_OVERRUN) {
        fact.kind = FACT_OVERRUN;
        handler(user, &fact);
        return true;
    }
    if (message->kind != MESSAGE_NOTE || message->bytes.length == 0)
        return false;
    const uint8_t *start = message->bytes.data;
    const uint8_t *tab = memchr(start, '\t', message->bytes.length);
    if (!tab)
        return false;
    size_t mode = (size_t)(tab - start);
    fact.kind = FACT_NOTE;
    fact.note = (struct fact_note){.mode = slice_of(start, mode),
                                   .detail = slice_of(tab + 1, message->bytes.length - mode - 1)};
    handler(user, &fact);
    return true;
}
