// links: vestige_shipper
/* The limit doubles up to the most, every time below it is as likely, a success begins anew; a
 * fleet that loses its server in one moment comes back spread out. */
#include "recorder/shipper/ship_backoff.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void the_limit_doubles_up_to_the_most(void **state)
{
    static const unsigned expected[] = {200, 400, 800, 1600, 3000, 3000};
    (void)state;
    for (size_t failures = 0; failures < sizeof(expected) / sizeof(expected[0]); failures++) {
        unsigned least = UINT_MAX, most = 0;
        for (unsigned random = 0; random < 9000; random++) {
            struct ship_backoff backoff = {.first_ms = 200, .most_ms = 3000};
            for (size_t i = 0; i < failures; i++)
                (void)ship_backoff_step(&backoff, false, 0);
            unsigned step = ship_backoff_step(&backoff, false, random);
            least = step < least ? step : least;
            most = step > most ? step : most;
        }
        assert_int_equal(least, 1);
        assert_int_equal(most, expected[failures]);
    }
}

static void a_crowded_server_is_asked_less(void **state)
{
    static const unsigned expected[] = {2000, 4000, 8000, 16000, 32000, 60000, 60000};
    struct ship_backoff backoff = {.first_ms = 200, .most_ms = 30000};
    (void)state;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        assert_int_equal(ship_backoff_step(&backoff, true, expected[i] - 1), expected[i]);
    /* of two causes the larger limit stays */
    assert_int_equal(ship_backoff_step(&backoff, false, 29999), 30000);
    ship_backoff_reset(&backoff);
    (void)ship_backoff_step(&backoff, false, 0);
    assert_int_equal(ship_backoff_step(&backoff, true, 1999), 2000);
}

static void a_success_begins_anew(void **state)
{
    struct ship_backoff backoff = {.first_ms = 200, .most_ms = 30000};
    (void)state;
    for (int i = 0; i < 100; i++)
        (void)ship_backoff_step(&backoff, false, 0);
    assert_int_equal(ship_backoff_step(&backoff, false, 29999), 30000);
    ship_backoff_reset(&backoff);
    assert_int_equal(ship_backoff_step(&backoff, false, 199), 200);
}

static void extremes_neither_overflow_nor_divide_by_zero(void **state)
{
    struct ship_backoff backoff = {.first_ms = 1, .most_ms = UINT_MAX};
    (void)state;
    for (int i = 0; i < 40; i++)
        assert_true(ship_backoff_step(&backoff, i % 2, UINT_MAX) >= 1);
    assert_int_equal(ship_backoff_step(&backoff, true, UINT_MAX - 1), UINT_MAX);
    struct ship_backoff none = {0};
    assert_int_equal(ship_backoff_step(&none, false, 7), 1);
    assert_int_equal(ship_backoff_step(&none, true, 7), 1);
    assert_int_equal(ship_backoff_spread(&none, 7), 1);
}

/* ---- a fleet, by a clock of its own ---- */

#define MOST_AGENTS 1000
#define BIN_MS      100
#define MOST_BINS   1200

struct fleet {
    uint64_t seed;
    unsigned n, worst, within[3]; /* connections in the worst bin; in the first 10, 40, 120 s */
};

static unsigned chance(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(*seed >> 33);
}

/* All lose their connection within the first second, when each ships its next batch; the server
 * answers again after @p away_ms. Connections are counted from then on. */
static void come_back(struct fleet *fleet, unsigned away_ms)
{
    unsigned bins[MOST_BINS] = {0};
    assert_true(fleet->n <= MOST_AGENTS);
    for (unsigned agent = 0; agent < fleet->n; agent++) {
        struct ship_backoff backoff = {.first_ms = 200, .most_ms = 30000};
        unsigned now =
            chance(&fleet->seed) % 1000 + ship_backoff_spread(&backoff, chance(&fleet->seed));
        while (now < away_ms)
            now += ship_backoff_step(&backoff, false, chance(&fleet->seed));
        unsigned bin = (now - away_ms) / BIN_MS;
        assert_true(bin < MOST_BINS);
        bins[bin]++;
    }
    static const unsigned seconds[] = {10, 40, 120};
    for (unsigned bin = 0; bin < MOST_BINS; bin++) {
        fleet->worst = bins[bin] > fleet->worst ? bins[bin] : fleet->worst;
        for (size_t i = 0; i < 3; i++)
            fleet->within[i] += bin < seconds[i] * 1000 / BIN_MS ? bins[bin] : 0;
    }
}

static void a_fleet_comes_back_spread_out(void **state)
{
    /* of 1,000 agents, in the worst tenth of a second: a server that is back at once, or soon, and
     * one whose agents have come to the longest waits */
    static const struct {
        unsigned away_ms, worst;
    } cases[] = {
        {0,       90},
        {500,     90},
        {3000,    90},
        {10000,   60},
        {60000,   20},
        {3600000, 20}
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (uint64_t seed = 1; seed <= 20; seed++) {
            struct fleet fleet = {.seed = seed, .n = MOST_AGENTS};
            come_back(&fleet, cases[i].away_ms);
            if (seed == 1)
                print_message("away %u ms: at most %u in 100 ms; %u in 10 s, %u in 40 s\n",
                              cases[i].away_ms, fleet.worst, fleet.within[0], fleet.within[1]);
            assert_true(fleet.worst <= cases[i].worst);
            assert_int_equal(fleet.within[1], MOST_AGENTS);
            assert_true(cases[i].away_ms > 3000 || fleet.within[0] >= MOST_AGENTS * 98 / 100);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_limit_doubles_up_to_the_most),
        cmocka_unit_test(a_crowded_server_is_asked_less),
        cmocka_unit_test(a_success_begins_anew),
        cmocka_unit_test(extremes_neither_overflow_nor_divide_by_zero),
        cmocka_unit_test(a_fleet_comes_back_spread_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
