// links: vestige_tracker
/* Facts in, rows out: each way in which a process can live and end, without a kernel. */
#include "processes_test.h"

static void test_short_process_is_one_complete_line(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    exec_process(w, 100);
    uint64_t at = w->now;
    tick(w, 1);
    exit_task(w, 100, 100, 3 << 8);
    tick(w, 1);
    assert_int_equal(n_lines(w), 0);
    stats(w, 100, 1);
    audit_exec(w, 100, at, "it's");
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, PROCESS_PID), "100");
    assert_string_equal(value(w, 0, PROCESS_EXE), "/bin/true");
    assert_string_equal(value(w, 0, PROCESS_ARGV0), "true");
    assert_string_equal(value(w, 0, PROCESS_ARGUMENTS), "'it'\\\\''s'");
    assert_string_equal(value(w, 0, PROCESS_LOGIN_UID), "1000");
    assert_string_equal(value(w, 0, PROCESS_LOGIN_USERNAME), "alice");
    assert_string_equal(value(w, 0, PROCESS_USERNAME), "root");
    assert_string_equal(value(w, 0, PROCESS_END_CAUSE), "exit");
    assert_string_equal(value(w, 0, PROCESS_EXIT_CODE), "3");
    assert_string_equal(value(w, 0, PROCESS_EXIT_SIGNAL), "\\N");
    assert_string_equal(value(w, 0, PROCESS_MAX_RSS_KIB), "7");
    assert_string_equal(value(w, 0, PROCESS_SEEN_BY), "audit,connector,taskstats");
    tick(w, 100000);
    assert_int_equal(n_lines(w), 1);
    assert_int_equal(processes_living(w->processes), 0);
}

static void test_fork_without_exec_is_a_row(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    tick(w, 1);
    exit_task(w, 100, 100, 9);
    stats(w, 100, 1);
    assert_int_equal(n_lines(w), 0); /* its parent may have logged in before it was born */
    tick(w, 249);
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, PROCESS_EXIT_SIGNAL), "9");
    assert_string_equal(value(w, 0, PROCESS_EXIT_CODE), "\\N");
    assert_string_equal(value(w, 0, PROCESS_PREVIOUS_ID), "\\N");
}

static void test_long_fork_image_is_a_row_of_its_own(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    tick(w, 101);
    exec_process(w, 100);
    uint64_t at = w->now;
    tick(w, 149);
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, PROCESS_END_CAUSE), "exec");
    assert_string_equal(value(w, 0, PROCESS_EXIT_CODE), "\\N");
    audit_exec(w, 100, at, "x");
    exit_task(w, 100, 100, 0);
    stats(w, 100, 250);
    assert_int_equal(n_lines(w), 2);
    char start[64];
    snprintf(start, sizeof(start), "insert\tprocess\t%s\t", value(w, 1, PROCESS_PREVIOUS_ID));
    expect_line(w, 0, start);
    assert_string_equal(value(w, 1, PROCESS_END_CAUSE), "exit");
}

/* Its second image is done before its first: it is in the journal with the latter, which is counted
 * as its birth. */
static void test_stored_is_the_first_image(void **state)
{
    struct world *w = *state;
    struct processes_state own;
    fork_process(w, 1, 100);
    tick(w, 150);
    exec_process(w, 100);
    uint64_t at = w->now;
    tick(w, 20);
    audit_exec(w, 100, at, "x");
    exit_task(w, 100, 100, 0);
    stats(w, 100, 170);
    assert_int_equal(n_lines(w), 1);
    for (unsigned i = 0; i < 50; i++) {
        tick(w, 10);
        processes_get_state(w->processes, &own);
        bool first = false;
        for (size_t line = 0; line < n_lines(w); line++)
            first |= !strcmp(value(w, line, PROCESS_PREVIOUS_ID), "\\N");
        assert_int_equal(own.unstored, !first);
    }
    assert_int_equal(n_lines(w), 2);
    assert_int_equal(own.unstored, 0);
}

static void test_leader_that_exits_first(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    give(w, (struct fact){
                .kind = FACT_FORK, .fork = {{100, 100}, {101, 100}}
    });
    tick(w, 1);
    exit_task(w, 100, 100, 0);
    tick(w, 1);
    assert_int_equal(n_lines(w), 0);
    exit_task(w, 101, 100, 7 << 8);
    last_stats(w, 101, 100, 2, 7 << 8);
    tick(w, 250);
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, PROCESS_EXIT_CODE), "7");
}

