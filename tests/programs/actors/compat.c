/* System calls of 32-bit programs, made by a 64-bit one: x86-64 keeps their old entry for all. */
#include "actor.h"

#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __x86_64__
enum { IA32_SOCKETCALL = 102, IA32_ACCEPT4 = 364, IA32_TIMES = 43, IA32_KEYCTL = 288 };
enum { SOCKETCALL_ACCEPT = 5, SOCKETCALL_ACCEPT4 = 18, SOCKETCALL_LISTEN = 4 };

static long call_ia32(long number, long first, long second)
{
    long result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(first), "c"(second), "d"(0), "S"(0)
                     : "memory", "r8", "r9", "r10", "r11");
    return result;
}

static int listen_on_loopback(struct sockaddr_in *address)
{
    socklen_t length = sizeof(*address);
    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    actor_require(fd >= 0 && !bind(fd, (struct sockaddr *)address, length) && !listen(fd, 8) &&
                      !getsockname(fd, (struct sockaddr *)address, &length),
                  "listen");
    return fd;
}

/* Accept three connections, each by another way, beside calls whose numbers are those of accepts
 * elsewhere, and with a socket as descriptor 0, which is what some of them return. */
static int compat_accept(int argc, char **argv)
{
    (void)argc, (void)argv;
    struct sockaddr_in address;
    int listener = listen_on_loopback(&address);
    uint32_t *arguments =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    actor_require(arguments != MAP_FAILED, "mmap");
    arguments[0] = (uint32_t)listener;
    actor_require(dup2(listener, STDIN_FILENO) == STDIN_FILENO, "dup2");
    const long ways[][3] = {
        {IA32_SOCKETCALL, SOCKETCALL_ACCEPT,  (long)arguments},
        {IA32_SOCKETCALL, SOCKETCALL_ACCEPT4, (long)arguments},
        {IA32_ACCEPT4,    listener,           0              },
    };
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        actor_require(!connect(fd, (struct sockaddr *)&address, sizeof(address)), "connect");
        actor_require(call_ia32(ways[i][0], ways[i][1], ways[i][2]) > fd, "accept");
        (void)call_ia32(IA32_TIMES, 0, 0);
        (void)call_ia32(IA32_KEYCTL, 0, 0);
        actor_require(call_ia32(IA32_SOCKETCALL, SOCKETCALL_LISTEN, (long)arguments) == 0,
                      "listen");
    }
    printf("{\"role\":\"acceptor\",\"pid\":%d,\"port\":%u}\n", getpid(), ntohs(address.sin_port));
    return 0;
}
#else
static int compat_accept(int argc, char **argv)
{
    (void)argc, (void)argv;
    return 77;
}
#endif

const struct actor compat_actors[] = {
    {"accept-ia32", "", 0, compat_accept},
    {0           },
};
