// links: vestige_sentence
/* Sentences from forms: what is put in, what is left out, and forms that are not whole. */
#include "reports/options/time_words.h"
#include "reports/user/sentence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define TEXT(literal) slice_of(literal, sizeof(literal) - 1)

static const struct sentence_value values[] = {
    {"who",   {(const uint8_t *)"alice", 5}                      },
    {"one",   {(const uint8_t *)"1", 1}                          },
    {"many",  {(const uint8_t *)"23", 2}                         },
    {"big",   {(const uint8_t *)"1610612736", 10}                },
    {"at",    {(const uint8_t *)"2026-11-26 04:11:11.676999", 26}},
    {"empty", {(const uint8_t *)"", 0}                           },
    {"none",  {NULL, 0}                                          },
    {"odd",   {(const uint8_t *)"[{who}] 100% \x1b", 14}         },
};

static void expect(const char *form, const char *expected)
{
    struct buffer made = BUFFER_NULL;
    sentence_append(&made, form, values, sizeof(values) / sizeof(values[0]));
    buffer_append_byte(&made, '\0');
    assert_false(made.failed);
    assert_string_equal((const char *)made.data, expected);
    buffer_deinit(&made);
}

static void test_values(void **state)
{
    (void)state;
    expect("{who} came", "alice came");
    expect("{none}, {empty}, {unheard}", "?, , ?");
    expect("{odd}", "[{who}] 100% \x1b");
    expect("", "");
}

static void test_numbers(void **state)
{
    (void)state;
    expect("{one|once|% times}, {many|once|% times}", "once, 23 times");
    expect("{many|once}", "once");
    expect("{one~bytes}, {many~bytes}, {big~bytes}", "1 byte, 23 bytes, 1.5 GiB");
    expect("{many~time}, {big~time}", "23 s, 18641 d 08 h");
    expect("{at~moment}", "2026-11-26 04:11:11");
    expect("{who~moment}", "alice");
}

static void test_optional(void **state)
{
    (void)state;
    expect("a[ from {none}] b[ from {who}] c[ from {empty}]", "a b from alice c");
    expect("[{who} {none}]x", "x");
    expect("[{none} {who}]x", "x");
    expect("[{odd}]", "[{who}] 100% \x1b");
}

static void test_not_whole(void **state)
{
    (void)state;
    expect("{who", "{who");
    expect("]x[", "x");
    expect("[a", "a");
    expect("{}", "?");
}

static void test_zone(void **state)
{
    (void)state;
    struct error_text error = ERROR_TEXT_NULL;
    assert_int_equal(time_zone_use("Asia/Tokyo", &error), 0);
    expect("{at~moment}", "2026-11-26 13:11:11+09:00");
    assert_int_equal(time_zone_use("UTC", &error), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),   cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_optional), cmocka_unit_test(test_not_whole),
        cmocka_unit_test(test_zone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
