#pragma once
/*
 * Sockets: that they end, from the destroy groups of sock_diag (TCP and UDP; the kernel says it
 * after the fact, to who listens); which there are, from dumps at the start, every
 * sock_diag_interval_s and on request; and which processes have them, from /proc/PID/fd, for those
 * that no dump had before. In all network namespaces.
 *
 * A dump of a namespace is FACT_SOCKET_SCAN begin, a FACT_SOCKET each, FACT_SOCKET_SCAN end. Every
 * socket of these kinds that lived from begin to end is in it, when it is complete: TCP in any
 * state but TIME_WAIT and before a connection is established, bound UDP, UDPLITE and raw ones,
 * packet sockets, and UNIX sockets that listen. A namespace that is no more has one last scan
 * without sockets.
 *
 * The time of a dumped socket is before it was asked for. One that has ended by then, or later, has
 * ended: the end may be read first. The time of an end is that of reading.
 */
#include "collectors/source.h"

extern const struct source_ops sock_diag_source_ops;

/** Ask for a dump of everything; it comes at the latest a second after the one before. Any thread.
 */
void sock_diag_request(struct source *source);
