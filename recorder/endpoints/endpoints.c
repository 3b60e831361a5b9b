/* The tables of living endpoints: by the socket's cookie, by the inode while an owner is looked
 * for, and of listeners by port. What a fact means is in endpoints_calls.c, endpoints_scan.c and
 * endpoints_audit.c; when a row is written, in endpoints_rows.c. */
#include "recorder/endpoints/endpoints_private.h"

#include <stdlib.h>

/* What a listener accepted last may be heard of so long after its end. */
static const uint64_t past_listener_ns = UINT64_C(1000000000);

static unsigned long cookie_hash(const void *item)
{
    return endpoint_hash64(((const struct endpoint *)item)->cookie);
}

static int cookie_compare(const void *a, const void *b)
{
    return ((const struct endpoint *)a)->cookie != ((const struct endpoint *)b)->cookie;
}

static unsigned long inode_hash(const void *item)
{
    return endpoint_hash64(((const struct endpoint *)item)->inode);
}

static int inode_compare(const void *a, const void *b)
{
    return ((const struct endpoint *)a)->inode != ((const struct endpoint *)b)->inode;
}

static unsigned long port_hash(const void *item)
{
    return ((const struct endpoint *)item)->local.port;
}

static int port_compare(const void *a, const void *b)
{
    return ((const struct endpoint *)a)->local.port != ((const struct endpoint *)b)->local.port;
}

int endpoints_new(struct endpoints **endpointsp, const struct endpoints_options *options)
{
    struct endpoints *e = calloc(1, sizeof(*e));
    if (!e)
        return -ENOMEM;
    e->options = *options;
    e->output = options->output;
    e->by_cookie = OPENSSL_LH_new(cookie_hash, cookie_compare);
    e->by_inode = OPENSSL_LH_new(inode_hash, inode_compare);
    e->listeners = OPENSSL_LH_new(port_hash, port_compare);
    endpoint_queue_init(&e->waiting);
    endpoint_queue_init(&e->unowned);
    endpoint_queue_init(&e->late);
    endpoint_queue_init(&e->refused);
    endpoint_queue_init(&e->open);
    if (!e->by_cookie || !e->by_inode || !e->listeners || endpoint_restore_init(e) < 0 ||
        endpoint_unbound_init(e) < 0) {
        endpoints_free(e);
        return -ENOMEM;
    }
    *endpointsp = e;
    return 0;
}

static void free_queue(struct endpoint_queue *queue)
{
    struct endpoint *endpoint;
    while ((endpoint = TAILQ_FIRST(&queue->list)))
        endpoint_free(endpoint);
}

struct endpoints *endpoints_free(struct endpoints *e)
{
    if (!e)
        return NULL;
    struct endpoint_queue *queues[] = {&e->waiting, &e->unowned, &e->late, &e->refused, &e->open};
    for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++)
        free_queue(queues[i]);
    endpoint_restore_deinit(e);
    endpoint_unbound_deinit(e);
    OPENSSL_LH_free(e->by_cookie);
    OPENSSL_LH_free(e->by_inode);
    OPENSSL_LH_free(e->listeners);
    free(e);
    return NULL;
}

struct endpoint *endpoints_find(struct endpoints *e, uint64_t cookie)
{
    struct endpoint key = {.cookie = cookie};
    struct endpoint *endpoint = cookie ? OPENSSL_LH_retrieve(e->by_cookie, &key) : NULL;
    return endpoint || !cookie ? endpoint : endpoint_restore_adopt(e, cookie);
}

struct endpoint *endpoints_find_peer(struct endpoints *e, uint64_t cookie,
                                     const struct inet_address *remote)
{
    struct endpoint *endpoint = endpoints_find(e, cookie);
    while (endpoint && !inet_address_same_port(&endpoint->remote, remote))
        endpoint = endpoint->next;
    return endpoint;
}

/* The port of a socket that is bound to none yet is 0: what the kernel says later is the one. */
static void take_address(struct inet_address *to, const struct inet_address *from)
{
    uint16_t port = to->port ? to->port : from->port;
    if (!from->family)
        return;
    if (!to->family || inet_address_is_unspecified(to))
        *to = *from;
    to->port = port;
}

