/* A message that cannot be understood is left out and those behind it are read, so that a process
 * that gives its socket an odd name hides no other one. Between messages only this is kept: whether
 * the kernel said of a scan that runs that it was interrupted. */
#include "collectors/sock_diag/sock_diag_decode.h"

#include "collectors/netlink/common_message.h"
#include "collectors/netlink/netlink_walk.h"
#include "collectors/sock_diag/inet_socket.h"
#include "collectors/sock_diag/proc_net.h"
#include "collectors/sock_diag/sock_diag_message.h"
#include "collectors/sock_diag/unix_packet_socket.h"
#include "core/bounded_reader.h"

#include <linux/sock_diag.h>
#include <stdlib.h>
#include <sys/socket.h>

_Static_assert((int)INET_SOCKET_NONE == (int)UNIX_SOCKET_NONE, "one outcome for both");

struct sock_diag_decoder {
    bool interrupted;
};

/* What the parts of one message have in common. */
struct context {
    struct sock_diag_decoder *decoder;
    struct sock_diag_header header;
    struct fact fact;
    fact_handler handler;
    void *user;
};

int sock_diag_decoder_new(struct decoder **decoderp)
{
    struct sock_diag_decoder *decoder = calloc(1, sizeof(*decoder));
    if (!decoder)
        return -ENOMEM;
    *decoderp = (struct decoder *)decoder;
    return 0;
}

struct decoder *sock_diag_decoder_free(struct decoder *decoder)
{
    free(decoder);
    return NULL;
}

static void give_socket(struct context *context)
{
    context->fact.socket.socket.netns = context->header.netns;
    context->handler(context->user, &context->fact);
}

static int decode_dumped(struct context *context, struct slice payload)
{
    struct socket_description *socket = &context->fact.socket.socket;
    switch (payload.length ? payload.data[0] : AF_UNSPEC) {
    case AF_UNIX:
        return unix_socket_decode(payload, socket);
    case AF_PACKET:
        return packet_socket_decode(payload, socket);
    default:
        return inet_socket_decode(payload, context->header.detail, socket);
    }
}

static int decode_netlink(struct context *context, const struct nlmsghdr *header)
{
    struct slice payload =
        slice_of(mnl_nlmsg_get_payload(header), mnl_nlmsg_get_payload_len(header));
    bool end = context->header.type == SOCK_DIAG_END;
    if (header->nlmsg_flags & NLM_F_DUMP_INTR || header->nlmsg_type == NLMSG_ERROR)
        context->decoder->interrupted = true;
    if (header->nlmsg_type < NLMSG_MIN_TYPE)
        return 0;
    if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY)
        return -EBADMSG;
    context->fact.kind = FACT_SOCKET;
    context->fact.socket.end = end;
    int r = end ? inet_socket_decode_end(payload, &context->fact.socket.socket)
                : decode_dumped(context, payload);
    if (r == 0)
        give_socket(context);
    return r < 0 ? r : 0;
}

static int decode_datagram(struct context *context, struct slice bytes)
{
    int result = 0;
    const struct nlmsghdr *header = netlink_walk_next(&bytes);
    if (!header)
        return -EBADMSG;
    for (; header; header = netlink_walk_next(&bytes)) {
        int r = decode_netlink(context, header);
        if (r < 0)
            result = r;
    }
    return bytes.length ? -EBADMSG : result;
}

static int decode_lines(struct context *context, struct slice text)
{
    uint8_t path[PROC_NET_PATH_SIZE];
    int result = 0;
    if (context->header.detail >= PROC_NET_N)
        return -EBADMSG;
    context->fact.kind = FACT_SOCKET;
    while (text.length > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.length);
        size_t length = end ? (size_t)(end - text.data) : text.length;
        context->fact.socket.end = false;
        int r = proc_net_line((enum proc_net_file)context->header.detail,
                              slice_of(text.data, length), path, &context->fact.socket.socket);
        if (r == 0)
            give_socket(context);
        if (r < 0)
            result = r;
        length += end != NULL;
        text = slice_of(text.data + length, text.length - length);
    }
    return result;
}

static int decode_scan(struct context *context, size_t more)
{
    bool begin = context->header.type == SOCK_DIAG_SCAN_BEGIN;
    if (more > 0 || context->header.detail > 1)
        return -EBADMSG;
    bool complete = !begin && context->header.detail == 1 && !context->decoder->interrupted;
    context->decoder->interrupted = false;
    context->fact.kind = FACT_SOCKET_SCAN;
    context->fact.socket_scan = (struct fact_socket_scan){
        .begin = begin, .complete = complete, .netns = context->header.netns};
    context->handler(context->user, &context->fact);
    return 0;
}

static int decode_owners(struct context *context, struct bounded_reader *reader)
{
    context->fact.kind = FACT_SOCKET_OWNER;
    while (reader->left > 0) {
        struct sock_diag_owner owner;
        bounded_reader_copy(reader, &owner, sizeof(owner));
        if (reader->failed)
            return -EBADMSG;
        context->fact.socket_owner = (struct fact_socket_owner){
            .inode = owner.inode, .pid = owner.pid, .descriptor = owner.descriptor};
        context->handler(context->user, &context->fact);
    }
    return 0;
}

static int decode_data(struct context *context, struct slice bytes)
{
    struct bounded_reader reader = bounded_reader_of(bytes.data, bytes.length);
    bounded_reader_copy(&reader, &context->header, sizeof(context->header));
    if (reader.failed)
        return -EBADMSG;
    struct slice rest = slice_of(reader.position, reader.left);
    switch (context->header.type) {
    case SOCK_DIAG_END:
    case SOCK_DIAG_DUMP:
        return decode_datagram(context, rest);
    case SOCK_DIAG_LINES:
        return decode_lines(context, rest);
    case SOCK_DIAG_SCAN_BEGIN:
    case SOCK_DIAG_SCAN_END:
        return decode_scan(context, rest.length);
    case SOCK_DIAG_OWNERS:
        return decode_owners(context, &reader);
    default:
        return -EBADMSG;
    }
}

int sock_diag_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                     void *user)
{
    struct context context = {
        .decoder = (struct sock_diag_decoder *)decoder,
        .fact = {.source = message->source, .boot_ns = message->boot_ns},
        .handler = handler,
        .user = user
    };
    if (common_message_decode(message, handler, user))
        return 0;
    return message->kind == MESSAGE_DATA ? decode_data(&context, message->bytes) : -EBADMSG;
}
