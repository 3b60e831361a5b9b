// links: vestige_tracker
/* Names of users by uid: what is asked for, and when. */
#include "recorder/lifecycle/user_names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define S UINT64_C(1000000000)

struct world {
    struct user_names *names;
    unsigned n_asked;
    uint32_t last;
};

static void on_ask(void *user, uint32_t uid)
{
    struct world *w = user;
    w->n_asked++;
    w->last = uid;
}

static int set_up(void **state)
{
    static struct world world;
    world = (struct world){0};
    *state = &world;
    return user_names_new(&world.names, (struct user_names_request){.user = &world, .ask = on_ask});
}

static int tear_down(void **state)
{
    struct world *w = *state;
    w->names = user_names_free(w->names);
    return 0;
}

static void learn(struct world *w, uint32_t uid, enum user_name_origin origin, const char *name)
{
    user_names_learn(
        w->names, &(struct fact_user_name){.uid = uid, .origin = origin, .name = slice_text(name)});
}

/* NULL: there is no such user. */
static void expect_known(struct world *w, uint32_t uid, uint64_t now_ns, const char *name,
                         unsigned n_asked)
{
    struct slice found;
    assert_true(user_names_find(w->names, uid, now_ns, &found));
    assert_true(name ? slice_is(found, name) : slice_is_null(found));
    assert_int_equal(w->n_asked, n_asked);
}

static void expect_missing(struct world *w, uint32_t uid, uint64_t now_ns, unsigned n_asked)
{
    struct slice found;
    assert_false(user_names_find(w->names, uid, now_ns, &found));
    assert_true(slice_is_null(found));
    assert_int_equal(w->n_asked, n_asked);
}

static void test_miss_asks_once_a_second(void **state)
{
    struct world *w = *state;
    expect_missing(w, 7, 100 * S, 1);
    assert_int_equal(w->last, 7);
    expect_missing(w, 7, 101 * S, 1);
    expect_missing(w, 8, 101 * S, 2);
    expect_missing(w, 7, 101 * S + 1, 3);
    expect_known(w, ID_UNSET, 101 * S, NULL, 3);
}

static void test_file_is_not_asked_again(void **state)
{
    struct world *w = *state;
    learn(w, 7, USER_OF_FILE, "a");
    expect_known(w, 7, 100 * S, "a", 0);
    expect_known(w, 7, 1000 * S, "a", 0);
}

static void test_switch_is_asked_in_passing(void **state)
{
    struct world *w = *state;
    expect_missing(w, 7, 100 * S, 1);
    learn(w, 7, USER_OF_SWITCH, "a");
    expect_known(w, 7, 105 * S, "a", 1);
    expect_known(w, 7, 105 * S + 1, "a", 2);
    expect_known(w, 7, 110 * S, "a", 2);
    learn(w, 7, USER_AS_BEFORE, NULL);
    expect_known(w, 7, 110 * S, "a", 2);
    learn(w, 7, USER_OF_NOBODY, NULL);
    expect_known(w, 7, 110 * S, NULL, 2);
    learn(w, 7, USER_OF_FILE, "b");
    expect_known(w, 7, 1000 * S, "b", 2);
}

/* The switch could not tell: that is an answer, so that nothing waits. */
static void test_no_answer(void **state)
{
    struct world *w = *state;
    expect_missing(w, 7, 100 * S, 1);
    learn(w, 7, USER_AS_BEFORE, NULL);
    expect_known(w, 7, 100 * S, NULL, 1);
    expect_known(w, 7, 106 * S, NULL, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_miss_asks_once_a_second, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_is_not_asked_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_switch_is_asked_in_passing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_answer, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
