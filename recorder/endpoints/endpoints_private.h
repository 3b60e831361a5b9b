#pragma once
/* What the files of the endpoint lifecycle share; nobody else includes it. */
#include "recorder/endpoints/endpoint.h"
#include "recorder/endpoints/endpoints.h"

#include "core/inet_address.h"

#include <openssl/lhash.h>

struct restored_endpoint {
    struct restored_endpoint *next; /* another one of the same cookie */
    uint64_t cookie, netns, id, created_us;
    bool settled;
    struct inet_address remote;
    enum endpoint_direction direction;
    uint32_t pid;
};

struct accept_heard {
    TAILQ_ENTRY(accept_heard) in_list;
    struct endpoint_owner owner;
    uint64_t heard_ns;
};

enum { RECENT_SOCKETS = 16384 };

/* A direct-mapped memory of the last ends: what a dump says of a socket may be older than its end.
 */
struct recent_socket {
    uint64_t cookie, ended_ns;
};

enum { SCANS_MOST = 256 };

/* A complete dump of a namespace (0: the last of all) that has ended a moment ago. */
struct past_scan {
    uint64_t netns, begin_ns, due_ns;
};

enum { PAST_LISTENERS = 64 };

struct past_listener {
    uint16_t port, protocol;
    uint64_t netns, ended_ns;
    struct endpoint_owner owner;
};

struct endpoints {
    struct endpoints_options options;
    struct row_output *output;
    OPENSSL_LHASH *by_cookie; /* struct endpoint: those that live; `next` leads on */
    OPENSSL_LHASH *by_inode;  /* struct endpoint: those that look for an owner; `next_owned` */
    OPENSSL_LHASH *listeners; /* struct endpoint by local port; `next_listener` */
    OPENSSL_LHASH *unbound;   /* struct endpoint by peer: whose socket is not known yet */
    OPENSSL_LHASH *unclaimed; /* likewise: whose owner is not known yet */
    TAILQ_HEAD(, accept_heard) accepts; /* of which the peer is not known, oldest first */
    size_t n_accepts;
    uint64_t next_ask_ns;          /* when the next dump may be asked for */
    OPENSSL_LHASH *restored;       /* struct restored_endpoint by id, while lines are restored */
    OPENSSL_LHASH *left_open;      /* struct restored_endpoint by cookie, after that */
    struct endpoint_queue waiting; /* not inserted */
    struct endpoint_queue unowned; /* not inserted, waits for who accepts it */
    struct endpoint_queue late;    /* inserted, status known, waits for names */
    struct endpoint_queue refused; /* the sink did not take a line */
    struct endpoint_queue open;    /* inserted, lives: the rest */
    uint64_t scan_begin_ns;
    struct past_scan scans[SCANS_MOST]; /* a ring: whose missing sockets are yet to be ended */
    unsigned oldest_scan, n_scans;
    bool first_scan_done; /* of sockets and their owners */
    bool processes_known; /* those that were there before: /proc has told of all */
    uint64_t n_dropped;
    struct recent_socket recent[RECENT_SOCKETS];
    struct past_listener past_listeners[PAST_LISTENERS];
    unsigned next_past_listener;
};

static inline uint64_t endpoints_now(const struct endpoints *e)
{
    return e->output->timeline->now_boot_ns;
}

static inline unsigned long endpoint_hash64(uint64_t value)
{
    return (unsigned long)(value * UINT64_C(0x9e3779b97f4a7c15) >> 16);
}

/* endpoints.c */
/** The first living endpoint of this cookie, or NULL. An earlier run's is taken up again. */
struct endpoint *endpoints_find(struct endpoints *e, uint64_t cookie);
struct endpoint *endpoints_find_peer(struct endpoints *e, uint64_t cookie,
                                     const struct inet_address *remote);
/** A new endpoint; NULL when there is no room (counted). */
struct endpoint *endpoints_add(struct endpoints *e, const struct socket_description *socket,
                               uint64_t created_ns);
void endpoints_listen(struct endpoints *e, struct endpoint *endpoint);
/** Whose a listener of this port in this namespace is, or was a moment ago; NULL: there is none. */
const struct endpoint_owner *endpoints_listener(const struct endpoints *e,
                                                const struct endpoint *accepted);
