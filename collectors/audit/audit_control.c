/*
 * Acknowledgements are written by the kernel before sendto(2) returns; statuses and lists come from
 * a kernel thread, after the acknowledgement, with the request's sequence number and port 0: it may
 * wait long for its turn.
 */
#include "collectors/audit/audit_control.h"

#include "collectors/netlink/netlink_wait.h"
#include "core/gulp.h"

#include <sys/socket.h>

#define ANSWER_TIMEOUT_NS 10000000000ull
#define ANSWER_SIZE       16384 /* bytes; a rule has at most 1,060 and its strings */

static const char *advice(int error)
{
    switch (error) {
    case -EPROTONOSUPPORT:
        return "; this kernel is built without audit: who ran what with which arguments is not "
               "recorded";
    case -ECONNREFUSED:
        return "; audit is off in this kernel or this is a container: run on the host itself, "
               "without audit=0";
    case -EPERM:
    case -EACCES:
        return "; run as root or give it CAP_AUDIT_CONTROL, on the host itself and in no container";
    default:
        return "";
    }
}

int audit_control_open(struct audit_control *self, struct error_text *error)
{
    *self = (struct audit_control){
        .mnl = mnl_socket_open2(NETLINK_AUDIT, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    int r = 0;
    if (!self->mnl || mnl_socket_bind(self->mnl, 0, MNL_SOCKET_AUTOPID) < 0)
        r = -errno;
    struct audit_status status;
    if (r == 0)
        r = audit_control_status(self, &status);
    if (r == 0)
        return 0;
    audit_control_close(self);
    return error_set(error, r, "audit: the kernel does not answer: %s%s", strerror(-r), advice(r));
}

void audit_control_close(struct audit_control *self)
{
    if (self->mnl)
        mnl_socket_close(self->mnl);
    *self = (struct audit_control)AUDIT_CONTROL_NULL;
}

static int send_request(struct audit_control *self, struct nlmsghdr *message)
{
    message->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    if (++self->sequence == 0)
        self->sequence = 1;
    message->nlmsg_seq = self->sequence;
    message->nlmsg_pid = mnl_socket_get_portid(self->mnl);
    return mnl_socket_sendto(self->mnl, message, message->nlmsg_len) < 0 ? -errno : 0;
}

/* What an answer is for the request: more will come, it is complete, or a negative errno. */
enum { ANSWER_MORE, ANSWER_DONE };
typedef int (*answer_function)(void *user, const struct nlmsghdr *header);

/* One datagram, if there is one and if it is from the kernel. The buffer is aligned as nlmsghdr. */
static ssize_t receive(struct audit_control *self, struct nlmsghdr *buffer)
{
    struct sockaddr_nl sender = {0};
    socklen_t length = sizeof(sender);
    ssize_t n = recvfrom(mnl_socket_get_fd(self->mnl), buffer, ANSWER_SIZE, MSG_DONTWAIT,
                         (struct sockaddr *)&sender, &length);
    if (n < 0)
        return -errno;
    return length == sizeof(sender) && sender.nl_pid == 0 ? n : -EINTR;
}

static int handle_datagram(const struct nlmsghdr *header, ssize_t n, uint32_t sequence,
                           answer_function answer, void *user)
{
    for (int left = (int)n; mnl_nlmsg_ok(header, left); header = mnl_nlmsg_next(header, &left)) {
        if (header->nlmsg_seq != sequence)
            continue;
        int r;
        if (header->nlmsg_type != NLMSG_ERROR)
            r = answer ? answer(user, header) : ANSWER_MORE;
        else if (mnl_nlmsg_get_payload_len(header) < sizeof(struct nlmsgerr))
            r = -EBADMSG;
        else
            r = ((const struct nlmsgerr *)mnl_nlmsg_get_payload(header))->error;
        if (header->nlmsg_type == NLMSG_ERROR && r == 0 && !answer)
            r = ANSWER_DONE;
        if (r != ANSWER_MORE)
            return r;
    }
    return ANSWER_MORE;
}

static int request(struct audit_control *self, struct nlmsghdr *message, answer_function answer,
                   void *user)
{
    uint64_t until_ns = clock_boot_ns() + ANSWER_TIMEOUT_NS;
    int r = send_request(self, message);
    while (r >= 0) {
        _Alignas(struct nlmsghdr) char buffer[ANSWER_SIZE];
        ssize_t n = receive(self, (struct nlmsghdr *)(void *)buffer);
        if (n == -EAGAIN || n == -EINTR)
            r = netlink_wait(mnl_socket_get_fd(self->mnl), until_ns);
        else if (n < 0)
            r = (int)n;
        else
            r = handle_datagram((struct nlmsghdr *)(void *)buffer, n, self->sequence, answer, user);
        if (r == ANSWER_DONE)
            return 0;
    }
    return r;
}

static int take_status(void *user, const struct nlmsghdr *header)
{
    struct audit_status *status = user;
    if (header->nlmsg_type != AUDIT_GET)
        return ANSWER_MORE;
    size_t length = mnl_nlmsg_get_payload_len(header);
    if (length < offsetof(struct audit_status, feature_bitmap))
        return -EBADMSG;
    memset(status, 0, sizeof(*status));
    memcpy(status, mnl_nlmsg_get_payload(header),
           length < sizeof(*status) ? length : sizeof(*status));
    return ANSWER_DONE;
}

static struct nlmsghdr *put_get(void *buffer)
{
    struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
    header->nlmsg_type = AUDIT_GET;
    return header;
}

int audit_control_status(struct audit_control *self, struct audit_status *status)
{
    char buffer[AUDIT_CONTROL_SET_SIZE] __attribute__((aligned(8)));
    return request(self, put_get(buffer), take_status, status);
}

int audit_control_ask_status(struct audit_control *self)
{
    char buffer[AUDIT_CONTROL_SET_SIZE] __attribute__((aligned(8)));
    int r = send_request(self, put_get(buffer));
    self->asked = r < 0 ? 0 : self->sequence;
    return r;
}

int audit_control_poll_status(struct audit_control *self, struct audit_status *status)
{
    _Alignas(struct nlmsghdr) char buffer[ANSWER_SIZE];
    struct nlmsghdr *header = (struct nlmsghdr *)(void *)buffer;
    while (self->asked) {
        ssize_t n = receive(self, header);
        if (n == -EAGAIN)
            return AUDIT_CONTROL_NOTHING;
        if (n == -EINTR)
            continue;
        int r = n < 0 ? (int)n : handle_datagram(header, n, self->asked, take_status, status);
        if (r == ANSWER_MORE)
            continue;
        self->asked = 0;
        return r == ANSWER_DONE ? AUDIT_CONTROL_ANSWERED : r;
    }
    return AUDIT_CONTROL_NOTHING;
}

struct nlmsghdr *audit_control_put_set(void *buffer, const struct audit_status *status)
{
    struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
    header->nlmsg_type = AUDIT_SET;
    memcpy(mnl_nlmsg_put_extra_header(header, sizeof(*status)), status, sizeof(*status));
    return header;
}

int audit_control_set(struct audit_control *self, const struct audit_status *status)
{
    char buffer[AUDIT_CONTROL_SET_SIZE] __attribute__((aligned(8)));
    return request(self, audit_control_put_set(buffer, status), NULL, NULL);
}

static int rule_request(struct audit_control *self, uint16_t type,
                        const struct audit_rule_data *rule)
{
    _Alignas(struct nlmsghdr) char buffer[ANSWER_SIZE];
    size_t size = audit_rule_size(rule);
    if (size > sizeof(buffer) - sizeof(struct nlmsghdr))
        return -E2BIG;
    struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
    header->nlmsg_type = type;
    memcpy(mnl_nlmsg_put_extra_header(header, size), rule, size);
    return request(self, header, NULL, NULL);
}

int audit_control_add_rule(struct audit_control *self, const struct audit_rule_data *rule)
{
    return rule_request(self, AUDIT_ADD_RULE, rule);
}

int audit_control_delete_rule(struct audit_control *self, const struct audit_rule_data *rule)
{
    return rule_request(self, AUDIT_DEL_RULE, rule);
}

static int take_rule(void *user, const struct nlmsghdr *header)
{
    if (header->nlmsg_type == NLMSG_DONE)
        return ANSWER_DONE;
    if (header->nlmsg_type != AUDIT_LIST_RULES)
        return ANSWER_MORE;
    int r =
        audit_rules_append(user, mnl_nlmsg_get_payload(header), mnl_nlmsg_get_payload_len(header));
    return r < 0 ? r : ANSWER_MORE;
}

int audit_control_list_rules(struct audit_control *self, struct audit_rules *rules)
{
    char buffer[AUDIT_CONTROL_SET_SIZE] __attribute__((aligned(8)));
    struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
    header->nlmsg_type = AUDIT_LIST_RULES;
    return request(self, header, take_rule, rules);
}
