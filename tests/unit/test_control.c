// links: vestige_control
/* The control socket: answers, refusals, and that no client makes another one wait. */
#include "core/cleanup.h"
#include "recorder/agent/control.h"
#include "recorder/agent/control_client.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

enum { ASK_MS = 60000 };

struct fixture {
    char directory[64], path[96];
    struct control *control;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned n_syncing;
    bool release; /* syncs may return */
    atomic_uint last_timeout;
};

static void status(void *user, struct buffer *out)
{
    (void)user;
    buffer_append_text(out, "facts 17\nlag_s 0\n");
}

static int sync_all(void *user, unsigned timeout_ms, struct buffer *out)
{
    struct fixture *f = user;
    atomic_store(&f->last_timeout, timeout_ms);
    if (timeout_ms == 1) {
        buffer_append_text(out, "not shipped:\nlag 7 batches\n");
        return -ETIMEDOUT;
    }
    if (timeout_ms == 2)
        return -ETIMEDOUT;
    pthread_mutex_lock(&f->lock);
    f->n_syncing++;
    pthread_cond_broadcast(&f->changed);
    while (timeout_ms == 9000 && !f->release)
        pthread_cond_wait(&f->changed, &f->lock);
    f->n_syncing--;
    pthread_mutex_unlock(&f->lock);
    buffer_append_text(out, "batch 9\n");
    return 0;
}

