/* A reader of fanotify that does nothing with what it reads: what the kernel's own part costs.
 *
 *   fanotify_bare PATH    watches the filesystem of PATH with the agent's mask, counts events until
 *                         SIGTERM, and prints how many there were and whether the queue overflowed
 */
#include "collectors/fanotify/fanotify_group.h"

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/fanotify.h>

enum { NAP_MS = 20, READ_BYTES = 256 << 10 };

static volatile sig_atomic_t ended;

static void end(int number)
{
    (void)number;
    ended = 1;
}

struct tally {
    unsigned long events, overflows;
};

static void count(struct tally *tally, void *bytes, long length)
{
    struct fanotify_event_metadata *event = bytes;
    for (; FAN_EVENT_OK(event, length); event = FAN_EVENT_NEXT(event, length)) {
        tally->events++;
        tally->overflows += (event->mask & FAN_Q_OVERFLOW) != 0;
    }
}

int main(int argc, char **argv)
{
    static uint8_t bytes[READ_BYTES] __attribute__((aligned(8)));
    struct fanotify_group group = FANOTIFY_GROUP_NULL;
    struct error_text error = ERROR_TEXT_NULL;
    struct tally tally = {0};
    if (argc != 2) {
        fprintf(stderr, "Usage: fanotify_bare PATH\n");
        return 2;
    }
    if (fanotify_group_init(&group, &error) < 0 || fanotify_group_watch(&group, argv[1]) < 0) {
        fprintf(stderr, "fanotify_bare: %s\n", error.text[0] ? error.text : "cannot be watched");
        return 1;
    }
    signal(SIGTERM, end);
    printf("ready\n");
    fflush(stdout);
    while (!ended) {
        struct pollfd fd = {.fd = group.fd, .events = POLLIN};
        if (poll(&fd, 1, 100) <= 0)
            continue;
        poll(NULL, 0, NAP_MS);
        int n;
        while ((n = fanotify_group_read(&group, bytes, sizeof(bytes))) > 0)
            count(&tally, bytes, n);
    }
    printf("events %lu overflows %lu\n", tally.events, tally.overflows);
    fanotify_group_deinit(&group);
    return 0;
}