/* A thread ended by itself, and was joined, before another one called exit(6), in 100 the leader;
 * the end of its exit came later. */
static void test_thread_whose_end_is_told_last(void **state)
{
    struct world *w = *state;
    for (unsigned turn = 0; turn < 4; turn++) {
        uint32_t pid = 100 + turn * 10, last = turn & 2 ? pid + 2 : pid;
        fork_process(w, 1, pid);
        for (uint32_t thread = pid + 1; thread <= pid + 2; thread++)
            give(w, (struct fact){
                        .kind = FACT_FORK, .fork = {{pid, pid}, {thread, pid}}
            });
        tick(w, 1);
        if (turn & 1)
            last_stats(w, last, pid, 1, 6 << 8);
        exit_task(w, pid, pid, 6 << 8);
        exit_task(w, pid + 2, pid, 6 << 8);
        exit_task(w, pid + 1, pid, 0);
        if (!(turn & 1))
            last_stats(w, last, pid, 1, 6 << 8);
        tick(w, 250);
        assert_int_equal(n_lines(w), 1 + turn);
        assert_string_equal(value(w, turn, PROCESS_EXIT_CODE), "6");
    }
}

static void test_exec_from_a_thread(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    give(w, (struct fact){
                .kind = FACT_FORK, .fork = {{100, 100}, {101, 100}}
    });
    tick(w, 200);
    exit_task(w, 100, 100, 0);
    exec_process(w, 100);
    uint64_t at = w->now;
    audit_exec(w, 100, at, "y");
    tick(w, 50);
    exit_task(w, 100, 100, 0);
    stats(w, 100, 250);
    assert_int_equal(n_lines(w), 2);
    assert_string_equal(value(w, 0, PROCESS_END_CAUSE), "exec");
    assert_string_equal(value(w, 1, PROCESS_END_CAUSE), "exit");
    assert_string_equal(value(w, 1, PROCESS_ARGUMENTS), "y");
}

static void test_living_process_is_inserted_then_ended(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    exec_process(w, 100);
    audit_exec(w, 100, w->now, "z");
    tick(w, 249);
    assert_int_equal(n_lines(w), 0);
    tick(w, 1);
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, PROCESS_DESTROYED_AT), "\\N");
    assert_string_equal(value(w, 0, PROCESS_ARGUMENTS), "z");
    tick(w, 5000);
    exit_task(w, 100, 100, 0);
    stats(w, 100, 5250);
    assert_int_equal(n_lines(w), 2);
    expect_line(w, 1, "end\tprocess\t");
    assert_string_equal(value(w, 1, 1), "exit");
}

static void test_late_audit_settles(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    exec_process(w, 100);
    uint64_t at = w->now;
    tick(w, 1);
    exit_task(w, 100, 100, 0);
    stats(w, 100, 1);
    tick(w, 250);
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, PROCESS_EXE), "\\N");
    assert_string_equal(value(w, 0, PROCESS_END_CAUSE), "exit");
    audit_exec(w, 100, at, "late");
    assert_int_equal(n_lines(w), 2);
    expect_line(w, 1, "settle\tprocess\t");
    assert_string_equal(value(w, 1, PROCESS_ARGUMENTS - PROCESS_COMM), "late");
}

static void test_lost_record_costs_arguments_only(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    exec_process(w, 100);
    tick(w, 1);
    exit_task(w, 100, 100, 0);
    stats(w, 100, 1);
    tick(w, 250);
    tick(w, 1000);
    fork_process(w, 1, 200);
    exec_process(w, 200);
    audit_exec(w, 200, w->now, "next");
    tick(w, 1);
    assert_int_equal(n_lines(w), 2);
    expect_line(w, 1, "settle\tprocess\t");
    assert_string_equal(value(w, 1, PROCESS_ARGUMENTS - PROCESS_COMM), "\\N");
    assert_string_equal(value(w, 1, 0), "stat");
}

