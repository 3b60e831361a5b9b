// links: vestige_journal
/* The way of a line: appended, in the open file, sealed, read again; and when batches end. */
#include "journal_test.h"

static void test_lines_come_back(void **state)
{
    struct journal_test *test = *state;
    static const struct {
        enum verb verb;
        enum table_id table;
        const char *text;
    } lines[] = {
        {VERB_INSERT, TABLE_PROCESS, "a\tb\nc\\d\re"             },
        {VERB_SETTLE, TABLE_PROCESS, ""                          },
        {VERB_END,    TABLE_PROCESS, "2023-11-14 22:13:20.000001"},
        {VERB_INSERT, TABLE_GAP,     NULL                        },
        {VERB_INSERT, TABLE_HOST,    "\\N"                       },
    };
    enum { N = sizeof(lines) / sizeof(lines[0]) };
    journal_test_open(test);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(
            journal_test_append(test, lines[i].verb, lines[i].table, TEST_TIME + i, lines[i].text),
            0);
    assert_int_equal(journal_test_seal(test), 1);
    struct batch_reader *reader = batch_open(test, JOURNAL_FILE_SEALED, 1);
    struct batch_line line;
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(batch_reader_next(reader, &line, NULL), BATCH_READER_LINE);
        assert_int_equal(line.verb, lines[i].verb);
        assert_int_equal(line.table, lines[i].table);
        assert_int_equal(line.id, TEST_TIME + i);
        assert_int_equal(line.number, i + 1);
        if (lines[i].text)
            assert_true(slice_is(line.values[0], lines[i].text));
        else
            assert_true(slice_is_null(line.values[0]));
        assert_true(slice_is(line.values[1], "v1"));
        size_t first;
        assert_int_equal(line.n_values, catalogue_line_columns(catalogue_table(lines[i].table),
                                                               lines[i].verb, &first));
    }
    assert_int_equal(batch_reader_next(reader, &line, NULL), BATCH_READER_END);
    const struct batch_header *header = batch_reader_header(reader);
    assert_int_equal(header->host_id, TEST_HOST);
    assert_string_equal(header->boot_id, TEST_BOOT);
    assert_int_equal(header->n_lines, N);
    assert_int_equal(header->first_us, TEST_TIME);
    assert_int_equal(header->last_us, TEST_TIME + 4);
    assert_false(header->recovered);
    batch_reader_free(reader);
    assert_int_equal(counter_get(&test->counters, COUNTER_LINES_WRITTEN), N);
    assert_int_equal(counter_get(&test->counters, COUNTER_BATCHES_SEALED), 1);
    assert_false(file_exists(test, JOURNAL_FILE_OPEN, 1));
}

static void put_pipe(struct journal_test *test, enum journal_file file)
{
    char name[JOURNAL_NAME_SIZE], path[256];
    journal_file_name(name, file, 1);
    snprintf(path, sizeof(path), "%s/%s.tmp", test->directory, name);
    assert_int_equal(mkfifo(path, 0600), 0);
}

/* Nobody reads them: opening one to write would never return. */
static void test_pipes_in_place_of_files(void **state)
{
    struct journal_test *test = *state;
    journal_test_open(test);
    put_pipe(test, JOURNAL_FILE_OPEN);
    put_pipe(test, JOURNAL_FILE_SEALED);
    alarm(60);
    while (journal_test_append(test, VERB_INSERT, TABLE_PROCESS, TEST_TIME, "a") == -ENXIO)
        continue;
    journal_seal_request(test->journal);
    WAIT_FOR(file_exists(test, JOURNAL_FILE_SEALED, 1));
    alarm(0);
}

static size_t lines_in(const char *path)
{
    struct batch_reader *reader;
    struct batch_line line;
    size_t n = 0;
    if (batch_reader_open(&reader, path, NULL) != 0)
        return 0;
    while (batch_reader_next(reader, &line, NULL) == BATCH_READER_LINE)
        n++;
    batch_reader_free(reader);
    return n;
}

/* What the tracker decided is in the file soon, without a seal. */
static void test_open_file_holds_lines_and_mark(void **state)
{
    struct journal_test *test = *state;
    char path[256];
    journal_test_open(test);
    file_path(test, JOURNAL_FILE_OPEN, 1, path);
    journal_test_insert(test, TEST_TIME + 1);
    journal_test_mark(test, "cpu0=1 audit=5");
    journal_test_insert(test, TEST_TIME + 3);
    WAIT_FOR(lines_in(path) == 2);
    struct batch_reader *reader = batch_open(test, JOURNAL_FILE_OPEN, 1);
    struct batch_line line;
    while (batch_reader_next(reader, &line, NULL) == BATCH_READER_LINE)
        continue;
    assert_string_equal(batch_reader_header(reader)->cursors, "cpu0=1 audit=5");
    assert_int_equal(batch_reader_header(reader)->births, 1);
    assert_int_equal(batch_reader_header(reader)->n_lines, 2);
    assert_false(batch_reader_closed(reader));
    batch_reader_free(reader);
}

