/* Audit facts, where there is no BPF: which process called connect, accept or sendto, and with
 * which address of the peer; not with which socket. So an endpoint begins here without a cookie
 * ("unbound") and is bound when sock_diag shows a socket with this peer, oldest first.
 *
 * The peer of an accept, with its port, is one connection only: that is exact. The peer of a
 * connect is not, because others may be connected to it at the same time, and some of them unheard
 * (older than audit): such an owner is inferred, until /proc shows who has the socket. */
#include "recorder/endpoints/endpoints_private.h"

/* Records are stamped at the entry of the system call, by a clock of up to 10 ms, downwards. */
static const uint64_t stamp_slack_ns = 10000000;

static uint64_t called_ns(const struct endpoints *e, const struct fact *fact)
{
    int64_t real_ns = fact->audit_socket.real_ms * 1000000;
    return timeline_stamp(e->output->timeline, real_ns, fact->boot_ns).boot_ns;
}

static struct endpoint_owner owner_of(struct endpoints *e, const struct fact_audit_socket *call,
                                      uint64_t ns, enum pid_source source)
{
    struct actor actor;
    struct endpoint_owner owner = {
        .source = source, .pid = call->pid, .uid = call->uid, .login_uid = call->login_uid};
    if (processes_actor_between(e->options.processes, call->pid, ns, ns + stamp_slack_ns, &actor))
        owner.process_id = actor.process_id;
    comm_set(owner.comm, call->comm);
    return owner;
}

/* sock_diag was faster: the connection is known, and may have ended already. */
static struct endpoint *claim(struct endpoints *e, const struct fact *fact,
                              enum endpoint_direction direction, enum pid_source source)
{
    const struct fact_audit_socket *call = &fact->audit_socket;
    struct endpoint *endpoint = endpoint_unclaimed_take(e, &call->address, direction);
    if (!endpoint)
        return NULL;
    uint64_t ns = called_ns(e, fact);
    endpoint->direction = direction;
    endpoint->owner = owner_of(e, call, ns, source);
    endpoint->seen_by |= SEEN_BY_AUDIT;
    if (ns < endpoint->created_ns)
        endpoint->created_ns = ns;
    return endpoint;
}

static struct endpoint *begin(struct endpoints *e, const struct fact *fact,
                              enum endpoint_direction direction, enum pid_source source)
{
    const struct fact_audit_socket *call = &fact->audit_socket;
    uint64_t ns = called_ns(e, fact);
    const struct socket_description socket = {.family = call->address.family,
                                              .remote = call->address};
    struct endpoint *endpoint = endpoints_add(e, &socket, ns < fact->boot_ns ? ns : fact->boot_ns);
    if (!endpoint)
        return NULL;
    endpoint->direction = direction;
    endpoint->owner = owner_of(e, call, ns, source);
    endpoint->seen_by = SEEN_BY_AUDIT;
    return endpoint;
}

/* What the error of a connect says of its end; ENDPOINT_STATUS_N: it says nothing of a peer. */
static enum endpoint_status status_of(int32_t result)
{
    switch (-result) {
    case 0:
        return ENDPOINT_ESTABLISHED;
    case EINPROGRESS:
    case EINTR:
        return ENDPOINT_REQUESTED;
    case ECONNREFUSED:
        return ENDPOINT_REFUSED;
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ECONNRESET:
    case EADDRNOTAVAIL:
        return ENDPOINT_FAILED;
    default:
        return ENDPOINT_STATUS_N;
    }
}

static void on_connect(struct endpoints *e, const struct fact *fact)
{
    enum endpoint_status status = status_of(fact->audit_socket.result);
    if (status == ENDPOINT_STATUS_N || !fact->audit_socket.address.family)
        return;
    struct endpoint *endpoint = claim(e, fact, ENDPOINT_OUT, PID_INFERRED);
    if (endpoint) {
        endpoint_rows_evaluate(e, endpoint);
        return;
    }
    endpoint = begin(e, fact, ENDPOINT_OUT, PID_INFERRED);
    if (!endpoint)
        return;
    endpoint->status = status;
    if (status == ENDPOINT_ESTABLISHED || status == ENDPOINT_REQUESTED) {
        endpoint_unbound_add(e, endpoint);
        return;
    }
    endpoint->protocol = IPPROTO_TCP;
    endpoint->owner.source = PID_EXACT; /* it is this call's row, and no other's */
    endpoints_end(e, endpoint, fact->boot_ns, END_CLOSED);
}

/* Datagrams to one peer are one row for as long as it is not bound to a socket. */
static void on_send(struct endpoints *e, const struct fact *fact)
{
    const struct fact_audit_socket *call = &fact->audit_socket;
    if (call->result < 0 || !call->address.family)
        return;
    for (struct endpoint *one = endpoint_unbound_find(e, &call->address); one;
         one = one->next_unbound)
        if (one->owner.pid == call->pid && inet_address_same_port(&one->remote, &call->address))
            return;
    struct endpoint *endpoint = begin(e, fact, ENDPOINT_OUT, PID_EXACT);
    if (!endpoint)
        return;
    endpoint->protocol = IPPROTO_UDP;
    endpoint->type = SOCK_DGRAM;
    endpoint_unbound_add(e, endpoint);
}

static struct endpoint *unowned_incoming(struct endpoints *e)
{
    struct endpoint *endpoint;
    TAILQ_FOREACH(endpoint, &e->waiting.list, in_queue)
    if (endpoint->direction == ENDPOINT_IN && endpoint->owner.source == PID_UNKNOWN)
        return endpoint;
    return NULL;
}

static void on_accept(struct endpoints *e, const struct fact *fact)
{
    const struct fact_audit_socket *call = &fact->audit_socket;
    uint64_t ns = called_ns(e, fact);
    if (call->result < 0)
        return;
    if (call->address.family) {
        struct endpoint *endpoint = claim(e, fact, ENDPOINT_IN, PID_EXACT);
        if (endpoint) {
            endpoint_rows_evaluate(e, endpoint);
            return;
        }
        endpoint = begin(e, fact, ENDPOINT_IN, PID_EXACT);
        if (!endpoint)
            return;
        endpoint->protocol = IPPROTO_TCP;
        endpoint->status = ENDPOINT_ESTABLISHED;
        endpoint_unbound_add(e, endpoint);
        return;
    }
    struct endpoint_owner owner = owner_of(e, call, ns, PID_INFERRED);
    struct endpoint *endpoint = unowned_incoming(e);
    if (endpoint)
        endpoint->owner = owner;
    else
        endpoint_accept_heard(e, &owner);
}

void endpoint_audit_fact(struct endpoints *e, const struct fact *fact)
{
    if (e->options.bpf_active)
        return; /* of somebody else's rules */
    switch (fact->audit_socket.call) {
    case AUDIT_CALL_CONNECT:
        on_connect(e, fact);
        break;
    case AUDIT_CALL_ACCEPT:
        on_accept(e, fact);
        break;
    case AUDIT_CALL_SEND:
        on_send(e, fact);
        break;
    case AUDIT_CALL_BIND: /* sock_diag and /proc say the same, and that it listens */
    case AUDIT_CALL_N:
        break;
    }
}
