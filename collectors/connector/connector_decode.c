/* Each datagram is a netlink header, a connector header and one event. Kernels differ in how much
 * of the event's union they send, so every event reads only the fields it needs. */
#include "collectors/connector/connector_decode.h"

#include "collectors/connector/fork_total.h"
#include "collectors/connector/suspend_offset.h"
#include "collectors/netlink/common_message.h"
#include "collectors/netlink/netlink_walk.h"
#include "core/bounded_reader.h"

#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <stdlib.h>

struct connector_decoder {
    uint64_t suspend_offset_ns;
};

struct connector_event {
    uint32_t sequence, ack; /* of the connector header */
    uint32_t what, cpu;
    uint64_t monotonic_ns;
    struct bounded_reader body;
};

int connector_decoder_new(struct decoder **decoderp)
{
    struct connector_decoder *decoder = calloc(1, sizeof(*decoder));
    if (!decoder)
        return -ENOMEM;
    *decoderp = (struct decoder *)decoder;
    return 0;
}

struct decoder *connector_decoder_free(struct decoder *decoder)
{
    free(decoder);
    return NULL;
}

/* The payload of a netlink message as an event of the process connector. */
static bool parse_event(struct slice payload, struct connector_event *event)
{
    struct bounded_reader reader = bounded_reader_of(payload.data, payload.length);
    struct cn_msg header;
    bounded_reader_copy(&reader, &header, sizeof(header));
    struct slice data = bounded_reader_bytes(&reader, header.len);
    if (reader.failed || header.id.idx != CN_IDX_PROC || header.id.val != CN_VAL_PROC)
        return false;
    event->sequence = header.seq;
    event->ack = header.ack;
    event->body = bounded_reader_of(data.data, data.length);
    event->what = bounded_reader_u32(&event->body);
    event->cpu = bounded_reader_u32(&event->body);
    event->monotonic_ns = bounded_reader_u64(&event->body);
    return !event->body.failed;
}

static struct fact_task read_task(struct bounded_reader *body)
{
    struct fact_task task;
    task.pid = bounded_reader_u32(body);
    task.tgid = bounded_reader_u32(body);
    return task;
}

static struct fact_ids read_ids(struct bounded_reader *body)
{
    struct fact_ids ids;
    ids.task = read_task(body);
    ids.real = bounded_reader_u32(body);
    ids.effective = bounded_reader_u32(body);
    return ids;
}

static struct fact_comm read_comm(struct bounded_reader *body)
{
    struct fact_comm comm;
    comm.task = read_task(body);
    struct slice name = bounded_reader_bytes(body, 16);
    comm.comm = slice_of(name.data, strnlen((const char *)name.data, name.length));
    return comm;
}

static struct fact_exit read_exit(struct bounded_reader *body)
{
    struct fact_exit exit = {.task = read_task(body)};
    exit.code = bounded_reader_u32(body);
    bounded_reader_u32(body); /* the signal to the parent, SIGCHLD as a rule */
    if (body->left >= 8)      /* since Linux 4.18 */
        exit.parent_tgid = read_task(body).tgid;
    return exit;
}

/* Fills the fact from the event's body. False for events that nobody wants. */
static bool read_fact(uint32_t what, struct bounded_reader *body, struct fact *fact)
{
    switch (what) {
    case PROC_EVENT_FORK:
        fact->kind = FACT_FORK;
        fact->fork.parent = read_task(body);
        fact->fork.child = read_task(body);
        return true;
    case PROC_EVENT_EXEC:
        fact->kind = FACT_EXEC;
        fact->exec = read_task(body);
        return true;
    case PROC_EVENT_UID:
        fact->kind = FACT_UID;
        fact->uid = read_ids(body);
        return true;
    case PROC_EVENT_GID:
        fact->kind = FACT_GID;
        fact->gid = read_ids(body);
        return true;
    case PROC_EVENT_SID:
        fact->kind = FACT_SID;
        fact->sid = read_task(body);
        return true;
    case PROC_EVENT_COMM:
        fact->kind = FACT_COMM;
        fact->comm = read_comm(body);
        return true;
    case PROC_EVENT_EXIT:
        fact->kind = FACT_EXIT;
        fact->exit = read_exit(body);
        return true;
    default:
        return false;
    }
}

static int decode_event(const struct connector_decoder *self, struct slice payload,
                        fact_handler handler, void *user)
{
    struct connector_event event;
    if (!parse_event(payload, &event))
        return -EBADMSG;
    /* Answers to subscriptions, of whomever, are part of the sequence; before Linux 4.6 they were
     * not, and had no CPU. */
    if (event.cpu == UINT32_MAX)
        return 0;
    struct fact fact = {
        .kind = FACT_SEQUENCE,
        .source = SOURCE_CONNECTOR,
        .boot_ns = event.monotonic_ns + self->suspend_offset_ns,
        .sequence = {.cpu = event.cpu, .sequence = event.sequence}
    };
    handler(user, &fact);
    if (!read_fact(event.what, &event.body, &fact))
        return 0;
    if (event.body.failed)
        return -EBADMSG;
    handler(user, &fact);
    return 0;
}

static int decode_datagram(const struct connector_decoder *self, struct slice bytes,
                           fact_handler handler, void *user)
{
    const struct nlmsghdr *header = netlink_walk_next(&bytes);
    if (!header)
        return -EBADMSG;
    for (; header; header = netlink_walk_next(&bytes)) {
        if (header->nlmsg_type == NLMSG_ERROR || header->nlmsg_type == NLMSG_NOOP)
            continue;
        int r = decode_event(
            self, slice_of(mnl_nlmsg_get_payload(header), mnl_nlmsg_get_payload_len(header)),
            handler, user);
        if (r < 0)
            return r;
    }
    return bytes.length ? -EBADMSG : 0;
}

static int decode_note(struct connector_decoder *self, const struct message *message,
                       fact_handler handler, void *user)
{
    if (suspend_offset_parse(message->bytes, &self->suspend_offset_ns))
        return 0;
    struct fact fact = {
        .kind = FACT_FORK_TOTAL, .source = SOURCE_CONNECTOR, .boot_ns = message->boot_ns};
    if (!fork_total_parse(message->bytes, &fact.fork_total))
        return -EBADMSG;
    handler(user, &fact);
    return 0;
}

int connector_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                     void *user)
{
    struct connector_decoder *self = (struct connector_decoder *)decoder;
    if (common_message_decode(message, handler, user))
        return 0;
    if (message->kind == MESSAGE_NOTE)
        return decode_note(self, message, handler, user);
    if (message->kind != MESSAGE_DATA)
        return -EBADMSG;
    return decode_datagram(self, message->bytes, handler, user);
}

bool connector_decode_ack(struct slice datagram, uint32_t ack, uint32_t *error)
{
    struct connector_event event;
    const struct nlmsghdr *header = netlink_walk_next(&datagram);
    if (!header ||
        !parse_event(slice_of(mnl_nlmsg_get_payload(header), mnl_nlmsg_get_payload_len(header)),
                     &event))
        return false;
    *error = bounded_reader_u32(&event.body);
    return event.what == PROC_EVENT_NONE && event.ack == ack + 1;
}
