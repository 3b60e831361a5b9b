// links: vestige_control
/* What a client may say on the agent's socket, whole or cut: it gets one answer of the right form,
 * or none, and the next client is served. */
#include "recorder/agent/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sockaddr_un address = {.sun_family = AF_UNIX};

static void status(void *user, struct buffer *out)
{
    (void)user;
    buffer_append_text(out, "pid 1\n");
}

static int sync_at_once(void *user, unsigned timeout_ms, struct buffer *out)
{
    (void)user;
    if (timeout_ms > CONTROL_SYNC_MOST_MS)
        abort();
    buffer_append_text(out, "batch 1\n");
    return timeout_ms % 2 ? -ETIMEDOUT : 0;
}

static struct control *control;

static void end(void)
{
    control = control_free(control);
}

static void begin(void)
{
    const struct control_ops ops = {.status = status, .sync = sync_at_once};
    struct error_text error;
    if (control)
        return;
    snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/vestige-fuzz-control-%d", getpid());
    if (control_start(&control, address.sun_path, &ops, &error) != 0)
        abort();
    atexit(end);
}

static void check(const char *answer, size_t length)
{
    if (length && strncmp(answer, "ok\n", 3) != 0 && strncmp(answer, "error ", 6) != 0)
        abort();
    if (length && answer[length - 1] != '\n')
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char answer[4096];
    size_t length = 0;
    ssize_t n;
    begin();
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        abort();
    if (send(fd, data, size, MSG_NOSIGNAL) >= 0)
        shutdown(fd, SHUT_WR);
    while (length < sizeof(answer) &&
           (n = recv(fd, answer + length, sizeof(answer) - length, 0)) > 0)
        length += (size_t)n;
    check(answer, length);
    close(fd);
    return 0;
}
