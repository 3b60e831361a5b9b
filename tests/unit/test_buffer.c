// links: vestige_core
#include "core/buffer.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Room for nothing is no failure. */
static void no_room_needed(void **state)
{
    struct buffer buffer = BUFFER_NULL;
    (void)state;
    uint8_t *room = buffer_reserve(&buffer, 0);
    assert_non_null(room);
    assert_false(buffer.failed);
    buffer_append(&buffer, NULL, 0);
    assert_int_equal(buffer.length, 0);
    buffer_append_text(&buffer, "text");
    assert_true(slice_is(buffer_slice(&buffer), "text"));
    buffer_deinit(&buffer);
}

static void limit_is_sticky(void **state)
{
    struct buffer buffer = {.limit = 300};
    (void)state;
    assert_non_null(buffer_reserve(&buffer, 300));
    buffer.length = 297;
    buffer_append_text(&buffer, "abc");
    assert_false(buffer.failed);
    buffer_append_byte(&buffer, 'd');
    assert_true(buffer.failed);
    assert_null(buffer_reserve(&buffer, 0));
    assert_int_equal(buffer.length, 300);
    buffer_clear(&buffer);
    assert_false(buffer.failed);
    buffer_printf(&buffer, "%d %s", 7, "again");
    assert_true(slice_is(buffer_slice(&buffer), "7 again"));
    assert_null(buffer_reserve(&buffer, SIZE_MAX));
    assert_true(buffer.failed);
    buffer_deinit(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_room_needed),
                                       cmocka_unit_test(limit_is_sticky)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
