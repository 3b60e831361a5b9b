// links: vestige_tracker
/* Which image an audit record speaks of: by pid, order and time, when records are missing, when the
 * clock steps, and when nobody but audit tells of an exec. */
#include "processes_test.h"

static bool said(struct world *w, const char *text)
{
    return memmem(w->memory.text.data, w->memory.text.length, text, strlen(text)) != NULL;
}

/* Two execs a millisecond apart, as of a shell that was given a command. Returns when the first
 * was. */
static uint64_t two_quick_execs(struct world *w, uint32_t pid)
{
    fork_process(w, 1, pid);
    exec_process(w, pid);
    uint64_t first = w->now;
    tick(w, 1);
    exec_process(w, pid);
    return first;
}

static void end(struct world *w, uint32_t pid, uint64_t elapsed_ms)
{
    exit_task(w, pid, pid, 0);
    stats(w, pid, elapsed_ms);
}

/* A record of another process, from so much later that what has not come is lost. */
static void pass_horizon(struct world *w)
{
    tick(w, 1100);
    fork_process(w, 1, 9999);
    exec_process(w, 9999);
    audit_exec(w, 9999, w->now, "horizon");
    tick(w, 0);
}

static void test_quick_execs_with_both_records(void **state)
{
    struct world *w = *state;
    uint64_t first = two_quick_execs(w, 100);
    end(w, 100, 1);
    audit_exec(w, 100, first - 3 * MS, "one");
    assert_int_equal(n_lines(w), 0); /* it may be the second's */
    audit_exec(w, 100, first - 3 * MS, "two");
    assert_int_equal(n_lines(w), 2);
    assert_string_equal(value(w, 0, PROCESS_ARGUMENTS), "one");
    assert_string_equal(value(w, 0, PROCESS_END_CAUSE), "exec");
    assert_string_equal(value(w, 1, PROCESS_ARGUMENTS), "two");
    assert_string_equal(value(w, 1, PROCESS_END_CAUSE), "exit");
    assert_int_equal(value_id(w, 1, PROCESS_PREVIOUS_ID), line_id(w, 0));
}

static void test_the_only_record_of_two_quick_execs_goes_to_none(void **state)
{
    struct world *w = *state;
    uint64_t first = two_quick_execs(w, 100);
    end(w, 100, 1);
    audit_exec(w, 100, first - 2 * MS, "whose");
    tick(w, 250);
    assert_int_equal(n_lines(w), 2);
    pass_horizon(w);
    assert_int_equal(n_lines(w), 4);
    expect_line(w, 2, "settle\tprocess\t");
    expect_line(w, 3, "settle\tprocess\t");
    assert_string_equal(value(w, 2, PROCESS_ARGUMENTS - PROCESS_COMM), "\\N");
    assert_string_equal(value(w, 2, 0), "\\N");
    assert_string_equal(value(w, 3, 0), "stat"); /* the last image's name, by taskstats */
    assert_false(said(w, "whose"));
    assert_int_equal(counter_get(&w->counters, COUNTER_AUDIT_UNJOINED), 2);
}

static void test_a_record_too_late_for_the_first_exec_is_the_second_ones(void **state)
{
    struct world *w = *state;
    uint64_t first = two_quick_execs(w, 100);
    tick(w, 30);
    exec_process(w, 100);
    audit_exec(w, 100, first + 29 * MS, "three");
    end(w, 100, 31);
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, PROCESS_ARGUMENTS), "three");
}

static void test_a_record_too_early_for_the_second_exec_is_the_first_ones(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    exec_process(w, 100);
    uint64_t first = w->now;
    w->now += 1200 * MS; /* nobody has had time to read */
    exec_process(w, 100);
    audit_exec(w, 100, first - 4 * MS, "one");
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, PROCESS_ARGUMENTS), "one");
}

static void test_of_three_quick_execs_the_middle_ones_record_is_missing(void **state)
{
    struct world *w = *state;
    uint64_t first = two_quick_execs(w, 100);
    tick(w, 40);
    exec_process(w, 100);
    audit_exec(w, 100, first - 2 * MS, "one or two");
    audit_exec(w, 100, w->now, "three");
    end(w, 100, 41);
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, PROCESS_ARGUMENTS), "three");
    tick(w, 250);
    pass_horizon(w);
    assert_int_equal(n_lines(w), 5);
    assert_false(said(w, "one or two"));
}

