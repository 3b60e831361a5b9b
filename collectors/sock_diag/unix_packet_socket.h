#pragma once
/* Listening UNIX sockets (struct unix_diag_msg) and packet sockets (struct packet_diag_msg). */
#include "core/fact.h"

enum { UNIX_SOCKET_NONE = 1 }; /* outcome: it does not listen */

/** @p payload of a netlink message, aligned to 4. Fills @p to but netns; the path points into the
 *  payload. Pure. */
int unix_socket_decode(struct slice payload, struct socket_description *to) MUST_CHECK;
int packet_socket_decode(struct slice payload, struct socket_description *to) MUST_CHECK;

/** A name as the kernel gives it, which ends a path with a NUL: as in sun_path. */
struct slice unix_socket_path(struct slice name);
