/* Endpoints whose socket is not known: a table by their peer. And owners whose endpoint is not
 * known: a list of accepts without an address, for a few seconds. */
#include "recorder/endpoints/endpoints_private.h"

#include <stdlib.h>

enum { ACCEPTS_MOST = 4096 };

static const uint64_t accept_keep_ns = UINT64_C(5000000000);
static const uint64_t ask_interval_ns = UINT64_C(1000000000);
static const uint64_t ask_after_ns = 200000000;

static unsigned long peer_hash(const void *item)
{
    const struct inet_address *remote = &((const struct endpoint *)item)->remote;
    uint64_t words[2];
    memcpy(words, remote->bytes, sizeof(words));
    return endpoint_hash64(words[0] ^ words[1] * 31 ^ remote->port);
}

static int peer_compare(const void *a, const void *b)
{
    return !inet_address_same_port(&((const struct endpoint *)a)->remote,
                                   &((const struct endpoint *)b)->remote);
}

int endpoint_unbound_init(struct endpoints *e)
{
    TAILQ_INIT(&e->accepts);
    e->unbound = OPENSSL_LH_new(peer_hash, peer_compare);
    e->unclaimed = OPENSSL_LH_new(peer_hash, peer_compare);
    return e->unbound && e->unclaimed ? 0 : -ENOMEM;
}

static void forget_accept(struct endpoints *e, struct accept_heard *heard)
{
    TAILQ_REMOVE(&e->accepts, heard, in_list);
    e->n_accepts--;
    free(heard);
}

void endpoint_unbound_deinit(struct endpoints *e)
{
    struct accept_heard *heard;
    while ((heard = TAILQ_FIRST(&e->accepts)))
        forget_accept(e, heard);
    OPENSSL_LH_free(e->unbound);
    OPENSSL_LH_free(e->unclaimed);
}

void endpoint_unbound_add(struct endpoints *e, struct endpoint *endpoint)
{
    endpoint->unbound = endpoint_chain_insert(e->unbound, endpoint, ENDPOINT_BY_PEER);
}

void endpoint_unbound_remove(struct endpoints *e, struct endpoint *endpoint)
{
    if (endpoint->unbound)
        endpoint_chain_remove(e->unbound, endpoint, ENDPOINT_BY_PEER);
    if (endpoint->unclaimed)
        endpoint_chain_remove(e->unclaimed, endpoint, ENDPOINT_BY_PEER);
    endpoint->unbound = endpoint->unclaimed = false;
}

void endpoint_unclaimed_add(struct endpoints *e, struct endpoint *endpoint)
{
    if (!endpoint->unbound && !endpoint->unclaimed && endpoint->remote.port)
        endpoint->unclaimed = endpoint_chain_insert(e->unclaimed, endpoint, ENDPOINT_BY_PEER);
}

/* What was taken for outgoing, because no listener was known, may have come in all the same. */
struct endpoint *endpoint_unclaimed_take(struct endpoints *e, const struct inet_address *peer,
                                         enum endpoint_direction direction)
{
    const struct endpoint key = {.remote = *peer};
    struct endpoint *oldest = NULL;
    for (struct endpoint *one = OPENSSL_LH_retrieve(e->unclaimed, &key); one;
         one = one->next_unbound)
        if (one->direction == direction || direction == ENDPOINT_IN)
            oldest = one;
    if (oldest)
        endpoint_unbound_remove(e, oldest);
    return oldest;
}

struct endpoint *endpoint_unbound_find(const struct endpoints *e, const struct inet_address *peer)
{
    const struct endpoint key = {.remote = *peer};
    return OPENSSL_LH_retrieve(e->unbound, &key);
}

/* The new end of a connection to itself has the peer that the other end is; the protocol, where the
 * call tells it, decides as well. */
static bool can_be(const struct endpoint *endpoint, const struct socket_description *socket)
{
    return inet_address_same_port(&endpoint->remote, &socket->remote) &&
           (!endpoint->protocol || endpoint->protocol == socket->protocol);
}

