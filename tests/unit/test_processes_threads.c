// links: vestige_tracker
/* Threads: what /proc shows against what was heard of them, when births and ends lie near the
 * reading, and what follows for the number of processes that were lost. */
#include "processes_test.h"
#include "recorder/processes/thread_events.h"

#define READING_MS 5

/* Two readings of the kernel's total that agree, long after the last fork. */
static void calibrate(struct world *w, uint64_t total)
{
    struct fork_ledger *ledger = processes_ledger(w->processes);
    int64_t missing;
    for (int reading = 0; reading < 2; reading++) {
        tick(w, 1000);
        fork_ledger_reading(ledger, &(struct fact_fork_total){
                                        .total = total, .before_ns = w->now, .after_ns = w->now});
        (void)fork_ledger_tick(ledger, &missing);
        (void)fork_ledger_tick(ledger, &missing);
    }
    assert_true(ledger->calibrated);
}

/* What a reading that began at @p from_ns, and took a while, shows of the process 500. */
static struct fact server(uint64_t from_ns, uint32_t n_threads)
{
    struct fact entry = proc_entry(500, 1, ticks_of(boot_start), "server", "/usr/sbin/server");
    entry.boot_ns = from_ns;
    entry.proc_process.n_threads = n_threads;
    entry.proc_process.threads_from_ns = from_ns;
    entry.proc_process.threads_until_ns = from_ns + READING_MS * MS;
    return entry;
}

static void give_scan(struct world *w, struct fact entry)
{
    scan(w, true);
    give(w, entry);
    scan(w, false);
}

static void thread_at(struct world *w, uint64_t ns, uint32_t thread, bool born)
{
    struct fact fact = {.boot_ns = ns};
    if (born) {
        fact.kind = FACT_FORK;
        fact.fork = (struct fact_fork){
            {500,    500},
            {thread, 500}
        };
    } else {
        fact.kind = FACT_EXIT;
        fact.exit = (struct fact_exit){
            .task = {thread, 500}
        };
    }
    give(w, fact);
}

static void hole(struct world *w)
{
    fork_ledger_hole(processes_ledger(w->processes), 1);
    processes_hole(w->processes);
}

static void assert_at_most(struct world *w, uint64_t forks_before, int64_t at_most)
{
    const struct processes_state before = {.forks = forks_before};
    struct processes_unheard unheard;
    assert_true(processes_unheard(w->processes, &before, 0, &unheard));
    assert_true(unheard.known);
    assert_int_equal(unheard.at_most, at_most);
}

static void assert_cannot_be_said(struct world *w)
{
    const struct processes_state before = {.forks = 1};
    struct processes_unheard unheard;
    assert_false(processes_unheard(w->processes, &before, 0, &unheard));
}

/* A quiet second reading says how many there are. */
static void read_again(struct world *w, uint32_t n_threads)
{
    assert_cannot_be_said(w);
    assert_true(processes_take_scan_wanted(w->processes));
    assert_false(processes_take_scan_wanted(w->processes));
    tick(w, 1000);
    give_scan(w, server(w->now, n_threads));
    tick(w, 1000);
    assert_true(processes_threads_counted(w->processes));
}

/* So many threads are left, not one more or less: with the last one the process ends. */
static void assert_threads(struct world *w, uint32_t n)
{
    while (n-- > 1)
        exit_task(w, 10000 + n, 500, 0);
    tick(w, 1000);
    assert_int_equal(processes_living(w->processes), 1);
    exit_task(w, 500, 500, 0);
    tick(w, 1000);
    assert_int_equal(processes_living(w->processes), 0);
}

/* In all of them until the bound: 500 and its thread 501 were born while nobody listened, and so
 * was one that nobody knows. 98 tasks had been born before; what is heard comes on top. */
enum { BEFORE = 98, UNHEARD = 3 };

