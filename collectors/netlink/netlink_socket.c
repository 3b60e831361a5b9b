/* recvmsg(2) writes straight into the gulp. What comes while a request waits for its answer goes
 * to a gulp of the socket's own, so that subscribing loses nothing. */
#include "collectors/netlink/netlink_socket.h"

#include "collectors/netlink/netlink_wait.h"
#include "collectors/netlink/netlink_walk.h"

#include <sys/socket.h>

#define PENDING_CAPACITY (256 * 1024)

static int set_receive_buffer(struct netlink_socket *self)
{
    int fd = netlink_socket_fd(self);
    size_t asked = self->options.receive_buffer;
    int bytes = asked > INT32_MAX / 2 ? INT32_MAX / 2 : (int)asked;
    if (asked && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) < 0)
        return -errno;
    int granted = 0;
    socklen_t length = sizeof(granted);
    if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &length) < 0)
        return -errno;
    self->receive_buffer = (size_t)granted;
    self->buffer_is_small = asked && self->receive_buffer < 2 * (size_t)bytes;
    return 0;
}

static int open_and_bind(struct netlink_socket *self, struct error_text *error)
{
    const struct netlink_socket_options *options = &self->options;
    self->mnl = mnl_socket_open2(options->protocol, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (!self->mnl)
        return error_set(error, -errno, "%s: no netlink socket of protocol %d: %s", options->name,
                         options->protocol, strerror(errno));
    int r = set_receive_buffer(self);
    if (r < 0)
        return error_set(error, r, "%s: receive buffer of %zu bytes: %s", options->name,
                         options->receive_buffer, strerror(-r));
    if (mnl_socket_bind(self->mnl, options->groups, MNL_SOCKET_AUTOPID) < 0) {
        r = -errno;
        return error_set(error, r, "%s: cannot subscribe: %s%s", options->name, strerror(-r),
                         r == -EPERM ? "; run as root or give it CAP_NET_ADMIN" : "");
    }
    return 0;
}

int netlink_socket_open(struct netlink_socket *self, const struct netlink_socket_options *options,
                        struct error_text *error)
{
    *self = (struct netlink_socket){.options = *options};
    int r = open_and_bind(self, error);
    if (r < 0)
        netlink_socket_close(self);
    return r;
}

void netlink_socket_close(struct netlink_socket *self)
{
    if (self->mnl)
        mnl_socket_close(self->mnl);
    self->mnl = NULL;
    self->pending = gulp_free(self->pending);
}

int netlink_socket_send(struct netlink_socket *self, const void *message, size_t length)
{
    return mnl_socket_sendto(self->mnl, message, length) < 0 ? -errno : 0;
}

enum { RECEIVED_MESSAGE, RECEIVED_NOTHING, RECEIVED_END };

/* Of which namespace the kernel says that the datagram is. */
static int32_t nsid_of(struct msghdr *message)
{
    int32_t nsid = NETLINK_SOCKET_NSID_NONE;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
        if (c->cmsg_level == SOL_NETLINK && c->cmsg_type == NETLINK_LISTEN_ALL_NSID &&
            c->cmsg_len == CMSG_LEN(sizeof(nsid)))
            memcpy(&nsid, CMSG_DATA(c), sizeof(nsid));
    return nsid;
}

/* Receive one datagram behind the header's place. Returns its bytes or a negative errno. */
static ssize_t receive_datagram(struct netlink_socket *self, uint8_t *to,
                                struct sockaddr_nl *sender, socklen_t *sender_length)
{
    const struct netlink_socket_options *options = &self->options;
    uint8_t control[CMSG_SPACE(sizeof(int32_t)) * 2] __attribute__((aligned(8)));
    struct iovec bytes = {.iov_base = to + options->header_size, .iov_len = options->message_size};
    struct msghdr message = {.msg_name = sender,
                             .msg_namelen = sizeof(*sender),
                             .msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = options->header ? control : NULL,
                             .msg_controllen = options->header ? sizeof(control) : 0};
    ssize_t n = recvmsg(netlink_socket_fd(self), &message, MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0)
        return -errno;
    *sender_length = message.msg_namelen;
    if (options->header)
        options->header(options->header_user, to, nsid_of(&message));
    return n;
}

/* Receive one datagram into @p to. Overruns are committed here, at their place. */
static int receive_one(struct netlink_socket *self, struct gulp *gulp, uint8_t *to)
{
    struct counters *counters = self->options.counters;
    struct sockaddr_nl sender = {0};
    socklen_t sender_length = 0;
    ssize_t n = receive_datagram(self, to, &sender, &sender_length);
    if (n == -ENOBUFS) {
        counter_add(counters, COUNTER_RECEIVE_OVERRUNS, 1);
        self->n_overruns++;
        gulp_commit(gulp, self->options.source, MESSAGE_OVERRUN, clock_boot_ns(), 0);
        return RECEIVED_MESSAGE;
    }
    if (n < 0)
        return n == -EAGAIN ? RECEIVED_END : n == -EINTR ? RECEIVED_NOTHING : (int)n;
    if (sender_length != sizeof(sender) || sender.nl_pid != 0) {
        counter_add(counters, COUNTER_MESSAGES_SPOOFED, 1);
        return RECEIVED_NOTHING;
    }
    if ((size_t)n > self->options.message_size) {
        counter_add(counters, COUNTER_MESSAGES_MALFORMED, 1);
        return RECEIVED_NOTHING;
    }
    counter_add(counters, COUNTER_MESSAGES_RECEIVED, 1);
    counter_add(counters, COUNTER_BYTES_RECEIVED, (size_t)n);
    gulp_commit(gulp, self->options.source, MESSAGE_DATA, clock_boot_ns(),
                self->options.header_size + (size_t)n);
    return RECEIVED_MESSAGE;
}

static int drain_pending(struct netlink_socket *self, struct gulp *gulp)
{
    struct message message;
    size_t offset = self->pending_offset;
    while (self->pending && gulp_next(self->pending, &offset, &message)) {
        if (gulp_add(gulp, message.source, message.kind, message.boot_ns, message.bytes) < 0)
            return SOURCE_MORE;
        self->pending_offset = offset;
    }
    self->pending = gulp_free(self->pending);
    self->pending_offset = 0;
    return SOURCE_DRAINED;
}

int netlink_socket_drain(struct netlink_socket *self, struct gulp *gulp)
{
    if (self->pending && drain_pending(self, gulp) == SOURCE_MORE)
        return SOURCE_MORE;
    for (;;) {
        uint8_t *to = gulp_reserve(gulp, self->options.header_size + self->options.message_size);
        if (!to)
            return SOURCE_MORE;
        int r = receive_one(self, gulp, to);
        if (r == RECEIVED_END)
            return SOURCE_DRAINED;
        if (r < 0)
            return r;
    }
}

/* What is to be done with a datagram that came while waiting. */
enum verdict { VERDICT_KEEP, VERDICT_KEEP_DONE, VERDICT_DROP, VERDICT_DROP_DONE };
typedef enum verdict (*judge_function)(void *user, const struct message *message);

static int wait_for(struct netlink_socket *self, unsigned timeout_ms, judge_function judge,
                    void *user)
{
    uint64_t until_ns = clock_boot_ns() + (uint64_t)timeout_ms * 1000000;
    if (!self->pending && !(self->pending = gulp_new(PENDING_CAPACITY)))
        return -ENOMEM;
    for (;;) {
        size_t start = self->pending->used, offset = start;
        uint8_t *to = gulp_reserve(self->pending, self->options.message_size);
        if (!to)
            return -ENOBUFS;
        int r = receive_one(self, self->pending, to);
        if (r == RECEIVED_END)
            r = netlink_wait(netlink_socket_fd(self), until_ns);
        if (r < 0)
            return r;
        struct message message;
        if (!gulp_next(self->pending, &offset, &message) || message.kind != MESSAGE_DATA)
            continue;
        enum verdict verdict = judge(user, &message);
        if (verdict == VERDICT_DROP || verdict == VERDICT_DROP_DONE)
            self->pending->used = start;
        if (verdict == VERDICT_KEEP_DONE || verdict == VERDICT_DROP_DONE)
            return 0;
    }
}

struct match {
    netlink_socket_match function;
    void *user;
};

static enum verdict judge_match(void *user, const struct message *message)
{
    const struct match *match = user;
    return match->function(match->user, message) ? VERDICT_KEEP_DONE : VERDICT_KEEP;
}

int netlink_socket_wait(struct netlink_socket *self, unsigned timeout_ms,
                        netlink_socket_match match, void *user)
{
    return wait_for(self, timeout_ms, judge_match, &(struct match){match, user});
}

struct request {
    uint32_t sequence, port;
    netlink_socket_answer answer;
    void *user;
    int error;
};

static enum verdict judge_answer(void *user, const struct message *message)
{
    struct request *request = user;
    enum verdict verdict = VERDICT_KEEP;
    struct slice left = message->bytes;
    const struct nlmsghdr *header;
    while ((header = netlink_walk_next(&left))) {
        if (header->nlmsg_seq != request->sequence || header->nlmsg_pid != request->port)
            continue;
        verdict = VERDICT_DROP;
        if (header->nlmsg_type == NLMSG_ERROR &&
            mnl_nlmsg_get_payload_len(header) >= sizeof(struct nlmsgerr)) {
            request->error = ((const struct nlmsgerr *)mnl_nlmsg_get_payload(header))->error;
            return VERDICT_DROP_DONE;
        }
        if (request->answer)
            request->answer(request->user, header);
    }
    return verdict;
}

int netlink_socket_request(struct netlink_socket *self, struct nlmsghdr *message,
                           unsigned timeout_ms, netlink_socket_answer answer, void *user)
{
    struct request request = {.sequence = ++self->sequence,
                              .port = mnl_socket_get_portid(self->mnl),
                              .answer = answer,
                              .user = user};
    message->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    message->nlmsg_seq = request.sequence;
    message->nlmsg_pid = request.port;
    int r = netlink_socket_send(self, message, message->nlmsg_len);
    if (r == 0)
        r = wait_for(self, timeout_ms, judge_answer, &request);
    return r < 0 ? r : request.error > 0 ? -EBADMSG : request.error;
}
