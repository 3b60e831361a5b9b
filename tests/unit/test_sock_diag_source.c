// links: vestige_sock_diag
/* The source against the real kernel, without privilege: sockets of this test. */
#include "collectors/sock_diag/sock_diag_source.h"

#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The ends of all sockets of this machine come, also while nobody drains. */
enum { WAIT_MS = 60000, GULP_SIZE = 256 << 10, RECEIVE_BUFFER = 16 << 20 };

/* What was said of one socket, and the rest as numbers. */
struct watch {
    struct counters counters;
    struct source *source;
    struct decoder *decoder;
    struct gulp *gulp;
    uint64_t inode, cookie; /* of the socket; 0: not known */
    uint64_t netns;         /* of this test */
    unsigned n_begins, n_ends, n_incomplete, n_found, n_destroyed, n_owners, n_notes, n_bad;
    unsigned n_own_begins,
        n_own_ends; /* others come by themselves, when somebody makes a namespace */
    struct socket_description found, destroyed;
    struct fact_socket_owner owners[4];
};

static void take_socket(struct watch *watch, const struct fact_socket *fact)
{
    const struct socket_description *socket = &fact->socket;
    if (!fact->end && socket->inode == watch->inode) {
        watch->n_found++;
        watch->found = *socket;
        watch->cookie = socket->cookie;
    }
    if (fact->end && watch->cookie && socket->cookie == watch->cookie) {
        watch->n_destroyed++;
        watch->destroyed = *socket;
    }
}

static void take_scan(struct watch *watch, const struct fact_socket_scan *scan)
{
    bool own = scan->netns == watch->netns;
    if (scan->begin) {
        watch->n_begins++;
        watch->n_own_begins += own;
    } else if (scan->netns) {
        watch->n_ends++;
        watch->n_own_ends += own;
        watch->n_incomplete += !scan->complete;
    }
}

static void take(void *user, const struct fact *fact)
{
    struct watch *watch = user;
    if (fact->kind == FACT_SOCKET)
        take_socket(watch, &fact->socket);
    if (fact->kind == FACT_SOCKET_SCAN)
        take_scan(watch, &fact->socket_scan);
    if (fact->kind == FACT_SOCKET_OWNER && fact->socket_owner.inode == watch->inode) {
        assert_true(watch->n_owners < 4);
        watch->owners[watch->n_owners++] = fact->socket_owner;
    }
    watch->n_notes += fact->kind == FACT_NOTE;
}

static void drain(struct watch *watch)
{
    int r;
    do {
        struct message message;
        size_t offset = 0;
        watch->gulp->used = 0;
        r = sock_diag_source_ops.drain(watch->source, watch->gulp);
        assert_true(r == SOURCE_DRAINED || r == SOURCE_MORE);
        while (gulp_next(watch->gulp, &offset, &message))
            watch->n_bad += sock_diag_source_ops.decode(watch->decoder, &message, take, watch) != 0;
    } while (r == SOURCE_MORE);
}

static void wait_for(struct watch *watch, const unsigned *counter, unsigned n)
{
    for (int waited = 0; waited < WAIT_MS && *counter < n; waited += 5) {
        drain(watch);
        poll(NULL, 0, *counter < n ? 5 : 0);
    }
    assert_true(*counter >= n);
}

static uint64_t inode_of(int fd)
{
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    return status.st_ino;
}

static uint64_t own_netns(void)
{
    struct stat status;
    assert_int_equal(stat("/proc/self/ns/net", &status), 0);
    return status.st_ino;
}

static void open_watch(struct watch *watch, int socket)
{
    struct error_text error = ERROR_TEXT_NULL;
    *watch = (struct watch){
        .gulp = gulp_new(GULP_SIZE), .inode = inode_of(socket), .netns = own_netns()};
    struct source_options options = {.sock_diag_interval_s = 3600,
                                     .receive_buffer = RECEIVE_BUFFER,
                                     .counters = &watch->counters,
                                     .wake_fd = -1};
    assert_non_null(watch->gulp);
    assert_int_equal(sock_diag_source_ops.decoder_new(&watch->decoder), 0);
    assert_int_equal(sock_diag_source_ops.open(&watch->source, &options, &error), 0);
    wait_for(watch, &watch->n_notes, 1); /* the end of the first look */
}