/* A process that began with one more thread while nobody listened is read at a moment; another
 * thread is born, and heard, before what was read arrives. It is none of those that were read. */
static void test_born_after_the_reading(void **state)
{
    struct world *w = *state;
    struct fact entry = server(w->now, 2);
    processes_restored(w->processes, 0);
    scan(w, true);
    tick(w, 4 * READING_MS);
    fork_thread(w, 500, 502);
    give(w, entry);
    scan(w, false);
    calibrate(w, BEFORE + UNHEARD + 1);
    assert_at_most(w, BEFORE, 1);
    assert_threads(w, 3);
}

/* A message of old says when the reading began, and no more. */
static void test_reading_of_one_moment(void **state)
{
    struct world *w = *state;
    struct fact entry = server(w->now, 2);
    entry.proc_process.threads_from_ns = entry.proc_process.threads_until_ns = 0;
    processes_restored(w->processes, 0);
    scan(w, true);
    tick(w, 1);
    fork_thread(w, 500, 502);
    give(w, entry);
    scan(w, false);
    calibrate(w, BEFORE + UNHEARD + 1);
    assert_at_most(w, BEFORE, 1);
}

/* It is among those that were read, or not; nobody can say. */
static void test_born_while_proc_was_read(void **state)
{
    for (uint32_t shown = 2; shown <= 3; shown++) {
        struct world *w = *state;
        struct fact entry = server(w->now, shown);
        processes_restored(w->processes, 0);
        scan(w, true);
        tick(w, READING_MS - 2);
        fork_thread(w, 500, 502);
        tick(w, READING_MS);
        give(w, entry);
        scan(w, false);
        calibrate(w, BEFORE + UNHEARD + 1);
        read_again(w, 3);
        assert_at_most(w, BEFORE, 1);
        assert_threads(w, 3);
        teardown(state);
        setup_restart(state);
    }
}

/* The same, and it is heard when what was read has been compared already. */
static void test_birth_that_is_heard_late(void **state)
{
    struct world *w = *state;
    uint64_t begin = w->now;
    processes_restored(w->processes, 0);
    give_scan(w, server(begin, 3));
    tick(w, READING_MS);
    thread_at(w, begin + 4 * MS, 502, true);
    calibrate(w, BEFORE + UNHEARD + 1);
    read_again(w, 3);
    assert_at_most(w, BEFORE, 1);
    assert_threads(w, 3);
}

/* Its end is told, and /proc shows it a little longer. */
static void test_ended_while_proc_was_read(void **state)
{
    struct world *w = *state;
    struct fact entry = server(w->now, 3);
    processes_restored(w->processes, 0);
    scan(w, true);
    tick(w, 1);
    thread_at(w, w->now, 502, false);
    tick(w, READING_MS);
    give(w, entry);
    scan(w, false);
    calibrate(w, BEFORE + UNHEARD + 1); /* 502 was born unheard, too */
    read_again(w, 2);
    assert_at_most(w, BEFORE, 1);
    assert_threads(w, 2);
}

/* One that was there when the listening began, and had ended when /proc was read, is known. */
static void test_ended_before_the_reading(void **state)
{
    struct world *w = *state;
    processes_restored(w->processes, 0);
    thread_at(w, w->now, 502, false);
    tick(w, 100);
    give_scan(w, server(w->now, 2));
    calibrate(w, BEFORE + UNHEARD + 1);
    assert_at_most(w, BEFORE, 1);
    assert_threads(w, 2);
}

/* Others make and end threads between a birth and the reading, more than are remembered at first.
 */
static void test_among_many(void **state)
{
    struct world *w = *state;
    processes_restored(w->processes, 0);
    scan(w, true);
    fork_thread(w, 500, 502);
    for (uint32_t i = 0; i < 2 * THREAD_EVENTS_FIRST; i++) {
        fork_thread(w, 900, 20000 + i);
        exit_task(w, 20000 + i, 900, 0);
    }
    tick(w, 100);
    give(w, server(w->now, 3));
    scan(w, false);
    calibrate(w, BEFORE + UNHEARD + 1 + 2 * THREAD_EVENTS_FIRST);
    assert_at_most(w, BEFORE, 1);
    assert_threads(w, 3);
}

