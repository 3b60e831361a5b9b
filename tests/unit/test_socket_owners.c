// links: vestige_sock_diag
/* Owners of sockets, from the real /proc: descriptors of this test. */
#include "collectors/sock_diag/socket_owners.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { COPIES = 2 * SOCKET_OWNERS_MOST + 7, DESCRIPTORS_MOST = 4096 };

struct watch {
    uint64_t inode;
    unsigned seen[DESCRIPTORS_MOST]; /* by descriptor */
    unsigned n_mine, n_calls;
    int answer;
};

static int take(void *user, uint64_t boot_ns, const struct sock_diag_owner *owners, size_t n)
{
    struct watch *watch = user;
    assert_true(boot_ns > 0);
    assert_in_range(n, 1, SOCKET_OWNERS_MOST);
    watch->n_calls++;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(owners[i].inode, watch->inode);
        if (owners[i].pid != (uint32_t)getpid())
            continue;
        assert_in_range(owners[i].descriptor, 0, DESCRIPTORS_MOST - 1);
        watch->seen[owners[i].descriptor]++;
        watch->n_mine++;
    }
    return watch->answer;
}

struct rig {
    struct socket_owners *owners;
    struct inode_set wanted;
    struct watch watch;
    int fd, other;
};

static void rig_open(struct rig *rig)
{
    struct stat status;
    struct error_text error = ERROR_TEXT_NULL;
    *rig = (struct rig){.fd = socket(AF_INET, SOCK_DGRAM, 0)};
    rig->other = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(fstat(rig->fd, &status), 0);
    rig->watch.inode = status.st_ino;
    assert_int_equal(inode_set_add(&rig->wanted, status.st_ino), 0);
    inode_set_sort(&rig->wanted);
    assert_int_equal(socket_owners_new(&rig->owners, &error), 0);
}

static void rig_close(struct rig *rig)
{
    assert_null(socket_owners_free(rig->owners));
    inode_set_deinit(&rig->wanted);
    close(rig->fd);
    close(rig->other);
}

static void test_every_descriptor_once(void **state)
{
    (void)state;
    struct rig rig;
    int copies[COPIES];
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    rig_open(&rig);
    for (size_t i = 0; i < COPIES; i++)
        assert_true((copies[i] = dup(rig.fd)) >= 0);
    assert_int_equal(socket_owners_find(rig.owners, &rig.wanted, take, &rig.watch), 0);
    assert_int_equal(rig.watch.n_mine, COPIES + 1);
    assert_int_equal(rig.watch.n_calls, 3);
    assert_int_equal(rig.watch.seen[rig.fd], 1);
    assert_int_equal(rig.watch.seen[rig.other], 0);
    for (size_t i = 0; i < COPIES; i++) {
        assert_int_equal(rig.watch.seen[copies[i]], 1);
        close(copies[i]);
    }
    rig_close(&rig);
}

static void test_handler_ends_the_search(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    rig.watch.answer = -ECANCELED;
    assert_int_equal(socket_owners_find(rig.owners, &rig.wanted, take, &rig.watch), -ECANCELED);
    rig.watch.answer = 0;
    assert_int_equal(socket_owners_find(rig.owners, &rig.wanted, take, &rig.watch), 0);
    assert_int_equal(rig.watch.n_mine, 2);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_descriptor_once),
        cmocka_unit_test(test_handler_ends_the_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
