// links: vestige_tracker
/* Rows of coverage, as text_rows writes them: what the sink refuses is written later, and none of
 * it is lost or written twice. Lines are those that reach the sink, without times. */
#include "rows_test.h"

#include "recorder/tracker/standing_rows.h"

#include <stdio.h>
#include <stdlib.h>

#define BOOT "00000000-0000-0000-0000-000000000001"

struct world {
    struct rows_test out;
    struct standing_rows rows;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    rows_test_init(&w->out);
    standing_rows_init(&w->rows, &w->out.output);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    standing_rows_deinit(&w->rows);
    rows_test_deinit(&w->out);
    free(w);
    return 0;
}

static void set(struct world *w, const char *source, const char *mode)
{
    const char *values[] = {BOOT, source, mode, NULL};
    standing_rows_set(&w->rows, TABLE_COVERAGE, boot_start, values, 4, 2, END_CLOSED);
}

static void end_all(struct world *w)
{
    standing_rows_end(&w->rows, TABLE_COVERAGE, (uint64_t)real_start / 1000, END_REMOVED);
}

/* "insert source mode cause" and "end cause", `-` for NULL; then they are forgotten. */
static void expect(struct world *w, const char *expected)
{
    enum { COLUMN_SOURCE = 3, COLUMN_MODE = 4, COLUMN_CAUSE = 7 };
    char found[512] = "";
    for (size_t i = 0; i < w->out.memory.n_lines; i++) {
        struct slice line = row_sink_memory_line(&w->out.memory, i);
        bool is_end = line.data[0] == 'e';
        struct slice words[] = {row_sink_memory_value(line, COLUMN_SOURCE),
                                row_sink_memory_value(line, COLUMN_MODE),
                                row_sink_memory_value(line, is_end ? 1 : COLUMN_CAUSE)};
        size_t length = strlen(found);
        if (!is_end)
            length += (size_t)snprintf(found + length, sizeof(found) - length, "%.*s %.*s ",
                                       (int)words[0].length, (const char *)words[0].data,
                                       (int)words[1].length, (const char *)words[1].data);
        snprintf(found + length, sizeof(found) - length, "%.*s\n", (int)words[2].length,
                 (const char *)words[2].data);
    }
    assert_string_equal(found, expected);
    row_sink_memory_clear(&w->out.memory);
}

static void test_what_stands_ends_when_something_else_does(void **state)
{
    struct world *w = *state;
    set(w, "audit", "own");
    set(w, "udev", "on");
    set(w, "audit", "own");
    expect(w, "audit own \\N\nudev on \\N\n");
    set(w, "audit", "off");
    expect(w, "closed\naudit off \\N\n");
    end_all(w);
    expect(w, "removed\nremoved\n");
}

static void test_a_refused_row_is_written_later(void **state)
{
    struct world *w = *state;
    w->out.memory.refuse = -ENOSPC;
    set(w, "audit", "own");
    standing_rows_tick(&w->rows);
    expect(w, "");
    w->out.memory.refuse = 0;
    standing_rows_tick(&w->rows);
    standing_rows_tick(&w->rows);
    expect(w, "audit own \\N\n");
    assert_int_equal(w->out.output.refused_rows, 0);
}

static void test_a_refused_end_is_written_later(void **state)
{
    struct world *w = *state;
    set(w, "audit", "own");
    expect(w, "audit own \\N\n");
    w->out.memory.refuse = -ENOSPC;
    set(w, "audit", "off");
    w->out.memory.refuse = 0;
    standing_rows_tick(&w->rows);
    expect(w, "closed\naudit off \\N\n");
}

/* A row that began and ended while nothing could be written is one line. */
static void test_a_row_that_ended_unwritten_is_one_line(void **state)
{
    struct world *w = *state;
    w->out.memory.refuse = -ENOSPC;
    set(w, "audit", "own");
    end_all(w);
    w->out.memory.refuse = 0;
    standing_rows_tick(&w->rows);
    expect(w, "audit own removed\n");
}

/* For the database a row whose end waits is open, and one that was never written is not there. */
static void test_a_checkpoint_is_what_the_database_has(void **state)
{
    struct world *w = *state;
    set(w, "audit", "own");
    set(w, "udev", "on");
    w->out.memory.refuse = -ENOSPC;
    set(w, "audit", "off");
    w->out.memory.refuse = 0;
    row_sink_memory_clear(&w->out.memory);
    standing_rows_checkpoint(&w->rows);
    expect(w, "udev on \\N\naudit own \\N\n");
}

static void test_what_is_refused_to_the_end_is_counted(void **state)
{
    struct world *w = *state;
    w->out.memory.refuse = -ENOSPC;
    set(w, "audit", "own");
    set(w, "udev", "on");
    standing_rows_flush(&w->rows);
    assert_int_equal(w->out.output.refused_rows, 2);
    assert_int_equal(w->out.output.refused_error, -ENOSPC);
}

/* Beyond the bound a row is not written, because nobody would end it. */
static void test_the_number_of_rows_is_bounded(void **state)
{
    struct world *w = *state;
    char source[16];
    for (int i = 0; i < STANDING_ROWS_MOST + 3; i++) {
        snprintf(source, sizeof(source), "%d", i);
        set(w, source, "on");
    }
    assert_int_equal(w->out.memory.n_lines, STANDING_ROWS_MOST);
    assert_int_equal(w->out.output.refused_rows, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_stands_ends_when_something_else_does, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_refused_row_is_written_later, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_refused_end_is_written_later, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_row_that_ended_unwritten_is_one_line, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_checkpoint_is_what_the_database_has, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_is_refused_to_the_end_is_counted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_the_number_of_rows_is_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
