// links: vestige_tracker
/* What /proc shows against what the connector has said, kernel threads, and rows of an earlier run.
 */
#include "processes_test.h"

static struct fact kernel_entry(uint32_t pid, uint64_t start_ticks, const char *comm)
{
    struct fact fact = proc_entry(pid, pid == 2 ? 0 : 2, start_ticks, comm, NULL);
    fact.proc_process.kernel_thread = true;
    return fact;
}

static void kernel_stats(struct world *w, uint32_t pid, uint64_t elapsed_ms, const char *comm)
{
    give(w, (struct fact){
                .kind = FACT_TASK_STATS,
                .task_stats = {.pid = pid,
                               .tgid = pid,
                               .last = true,
                               .comm = slice_text(comm),
                               .elapsed_us = elapsed_ms * 1000}
    });
}

/* The parent of all kernel threads is known, and its row is written. */
static int setup_kernel(void **state)
{
    setup(state);
    struct world *w = *state;
    give(w, kernel_entry(2, 1, "kthreadd"));
    tick(w, 300);
    assert_string_equal(value(w, 0, PROCESS_COMM), "kthreadd");
    row_sink_memory_clear(&w->memory);
    return 0;
}

static void test_kernel_thread_that_lived_shortly(void **state)
{
    struct world *w = *state;
    fork_process(w, 2, 300);
    tick(w, 5);
    exit_task(w, 300, 300, 0);
    kernel_stats(w, 300, 5, "jbd2/loop0-8");
    tick(w, 300);
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, PROCESS_COMM), "jbd2/loop0-8");
    assert_string_equal(value(w, 0, PROCESS_END_CAUSE), "exit");
}

static void test_kernel_thread_that_the_scan_names(void **state)
{
    struct world *w = *state;
    fork_process(w, 2, 300);
    uint64_t start = ticks_of(w->now);
    tick(w, 100);
    give(w, kernel_entry(300, start, "kworker/1:2"));
    tick(w, 150);
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, PROCESS_COMM), "kworker/1:2");
}

static void test_kernel_thread_that_the_scan_names_late(void **state)
{
    struct world *w = *state;
    fork_process(w, 2, 300);
    uint64_t start = ticks_of(w->now);
    tick(w, 300);
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, PROCESS_COMM), "\\N");
    audit_exec(w, 9999, w->now, "of another");
    tick(w, 2000);
    assert_int_equal(n_lines(w), 1);
    give(w, kernel_entry(300, start, "kworker/1:2"));
    assert_int_equal(n_lines(w), 2);
    expect_line(w, 1, "settle\tprocess\t");
    assert_string_equal(value(w, 1, 0), "kworker/1:2");
    exit_task(w, 300, 300, 0);
    kernel_stats(w, 300, 2300, "kworker/1:2");
    assert_int_equal(n_lines(w), 3);
}

static void test_kernel_thread_that_no_scan_saw(void **state)
{
    struct world *w = *state;
    fork_process(w, 2, 300);
    tick(w, 300);
    exit_task(w, 300, 300, 0);
    kernel_stats(w, 300, 300, "kworker/1:2");
    assert_int_equal(n_lines(w), 3);
    expect_line(w, 1, "settle\tprocess\t");
    assert_string_equal(value(w, 1, 0), "kworker/1:2");
    expect_line(w, 2, "end\tprocess\t");
    fork_process(w, 2, 301);
    tick(w, 300);
    tick(w, 60000);
    assert_int_equal(n_lines(w), 5); /* nobody ever says its name */
    assert_string_equal(value(w, 4, 0), "\\N");
}

/* A program that the kernel starts (modprobe, core dump handlers) is forked by a kernel thread. */
static void test_program_of_a_kernel_thread(void **state)
{
    struct world *w = *state;
    fork_process(w, 2, 300);
    exec_process(w, 300);
    audit_exec(w, 300, w->now, "x");
    fork_process(w, 300, 301);
    exit_task(w, 301, 301, 0);
    stats(w, 301, 0);
    exit_task(w, 300, 300, 0);
    stats(w, 300, 0);
    tick(w, 250);
    assert_int_equal(n_lines(w), 2);
    assert_string_equal(value(w, 0, PROCESS_COMM), "true");
    assert_string_equal(value(w, 1, PROCESS_COMM), "true");
}

/* The parent was preempted on its way from giving the child its start time to telling of it. */
static void test_start_long_before_the_fork_was_told(void **state)
{
    struct world *w = *state;
    uint64_t start = ticks_of(w->now);
    tick(w, 50);
    fork_process(w, 1, 100);
    tick(w, 100);
    scan(w, true);
    give(w, proc_entry(100, 1, start, "sh", "/bin/sh"));
    scan(w, false);
    tick(w, 0);
    assert_int_equal(processes_living(w->processes), 1);
    tick(w, 150);
    assert_int_equal(n_lines(w), 1);
    char ticks[32];
    snprintf(ticks, sizeof(ticks), "%" PRIu64, start);
    assert_string_equal(value(w, 0, PROCESS_START_TICKS), ticks);
    assert_string_equal(value(w, 0, PROCESS_END_CAUSE), "\\N");
}

