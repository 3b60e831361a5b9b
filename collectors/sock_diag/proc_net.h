#pragma once
/*
 * The files of /proc/net that list sockets, for kernels that have no sock_diag of a kind. They know
 * neither cookie nor interface (but of packet sockets).
 */
#include "core/fact.h"

/* Part of recorded input. */
enum proc_net_file {
    PROC_NET_TCP,
    PROC_NET_TCP6,
    PROC_NET_UDP,
    PROC_NET_UDP6,
    PROC_NET_UDPLITE,
    PROC_NET_UDPLITE6,
    PROC_NET_RAW,
    PROC_NET_RAW6,
    PROC_NET_PACKET,
    PROC_NET_UNIX,
    PROC_NET_N
};

/** The file's name in /proc/net. */
const char *proc_net_name(enum proc_net_file file);

enum { PROC_NET_PATH_SIZE = 128 };

/* Outcome: the line is no socket that is wanted: the heading, TIME_WAIT and requests, UNIX sockets
 * that do not listen. */
enum { PROC_NET_NONE = 1 };

/** One line without its end. Fills @p to but netns; @p path holds the path of a UNIX socket.
 * Returns 0, PROC_NET_NONE, or -EBADMSG. The kernel does not escape paths there: one that holds a
 * line feed looks like two lines, and a leading `@` or one inside may have been a NUL. Pure. */
int proc_net_line(enum proc_net_file file, struct slice line, uint8_t path[PROC_NET_PATH_SIZE],
                  struct socket_description *to) MUST_CHECK;
