/*
 * Each netlink socket of audit is one end of a pair of unix sockets of sequenced packets; the other
 * end is the kernel's. A request is answered while it is sent, as in the kernel. What is received
 * gets the kernel's address, without which nobody would take it. A filter that is attached filters.
 */
#include "fake_audit.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SOCKETS_MOST = 64 };

struct fake_socket {
    int fd, kernel_fd; /* kernel_fd 0: not in use */
    bool joined;       /* to the multicast group */
};

static struct fake_audit *audit;                 /* shared with children */
static struct fake_socket sockets[SOCKETS_MOST]; /* of this process */
static int owner_fd = -1;                        /* where records of the owner go */

struct mnl_socket *__real_mnl_socket_open2(int protocol, int flags);
int __real_mnl_socket_bind(struct mnl_socket *socket, unsigned groups, pid_t pid);
ssize_t __real_mnl_socket_sendto(const struct mnl_socket *socket, const void *bytes, size_t length);
ssize_t __real_recvfrom(int fd, void *to, size_t size, int flags, struct sockaddr *sender,
                        socklen_t *length);
int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t length);
uint64_t __real_clock_boot_ns(void);
struct mnl_socket *__wrap_mnl_socket_open2(int protocol, int flags);
int __wrap_mnl_socket_bind(struct mnl_socket *socket, unsigned groups, pid_t pid);
ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *socket, const void *bytes, size_t length);
ssize_t __wrap_recvfrom(int fd, void *to, size_t size, int flags, struct sockaddr *sender,
                        socklen_t *length);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t length);
uint64_t __wrap_clock_boot_ns(void);

