/* Connections and datagrams with known payloads: REQUEST bytes there, ANSWER bytes back. A server
 * says on which port it is reached, and a client from which ports it came. */
#include "actor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST = 100, ANSWER = 200, BACKLOG = 4096 };

struct peer {
    struct sockaddr_storage address;
    socklen_t length;
};

static struct peer peer_of(const char *host, const char *port)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found;
    struct peer peer = {.length = 0};
    actor_require(getaddrinfo(host, port, &hints, &found) == 0, "getaddrinfo");
    memcpy(&peer.address, found->ai_addr, found->ai_addrlen);
    peer.length = found->ai_addrlen;
    freeaddrinfo(found);
    return peer;
}

static uint16_t port_of(int fd)
{
    struct peer own = {.length = sizeof(own.address)};
    struct sockaddr_in in;
    actor_require(getsockname(fd, (struct sockaddr *)&own.address, &own.length) == 0,
                  "getsockname");
    memcpy(&in, &own.address, sizeof(in)); /* the port stands at the same place in both families */
    return ntohs(in.sin_port);
}

static int socket_for(const struct peer *peer, int type)
{
    int fd = socket(peer->address.ss_family, type | SOCK_CLOEXEC, 0);
    actor_require(fd >= 0, "socket");
    return fd;
}

static int bound(const char *host, const char *port, int type)
{
    struct peer own = peer_of(host, port);
    int fd = socket_for(&own, type), yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    actor_require(bind(fd, (struct sockaddr *)&own.address, own.length) == 0, "bind");
    return fd;
}

static void read_exactly(int fd, size_t length)
{
    char bytes[ANSWER];
    for (size_t n = 0; n < length;) {
        ssize_t r = read(fd, bytes, length - n);
        actor_require(r > 0, "read");
        n += (size_t)r;
    }
}

static void write_exactly(int fd, size_t length)
{
    static const char bytes[ANSWER];
    actor_require(write(fd, bytes, length) == (ssize_t)length, "write");
}

static void announce(const char *role, int fd)
{
    printf("{\"role\":\"%s\",\"pid\":%d,\"port\":%u}\n", role, getpid(), port_of(fd));
    fflush(stdout);
}

static uint64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void report(const char *role, const uint16_t *ports, unsigned long n, uint64_t begin_us)
{
    printf("{\"role\":\"%s\",\"pid\":%d,\"count\":%lu,\"wall_us\":%lu,\"cpu_us\":%lu,\"ports\":[",
           role, getpid(), n, clock_us() - begin_us, cpu_us());
    for (unsigned long i = 0; ports && i < n; i++)
        printf("%s%u", i ? "," : "", ports[i]);
    printf("]}\n");
    fflush(stdout);
}

/* Another name, and another user who logged in as such; 0 leaves everything. */
static void become(const char *name, unsigned long uid)
{
    actor_require(prctl(PR_SET_NAME, name) == 0, "prctl");
    if (uid == 0)
        return;
    FILE *stream = fopen("/proc/self/loginuid", "we");
    actor_require(stream && fprintf(stream, "%lu", uid) > 0 && fclose(stream) == 0, "loginuid");
    actor_require(setgroups(0, NULL) == 0 && setresgid((gid_t)uid, (gid_t)uid, (gid_t)uid) == 0 &&
                      setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid) == 0,
                  "setresuid");
}

/* HOST PORT N [nobuffer]: serve N connections, one after the other; port 0: any. */
static int network_tcp_server(int argc, char **argv)
{
    unsigned long n = actor_number(argv[2], 100000000);
    bool buffer = argc < 4 || strcmp(argv[3], "nobuffer") != 0;
    int listener = bound(argv[0], argv[1], SOCK_STREAM);
    actor_require(listen(listener, BACKLOG) == 0, "listen");
    announce("listening", listener);
    uint64_t begin_us = clock_us();
    for (unsigned long i = 0; i < n; i++) {
        struct peer peer = {.length = sizeof(peer.address)};
        int fd = accept4(listener, buffer ? (struct sockaddr *)&peer.address : NULL,
                         buffer ? &peer.length : NULL, SOCK_CLOEXEC);
        actor_require(fd >= 0, "accept4");
        read_exactly(fd, REQUEST);
        write_exactly(fd, ANSWER);
        close(fd);
    }
    report("server", NULL, n, begin_us);
    return 0;
}

static int connected(const struct peer *peer)
{
    int fd = socket_for(peer, SOCK_STREAM);
    actor_require(connect(fd, (const struct sockaddr *)&peer->address, peer->length) == 0,
                  "connect");
    return fd;
}