/* Its FORK was among messages that were lost; what was heard first was an exec. */
static void test_start_of_one_whose_fork_was_not_heard(void **state)
{
    struct world *w = *state;
    uint64_t start = ticks_of(w->now);
    tick(w, 3000);
    exec_process(w, 100);
    tick(w, 50);
    for (unsigned i = 0; i < 2; i++) {
        scan(w, true);
        give(w, proc_entry(100, 1, start, "sh", "/bin/sh"));
        scan(w, false);
        tick(w, 250);
    }
    assert_int_equal(processes_living(w->processes), 1);
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, PROCESS_CREATED_AT), "2026-05-28 20:26:40.000000");
    assert_string_equal(value(w, 0, PROCESS_PPID), "1");
}

static void test_entry_from_before_the_fork_is_of_another(void **state)
{
    struct world *w = *state;
    struct fact old = proc_entry(100, 1, ticks_of(w->now) - 100, "old", "/bin/old");
    old.boot_ns = w->now;
    tick(w, 50);
    fork_process(w, 1, 100);
    give(w, old);
    tick(w, 250);
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, PROCESS_COMM), "\\N");
    assert_int_equal(processes_living(w->processes), 1);
}

static void test_entry_of_one_that_has_ended(void **state)
{
    struct world *w = *state;
    uint64_t start = ticks_of(w->now);
    tick(w, 50);
    fork_process(w, 1, 100);
    struct fact entry = proc_entry(100, 1, start, "sh", "/bin/sh");
    entry.boot_ns = w->now;
    exit_task(w, 100, 100, 0);
    stats(w, 100, 50);
    give(w, entry);
    tick(w, 300);
    assert_int_equal(processes_living(w->processes), 0);
    assert_int_equal(n_lines(w), 1);
}

/* It was not heard of, or so long ago that nobody remembers. */
static void test_zombie_is_no_process(void **state)
{
    struct world *w = *state;
    struct fact zombie = proc_entry(100, 1, ticks_of(w->now) - 100, "gone", NULL);
    zombie.proc_process.n_threads = 0;
    give(w, zombie);
    tick(w, 300);
    assert_int_equal(n_lines(w), 0);
    assert_int_equal(processes_living(w->processes), 0);
}

static void test_zombie_whose_end_was_not_heard(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 100);
    struct fact zombie = proc_entry(100, 1, ticks_of(w->now), "gone", NULL);
    zombie.proc_process.n_threads = 0;
    tick(w, 300);
    scan(w, true);
    give(w, zombie);
    scan(w, false);
    tick(w, 0);
    assert_int_equal(processes_living(w->processes), 0);
    assert_int_equal(n_lines(w), 2);
    assert_string_equal(value(w, 1, 1), "unknown");
}

/* -- Rows of an earlier run -- */

static void first_scan(struct world *w, struct fact entry)
{
    scan(w, true);
    give(w, entry);
    scan(w, false);
    tick(w, 0);
}

static void test_unaudited_stays_unaudited_over_a_restart(void **state)
{
    struct world *w = *state;
    restore_row(w, 50, 500, "/bin/sh", true);
    processes_restored(w->processes, 0);
    first_scan(w, proc_entry(50, 1, 500, "sh", "/bin/sh"));
    exec_process(w, 50);
    tick(w, 1);
    exit_task(w, 50, 50, 0);
    stats(w, 50, 1000000);
    tick(w, 250);
    assert_int_equal(n_lines(w), 2);
    expect_line(w, 0, "end\tprocess\t1779999000000000\t");
    assert_string_equal(value(w, 1, PROCESS_UNAUDITED), "1");
    assert_string_equal(value(w, 1, PROCESS_PPID), "1");
    assert_string_equal(value(w, 1, PROCESS_END_CAUSE), "exit");
    assert_string_equal(value(w, 1, PROCESS_COMM), "stat");
}

/* A FORK of it is heard before the scan shows what it runs now. */
static void fork_before_the_scan(struct world *w, const char *exe_before, const char *exe_now)
{
    restore_row(w, 50, 500, exe_before, false);
    processes_restored(w->processes, (uint64_t)real_start / 1000 - 1000000);
    fork_process(w, 50, 51);
    exit_task(w, 51, 51, 0);
    stats(w, 51, 0);
    tick(w, 300);
    assert_int_equal(n_lines(w), 0); /* who its parent is, the scan has to say */
    first_scan(w, proc_entry(50, 1, 500, "now", exe_now));
    tick(w, 300);
}

