/* Subscribes with PROC_CN_MCAST_LISTEN and drains the socket. In a user or pid namespace of its own
 * the kernel ignores the subscription without a word, so its answer is waited for. */
#include "collectors/connector/connector_source.h"

#include "collectors/connector/connector_decode.h"
#include "collectors/connector/fork_total.h"
#include "collectors/connector/suspend_offset.h"
#include "collectors/netlink/netlink_socket.h"

#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <stdio.h>
#include <stdlib.h>

#define ACK_TIMEOUT_MS 1000
#define MESSAGE_SIZE   512

struct connector {
    struct netlink_socket socket;
    struct fork_total *fork_total; /* NULL: no /proc/stat */
    struct suspend_offset offset;
    uint64_t n_overruns;
    bool listening, noted;
};

struct ack {
    uint32_t number, error;
};

static int send_operation(struct connector *self, enum proc_cn_mcast_op operation, uint32_t ack)
{
    char buffer[128];
    struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
    header->nlmsg_type = NLMSG_DONE;
    header->nlmsg_pid = mnl_socket_get_portid(self->socket.mnl);
    struct cn_msg *message = mnl_nlmsg_put_extra_header(header, sizeof(*message));
    message->id = (struct cb_id){.idx = CN_IDX_PROC, .val = CN_VAL_PROC};
    message->ack = ack;
    message->len = sizeof(operation);
    memcpy(mnl_nlmsg_put_extra_header(header, sizeof(operation)), &operation, sizeof(operation));
    return netlink_socket_send(&self->socket, header, header->nlmsg_len);
}

static bool match_ack(void *user, const struct message *message)
{
    struct ack *ack = user;
    return connector_decode_ack(message->bytes, ack->number, &ack->error);
}

static int listen_for_events(struct connector *self, struct error_text *error)
{
    /* Every listener hears all answers; the port is ours alone. */
    struct ack ack = {.number = mnl_socket_get_portid(self->socket.mnl)};
    int r = send_operation(self, PROC_CN_MCAST_LISTEN, ack.number);
    if (r == -ECONNREFUSED)
        return error_set(error, r,
                         "process connector: this kernel has none; it needs "
                         "CONFIG_PROC_EVENTS, without it births and ends are not seen");
    if (r == 0) {
        self->listening = true;
        r = netlink_socket_wait(&self->socket, ACK_TIMEOUT_MS, match_ack, &ack);
    }
    if (r == 0)
        r = -(int)ack.error;
    if (r == -ETIMEDOUT)
        return error_set(error, r,
                         "process connector: no answer to the subscription within 1 s; "
                         "the kernel answers only in the first user and pid namespace: "
                         "run on the host itself");
    if (r < 0)
        return error_set(error, r, "process connector: subscription refused: %s%s", strerror(-r),
                         r == -EPERM ? "; run as root or give it CAP_NET_ADMIN" : "");
    return 0;
}

static void connector_stop(struct source *source)
{
    struct connector *self = (struct connector *)source;
    if (self->listening && send_operation(self, PROC_CN_MCAST_IGNORE, 0) == 0)
        self->listening = false;
}

static struct source *connector_free(struct source *source)
{
    struct connector *self = (struct connector *)source;
    if (!self)
        return NULL;
    connector_stop(source);
    netlink_socket_close(&self->socket);
    fork_total_free(self->fork_total);
    free(self);
    return NULL;
}

static int connector_open(struct source **sourcep, const struct source_options *options,
                          struct error_text *error)
{
    struct connector *self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(error, -ENOMEM, "process connector: out of memory");
    const struct netlink_socket_options socket_options = {
        .protocol = NETLINK_CONNECTOR,
        .groups = CN_IDX_PROC,
        .source = SOURCE_CONNECTOR,
        .name = "process connector",
        .receive_buffer = options->receive_buffer,
        .message_size = MESSAGE_SIZE,
        .counters = options->counters,
    };
    int r = netlink_socket_open(&self->socket, &socket_options, error);
    if (r == 0)
        r = listen_for_events(self, error);
    if (r == 0 && fork_total_open(&self->fork_total) == -ENOMEM)
        r = error_set(error, -ENOMEM, "process connector: out of memory");
    if (r < 0) {
        if (self->socket.mnl)
            connector_stop((struct source *)self);
        connector_free((struct source *)self);
        return r;
    }
    *sourcep = (struct source *)self;
    return 0;
}

static int add_notes(struct connector *self, struct gulp *gulp)
{
    int r = suspend_offset_note(&self->offset, gulp);
    if (r == 0)
        r = fork_total_note(self->fork_total, gulp);
    if (r < 0 || self->noted)
        return r;
    char text[128];
    int length =
        snprintf(text, sizeof(text), "all\treceive buffer %zu bytes%s", self->socket.receive_buffer,
                 self->socket.buffer_is_small ? ", less than asked for" : "");
    r = gulp_add(gulp, SOURCE_CONNECTOR, MESSAGE_NOTE, clock_boot_ns(),
                 slice_of(text, (size_t)length));
    self->noted = r == 0;
    return r;
}

static int connector_drain(struct source *source, struct gulp *gulp)
{
    struct connector *self = (struct connector *)source;
    if (add_notes(self, gulp) < 0)
        return SOURCE_MORE;
    int r = netlink_socket_drain(&self->socket, gulp);
    if (self->socket.n_overruns != self->n_overruns) {
        self->n_overruns = self->socket.n_overruns;
        fork_total_demand(self->fork_total);
    }
    return r;
}

const struct source_ops connector_source = {
    .id = SOURCE_CONNECTOR,
    .open = connector_open,
    .drain = connector_drain,
    .stop = connector_stop,
    .free = connector_free,
    .decoder_new = connector_decoder_new,
    .decode = connector_decode,
    .decoder_free = connector_decoder_free,
};