/* HOST PORT N NAME UID: N connections, one after the other, each to its end. */
static int network_tcp_client(int argc, char **argv)
{
    (void)argc;
    unsigned long n = actor_number(argv[2], 1000000);
    struct peer peer = peer_of(argv[0], argv[1]);
    uint16_t *ports = calloc(n ? n : 1, sizeof(*ports));
    actor_require(ports, "calloc");
    become(argv[3], actor_number(argv[4], UINT32_MAX));
    uint64_t begin_us = clock_us();
    for (unsigned long i = 0; i < n; i++) {
        char end;
        int fd = connected(&peer);
        ports[i] = port_of(fd);
        write_exactly(fd, REQUEST);
        read_exactly(fd, ANSWER);
        actor_require(read(fd, &end, 1) == 0, "end of the connection");
        close(fd);
    }
    report("client", ports, n, begin_us);
    free(ports);
    return 0;
}

/* HOST PORT N MS: N connects that do not block, each given MS milliseconds, then closed. */
static int network_tcp_attempt(int argc, char **argv)
{
    (void)argc;
    unsigned long n = actor_number(argv[2], 1000000);
    int milliseconds = (int)actor_number(argv[3], 60000);
    struct peer peer = peer_of(argv[0], argv[1]);
    unsigned long n_refused = 0;
    for (unsigned long i = 0; i < n; i++) {
        int fd = socket_for(&peer, SOCK_STREAM | SOCK_NONBLOCK), error = 0;
        socklen_t length = sizeof(error);
        if (connect(fd, (struct sockaddr *)&peer.address, peer.length) < 0)
            error = errno;
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        if (error == EINPROGRESS && poll(&wait, 1, milliseconds) == 1)
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
        n_refused += error == ECONNREFUSED;
        close(fd);
    }
    printf("{\"role\":\"attempts\",\"pid\":%d,\"count\":%lu,\"refused\":%lu}\n", getpid(), n,
           n_refused);
    fflush(stdout);
    return 0;
}

/* HOST PORT N: answer N datagrams. */
static int network_udp_server(int argc, char **argv)
{
    (void)argc;
    unsigned long n = actor_number(argv[2], 100000000);
    int fd = bound(argv[0], argv[1], SOCK_DGRAM);
    announce("listening", fd);
    for (unsigned long i = 0; i < n; i++) {
        struct peer peer = {.length = sizeof(peer.address)};
        char bytes[ANSWER] = {0};
        actor_require(recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&peer.address,
                               &peer.length) == REQUEST,
                      "recvfrom");
        actor_require(sendto(fd, bytes, ANSWER, 0, (struct sockaddr *)&peer.address, peer.length) ==
                          ANSWER,
                      "sendto");
    }
    close(fd);
    report("server", NULL, n, clock_us());
    return 0;
}

/* HOST PORT N NAME UID connected|unconnected: N exchanges, each with a socket of its own. */
static int network_udp_client(int argc, char **argv)
{
    (void)argc;
    unsigned long n = actor_number(argv[2], 1000000);
    bool connect_first = strcmp(argv[5], "connected") == 0;
    struct peer peer = peer_of(argv[0], argv[1]);
    uint16_t *ports = calloc(n ? n : 1, sizeof(*ports));
    actor_require(ports, "calloc");
    become(argv[3], actor_number(argv[4], UINT32_MAX));
    uint64_t begin_us = clock_us();
    for (unsigned long i = 0; i < n; i++) {
        char bytes[ANSWER] = {0};
        struct sockaddr *to = (struct sockaddr *)&peer.address;
        int fd = socket_for(&peer, SOCK_DGRAM);
        if (connect_first)
            actor_require(connect(fd, to, peer.length) == 0, "connect");
        actor_require(sendto(fd, bytes, REQUEST, 0, connect_first ? NULL : to,
                             connect_first ? 0 : peer.length) == REQUEST,
                      "sendto");
        ports[i] = port_of(fd);
        actor_require(recv(fd, bytes, sizeof(bytes), 0) == ANSWER, "recv");
        close(fd);
    }
    report("client", ports, n, begin_us);
    free(ports);
    return 0;
}

const struct actor network_actors[] = {
    {"tcp-server",            "HOST PORT N [nobuffer]", 3, network_tcp_server},
    {"tcp-client",                      "HOST PORT N NAME UID", 5, network_tcp_client},
    {"tcp-attempt",                       "HOST PORT N MILLISECONDS", 4, network_tcp_attempt},
    {"udp-server","HOST PORT N", 3, network_udp_server},
    {"udp-client",     "HOST PORT N NAME UID connected|unconnected", 6, network_udp_client},
    {0          },
};
