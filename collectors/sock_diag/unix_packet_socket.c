/* Both begin with family, type and two more bytes, then inode and cookie. */
#include "collectors/sock_diag/unix_packet_socket.h"

#include "collectors/sock_diag/diag_attributes.h"
#include "core/bounded_reader.h"

#include <linux/packet_diag.h>
#include <linux/unix_diag.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static uint64_t cookie_of(const uint32_t words[2])
{
    return (uint64_t)words[1] << 32 | words[0];
}

/* A number of 4 bytes; @p otherwise when it is absent. False when it has another length. */
static bool take_u32(struct slice attribute, uint32_t otherwise, uint32_t *to)
{
    *to = otherwise;
    if (slice_is_null(attribute))
        return true;
    if (attribute.length != sizeof(*to))
        return false;
    memcpy(to, attribute.data, sizeof(*to));
    return true;
}

struct slice unix_socket_path(struct slice name)
{
    if (name.length > 0 && name.data[0] != '\0')
        name.length = strnlen((const char *)name.data, name.length);
    return name;
}

int unix_socket_decode(struct slice payload, struct socket_description *to)
{
    struct unix_diag_msg message;
    struct slice attributes[UNIX_DIAG_MAX + 1];
    struct bounded_reader reader = bounded_reader_of(payload.data, payload.length);
    bounded_reader_copy(&reader, &message, sizeof(message));
    if (reader.failed || message.udiag_family != AF_UNIX ||
        !diag_attributes(slice_of(reader.position, reader.left), attributes, UNIX_DIAG_MAX + 1))
        return -EBADMSG;
    if (message.udiag_state != TCP_LISTEN)
        return UNIX_SOCKET_NONE;
    *to = (struct socket_description){.cookie = cookie_of(message.udiag_cookie),
                                      .inode = message.udiag_ino,
                                      .family = AF_UNIX,
                                      .type = message.udiag_type,
                                      .state = message.udiag_state,
                                      .bytes_sent = UINT64_MAX,
                                      .bytes_received = UINT64_MAX,
                                      .path = unix_socket_path(attributes[UNIX_DIAG_NAME])};
    return take_u32(attributes[UNIX_DIAG_UID], ID_UNSET, &to->uid) ? 0 : -EBADMSG;
}

int packet_socket_decode(struct slice payload, struct socket_description *to)
{
    struct packet_diag_msg message;
    struct slice attributes[PACKET_DIAG_MAX + 1];
    struct bounded_reader reader = bounded_reader_of(payload.data, payload.length);
    bounded_reader_copy(&reader, &message, sizeof(message));
    if (reader.failed || message.pdiag_family != AF_PACKET ||
        !diag_attributes(slice_of(reader.position, reader.left), attributes, PACKET_DIAG_MAX + 1))
        return -EBADMSG;
    *to = (struct socket_description){.cookie = cookie_of(message.pdiag_cookie),
                                      .inode = message.pdiag_ino,
                                      .family = AF_PACKET,
                                      .type = message.pdiag_type,
                                      .protocol = message.pdiag_num,
                                      .bytes_sent = UINT64_MAX,
                                      .bytes_received = UINT64_MAX};
    struct slice info = attributes[PACKET_DIAG_INFO];
    if (!slice_is_null(info)) {
        struct bounded_reader fields = bounded_reader_of(info.data, info.length);
        to->interface = bounded_reader_u32(&fields); /* pdi_index */
        if (fields.failed)
            return -EBADMSG;
    }
    return take_u32(attributes[PACKET_DIAG_UID], ID_UNSET, &to->uid) ? 0 : -EBADMSG;
}
