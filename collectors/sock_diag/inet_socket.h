#pragma once
/* A TCP, UDP, UDPLITE or raw socket as sock_diag describes it: struct inet_diag_msg, then
 * attributes. */
#include "core/fact.h"

/* Outcome: an entry of the table that is no socket, so nobody owns it and its end is never told.
 * TIME_WAIT (also when its state is FIN_WAIT2) and connection requests. */
enum { INET_SOCKET_NONE = 1 };

/** @p payload of a netlink message, aligned to 4; @p protocol that was asked for. Fills @p to but
 *  netns. Returns 0, INET_SOCKET_NONE, or -EBADMSG. Pure. */
int inet_socket_decode(struct slice payload, uint32_t protocol,
                       struct socket_description *to) MUST_CHECK;
/** Likewise for a socket that was destroyed: the message says its protocol; uid and inode, which
 *  are 0 there whatever they were, stay unset. */
int inet_socket_decode_end(struct slice payload, struct socket_description *to) MUST_CHECK;

/** @p bytes as an address: 4 bytes (AF_INET) or 16, of which an IPv4-mapped one is given as
 *  AF_INET. No address and no port is family 0. */
struct inet_address inet_socket_address(uint8_t family, const uint8_t bytes[16], uint16_t port);