static void test_seal_by_lines(void **state)
{
    struct journal_test *test = *state;
    journal_test_open(test);
    for (uint64_t i = 0; i < 10001; i++)
        assert_int_equal(journal_test_append(test, VERB_END, TABLE_GAP, TEST_TIME + i, "x"), 0);
    journal_test_wait_sealed(test, 1);
    assert_int_equal(journal_test_count(test, 1, 1), 10000);
    assert_int_equal(journal_test_seal(test), 2);
    assert_int_equal(journal_test_count(test, 1, 2), 10001);
}

static void test_seal_by_bytes(void **state)
{
    struct journal_test *test = *state;
    static char text[1024 * 1024];
    test->options.buffer_bytes = 64 * 1024 * 1024;
    memset(text, 'x', sizeof(text) - 1);
    journal_test_open(test);
    for (uint64_t i = 0; i < 4; i++)
        assert_int_equal(journal_test_append(test, VERB_END, TABLE_GAP, i, text), 0);
    journal_test_wait_sealed(test, 1);
    /* three lines of a mebibyte and a bit fit into four mebibytes */
    assert_int_equal(journal_test_count(test, 1, 1), 3);
    assert_int_equal(journal_test_seal(test), 2);
    assert_int_equal(journal_test_count(test, 1, 2), 4);
}

static void test_seal_by_time(void **state)
{
    struct journal_test *test = *state;
    test->options.seal_after_ms = 50;
    journal_test_open(test);
    journal_test_insert(test, TEST_TIME);
    journal_test_wait_sealed(test, 1);
    journal_test_insert(test, TEST_TIME + 1);
    journal_test_wait_sealed(test, 2);
    assert_int_equal(journal_test_count(test, 1, 2), 2);
}

/* A line beyond the size of a batch, and beyond half of the buffer, is a batch alone. */
static void test_large_line_is_alone(void **state)
{
    struct journal_test *test = *state;
    enum { LARGE = 24 * 1024 * 1024 };
    char *text = malloc(LARGE + 1);
    assert_non_null(text);
    for (size_t i = 0; i < LARGE; i++)
        text[i] = (char)('a' + i * 7919 % 26);
    text[LARGE] = 0;
    journal_test_open(test);
    journal_test_insert(test, TEST_TIME);
    assert_int_equal(journal_test_append(test, VERB_INSERT, TABLE_GAP, TEST_TIME + 1, text), 0);
    /* the next one waits until there is memory again */
    WAIT_FOR(journal_test_append(test, VERB_INSERT, TABLE_PROCESS, TEST_TIME + 3, "x") == 0);
    assert_int_equal(journal_test_seal(test), 3);
    assert_int_equal(journal_test_count(test, 1, 3), 3);
    struct batch_reader *reader = batch_open(test, JOURNAL_FILE_SEALED, 2);
    struct batch_line line;
    assert_int_equal(batch_reader_next(reader, &line, NULL), BATCH_READER_LINE);
    assert_int_equal(line.values[0].length, LARGE);
    assert_memory_equal(line.values[0].data, text, LARGE);
    assert_int_equal(batch_reader_next(reader, &line, NULL), BATCH_READER_END);
    batch_reader_free(reader);
    free(text);
}

static void test_no_line_no_batch(void **state)
{
    struct journal_test *test = *state;
    journal_test_open(test);
    assert_int_equal(journal_seal_request(test->journal), 0);
    journal_test_insert(test, TEST_TIME);
    assert_int_equal(journal_test_seal(test), 1);
    assert_int_equal(journal_seal_request(test->journal), 1);
    journal_test_close(test);
    assert_int_equal(test->n_sealed, 1);
    assert_false(file_exists(test, JOURNAL_FILE_OPEN, 2));
}

/* The chain of hashes and the numbers go on over restarts. */
static void test_chain_goes_on(void **state)
{
    struct journal_test *test = *state;
    for (uint64_t run = 0; run < 3; run++) {
        test->sealed = 0;
        journal_test_open(test);
        assert_false(test->recovery.crashed);
        journal_test_insert(test, TEST_TIME + run * 2);
        assert_int_equal(journal_test_seal(test), run * 2 + 1);
        journal_test_insert(test, TEST_TIME + run * 2 + 1);
        journal_test_close(test); /* seals what is left */
    }
    assert_int_equal(journal_test_count(test, 1, 6), 6);
}

