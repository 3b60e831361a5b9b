/* sock_diag facts: sockets that exist, and ends. A dump finds what was there before the recorder,
 * and what the others missed; what it does not find any more has ended unheard, when nothing is
 * heard of the end in the moment after it: the kernel tells of ends late. A socket's owner is
 * the process that /proc shows to have a descriptor of it: exact when there is one only, else
 * inferred, and the oldest of them. */
#include "recorder/endpoints/endpoints_private.h"

enum { STATE_ESTABLISHED = 1, STATE_SYN_SENT = 2, STATE_CLOSE = 7, STATE_LISTEN = 10 };

static const uint64_t late_end_ns = 200000000;

static bool is_stream(const struct socket_description *socket)
{
    return socket->protocol == IPPROTO_TCP &&
           (socket->family == AF_INET || socket->family == AF_INET6);
}

/* A connection whose beginning nobody saw: it came in when its port is one that is listened on. */
static void classify(struct endpoints *e, struct endpoint *endpoint,
                     const struct socket_description *socket)
{
    if (socket->family == AF_UNIX || (is_stream(socket) && socket->state == STATE_LISTEN)) {
        endpoints_listen(e, endpoint);
        return;
    }
    if (socket->family == AF_PACKET || socket->type == SOCK_RAW) {
        endpoint->direction = ENDPOINT_LOCAL;
        endpoint->status = ENDPOINT_LISTENING;
        return;
    }
    if (!socket->remote.port) {
        endpoint->direction = is_stream(socket) ? ENDPOINT_LOCAL : ENDPOINT_LISTEN;
        endpoint->status = is_stream(socket) ? ENDPOINT_CLOSED : ENDPOINT_LISTENING;
        return;
    }
    endpoint->direction =
        is_stream(socket) && endpoints_listener(e, endpoint) ? ENDPOINT_IN : ENDPOINT_OUT;
    endpoint->status = socket->state == STATE_SYN_SENT ? ENDPOINT_REQUESTED : ENDPOINT_ESTABLISHED;
}

static void on_existing(struct endpoints *e, const struct fact *fact)
{
    struct socket_description described = fact->socket.socket;
    const struct socket_description *socket = &described;
    if (!described.cookie && described.inode)
        described.cookie = ENDPOINT_BY_INODE_ONLY | described.inode;
    if (endpoints_had_ended(e, socket->cookie, fact->boot_ns))
        return;
    struct endpoint *endpoint = endpoints_find(e, socket->cookie);
    if (!endpoint)
        endpoint = endpoint_unbound_bind(e, socket);
    if (!endpoint) {
        /* Without a descriptor it is nobody's: about to end, or not accepted yet. */
        if (!socket->cookie || !socket->inode)
            return;
        endpoint = endpoints_add(e, socket, fact->boot_ns);
        if (!endpoint)
            return;
        classify(e, endpoint, socket);
        if (!e->options.bpf_active && endpoint->direction != ENDPOINT_LISTEN)
            endpoint_unclaimed_add(e, endpoint);
    }
    for (struct endpoint *peer = endpoint; peer; peer = peer->next)
        peer->found_ns = fact->boot_ns;
    endpoints_describe(endpoint, socket);
    if (endpoint->direction == ENDPOINT_LISTEN && is_stream(socket))
        endpoints_listen(e, endpoint);
    endpoint->inode = socket->inode;
    if (endpoint->inserted)
        return;
    endpoint->seen_by |= SEEN_BY_SOCK_DIAG;
    if (endpoint->owner.uid == ID_UNSET)
        endpoint->owner.uid = socket->uid;
    if (endpoint->owner.source != PID_EXACT)
        endpoints_seek_owner(e, endpoint);
    if (endpoint->status == ENDPOINT_REQUESTED && socket->state == STATE_ESTABLISHED)
        endpoint->status = ENDPOINT_ESTABLISHED;
}

/* A socket whose beginning and calls nobody saw. Of one without peer there is nothing to say, and
 * where there is BPF, it has told all, the end too. */
static struct endpoint *imply(struct endpoints *e, const struct fact *fact)
{
    const struct socket_description *socket = &fact->socket.socket;
    if (e->options.bpf_active || !socket->cookie || !socket->remote.port)
        return NULL;
    struct endpoint *endpoint = endpoints_add(e, socket, fact->boot_ns);
    if (!endpoint)
        return NULL;
    endpoint->seen_by = SEEN_BY_SOCK_DIAG;
    bool incoming = is_stream(socket) && endpoints_listener(e, endpoint);
    endpoint->direction = incoming ? ENDPOINT_IN : ENDPOINT_OUT;
    endpoint->status = ENDPOINT_ESTABLISHED;
    if (incoming)
        endpoint_accept_take(e, endpoint);
    if (!endpoint->owner.pid)
        endpoint_unclaimed_add(e, endpoint);
    return endpoint;
}

static void on_destroyed(struct endpoints *e, const struct fact *fact)
{
    const struct socket_description *socket = &fact->socket.socket;
    struct endpoint *endpoint = endpoints_find(e, socket->cookie), *next;
    bool late = endpoints_had_ended(e, socket->cookie, 0);
    endpoints_remember_end(e, socket->cookie, fact->boot_ns);
    if (!endpoint && !late)
        endpoint = endpoint_unbound_bind(e, socket);
    if (!endpoint && !late)
        endpoint = imply(e, fact);
    for (; endpoint; endpoint = next) {
        next = endpoint->next;
        if (!endpoint_is_tcp(endpoint) || inet_address_is_unspecified(&endpoint->local))
            endpoints_describe(endpoint, socket);
        if (endpoint->direction != ENDPOINT_LISTEN && is_stream(socket)) {
            endpoint->bytes_sent = socket->bytes_sent;
            endpoint->bytes_received = socket->bytes_received;
        }
        if (endpoint->status == ENDPOINT_REQUESTED && endpoint_is_tcp(endpoint))
            endpoint->status = socket->bytes_sent ? ENDPOINT_ESTABLISHED : ENDPOINT_FAILED;
        endpoints_end(e, endpoint, fact->boot_ns, END_CLOSED);
    }
}

