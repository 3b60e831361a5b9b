// links: vestige_shipper
/* Packed rows give back what was put in; NULL, empty and long values are told apart. */
#include "recorder/shipper/ship_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void values_come_back_as_they_were(void **state)
{
    struct ship_rows rows = SHIP_ROWS_NULL;
    char longer[70000];
    (void)state;
    memset(longer, 'y', sizeof(longer));
    const struct slice values[] = {slice_text("a\tb"), SLICE_NULL, slice_text(""),
                                   slice_of(longer, sizeof(longer)), slice_of("\0\xff", 2)};
    for (uint64_t id = 1; id <= 100; id++)
        assert_int_equal(ship_rows_add(&rows, id + 1, id, id == 50, values, 5), 0);
    assert_int_equal(rows.n, 100);
    for (size_t i = 0; i < rows.n; i++) {
        size_t offset = rows.rows[i].offset;
        assert_int_equal(rows.rows[i].id, i + 1);
        assert_int_equal(rows.rows[i].line, i + 2);
        assert_int_equal(rows.rows[i].ended, i + 1 == 50);
        for (size_t j = 0; j < 5; j++) {
            struct slice value = ship_rows_value(&rows, &offset);
            assert_int_equal(slice_is_null(value), slice_is_null(values[j]));
            assert_true(slice_equal(value, values[j]));
        }
    }
    ship_rows_deinit(&rows);
}

static void wire_size_is_an_upper_bound(void **state)
{
    struct ship_rows rows = SHIP_ROWS_NULL;
    const struct slice values[] = {slice_text("12345"), SLICE_NULL};
    (void)state;
    /* per value: one byte of indicator, up to nine of length */
    assert_true(ship_rows_wire(values, 2) >= 2 * 10 + 5);
    assert_int_equal(ship_rows_add(&rows, 1, 1, false, values, 2), 0);
    assert_int_equal(ship_rows_add(&rows, 2, 2, false, values, 2), 0);
    assert_int_equal(rows.rows[1].wire, ship_rows_wire(values, 2));
    ship_rows_clear(&rows);
    assert_int_equal(rows.n, 0);
    ship_rows_deinit(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back_as_they_were),
        cmocka_unit_test(wire_size_is_an_upper_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
