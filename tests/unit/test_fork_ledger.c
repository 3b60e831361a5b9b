// links: vestige_tracker
/* Counting births twice: what is missing is said exactly, or not at all. */
#include "recorder/processes/fork_ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)

static int reading(struct fork_ledger *ledger, uint64_t total, uint64_t at, int64_t *missing)
{
    struct fact_fork_total fact = {.total = total, .before_ns = at, .after_ns = at + 100000};
    fork_ledger_reading(ledger, &fact);
    assert_int_equal(fork_ledger_tick(ledger, missing), FORK_LEDGER_OPEN);
    return fork_ledger_tick(ledger, missing);
}

static void calibrate(struct fork_ledger *ledger, uint64_t total, uint64_t at)
{
    int64_t missing;
    assert_int_equal(reading(ledger, total, at, &missing), FORK_LEDGER_OPEN);
    assert_int_equal(reading(ledger, total, at + 10 * MS, &missing), FORK_LEDGER_CALIBRATED);
}

static void test_nothing_is_missing(void **state)
{
    (void)state;
    struct fork_ledger ledger = {0};
    int64_t missing = 0;
    assert_int_equal(fork_ledger_accounted(&ledger), 0);
    calibrate(&ledger, 5000, 100 * MS);
    for (unsigned i = 0; i < 23; i++)
        fork_ledger_heard(&ledger, (200 + i) * MS);
    assert_int_equal(fork_ledger_accounted(&ledger), 5023);
    reading(&ledger, 5023, 300 * MS, &missing);
    assert_int_equal(reading(&ledger, 5023, 400 * MS, &missing), FORK_LEDGER_BALANCED);
}

static void test_missing_births_are_counted(void **state)
{
    (void)state;
    struct fork_ledger ledger = {0};
    int64_t missing = 0;
    calibrate(&ledger, 5000, 100 * MS);
    fork_ledger_heard(&ledger, 200 * MS);
    fork_ledger_hole(&ledger, 31);
    fork_ledger_implied(&ledger, 3);
    reading(&ledger, 5011, 300 * MS, &missing);
    assert_int_equal(reading(&ledger, 5011, 400 * MS, &missing), FORK_LEDGER_MISSING);
    assert_int_equal(missing, 7);
    fork_ledger_close(&ledger, missing, 400 * MS);
    assert_int_equal(fork_ledger_accounted(&ledger), 5011);
    fork_ledger_heard(&ledger, 500 * MS);
    reading(&ledger, 5012, 600 * MS, &missing);
    assert_int_equal(reading(&ledger, 5012, 700 * MS, &missing), FORK_LEDGER_BALANCED);
}

static void test_a_fork_near_the_reading_spoils_it(void **state)
{
    (void)state;
    struct fork_ledger ledger = {0};
    int64_t missing = 0;
    struct fact_fork_total fact = {.total = 5000, .before_ns = 100 * MS, .after_ns = 100 * MS + 1};
    fork_ledger_reading(&ledger, &fact);
    fork_ledger_heard(&ledger, 100 * MS + 500000);
    fork_ledger_tick(&ledger, &missing);
    assert_int_equal(fork_ledger_tick(&ledger, &missing), FORK_LEDGER_OPEN);
    assert_false(ledger.candidate_known);
    /* Messages from before the reading that arrive behind it are counted into it. */
    fact.before_ns = fact.after_ns = 200 * MS;
    fact.total = 5001;
    fork_ledger_reading(&ledger, &fact);
    fork_ledger_heard(&ledger, 150 * MS);
    fork_ledger_heard(&ledger, 250 * MS);
    fork_ledger_tick(&ledger, &missing);
    fork_ledger_tick(&ledger, &missing);
    assert_true(ledger.candidate_known);
    assert_int_equal(ledger.candidate, 4999);
}

static void test_one_reading_alone_says_nothing(void **state)
{
    (void)state;
    struct fork_ledger ledger = {0};
    int64_t missing = 0;
    assert_int_equal(reading(&ledger, 5000, 100 * MS, &missing), FORK_LEDGER_OPEN);
    assert_int_equal(reading(&ledger, 5001, 200 * MS, &missing), FORK_LEDGER_OPEN);
    assert_false(ledger.calibrated);
    assert_int_equal(reading(&ledger, 5001, 300 * MS, &missing), FORK_LEDGER_CALIBRATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_missing),
        cmocka_unit_test(test_missing_births_are_counted),
        cmocka_unit_test(test_a_fork_near_the_reading_spoils_it),
        cmocka_unit_test(test_one_reading_alone_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
