/* One socket a namespace and one request a kind. What the kernel answers is passed on as it is;
 * only the ends and errors of a dump are looked at. A kind that is missing is remembered: each
 * request for it would make the kernel look for a module. */
#include "collectors/sock_diag/sock_dump.h"

#include "collectors/netlink/netlink_walk.h"
#include "collectors/sock_diag/proc_net.h"
#include "collectors/sock_diag/sock_diag_message.h"
#include "core/buffer.h"
#include "core/cleanup.h"
#include "core/gulp.h"

#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/packet_diag.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

enum {
    ANSWER_SIZE = 32 << 10, /* the most that the kernel puts into one datagram of a dump */
    LINES_SIZE = 16 << 10,
    TIMEOUT_S = 5,
    STATE_NEW_SYN_RECEIVED = 12
};

#define STATE_BIT(state) (UINT32_C(1) << (state))

struct kind {
    uint8_t family, protocol;
    enum proc_net_file file;
};

static const struct kind kinds[] = {
    {AF_INET,   IPPROTO_TCP,     PROC_NET_TCP     },
    {AF_INET6,  IPPROTO_TCP,     PROC_NET_TCP6    },
    {AF_INET,   IPPROTO_UDP,     PROC_NET_UDP     },
    {AF_INET6,  IPPROTO_UDP,     PROC_NET_UDP6    },
    {AF_INET,   IPPROTO_UDPLITE, PROC_NET_UDPLITE },
    {AF_INET6,  IPPROTO_UDPLITE, PROC_NET_UDPLITE6},
    {AF_INET,   IPPROTO_RAW,     PROC_NET_RAW     },
    {AF_INET6,  IPPROTO_RAW,     PROC_NET_RAW6    },
    {AF_PACKET, 0,               PROC_NET_PACKET  },
    {AF_UNIX,   0,               PROC_NET_UNIX    },
};
enum { N_KINDS = sizeof(kinds) / sizeof(kinds[0]) };
_Static_assert((int)N_KINDS == (int)PROC_NET_N, "each file stands for a kind");

struct sock_dump {
    bool missing[N_KINDS]; /* in sock_diag */
    bool absent[N_KINDS];  /* in /proc/net, too: the kernel has no such sockets */
    uint32_t sequence;
    /* Of the run. */
    struct mnl_socket *socket; /* NULL: there is no sock_diag */
    uint64_t netns;
    sock_dump_handler handler;
    void *user;
    int handler_error;
    uint8_t message[sizeof(struct sock_diag_header) + ANSWER_SIZE] __attribute__((aligned(8)));
};

/* Outcomes of one kind. */
enum { KIND_COMPLETE, KIND_INCOMPLETE, KIND_MISSING };

int sock_dump_new(struct sock_dump **dumpp)
{
    struct sock_dump *dump = calloc(1, sizeof(*dump));
    if (!dump)
        return -ENOMEM;
    *dumpp = dump;
    return 0;
}

struct sock_dump *sock_dump_free(struct sock_dump *dump)
{
    free(dump);
    return NULL;
}

static bool means_missing(int error)
{
    return error == -ENOENT || error == -EPROTONOSUPPORT || error == -EAFNOSUPPORT ||
           error == -EOPNOTSUPP || error == -EPERM || error == -EACCES;
}

/* The bytes lie behind the header's place. */
static int hand_over(struct sock_dump *dump, enum sock_diag_type type, uint32_t detail,
                     uint64_t boot_ns, size_t length)
{
    struct sock_diag_header header = {.type = type, .detail = detail, .netns = dump->netns};
    memcpy(dump->message, &header, sizeof(header));
    dump->handler_error =
        dump->handler(dump->user, boot_ns, slice_of(dump->message, sizeof(header) + length));
    return dump->handler_error < 0 ? KIND_INCOMPLETE : KIND_COMPLETE;
}

/* By sock_diag. */

static void put_request(struct nlmsghdr *header, const struct kind *kind)
{
    struct inet_diag_req_v2 inet = {.sdiag_family = kind->family,
                                    .sdiag_protocol = kind->protocol,
                                    .idiag_states =
                                        ~(STATE_BIT(TCP_TIME_WAIT) | STATE_BIT(TCP_SYN_RECV) |
                                          STATE_BIT(STATE_NEW_SYN_RECEIVED))};
    struct packet_diag_req packet = {.sdiag_family = AF_PACKET, .pdiag_show = PACKET_SHOW_INFO};
    struct unix_diag_req local = {.sdiag_family = AF_UNIX,
                                  .udiag_states = STATE_BIT(TCP_LISTEN),
                                  .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_UID};
    const void *request = &inet;
    size_t size = sizeof(inet);
    if (kind->family == AF_PACKET) {
        request = &packet;
        size = sizeof(packet);
    } else if (kind->family == AF_UNIX) {
        request = &local;
        size = sizeof(local);
    }
    memcpy(mnl_nlmsg_put_extra_header(header, size), request, size);
}

static int send_request(struct sock_dump *dump, const struct kind *kind)
{
    uint8_t buffer[256] __attribute__((aligned(8)));
    struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
    header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    header->nlmsg_seq = ++dump->sequence;
    put_request(header, kind);
    return mnl_socket_sendto(dump->socket, header, header->nlmsg_len) < 0 ? -errno : 0;
}

