/* BPF facts: the kernel itself says which process connected, listened, accepted, sent or received,
 * and what became of each TCP socket. A call and a state name the socket by its cookie, so nothing
 * has to be guessed; where an endpoint has an owner already, the first one stays: descriptors are
 * inherited and passed on, and accountable is who opened. */
#include "recorder/endpoints/endpoints_private.h"

enum { STATE_ESTABLISHED = 1, STATE_SYN_SENT = 2, STATE_SYN_RECEIVED = 3, STATE_CLOSE = 7 };

static void take_owner(struct endpoints *e, struct endpoint *endpoint, const struct fact *fact)
{
    const struct fact_socket_call *call = &fact->socket_call;
    struct actor actor;
    if (endpoint->inserted || endpoint->owner.source == PID_EXACT)
        return;
    bool known = processes_actor(e->options.processes, call->pid, fact->boot_ns, &actor);
    struct endpoint_owner owner = {.source = PID_EXACT,
                                   .pid = call->pid,
                                   .process_id = known ? actor.process_id : 0,
                                   .uid = call->uid,
                                   .login_uid = call->login_uid};
    if (owner.uid == ID_UNSET && known)
        owner.uid = actor.uid;
    /* Programs in a control group cannot read the login user. */
    if (owner.login_uid == ID_UNSET && known)
        owner.login_uid = actor.login_uid;
    if (!slice_is_null(call->comm))
        comm_set(owner.comm, call->comm);
    else if (known)
        memcpy(owner.comm, actor.comm, sizeof(owner.comm));
    endpoint->owner = owner;
    endpoint->seen_by |= SEEN_BY_BPF;
    endpoints_unseek_owner(e, endpoint);
}

/* The endpoint of the socket, which may have been found by a dump a moment before the call was
 * heard. */
static struct endpoint *of_socket(struct endpoints *e, const struct fact *fact,
                                  enum endpoint_direction direction)
{
    const struct socket_description *socket = &fact->socket_call.socket;
    struct endpoint *endpoint = endpoints_find(e, socket->cookie);
    if (endpoint) {
        endpoints_describe(endpoint, socket);
    } else {
        endpoint = endpoints_add(e, socket, fact->boot_ns);
        if (!endpoint)
            return NULL;
        endpoint->direction = direction;
        endpoint->seen_by = SEEN_BY_BPF;
    }
    return endpoint;
}

static void on_connect(struct endpoints *e, const struct fact *fact)
{
    struct endpoint *endpoint = of_socket(e, fact, ENDPOINT_OUT);
    if (!endpoint)
        return;
    if (!endpoint_is_tcp(endpoint))
        endpoint->status = ENDPOINT_ESTABLISHED;
    take_owner(e, endpoint, fact);
}

static void on_listen(struct endpoints *e, const struct fact *fact)
{
    struct endpoint *endpoint = of_socket(e, fact, ENDPOINT_LISTEN);
    if (!endpoint)
        return;
    endpoints_listen(e, endpoint);
    take_owner(e, endpoint, fact);
}

static void on_accept(struct endpoints *e, const struct fact *fact)
{
    struct endpoint *endpoint = of_socket(e, fact, ENDPOINT_IN);
    if (!endpoint)
        return;
    endpoint->status = ENDPOINT_ESTABLISHED;
    take_owner(e, endpoint, fact);
    endpoint_rows_evaluate(e, endpoint);
}

/* A socket that was bound to a port, and waits for datagrams from anybody. */
static void on_bind(struct endpoints *e, const struct fact *fact)
{
    struct endpoint *endpoint = of_socket(e, fact, ENDPOINT_LISTEN);
    if (!endpoint)
        return;
    endpoint->status = ENDPOINT_LISTENING;
    take_owner(e, endpoint, fact);
}

/* A datagram to or from a peer that this socket had none with before. */
static void on_datagram(struct endpoints *e, const struct fact *fact,
                        enum endpoint_direction direction)
{
    const struct socket_description *socket = &fact->socket_call.socket;
    struct endpoint *endpoint = endpoints_find_peer(e, socket->cookie, &socket->remote);
    if (!endpoint) {
        endpoint = endpoints_add(e, socket, fact->boot_ns);
        if (!endpoint)
            return;
        endpoint->direction = direction;
        endpoint->seen_by = SEEN_BY_BPF;
    }
    if (direction == ENDPOINT_IN)
        endpoint->status = ENDPOINT_ESTABLISHED;
    take_owner(e, endpoint, fact);
}