/** Take in what the description says and the endpoint does not know. */
void endpoints_describe(struct endpoint *endpoint, const struct socket_description *socket);
void endpoints_end(struct endpoints *e, struct endpoint *endpoint, uint64_t ns,
                   enum end_cause cause);
/** It has left its queues and lines are all written: out of the tables and free it. */
void endpoints_release(struct endpoints *e, struct endpoint *endpoint);
/** Look for an owner by inode / no longer. */
void endpoints_seek_owner(struct endpoints *e, struct endpoint *endpoint);
void endpoints_unseek_owner(struct endpoints *e, struct endpoint *endpoint);

/** The socket has ended, whether or not it has an endpoint. */
void endpoints_remember_end(struct endpoints *e, uint64_t cookie, uint64_t ns);
/** It had ended at @p ns, or ended later (0: whenever). */
bool endpoints_had_ended(const struct endpoints *e, uint64_t cookie, uint64_t ns);

/* endpoints_rows.c */
/** The endpoint's situation changed: write what can be written. It may be freed. */
void endpoint_rows_evaluate(struct endpoints *e, struct endpoint *endpoint);
/** All descriptors have been looked through: nobody has to wait for that any more. */
void endpoint_rows_owners_sought(struct endpoints *e);
void endpoint_rows_tick(struct endpoints *e);
void endpoint_rows_flush(struct endpoints *e);
void endpoint_rows_checkpoint(struct endpoints *e, struct endpoint *endpoint);

/* endpoints_calls.c, endpoints_scan.c, endpoints_audit.c */
void endpoint_call_fact(struct endpoints *e, const struct fact *fact);
void endpoint_state_fact(struct endpoints *e, const struct fact *fact);
void endpoint_scan_fact(struct endpoints *e, const struct fact *fact);
/** End what dumps did not find that were due until @p now. */
void endpoint_scan_tick(struct endpoints *e, uint64_t now);
void endpoint_audit_fact(struct endpoints *e, const struct fact *fact);

/* endpoints_unbound.c */
int endpoint_unbound_init(struct endpoints *e) MUST_CHECK;
void endpoint_unbound_deinit(struct endpoints *e);
/** It has a peer and no socket yet. */
void endpoint_unbound_add(struct endpoints *e, struct endpoint *endpoint);
void endpoint_unbound_remove(struct endpoints *e, struct endpoint *endpoint);
/** The newest with this peer; `next_unbound` leads on. */
struct endpoint *endpoint_unbound_find(const struct endpoints *e, const struct inet_address *peer);
/** The oldest that this socket, seen for the first time, can be; it has the socket's cookie now. */
struct endpoint *endpoint_unbound_bind(struct endpoints *e,
                                       const struct socket_description *socket);
/** It has a socket, and audit may still say whose it is. */
void endpoint_unclaimed_add(struct endpoints *e, struct endpoint *endpoint);
/** The oldest with this peer that nobody claimed, and that can have been opened in this direction;
 * or NULL. It is claimed now. */
struct endpoint *endpoint_unclaimed_take(struct endpoints *e, const struct inet_address *peer,
                                         enum endpoint_direction direction);
/** Somebody accepted a connection whose peer is not known. */
void endpoint_accept_heard(struct endpoints *e, const struct endpoint_owner *owner);
/** Give the endpoint the oldest owner that was heard so; nothing when there is none. */
void endpoint_accept_take(struct endpoints *e, struct endpoint *endpoint);
void endpoint_unbound_tick(struct endpoints *e);
/** A dump that began at @p begin_ns has not shown a socket for those that are there now. */
void endpoint_unbound_missed(struct endpoints *e, uint64_t begin_ns);
/** End those that have no socket still. */
void endpoint_unbound_end(struct endpoints *e, uint64_t begin_ns);

/* endpoints_restore.c */
int endpoint_restore_init(struct endpoints *e) MUST_CHECK;
void endpoint_restore_deinit(struct endpoints *e);
/** Lines of what is neither taken up nor ended yet. */
void endpoint_restore_checkpoint(struct endpoints *e);
/** An endpoint that an earlier run left open, of this cookie, or NULL. */
struct endpoint *endpoint_restore_adopt(struct endpoints *e, uint64_t cookie);
/** End what is left of this namespace (0: of all). */
void endpoint_restore_end(struct endpoints *e, uint64_t netns, uint64_t ended_us,
                          enum end_cause cause);
