// links: vestige_tracker
/* The memory of threads' births and ends: what it says, how it grows, and what it forgets. */
#include "recorder/processes/thread_events.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void note(struct thread_events *events, uint32_t tgid, int change, uint64_t ns,
                 uint64_t needed_ns)
{
    thread_events_note(events, (struct thread_event){tgid, change, ns}, needed_ns);
}

static void test_changes(void **state)
{
    (void)state;
    struct thread_events events = {0};
    assert_int_equal(thread_events_change(&events, 7, 100, false), 0);
    assert_false(thread_events_between(&events, 7, 0, UINT64_MAX));
    note(&events, 7, 1, 100, 0);
    note(&events, 8, 1, 105, 0);
    note(&events, 7, 1, 110, 0);
    note(&events, 7, -1, 120, 0);
    assert_int_equal(thread_events_change(&events, 7, 99, false), 0);
    assert_int_equal(thread_events_change(&events, 7, 100, false), 1);
    assert_int_equal(thread_events_change(&events, 7, 110, false), 2);
    assert_int_equal(thread_events_change(&events, 7, 110, true), -1);
    assert_int_equal(thread_events_change(&events, 7, 99, true), 1);
    assert_true(thread_events_between(&events, 7, 101, 110));
    assert_false(thread_events_between(&events, 7, 101, 109));
    assert_true(thread_events_between(&events, 7, 120, 120));
    assert_int_equal(events.forgotten_ns, 0);
    thread_events_deinit(&events);
}

/* While they are needed it grows, also out of a ring that has gone round. */
static void test_grows_while_they_are_needed(void **state)
{
    (void)state;
    struct thread_events events = {0};
    uint64_t ns = 0;
    while (++ns <= THREAD_EVENTS_FIRST + 100)
        note(&events, (uint32_t)(ns % 2), 1, ns, UINT64_MAX);
    assert_int_equal(events.forgotten_ns, 100);
    assert_int_equal(events.capacity, THREAD_EVENTS_FIRST);
    for (; ns <= 3000; ns++)
        note(&events, (uint32_t)(ns % 2), 1, ns, 101);
    assert_int_equal(events.forgotten_ns, 100);
    assert_int_equal(events.n, 2900);
    assert_int_equal(thread_events_change(&events, 0, 3000, false), 1450);
    assert_int_equal(thread_events_change(&events, 1, 2000, false), 950);
    assert_int_equal(thread_events_change(&events, 1, 2000, true), 500);
    thread_events_deinit(&events);
}

/* Processors tell of their own in turn, not quite in order. */
static void test_not_quite_in_order(void **state)
{
    (void)state;
    struct thread_events events = {0};
    const uint64_t second = 1000000000;
    note(&events, 7, 1, 10 * second, 0);
    note(&events, 7, 1, 12 * second, 0);
    note(&events, 8, 1, 11 * second + second / 2, 0);
    assert_int_equal(thread_events_change(&events, 7, 12 * second - second / 4, true), 1);
    assert_true(thread_events_between(&events, 7, 11 * second + 1, 13 * second));
    assert_false(thread_events_between(&events, 7, 12 * second + 1, 13 * second));
    assert_int_equal(thread_events_change_of_others(&events, 8), 2);
    assert_int_equal(thread_events_change(&events, 7, 13 * second, false), 2);
    thread_events_deinit(&events);
}

static void test_has_a_bound(void **state)
{
    (void)state;
    struct thread_events events = {0};
    for (uint64_t ns = 1; ns <= THREAD_EVENTS_MOST + 23; ns++)
        note(&events, 7, 1, ns, 0);
    assert_int_equal(events.capacity, THREAD_EVENTS_MOST);
    assert_int_equal(events.n, THREAD_EVENTS_MOST);
    assert_int_equal(events.forgotten_ns, 23);
    assert_int_equal(thread_events_change(&events, 7, UINT64_MAX, false), THREAD_EVENTS_MOST);
    assert_int_equal(thread_events_change(&events, 7, 123, false), 100);
    thread_events_deinit(&events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_grows_while_they_are_needed),
        cmocka_unit_test(test_not_quite_in_order),
        cmocka_unit_test(test_has_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
