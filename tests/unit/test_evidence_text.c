// links: vestige_core
/* Bytes to text and back: every byte sequence must survive, and every field too. */
#include "core/evidence_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_buffer(const struct buffer *buffer, const char *expected)
{
    assert_int_equal(buffer->length, strlen(expected));
    assert_memory_equal(buffer->data ? buffer->data : (const uint8_t *)"", expected,
                        strlen(expected));
}

static void expect_text(const char *bytes, size_t length, const char *expected)
{
    struct buffer text = BUFFER_NULL, again = BUFFER_NULL;
    evidence_text_append(&text, slice_of(bytes, length));
    assert_buffer(&text, expected);
    evidence_text_restore(&again, buffer_slice(&text));
    assert_int_equal(again.length, length);
    assert_memory_equal(again.data ? again.data : (const uint8_t *)"", bytes, length);
    buffer_deinit(&text);
    buffer_deinit(&again);
}

static void test_invalid_bytes_are_hex(void **state)
{
    (void)state;
    expect_text("", 0, "");
    expect_text("plain", 5, "plain");
    expect_text("\xff\xfe", 2, "\\xff\\xfe");
    expect_text("\xc3\xa9", 2, "\xc3\xa9");
    expect_text("\xc3", 1, "\\xc3");
    expect_text("\xc0\xaf", 2, "\\xc0\\xaf");          /* overlong */
    expect_text("\xed\xa0\x80", 3, "\\xed\\xa0\\x80"); /* surrogate */
    expect_text("\xf4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80");
    expect_text("\xf0\x9f\x98\x80", 4, "\xf0\x9f\x98\x80");
    expect_text("a\0b", 3, "a\\x00b");
    expect_text("\\x41", 4, "\\x5cx41");
    expect_text("\\x4", 3, "\\x4");
    expect_text("\\n", 2, "\\n");
}

static void test_every_pair_of_bytes_survives(void **state)
{
    (void)state;
    struct buffer text = BUFFER_NULL, again = BUFFER_NULL, field = BUFFER_NULL;
    for (unsigned pair = 0; pair < 65536; pair++) {
        const uint8_t bytes[2] = {(uint8_t)(pair >> 8), (uint8_t)pair};
        buffer_clear(&text);
        buffer_clear(&again);
        buffer_clear(&field);
        evidence_text_append(&text, slice_of(bytes, 2));
        evidence_text_restore(&again, buffer_slice(&text));
        assert_int_equal(again.length, 2);
        assert_memory_equal(again.data, bytes, 2);
        buffer_clear(&again);
        evidence_field_append(&field, slice_of(bytes, 2));
        assert_int_equal(evidence_field_unescape(&again, buffer_slice(&field)), 0);
        assert_int_equal(again.length, 2);
        assert_memory_equal(again.data, bytes, 2);
    }
    buffer_deinit(&text);
    buffer_deinit(&again);
    buffer_deinit(&field);
}

static void test_fields(void **state)
{
    (void)state;
    struct buffer field = BUFFER_NULL;
    evidence_field_append(&field, SLICE_NULL);
    assert_buffer(&field, "\\N");
    buffer_clear(&field);
    evidence_field_append(&field, slice_text("a\tb\nc\\N"));
    assert_buffer(&field, "a\\tb\\nc\\\\N");
    buffer_clear(&field);
    assert_int_equal(evidence_field_unescape(&field, slice_text("bad\\")), -EINVAL);
    assert_int_equal(evidence_field_unescape(&field, slice_text("bad\\q")), -EINVAL);
    buffer_deinit(&field);
}

static void test_quotes(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"",               "''"            },
        {"a b",            "'a b'"         },
        {"--x=1,2:/y@z%+", "--x=1,2:/y@z%+"},
        {"it's",           "'it'\\''s'"    },
        {"$HOME",          "'$HOME'"       },
        {"\n",             "'\n'"          },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer word = BUFFER_NULL;
        evidence_quote_append(&word, slice_text(cases[i][0]));
        assert_buffer(&word, cases[i][1]);
        buffer_deinit(&word);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_invalid_bytes_are_hex),
        cmocka_unit_test(test_every_pair_of_bytes_survives),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_quotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
