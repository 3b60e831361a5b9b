#pragma once
/*
 * The messages of SOURCE_SOCK_DIAG: a header of ours, then what the kernel gave. Numbers are in
 * host order. Types and details are part of recorded input: never used again for something else.
 *
 *   SOCK_DIAG_END         a datagram of a destroy group: a socket of `netns` was destroyed
 *   SOCK_DIAG_DUMP        a datagram of a dump of `netns`; detail: the protocol that was asked for
 *   SOCK_DIAG_LINES       lines of a file of /proc/net in `netns`; detail: enum proc_net_file
 *   SOCK_DIAG_SCAN_BEGIN  the dumps of `netns` begin
 *   SOCK_DIAG_SCAN_END    they have ended; detail: 1 when they are complete; netns 0: those of all
 *                         namespaces, and the owners of what they found
 *   SOCK_DIAG_OWNERS      struct sock_diag_owner, as many as fit
 */
#include "core/slice.h"

enum sock_diag_type {
    SOCK_DIAG_END = 1,
    SOCK_DIAG_DUMP,
    SOCK_DIAG_LINES,
    SOCK_DIAG_SCAN_BEGIN,
    SOCK_DIAG_SCAN_END,
    SOCK_DIAG_OWNERS
};

struct sock_diag_header {
    uint32_t type, detail;
    uint64_t netns; /* inode number; 0: unknown, or of no namespace */
};
_Static_assert(sizeof(struct sock_diag_header) == 16, "layout of recorded messages");

struct sock_diag_owner {
    uint64_t inode;
    uint32_t pid;
    int32_t descriptor;
};
_Static_assert(sizeof(struct sock_diag_owner) == 16, "layout of recorded messages");