struct endpoint *endpoint_unbound_bind(struct endpoints *e, const struct socket_description *socket)
{
    struct endpoint *oldest = NULL;
    if (!socket->remote.port || !socket->cookie)
        return NULL;
    for (struct endpoint *one = endpoint_unbound_find(e, &socket->remote); one;
         one = one->next_unbound)
        if (can_be(one, socket))
            oldest = one;
    if (!oldest)
        return NULL;
    endpoint_unbound_remove(e, oldest);
    oldest->cookie = socket->cookie;
    if (!endpoint_chain_insert(e->by_cookie, oldest, ENDPOINT_BY_COOKIE))
        oldest->cookie = 0;
    endpoints_describe(oldest, socket);
    if (!oldest->inserted)
        oldest->seen_by |= SEEN_BY_SOCK_DIAG;
    return oldest;
}

void endpoint_accept_heard(struct endpoints *e, const struct endpoint_owner *owner)
{
    struct accept_heard *heard = calloc(1, sizeof(*heard));
    if (!heard)
        return;
    heard->owner = *owner;
    heard->heard_ns = endpoints_now(e);
    TAILQ_INSERT_TAIL(&e->accepts, heard, in_list);
    e->n_accepts++;
    while (e->n_accepts > ACCEPTS_MOST)
        forget_accept(e, TAILQ_FIRST(&e->accepts));
}

void endpoint_accept_take(struct endpoints *e, struct endpoint *endpoint)
{
    struct accept_heard *heard = TAILQ_FIRST(&e->accepts);
    if (!heard)
        return;
    endpoint->owner = heard->owner;
    endpoint->seen_by |= SEEN_BY_AUDIT;
    forget_accept(e, heard);
}

static bool lacks_socket(const struct endpoint *endpoint, uint64_t now)
{
    return endpoint && endpoint->unbound && endpoint->created_ns + ask_after_ns < now;
}

void endpoint_unbound_tick(struct endpoints *e)
{
    uint64_t now = endpoints_now(e);
    struct accept_heard *heard;
    while ((heard = TAILQ_FIRST(&e->accepts)) && heard->heard_ns + accept_keep_ns < now)
        forget_accept(e, heard);
    if (!e->options.ask_scan || now < e->next_ask_ns ||
        !lacks_socket(TAILQ_FIRST(&e->waiting.list), now))
        return;
    e->next_ask_ns = now + ask_interval_ns;
    e->options.ask_scan(e->options.user);
}

static void mark_missed(void *item, void *begin_ns)
{
    const uint64_t begin = *(const uint64_t *)begin_ns;
    for (struct endpoint *one = item; one; one = one->next_unbound)
        if (one->inserted && one->created_ns < begin && !one->missed_ns)
            one->missed_ns = begin;
}

void endpoint_unbound_missed(struct endpoints *e, uint64_t begin_ns)
{
    OPENSSL_LH_doall_arg(e->unbound, mark_missed, &begin_ns);
}

struct unbound_collection {
    struct endpoint *list[64];
    size_t n;
    uint64_t begin_ns;
};

enum { UNBOUND_MOST = 64 };

static void collect(void *item, void *user)
{
    struct unbound_collection *collection = user;
    for (struct endpoint *one = item; one; one = one->next_unbound)
        if (one->missed_ns && one->missed_ns <= collection->begin_ns &&
            collection->n < UNBOUND_MOST)
            collection->list[collection->n++] = one;
}

void endpoint_unbound_end(struct endpoints *e, uint64_t begin_ns)
{
    struct unbound_collection collection = {.begin_ns = begin_ns};
    do {
        collection.n = 0;
        OPENSSL_LH_doall_arg(e->unbound, collect, &collection);
        for (size_t i = 0; i < collection.n; i++)
            endpoints_end(e, collection.list[i], begin_ns, END_UNKNOWN);
    } while (collection.n == UNBOUND_MOST);
}
