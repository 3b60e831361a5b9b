// links: vestige_sock_diag
/* Sets of inode numbers. */
#include "collectors/sock_diag/inode_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void fill(struct inode_set *set, const uint64_t *inodes, size_t n)
{
    inode_set_clear(set);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(inode_set_add(set, inodes[i]), 0);
    inode_set_sort(set);
}

static void test_has(void **state)
{
    (void)state;
    struct inode_set set = INODE_SET_NULL;
    assert_false(inode_set_has(&set, 1));
    fill(&set, (const uint64_t[]){7, 3, UINT32_MAX, 0, 5}, 5);
    assert_int_equal(set.n, 4);
    assert_true(inode_set_has(&set, 3) && inode_set_has(&set, 5) && inode_set_has(&set, 7));
    assert_true(inode_set_has(&set, UINT32_MAX));
    assert_false(inode_set_has(&set, 0) || inode_set_has(&set, 4) || inode_set_has(&set, 8));
    assert_false(inode_set_has(&set, UINT64_C(1) << 32 | 3));
    inode_set_deinit(&set);
}

static void test_difference(void **state)
{
    (void)state;
    struct inode_set a = INODE_SET_NULL, b = INODE_SET_NULL, to = INODE_SET_NULL;
    fill(&a, (const uint64_t[]){9, 1, 5, 5, 12}, 5);
    fill(&b, (const uint64_t[]){2, 5, 13, 9}, 4);
    assert_int_equal(inode_set_difference(&to, &a, &b), 0);
    assert_int_equal(to.n, 2);
    assert_true(inode_set_has(&to, 1) && inode_set_has(&to, 12));
    assert_int_equal(inode_set_difference(&to, &a, &a), 0);
    assert_int_equal(to.n, 0);
    inode_set_clear(&b);
    assert_int_equal(inode_set_difference(&to, &a, &b), 0);
    assert_int_equal(to.n, 5);
    assert_int_equal(inode_set_join(&b, &to), 0);
    inode_set_sort(&b);
    assert_true(inode_set_has(&b, 9));
    inode_set_deinit(&a);
    inode_set_deinit(&b);
    inode_set_deinit(&to);
}

static void test_bound(void **state)
{
    (void)state;
    struct inode_set set = INODE_SET_NULL;
    for (uint64_t i = INODE_SET_MOST + 3; i > 0; i--)
        assert_int_equal(inode_set_add(&set, i), 0);
    assert_int_equal(inode_set_add(&set, UINT64_C(1) << 32), 0);
    assert_int_equal(set.n, INODE_SET_MOST);
    assert_int_equal(set.n_left_out, 4);
    inode_set_sort(&set);
    assert_true(inode_set_has(&set, 4));
    assert_false(inode_set_has(&set, 3));
    inode_set_clear(&set);
    assert_int_equal(set.n_left_out, 0);
    inode_set_deinit(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_has),
        cmocka_unit_test(test_difference),
        cmocka_unit_test(test_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