/* More than can be remembered: it is said that the number is not known. */
static void test_among_too_many(void **state)
{
    struct world *w = *state;
    const struct processes_state before = {.forks = BEFORE};
    struct processes_unheard unheard;
    processes_restored(w->processes, 0);
    for (uint32_t i = 0; i < THREAD_EVENTS_MOST / 2 + 1; i++) {
        fork_thread(w, 900, 901);
        exit_task(w, 901, 900, 0);
    }
    tick(w, 100);
    give_scan(w, server(w->now, 2));
    calibrate(w, BEFORE + UNHEARD + THREAD_EVENTS_MOST / 2 + 1);
    assert_true(processes_unheard(w->processes, &before, 0, &unheard));
    assert_false(unheard.known);
}

/* A process that makes threads all the time does not keep the number back for ever. */
static void test_never_quiet(void **state)
{
    struct world *w = *state;
    unsigned asked = 0;
    processes_restored(w->processes, 0);
    for (unsigned i = 0; i < 100 && !processes_threads_counted(w->processes); i++) {
        struct fact entry = server(w->now, 3);
        fork_thread(w, 500, 502);
        exit_task(w, 502, 500, 0);
        give_scan(w, entry);
        tick(w, 200);
        asked += processes_take_scan_wanted(w->processes);
    }
    assert_true(processes_threads_counted(w->processes));
    assert_in_range(asked, 10, 50);
}

/* One whose process ends is no longer waited for. */
static void test_end_of_an_unclear_one(void **state)
{
    struct world *w = *state;
    processes_restored(w->processes, 0);
    fork_thread(w, 500, 502);
    give_scan(w, server(w->now, 2));
    tick(w, 100);
    tick(w, 100);
    assert_false(processes_threads_counted(w->processes));
    stats(w, 500, 5);
    tick(w, 1000);
    assert_int_equal(processes_living(w->processes), 0);
    assert_true(processes_threads_counted(w->processes));
}

/* The run before knew 500 and 13 threads of it, in no row yet, among its 98 births. */
static const struct processes_state young = {
    .forks = BEFORE, .unstored = 1, .threads = 13, .unstored_threads = 13};

static void assert_lost(struct world *w, const struct processes_state *before, int64_t lost)
{
    struct processes_unheard unheard;
    assert_true(processes_unheard(w->processes, before, 0, &unheard));
    assert_true(unheard.known);
    assert_int_equal(unheard.at_most, lost);
    assert_int_equal(unheard.lost, lost);
}

/* It lives, and has one more: neither this nor those of before are the one process that was lost.
 */
static void test_threads_from_before_the_mark(void **state)
{
    struct world *w = *state;
    processes_set_mark(w->processes, w->now);
    processes_restored(w->processes, 0);
    tick(w, 1000);
    give_scan(w, server(w->now, 15));
    calibrate(w, BEFORE + 2);
    assert_lost(w, &young, 1);
}

/* It has ended, and is lost; what lives is another one, with as many threads. */
static void test_threads_from_behind_the_mark(void **state)
{
    struct world *w = *state;
    processes_set_mark(w->processes, w->now);
    processes_restored(w->processes, 0);
    tick(w, 1000);
    struct fact entry = server(w->now, 14);
    entry.proc_process.start_ticks = ticks_of(w->now);
    give_scan(w, entry);
    calibrate(w, BEFORE + 15);
    assert_lost(w, &young, 2);
}

/* One with a row has two threads more than before: a number that may, but need not, be all that is
 * missing. */
