// links: vestige_options
/* Moments as people write them: exact results for each form, in UTC and in a zone that changes its
 * clock, and every malformed one refused. */
#include "reports/options/time_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

/* 2026-11-20 23:08:30.500000 UTC, a Friday; started ten days before. */
#define NOW  INT64_C(1795216110500000)
#define BOOT (NOW - INT64_C(864000000000))

static const struct time_reference reference = {NOW, BOOT};

static void use_zone(const char *name)
{
    struct error_text error;
    assert_int_equal(time_zone_use(name, &error), 0);
}

/* The moment as text in the zone in use, which is how a mistake is easiest to see. */
static void expect(const char *text, const char *expected)
{
    struct error_text error = ERROR_TEXT_NULL;
    char shown[TIME_TEXT_SIZE];
    int64_t us = -1;
    if (time_words_parse(&us, text, &reference, &error))
        fail_msg("%s: %s", text, error.text);
    time_words_format(shown, us);
    assert_string_equal(shown, expected);
}

static void refuse(const char *text)
{
    struct error_text error = ERROR_TEXT_NULL;
    int64_t us = 42;
    if (time_words_parse(&us, text, &reference, &error) != -EINVAL)
        fail_msg("\"%s\" was taken for %lld", text, (long long)us);
    assert_int_equal(us, 42);
    assert_true(error.text[0]);
}

static void test_words(void **state)
{
    (void)state;
    use_zone("UTC");
    expect("now", "2026-11-20 23:08:30.500000");
    expect("recent", "2026-11-20 22:58:30.500000");
    expect("boot", "2026-11-10 23:08:30.500000");
    expect("today", "2026-11-20 00:00:00.000000");
    expect("yesterday", "2026-11-19 00:00:00.000000");
    expect("this-week", "2026-11-16 00:00:00.000000");
    expect("week-ago", "2026-11-13 00:00:00.000000");
    expect("this-month", "2026-11-01 00:00:00.000000");
}

static void test_words_follow_the_zone(void **state)
{
    (void)state;
    use_zone("Europe/Athens"); /* already the 21st there, a Saturday */
    expect("now", "2026-11-21 01:08:30.500000+02:00");
    expect("today", "2026-11-21 00:00:00.000000+02:00");
    expect("this-week", "2026-11-16 00:00:00.000000+02:00");
    use_zone("Europe/Berlin");
    expect("2026-07-01", "2026-07-01 00:00:00.000000+02:00");
    expect("2026-07-01T12:00Z", "2026-07-01 14:00:00.000000+02:00");
    use_zone("UTC");
}

/* Midnight is where the calendar says, also across a change of the clock. */
static void test_midnight_over_a_change_of_the_clock(void **state)
{
    (void)state;
    static const struct time_reference october = {INT64_C(1793023200000000), 0};
    struct error_text error;
    char shown[TIME_TEXT_SIZE];
    int64_t us;
    use_zone("Europe/Berlin"); /* 2026-10-26 11:00 +01:00; summer time ended the day before at 3 */
    assert_int_equal(time_words_parse(&us, "yesterday", &october, &error), 0);
    time_words_format(shown, us);
    assert_string_equal(shown, "2026-10-25 00:00:00.000000+02:00");
    use_zone("UTC");
}

static void test_monday_begins_a_week(void **state)
{
    (void)state;
    static const int64_t monday = INT64_C(1794787200) * 1000000; /* 2026-11-16 00:00:00 */
    struct error_text error;
    int64_t us;
    use_zone("UTC");
    for (int day = 0; day < 7; day++) {
        const struct time_reference then = {monday + day * INT64_C(86400000000) + 5, 0};
        assert_int_equal(time_words_parse(&us, "this-week", &then, &error), 0);
        assert_true(us == monday);
    }
}

static void test_ago(void **state)
{
    (void)state;
    use_zone("UTC");
    expect("2h ago", "2026-11-20 21:08:30.500000");
    expect("2 hours ago", "2026-11-20 21:08:30.500000");
    expect("1 hour ago", "2026-11-20 22:08:30.500000");
    expect("90s ago", "2026-11-20 23:07:00.500000");
    expect("90 seconds ago", "2026-11-20 23:07:00.500000");
    expect("5 min ago", "2026-11-20 23:03:30.500000");
    expect("5m ago", "2026-11-20 23:03:30.500000");
    expect("3d ago", "2026-11-17 23:08:30.500000");
    expect("1 week ago", "2026-11-13 23:08:30.500000");
    expect("0s ago", "2026-11-20 23:08:30.500000");
}

