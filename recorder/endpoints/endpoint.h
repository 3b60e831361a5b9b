#pragma once
/*
 * One row of `endpoint`: a conversation of a socket, or a socket that listens. A TCP socket that is
 * connected again after a failure has another row; a UDP socket has one for each peer that the
 * kernel lets us know.
 */
#include "core/fact.h"
#include "recorder/lifecycle/comm.h"
#include "recorder/lifecycle/row_output.h"
#include "recorder/lifecycle/shared_text.h"

#include <netinet/in.h>
#include <openssl/lhash.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/socket.h>

enum endpoint_direction {
    ENDPOINT_OUT,
    ENDPOINT_IN,
    ENDPOINT_LISTEN,
    ENDPOINT_LOCAL, /* neither: bound only, raw, packet */
    ENDPOINT_DIRECTION_N
};

enum endpoint_status {
    ENDPOINT_REQUESTED,
    ENDPOINT_ESTABLISHED,
    ENDPOINT_FAILED,
    ENDPOINT_REFUSED,
    ENDPOINT_LISTENING,
    ENDPOINT_CLOSED,
    ENDPOINT_STATUS_N
};

/* What /proc/net lists has no cookie: while it lives its inode is as good, with this bit. */
#define ENDPOINT_BY_INODE_ONLY (UINT64_C(1) << 63)

enum pid_source { PID_UNKNOWN, PID_EXACT, PID_INFERRED };

struct endpoint_owner {
    enum pid_source source;
    uint32_t pid; /* 0: nobody knows */
    uint64_t process_id;
    uint32_t uid, login_uid;
    char comm[16];
};

struct endpoint_queue;

struct endpoint {
    TAILQ_ENTRY(endpoint) in_queue;
    struct endpoint_queue *queue;
    uint64_t deadline_ns;
    struct endpoint *next;             /* another one of the same cookie */
    struct endpoint *next_listener;    /* another one of the same port */
    struct endpoint *next_owned;       /* another one of the same inode */
    struct endpoint *next_unbound;     /* another one with the same peer */
    uint64_t id, created_ns, ended_ns; /* ended_ns 0: it lives */
    enum end_cause end_cause;
    uint64_t cookie, netns, inode;
    uint8_t family, type;
    uint16_t protocol;
    enum endpoint_direction direction;
    enum endpoint_status status;
    struct inet_address local, remote;
    uint32_t interface;
    struct endpoint_owner owner;
    struct shared_text *path; /* of a UNIX socket, as in sun_path */
    uint64_t bytes_sent, bytes_received;
    uint64_t found_ns;  /* when a dump last found it, or it became known */
    uint64_t missed_ns; /* when a dump began that has no socket for it; 0: none did */
    unsigned seen_by;
    unsigned n_owners; /* processes that were found to have a descriptor of it */
    bool by_inode;     /* stands in the table of those that look for an owner */
    bool listens;      /* stands in the table of listeners */
    bool unbound;      /* stands in the table of those whose socket is not known */
    bool unclaimed;    /* stands in the table of those whose owner is not known */
    /* What the database will have: a row is finished when all three are true. */
    bool inserted, settled, end_written;
};

TAILQ_HEAD(endpoint_list, endpoint);

/* Endpoints in the order of their deadlines. */
struct endpoint_queue {
    struct endpoint_list list;
    size_t n;
};

void endpoint_queue_init(struct endpoint_queue *queue);
/** Put it at the end of @p queue, taking it out of the queue it stood in. */
void endpoint_queue_put(struct endpoint_queue *queue, struct endpoint *endpoint,
                        uint64_t deadline_ns);
void endpoint_queue_remove(struct endpoint *endpoint);
struct endpoint *endpoint_free(struct endpoint *endpoint);

const char *endpoint_direction_name(enum endpoint_direction direction);
const char *endpoint_protocol(const struct endpoint *endpoint);
static inline bool endpoint_is_tcp(const struct endpoint *endpoint)
{
    return (endpoint->family == AF_INET || endpoint->family == AF_INET6) &&
           endpoint->protocol == IPPROTO_TCP;
}
/** The status will change no more. (Whether a datagram was answered is often known to nobody.) */
static inline bool endpoint_status_is_known(const struct endpoint *endpoint)
{
    return endpoint->status != ENDPOINT_REQUESTED || endpoint->ended_ns ||
           !endpoint_is_tcp(endpoint);
}

/* A table whose items of one key are a chain, of which the newest stands in the table. @p link is
 * the offset of the chain's pointer. What the key is made of must not change meanwhile. */
#define ENDPOINT_BY_COOKIE offsetof(struct endpoint, next)
#define ENDPOINT_BY_INODE  offsetof(struct endpoint, next_owned)
#define ENDPOINT_BY_PORT   offsetof(struct endpoint, next_listener)
#define ENDPOINT_BY_PEER   offsetof(struct endpoint, next_unbound)

/** False when memory is exhausted. */
bool endpoint_chain_insert(OPENSSL_LHASH *table, struct endpoint *endpoint, size_t link);
void endpoint_chain_remove(OPENSSL_LHASH *table, struct endpoint *endpoint, size_t link);
