#pragma once
/*
 * The network namespaces of this machine: those in which a process is, and those that have a name
 * in /run/netns. Each is given an nsid in the agent's own, without which the kernel would not tell
 * of the ends of its sockets; the kernel takes it back with the namespace. One thread.
 */
#include "collectors/sock_diag/nsid_map.h"
#include "core/counter.h"

#include <stdbool.h>
#include <stddef.h>

struct net_namespaces;

enum { NET_NAMESPACES_MOST = NSID_MAP_MOST };

enum net_namespace_state {
    NET_NAMESPACE_PRESENT, /* it can be entered */
    NET_NAMESPACE_MISSING, /* it lives, but neither a process nor a name leads to it */
    NET_NAMESPACE_ENDED,   /* it is no more; what was heard from it may not yet have been read */
    NET_NAMESPACE_GONE     /* it ended before the look before: nothing of it can follow */
};

struct net_namespace {
    uint64_t inode;
    enum net_namespace_state state;
    bool fresh;   /* found by the last look */
    int32_t nsid; /* -1: none */
};

/** @p map learns what each nsid means; it must outlive the object. */
int net_namespaces_new(struct net_namespaces **namespacesp, struct nsid_map *map,
                       struct counters *counters, struct error_text *error) MUST_CHECK;
struct net_namespaces *net_namespaces_free(struct net_namespaces *namespaces);

/** Look for namespaces: at the processes that are new since the last look and at the names; or,
 * with
 *  @p full, at all processes; only then does one change its state for the worse. Returns 0 or an
 *  error. */
int net_namespaces_look(struct net_namespaces *namespaces, bool full) MUST_CHECK;

/** How many are known; the first is the agent's own. */
size_t net_namespaces_count(const struct net_namespaces *namespaces);
const struct net_namespace *net_namespaces_at(const struct net_namespaces *namespaces, size_t i);
/** How many were found, but not taken since NET_NAMESPACES_MOST others are known. */
size_t net_namespaces_left_out(const struct net_namespaces *namespaces);

enum { NET_NAMESPACES_VANISHED = 1 }; /* there is no way into it any more */

/** Make the calling thread one of this namespace. Returns 0, NET_NAMESPACES_VANISHED, or an error
 *  (-EPERM). */
int net_namespaces_enter(struct net_namespaces *namespaces, size_t i) MUST_CHECK;
/** Back to the agent's own. */
int net_namespaces_leave(struct net_namespaces *namespaces) MUST_CHECK;
