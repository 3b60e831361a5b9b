/*
 * An oracle that shares no code with Vestige: it listens to the process connector and prints one
 * line for each fork, `F PID TGID PARENT NANOSECONDS` (CLOCK_MONOTONIC), and `L` for an overrun. It
 * prints `ready` when the kernel has confirmed the subscription, and ends at the end of its
 * standard input, after what is queued. Whether it missed anything is checked by its user against
 * /proc/stat.
 */
#include "actor.h"

#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int subscribe(void)
{
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_CONNECTOR);
    actor_require(fd >= 0, "socket");
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
    actor_require(!bind(fd, (struct sockaddr *)&address, sizeof address), "bind");
    int size = 64 << 20;
    actor_require(!setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size),
                  "SO_RCVBUFFORCE");
    const enum proc_cn_mcast_op operation = PROC_CN_MCAST_LISTEN;
    const struct cn_msg connector = {
        .id = {CN_IDX_PROC, CN_VAL_PROC},
          .len = sizeof operation
    };
    const struct nlmsghdr netlink = {.nlmsg_len = NLMSG_LENGTH(sizeof connector + sizeof operation),
                                     .nlmsg_type = NLMSG_DONE};
    char message[NLMSG_SPACE(sizeof connector + sizeof operation)] = {0};
    memcpy(message, &netlink, sizeof netlink);
    memcpy(message + NLMSG_HDRLEN, &connector, sizeof connector);
    memcpy(message + NLMSG_HDRLEN + sizeof connector, &operation, sizeof operation);
    actor_require(send(fd, message, netlink.nlmsg_len, 0) == netlink.nlmsg_len, "send");
    return fd;
}

static void print_event(const char *bytes, size_t length)
{
    const size_t header = NLMSG_HDRLEN + sizeof(struct cn_msg);
    struct proc_event event = {0};
    if (length < header)
        return;
    size_t available = length - header;
    memcpy(&event, bytes + header, available < sizeof event ? available : sizeof event);
    if (event.what == PROC_EVENT_NONE) {
        printf("ready\n");
        fflush(stdout);
    } else if (event.what == PROC_EVENT_FORK) {
        printf("F %d %d %d %llu\n", event.event_data.fork.child_pid,
               event.event_data.fork.child_tgid, event.event_data.fork.parent_tgid,
               (unsigned long long)event.timestamp_ns);
    }
}

static void drain(int fd)
{
    char bytes[1024] __attribute__((aligned(8)));
    for (;;) {
        ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n >= 0)
            print_event(bytes, (size_t)n);
        else if (errno == ENOBUFS)
            printf("L\n");
        else
            return;
    }
}

static int listener_forks(int argc, char **argv)
{
    (void)argc, (void)argv;
    AUTO_CLOSE int fd = subscribe();
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    while (poll(&input, 1, 10) == 0)
        drain(fd);
    drain(fd);
    return 0;
}

const struct actor listener_actors[] = {
    {"forks", "", 0, listener_forks},
    {0     },
};
