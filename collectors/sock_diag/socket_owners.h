#pragma once
/* Which processes have descriptors of a socket, from the links in /proc/PID/fd. One thread an
 * object. */
#include "collectors/sock_diag/inode_set.h"
#include "collectors/sock_diag/sock_diag_message.h"

struct socket_owners;

enum { SOCKET_OWNERS_MOST = 512 }; /* that are handed over at once */

/** A negative result ends the search. */
typedef int (*socket_owners_handler)(void *user, uint64_t boot_ns,
                                     const struct sock_diag_owner *owners, size_t n);

int socket_owners_new(struct socket_owners **ownersp, struct error_text *error) MUST_CHECK;
struct socket_owners *socket_owners_free(struct socket_owners *owners);

/** Looks through all processes for the sockets in @p wanted, which is sorted. Processes that end
 *  meanwhile, or that may not be looked at, are passed over. Returns 0 or an error. */
int socket_owners_find(struct socket_owners *owners, const struct inode_set *wanted,
                       socket_owners_handler handler, void *user) MUST_CHECK;