static void test_child_of_a_program_that_nobody_saw_begin(void **state)
{
    struct world *w = *state;
    fork_before_the_scan(w, "/bin/before", "/bin/now");
    assert_int_equal(n_lines(w), 3);
    size_t child = !strcmp(value(w, 2, PROCESS_PID), "51") ? 2 : 1, now = 3 - child;
    expect_line(w, 0, "end\tprocess\t1779999000000000\t");
    assert_string_equal(value(w, 0, 1), "reconciled");
    assert_string_equal(value(w, now, PROCESS_EXE), "/bin/now");
    assert_string_equal(value(w, now, PROCESS_PARENT_ID), "17");
    assert_int_equal(value_id(w, now, PROCESS_PREVIOUS_ID), old_id);
    assert_int_equal(value_id(w, child, PROCESS_PARENT_ID), line_id(w, now));
    assert_true(strcmp(value(w, now, PROCESS_CREATED_AT), value(w, child, PROCESS_CREATED_AT)) < 0);
    assert_int_equal(processes_living(w->processes), 1);
}

static void test_child_of_a_program_that_is_still_the_same(void **state)
{
    struct world *w = *state;
    fork_before_the_scan(w, "/bin/same", "/bin/same");
    assert_int_equal(n_lines(w), 1);
    assert_int_equal(value_id(w, 0, PROCESS_PARENT_ID), old_id);
}

/* Its package was upgraded meanwhile. */
static void test_program_whose_file_was_deleted(void **state)
{
    struct world *w = *state;
    fork_before_the_scan(w, "/usr/sbin/sshd", "/usr/sbin/sshd (deleted)");
    assert_int_equal(n_lines(w), 1);
    assert_int_equal(value_id(w, 0, PROCESS_PARENT_ID), old_id);
}

static void test_the_scan_comes_first_and_shows_another_program(void **state)
{
    struct world *w = *state;
    restore_row(w, 50, 500, "/bin/before", false);
    processes_restored(w->processes, (uint64_t)real_start / 1000 - 1000000);
    first_scan(w, proc_entry(50, 1, 500, "now", "/bin/now"));
    tick(w, 300);
    assert_int_equal(n_lines(w), 2);
    assert_string_equal(value(w, 0, 1), "reconciled");
    assert_int_equal(value_id(w, 1, PROCESS_PREVIOUS_ID), old_id);
    struct processes_state left;
    processes_get_state(w->processes, &left);
    assert_int_equal(left.unstored, 0);
}

static void test_child_of_one_that_the_scan_is_yet_to_find(void **state)
{
    struct world *w = *state;
    processes_restored(w->processes, 0);
    fork_process(w, 60, 61);
    exit_task(w, 61, 61, 0);
    stats(w, 61, 0);
    tick(w, 300);
    assert_int_equal(n_lines(w), 0);
    first_scan(w, proc_entry(60, 1, 600, "sh", "/bin/sh"));
    tick(w, 300);
    assert_int_equal(n_lines(w), 2);
    size_t child = !strcmp(value(w, 1, PROCESS_PID), "61") ? 1 : 0;
    assert_int_equal(value_id(w, child, PROCESS_PARENT_ID), line_id(w, 1 - child));
}

/* Its pid was given to another while nobody watched. */
static void test_child_of_another_with_the_same_pid(void **state)
{
    struct world *w = *state;
    restore_row(w, 50, 500, "/bin/sh", false);
    processes_restored(w->processes, (uint64_t)real_start / 1000 - 1000000);
    fork_process(w, 50, 51);
    exit_task(w, 51, 51, 0);
    stats(w, 51, 0);
    first_scan(w, proc_entry(50, 1, 9000, "sh", "/bin/sh"));
    tick(w, 300);
    assert_int_equal(n_lines(w), 3);
    expect_line(w, 0, "end\tprocess\t1779999000000000\t");
    assert_string_equal(value(w, 0, 1), "reconciled");
    size_t child = !strcmp(value(w, 2, PROCESS_PID), "51") ? 2 : 1, now = 3 - child;
    assert_string_equal(value(w, now, PROCESS_PREVIOUS_ID), "\\N");
    assert_string_equal(value(w, now, PROCESS_START_TICKS), "9000");
    assert_int_equal(value_id(w, child, PROCESS_PARENT_ID), line_id(w, now));
}

static void test_numbers_of_another_with_the_same_pid(void **state)
{
    struct world *w = *state;
    restore_row(w, 50, 500, "/bin/sh", false);
    processes_restored(w->processes, 0);
    stats(w, 50, 10000);
    scan(w, true);
    scan(w, false);
    tick(w, 300);
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, 1), "reconciled");
}

