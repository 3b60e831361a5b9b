/* One thread polls the listener, all connections and an eventfd. `status` is answered there; each
 * `sync` gets a thread, which leaves its answer in the connection and writes the eventfd. Between
 * these two moments the connection belongs to the sync thread and is not polled. */
#include "recorder/agent/control.h"

#include "core/cleanup.h"
#include "core/log.h"
#include "core/thread_rights.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

enum {
    REQUEST_MOST = 64,
    CLIENT_MS = 5000,
    ANSWER_MOST = 1 << 20,
    BACKLOG = 64,
    PAUSE_MS = 100,
    ROOM_MS = 1000 /* between two attempts to make the socket on a full disk */
};

enum stage { STAGE_FREE, STAGE_REQUEST, STAGE_SYNC, STAGE_ANSWER };

struct connection {
    struct control *control;
    enum stage stage;
    int fd;
    int64_t deadline_ms;
    char request[REQUEST_MOST + 1];
    size_t n_request;
    struct buffer answer;
    size_t n_sent;
    pthread_t thread; /* STAGE_SYNC */
    unsigned sync_ms;
    atomic_bool synced; /* set by the sync thread as its last act on the connection */
};

struct control {
    struct control_ops ops;
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    dev_t device; /* of the socket file, so that only our own is removed */
    ino_t inode;
    atomic_bool listens; /* path, device, inode and listener are set */
    int listener, wake;
    int64_t pause_until_ms; /* no connection is accepted before: out of descriptors, or of room */
    pthread_t thread;
    bool started;
    atomic_bool stopped;
    struct connection connections[CONTROL_CONNECTIONS_MOST];
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void wake(struct control *control)
{
    uint64_t one = 1;
    if (write(control->wake, &one, sizeof(one)) < 0)
        return; /* it is about to wake */
}

static int thread_start(pthread_t *thread, void *(*run)(void *), void *user)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(thread, NULL, run, user);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -r;
}

/* --- a connection ------------------------------------------------------------------------------
 */

static void connection_close(struct connection *connection)
{
    close(connection->fd);
    buffer_deinit(&connection->answer);
    *connection = (struct connection){.stage = STAGE_FREE, .fd = -1};
}

static void set_stage(struct connection *connection, enum stage stage)
{
    connection->stage = stage;
    connection->deadline_ms = now_ms() + CLIENT_MS;
}

static void answer_error(struct connection *connection, const char *text, size_t length)
{
    struct buffer *answer = &connection->answer;
    buffer_clear(answer);
    buffer_append_text(answer, "error ");
    for (size_t i = 0; i < length; i++)
        buffer_append_byte(answer, (uint8_t)text[i] < ' ' ? ' ' : text[i]);
    buffer_append_byte(answer, '\n');
}

static void refuse(struct connection *connection, const char *text)
{
    answer_error(connection, text, strlen(text));
    set_stage(connection, STAGE_ANSWER);
}

static void *sync_run(void *user)
{
    struct connection *connection = user;
    struct control *control = connection->control;
    struct buffer out = {.limit = ANSWER_MOST};
    thread_begin("sync");
    int r = control->ops.sync(control->ops.user, connection->sync_ms, &out);
    if (r < 0) {
        while (out.length > 0 && out.data[out.length - 1] == '\n')
            out.length--;
        const char *text = out.length ? (const char *)out.data : strerror(-r);
        answer_error(connection, text, out.length ? out.length : strlen(text));
    } else {
        buffer_append_text(&connection->answer, "ok\n");
        buffer_append_slice(&connection->answer, buffer_slice(&out));
    }
    buffer_deinit(&out);
    atomic_store(&connection->synced, true);
    wake(control); /* the control is freed only after this thread was joined */
    return NULL;
}

static size_t count_syncs(const struct control *control)
{
    size_t n = 0;
    for (size_t i = 0; i < CONTROL_CONNECTIONS_MOST; i++)
        n += control->connections[i].stage == STAGE_SYNC;
    return n;
}

