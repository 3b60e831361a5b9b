/* When a row is written.
 *
 *   waiting   not inserted. Inserted when it has ended and all is known (one complete line: the
 *             fast path), or when its time is up, with what is known.
 *   unowned   likewise, for an incoming connection that waits for who accepts it. When the time is
 *             up, its listener's process is named, as inferred.
 *   late      inserted, and its status is known: waits for names, then it is settled.
 *   open      inserted and lives; or its status is not known yet.
 *   refused   the sink did not take it; tried again at each tick.
 */
#include "recorder/endpoints/endpoints_private.h"

#include "core/log.h"

enum { SETTLE_FIELDS = ENDPOINT_DESTROYED_AT - ENDPOINT_STATUS };

static const uint64_t heard_late_ns = 100000000;

static const char *const statuses[] = {"requested", "established", "failed",
                                       "refused",   "listening",   "closed"};
_Static_assert(sizeof(statuses) / sizeof(statuses[0]) == ENDPOINT_STATUS_N, "name each status");
static const char *const pid_sources[] = {NULL, "exact", "inferred"};

/* -- names -- */

static bool find_name(struct endpoints *e, const struct inet_address *address, struct slice *name)
{
    *name = SLICE_NULL;
    if (!e->options.host_name || inet_address_is_unspecified(address))
        return true;
    return e->options.host_name(e->options.user, address, name);
}

static bool names_known(struct endpoints *e, const struct endpoint *endpoint)
{
    struct slice name;
    bool local = find_name(e, &endpoint->local, &name);
    return find_name(e, &endpoint->remote, &name) && local;
}

/* -- values -- */

static void append_id64(struct line *line, uint64_t value)
{
    if (value)
        line_u64(line, value);
    else
        line_null(line);
}

static void append_count(struct line *line, uint64_t value)
{
    if (value == UINT64_MAX)
        line_null(line);
    else
        line_u64(line, value);
}

static void append_user(struct endpoints *e, uint32_t uid)
{
    struct slice name;
    user_names_find(e->options.names, uid, endpoints_now(e), &name);
    line_id32(&e->output->line, uid);
    line_evidence(&e->output->line, name);
}

static void append_address(struct line *line, const struct inet_address *address)
{
    char text[INET_ADDRESS_TEXT];
    inet_address_text(address, text);
    line_word(line, *text ? text : NULL);
    if (*text)
        line_u64(line, address->port);
    else
        line_null(line);
}

static void append_owner(struct endpoints *e, const struct endpoint_owner *owner)
{
    struct line *line = &e->output->line;
    append_id64(line, owner->process_id);
    append_id64(line, owner->pid);
    line_word(line, pid_sources[owner->pid || owner->process_id ? owner->source : PID_UNKNOWN]);
    line_evidence(line, comm_slice(owner->comm));
    append_user(e, owner->uid);
    append_user(e, owner->login_uid);
}

static void append_birth(struct endpoints *e, const struct endpoint *endpoint)
{
    struct line *line = &e->output->line;
    const char *interface = NULL;
    if (endpoint->interface && e->options.interface_name)
        interface = e->options.interface_name(e->options.user, endpoint->interface);
    row_output_time(e->output, endpoint->created_ns);
    row_output_seen_by(e->output, endpoint->seen_by);
    append_owner(e, &endpoint->owner);
    line_word(line, endpoint_protocol(endpoint));
    line_word(line, endpoint_direction_name(endpoint->direction));
    bool has_peer = endpoint->remote.port || !inet_address_is_unspecified(&endpoint->remote);
    append_address(line, has_peer ? &endpoint->remote : &(struct inet_address){0});
    line_evidence(line, interface ? slice_text(interface) : SLICE_NULL);
    append_id64(line, endpoint->netns);
    append_id64(line, endpoint->cookie & ENDPOINT_BY_INODE_ONLY ? 0 : endpoint->cookie);
}

/* A path as people write it: an abstract name with @ instead of its leading zero byte. */
static void append_path(struct endpoints *e, struct slice path)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    buffer_append_slice(&text, path);
    if (text.length && text.data[0] == 0)
        text.data[0] = '@';
    line_evidence(&e->output->line, text.failed ? SLICE_NULL : buffer_slice(&text));
}

static void append_settle(struct endpoints *e, const struct endpoint *endpoint)
{
    struct line *line = &e->output->line;
    struct slice name;
    line_word(line, statuses[endpoint->status]);
    append_address(line, &endpoint->local);
    if (endpoint->path) {
        append_path(e, shared_text_slice(endpoint->path));
    } else {
        find_name(e, &endpoint->local, &name);
        line_evidence(line, name);
    }
    find_name(e, &endpoint->remote, &name);
    line_evidence(line, name);
}

static void append_end(struct endpoints *e, const struct endpoint *endpoint)
{
    struct line *line = &e->output->line;
    row_output_time(e->output, endpoint->ended_ns);
    line_word(line, end_cause_name(endpoint->end_cause));
    append_count(line, endpoint->bytes_sent);
    append_count(line, endpoint->bytes_received);
}

