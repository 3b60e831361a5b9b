/* One connection, one line, one answer until the end of the stream, under one deadline. */
#include "recorder/agent/control_client.h"

#include "core/cleanup.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

enum { ANSWER_MOST = 1 << 20, PIECE = 4096 };

struct asking {
    int fd;
    int64_t deadline_ms;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int wait_for(const struct asking *asking, short events)
{
    struct pollfd poll_fd = {.fd = asking->fd, .events = events};
    for (;;) {
        int64_t left = asking->deadline_ms - now_ms();
        int n = left > 0 ? poll(&poll_fd, 1, left > 60000 ? 60000 : (int)left) : 0;
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (now_ms() >= asking->deadline_ms)
            return -ETIMEDOUT;
    }
}

static int connect_to(struct asking *asking, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path));
    asking->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (asking->fd < 0)
        return -errno;
    /* EAGAIN: the queue of the listener is full, and poll(2) cannot wait for it */
    while (connect(asking->fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        if (now_ms() >= asking->deadline_ms)
            return -ETIMEDOUT;
        poll(NULL, 0, 10);
    }
    return 0;
}

static int send_all(const struct asking *asking, struct slice bytes)
{
    while (bytes.length > 0) {
        ssize_t n = send(asking->fd, bytes.data, bytes.length, MSG_NOSIGNAL);
        if (n >= 0)
            bytes = slice_of(bytes.data + n, bytes.length - (size_t)n);
        int r = n < 0 && errno == EAGAIN ? wait_for(asking, POLLOUT) : 0;
        if (r < 0)
            return r;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
    }
    return 0;
}

static int receive_all(const struct asking *asking, struct buffer *to)
{
    for (;;) {
        int r = wait_for(asking, POLLIN);
        uint8_t *room = r < 0 || to->length > ANSWER_MOST ? NULL : buffer_reserve(to, PIECE);
        if (!room)
            return r < 0 ? r : -EMSGSIZE;
        ssize_t n = recv(asking->fd, room, PIECE, 0);
        /* reset: the agent answered without having read all of the request */
        if (n == 0 || (n < 0 && errno == ECONNRESET && to->length > 0))
            return 0;
        if (n > 0)
            to->length += (size_t)n;
        else if (errno != EAGAIN && errno != EINTR)
            return -errno;
    }
}

static int explain(struct error_text *error, int r, const char *path)
{
    switch (r) {
    case -ENOENT:
    case -ECONNREFUSED:
        return error_set(error, r,
                         "no agent answers on %s: start vestiged, or name its state "
                         "directory with --state",
                         path);
    case -EACCES:
    case -EPERM:
        return error_set(error, r, "not allowed to ask the agent on %s: run this as root", path);
    case -ETIMEDOUT:
        return error_set(error, r, "the agent on %s did not answer in time", path);
    default:
        return error_set(error, r, "asking the agent on %s failed: %s", path, strerror(-r));
    }
}

/* Splits the first line off; the rest becomes the answer. */
static int judge(const struct buffer *reply, const char *path, struct buffer *answer,
                 struct error_text *error)
{
    const char *text = (const char *)reply->data;
    const char *newline = reply->length ? memchr(text, '\n', reply->length) : NULL;
    size_t length = newline ? (size_t)(newline - text) : 0;
    if (length == 2 && !memcmp(text, "ok", 2)) {
        buffer_append(answer, newline + 1, reply->length - length - 1);
        return answer->failed ? -ENOMEM : CONTROL_OK;
    }
    if (length > 6 && !memcmp(text, "error ", 6))
        return error_set(error, CONTROL_REFUSED, "%.*s", (int)(length - 6), text + 6);
    return error_set(error, -EPROTO, "what answers on %s is not vestiged", path);
}

int control_ask(const char *path, const char *request, unsigned timeout_ms, struct buffer *answer,
                struct error_text *error)
{
    struct asking asking = {.fd = -1, .deadline_ms = now_ms() + timeout_ms};
    struct buffer reply = BUFFER_NULL;
    int r = connect_to(&asking, path);
    if (r == 0)
        r = send_all(&asking, slice_text(request));
    if (r == 0)
        r = send_all(&asking, slice_text("\n"));
    /* The agent refused before it had read all of the request, and its answer says why. */
    if (r == 0 || r == -EPIPE || r == -ECONNRESET)
        r = receive_all(&asking, &reply);
    r = r < 0 ? explain(error, r, path) : judge(&reply, path, answer, error);
    if (asking.fd >= 0)
        close(asking.fd);
    buffer_deinit(&reply);
    return r;
}