struct fake_audit *fake_audit_new(void)
{
    void *memory =
        mmap(NULL, sizeof(*audit), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        abort();
    audit = memory;
    audit->status =
        (struct audit_status){.failure = 1, .backlog_limit = 64, .backlog_wait_time = 15000};
    return audit;
}

static void forget(struct fake_socket *socket)
{
    close(socket->kernel_fd);
    if (socket->fd == owner_fd)
        owner_fd = -1;
    *socket = (struct fake_socket){0};
}

void fake_audit_free(void)
{
    for (size_t i = 0; i < SOCKETS_MOST; i++)
        if (sockets[i].kernel_fd)
            forget(&sockets[i]);
    munmap(audit, sizeof(*audit));
    audit = NULL;
}

static struct fake_socket *find(int fd)
{
    for (size_t i = 0; i < SOCKETS_MOST; i++)
        if (sockets[i].kernel_fd && sockets[i].fd == fd)
            return &sockets[i];
    return NULL;
}

/* -- sending to the program -- */

static bool give(struct fake_socket *socket, const void *message, size_t length)
{
    return send(socket->kernel_fd, message, length, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)length;
}

static bool give_message(struct fake_socket *socket, uint16_t type, uint32_t sequence,
                         const void *payload, size_t length)
{
    _Alignas(struct nlmsghdr) char buffer[2048] = {0};
    struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
    header->nlmsg_type = type;
    header->nlmsg_seq = sequence;
    if (length)
        memcpy(mnl_nlmsg_put_extra_header(header, length), payload, length);
    return give(socket, header, header->nlmsg_len);
}

static void acknowledge(struct fake_socket *socket, const struct nlmsghdr *request, int error)
{
    struct nlmsgerr answer = {.error = error, .msg = *request};
    if (error || request->nlmsg_flags & NLM_F_ACK)
        give_message(socket, NLMSG_ERROR, request->nlmsg_seq, &answer, sizeof(answer));
}

/* The sockets of one that has ended, and whose parent does not know yet, are closed too. */
static bool lives(uint32_t pid)
{
    char path[32], text[256] = "";
    snprintf(path, sizeof(path), "/proc/%u/stat", pid);
    FILE *stream = fopen(path, "re");
    if (!stream)
        return false;
    size_t length = fread(text, 1, sizeof(text) - 1, stream);
    fclose(stream);
    const char *end = length ? strrchr(text, ')') : NULL;
    return end && strncmp(end, ") Z", 3) != 0 && strncmp(end, ") X", 3) != 0;
}

/* The registered process may have ended, or have closed its socket. */
static bool owner_hears(uint16_t type, const void *payload, size_t length)
{
    if (audit->status.pid != (uint32_t)getpid())
        return audit->status.pid && lives(audit->status.pid);
    struct fake_socket *owner = find(owner_fd);
    return owner && give_message(owner, type, 0, payload, length);
}

/* A record of what was changed, as the kernel makes it while it is enabled. */
static void record_change(void)
{
    static const char text[] = "audit(1700000000.000:1): op=test";
    if (!audit->status.enabled)
        return;
    for (size_t i = 0; i < SOCKETS_MOST; i++)
        if (sockets[i].kernel_fd && sockets[i].joined)
            give_message(&sockets[i], AUDIT_CONFIG_CHANGE, 0, text, sizeof(text));
    if (owner_hears(AUDIT_CONFIG_CHANGE, text, sizeof(text)))
        return;
    audit->status.pid = 0;
    audit->n_printed++;
}

/* -- settings -- */

static int change(uint32_t *value, uint32_t to)
{
    record_change();
    if (audit->status.enabled == 2)
        return -EPERM;
    *value = to;
    return 0;
}

static int set_pid(pid_t caller, int fd, uint32_t pid)
{
    if (pid && pid != (uint32_t)caller)
        return -EINVAL;
    if (!owner_hears(AUDIT_REPLACE, &caller, sizeof(caller)))
        audit->status.pid = 0;
    if (audit->status.pid && pid)
        return -EEXIST;
    if (audit->status.pid && audit->status.pid != (uint32_t)caller)
        return -EACCES;
    audit->status.pid = pid;
    if (caller == getpid())
        owner_fd = pid ? fd : -1;
    record_change();
    return 0;
}

static int set_status(int fd, const struct audit_status *to)
{
    struct audit_status *status = &audit->status;
    int r = 0;
    if (r == 0 && to->mask & AUDIT_STATUS_ENABLED)
        r = change(&status->enabled, to->enabled);
    if (r == 0 && to->mask & AUDIT_STATUS_FAILURE)
        r = change(&status->failure, to->failure);
    if (r == 0 && to->mask & AUDIT_STATUS_PID)
        r = set_pid(getpid(), fd, to->pid);
    if (r == 0 && to->mask & AUDIT_STATUS_BACKLOG_LIMIT)
        r = change(&status->backlog_limit, to->backlog_limit);
    if (r == 0 && to->mask & AUDIT_STATUS_BACKLOG_WAIT_TIME)
        r = change(&status->backlog_wait_time, to->backlog_wait_time);
    return r;
}

int fake_audit_register(pid_t pid)
{
    return set_pid(pid, -1, (uint32_t)pid);
}

int fake_audit_set_enabled(uint32_t enabled)
{
    return change(&audit->status.enabled, enabled);
}

/* -- rules -- */

static const struct audit_rule_data *rule_at(size_t i)
{
    return (const struct audit_rule_data *)(const void *)audit->rules[i].bytes;
}

static bool records_execs(const struct audit_rule_data *rule)
{
    return rule->flags == AUDIT_FILTER_EXIT && rule->action == AUDIT_ALWAYS &&
           rule->mask[AUDIT_WORD(SYS_execve)] & AUDIT_BIT(SYS_execve);
}

static const char *key_of(const struct audit_rule_data *rule)
{
    static char key[64];
    for (uint32_t i = 0; i < rule->field_count; i++)
        if (rule->fields[i] == AUDIT_FILTERKEY) {
            snprintf(key, sizeof(key), "%.*s", (int)rule->values[i], rule->buf);
            return key;
        }
    return NULL;
}

const char *fake_audit_exec_key(void)
{
    for (size_t i = 0; i < audit->n_rules; i++)
        if (records_execs(rule_at(i)))
            return key_of(rule_at(i));
    return NULL;
}

size_t fake_audit_count_rules(const char *key)
{
    size_t n = 0;
    for (size_t i = 0; i < audit->n_rules; i++) {
        const char *found = rule_at(i)->flags == AUDIT_FILTER_EXIT ? key_of(rule_at(i)) : NULL;
        n += found && !strcmp(found, key);
    }
    return n;
}

static size_t find_rule(const void *rule, size_t size)
{
    size_t i = 0;
    while (i < audit->n_rules &&
           (audit->rules[i].size != size || memcmp(audit->rules[i].bytes, rule, size) != 0))
        i++;
    return i;
}

static int change_rules(uint16_t type, const void *rule, size_t size)
{
    size_t at = find_rule(rule, size);
    record_change();
    if (audit->status.enabled == 2)
        return -EPERM;
    if (type == AUDIT_DEL_RULE) {
        if (at == audit->n_rules)
            return -ENOENT;
        memmove(&audit->rules[at], &audit->rules[at + 1],
                (--audit->n_rules - at) * sizeof(audit->rules[0]));
    } else {
        if (at < audit->n_rules)
            return -EEXIST;
        if (at == FAKE_AUDIT_RULES_MOST || size > FAKE_AUDIT_RULE_SIZE)
            return -ENOMEM;
        audit->rules[at].size = (uint32_t)size;
        memcpy(audit->rules[at].bytes, rule, size);
        audit->n_rules++;
    }
    audit->n_unwatched += !fake_audit_exec_key();
    return 0;
}

int fake_audit_add_rule(const char *key)
{
    _Alignas(struct audit_rule_data) uint8_t bytes[FAKE_AUDIT_RULE_SIZE] = {0};
    struct audit_rule_data *rule = (struct audit_rule_data *)(void *)bytes;
    size_t length = strlen(key);
    rule->flags = AUDIT_FILTER_EXIT;
    rule->action = AUDIT_ALWAYS;
    rule->mask[AUDIT_WORD(SYS_execve)] |= AUDIT_BIT(SYS_execve);
    rule->field_count = 1;
    rule->fields[0] = AUDIT_FILTERKEY;
    rule->fieldflags[0] = AUDIT_EQUAL;
    rule->values[0] = rule->buflen = (uint32_t)length;
    memcpy(bytes + sizeof(*rule), key, length);
    return change_rules(AUDIT_ADD_RULE, bytes, sizeof(*rule) + length);
}

int fake_audit_delete_rules(void)
{
    int r = 0;
    while (r == 0 && audit->n_rules)
        r = change_rules(AUDIT_DEL_RULE, audit->rules[0].bytes, audit->rules[0].size);
    return r;
}

/* The kernel lists one filter list after the other. */
static void list_rules(struct fake_socket *socket, uint32_t sequence)
{
    for (uint32_t list = 0; list < AUDIT_NR_FILTERS; list++)
        for (size_t i = 0; i < audit->n_rules; i++)
            if (rule_at(i)->flags == list)
                give_message(socket, AUDIT_LIST_RULES, sequence, audit->rules[i].bytes,
                             audit->rules[i].size);
    give_message(socket, NLMSG_DONE, sequence, NULL, 0);
}

/* -- requests -- */

static int answer(struct fake_socket *socket, const struct nlmsghdr *request)
{
    const void *payload = mnl_nlmsg_get_payload(request);
    size_t length = mnl_nlmsg_get_payload_len(request);
    struct audit_status to = {0};
    switch (request->nlmsg_type) {
    case AUDIT_GET:
    case AUDIT_LIST_RULES:
        return 0;
    case AUDIT_SET:
        memcpy(&to, payload, length < sizeof(to) ? length : sizeof(to));
        return set_status(socket->fd, &to);
    case AUDIT_ADD_RULE:
    case AUDIT_DEL_RULE: {
        size_t size = sizeof(struct audit_rule_data);
        if (length < size)
            return -EINVAL;
        size += ((const struct audit_rule_data *)payload)->buflen;
        return size <= length ? change_rules(request->nlmsg_type, payload, size) : -EINVAL;
    }
    default:
        return -EINVAL;
    }
}

ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *mnl, const void *bytes, size_t length)
{
    const struct nlmsghdr *request = bytes;
    struct fake_socket *socket = find(mnl_socket_get_fd(mnl));
    if (!socket)
        return __real_mnl_socket_sendto(mnl, bytes, length);
    int r = answer(socket, request);
    audit->n_refused += r == -EPERM;
    acknowledge(socket, request, r);
    if (r == 0 && request->nlmsg_type == AUDIT_GET)
        give_message(socket, AUDIT_GET, request->nlmsg_seq, &audit->status, sizeof(audit->status));
    if (r == 0 && request->nlmsg_type == AUDIT_LIST_RULES)
        list_rules(socket, request->nlmsg_seq);
    return (ssize_t)length;
}