static void test_threads_of_one_with_a_row(void **state)
{
    struct world *w = *state;
    const struct processes_state before = {.forks = BEFORE, .threads = 2};
    struct processes_unheard unheard;
    restore_row(w, 500, ticks_of(boot_start), "/usr/sbin/server", false);
    processes_restored(w->processes, 0);
    tick(w, 1000);
    give_scan(w, server(w->now, 5));
    calibrate(w, BEFORE + 3);
    assert_true(processes_unheard(w->processes, &before, 0, &unheard));
    assert_int_equal(unheard.at_most, 3);
    assert_int_equal(unheard.lost, 1);
}

/* It makes a thread and then a child before /proc is read: the thread was heard, whatever the child
 * had us believe. */
static void test_thread_before_a_child(void **state)
{
    struct world *w = *state;
    const struct processes_state before = {.forks = BEFORE, .threads = 2};
    restore_row(w, 500, ticks_of(boot_start), "/usr/sbin/server", false);
    processes_restored(w->processes, 0);
    fork_thread(w, 500, 503);
    fork_process(w, 500, 600);
    tick(w, 100);
    give_scan(w, server(w->now, 4));
    calibrate(w, BEFORE + 2 + 1);
    assert_lost(w, &before, 1);
}

/* A hole in the first scan: who ends in it is found, and not implied besides. */
static void test_hole_in_the_first_scan(void **state)
{
    struct world *w = *state;
    hole(w);
    processes_restored(w->processes, 0);
    exit_task(w, 700, 700, 0);
    exit_task(w, 801, 800, 0);
    tick(w, 100);
    give_scan(w, server(w->now, 2));
    calibrate(w, BEFORE + UNHEARD + 1);
    assert_at_most(w, BEFORE, 1);
}

/* The kernel still counts a leader that has ended before its threads. */
static void test_leader_that_ended_first(void **state)
{
    struct world *w = *state;
    struct fork_ledger *ledger = processes_ledger(w->processes);
    struct processes_state own;
    fork_process(w, 1, 500);
    fork_thread(w, 500, 501);
    fork_thread(w, 500, 502);
    exit_task(w, 500, 500, 0);
    tick(w, 1000);
    processes_get_state(w->processes, &own);
    assert_int_equal(own.threads, 2);
    hole(w);
    struct fact entry = server(w->now, 3);
    entry.proc_process.start_ticks = ticks_of(boot_start);
    give_scan(w, entry);
    tick(w, 1000);
    assert_int_equal(ledger->implied, 0);
    processes_get_state(w->processes, &own);
    assert_int_equal(own.threads, 2);
}

/* A request while /proc is being read is another's, so it is asked once a reading. */
static void test_asks_once_a_reading(void **state)
{
    struct world *w = *state;
    processes_restored(w->processes, 0);
    scan(w, true);
    fork_thread(w, 500, 502);
    give(w, server(w->now, 2));
    for (unsigned i = 0; i < 23; i++)
        tick(w, 200);
    assert_false(processes_take_scan_wanted(w->processes));
    scan(w, false);
    tick(w, 100);
    assert_true(processes_take_scan_wanted(w->processes));
    for (unsigned i = 0; i < 23; i++)
        tick(w, 200);
    assert_false(processes_take_scan_wanted(w->processes));
    assert_false(processes_threads_counted(w->processes));
    tick(w, 1000); /* it was not read at all */
    assert_true(processes_take_scan_wanted(w->processes));
    scan(w, true);
    tick(w, 4000);
    tick(w, 900);
    assert_false(processes_take_scan_wanted(w->processes));
    tick(w, 200); /* it may never end */
    assert_true(processes_take_scan_wanted(w->processes));
}