static void test_three_quick_execs_with_all_records(void **state)
{
    struct world *w = *state;
    uint64_t first = two_quick_execs(w, 100);
    tick(w, 1);
    exec_process(w, 100);
    static const char *const names[] = {"one", "two", "three"};
    for (unsigned i = 0; i < 3; i++)
        audit_exec(w, 100, first, names[i]);
    end(w, 100, 2);
    assert_int_equal(n_lines(w), 3);
    for (size_t i = 0; i < 3; i++)
        for (unsigned k = 0; k < 3; k++)
            if (value_id(w, i, PROCESS_PREVIOUS_ID) == 0)
                assert_string_equal(value(w, i, PROCESS_ARGUMENTS), "one");
    assert_string_equal(value(w, 2, PROCESS_ARGUMENTS), "three");
    assert_true(said(w, "\ttwo\t"));
}

/* An event whose end was lost is handed over late, behind younger ones. */
static void test_a_record_with_an_older_serial_is_of_an_older_image(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    exec_process(w, 100);
    uint64_t first = w->now;
    tick(w, 40);
    exec_process(w, 100);
    audit_exec_serial(w, 5, 100, w->now, "two");
    tick(w, 1);
    exec_process(w, 100);
    audit_exec_serial(w, 4, 100, first, "one");
    assert_int_equal(n_lines(w), 2);
    assert_string_equal(value(w, 0, PROCESS_ARGUMENTS), "two");
    assert_string_equal(value(w, 1, PROCESS_ARGUMENTS), "one");
    assert_int_equal(line_id(w, 1), value_id(w, 0, PROCESS_PREVIOUS_ID));
}

/* What is not certain is nobody's: also not the children's. */
static void test_a_child_does_not_inherit_a_guess(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    exec_process(w, 100);
    uint64_t first = w->now;
    fork_process(w, 100, 101);
    tick(w, 1);
    exec_process(w, 100);
    audit_exec(w, 100, first, "whose");
    exit_task(w, 101, 101, 0);
    stats(w, 101, 1);
    tick(w, 250);
    assert_int_equal(n_lines(w), 3);
    assert_false(said(w, "whose"));
}

/* On a busy virtual machine the coarse clock stands still for longer than a tick. */
static void test_a_clock_that_lags_costs_nothing(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    exec_process(w, 100);
    audit_exec(w, 100, w->now - 100 * MS, "x");
    end(w, 100, 0);
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, PROCESS_ARGUMENTS), "x");
}

static void test_a_record_from_before_the_process_is_not_its_own(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    exec_process(w, 100);
    audit_exec(w, 100, w->now - 5000 * MS, "stale");
    audit_exec(w, 100, w->now, "own");
    end(w, 100, 0);
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, PROCESS_ARGUMENTS), "own");
    assert_int_equal(counter_get(&w->counters, COUNTER_AUDIT_UNJOINED), 1);
}

/* The wall clock steps while records are on their way. */
static void exec_across_a_step(struct world *w, int64_t step_ns)
{
    fork_process(w, 1, 100);
    exec_process(w, 100);
    uint64_t at = w->now;
    int64_t before_step = w->wall_ahead_ns;
    tick(w, 30);
    w->wall_ahead_ns += step_ns;
    tick(w, 15);
    w->wall_ahead_ns = before_step; /* the record was stamped before */
    audit_exec(w, 100, at, "across");
    w->wall_ahead_ns += step_ns;
    end(w, 100, 45);
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, PROCESS_ARGUMENTS), "across");
}

static void test_arguments_are_joined_across_steps(void **state)
{
    struct world *w = *state;
    static const int64_t steps_ms[] = {-7200000, 7200000, -50, 50, 31536000000, -31536000000};
    for (size_t i = 0; i < sizeof(steps_ms) / sizeof(steps_ms[0]); i++) {
        row_sink_memory_clear(&w->memory);
        exec_across_a_step(w, steps_ms[i] * (int64_t)MS);
        tick(w, 1000);
    }
}

/* One record with a stamp from before a step back must not declare all others lost. */
static void test_a_step_back_gives_up_no_late_record(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    exec_process(w, 100);
    uint64_t at = w->now;
    tick(w, 10);
    w->wall_ahead_ns -= 7200000 * (int64_t)MS;
    tick(w, 15);
    w->wall_ahead_ns += 7200000 * (int64_t)MS;
    audit_exec(w, 100, at, "before");
    w->wall_ahead_ns -= 7200000 * (int64_t)MS;
    tick(w, 1000);
    fork_process(w, 1, 200);
    exec_process(w, 200);
    at = w->now;
    tick(w, 300);
    tick(w, 300);
    assert_int_equal(n_lines(w), 2);
    audit_exec(w, 200, at, "late");
    assert_int_equal(n_lines(w), 3);
    expect_line(w, 2, "settle\tprocess\t");
    assert_string_equal(value(w, 2, PROCESS_ARGUMENTS - PROCESS_COMM), "late");
}

