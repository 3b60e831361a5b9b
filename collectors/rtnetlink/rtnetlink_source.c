/* Subscribes when it is opened; all dumps run while it is drained, through the same socket, so that
 * their answers stand among the changes in the order in which the kernel made them. */
#include "collectors/rtnetlink/rtnetlink_source.h"

#include "collectors/netlink/netlink_socket.h"
#include "collectors/rtnetlink/rtnetlink_scan.h"

#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { MESSAGE_SIZE = 32768 }; /* the kernel fills a dump's datagrams up to what is read */

#define GROUP(name) (UINT32_C(1) << (RTNLGRP_##name - 1))
#define GROUPS                                                                                     \
    (GROUP(LINK) | GROUP(IPV4_IFADDR) | GROUP(IPV6_IFADDR) | GROUP(IPV4_ROUTE) |                   \
     GROUP(IPV6_ROUTE) | GROUP(NEXTHOP))

struct rtnetlink {
    struct netlink_socket socket;
    struct rtnetlink_scan scan;
    uint64_t n_overruns;
    bool noted;
};

static void rtnetlink_stop(struct source *source)
{
    (void)source;
}

static struct source *rtnetlink_free(struct source *source)
{
    struct rtnetlink *self = (struct rtnetlink *)source;
    if (!self)
        return NULL;
    netlink_socket_close(&self->socket);
    free(self);
    return NULL;
}

/* Without it (before Linux 4.20) a dump has cached routes, too, which the decoder leaves out. */
static void ask_for_strict_dumps(struct rtnetlink *self)
{
    int one = 1;
    (void)mnl_socket_setsockopt(self->socket.mnl, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
}

static int rtnetlink_open(struct source **sourcep, const struct source_options *options,
                          struct error_text *error)
{
    struct rtnetlink *self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(error, -ENOMEM, "rtnetlink: out of memory");
    const struct netlink_socket_options socket_options = {
        .protocol = NETLINK_ROUTE,
        .groups = GROUPS,
        .source = SOURCE_RTNETLINK,
        .name = "rtnetlink",
        .receive_buffer = options->receive_buffer,
        .message_size = MESSAGE_SIZE,
        .counters = options->counters,
    };
    int r = netlink_socket_open(&self->socket, &socket_options, error);
    if (r < 0) {
        free(self);
        return r;
    }
    ask_for_strict_dumps(self);
    self->scan = rtnetlink_scan_of(mnl_socket_get_portid(self->socket.mnl));
    *sourcep = (struct source *)self;
    return 0;
}

/* What the socket gave since @p offset. */
static void look_at_messages(struct rtnetlink *self, const struct gulp *gulp, size_t offset)
{
    struct message message;
    while (gulp_next(gulp, &offset, &message))
        rtnetlink_scan_look(&self->scan, &message);
    if (self->socket.n_overruns != self->n_overruns) {
        self->n_overruns = self->socket.n_overruns;
        rtnetlink_scan_overrun(&self->scan);
    }
}

static int add_note(struct gulp *gulp, struct slice text)
{
    return gulp_add(gulp, SOURCE_RTNETLINK, MESSAGE_NOTE, clock_boot_ns(), text);
}

/* Before the first dump has ended, changes may be of interfaces whose names are not yet known. */
static int add_mode_note(struct rtnetlink *self, struct gulp *gulp)
{
    static const char text[] = "on\tlinks, addresses and routes of the agent's network namespace";
    if (self->noted)
        return 0;
    int r = add_note(gulp, slice_text(text));
    self->noted = r == 0;
    return r;
}

static void send_request(struct rtnetlink *self, uint64_t now_ns)
{
    char buffer[RTNETLINK_REQUEST_SIZE] __attribute__((aligned(4)));
    const struct nlmsghdr *request = rtnetlink_scan_request(&self->scan, buffer);
    if (netlink_socket_send(&self->socket, request, request->nlmsg_len) == 0)
        rtnetlink_scan_done(&self->scan, RTNETLINK_STEP_ASK, now_ns);
    else
        rtnetlink_scan_refused(&self->scan);
}

/* Write the notes that are due. Returns the step that comes then, which is none or a request, or
 * -ENOBUFS when the gulp is full. */
static int write_notes(struct rtnetlink *self, struct gulp *gulp, uint64_t now_ns)
{
    enum rtnetlink_step step;
    while ((step = rtnetlink_scan_step(&self->scan, now_ns)) != RTNETLINK_STEP_NONE &&
           step != RTNETLINK_STEP_ASK) {
        int r = step == RTNETLINK_STEP_END ? add_mode_note(self, gulp) : 0;
        if (r == 0)
            r = add_note(gulp, rtnetlink_note_text(rtnetlink_scan_note(&self->scan, step)));
        if (r < 0)
            return r;
        rtnetlink_scan_done(&self->scan, step, now_ns);
    }
    return (int)step;
}

/* The kernel has the first piece of a dump's answer ready when it has taken the request, and the
 * next one when a piece was read: so each dump is read to its end before the socket is empty. */
static int rtnetlink_drain(struct source *source, struct gulp *gulp)
{
    struct rtnetlink *self = (struct rtnetlink *)source;
    for (;;) {
        size_t start = gulp->used;
        int r = netlink_socket_drain(&self->socket, gulp);
        look_at_messages(self, gulp, start);
        if (r != SOURCE_DRAINED)
            return r;
        uint64_t now_ns = clock_boot_ns();
        r = write_notes(self, gulp, now_ns);
        if (r != RTNETLINK_STEP_ASK)
            return r < 0 ? SOURCE_MORE : SOURCE_DRAINED;
        send_request(self, now_ns);
    }
}

const struct source_ops rtnetlink_source = {
    .id = SOURCE_RTNETLINK,
    .open = rtnetlink_open,
    .drain = rtnetlink_drain,
    .stop = rtnetlink_stop,
    .free = rtnetlink_free,
    .decoder_new = rtnetlink_decoder_new,
    .decode = rtnetlink_decode,
    .decoder_free = rtnetlink_decoder_free,
};
