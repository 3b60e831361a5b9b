// links: vestige_shipper
/* The steps double up to the limit, jitter takes off half at most, a success begins anew. */
#include "recorder/ship_backoff.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void steps_double_up_to_the_limit(void **state)
{
    static const unsigned expected[] = {200, 400, 800, 1600, 3000, 3000};
    struct ship_backoff backoff = {.first_ms = 200, .most_ms = 3000};
    (void)state;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        assert_int_equal(ship_backoff_step(&backoff, 0), expected[i]);
}

static void jitter_takes_off_half_at_most(void **state)
{
    (void)state;
    unsigned least = UINT_MAX, most = 0;
    for (unsigned random = 0; random < 5000; random++) {
        struct ship_backoff backoff = {.first_ms = 1000, .most_ms = 3000};
        unsigned step = ship_backoff_step(&backoff, random);
        least = step < least ? step : least;
        most = step > most ? step : most;
    }
    assert_int_equal(least, 500);
    assert_int_equal(most, 1000);
}

static void a_success_begins_anew(void **state)
{
    struct ship_backoff backoff = {.first_ms = 200, .most_ms = 30000};
    (void)state;
    for (int i = 0; i < 100; i++)
        (void)ship_backoff_step(&backoff, 0);
    assert_int_equal(ship_backoff_step(&backoff, 0), 30000);
    ship_backoff_reset(&backoff);
    assert_int_equal(ship_backoff_step(&backoff, 0), 200);
}

static void extremes_neither_overflow_nor_divide_by_zero(void **state)
{
    struct ship_backoff backoff = {.first_ms = 1, .most_ms = UINT_MAX};
    (void)state;
    for (int i = 0; i < 40; i++)
        assert_true(ship_backoff_step(&backoff, UINT_MAX) <= UINT_MAX);
    assert_int_equal(ship_backoff_step(&backoff, 0), UINT_MAX);
    struct ship_backoff none = {0};
    assert_int_equal(ship_backoff_step(&none, 7), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_double_up_to_the_limit),
        cmocka_unit_test(jitter_takes_off_half_at_most),
        cmocka_unit_test(a_success_begins_anew),
        cmocka_unit_test(extremes_neither_overflow_nor_divide_by_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
