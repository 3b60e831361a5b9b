/* Connections as fast as one process can make them, and system calls that have nothing to do with
 * them. A child serves; each connection carries 100 bytes there and 200 back. */
#include "actor.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_SIZE = 100, ANSWER_SIZE = 200, BACKLOG = 128 };

union address {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
};

static uint64_t monotonic_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t usage_us(int who)
{
    struct rusage usage;
    getrusage(who, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void report(const char *role, unsigned long n, uint64_t begin_us)
{
    uint64_t wall_us = monotonic_us() - begin_us;
    printf("{\"role\":\"%s\",\"pid\":%d,\"count\":%lu,\"wall_us\":%lu,\"cpu_us\":%lu}\n", role,
           getpid(), n, wall_us, usage_us(RUSAGE_SELF) + usage_us(RUSAGE_CHILDREN));
    fflush(stdout);
}

static int open_stream(bool ipv6)
{
    int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    actor_require(fd >= 0, "socket");
    return fd;
}

static int listen_on_loopback(bool ipv6, union address *address, socklen_t *length)
{
    *address = (union address){
        .ipv4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}
    };
    *length = sizeof(address->ipv4);
    if (ipv6) {
        *address = (union address){
            .ipv6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}
        };
        *length = sizeof(address->ipv6);
    }
    int fd = open_stream(ipv6);
    actor_require(!bind(fd, &address->any, *length) && !listen(fd, BACKLOG), "listen");
    actor_require(!getsockname(fd, &address->any, length), "getsockname");
    return fd;
}

static _Noreturn void serve(int listener, unsigned long n)
{
    char bytes[ANSWER_SIZE] = {0};
    for (unsigned long i = 0; i < n; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        actor_require(fd >= 0, "accept4");
        actor_require(recv(fd, bytes, REQUEST_SIZE, MSG_WAITALL) == REQUEST_SIZE, "recv");
        actor_require(send(fd, bytes, ANSWER_SIZE, 0) == ANSWER_SIZE, "send");
        close(fd);
    }
    _exit(0);
}

static void connect_once(bool ipv6, const union address *address, socklen_t length)
{
    char bytes[ANSWER_SIZE] = {0};
    int fd = open_stream(ipv6);
    actor_require(!connect(fd, &address->any, length), "connect");
    actor_require(send(fd, bytes, REQUEST_SIZE, 0) == REQUEST_SIZE, "send");
    actor_require(recv(fd, bytes, ANSWER_SIZE, MSG_WAITALL) == ANSWER_SIZE, "recv");
    actor_require(recv(fd, bytes, 1, 0) == 0, "end of the answer");
    close(fd);
}

static int traffic_connections(int argc, char **argv)
{
    (void)argc;
    bool ipv6 = strcmp(argv[0], "ipv6") == 0;
    unsigned long n = actor_number(argv[1], 100000000);
    union address address;
    socklen_t length;
    int listener = listen_on_loopback(ipv6, &address, &length), status;
    pid_t server = actor_fork();
    if (server == 0)
        serve(listener, n);
    close(listener);
    uint64_t begin_us = monotonic_us();
    for (unsigned long i = 0; i < n; i++)
        connect_once(ipv6, &address, length);
    actor_require(waitpid(server, &status, 0) == server && status == 0, "the server");
    report("connections", n, begin_us);
    return 0;
}

/* A system call as short as there is one, N times. */
static int traffic_calls(int argc, char **argv)
{
    (void)argc;
    unsigned long n = actor_number(argv[0], 1000000000);
    uint64_t begin_us = monotonic_us();
    for (unsigned long i = 0; i < n; i++)
        syscall(SYS_getppid);
    report("calls", n, begin_us);
    return 0;
}

const struct actor traffic_actors[] = {
    {"connections", "ipv4|ipv6 N", 2, traffic_connections},
    {"calls",            "N", 1, traffic_calls},
    {0            },
};