/* Killed before it had read /proc: what it heard by then is in its mark. */
static void test_killed_before_the_first_scan(void **state)
{
    struct world *w = *state;
    const struct processes_state before = {.forks = BEFORE, .threads = 2};
    struct processes_state go_on;
    restore_row(w, 500, ticks_of(boot_start), "/usr/sbin/server", false);
    processes_restored(w->processes, 0);
    fork_thread(w, 500, 503);
    tick(w, 10);
    processes_get_state(w->processes, &go_on);
    processes_go_on(w->processes, &before, 0, &go_on);
    teardown(state);
    setup_restart(state);
    w = *state;
    restore_row(w, 500, ticks_of(boot_start), "/usr/sbin/server", false);
    processes_restored(w->processes, 0);
    tick(w, 2000);
    give_scan(w, server(w->now, 4));
    calibrate(w, BEFORE + 1 + 1);
    assert_lost(w, &go_on, 1);
}

/* A run that is killed before it can say what was lost leaves what the next one needs. */
static void test_killed_before_it_could_say(void **state)
{
    struct world *w = *state;
    struct processes_state go_on;
    processes_set_mark(w->processes, w->now);
    processes_restored(w->processes, 0);
    tick(w, 1000);
    give_scan(w, server(w->now, 15));
    fork_thread(w, 500, 515);
    fork_process(w, 1, 600);
    tick(w, 10);
    processes_get_state(w->processes, &go_on);
    processes_go_on(w->processes, &young, 0, &go_on);
    uint64_t mark_ns = w->now;
    teardown(state);
    setup_restart(state);
    w = *state;
    processes_set_mark(w->processes, mark_ns);
    processes_restored(w->processes, 0);
    tick(w, 2000);
    give_scan(w, server(w->now, 16));
    calibrate(w, BEFORE + 2 + 2);
    assert_lost(w, &go_on, 2); /* as before, and 600 */
}

/* While messages are missing a thread ends, and that is heard, before what was read of it arrives.
 * Its birth is none of those that are missing. */
static void test_ended_after_the_reading_in_a_hole(void **state)
{
    struct world *w = *state;
    struct fork_ledger *ledger = processes_ledger(w->processes);
    struct fact entry = server(w->now, 3);
    give_scan(w, entry);
    tick(w, 1000);
    hole(w);
    entry = server(w->now, 3);
    scan(w, true);
    tick(w, 4 * READING_MS);
    exit_task(w, 502, 500, 0);
    give(w, entry);
    assert_int_equal(ledger->implied, 0);
    /* A thread whose process nobody knows: its birth was heard, or not. */
    fork_thread(w, 600, 601);
    exit_task(w, 601, 600, 0);
    assert_int_equal(ledger->implied, 0);
    exit_task(w, 602, 600, 0);
    assert_int_equal(ledger->implied, 1);
}

/* One birth is missing, another is heard while /proc is read. */
static void test_born_while_proc_was_read_in_a_hole(void **state)
{
    struct world *w = *state;
    struct fork_ledger *ledger = processes_ledger(w->processes);
    give_scan(w, server(w->now, 2));
    tick(w, 1000);
    hole(w);
    struct fact entry = server(w->now, 4);
    scan(w, true);
    tick(w, 1);
    fork_thread(w, 500, 504);
    tick(w, READING_MS);
    give(w, entry);
    scan(w, false);
    tick(w, 100);
    assert_false(processes_threads_counted(w->processes));
    tick(w, 100);
    assert_true(processes_take_scan_wanted(w->processes));
    tick(w, 1000);
    give_scan(w, server(w->now, 4));
    tick(w, 100);
    assert_true(processes_threads_counted(w->processes));
    assert_int_equal(ledger->implied, 1);
}

/* In a hole one is born in the last moment of the reading, which does not show it. When the next
 * one does, it is no birth that was missing. */