static void test_two_execs_of_one_pid_keep_their_records(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    exec_process(w, 100);
    uint64_t first = w->now;
    tick(w, 20);
    exec_process(w, 100);
    uint64_t second = w->now;
    audit_exec(w, 100, second, "two");
    assert_int_equal(n_lines(w), 0);
    exit_task(w, 100, 100, 0);
    stats(w, 100, 20);
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, PROCESS_ARGUMENTS), "two");
    audit_exec(w, 100, first, "one");
    assert_int_equal(n_lines(w), 2);
    assert_string_equal(value(w, 1, PROCESS_ARGUMENTS), "one");
    assert_string_equal(value(w, 1, PROCESS_END_CAUSE), "exec");
}

static void test_ids_before_exec_belong_to_the_new_image(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    give(w, (struct fact){
                .kind = FACT_UID, .uid = {{100, 100}, 1000, 1000}
    });
    tick(w, 60);
    assert_int_equal(n_lines(w), 1);
    expect_line(w, 0, "insert\tprocess_change\t");
    assert_string_equal(value(w, 0, 3), "uid");
    assert_string_equal(value(w, 0, 5), "1000");
    give(w, (struct fact){
                .kind = FACT_UID, .uid = {{100, 100}, 1000, 0}
    });
    exec_process(w, 100);
    tick(w, 100);
    assert_int_equal(n_lines(w), 1);
    tick(w, 200);
    assert_int_equal(n_lines(w), 2);
    assert_string_equal(value(w, 1, PROCESS_UID), "1000");
    assert_string_equal(value(w, 1, PROCESS_EUID), "0");
}

/* A worker that changes its user all the time holds up nobody who asks for what was before. */
static void test_ids_that_never_rest(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    tick(w, 500);
    uint64_t mark_ns = w->now;
    for (unsigned i = 0; i < 8; i++) {
        give(w, (struct fact){
                    .kind = FACT_UID, .uid = {{100, 100}, 0, i % 2 ? 0 : 1000}
        });
        assert_false(processes_settled_until(w->processes, w->now));
        if (i == 0)
            assert_false(processes_settled_until(w->processes, mark_ns));
        tick(w, 20);
    }
    assert_true(processes_settled_until(w->processes, mark_ns));
}

static void test_name_change(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    exec_process(w, 100);
    audit_exec(w, 100, w->now, "x");
    give(w, (struct fact){
                .kind = FACT_COMM, .comm = {{100, 100}, slice_text("crond")}
    });
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, 3), "comm");
    assert_string_equal(value(w, 0, 4), "true");
    assert_string_equal(value(w, 0, 5), "crond");
}

static void test_reused_pid_gets_its_own_numbers(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    tick(w, 500);
    exit_task(w, 100, 100, 1 << 8);
    fork_process(w, 1, 100);
    stats(w, 100, 500);
    tick(w, 1);
    exit_task(w, 100, 100, 2 << 8);
    stats(w, 100, 1);
    tick(w, 250);
    assert_int_equal(n_lines(w), 3);
    expect_line(w, 1, "end\tprocess\t");
    assert_string_equal(value(w, 1, PROCESS_EXIT_CODE - PROCESS_DESTROYED_AT), "1");
    assert_string_equal(value(w, 2, PROCESS_EXIT_CODE), "2");
}

static void test_exit_that_comes_after_the_pid_was_reused(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    tick(w, 1);
    fork_process(w, 1, 100);
    exit_task(w, 100, 100, 1 << 8);
    stats(w, 100, 1);
    tick(w, 249);
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, PROCESS_EXIT_CODE), "1");
    assert_int_equal(processes_living(w->processes), 1);
    exit_task(w, 100, 100, 2 << 8);
    stats(w, 100, 249);
    tick(w, 1);
    assert_int_equal(n_lines(w), 2);
    assert_string_equal(value(w, 1, PROCESS_EXIT_CODE), "2");
}

static void test_two_lives_of_a_pid_before_anybody_else_speaks(void **state)
{
    struct world *w = *state;
    for (unsigned life = 0; life < 2; life++) {
        fork_process(w, 1, 100);
        exec_process(w, 100);
        exit_task(w, 100, 100, life << 8);
    }
    tick(w, 10);
    audit_exec(w, 100, boot_start, "one");
    stats(w, 100, 0);
    audit_exec(w, 100, boot_start, "two");
    stats(w, 100, 0);
    assert_int_equal(n_lines(w), 2);
    assert_string_equal(value(w, 0, PROCESS_ARGUMENTS), "one");
    assert_string_equal(value(w, 0, PROCESS_EXIT_CODE), "0");
    assert_string_equal(value(w, 1, PROCESS_ARGUMENTS), "two");
    assert_string_equal(value(w, 1, PROCESS_EXIT_CODE), "1");
}