/* -- lines -- */

static void requeue(struct endpoints *e, struct endpoint *endpoint)
{
    if (endpoint->inserted && endpoint->settled && endpoint->end_written)
        endpoints_release(e, endpoint);
    else if (!endpoint->settled && endpoint_status_is_known(endpoint))
        endpoint_queue_put(&e->late, endpoint,
                           endpoints_now(e) + e->options.name_ns - e->options.settle_ns);
    else
        endpoint_queue_put(&e->open, endpoint, 0);
}

static int send_line(struct endpoints *e, struct endpoint *endpoint)
{
    int error = row_output_send(e->output);
    if (error) {
        log_debug("tracker", "an endpoint waits for room in the journal");
        endpoint_queue_put(&e->refused, endpoint, 0);
    }
    return error;
}

/* The owner's row was not known when its pid was. A socket of which only the end is heard begins
 * with that, when its process may have gone already. */
static void complete_owner(struct endpoints *e, struct endpoint *endpoint)
{
    struct endpoint_owner *owner = &endpoint->owner;
    struct actor actor;
    if (!owner->pid || owner->process_id)
        return;
    uint64_t begin_ns =
        endpoint->created_ns > heard_late_ns ? endpoint->created_ns - heard_late_ns : 0;
    if (!processes_actor_between(e->options.processes, owner->pid, begin_ns, endpoint->created_ns,
                                 &actor) &&
        !processes_living_actor(e->options.processes, owner->pid, &actor))
        return;
    owner->process_id = actor.process_id;
    owner->uid = owner->uid != ID_UNSET ? owner->uid : actor.uid;
    owner->login_uid = owner->login_uid != ID_UNSET ? owner->login_uid : actor.login_uid;
    if (!owner->comm[0])
        memcpy(owner->comm, actor.comm, sizeof(owner->comm));
}

static int insert(struct endpoints *e, struct endpoint *endpoint)
{
    struct line *line = &e->output->line;
    complete_owner(e, endpoint);
    bool settle = endpoint_status_is_known(endpoint) && names_known(e, endpoint);
    line_begin(line, VERB_INSERT, TABLE_ENDPOINT, endpoint->id);
    append_birth(e, endpoint);
    if (settle)
        append_settle(e, endpoint);
    else
        line_nulls(line, SETTLE_FIELDS);
    if (endpoint->ended_ns)
        append_end(e, endpoint);
    else
        line_nulls(line, ENDPOINT_COLUMN_N - ENDPOINT_DESTROYED_AT);
    int error = send_line(e, endpoint);
    if (error)
        return error;
    endpoints_unseek_owner(e, endpoint);
    if (endpoint->unclaimed)
        endpoint_unbound_remove(e, endpoint);
    endpoint->inserted = true;
    endpoint->settled = settle;
    endpoint->end_written = endpoint->ended_ns != 0;
    requeue(e, endpoint);
    return 0;
}

static int settle(struct endpoints *e, struct endpoint *endpoint)
{
    line_begin(&e->output->line, VERB_SETTLE, TABLE_ENDPOINT, endpoint->id);
    append_settle(e, endpoint);
    int error = send_line(e, endpoint);
    if (error)
        return error;
    counter_add(e->output->counters, COUNTER_LINES_LATE, 1);
    endpoint->settled = true;
    requeue(e, endpoint);
    return 0;
}

static int write_end(struct endpoints *e, struct endpoint *endpoint)
{
    line_begin(&e->output->line, VERB_END, TABLE_ENDPOINT, endpoint->id);
    append_end(e, endpoint);
    int error = send_line(e, endpoint);
    if (error)
        return error;
    endpoint->end_written = true;
    requeue(e, endpoint);
    return 0;
}

/* -- when -- */

/* Nobody was seen to accept it: it is the listener's, most likely. */
static void infer_owner(struct endpoints *e, struct endpoint *endpoint)
{
    if (endpoint->owner.source != PID_UNKNOWN || endpoint->direction != ENDPOINT_IN)
        return;
    const struct endpoint_owner *listener = endpoints_listener(e, endpoint);
    if (!listener || !listener->pid)
        return;
    endpoint->owner = *listener;
    endpoint->owner.source = PID_INFERRED;
}

/* Somebody will say, soon, whose it is: who accepts it, or the look through all descriptors. */
static bool awaits_owner(const struct endpoints *e, const struct endpoint *endpoint)
{
    if (endpoint->by_inode && e->options.scans)
        return true;
    if (endpoint->owner.pid && !endpoint->owner.process_id && !e->processes_known)
        return true;
    return e->options.bpf_active && endpoint->direction == ENDPOINT_IN &&
           endpoint_is_tcp(endpoint) && endpoint->owner.source == PID_UNKNOWN &&
           !endpoint->ended_ns;
}

