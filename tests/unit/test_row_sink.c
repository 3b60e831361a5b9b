// links: vestige_row
/* The sinks for tests and replay. */
#include "core/log.h"
#include "recorder/row/row_sink_memory.h"
#include "recorder/row/row_sink_stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void make(struct line *line, uint64_t id, const char *text)
{
    line_begin(line, VERB_SETTLE, TABLE_PROCESS, id);
    line_word(line, text);
    while (line->n_values < line->n_expected)
        line_null(line);
    assert_int_equal(line_finish(line), 0);
}

static void test_memory(void **state)
{
    (void)state;
    struct row_sink_memory memory = ROW_SINK_MEMORY_NULL;
    struct row_sink sink = row_sink_memory(&memory);
    struct line line = LINE_NULL;
    make(&line, 5, "one");
    assert_int_equal(sink.append(sink.user, &line), 0);
    make(&line, 6, "two");
    assert_int_equal(sink.append(sink.user, &line), 0);
    sink.mark(sink.user, slice_text("a=1"));
    memory.refuse = -ENOSPC;
    assert_int_equal(sink.append(sink.user, &line), -ENOSPC);
    assert_int_equal(memory.n_lines, 2);
    assert_int_equal(memory.n_refused, 1);
    assert_int_equal(memory.n_marks, 1);
    assert_true(slice_is(buffer_slice(&memory.mark), "a=1"));
    assert_true(slice_is(row_sink_memory_line(&memory, 1),
                         "settle\tprocess\t6\ttwo\t\\N\t\\N\t\\N\t\\N\t\\"
                         "N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N"));
    assert_true(slice_is(row_sink_memory_value(row_sink_memory_line(&memory, 0), 0), "one"));
    assert_true(slice_is(row_sink_memory_value(row_sink_memory_line(&memory, 0), 13), "\\N"));
    assert_true(slice_is_null(row_sink_memory_value(row_sink_memory_line(&memory, 0), 14)));
    assert_true(slice_is_null(row_sink_memory_line(&memory, 2)));
    row_sink_memory_clear(&memory);
    assert_true(slice_is_null(row_sink_memory_line(&memory, 0)));
    row_sink_memory_deinit(&memory);
    line_deinit(&line);
}

static void test_stream(void **state)
{
    (void)state;
    char *text = NULL;
    size_t length = 0;
    struct line line = LINE_NULL;
    FILE *stream = open_memstream(&text, &length);
    assert_non_null(stream);
    struct row_sink sink = row_sink_stream(stream);
    make(&line, 7, "x");
    assert_int_equal(sink.append(sink.user, &line), 0);
    sink.mark(sink.user, slice_text("a=1"));
    fclose(stream);
    assert_string_equal(
        text,
        "settle\tprocess\t7\tx\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\n");
    free(text);
    stream = fopen("/dev/full", "we");
    assert_non_null(stream);
    setvbuf(stream, NULL, _IONBF, 0);
    sink = row_sink_stream(stream);
    assert_int_equal(sink.append(sink.user, &line), -EIO);
    fclose(stream);
    line_deinit(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_memory),
                                       cmocka_unit_test(test_stream)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
