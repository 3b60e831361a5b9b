// links: vestige_sock_diag Threads::Threads
/* The map from nsid to namespace: what was set is found, replaced and removed, up to its bound. */
#include "collectors/sock_diag/nsid_map.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct nsid_map *new_map(void)
{
    struct nsid_map *map;
    assert_int_equal(nsid_map_new(&map), 0);
    return map;
}

static void test_set_replace_remove(void **state)
{
    (void)state;
    struct nsid_map *map = new_map();
    assert_int_equal(nsid_map_find(map, 0), 0);
    assert_int_equal(nsid_map_set(map, 5, 50), 0);
    assert_int_equal(nsid_map_set(map, 0, 10), 0);
    assert_int_equal(nsid_map_set(map, INT32_MAX, 70), 0);
    assert_int_equal(nsid_map_set(map, 5, 51), 0);
    assert_int_equal(nsid_map_find(map, 5), 51);
    assert_int_equal(nsid_map_find(map, 0), 10);
    assert_int_equal(nsid_map_find(map, INT32_MAX), 70);
    assert_int_equal(nsid_map_find(map, 4), 0);
    assert_int_equal(nsid_map_find(map, -1), 0);
    nsid_map_remove(map, 5);
    nsid_map_remove(map, 6);
    assert_int_equal(nsid_map_find(map, 5), 0);
    assert_int_equal(nsid_map_find(map, 0), 10);
    assert_int_equal(nsid_map_find(map, INT32_MAX), 70);
    assert_null(nsid_map_free(map));
}

static void test_bound(void **state)
{
    (void)state;
    struct nsid_map *map = new_map();
    for (int32_t i = 0; i < NSID_MAP_MOST; i++) /* 7 and 4096 have no common factor */
        assert_int_equal(nsid_map_set(map, i * 7 % NSID_MAP_MOST, (uint64_t)i + 1), 0);
    assert_int_equal(nsid_map_set(map, NSID_MAP_MOST, 1), -ENOSPC);
    assert_int_equal(nsid_map_set(map, 7, 77), 0);
    for (int32_t i = 0; i < NSID_MAP_MOST; i++)
        assert_int_equal(nsid_map_find(map, i * 7 % NSID_MAP_MOST), i == 1 ? 77 : i + 1);
    nsid_map_remove(map, 100);
    assert_int_equal(nsid_map_set(map, NSID_MAP_MOST, 1), 0);
    assert_int_equal(nsid_map_find(map, NSID_MAP_MOST), 1);
    nsid_map_free(map);
}

enum { ROUNDS = 20000 };

static void *change(void *user)
{
    for (int32_t i = 0; i < ROUNDS; i++) {
        assert_int_equal(nsid_map_set(user, i % 64, (uint64_t)(i % 64) + 1000), 0);
        nsid_map_remove(user, i * 5 % 64);
    }
    return NULL;
}

static void test_two_threads(void **state)
{
    (void)state;
    struct nsid_map *map = new_map();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, change, map), 0);
    for (int32_t i = 0; i < ROUNDS; i++) {
        uint64_t inode = nsid_map_find(map, i % 64);
        assert_true(inode == 0 || inode == (uint64_t)(i % 64) + 1000);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    nsid_map_free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_replace_remove),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_two_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