void endpoints_describe(struct endpoint *endpoint, const struct socket_description *socket)
{
    endpoint->family = socket->family ? socket->family : endpoint->family;
    endpoint->type = socket->type ? socket->type : endpoint->type;
    endpoint->protocol = socket->protocol ? socket->protocol : endpoint->protocol;
    endpoint->netns = socket->netns ? socket->netns : endpoint->netns;
    endpoint->interface = socket->interface ? socket->interface : endpoint->interface;
    take_address(&endpoint->remote, &socket->remote);
    take_address(&endpoint->local, &socket->local);
    if (!endpoint->path && !slice_is_null(socket->path))
        endpoint->path = shared_text_new(socket->path);
}

struct endpoint *endpoints_add(struct endpoints *e, const struct socket_description *socket,
                               uint64_t created_ns)
{
    struct endpoint *endpoint = NULL;
    if (endpoints_living(e) < e->options.most)
        endpoint = calloc(1, sizeof(*endpoint));
    if (!endpoint) {
        e->n_dropped++;
        return NULL;
    }
    endpoint->id = timeline_id(e->output->timeline);
    endpoint->created_ns = created_ns;
    endpoint->cookie = socket->cookie;
    endpoint->owner = (struct endpoint_owner){.uid = ID_UNSET, .login_uid = ID_UNSET};
    endpoint->bytes_sent = endpoint->bytes_received = UINT64_MAX;
    endpoint->found_ns = endpoints_now(e);
    endpoints_describe(endpoint, socket);
    if (socket->cookie && !endpoint_chain_insert(e->by_cookie, endpoint, ENDPOINT_BY_COOKIE)) {
        e->n_dropped++;
        return endpoint_free(endpoint);
    }
    endpoint_queue_put(&e->waiting, endpoint, endpoints_now(e) + e->options.settle_ns);
    counter_add(e->output->counters, COUNTER_ENDPOINTS_BORN, 1);
    return endpoint;
}

void endpoints_listen(struct endpoints *e, struct endpoint *endpoint)
{
    endpoint->direction = ENDPOINT_LISTEN;
    endpoint->status = ENDPOINT_LISTENING;
    /* A port that listen(2) itself chooses is known only afterwards. */
    if (!endpoint->listens && endpoint->local.port)
        endpoint->listens = endpoint_chain_insert(e->listeners, endpoint, ENDPOINT_BY_PORT);
}

static bool is_past_listener(const struct endpoints *e, const struct past_listener *past,
                             const struct endpoint *accepted)
{
    return past->port == accepted->local.port && past->netns == accepted->netns &&
           past->protocol == accepted->protocol && past->ended_ns &&
           past->ended_ns + past_listener_ns > endpoints_now(e);
}

const struct endpoint_owner *endpoints_listener(const struct endpoints *e,
                                                const struct endpoint *accepted)
{
    struct endpoint key = {.local.port = accepted->local.port};
    struct endpoint *listener = OPENSSL_LH_retrieve(e->listeners, &key);
    while (listener && (listener->netns != accepted->netns ||
                        listener->protocol != accepted->protocol || listener == accepted))
        listener = listener->next_listener;
    if (listener)
        return &listener->owner;
    for (unsigned i = 0; accepted->local.port && i < PAST_LISTENERS; i++)
        if (is_past_listener(e, &e->past_listeners[i], accepted))
            return &e->past_listeners[i].owner;
    return NULL;
}

/* What it accepted last may end after it. */
static void remember_listener(struct endpoints *e, const struct endpoint *listener)
{
    e->past_listeners[e->next_past_listener++ % PAST_LISTENERS] =
        (struct past_listener){.port = listener->local.port,
                               .protocol = listener->protocol,
                               .netns = listener->netns,
                               .owner = listener->owner,
                               .ended_ns = listener->ended_ns};
}

void endpoints_seek_owner(struct endpoints *e, struct endpoint *endpoint)
{
    if (!endpoint->by_inode && endpoint->inode)
        endpoint->by_inode = endpoint_chain_insert(e->by_inode, endpoint, ENDPOINT_BY_INODE);
}

void endpoints_unseek_owner(struct endpoints *e, struct endpoint *endpoint)
{
    if (endpoint->by_inode)
        endpoint_chain_remove(e->by_inode, endpoint, ENDPOINT_BY_INODE);
    endpoint->by_inode = false;
}