/* The row of an exec is there after a quarter of a second, and its arguments when audit says them.
 */
static void test_who_asks_for_all_waits_for_a_late_record(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    uint64_t before = w->now;
    tick(w, 1);
    exec_process(w, 100);
    uint64_t at = w->now;
    tick(w, 300);
    assert_int_equal(n_lines(w), 1);
    assert_true(processes_settled_until(w->processes, w->now));
    assert_true(processes_told_until(w->processes, before));
    assert_false(processes_told_until(w->processes, w->now));
    audit_exec(w, 100, at, "late");
    assert_true(processes_told_until(w->processes, w->now));
}

static void test_nobody_waits_for_ever_for_a_record_that_is_lost(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    exec_process(w, 100);
    tick(w, 300);
    assert_false(processes_told_until(w->processes, w->now));
    tick(w, 11000);
    assert_true(processes_told_until(w->processes, w->now));
    fork_process(w, 1, 200);
    exec_process(w, 200);
    tick(w, 300);
    assert_false(processes_told_until(w->processes, w->now));
    pass_horizon(w);
    assert_true(processes_told_until(w->processes, w->now));
}

static int setup_without_connector(void **state)
{
    struct world *w = world_new();
    w->options.connector_active = false;
    world_begin(w);
    scan(w, true);
    scan(w, false);
    tick(w, 0);
    *state = w;
    return 0;
}

static void test_without_connector_an_exec_ends_the_image_before(void **state)
{
    struct world *w = *state;
    audit_exec(w, 100, w->now, "one");
    tick(w, 4);
    audit_exec(w, 100, w->now - 4 * MS, "two"); /* the same stamp, but a later serial */
    tick(w, 1000);
    assert_int_equal(n_lines(w), 2);
    assert_string_equal(value(w, 0, PROCESS_ARGUMENTS), "one");
    assert_string_equal(value(w, 0, PROCESS_END_CAUSE), "exec");
    assert_string_equal(value(w, 1, PROCESS_ARGUMENTS), "two");
    assert_int_equal(value_id(w, 1, PROCESS_PREVIOUS_ID), line_id(w, 0));
    audit_exec(w, 100, w->now, "three");
    tick(w, 1000);
    assert_int_equal(n_lines(w), 4);
    expect_line(w, 2, "end\tprocess\t");
    assert_string_equal(value(w, 2, 1), "exec");
    assert_int_equal(line_id(w, 2), line_id(w, 1));
    assert_string_equal(value(w, 3, PROCESS_ARGUMENTS), "three");
    stats(w, 100, 2004);
    tick(w, 1000);
    assert_int_equal(n_lines(w), 5);
    assert_int_equal(line_id(w, 4), line_id(w, 3));
    assert_string_equal(value(w, 4, 1), "exit");
    assert_int_equal(processes_living(w->processes), 0);
}

static void test_without_connector_a_process_of_the_scan_executes(void **state)
{
    struct world *w = *state;
    give(w, proc_entry(100, 1, ticks_of(w->now) - 500, "sh", "/bin/sh"));
    tick(w, 300);
    assert_int_equal(n_lines(w), 1);
    audit_exec(w, 100, w->now, "now");
    tick(w, 300);
    assert_int_equal(n_lines(w), 3);
    expect_line(w, 1, "end\tprocess\t");
    assert_int_equal(line_id(w, 1), line_id(w, 0));
    assert_string_equal(value(w, 2, PROCESS_EXE), "/bin/true");
    assert_int_equal(value_id(w, 2, PROCESS_PREVIOUS_ID), line_id(w, 0));
}

static void test_without_connector_the_scan_has_seen_the_image_already(void **state)
{
    struct world *w = *state;
    uint64_t at = w->now;
    tick(w, 100);
    give(w, proc_entry(100, 1, ticks_of(at), "true", "/bin/true"));
    audit_exec(w, 100, at, "seen");
    tick(w, 300);
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, PROCESS_ARGUMENTS), "seen");
    assert_string_equal(value(w, 0, PROCESS_LOGIN_UID), "1000");
    assert_string_equal(value(w, 0, PROCESS_END_CAUSE), "\\N");
}

