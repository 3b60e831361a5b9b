// links: vestige_shipper
/* Which of the server's answers may cost a row its place, and which keep the batch. */
#include "recorder/shipper/ship_error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void only_errors_of_data_refuse_a_row(void **state)
{
    static const unsigned refusing[] = {1048, 1062, 1264, 1265, 1292, 1301, 1366, 1369, 1406, 4025};
    (void)state;
    size_t found = 0;
    for (unsigned number = 0; number < 6000; number++)
        if (ship_error_classify(number) == SHIP_ROW_REFUSED)
            assert_int_equal(number, refusing[found++]);
    assert_int_equal(found, sizeof(refusing) / sizeof(refusing[0]));
}

static void deadlocks_are_tried_again(void **state)
{
    (void)state;
    assert_int_equal(ship_error_classify(1205), SHIP_TRY_AGAIN);
    assert_int_equal(ship_error_classify(1213), SHIP_TRY_AGAIN);
}

static void lost_connections_are_told_apart(void **state)
{
    static const unsigned lost[] = {1053, 1927, 2002, 2003, 2006, 2013, 2026, 2055};
    (void)state;
    for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]); i++)
        assert_int_equal(ship_error_classify(lost[i]), SHIP_LOST);
}

static void what_an_operator_must_mend_keeps_the_batch(void **state)
{
    /* full table, privileges, database, read only, unknown column, partition, packet */
    static const unsigned kept[] = {1044, 1045, 1054, 1114, 1142, 1143,
                                    1146, 1153, 1290, 1526, 2020, 5999};
    (void)state;
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        assert_int_equal(ship_error_classify(kept[i]), SHIP_FAILED);
}

static void own_errors_have_number_zero(void **state)
{
    struct ship_error error = {.number = 1062};
    (void)state;
    assert_int_equal(ship_error_set(&error, SHIP_FAILED, "%s %d", "row", 5), SHIP_FAILED);
    assert_int_equal(error.number, 0);
    assert_string_equal(error.text.text, "row 5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_errors_of_data_refuse_a_row),
        cmocka_unit_test(deadlocks_are_tried_again),
        cmocka_unit_test(lost_connections_are_told_apart),
        cmocka_unit_test(what_an_operator_must_mend_keeps_the_batch),
        cmocka_unit_test(own_errors_have_number_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