/* A stop that comes while the thread is writing leaves nothing behind. */
static void test_stop_during_a_write(void **state)
{
    struct journal_test *test = *state;
    char path[256];
    enum { RUNS = 200 };
    for (uint64_t run = 1; run <= RUNS; run++) {
        journal_test_open(test);
        assert_false(test->recovery.crashed);
        file_path(test, JOURNAL_FILE_OPEN, run, path);
        journal_test_insert(test, TEST_TIME + run);
        while (access(path, F_OK) != 0)
            continue;
        for (volatile uint64_t spin = 0; spin < run * 200; spin++)
            continue;
        journal_test_close(test);
        assert_true(file_exists(test, JOURNAL_FILE_SEALED, run));
    }
    assert_int_equal(journal_test_count(test, 1, RUNS), RUNS);
}

/* A number is promised before anything is written, and it is kept. */
static void test_promised_number(void **state)
{
    struct journal_test *test = *state;
    test->options.buffer_bytes = 64 * 1024 * 1024;
    journal_test_open(test);
    for (uint64_t i = 0; i < 25000; i++)
        assert_int_equal(journal_test_append(test, VERB_END, TABLE_GAP, i, "x"), 0);
    assert_int_equal(journal_seal_request(test->journal), 3);
    assert_int_equal(journal_seal_request(test->journal), 3);
    assert_int_equal(journal_test_append(test, VERB_END, TABLE_GAP, 1, "x"), 0);
    assert_int_equal(journal_test_seal(test), 4);
    assert_int_equal(journal_test_count(test, 1, 3), 25000);
    assert_int_equal(journal_test_count(test, 4, 4), 1);
}

static void test_shipping(void **state)
{
    struct journal_test *test = *state;
    struct journal_status status;
    char path[4096];
    journal_test_open(test);
    assert_int_equal(journal_next_to_ship(test->journal), 0);
    for (uint64_t i = 0; i < 3; i++) {
        journal_test_insert(test, TEST_TIME + i);
        journal_test_seal(test);
    }
    journal_get_status(test->journal, &status);
    assert_int_equal(status.first_batch, 1);
    assert_int_equal(status.last_batch, 3);
    assert_int_equal(status.n_batches, 3);
    assert_int_equal(status.oldest_age_us, 0); /* its clock stands */
    test->now_us = TEST_TIME + 23;
    journal_get_status(test->journal, &status);
    assert_int_equal(status.oldest_age_us, 23);
    test->now_us = TEST_TIME - 23; /* it was set back */
    journal_get_status(test->journal, &status);
    assert_int_equal(status.oldest_age_us, 0);
    test->now_us = TEST_TIME;
    assert_false(status.full);
    assert_string_equal(status.error, "");
    assert_true(status.bytes > 0 && status.bytes < 1024 * 1024);
    assert_int_equal(journal_next_to_ship(test->journal), 1);
    journal_batch_path(test->journal, 1, path);
    assert_int_equal(access(path, R_OK), 0);
    assert_int_equal(journal_shipped(test->journal, 1), 0);
    assert_int_equal(journal_shipped(test->journal, 1), 0);
    assert_int_equal(access(path, R_OK), -1);
    assert_int_equal(journal_next_to_ship(test->journal), 2);
    assert_int_equal(journal_shipped(test->journal, 9), -ENOENT);
    journal_test_close(test);
    journal_test_open(test);
    assert_int_equal(journal_next_to_ship(test->journal), 2);
    assert_int_equal(journal_shipped(test->journal, 2), 0);
    assert_int_equal(journal_shipped(test->journal, 3), 0);
    assert_int_equal(journal_next_to_ship(test->journal), 0);
    journal_get_status(test->journal, &status);
    assert_int_equal(status.n_batches, 0);
    assert_int_equal(status.first_batch, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, journal_test_setup, journal_test_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_lines_come_back),
        TEST(test_pipes_in_place_of_files),
        TEST(test_open_file_holds_lines_and_mark),
        TEST(test_seal_by_lines),
        TEST(test_seal_by_bytes),
        TEST(test_seal_by_time),
        TEST(test_large_line_is_alone),
        TEST(test_no_line_no_batch),
        TEST(test_chain_goes_on),
        TEST(test_stop_during_a_write),
        TEST(test_promised_number),
        TEST(test_shipping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