static void begin_sync(struct connection *connection, unsigned timeout_ms)
{
    if (count_syncs(connection->control) >= CONTROL_SYNCS_MOST) {
        refuse(connection, "too many callers wait for a sync already; try again later");
        return;
    }
    connection->sync_ms = timeout_ms;
    int r = thread_start(&connection->thread, sync_run, connection);
    if (r < 0)
        refuse(connection, "cannot start a thread for the sync; try again later");
    else
        set_stage(connection, STAGE_SYNC);
}

/* "sync N", N in decimal and within bounds. */
static bool parse_sync(const char *request, unsigned *timeout_ms)
{
    static const char word[] = "sync ";
    unsigned value = 0;
    const char *digit = request + sizeof(word) - 1;
    if (strncmp(request, word, sizeof(word) - 1) || !*digit)
        return false;
    for (; *digit; digit++) {
        if (*digit < '0' || *digit > '9')
            return false;
        value = value * 10 + (unsigned)(*digit - '0');
        if (value > CONTROL_SYNC_MOST_MS)
            return false;
    }
    *timeout_ms = value;
    return true;
}

static void serve(struct connection *connection)
{
    struct control *control = connection->control;
    unsigned timeout_ms;
    if (!strcmp(connection->request, "status")) {
        buffer_append_text(&connection->answer, "ok\n");
        control->ops.status(control->ops.user, &connection->answer);
        set_stage(connection, STAGE_ANSWER);
    } else if (parse_sync(connection->request, &timeout_ms)) {
        begin_sync(connection, timeout_ms);
    } else {
        refuse(connection, "unknown request; there are: status, sync MILLISECONDS (0 to 3600000)");
    }
}

static void receive_request(struct connection *connection)
{
    char *start = connection->request + connection->n_request;
    ssize_t n = recv(connection->fd, start, REQUEST_MOST - connection->n_request, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        connection_close(connection);
        return;
    }
    connection->n_request += (size_t)n;
    char *newline = memchr(start, '\n', (size_t)n);
    if (newline) {
        *newline = '\0';
        serve(connection);
    } else if (connection->n_request == REQUEST_MOST) {
        refuse(connection, "the request is too long");
    }
}

static void send_answer(struct connection *connection)
{
    const struct buffer *answer = &connection->answer;
    while (connection->n_sent < answer->length) {
        ssize_t n = send(connection->fd, answer->data + connection->n_sent,
                         answer->length - connection->n_sent, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0)
            break;
        connection->n_sent += (size_t)n;
    }
    connection_close(connection);
}

/* --- the socket --------------------------------------------------------------------------------
 */

static bool somebody_listens(const struct sockaddr_un *address)
{
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r = fd < 0 ? -1 : connect(fd, (const struct sockaddr *)address, sizeof(*address));
    return r == 0 || (errno != ECONNREFUSED && errno != ENOENT); /* in doubt: yes */
}

static int remove_stale(const char *path, const struct sockaddr_un *address,
                        struct error_text *error)
{
    struct stat status;
    if (lstat(path, &status) < 0)
        return errno == ENOENT ? 0 : error_set(error, -errno, "%s: %s", path, strerror(errno));
    if (!S_ISSOCK(status.st_mode))
        return error_set(error, -EEXIST, "%s is in the way and is no socket; remove it", path);
    if (somebody_listens(address))
        return error_set(error, -EADDRINUSE,
                         "another vestiged answers on %s; stop it, or choose "
                         "another state directory",
                         path);
    if (unlink(path) < 0 && errno != ENOENT)
        return error_set(error, -errno, "cannot remove the old %s: %s", path, strerror(errno));
    return 0;
}

int control_check_path(const char *path, struct error_text *error)
{
    size_t most = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
    if (strlen(path) <= most)
        return 0;
    return error_set(error, -ENAMETOOLONG,
                     "%s: longer than a socket's name may be (%zu bytes); choose a shorter state "
                     "directory",
                     path, most);
}