void endpoint_call_fact(struct endpoints *e, const struct fact *fact)
{
    switch (fact->socket_call.call) {
    case SOCKET_CALL_CONNECT:
        on_connect(e, fact);
        break;
    case SOCKET_CALL_LISTEN:
        on_listen(e, fact);
        break;
    case SOCKET_CALL_ACCEPT:
        on_accept(e, fact);
        break;
    case SOCKET_CALL_BIND:
        on_bind(e, fact);
        break;
    case SOCKET_CALL_SEND:
        on_datagram(e, fact, ENDPOINT_OUT);
        break;
    case SOCKET_CALL_RECEIVE:
        on_datagram(e, fact, ENDPOINT_IN);
        break;
    case SOCKET_CALL_N:
        break;
    }
}

/* An endpoint whose beginning was not heard. */
static struct endpoint *imply(struct endpoints *e, const struct fact *fact)
{
    const struct fact_socket_state *state = &fact->socket_state;
    struct endpoint *endpoint = endpoints_add(e, &state->socket, fact->boot_ns);
    if (!endpoint)
        return NULL;
    endpoint->seen_by = SEEN_BY_BPF;
    bool incoming = state->old_state == STATE_SYN_RECEIVED || endpoints_listener(e, endpoint);
    endpoint->direction = incoming ? ENDPOINT_IN : ENDPOINT_OUT;
    return endpoint;
}

static void on_established(struct endpoints *e, const struct fact *fact)
{
    const struct socket_description *socket = &fact->socket_state.socket;
    struct endpoint *endpoint = endpoints_find(e, socket->cookie);
    if (endpoint)
        endpoints_describe(endpoint, socket);
    else
        endpoint = imply(e, fact);
    if (!endpoint)
        return;
    endpoint->status = ENDPOINT_ESTABLISHED;
    endpoint_rows_evaluate(e, endpoint);
}

/* What its last state says of how a connection went. */
static void conclude(struct endpoint *endpoint, const struct fact_socket_state *state)
{
    if (!endpoint_is_tcp(endpoint) || endpoint->direction == ENDPOINT_LISTEN)
        return;
    endpoint->bytes_sent = state->socket.bytes_sent;
    endpoint->bytes_received = state->socket.bytes_received;
    if (endpoint->status != ENDPOINT_REQUESTED)
        return;
    endpoint->status = state->old_state != STATE_SYN_SENT    ? ENDPOINT_ESTABLISHED
                       : state->socket.error == ECONNREFUSED ? ENDPOINT_REFUSED
                                                             : ENDPOINT_FAILED;
}

static void on_close(struct endpoints *e, const struct fact *fact)
{
    const struct fact_socket_state *state = &fact->socket_state;
    struct endpoint *endpoint = endpoints_find(e, state->socket.cookie), *next;
    bool late = endpoints_had_ended(e, state->socket.cookie, 0);
    endpoints_remember_end(e, state->socket.cookie, fact->boot_ns);
    /* Sockets that never were anything close as well. */
    if (!endpoint && !late && state->socket.protocol == IPPROTO_TCP && state->socket.remote.port &&
        state->old_state != STATE_SYN_SENT && state->old_state != STATE_CLOSE)
        endpoint = imply(e, fact);
    for (; endpoint; endpoint = next) {
        next = endpoint->next;
        endpoints_describe(endpoint, &state->socket);
        conclude(endpoint, state);
        endpoints_end(e, endpoint, fact->boot_ns, END_CLOSED);
    }
}

void endpoint_state_fact(struct endpoints *e, const struct fact *fact)
{
    switch (fact->socket_state.new_state) {
    case STATE_ESTABLISHED:
        on_established(e, fact);
        break;
    case STATE_CLOSE:
        on_close(e, fact);
        break;
    default:
        break;
    }
}