static void start(struct fixture *f)
{
    struct error_text error = ERROR_TEXT_NULL;
    struct control_ops ops = {.user = f, .status = status, .sync = sync_all};
    assert_int_equal(control_start(&f->control, f->path, &ops, &error), 0);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    snprintf(f->directory, sizeof(f->directory), "/tmp/vestige-control-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->path, sizeof(f->path), "%s/vestiged.sock", f->directory);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct stat status_of_file;
    control_free(f->control);
    assert_int_equal(stat(f->path, &status_of_file), -1);
    assert_int_equal(rmdir(f->directory), 0);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    free(f);
    return 0;
}

static void let_go(struct fixture *f)
{
    pthread_mutex_lock(&f->lock);
    f->release = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void expect(const struct fixture *f, const char *request, int outcome, const char *text)
{
    struct buffer answer = BUFFER_NULL;
    struct error_text error = ERROR_TEXT_NULL;
    assert_int_equal(control_ask(f->path, request, ASK_MS, &answer, &error), outcome);
    if (outcome == CONTROL_OK) {
        assert_int_equal(answer.length, strlen(text));
        assert_memory_equal(answer.length ? (const char *)answer.data : "", text, answer.length);
    } else {
        assert_string_equal(error.text, text);
        assert_int_equal(answer.length, 0);
    }
    buffer_deinit(&answer);
}

static void test_requests(void **state)
{
    struct fixture *f = *state;
    static const char unknown[] =
        "unknown request; there are: status, sync MILLISECONDS (0 to 3600000)";
    static const char *const bad[] = {"",
                                      "stat",
                                      "status ",
                                      "sync",
                                      "sync ",
                                      "sync x",
                                      "sync -1",
                                      "sync 3600001",
                                      "sync 1 ",
                                      "Status",
                                      "sync+1",
                                      "sync 0x1",
                                      "sync 99999999999999999999"};
    struct stat file;
    start(f);
    assert_int_equal(stat(f->path, &file), 0);
    assert_int_equal(file.st_mode & 07777, 0600);
    expect(f, "status", CONTROL_OK, "facts 17\nlag_s 0\n");
    expect(f, "sync 0", CONTROL_OK, "batch 9\n");
    assert_int_equal(atomic_load(&f->last_timeout), 0);
    expect(f, "sync 3600000", CONTROL_OK, "batch 9\n");
    assert_int_equal(atomic_load(&f->last_timeout), 3600000);
    expect(f, "sync 1", CONTROL_REFUSED, "not shipped: lag 7 batches");
    expect(f, "sync 2", CONTROL_REFUSED, "Connection timed out");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect(f, bad[i], CONTROL_REFUSED, unknown);
    char large[1000];
    memset(large, 's', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    expect(f, large, CONTROL_REFUSED, "the request is too long");
}

static int connect_raw(const struct fixture *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    memcpy(address.sun_path, f->path, strlen(f->path));
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Everything until the end of the stream. Returns false when that takes over @p most_ms. */
static bool read_to_end(int fd, char *text, size_t size, int most_ms)
{
    size_t length = 0;
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    while (poll(&poll_fd, 1, most_ms) == 1) {
        ssize_t n = read(fd, text + length, size - 1 - length);
        length += n > 0 ? (size_t)n : 0;
        text[length] = '\0';
        if (n <= 0)
            return true;
    }
    return false;
}

static time_t seconds_since(struct timespec begin)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec - begin.tv_sec;
}

/* Returns false when this thread stood still for so long that the client may have been cut. */
static bool ask_byte_by_byte(const struct fixture *f)
{
    char text[256] = "";
    bool sent = true;
    struct timespec begin;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    int fd = connect_raw(f);
    for (const char *c = "status"; *c; c++) {
        sent &= send(fd, c, 1, MSG_NOSIGNAL) == 1;
        expect(f, "status", CONTROL_OK, "facts 17\nlag_s 0\n"); /* others are served meanwhile */
    }
    sent &= send(fd, "\n", 1, MSG_NOSIGNAL) == 1;
    bool in_time = seconds_since(begin) < 4;
    if (in_time) {
        assert_true(sent);
        assert_true(read_to_end(fd, text, sizeof(text), ASK_MS));
        assert_string_equal(text, "ok\nfacts 17\nlag_s 0\n");
    }
    close(fd);
    return in_time;
}

static void test_slow_clients(void **state)
{
    struct fixture *f = *state;
    int silent[32];
    char text[256];
    struct timespec begin;
    start(f);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (size_t i = 0; i < 32; i++)
        silent[i] = connect_raw(f);
    bool in_time = false;
    for (int i = 0; i < 5 && !in_time; i++)
        in_time = ask_byte_by_byte(f);
    assert_true(in_time);
    for (size_t i = 0; i < 32; i++) { /* cut, without an answer */
        text[0] = '\0';
        assert_true(read_to_end(silent[i], text, sizeof(text), ASK_MS));
        assert_string_equal(text, "");
        close(silent[i]);
    }
    assert_in_range(seconds_since(begin), 4, 60);
}

static void *ask_sync(void *user)
{
    expect(user, "sync 9000", CONTROL_OK, "batch 9\n");
    return NULL;
}

static void wait_for_syncs(struct fixture *f, unsigned n)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    pthread_mutex_lock(&f->lock);
    int r = 0;
    while (f->n_syncing < n && r == 0)
        r = pthread_cond_timedwait(&f->changed, &f->lock, &until);
    pthread_mutex_unlock(&f->lock);
    assert_int_equal(r, 0);
}

static void test_syncs_at_the_same_time(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[CONTROL_SYNCS_MOST];
    start(f);
    for (size_t i = 0; i < CONTROL_SYNCS_MOST; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_sync, f), 0);
    wait_for_syncs(f, CONTROL_SYNCS_MOST);
    expect(f, "sync 0", CONTROL_REFUSED,
           "too many callers wait for a sync already; try again later");
    expect(f, "status", CONTROL_OK, "facts 17\nlag_s 0\n");
    let_go(f);
    for (size_t i = 0; i < CONTROL_SYNCS_MOST; i++)
        pthread_join(threads[i], NULL);
    expect(f, "sync 0", CONTROL_OK, "batch 9\n");
}

static void *free_control(void *user)
{
    struct fixture *f = user;
    f->control = control_free(f->control);
    return NULL;
}

/* A sync that runs when the agent ends is waited for, and answered. Who hung up is no harm. */
static void test_end_during_a_sync(void **state)
{
    struct fixture *f = *state;
    pthread_t asking, freeing;
    struct stat file;
    start(f);
    int hung_up = connect_raw(f);
    assert_int_equal(write(hung_up, "sync 9000\n", 10), 10);
    assert_int_equal(pthread_create(&asking, NULL, ask_sync, f), 0);
    wait_for_syncs(f, 2);
    close(hung_up);
    assert_int_equal(pthread_create(&freeing, NULL, free_control, f), 0);
    for (int i = 0; i < 12000 && stat(f->path, &file) == 0; i++)
        poll(NULL, 0, 5);
    assert_int_equal(stat(f->path, &file), -1);
    let_go(f);
    pthread_join(freeing, NULL);
    pthread_join(asking, NULL);
}

static void leave_a_stale_socket(const struct fixture *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path, f->path, strlen(f->path));
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
}