/* One datagram of the kernel. Returns its bytes or a negative errno. */
static ssize_t receive(struct sock_dump *dump, uint8_t *to)
{
    for (;;) {
        struct sockaddr_nl sender = {0};
        socklen_t length = sizeof(sender);
        ssize_t n = recvfrom(mnl_socket_get_fd(dump->socket), to, ANSWER_SIZE, MSG_TRUNC,
                             (struct sockaddr *)&sender, &length);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > ANSWER_SIZE)
            return -EMSGSIZE;
        if (n >= 0 && length == sizeof(sender) && sender.nl_pid == 0)
            return n;
    }
}

/* What is known of a dump that runs. */
struct progress {
    uint32_t sequence;
    bool ended, interrupted, any; /* any: the last datagram has a socket */
    int error;                    /* of its end */
};

static void take_error(const struct nlmsghdr *header, struct progress *progress)
{
    progress->ended = true;
    if (mnl_nlmsg_get_payload_len(header) >= sizeof(progress->error))
        memcpy(&progress->error, mnl_nlmsg_get_payload(header), sizeof(progress->error));
}

static void inspect(struct slice datagram, struct progress *progress)
{
    const struct nlmsghdr *header;
    progress->any = false;
    while ((header = netlink_walk_next(&datagram))) {
        if (header->nlmsg_seq != progress->sequence)
            continue; /* of a dump that was given up */
        progress->interrupted |= (header->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR)
            take_error(header, progress);
        else
            progress->any = true;
    }
}

static int dump_kind(struct sock_dump *dump, const struct kind *kind)
{
    uint8_t *to = dump->message + sizeof(struct sock_diag_header);
    uint64_t boot_ns = clock_boot_ns();
    int r = dump->socket ? send_request(dump, kind) : -EPROTONOSUPPORT;
    struct progress progress = {.sequence = dump->sequence, .error = r, .ended = r < 0};
    while (!progress.ended) {
        ssize_t n = receive(dump, to);
        if (n < 0)
            return KIND_INCOMPLETE;
        inspect(slice_of(to, (size_t)n), &progress);
        if (progress.any &&
            hand_over(dump, SOCK_DIAG_DUMP, kind->protocol, boot_ns, (size_t)n) != KIND_COMPLETE)
            return KIND_INCOMPLETE;
    }
    if (means_missing(progress.error))
        return KIND_MISSING;
    return progress.error == 0 && !progress.interrupted ? KIND_COMPLETE : KIND_INCOMPLETE;
}

/* From /proc/net. */

/* Up to the last line feed; what is behind it is moved to the front. Returns how much that is. */
static int hand_over_lines(struct sock_dump *dump, enum proc_net_file file, uint64_t boot_ns,
                           size_t *used)
{
    uint8_t *text = dump->message + sizeof(struct sock_diag_header);
    const uint8_t *end = *used ? memrchr(text, '\n', *used) : NULL;
    size_t length = end ? (size_t)(end + 1 - text) : 0;
    if (length == 0)
        return *used == LINES_SIZE ? KIND_INCOMPLETE : KIND_COMPLETE;
    int r = hand_over(dump, SOCK_DIAG_LINES, file, boot_ns, length);
    *used -= length;
    memmove(text, text + length, *used);
    return r;
}

static int read_kind(struct sock_dump *dump, const struct kind *kind)
{
    uint8_t *text = dump->message + sizeof(struct sock_diag_header);
    uint64_t boot_ns = clock_boot_ns();
    char path[64];
    size_t used = 0;
    ssize_t n;
    int r = KIND_COMPLETE;
    snprintf(path, sizeof(path), "/proc/thread-self/net/%s", proc_net_name(kind->file));
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    dump->absent[kind - kinds] = fd < 0 && errno == ENOENT;
    if (fd < 0)
        return errno == ENOENT ? KIND_COMPLETE : KIND_INCOMPLETE;
    while ((n = read(fd, text + used, LINES_SIZE - used)) > 0 && r == KIND_COMPLETE) {
        used += (size_t)n;
        r = hand_over_lines(dump, kind->file, boot_ns, &used);
    }
    return n < 0 || used > 0 ? KIND_INCOMPLETE : r;
}

static struct mnl_socket *open_socket(void)
{
    const struct timeval timeout = {.tv_sec = TIMEOUT_S};
    struct mnl_socket *socket = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
    if (socket)
        setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    return socket;
}

static int run_kind(struct sock_dump *dump, size_t i)
{
    int r = dump->missing[i] ? KIND_MISSING : dump_kind(dump, &kinds[i]);
    dump->missing[i] = r == KIND_MISSING;
    return r == KIND_MISSING ? read_kind(dump, &kinds[i]) : r;
}

int sock_dump_run(struct sock_dump *dump, uint64_t netns, sock_dump_handler handler, void *user)
{
    bool complete = true;
    dump->netns = netns;
    dump->handler = handler;
    dump->user = user;
    dump->handler_error = 0;
    dump->socket = open_socket();
    bool failed = !dump->socket && !means_missing(-errno);
    for (size_t i = 0; i < N_KINDS && !failed && dump->handler_error == 0; i++)
        complete &= run_kind(dump, i) == KIND_COMPLETE;
    if (dump->socket)
        mnl_socket_close(dump->socket);
    dump->socket = NULL;
    if (dump->handler_error < 0)
        return dump->handler_error;
    return complete && !failed ? 0 : SOCK_DUMP_INCOMPLETE;
}

bool sock_dump_without_tcp(const struct sock_dump *dump)
{
    return dump->missing[0];
}

void sock_dump_append_missing(const struct sock_dump *dump, struct buffer *to)
{
    const char *separator = "";
    for (size_t i = 0; i < N_KINDS; i++) {
        if (!dump->missing[i] || dump->absent[i])
            continue;
        buffer_printf(to, "%s%s", separator, proc_net_name(kinds[i].file));
        separator = ", ";
    }
}
