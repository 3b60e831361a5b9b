// links: fleet_lag
/* The measure of tests/bench/fleet: each line once, in order, in the right bucket. */
#include "fleet_lag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void lines_are_measured_in_their_order(void **state)
{
    struct fleet_lag lag = {0};
    (void)state;
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(fleet_lag_made(&lag, 1000000 + i * 1000), 0);
    assert_int_equal(fleet_lag_oldest(&lag, 3000000), 2000000);
    fleet_lag_shipped(&lag, 500, 2000000);
    /* the last of them was made at 1,499,000 */
    assert_int_equal(lag.max_us, 1000000);
    assert_int_equal(fleet_lag_oldest(&lag, 2000000), 500000);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(fleet_lag_made(&lag, 3000000), 0);
    fleet_lag_shipped(&lag, 2000, 4000000);
    assert_int_equal(lag.n_shipped, 2000);
    assert_int_equal(fleet_lag_oldest(&lag, 9000000), 0);
    assert_int_equal(lag.max_us, 2500000);
    fleet_lag_deinit(&lag);
}

static void more_than_was_made_cannot_be_shipped(void **state)
{
    struct fleet_lag lag = {0};
    (void)state;
    assert_int_equal(fleet_lag_made(&lag, 5), 0);
    fleet_lag_shipped(&lag, 7, 10);
    assert_int_equal(lag.n_shipped, 1);
    fleet_lag_deinit(&lag);
}

static void percentiles_are_not_too_small(void **state)
{
    struct fleet_lag lag = {0}, sum = {0};
    (void)state;
    for (uint64_t i = 1; i <= 1000; i++) {
        assert_int_equal(fleet_lag_made(&lag, 0), 0);
        fleet_lag_shipped(&lag, i, i * 1000); /* 1 ms to 1 s */
    }
    assert_int_equal(fleet_lag_percentile(&lag, 500), 510000);
    assert_int_equal(fleet_lag_percentile(&lag, 990), 1000000);
    assert_int_equal(fleet_lag_percentile(&lag, 1000), 1000000);
    fleet_lag_add(&sum, &lag);
    fleet_lag_add(&sum, &lag);
    assert_int_equal(sum.n_shipped, 2000);
    assert_int_equal(fleet_lag_percentile(&sum, 500), 510000);
    fleet_lag_deinit(&lag);
}

static void hours_have_a_place(void **state)
{
    struct fleet_lag lag = {0};
    (void)state;
    assert_int_equal(fleet_lag_made(&lag, 0), 0);
    fleet_lag_shipped(&lag, 1, UINT64_C(86400000000));
    assert_int_equal(lag.max_us, UINT64_C(86400000000));
    assert_int_equal(lag.buckets[FLEET_LAG_BUCKETS - 1], 1);
    fleet_lag_deinit(&lag);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_measured_in_their_order),
        cmocka_unit_test(more_than_was_made_cannot_be_shipped),
        cmocka_unit_test(percentiles_are_not_too_small),
        cmocka_unit_test(hours_have_a_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