/* No further fact can say it better. */
static bool is_complete(struct endpoints *e, const struct endpoint *endpoint)
{
    struct slice name;
    return endpoint->ended_ns && !endpoint->unclaimed && names_known(e, endpoint) &&
           user_names_find(e->options.names, endpoint->owner.uid, endpoints_now(e), &name) &&
           user_names_find(e->options.names, endpoint->owner.login_uid, endpoints_now(e), &name);
}

void endpoint_rows_evaluate(struct endpoints *e, struct endpoint *endpoint)
{
    if (!endpoint->inserted) {
        if (endpoint->ended_ns)
            infer_owner(e, endpoint);
        if (is_complete(e, endpoint) && insert(e, endpoint) != 0)
            return;
        return;
    }
    if (endpoint->ended_ns && !endpoint->end_written) {
        if (!endpoint->settled && names_known(e, endpoint) && settle(e, endpoint) != 0)
            return;
        if (write_end(e, endpoint) != 0)
            return;
    } else if (!endpoint->settled && endpoint_status_is_known(endpoint)) {
        if (!names_known(e, endpoint))
            requeue(e, endpoint);
        else if (settle(e, endpoint) != 0)
            return;
    }
}

static void tick_waiting(struct endpoints *e, uint64_t now)
{
    struct endpoint *endpoint;
    while ((endpoint = TAILQ_FIRST(&e->waiting.list)) && endpoint->deadline_ns <= now) {
        if (now != UINT64_MAX && awaits_owner(e, endpoint)) {
            endpoint_queue_put(&e->unowned, endpoint, endpoint->created_ns + e->options.accept_ns);
            continue;
        }
        infer_owner(e, endpoint);
        if (insert(e, endpoint) != 0)
            continue; /* it stands in the queue of refused ones now */
    }
}

static void tick_unowned(struct endpoints *e, uint64_t now)
{
    struct endpoint *endpoint;
    while ((endpoint = TAILQ_FIRST(&e->unowned.list)) && endpoint->deadline_ns <= now) {
        infer_owner(e, endpoint);
        if (insert(e, endpoint) != 0)
            continue;
    }
}

/* Insert those who have waited for something that is known now. */
static void release_unowned(struct endpoints *e)
{
    struct endpoint *endpoint, *following;
    for (endpoint = TAILQ_FIRST(&e->unowned.list); endpoint; endpoint = following) {
        following = TAILQ_NEXT(endpoint, in_queue);
        if (!awaits_owner(e, endpoint) && insert(e, endpoint) != 0)
            return;
    }
}

void endpoint_rows_owners_sought(struct endpoints *e)
{
    struct endpoint *endpoint;
    TAILQ_FOREACH(endpoint, &e->waiting.list, in_queue)
    endpoints_unseek_owner(e, endpoint);
    TAILQ_FOREACH(endpoint, &e->unowned.list, in_queue)
    endpoints_unseek_owner(e, endpoint);
    release_unowned(e);
}

/* Names come in another order than they were asked for. */
static void tick_late(struct endpoints *e, uint64_t now)
{
    struct endpoint *endpoint, *following;
    for (endpoint = TAILQ_FIRST(&e->late.list); endpoint; endpoint = following) {
        following = TAILQ_NEXT(endpoint, in_queue);
        if ((endpoint->deadline_ns <= now || names_known(e, endpoint)) && settle(e, endpoint) != 0)
            return;
    }
}

/* When the sink still refuses one, nothing behind it will fare better. */
static void tick_refused(struct endpoints *e)
{
    for (size_t n = e->refused.n; n; n--) {
        struct endpoint *endpoint = TAILQ_FIRST(&e->refused.list);
        int error;
        if (!endpoint->inserted)
            error = insert(e, endpoint);
        else if (endpoint->ended_ns && !endpoint->end_written)
            error = write_end(e, endpoint);
        else
            error = settle(e, endpoint);
        if (error)
            return;
    }
}

void endpoint_rows_tick(struct endpoints *e)
{
    uint64_t now = endpoints_now(e);
    tick_refused(e);
    if (!e->processes_known && processes_last_scan_ns(e->options.processes)) {
        e->processes_known = true;
        release_unowned(e);
    }
    tick_waiting(e, now);
    tick_unowned(e, now);
    tick_late(e, now);
}

void endpoint_rows_flush(struct endpoints *e)
{
    tick_refused(e);
    tick_waiting(e, UINT64_MAX);
    tick_unowned(e, UINT64_MAX);
    tick_late(e, UINT64_MAX);
}

void endpoint_rows_checkpoint(struct endpoints *e, struct endpoint *endpoint)
{
    struct line *line = &e->output->line;
    if (!endpoint->inserted || endpoint->ended_ns)
        return;
    line_begin(line, VERB_INSERT, TABLE_ENDPOINT, endpoint->id);
    append_birth(e, endpoint);
    if (endpoint->settled)
        append_settle(e, endpoint);
    else
        line_nulls(line, SETTLE_FIELDS);
    line_nulls(line, ENDPOINT_COLUMN_N - ENDPOINT_DESTROYED_AT);
    if (row_output_send(e->output) != 0)
        return;
}