/* Out of the tables in which it is found by what it was while it lived. */
static void leave_tables(struct endpoints *e, struct endpoint *endpoint)
{
    endpoints_unseek_owner(e, endpoint);
    if (endpoint->unbound)
        endpoint_unbound_remove(e, endpoint);
    if (endpoint->listens)
        endpoint_chain_remove(e->listeners, endpoint, ENDPOINT_BY_PORT);
    endpoint->listens = false;
    if (endpoint->cookie && !endpoint->ended_ns)
        endpoint_chain_remove(e->by_cookie, endpoint, ENDPOINT_BY_COOKIE);
}

void endpoints_end(struct endpoints *e, struct endpoint *endpoint, uint64_t ns,
                   enum end_cause cause)
{
    if (endpoint->ended_ns)
        return;
    bool listened = endpoint->listens;
    leave_tables(e, endpoint);
    endpoint->ended_ns = ns > endpoint->created_ns ? ns : endpoint->created_ns;
    if (listened)
        remember_listener(e, endpoint);
    endpoint->end_cause = cause;
    counter_add(e->output->counters, COUNTER_ENDPOINTS_ENDED, 1);
    endpoint_rows_evaluate(e, endpoint);
}

void endpoints_remember_end(struct endpoints *e, uint64_t cookie, uint64_t ns)
{
    e->recent[cookie % RECENT_SOCKETS] = (struct recent_socket){cookie, ns};
}

bool endpoints_had_ended(const struct endpoints *e, uint64_t cookie, uint64_t ns)
{
    const struct recent_socket *recent = &e->recent[cookie % RECENT_SOCKETS];
    return cookie && recent->cookie == cookie && ns <= recent->ended_ns;
}

void endpoints_release(struct endpoints *e, struct endpoint *endpoint)
{
    leave_tables(e, endpoint);
    endpoint_unbound_remove(e, endpoint);
    endpoint_free(endpoint);
}

void endpoints_fact(struct endpoints *e, const struct fact *fact)
{
    switch (fact->kind) {
    case FACT_SOCKET_CALL:
        endpoint_call_fact(e, fact);
        break;
    case FACT_SOCKET_STATE:
        endpoint_state_fact(e, fact);
        break;
    case FACT_SOCKET:
    case FACT_SOCKET_SCAN:
    case FACT_SOCKET_OWNER:
        endpoint_scan_fact(e, fact);
        break;
    case FACT_AUDIT_SOCKET:
        endpoint_audit_fact(e, fact);
        break;
    default:
        break;
    }
}

void endpoints_tick(struct endpoints *e)
{
    endpoint_unbound_tick(e);
    endpoint_scan_tick(e, endpoints_now(e));
    endpoint_rows_tick(e);
}

static bool queue_settled(const struct endpoint_queue *queue, uint64_t boot_ns)
{
    const struct endpoint *first = TAILQ_FIRST(&queue->list);
    return !first || first->created_ns > boot_ns;
}

bool endpoints_settled_until(const struct endpoints *e, uint64_t boot_ns)
{
    if (e->options.scans && !e->first_scan_done)
        return false;
    if (e->n_scans && e->scans[e->oldest_scan].begin_ns <= boot_ns)
        return false;
    return queue_settled(&e->waiting, boot_ns) && queue_settled(&e->unowned, boot_ns) &&
           queue_settled(&e->late, boot_ns) && queue_settled(&e->refused, boot_ns);
}

void endpoints_flush(struct endpoints *e)
{
    endpoint_scan_tick(e, UINT64_MAX);
    endpoint_rows_flush(e);
}

static void checkpoint_queue(struct endpoints *e, const struct endpoint_queue *queue)
{
    struct endpoint *endpoint;
    TAILQ_FOREACH(endpoint, &queue->list, in_queue)
    endpoint_rows_checkpoint(e, endpoint);
}

void endpoints_checkpoint(struct endpoints *e)
{
    checkpoint_queue(e, &e->open);
    checkpoint_queue(e, &e->late);
    checkpoint_queue(e, &e->refused);
    endpoint_restore_checkpoint(e);
}

uint64_t endpoints_take_dropped(struct endpoints *e)
{
    uint64_t n = e->n_dropped;
    e->n_dropped = 0;
    return n;
}

size_t endpoints_living(const struct endpoints *e)
{
    return e->waiting.n + e->unowned.n + e->late.n + e->refused.n + e->open.n;
}