static void test_the_path_is_taken(void **state)
{
    struct fixture *f = *state;
    struct control *second = NULL;
    struct control_ops ops = {.user = f, .status = status, .sync = sync_all};
    struct error_text error = ERROR_TEXT_NULL;
    char expected[256], target[128], longer[300];
    leave_a_stale_socket(f);
    expect(f, "status", -ECONNREFUSED,
           (snprintf(expected, sizeof(expected),
                     "no agent answers on %s: start vestiged, or name its state directory with "
                     "--state",
                     f->path),
            expected));
    start(f);
    expect(f, "status", CONTROL_OK, "facts 17\nlag_s 0\n");
    assert_int_equal(control_start(&second, f->path, &ops, &error), -EADDRINUSE);
    snprintf(expected, sizeof(expected),
             "another vestiged answers on %s; stop it, or choose "
             "another state directory",
             f->path);
    assert_string_equal(error.text, expected);
    expect(f, "status", CONTROL_OK, "facts 17\nlag_s 0\n"); /* the first one is as before */
    snprintf(target, sizeof(target), "%s/file", f->directory);
    int fd = open(target, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(control_start(&second, target, &ops, &error), -EEXIST);
    snprintf(expected, sizeof(expected), "%s is in the way and is no socket; remove it", target);
    assert_string_equal(error.text, expected);
    assert_int_equal(unlink(target), 0);
    snprintf(longer, sizeof(longer), "%s/%0150d", f->directory, 0);
    assert_int_equal(control_start(&second, longer, &ops, &error), -ENAMETOOLONG);
    assert_null(second);
}

/* As another user: the file does not let it in, and where it does, the credentials do not. */
static void ask_as_nobody(const struct fixture *f, int expected)
{
    pid_t pid = fork();
    int result;
    assert_true(pid >= 0);
    if (pid == 0) {
        struct buffer answer = BUFFER_NULL;
        struct error_text error = ERROR_TEXT_NULL;
        if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
            _exit(100);
        int r = control_ask(f->path, "status", ASK_MS, &answer, &error);
        bool text = r != CONTROL_REFUSED ||
                    !strcmp(error.text, "only root and the agent's own user may ask");
        _exit(r == expected && text ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &result, 0), pid);
    assert_int_equal(result, 0);
}

static void test_other_users(void **state)
{
    struct fixture *f = *state;
    start(f);
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(f->directory, 0755), 0);
    ask_as_nobody(f, -EACCES);
    assert_int_equal(chmod(f->path, 0666), 0);
    ask_as_nobody(f, CONTROL_REFUSED);
}

static void test_no_agent(void **state)
{
    struct fixture *f = *state;
    char expected[256];
    snprintf(expected, sizeof(expected),
             "no agent answers on %s: start vestiged, or name its "
             "state directory with --state",
             f->path);
    expect(f, "status", -ENOENT, expected);
}

/* There is a name before anybody listens. */
static void wait_until_it_answers(const struct fixture *f)
{
    int r = -ENOENT;
    for (int i = 0; i < ASK_MS && (r == -ENOENT || r == -ECONNREFUSED); i++) {
        struct buffer answer = BUFFER_NULL;
        struct error_text error = ERROR_TEXT_NULL;
        r = control_ask(f->path, "status", ASK_MS, &answer, &error);
        buffer_deinit(&answer);
        poll(NULL, 0, r == CONTROL_OK ? 0 : 1);
    }
}

/* Without an inode for the socket it starts, says so, and answers as soon as there is one. */
static void test_no_room_for_the_socket(void **state)
{
    struct fixture *f = *state;
    struct stat found;
    char filler[96];
    if (unshare(CLONE_NEWNS) < 0)
        skip();
    assert_int_equal(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    assert_int_equal(mount("tmpfs", f->directory, "tmpfs", 0, "nr_inodes=2"), 0);
    snprintf(filler, sizeof(filler), "%s/filler", f->directory);
    assert_int_equal(mknod(filler, S_IFREG | 0600, 0), 0);
    start(f);
    assert_int_equal(stat(f->path, &found), -1);
    assert_int_equal(unlink(filler), 0);
    wait_until_it_answers(f);
    expect(f, "status", CONTROL_OK, "facts 17\nlag_s 0\n");
    f->control = control_free(f->control);
    assert_int_equal(stat(f->path, &found), -1);
    assert_int_equal(mknod(filler, S_IFREG | 0600, 0), 0);
    start(f);
    f->control = control_free(f->control); /* also before there was room */
    assert_int_equal(umount2(f->directory, MNT_DETACH), 0);
}

static void *answer_nonsense(void *user)
{
    int listener = *(const int *)user;
    static const char *const answers[] = {"", "ok", "okay\n", "error\n", NULL};
    for (size_t i = 0; answers[i]; i++) {
        char request[64];
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0 && recv(fd, request, 7, MSG_WAITALL) == 7 &&
            write(fd, answers[i], strlen(answers[i])) >= 0)
            close(fd);
    }
    return NULL;
}

static void test_something_else_answers(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct buffer answer = BUFFER_NULL;
    struct error_text error = ERROR_TEXT_NULL;
    char expected[256];
    pthread_t thread;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path, f->path, strlen(f->path));
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    /* nobody accepts: the deadline ends it */
    assert_int_equal(control_ask(f->path, "status", 50, &answer, &error), -ETIMEDOUT);
    close(accept(fd, NULL, NULL)); /* the one that gave up */
    assert_int_equal(pthread_create(&thread, NULL, answer_nonsense, &fd), 0);
    snprintf(expected, sizeof(expected), "what answers on %s is not vestiged", f->path);
    for (int i = 0; i < 4; i++)
        expect(f, "status", -EPROTO, expected);
    pthread_join(thread, NULL);
    close(fd);
    assert_int_equal(unlink(f->path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_requests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slow_clients, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_syncs_at_the_same_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_end_during_a_sync, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_path_is_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_users, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_agent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_room_for_the_socket, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_something_else_answers, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