/* fchmod before bind(2) decides the mode of the file, so that it is never open to others. */
static int make_socket(struct control *control, struct error_text *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;
    const char *path = control->path;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int r = remove_stale(path, &address, error);
    if (r < 0)
        return r;
    AUTO_CLOSE int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0 || fchmod(listener, 0600) < 0 ||
        bind(listener, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return error_set(error, -errno, "cannot make the socket %s: %s", path, strerror(errno));
    if (listen(listener, BACKLOG) < 0 || lstat(path, &status) < 0)
        return error_set(error, -errno, "cannot listen on %s: %s", path, strerror(errno));
    control->device = status.st_dev;
    control->inode = status.st_ino;
    control->listener = listener;
    listener = -1;
    atomic_store(&control->listens, true);
    return 0;
}

static bool is_no_room(int error)
{
    return error == -ENOSPC || error == -EDQUOT;
}

/* A name needs room on the disk; who asks meanwhile finds nobody. */
static void try_again(struct control *control)
{
    struct error_text error = ERROR_TEXT_NULL;
    int r = make_socket(control, &error);
    if (r == 0)
        log_notice("control", "there is room for %s: answering", control->path);
    control->pause_until_ms = r < 0 ? now_ms() + ROOM_MS : 0;
}

/* --- the loop ----------------------------------------------------------------------------------
 */

static bool is_allowed(int fd)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static struct connection *free_connection(struct control *control)
{
    for (size_t i = 0; i < CONTROL_CONNECTIONS_MOST; i++)
        if (control->connections[i].stage == STAGE_FREE)
            return &control->connections[i];
    return NULL;
}

static void accept_client(struct control *control)
{
    struct connection *connection = free_connection(control);
    int fd = connection ? accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;
    if (fd < 0) {
        bool passes = !connection || errno == EAGAIN || errno == EINTR || errno == ECONNABORTED;
        control->pause_until_ms = passes ? 0 : now_ms() + PAUSE_MS;
        return;
    }
    *connection =
        (struct connection){.control = control, .fd = fd, .answer = {.limit = ANSWER_MOST}};
    set_stage(connection, STAGE_REQUEST);
    if (!is_allowed(fd))
        refuse(connection, "only root and the agent's own user may ask");
}

static void handle(struct connection *connection, short events)
{
    if (connection->stage == STAGE_REQUEST && events)
        receive_request(connection);
    if (connection->stage == STAGE_SYNC && atomic_load(&connection->synced)) {
        pthread_join(connection->thread, NULL);
        set_stage(connection, STAGE_ANSWER);
    }
    if (connection->stage == STAGE_ANSWER)
        send_answer(connection);
    bool waits_for_client = connection->stage == STAGE_REQUEST || connection->stage == STAGE_ANSWER;
    if (waits_for_client && now_ms() >= connection->deadline_ms)
        connection_close(connection);
}

static struct pollfd watch(const struct connection *connection)
{
    switch (connection->stage) {
    case STAGE_REQUEST:
        return (struct pollfd){.fd = connection->fd, .events = POLLIN};
    case STAGE_ANSWER:
        return (struct pollfd){.fd = connection->fd, .events = POLLOUT};
    default:
        return (struct pollfd){.fd = -1};
    }
}

/* Until the first deadline; -1: none. */
static int timeout(const struct control *control)
{
    int64_t first = control->pause_until_ms ? control->pause_until_ms : INT64_MAX;
    for (size_t i = 0; i < CONTROL_CONNECTIONS_MOST; i++) {
        const struct connection *connection = &control->connections[i];
        bool counts = connection->stage == STAGE_REQUEST || connection->stage == STAGE_ANSWER;
        if (counts && connection->deadline_ms < first)
            first = connection->deadline_ms;
    }
    int64_t left = first == INT64_MAX ? -1 : first - now_ms();
    return first == INT64_MAX ? -1 : left < 0 ? 0 : (int)left;
}

static void turn(struct control *control)
{
    enum { LISTENER = CONTROL_CONNECTIONS_MOST, WAKE, N };
    struct pollfd fds[N];
    for (size_t i = 0; i < CONTROL_CONNECTIONS_MOST; i++)
        fds[i] = watch(&control->connections[i]);
    if (control->pause_until_ms && now_ms() >= control->pause_until_ms)
        control->pause_until_ms = 0;
    if (!control->pause_until_ms && control->listener < 0)
        try_again(control);
    bool listen_now = !control->pause_until_ms && free_connection(control);
    fds[LISTENER] = (struct pollfd){.fd = listen_now ? control->listener : -1, .events = POLLIN};
    fds[WAKE] = (struct pollfd){.fd = control->wake, .events = POLLIN};
    if (poll(fds, N, timeout(control)) < 0)
        return; /* EINTR or ENOMEM: the next turn sees the same */
    uint64_t count;
    if (fds[WAKE].revents && read(control->wake, &count, sizeof(count)) < 0)
        return;
    for (size_t i = 0; i < CONTROL_CONNECTIONS_MOST; i++)
        if (control->connections[i].stage != STAGE_FREE)
            handle(&control->connections[i], fds[i].revents);
    if (fds[LISTENER].revents)
        accept_client(control);
}

static void *loop(void *user)
{
    struct control *control = user;
    thread_begin("control");
    while (!atomic_load(&control->stopped))
        turn(control);
    return NULL;
}

static int listen_or_wait(struct control *control, const char *path, struct error_text *error)
{
    memcpy(control->path, path, strlen(path) + 1);
    int r = make_socket(control, error);
    if (!is_no_room(r))
        return r;
    log_warning("control", "%s; nobody can ask this agent until there is room", error->text);
    control->pause_until_ms = now_ms() + ROOM_MS;
    return 0;
}

int control_start(struct control **controlp, const char *path, const struct control_ops *ops,
                  struct error_text *error)
{
    struct control *control = calloc(1, sizeof(*control));
    if (!control)
        return -ENOMEM;
    control->ops = *ops;
    control->listener = -1;
    for (size_t i = 0; i < CONTROL_CONNECTIONS_MOST; i++)
        control->connections[i].fd = -1;
    control->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = control->wake < 0 ? error_set(error, -errno, "eventfd: %s", strerror(errno)) : 0;
    if (r == 0)
        r = control_check_path(path, error);
    if (r == 0)
        r = listen_or_wait(control, path, error);
    if (r == 0) {
        r = thread_start(&control->thread, loop, control);
        if (r < 0)
            error_set(error, r, "control: cannot start a thread: %s", strerror(-r));
    }
    control->started = r == 0;
    if (r < 0) {
        control_free(control);
        return r;
    }
    *controlp = control;
    return 0;
}

static void close_connections(struct control *control)
{
    for (size_t i = 0; i < CONTROL_CONNECTIONS_MOST; i++) {
        struct connection *connection = &control->connections[i];
        if (connection->stage == STAGE_SYNC) {
            pthread_join(connection->thread, NULL);
            set_stage(connection, STAGE_ANSWER);
        }
        if (connection->stage == STAGE_ANSWER)
            send_answer(connection);
        if (connection->stage != STAGE_FREE)
            connection_close(connection);
    }
}

static void remove_socket(const struct control *control)
{
    struct stat status;
    if (atomic_load(&control->listens) && lstat(control->path, &status) == 0 &&
        status.st_dev == control->device && status.st_ino == control->inode)
        unlink(control->path);
}

struct control *control_free(struct control *control)
{
    if (!control)
        return NULL;
    remove_socket(control);
    if (control->started) {
        atomic_store(&control->stopped, true);
        wake(control);
        pthread_join(control->thread, NULL);
        remove_socket(control); /* it may have been made just now */
        close_connections(control);
    }
    cleanup_close(&control->listener);
    cleanup_close(&control->wake);
    free(control);
    return NULL;
}