static void test_end_of_a_restored_process_before_the_scan(void **state)
{
    struct world *w = *state;
    restore_row(w, 50, 500, "/bin/sh", false);
    processes_restored(w->processes, 0);
    exit_task(w, 50, 50, 3 << 8);
    stats(w, 50, 995000);
    tick(w, 300);
    assert_int_equal(n_lines(w), 1);
    expect_line(w, 0, "end\tprocess\t1779999000000000\t");
    assert_string_equal(value(w, 0, 1), "exit");
    assert_string_equal(value(w, 0, PROCESS_EXIT_CODE - PROCESS_DESTROYED_AT), "3");
}

/* The scan never ends; rows do not wait for it for ever. */
static void test_without_a_scan(void **state)
{
    struct world *w = *state;
    processes_restored(w->processes, 0);
    fork_process(w, 60, 61);
    for (unsigned i = 0; i < 60; i++)
        tick(w, 100);
    assert_int_equal(n_lines(w), 1);
    assert_string_equal(value(w, 0, PROCESS_PARENT_ID), "\\N");
}

/* The row's start was computed of a FORK that was told late. */
static void test_restored_row_with_a_late_start(void **state)
{
    struct world *w = *state;
    restore_row(w, 50, 505, "/bin/same", false);
    processes_restored(w->processes, 0);
    first_scan(w, proc_entry(50, 1, 500, "same", "/bin/same"));
    tick(w, 300);
    assert_int_equal(n_lines(w), 0);
    assert_int_equal(processes_living(w->processes), 1);
}

/* The kernel tells of a birth some time after /proc shows it: it is one process, and one birth. */
static void test_fork_that_is_heard_after_the_scan(void **state)
{
    struct world *w = *state;
    struct fork_ledger *ledger = processes_ledger(w->processes);
    fork_ledger_hole(ledger, 1);
    first_scan(w, proc_entry(50, 1, ticks_of(w->now), "sh", "/bin/sh"));
    assert_int_equal(ledger->implied, 1);
    tick(w, 20);
    fork_process(w, 1, 50);
    assert_int_equal(ledger->implied, 0);
    tick(w, 1000);
    exit_task(w, 50, 50, 0);
    stats(w, 50, 1000);
    tick(w, 1000);
    assert_int_equal(processes_living(w->processes), 0);
    assert_int_equal(n_lines(w), 2); /* its begin and its end */
    assert_true(line_id(w, 0) == line_id(w, 1));
}

/* Long after the start it is another process, to which the pid was given. */
static void test_fork_of_the_next_owner_of_a_pid(void **state)
{
    struct world *w = *state;
    first_scan(w, proc_entry(50, 1, ticks_of(w->now), "sh", "/bin/sh"));
    tick(w, 1000);
    fork_process(w, 1, 50);
    tick(w, 1000);
    assert_int_equal(processes_living(w->processes), 1);
    assert_int_equal(n_lines(w), 3); /* the end of the first one, too */
    assert_int_equal((line_id(w, 0) == line_id(w, 1)) + (line_id(w, 0) == line_id(w, 2)), 1);
}

int main(void)
{
#define TEST(name)    cmocka_unit_test_setup_teardown(name, setup, teardown)
#define KERNEL(name)  cmocka_unit_test_setup_teardown(name, setup_kernel, teardown)
#define RESTART(name) cmocka_unit_test_setup_teardown(name, setup_restart, teardown)
    const struct CMUnitTest tests[] = {
        KERNEL(test_kernel_thread_that_lived_shortly),
        KERNEL(test_kernel_thread_that_the_scan_names),
        KERNEL(test_kernel_thread_that_the_scan_names_late),
        KERNEL(test_kernel_thread_that_no_scan_saw),
        KERNEL(test_program_of_a_kernel_thread),
        TEST(test_start_long_before_the_fork_was_told),
        TEST(test_start_of_one_whose_fork_was_not_heard),
        TEST(test_entry_from_before_the_fork_is_of_another),
        TEST(test_entry_of_one_that_has_ended),
        TEST(test_zombie_is_no_process),
        TEST(test_zombie_whose_end_was_not_heard),
        RESTART(test_unaudited_stays_unaudited_over_a_restart),
        RESTART(test_child_of_a_program_that_nobody_saw_begin),
        RESTART(test_child_of_a_program_that_is_still_the_same),
        RESTART(test_program_whose_file_was_deleted),
        RESTART(test_the_scan_comes_first_and_shows_another_program),
        RESTART(test_child_of_one_that_the_scan_is_yet_to_find),
        RESTART(test_child_of_another_with_the_same_pid),
        RESTART(test_numbers_of_another_with_the_same_pid),
        RESTART(test_end_of_a_restored_process_before_the_scan),
        RESTART(test_without_a_scan),
        RESTART(test_restored_row_with_a_late_start),
        TEST(test_fork_that_is_heard_after_the_scan),
        TEST(test_fork_of_the_next_owner_of_a_pid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