static bool is_older(const struct actor *actor, const struct endpoint_owner *owner)
{
    if (actor->process_id && owner->process_id)
        return actor->process_id < owner->process_id;
    return actor->pid < owner->pid;
}

static void take_owner(struct endpoint *endpoint, const struct actor *actor)
{
    struct endpoint_owner *owner = &endpoint->owner;
    enum pid_source source = endpoint->n_owners++ ? PID_INFERRED : PID_EXACT;
    endpoint->seen_by |= SEEN_BY_PROC;
    if (!owner->pid || is_older(actor, owner)) {
        uint32_t uid = owner->uid;
        *owner = (struct endpoint_owner){.pid = actor->pid,
                                         .process_id = actor->process_id,
                                         .uid = actor->uid != ID_UNSET ? actor->uid : uid,
                                         .login_uid = actor->login_uid};
        memcpy(owner->comm, actor->comm, sizeof(owner->comm));
        owner->source = source;
    } else if (owner->pid == actor->pid || source == PID_INFERRED) {
        owner->source = source;
    }
}

static void on_owner(struct endpoints *e, const struct fact *fact)
{
    const struct fact_socket_owner *found = &fact->socket_owner;
    struct endpoint key = {.inode = found->inode};
    struct endpoint *endpoint = OPENSSL_LH_retrieve(e->by_inode, &key);
    struct actor actor;
    if (!endpoint)
        return;
    /* At the start, the process may be one that /proc has yet to tell of. */
    if (!processes_living_actor(e->options.processes, found->pid, &actor))
        actor = (struct actor){.pid = found->pid, .uid = ID_UNSET, .login_uid = ID_UNSET};
    for (; endpoint; endpoint = endpoint->next_owned)
        take_owner(endpoint, &actor);
}

struct gone {
    uint64_t netns, begin_ns;
    struct endpoint *list[64];
    size_t n;
};

enum { GONE_MOST = sizeof(((struct gone *)0)->list) / sizeof(struct endpoint *) };

static void collect_gone(void *item, void *user)
{
    struct gone *gone = user;
    for (struct endpoint *endpoint = item; endpoint; endpoint = endpoint->next)
        if (endpoint->found_ns < gone->begin_ns && endpoint->created_ns < gone->begin_ns &&
            endpoint->netns == gone->netns && gone->n < GONE_MOST)
            gone->list[gone->n++] = endpoint;
}

/* Of an end that is heard later still, nothing follows: it is remembered. */
static void end_gone(struct endpoints *e, const struct past_scan *scan)
{
    struct gone gone = {.netns = scan->netns, .begin_ns = scan->begin_ns};
    do {
        gone.n = 0;
        OPENSSL_LH_doall_arg(e->by_cookie, collect_gone, &gone);
        for (size_t i = 0; i < gone.n; i++) {
            endpoints_remember_end(e, gone.list[i]->cookie, scan->begin_ns);
            endpoints_end(e, gone.list[i], scan->begin_ns, END_UNKNOWN);
        }
    } while (gone.n == GONE_MOST);
}

static void conclude_oldest(struct endpoints *e)
{
    const struct past_scan *scan = &e->scans[e->oldest_scan];
    if (scan->netns == 0) {
        e->first_scan_done = true;
    } else {
        end_gone(e, scan);
        endpoint_unbound_end(e, scan->begin_ns);
        endpoint_restore_end(e, scan->netns, timeline_real_us(e->output->timeline, scan->begin_ns),
                             END_RECONCILED);
    }
    e->oldest_scan = (e->oldest_scan + 1) % SCANS_MOST;
    e->n_scans--;
}

static void keep(struct endpoints *e, uint64_t netns)
{
    if (e->n_scans == SCANS_MOST)
        conclude_oldest(e);
    e->scans[(e->oldest_scan + e->n_scans++) % SCANS_MOST] = (struct past_scan){
        .netns = netns, .begin_ns = e->scan_begin_ns, .due_ns = endpoints_now(e) + late_end_ns};
}

void endpoint_scan_tick(struct endpoints *e, uint64_t now)
{
    while (e->n_scans && e->scans[e->oldest_scan].due_ns <= now)
        conclude_oldest(e);
}

static void on_scan(struct endpoints *e, const struct fact *fact)
{
    uint64_t netns = fact->socket_scan.netns;
    if (fact->socket_scan.begin) {
        e->scan_begin_ns = fact->boot_ns;
    } else if (netns == 0) {
        endpoint_rows_owners_sought(e);
        if (!e->first_scan_done)
            keep(e, netns);
    } else if (fact->socket_scan.complete) {
        endpoint_unbound_missed(e, e->scan_begin_ns);
        keep(e, netns);
    }
}

void endpoint_scan_fact(struct endpoints *e, const struct fact *fact)
{
    if (fact->kind == FACT_SOCKET_SCAN)
        on_scan(e, fact);
    else if (fact->kind == FACT_SOCKET_OWNER)
        on_owner(e, fact);
    else if (fact->socket.end)
        on_destroyed(e, fact);
    else
        on_existing(e, fact);
}