static void test_name_changed_before_its_record_came(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    exec_process(w, 100);
    uint64_t at = w->now;
    give(w, (struct fact){
                .kind = FACT_COMM, .comm = {{100, 100}, slice_text("crond")}
    });
    assert_int_equal(n_lines(w), 0);
    audit_exec(w, 100, at, "x");
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, 4), "true");
    assert_string_equal(value(w, 0, 5), "crond");
    exit_task(w, 100, 100, 0);
    stats(w, 100, 0);
    assert_string_equal(value(w, 1, PROCESS_COMM), "true");
}

static void test_login_directly_before_an_exec(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    exec_process(w, 100);
    audit_exec(w, 100, w->now, "first");
    tick(w, 300);
    exec_process(w, 100);
    uint64_t at = w->now;
    int64_t real_ms = (real_start + (int64_t)(at - boot_start)) / 1000000;
    give(w, (struct fact){
                .kind = FACT_AUDIT_LOGIN,
                .audit_login = {.real_ms = real_ms,
                                .pid = 100,
                                .login_uid = 1000,
                                .old_login_uid = ID_UNSET,
                                .session = 3}
    });
    audit_exec(w, 100, at, "second");
    assert_int_equal(n_lines(w), 3);
    expect_line(w, 2, "insert\tprocess_change\t");
    assert_string_equal(value(w, 2, 3), "login_uid");
    char start[64];
    snprintf(start, sizeof(start), "insert\tprocess\t%s\t", value(w, 2, 2));
    expect_line(w, 0, start);
}

static void test_living_row_that_was_given_up(void **state)
{
    struct world *w = *state;
    w->memory.refuse = -ENOSPC;
    for (uint32_t pid = 100; pid < 300; pid++)
        fork_process(w, 1, pid);
    tick(w, 300);
    assert_int_equal(w->output.refused_processes, 100);
    w->memory.refuse = 0;
    tick(w, 20);
    assert_int_equal(n_lines(w), 100);
    for (uint32_t pid = 100; pid < 300; pid++) {
        exit_task(w, pid, pid, 0);
        stats(w, pid, 320);
    }
    assert_int_equal(n_lines(w), 200); /* no end for a row that is nowhere */
}

static void test_sink_that_refuses(void **state)
{
    struct world *w = *state;
    w->memory.refuse = -ENOSPC;
    for (uint32_t pid = 100; pid < 300; pid++) {
        fork_process(w, 1, pid);
        exit_task(w, pid, pid, 0);
        stats(w, pid, 0);
    }
    tick(w, 250);
    assert_int_equal(n_lines(w), 0);
    assert_int_equal(w->output.refused_processes, 100);
    w->memory.refuse = 0;
    tick(w, 20);
    assert_int_equal(n_lines(w), 100);
    struct processes_state left;
    processes_get_state(w->processes, &left);
    assert_int_equal(left.unstored, 100); /* counted, not yet in a gap row */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_short_process_is_one_complete_line),
        TEST(test_fork_without_exec_is_a_row),
        TEST(test_long_fork_image_is_a_row_of_its_own),
        TEST(test_stored_is_the_first_image),
        TEST(test_leader_that_exits_first),
        TEST(test_thread_whose_end_is_told_last),
        TEST(test_exec_from_a_thread),
        TEST(test_living_process_is_inserted_then_ended),
        TEST(test_late_audit_settles),
        TEST(test_lost_record_costs_arguments_only),
        TEST(test_two_execs_of_one_pid_keep_their_records),
        TEST(test_ids_before_exec_belong_to_the_new_image),
        TEST(test_ids_that_never_rest),
        TEST(test_name_change),
        TEST(test_reused_pid_gets_its_own_numbers),
        TEST(test_exit_that_comes_after_the_pid_was_reused),
        TEST(test_two_lives_of_a_pid_before_anybody_else_speaks),
        TEST(test_name_changed_before_its_record_came),
        TEST(test_login_directly_before_an_exec),
        TEST(test_living_row_that_was_given_up),
        TEST(test_sink_that_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