static void test_heard_and_not_shown_in_a_hole(void **state)
{
    struct world *w = *state;
    struct processes_state own;
    give_scan(w, server(w->now, 2));
    tick(w, 1000);
    hole(w);
    struct fact entry = server(w->now, 2);
    scan(w, true);
    tick(w, READING_MS - 1);
    fork_thread(w, 500, 504);
    tick(w, READING_MS);
    give(w, entry);
    scan(w, false);
    tick(w, 1000);
    give_scan(w, server(w->now, 3));
    tick(w, 1000);
    assert_true(processes_threads_counted(w->processes));
    assert_int_equal(processes_ledger(w->processes)->implied, 0);
    processes_get_state(w->processes, &own);
    assert_int_equal(own.threads, 2);
}

/* The end of a thread is among the missing messages: no birth is less for it. */
static void test_end_that_was_not_heard_in_a_hole(void **state)
{
    struct world *w = *state;
    give_scan(w, server(w->now, 3));
    tick(w, 1000);
    hole(w);
    struct fact entry = server(w->now, 4);
    scan(w, true);
    tick(w, 1);
    fork_thread(w, 500, 504);
    tick(w, READING_MS);
    give(w, entry);
    scan(w, false);
    tick(w, 1000);
    hole(w);
    give_scan(w, server(w->now, 3));
    tick(w, 1000);
    assert_true(processes_threads_counted(w->processes));
    assert_int_equal(processes_ledger(w->processes)->implied, 0);
}

/* Its numbers came before the end of one of its threads: nothing is to be counted any more. */
static void test_end_of_a_thread_of_one_that_has_ended(void **state)
{
    struct world *w = *state;
    processes_restored(w->processes, 0);
    uint64_t begin = w->now;
    give_scan(w, server(begin, 2));
    tick(w, 1);
    stats(w, 500, 5);
    assert_int_equal(processes_living(w->processes), 0);
    thread_at(w, begin + 4 * MS, 501, false);
    tick(w, 100);
    tick(w, 100);
    assert_true(processes_threads_counted(w->processes));
    assert_false(processes_take_scan_wanted(w->processes));
}

/* A process that is never quiet does not keep later holes from being counted with care. */
static void test_asks_again_after_a_hole(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < 100; i++) {
        fork_thread(w, 500, 502);
        give_scan(w, server(w->now, 3));
        tick(w, 200);
    }
    hole(w);
    fork_thread(w, 500, 503);
    give_scan(w, server(w->now, 4));
    assert_false(processes_threads_counted(w->processes));
    (void)processes_take_scan_wanted(w->processes);
    tick(w, 200);
    assert_true(processes_take_scan_wanted(w->processes));
}

int main(void)
{
#define TEST(name)    cmocka_unit_test_setup_teardown(name, setup, teardown)
#define RESTART(name) cmocka_unit_test_setup_teardown(name, setup_restart, teardown)
    const struct CMUnitTest tests[] = {
        RESTART(test_born_after_the_reading),
        RESTART(test_reading_of_one_moment),
        RESTART(test_born_while_proc_was_read),
        RESTART(test_birth_that_is_heard_late),
        RESTART(test_ended_while_proc_was_read),
        RESTART(test_ended_before_the_reading),
        RESTART(test_among_many),
        RESTART(test_among_too_many),
        RESTART(test_never_quiet),
        RESTART(test_end_of_an_unclear_one),
        RESTART(test_threads_from_before_the_mark),
        RESTART(test_threads_from_behind_the_mark),
        RESTART(test_threads_of_one_with_a_row),
        RESTART(test_thread_before_a_child),
        RESTART(test_hole_in_the_first_scan),
        TEST(test_leader_that_ended_first),
        RESTART(test_asks_once_a_reading),
        RESTART(test_killed_before_the_first_scan),
        RESTART(test_killed_before_it_could_say),
        TEST(test_ended_after_the_reading_in_a_hole),
        TEST(test_born_while_proc_was_read_in_a_hole),
        TEST(test_heard_and_not_shown_in_a_hole),
        TEST(test_end_that_was_not_heard_in_a_hole),
        RESTART(test_end_of_a_thread_of_one_that_has_ended),
        TEST(test_asks_again_after_a_hole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
