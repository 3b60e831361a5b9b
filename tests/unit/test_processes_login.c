// links: vestige_tracker
/* The login user stays with all that comes of the task that logged in, in whatever order the kernel
 * tells of it. */
#include "processes_test.h"

/* Process 100 has been there for a while. */
static int setup_daemon(void **state)
{
    setup(state);
    struct world *w = *state;
    fork_process(w, 1, 100);
    tick(w, 1000);
    assert_int_equal(n_lines(w), 1);
    row_sink_memory_clear(&w->memory);
    return 0;
}

static void expect_login(struct world *w, uint32_t pid, const char *login_uid)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", pid);
    for (size_t i = 0; i < n_lines(w); i++) {
        struct slice line = row_sink_memory_line(&w->memory, i);
        if (memcmp(line.data, "insert\tprocess\t", 15) || strcmp(value(w, i, PROCESS_PID), text))
            continue;
        assert_string_equal(value(w, i, PROCESS_LOGIN_UID), login_uid);
        assert_string_equal(value(w, i, PROCESS_SESSION_ID), *login_uid == '\\' ? "\\N" : "3");
        return;
    }
    fail_msg("no row of process %u", pid);
}

/* In each gulp the connector comes first, then taskstats, then audit. */
static void test_all_that_comes_of_a_login(void **state)
{
    struct world *w = *state;
    uint64_t login = w->now;
    tick(w, 1);
    fork_process(w, 100, 101);
    fork_process(w, 101, 102);
    fork_process(w, 102, 103);
    exit_task(w, 101, 101, 0);
    exit_task(w, 102, 102, 0);
    stats(w, 101, 0);
    stats(w, 102, 0);
    audit_login(w, 100, login, 1000);
    tick(w, 250);
    expect_login(w, 101, "1000");
    expect_login(w, 102, "1000");
    expect_login(w, 103, "1000");
    fork_process(w, 103, 104);
    tick(w, 250);
    expect_login(w, 104, "1000");
}

static void test_what_was_forked_before_the_login_is_not_of_it(void **state)
{
    struct world *w = *state;
    fork_process(w, 100, 101);
    tick(w, 5);
    uint64_t login = w->now;
    tick(w, 1);
    fork_process(w, 101, 102);
    fork_process(w, 100, 103);
    audit_login(w, 100, login, 1000);
    tick(w, 250);
    expect_login(w, 101, "\\N");
    expect_login(w, 102, "\\N");
    expect_login(w, 103, "1000");
}

static void test_a_login_of_its_own_is_kept(void **state)
{
    struct world *w = *state;
    user_names_learn(w->names, &(struct fact_user_name){.uid = 1001, .name = slice_text("bob")});
    uint64_t login = w->now;
    tick(w, 1);
    fork_process(w, 100, 101);
    tick(w, 5);
    uint64_t own_login = w->now;
    tick(w, 1);
    fork_process(w, 101, 102);
    audit_login(w, 101, own_login, 1001);
    audit_login(w, 100, login, 1000);
    fork_process(w, 100, 103);
    tick(w, 250);
    expect_login(w, 102, "1001");
    expect_login(w, 103, "1000");
}

/* The pid of the child belonged to another process before, which lived until just now. */
static void test_a_pid_of_another_life_is_no_descendant(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 101);
    tick(w, 1000);
    uint64_t login = w->now;
    tick(w, 1);
    fork_process(w, 101, 102);
    exit_task(w, 101, 101, 0);
    stats(w, 101, 1001);
    fork_process(w, 100, 101);
    audit_login(w, 100, login, 1000);
    tick(w, 250);
    expect_login(w, 102, "\\N");
}

static void test_an_exec_says_it_itself(void **state)
{
    struct world *w = *state;
    uint64_t login = w->now;
    tick(w, 1);
    fork_process(w, 100, 101);
    exec_process(w, 101);
    audit_login(w, 100, login, 1001);
    audit_exec(w, 101, w->now, "x");
    tick(w, 250);
    expect_login(w, 101, "1000");
}

/* An exec before the login whose record was lost is not taken for one after it. */
static void test_the_change_belongs_to_the_image_that_logged_in(void **state)
{
    struct world *w = *state;
    exec_process(w, 100);
    tick(w, 2000);
    audit_login(w, 100, w->now, 1000);
    assert_int_equal(n_lines(w), 3);
    expect_line(w, 2, "insert\tprocess_change\t");
    assert_int_equal(value_id(w, 2, 2), line_id(w, 1));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_daemon, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_all_that_comes_of_a_login),
        TEST(test_what_was_forked_before_the_login_is_not_of_it),
        TEST(test_a_login_of_its_own_is_kept),
        TEST(test_a_pid_of_another_life_is_no_descendant),
        TEST(test_an_exec_says_it_itself),
        TEST(test_the_change_belongs_to_the_image_that_logged_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
