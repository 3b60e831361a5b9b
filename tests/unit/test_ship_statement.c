// links: vestige_shipper
/* The statements' texts, and that none of the catalogue's tables needs more than is provided. */
#include "recorder/shipper/ship_statement.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_statement(enum table_id table, enum verb verb, const char *expected)
{
    struct buffer text = BUFFER_NULL;
    ship_statement_text(&text, table, verb, 7);
    buffer_append_byte(&text, '\0');
    assert_false(text.failed);
    assert_string_equal((const char *)text.data, expected);
    buffer_deinit(&text);
}

static void texts_follow_the_catalogue(void **state)
{
    (void)state;
    assert_statement(TABLE_BOOT, VERB_INSERT,
                     "INSERT INTO boot_in (host_id, id, day, batch, end_batch, `created_at`, "
                     "`seen_by`, `boot_id`, `kernel`, `command_line`, `destroyed_at`, `end_cause`, "
                     "`ended_clean`) VALUES (7, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    assert_statement(TABLE_BOOT, VERB_END,
                     "UPDATE boot_end SET `destroyed_at` = ?, `end_cause` = ?, `ended_clean` = ?, "
                     "end_batch = ? WHERE host_id = 7 AND id = ? AND day = ?");
    assert_statement(
        TABLE_PROCESS, VERB_SETTLE,
        "UPDATE process_settle SET `comm` = ?, `exe` = ?, `argv0` = ?, "
        "`arguments` = ?, `argc` = ?, `masked` = ?, `cwd` = ?, `tty` = ?, `exe_sha256` = ?, "
        "`exe_size` = ?, `exe_modified_at` = ?, `session_id` = ?, `login_uid` = ?, "
        "`login_username` = ?, settle_batch = ? "
        "WHERE host_id = 7 AND id = ? AND day = ?");
}

static void every_table_fits_and_tells_its_end(void **state)
{
    (void)state;
    for (int id = 0; id < TABLE_N; id++) {
        const struct table *table = catalogue_table((enum table_id)id);
        size_t first, n = catalogue_line_columns(table, VERB_END, &first);
        assert_true(table->n_columns + 4 <= SHIP_PARAMETERS_MAX);
        /* an insert line whose first end column is set is an ended row */
        assert_true(n > 0);
        assert_string_equal(table->columns[first].name, "destroyed_at");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_follow_the_catalogue),
        cmocka_unit_test(every_table_fits_and_tells_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
