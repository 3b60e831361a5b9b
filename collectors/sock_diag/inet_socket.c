/* What TIME_WAIT and requests have in common is that the kernel fills the message from a smaller
 * structure than a socket; it tells the first by the timer. */
#include "collectors/sock_diag/inet_socket.h"

#include "collectors/sock_diag/diag_attributes.h"
#include "collectors/sock_diag/tcp_bytes.h"
#include "core/bounded_reader.h"

#include <linux/inet_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

enum { TIMER_TIME_WAIT = 3, STATE_NEW_SYN_RECEIVED = 12, PROTOCOL_RAW = IPPROTO_RAW };

struct inet_address inet_socket_address(uint8_t family, const uint8_t bytes[16], uint16_t port)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}, none[16] = {0};
    struct inet_address address = {.family = family, .port = port};
    size_t length = family == AF_INET ? 4 : 16;
    if (family == AF_INET6 && !memcmp(bytes, mapped, sizeof(mapped))) {
        address.family = AF_INET;
        length = 4;
        bytes += sizeof(mapped);
    }
    if (port == 0 && !memcmp(bytes, none, length))
        return (struct inet_address){0};
    memcpy(address.bytes, bytes, length);
    return address;
}

static uint8_t type_of(uint32_t protocol)
{
    return protocol == IPPROTO_TCP ? SOCK_STREAM : protocol == PROTOCOL_RAW ? SOCK_RAW : SOCK_DGRAM;
}

static void describe(const struct inet_diag_msg *message, uint32_t protocol,
                     struct socket_description *to)
{
    const struct inet_diag_sockid *id = &message->id;
    uint8_t local[16], remote[16];
    memcpy(local, id->idiag_src, sizeof(local));
    memcpy(remote, id->idiag_dst, sizeof(remote));
    *to = (struct socket_description){
        .cookie = (uint64_t)id->idiag_cookie[1] << 32 | id->idiag_cookie[0],
        .family = message->idiag_family,
        .type = type_of(protocol),
        .protocol = protocol == PROTOCOL_RAW ? ntohs(id->idiag_sport) : (uint16_t)protocol,
        .state = message->idiag_state,
        .local = inet_socket_address(message->idiag_family, local, ntohs(id->idiag_sport)),
        .remote = inet_socket_address(message->idiag_family, remote, ntohs(id->idiag_dport)),
        .interface = id->idiag_if,
        .uid = ID_UNSET,
        .bytes_sent = UINT64_MAX,
        .bytes_received = UINT64_MAX};
}

static int read_message(struct slice payload, struct inet_diag_msg *message,
                        struct slice attributes[INET_DIAG_MAX + 1])
{
    struct bounded_reader reader = bounded_reader_of(payload.data, payload.length);
    bounded_reader_copy(&reader, message, sizeof(*message));
    bool known = message->idiag_family == AF_INET || message->idiag_family == AF_INET6;
    if (reader.failed || !known ||
        !diag_attributes(slice_of(reader.position, reader.left), attributes, INET_DIAG_MAX + 1))
        return -EBADMSG;
    return 0;
}

int inet_socket_decode(struct slice payload, uint32_t protocol, struct socket_description *to)
{
    struct inet_diag_msg message;
    struct slice attributes[INET_DIAG_MAX + 1];
    int r = protocol > UINT8_MAX ? -EBADMSG : read_message(payload, &message, attributes);
    if (r < 0)
        return r;
    if (protocol == IPPROTO_TCP &&
        (message.idiag_timer == TIMER_TIME_WAIT || message.idiag_state == TCP_TIME_WAIT ||
         message.idiag_state == TCP_SYN_RECV || message.idiag_state == STATE_NEW_SYN_RECEIVED))
        return INET_SOCKET_NONE;
    describe(&message, protocol, to);
    to->uid = message.idiag_uid;
    to->inode = message.idiag_inode;
    return 0;
}

int inet_socket_decode_end(struct slice payload, struct socket_description *to)
{
    struct inet_diag_msg message;
    struct slice attributes[INET_DIAG_MAX + 1];
    int r = read_message(payload, &message, attributes);
    if (r < 0)
        return r;
    if (attributes[INET_DIAG_PROTOCOL].length != sizeof(uint8_t))
        return -EBADMSG;
    uint8_t protocol = *attributes[INET_DIAG_PROTOCOL].data;
    describe(&message, protocol, to);
    if (protocol == IPPROTO_TCP) {
        struct tcp_bytes bytes = tcp_bytes_of(attributes[INET_DIAG_INFO], message.idiag_rqueue);
        to->bytes_sent = bytes.sent;
        to->bytes_received = bytes.received;
    }
    return 0;
}