static void test_iso(void **state)
{
    (void)state;
    use_zone("UTC");
    expect("2026-11-20", "2026-11-20 00:00:00.000000");
    expect("2026-11-20 23:08", "2026-11-20 23:08:00.000000");
    expect("2026-11-20T23:08:07", "2026-11-20 23:08:07.000000");
    expect("2026-11-20T23:08:07.25", "2026-11-20 23:08:07.250000");
    expect("2026-11-20T23:08:07.1234567", "2026-11-20 23:08:07.123456");
    expect("2026-11-20T23:08:07Z", "2026-11-20 23:08:07.000000");
    expect("2026-11-20T23:08:07+02:00", "2026-11-20 21:08:07.000000");
    expect("2026-11-20T23:08:07-0330", "2026-11-21 02:38:07.000000");
    expect("2026-11-20T23:08+02", "2026-11-20 21:08:00.000000");
    expect("2024-02-29", "2024-02-29 00:00:00.000000");
    expect("2000-02-29", "2000-02-29 00:00:00.000000");
    expect("1970-01-01", "1970-01-01 00:00:00.000000");
    expect("9999-12-31T23:59:59.999999", "9999-12-31 23:59:59.999999");
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        " ",
                                        "tomorrow",
                                        "2h",
                                        "h ago",
                                        "2 ago",
                                        "2h  ",
                                        "-2h ago",
                                        "2.5h ago",
                                        "2y ago",
                                        "2h ago ",
                                        "1000000000000h ago",
                                        "9999999999 weeks ago",
                                        "2026",
                                        "2026-13-01",
                                        "2026-00-01",
                                        "2026-02-29",
                                        "2100-02-29",
                                        "2026-11-31",
                                        "2026-11-20T",
                                        "2026-11-20T24:00",
                                        "2026-11-20T12",
                                        "2026-11-20T12:60",
                                        "2026-11-20T12:00:60",
                                        "2026-11-20T12:00:00.",
                                        "2026-11-20X12:00",
                                        "2026-11-20T12:00+24:00",
                                        "2026-11-20T12:00+2",
                                        "2026-11-20T12:00+02:0",
                                        "20261120",
                                        "2026-11-20T12:00Zx",
                                        "1969-12-31",
                                        "1970-01-01T00:00+01:00",
                                        "Now",
                                        "\xff\xfe"};
    use_zone("UTC");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        refuse(texts[i]);
}

static void test_refusal_names_the_nearest_word(void **state)
{
    (void)state;
    struct error_text error;
    int64_t us;
    assert_int_equal(time_words_parse(&us, "yestrday", &reference, &error), -EINVAL);
    assert_non_null(strstr(error.text, "did you mean \"yesterday\"?"));
}

static void test_zones(void **state)
{
    (void)state;
    struct error_text error;
    static const char *const unknown[] = {"", "Nowhere/City", "../../../etc/passwd", "/etc/passwd",
                                          "Europe/../../passwd"};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        assert_int_equal(time_zone_use(unknown[i], &error), -EINVAL);
}

static void convert(const char *utc, const char *expected)
{
    char text[TIME_TEXT_SIZE];
    assert_true(time_words_convert(text, slice_text(utc)));
    assert_string_equal(text, expected);
}

static void test_convert_keeps_the_decimals(void **state)
{
    (void)state;
    char text[TIME_TEXT_SIZE];
    use_zone("Europe/Athens");
    convert("2026-11-20 23:08:30.500000", "2026-11-21 01:08:30.500000+02:00");
    convert("2026-07-01 00:00:00", "2026-07-01 03:00:00+03:00");
    convert("2026-11-20 23:08:30.12", "2026-11-21 01:08:30.12+02:00");
    assert_false(time_words_convert(text, slice_text("0000-00-00 00:00:00")));
    assert_false(time_words_convert(text, slice_text("2026-11-20")));
    assert_false(time_words_convert(text, slice_text("2026-11-20 23:08:30.1234567")));
    use_zone("UTC");
    convert("2026-11-20 23:08:30.500000", "2026-11-20 23:08:30.500000");
}

static void test_reference_is_the_host(void **state)
{
    (void)state;
    time_t before = time(NULL);
    struct time_reference now = time_reference_now();
    assert_true(now.now_us >= before * INT64_C(1000000));
    assert_true(now.now_us <= (time(NULL) + 1) * INT64_C(1000000));
    assert_true(now.boot_us < now.now_us && now.boot_us > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_words_follow_the_zone),
        cmocka_unit_test(test_midnight_over_a_change_of_the_clock),
        cmocka_unit_test(test_monday_begins_a_week),
        cmocka_unit_test(test_ago),
        cmocka_unit_test(test_iso),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_refusal_names_the_nearest_word),
        cmocka_unit_test(test_zones),
        cmocka_unit_test(test_convert_keeps_the_decimals),
        cmocka_unit_test(test_reference_is_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