static void close_watch(struct watch *watch)
{
    sock_diag_source_ops.stop(watch->source);
    drain(watch);
    assert_null(sock_diag_source_ops.free(watch->source));
    sock_diag_source_ops.decoder_free(watch->decoder);
    gulp_free(watch->gulp);
    assert_int_equal(watch->n_bad, 0);
    /* The stop may have come in a dump: that of another namespace, or of a second request. */
    assert_in_range(watch->n_begins - watch->n_ends, 0, 1);
    assert_int_equal(watch->n_incomplete, 0);
}

static int bound_socket(int type)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, type, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void test_life_of_a_socket(void **state)
{
    (void)state;
    struct watch watch;
    int fd = bound_socket(SOCK_DGRAM);
    open_watch(&watch, fd);
    assert_int_equal(watch.n_found, 1);
    assert_int_equal(watch.found.protocol, IPPROTO_UDP);
    assert_int_equal(watch.found.uid, getuid());
    assert_int_equal(watch.found.local.family, AF_INET);
    assert_int_equal(watch.n_owners, 1);
    assert_int_equal(watch.owners[0].pid, getpid());
    assert_int_equal(watch.owners[0].descriptor, fd);
    assert_int_equal(watch.found.netns, watch.netns);
    close(fd);
    wait_for(&watch, &watch.n_destroyed, 1);
    assert_int_equal(watch.destroyed.netns, watch.netns);
    assert_int_equal(watch.destroyed.inode, 0);
    assert_int_equal(watch.destroyed.local.port, watch.found.local.port);
    close_watch(&watch);
    assert_int_equal(watch.n_destroyed, 1);
}

static void test_request(void **state)
{
    (void)state;
    struct watch watch;
    int fd = bound_socket(SOCK_STREAM);
    assert_int_equal(listen(fd, 1), 0);
    open_watch(&watch, fd);
    assert_int_equal(watch.n_own_ends, 1);
    assert_int_equal(watch.n_found, 1);
    sock_diag_request(watch.source);
    sock_diag_request(watch.source);
    wait_for(&watch, &watch.n_own_ends, 2);
    /* Once in each; a third has begun if this thread stood still for long. */
    assert_in_range(watch.n_own_begins, 2, 3);
    assert_in_range(watch.n_found, watch.n_own_ends, watch.n_own_begins);
    assert_int_equal(watch.n_owners, 1); /* they are known */
    close(fd);
    close_watch(&watch);
}

static void test_inherited_by_a_child(void **state)
{
    (void)state;
    struct watch watch;
    int pipes[2], fd = bound_socket(SOCK_DGRAM), copy = dup(fd);
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        uint8_t byte;
        close(pipes[1]);
        _exit(read(pipes[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(pipes[0]);
    open_watch(&watch, fd);
    assert_int_equal(watch.n_owners, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(watch.owners[i].pid == (uint32_t)getpid() ||
                    watch.owners[i].pid == (uint32_t)child);
        assert_true(watch.owners[i].descriptor == fd || watch.owners[i].descriptor == copy);
    }
    close(pipes[1]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(fd);
    close(copy);
    close_watch(&watch);
}

/* The thread waits for room in its queue, and is stopped there. */
static void test_stop_while_nobody_drains(void **state)
{
    (void)state;
    struct watch watch;
    struct error_text error = ERROR_TEXT_NULL;
    memset(&watch, 0, sizeof(watch));
    struct source_options options = {.counters = &watch.counters, .wake_fd = -1};
    for (int i = 0; i < 20; i++) {
        assert_int_equal(sock_diag_source_ops.open(&watch.source, &options, &error), 0);
        sock_diag_request(watch.source);
        sock_diag_source_ops.stop(watch.source);
        assert_null(sock_diag_source_ops.free(watch.source));
    }
    assert_null(sock_diag_source_ops.free(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life_of_a_socket),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_inherited_by_a_child),
        cmocka_unit_test(test_stop_while_nobody_drains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
