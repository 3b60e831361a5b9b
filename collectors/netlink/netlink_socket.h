#pragma once
/*
 * A netlink socket that is read in gulps. It takes messages from the kernel only (sender pid 0),
 * turns a lost message (ENOBUFS) into MESSAGE_OVERRUN at its place in the order, and never blocks
 * outside of netlink_socket_request. One datagram becomes one MESSAGE_DATA; it may hold several
 * netlink messages. Used by one thread at a time.
 *
 * A socket with NETLINK_LISTEN_ALL_NSID hears other network namespaces too, and the kernel says
 * beside each datagram which one. A collector that needs to know gives `header`: it writes the
 * first bytes of each message, before those of the datagram. Such a socket can be drained and sent
 * to, but not waited on.
 */
#include "collectors/source.h"

#include <libmnl/libmnl.h>

enum { NETLINK_SOCKET_NSID_NONE = -1 }; /* the socket's own namespace, unless that has an nsid */

struct netlink_socket_options {
    int protocol;          /* NETLINK_CONNECTOR ... */
    uint32_t groups;       /* multicast groups 1 to 32 as bits, for bind(2) */
    enum source_id source; /* whose messages these are */
    const char *name;      /* for errors: "process connector"; a string that lives for ever */
    size_t receive_buffer; /* bytes asked for; 0: leave the system's default */
    size_t message_size;   /* largest datagram taken; longer ones are counted as malformed */
    struct counters *counters;
    size_t header_size; /* bytes before each datagram, a multiple of 4; 0: none */
    void (*header)(void *user, uint8_t *to, int32_t nsid);
    void *header_user;
};

struct netlink_socket {
    struct mnl_socket *mnl; /* NULL: not open */
    struct netlink_socket_options options;
    size_t receive_buffer; /* bytes the kernel charges against (SO_RCVBUF read back); it counts its
                              own overhead in these, and gives twice what was asked for */
    bool buffer_is_small;  /* less than twice what was asked for was granted */
    uint32_t sequence;     /* of the last request */
    struct gulp *pending;  /* what came while waiting for an answer; drained first */
    size_t pending_offset;
    uint64_t n_overruns; /* ENOBUFS seen */
};

#define NETLINK_SOCKET_NULL                                                                        \
    {                                                                                              \
        0                                                                                          \
    }

int netlink_socket_open(struct netlink_socket *socket, const struct netlink_socket_options *options,
                        struct error_text *error) MUST_CHECK;
void netlink_socket_close(struct netlink_socket *socket);
static inline int netlink_socket_fd(const struct netlink_socket *socket)
{
    return mnl_socket_get_fd(socket->mnl);
}

/** Send a message to the kernel as it is; nobody waits for an answer. Returns 0 or a negative
 *  errno. */
int netlink_socket_send(struct netlink_socket *socket, const void *message,
                        size_t length) MUST_CHECK;

/** Says whether @p message is the awaited one. */
typedef bool (*netlink_socket_match)(void *user, const struct message *message);

/** Read until a datagram matches. All that came, the matching one too, is given by the next drain.
 *  Returns 0; -ETIMEDOUT; -ENOBUFS when too much came before it. */
int netlink_socket_wait(struct netlink_socket *socket, unsigned timeout_ms,
                        netlink_socket_match match, void *user) MUST_CHECK;

/** Give @p request the next sequence number and this socket's port, ask for an acknowledgement,
 *  send, wait for it. Returns 0, -ETIMEDOUT, or the kernel's own (negative) error. An answer that
 *  comes before the acknowledgement is handed to @p answer (may be NULL), message by message;
 *  whatever does not belong to the request is kept for the next drain. */
typedef void (*netlink_socket_answer)(void *user, const struct nlmsghdr *header);
int netlink_socket_request(struct netlink_socket *socket, struct nlmsghdr *request,
                           unsigned timeout_ms, netlink_socket_answer answer,
                           void *user) MUST_CHECK;

/** Move everything that waits into the gulp: SOURCE_DRAINED, SOURCE_MORE, or a negative errno when
 *  the socket itself is broken. Counts messages, bytes, spoofed, malformed and overruns. */
int netlink_socket_drain(struct netlink_socket *socket, struct gulp *gulp) MUST_CHECK;