/* /proc was read between the begin of an exec, which audit stamps, and its end. */
static void test_without_connector_the_scan_has_seen_the_image_before(void **state)
{
    struct world *w = *state;
    uint64_t at = w->now;
    tick(w, 3);
    give(w, proc_entry(100, 1, ticks_of(at), "shell", "/usr/bin/shell"));
    audit_exec(w, 100, at, "executed");
    tick(w, 300);
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, PROCESS_COMM), "true");
    assert_string_equal(value(w, 0, PROCESS_EXE), "/bin/true");
    assert_string_equal(value(w, 0, PROCESS_ARGUMENTS), "executed");
}

/* It has renamed itself since, or is seen below another root. */
static void test_without_connector_a_seen_image_has_another_name(void **state)
{
    static const char *const names[][2] = {
        {"true", "/var/lib/root/bin/true"},
        {"mine", "/bin/true"             }
    };
    for (uint32_t i = 0; i < 2; i++) {
        struct world *w = *state;
        uint64_t at = w->now;
        tick(w, 3);
        give(w, proc_entry(100 + i, 1, ticks_of(at), names[i][0], names[i][1]));
        audit_exec(w, 100 + i, at, "seen");
        tick(w, 300);
        assert_int_equal(n_lines(w), i + 1);
        assert_string_equal(value(w, i, PROCESS_COMM), names[i][0]);
        assert_string_equal(value(w, i, PROCESS_ARGUMENTS), "seen");
    }
}

/* Its numbers are read before its records. */
static void test_without_connector_a_short_life_with_two_images(void **state)
{
    struct world *w = *state;
    uint64_t first = w->now;
    tick(w, 10);
    stats(w, 100, 10);
    audit_exec(w, 100, first + 1 * MS, "one");
    audit_exec(w, 100, first + 5 * MS, "two");
    tick(w, 1000);
    tick(w, 1000);
    size_t ended = 0;
    for (size_t i = 0; i < n_lines(w); i++) {
        size_t column = row_sink_memory_line(&w->memory, i).data[0] == 'e' ? 1 : PROCESS_END_CAUSE;
        ended += strcmp(value(w, i, column), "\\N") != 0;
    }
    assert_int_equal(ended, 2);
    assert_string_equal(value(w, 0, PROCESS_ARGUMENTS), "one");
    assert_string_equal(value(w, 0, PROCESS_END_CAUSE), "exec");
    assert_string_equal(value(w, 1, PROCESS_ARGUMENTS), "two");
    assert_int_equal(value_id(w, 1, PROCESS_PREVIOUS_ID), line_id(w, 0));
    assert_int_equal(processes_living(w->processes), 0);
}

int main(void)
{
#define TEST(name)  cmocka_unit_test_setup_teardown(name, setup, teardown)
#define ALONE(name) cmocka_unit_test_setup_teardown(name, setup_without_connector, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_quick_execs_with_both_records),
        TEST(test_the_only_record_of_two_quick_execs_goes_to_none),
        TEST(test_a_record_too_late_for_the_first_exec_is_the_second_ones),
        TEST(test_a_record_too_early_for_the_second_exec_is_the_first_ones),
        TEST(test_of_three_quick_execs_the_middle_ones_record_is_missing),
        TEST(test_three_quick_execs_with_all_records),
        TEST(test_a_record_with_an_older_serial_is_of_an_older_image),
        TEST(test_a_child_does_not_inherit_a_guess),
        TEST(test_a_clock_that_lags_costs_nothing),
        TEST(test_a_record_from_before_the_process_is_not_its_own),
        TEST(test_arguments_are_joined_across_steps),
        TEST(test_a_step_back_gives_up_no_late_record),
        TEST(test_who_asks_for_all_waits_for_a_late_record),
        TEST(test_nobody_waits_for_ever_for_a_record_that_is_lost),
        ALONE(test_without_connector_an_exec_ends_the_image_before),
        ALONE(test_without_connector_a_process_of_the_scan_executes),
        ALONE(test_without_connector_the_scan_has_seen_the_image_already),
        ALONE(test_without_connector_the_scan_has_seen_the_image_before),
        ALONE(test_without_connector_a_seen_image_has_another_name),
        ALONE(test_without_connector_a_short_life_with_two_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
