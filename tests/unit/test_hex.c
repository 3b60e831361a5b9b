// links: vestige_core
#include "core/hex.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const uint8_t bytes[] = {0x00, 0x0f, 0xf0, 0xa5, 0xff};

static void there_and_back(void **state)
{
    struct buffer text = BUFFER_NULL;
    uint8_t back[sizeof(bytes)];
    char line[2 * sizeof(bytes) + 1];
    (void)state;
    hex_append(&text, bytes, sizeof(bytes));
    assert_true(slice_is(buffer_slice(&text), "000ff0a5ff"));
    hex_text(line, bytes, sizeof(bytes));
    assert_string_equal(line, "000ff0a5ff");
    assert_true(hex_parse(buffer_slice(&text), back, sizeof(back)));
    assert_memory_equal(back, bytes, sizeof(bytes));
    buffer_deinit(&text);
}

static void what_is_no_number(void **state)
{
    static const char *const texts[] = {"", "0", "000", "0g", "g0", "0A", " 0", "-1", "0\x7f"};
    uint8_t byte[1];
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_false(hex_parse(slice_text(texts[i]), byte, 1));
    assert_true(hex_parse(slice_text(""), byte, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(there_and_back),
                                       cmocka_unit_test(what_is_no_number)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