/* -- system calls -- */

struct mnl_socket *__wrap_mnl_socket_open2(int protocol, int flags)
{
    int pair[2];
    size_t free_place = 0;
    if (!audit || protocol != NETLINK_AUDIT)
        return __real_mnl_socket_open2(protocol, flags);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | flags, 0, pair) < 0)
        return NULL;
    struct fake_socket *old = find(pair[0]); /* a number of a socket that was closed */
    if (old)
        forget(old);
    while (free_place < SOCKETS_MOST && sockets[free_place].kernel_fd)
        free_place++;
    if (free_place == SOCKETS_MOST)
        abort();
    sockets[free_place] = (struct fake_socket){.fd = pair[0], .kernel_fd = pair[1]};
    return mnl_socket_fdopen(pair[0]);
}

int __wrap_mnl_socket_bind(struct mnl_socket *mnl, unsigned groups, pid_t pid)
{
    struct fake_socket *socket = find(mnl_socket_get_fd(mnl));
    if (!socket)
        return __real_mnl_socket_bind(mnl, groups, pid);
    socket->joined = groups & 1u << (AUDIT_NLGRP_READLOG - 1);
    return 0;
}

ssize_t __wrap_recvfrom(int fd, void *to, size_t size, int flags, struct sockaddr *sender,
                        socklen_t *length)
{
    if (!find(fd))
        return __real_recvfrom(fd, to, size, flags, sender, length);
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    ssize_t n = __real_recvfrom(fd, to, size, flags, NULL, NULL);
    if (n >= 0) {
        memcpy(sender, &kernel, sizeof(kernel));
        *length = sizeof(kernel);
    }
    return n;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    struct fake_socket *socket = find(fd);
    if (!socket || level != SOL_NETLINK)
        return __real_setsockopt(fd, level, name, value, length);
    socket->joined = name == NETLINK_ADD_MEMBERSHIP;
    return 0;
}

uint64_t __wrap_clock_boot_ns(void)
{
    return __real_clock_boot_ns() + (audit ? audit->clock_offset_ns : 0);
}
