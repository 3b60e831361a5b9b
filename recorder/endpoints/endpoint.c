/* An endpoint stands in one queue at most; who has it in a table is the table's business. */
#include "recorder/endpoints/endpoint.h"

#include <stdlib.h>

void endpoint_queue_init(struct endpoint_queue *queue)
{
    TAILQ_INIT(&queue->list);
    queue->n = 0;
}

void endpoint_queue_remove(struct endpoint *endpoint)
{
    if (!endpoint->queue)
        return;
    TAILQ_REMOVE(&endpoint->queue->list, endpoint, in_queue);
    endpoint->queue->n--;
    endpoint->queue = NULL;
}

void endpoint_queue_put(struct endpoint_queue *queue, struct endpoint *endpoint,
                        uint64_t deadline_ns)
{
    endpoint_queue_remove(endpoint);
    endpoint->queue = queue;
    endpoint->deadline_ns = deadline_ns;
    TAILQ_INSERT_TAIL(&queue->list, endpoint, in_queue);
    queue->n++;
}

struct endpoint *endpoint_free(struct endpoint *endpoint)
{
    if (endpoint) {
        endpoint_queue_remove(endpoint);
        shared_text_unref(endpoint->path);
        free(endpoint);
    }
    return NULL;
}

const char *endpoint_direction_name(enum endpoint_direction direction)
{
    static const char *const names[] = {"out", "in", "listen", "local"};
    _Static_assert(sizeof(names) / sizeof(names[0]) == ENDPOINT_DIRECTION_N, "name each");
    return names[direction];
}

static const char *inet_protocol(const struct endpoint *endpoint)
{
    if (endpoint->type == SOCK_RAW)
        return "raw";
    switch (endpoint->protocol) {
    case IPPROTO_TCP:
        return "tcp";
    case IPPROTO_UDP:
        return "udp";
    case IPPROTO_UDPLITE:
        return "udplite";
    case IPPROTO_SCTP:
        return "sctp";
    case IPPROTO_DCCP:
        return "dccp";
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
        return "icmp";
    default:
        return NULL;
    }
}

const char *endpoint_protocol(const struct endpoint *endpoint)
{
    switch (endpoint->family) {
    case AF_INET:
    case AF_INET6:
        return inet_protocol(endpoint);
    case AF_UNIX:
        return "unix";
    case AF_PACKET:
        return "packet";
    default:
        return NULL;
    }
}

static struct endpoint **link_of(struct endpoint *endpoint, size_t link)
{
    return (struct endpoint **)((char *)endpoint + link);
}

bool endpoint_chain_insert(OPENSSL_LHASH *table, struct endpoint *endpoint, size_t link)
{
    *link_of(endpoint, link) = OPENSSL_LH_insert(table, endpoint);
    return !OPENSSL_LH_error(table);
}

void endpoint_chain_remove(OPENSSL_LHASH *table, struct endpoint *endpoint, size_t link)
{
    struct endpoint *first = OPENSSL_LH_retrieve(table, endpoint);
    if (first == endpoint) {
        OPENSSL_LH_delete(table, endpoint);
        if (*link_of(endpoint, link))
            OPENSSL_LH_insert(table, *link_of(endpoint, link));
        return;
    }
    for (; first; first = *link_of(first, link)) {
        if (*link_of(first, link) == endpoint) {
            *link_of(first, link) = *link_of(endpoint, link);
            return;
        }
    }
}
