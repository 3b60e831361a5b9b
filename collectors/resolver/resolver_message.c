/* Only what resolver_message_write can have written is taken: every other message is malformed. */
#include "collectors/resolver/resolver_message.h"

#include "collectors/netlink/common_message.h"
#include "core/bounded_reader.h"

#include <sys/socket.h>

static size_t address_length(uint8_t family)
{
    return family == AF_INET ? 4 : 16;
}

size_t resolver_message_write(uint8_t to[RESOLVER_MESSAGE_MOST], const struct fact_host_name *name)
{
    size_t length = address_length(name->address.family);
    to[0] = name->address.family;
    to[1] = (uint8_t)name->origin;
    to[2] = name->answered;
    to[3] = !slice_is_null(name->name);
    memcpy(to + 4, name->address.bytes, length);
    length += 4;
    if (name->name.length)
        memcpy(to + length, name->name.data, name->name.length);
    return length + name->name.length;
}

static int decode_answer(struct slice bytes, struct fact_host_name *name)
{
    struct bounded_reader reader = bounded_reader_of(bytes.data, bytes.length);
    uint8_t family = bounded_reader_u8(&reader);
    uint8_t origin = bounded_reader_u8(&reader);
    uint8_t answered = bounded_reader_u8(&reader);
    uint8_t known = bounded_reader_u8(&reader);
    if (family != AF_INET && family != AF_INET6)
        return -EBADMSG;
    *name = (struct fact_host_name){
        .origin = (enum name_origin)origin, .answered = answered, .address.family = family};
    bounded_reader_copy(&reader, name->address.bytes, address_length(family));
    struct slice text = bounded_reader_bytes(&reader, reader.left);
    if (reader.failed || origin >= NAME_ORIGIN_N || answered > 1 || known > answered ||
        text.length > HOST_NAME_MOST || (known == 1) != (text.length > 0))
        return -EBADMSG;
    name->name = known ? text : SLICE_NULL;
    return 0;
}

int resolver_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                    void *user)
{
    struct fact fact = {
        .kind = FACT_HOST_NAME, .source = message->source, .boot_ns = message->boot_ns};
    (void)decoder;
    if (common_message_decode(message, handler, user))
        return 0;
    if (message->kind != MESSAGE_DATA)
        return -EBADMSG;
    int r = decode_answer(message->bytes, &fact.host_name);
    if (r == 0)
        handler(user, &fact);
    return r;
}
