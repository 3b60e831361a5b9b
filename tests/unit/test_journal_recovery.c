// links: vestige_journal
/* What a start finds after an end of any kind. A crash is made by putting back the files as they
 * were while the journal was open. */
#include "journal_test.h"

/* Leaves batch 1 sealed (cursors a=1, then one birth) and gives the open file of batch 2. */
static struct buffer make_open_file(struct journal_test *test)
{
    char path[256];
    journal_test_open(test);
    journal_test_mark(test, "a=1");
    journal_test_insert(test, TEST_TIME + 1);
    journal_test_seal(test);
    journal_test_insert(test, TEST_TIME + 3);
    journal_test_insert(test, TEST_TIME + 4);
    test->now_us = TEST_TIME + 20;
    journal_test_mark(test, "b=2");
    journal_test_insert(test, TEST_TIME + 5);
    journal_test_insert(test, TEST_TIME + 7);
    assert_int_equal(journal_test_append(test, VERB_END, TABLE_PROCESS, TEST_TIME + 3, "e"), 0);
    file_path(test, JOURNAL_FILE_OPEN, 2, path);
    struct buffer bytes = BUFFER_NULL;
    for (time_t limit = time(NULL) + WAIT_LIMIT; time(NULL) < limit;) {
        buffer_deinit(&bytes);
        if (access(path, F_OK) == 0)
            bytes = file_read(path);
        buffer_append_byte(&bytes, 0);
        bytes.length--;
        if (strstr((char *)bytes.data, "end\tprocess"))
            break;
    }
    journal_test_close(test);
    return bytes;
}

static void put_crash(struct journal_test *test, struct slice bytes)
{
    char path[256];
    for (uint64_t batch = 2; batch < 5; batch++) {
        for (int file = JOURNAL_FILE_SEALED; file <= JOURNAL_FILE_DAMAGED; file++) {
            file_path(test, (enum journal_file)file, batch, path);
            unlink(path);
        }
    }
    file_path(test, JOURNAL_FILE_OPEN, 2, path);
    file_write(path, bytes);
}

struct expected {
    size_t n_lines;
    uint64_t births, time_us;
    const char *cursors;
};

/* What is in the complete lines of a prefix, told from the text alone. */
static struct expected expect(const char *text, size_t length)
{
    struct expected expected = {0, 1, TEST_TIME + 1, "a=1"};
    const char *end, *body = strstr(text, "\n\n");
    if (!body || body + 2 > text + length)
        return expected;
    for (const char *line = body + 2;
         line < text + length && (end = memchr(line, '\n', (size_t)(text + length - line))) != NULL;
         line = end + 1) {
        if (strncmp(line, "mark\t", 5) == 0) {
            bool second = strstr(line, "b=2") && strstr(line, "b=2") < end;
            expected.births = second ? 0 : 1;
            expected.cursors = second ? "b=2" : "a=1";
            if (second)
                expected.time_us = TEST_TIME + 20;
            continue;
        }
        expected.n_lines++;
        uint64_t id = strtoull(strstr(line, "\t17") + 1, NULL, 10);
        bool insert = strncmp(line, "insert", 6) == 0;
        expected.births += insert && id % 2;
        if (insert && id > expected.time_us)
            expected.time_us = id;
    }
    return expected;
}

static void test_every_truncation_of_an_open_file(void **state)
{
    struct journal_test *test = *state;
    struct buffer bytes = make_open_file(test);
    const char *text = (const char *)bytes.data;
    assert_int_equal(expect(text, bytes.length).n_lines, 5);
    assert_int_equal(expect(text, bytes.length).births, 2);
    for (size_t length = 0; length <= bytes.length; length++) {
        struct expected expected = expect(text, length);
        put_crash(test, slice_of(bytes.data, length));
        journal_test_open(test);
        assert_true(test->recovery.crashed);
        assert_string_equal(test->recovery.cursors, expected.cursors);
        assert_int_equal(test->recovery.births_after_mark, expected.births);
        assert_int_equal(test->recovery.last_time_us, expected.time_us);
        journal_test_insert(test, TEST_TIME + 99);
        journal_test_close(test);
        uint64_t last = expected.n_lines ? 3 : 2;
        assert_int_equal(journal_test_count(test, 1, last), 2 + expected.n_lines);
        assert_false(file_exists(test, JOURNAL_FILE_OPEN, 2));
        if (expected.n_lines) {
            struct batch_reader *reader = batch_open(test, JOURNAL_FILE_SEALED, 2);
            assert_true(batch_reader_header(reader)->recovered);
            assert_string_equal(batch_reader_header(reader)->cursors, expected.cursors);
            assert_int_equal(batch_reader_header(reader)->births, expected.births);
            batch_reader_free(reader);
        }
    }
    buffer_deinit(&bytes);
}

/* A crash, a start, and a crash again before anything new was written: the same is found. */
static void test_crash_twice(void **state)
{
    struct journal_test *test = *state;
    struct buffer bytes = make_open_file(test);
    char path[256];
    put_crash(test, buffer_slice(&bytes));
    journal_test_open(test);
    journal_test_close(test);
    journal_test_open(test);
    assert_false(test->recovery.crashed);
    assert_string_equal(test->recovery.cursors, "b=2");
    assert_int_equal(test->recovery.births_after_mark, 2);
    journal_test_close(test);
    /* a third run dies with one more birth and no mark of its own */
    journal_test_open(test);
    journal_test_insert(test, TEST_TIME + 31);
    file_path(test, JOURNAL_FILE_OPEN, 3, path);
    WAIT_FOR(access(path, F_OK) == 0);
    struct buffer third = BUFFER_NULL;
    do {
        buffer_deinit(&third);
        third = file_read(path);
        buffer_append_byte(&third, 0);
        third.length--;
    } while (!strstr((char *)third.data, "\ninsert"));
    journal_test_close(test);
    file_write(path, buffer_slice(&third));
    file_path(test, JOURNAL_FILE_SEALED, 3, path);
    assert_int_equal(unlink(path), 0);
    journal_test_open(test);
    assert_true(test->recovery.crashed);
    assert_string_equal(test->recovery.cursors, "b=2");
    assert_int_equal(test->recovery.births_after_mark, 3);
    buffer_deinit(&bytes);
    buffer_deinit(&third);
}

/* The crash came between the rename and the unlink. */
static void test_sealed_and_open(void **state)
{
    struct journal_test *test = *state;
    struct buffer bytes = make_open_file(test);
    char path[256];
    file_path(test, JOURNAL_FILE_OPEN, 2, path);
    file_write(path, buffer_slice(&bytes));
    journal_test_open(test);
    assert_true(test->recovery.crashed);
    assert_int_equal(test->recovery.births_after_mark, 2);
    assert_int_equal(access(path, F_OK), -1);
    journal_test_close(test);
    assert_int_equal(journal_test_count(test, 1, 2), 6);
    buffer_deinit(&bytes);
}

/* Bytes that are not text in the middle: what is before them is kept, the file is put aside. */
static void test_damage_in_the_middle(void **state)
{
    struct journal_test *test = *state;
    struct buffer bytes = make_open_file(test);
    char *second = strstr((char *)bytes.data, "1700000000000004");
    memset(second, 0, 16);
    put_crash(test, buffer_slice(&bytes));
    journal_test_open(test);
    assert_true(test->recovery.crashed);
    assert_non_null(strstr(journal_test_log, "the lines before it are kept"));
    assert_int_equal(test->recovery.births_after_mark, 2);
    assert_true(file_exists(test, JOURNAL_FILE_DAMAGED, 2));
    journal_test_close(test);
    assert_int_equal(journal_test_count(test, 1, 2), 2);
    buffer_deinit(&bytes);
}

static void wait_for_text(const char *path, const char *word)
{
    bool found = false;
    for (time_t limit = time(NULL) + WAIT_LIMIT; !found && time(NULL) < limit;) {
        if (access(path, F_OK) != 0)
            continue;
        struct buffer bytes = file_read(path);
        buffer_append_byte(&bytes, 0);
        found = strstr((char *)bytes.data, word) != NULL;
        buffer_deinit(&bytes);
    }
    assert_true(found);
}

/* An idle agent: marks alone reach the disk, make no batch, and outlive a stop and a crash. */
static void test_marks_alone(void **state)
{
    struct journal_test *test = *state;
    char path[256];
    journal_test_open(test);
    journal_test_insert(test, TEST_TIME + 1);
    journal_test_mark(test, "m=1");
    journal_test_seal(test);
    test->now_us = TEST_TIME + 50;
    journal_test_mark(test, "m=2");
    file_path(test, JOURNAL_FILE_OPEN, 2, path);
    wait_for_text(path, "m=2");
    struct buffer crash = file_read(path);
    journal_test_close(test);
    assert_int_equal(test->n_sealed, 1);
    wait_for_text(path, "close\t1700000000000050\n");
    journal_test_open(test);
    assert_false(test->recovery.crashed);
    assert_string_equal(test->recovery.cursors, "m=2");
    assert_int_equal(test->recovery.last_time_us, TEST_TIME + 50);
    journal_test_close(test);
    file_write(path, buffer_slice(&crash));
    for (int again = 0; again < 2; again++) {
        journal_test_open(test);
        assert_int_equal(test->recovery.crashed, again == 0);
        assert_string_equal(test->recovery.cursors, "m=2");
        assert_int_equal(test->recovery.births_after_mark, 0);
        journal_test_close(test); /* in order, this time */
    }
    journal_test_open(test);
    journal_test_insert(test, TEST_TIME + 61);
    journal_test_close(test);
    assert_int_equal(journal_test_count(test, 1, 2), 2);
    journal_test_open(test);
    assert_string_equal(test->recovery.cursors, "m=2");
    assert_int_equal(test->recovery.births_after_mark, 1);
    buffer_deinit(&crash);
}

/* Marks that change all the time do not fill the disk. */
static void test_marks_are_bounded(void **state)
{
    struct journal_test *test = *state;
    char path[256], cursors[1024], last[8];
    struct stat status;
    memset(cursors, 'c', sizeof(cursors));
    cursors[1000] = 0;
    file_path(test, JOURNAL_FILE_OPEN, 1, path);
    off_t largest = 0;
    for (int i = 0; i < 200; i++) {
        /* each run writes its marks when it ends */
        journal_test_open(test);
        snprintf(cursors + 1000, sizeof(cursors) - 1000, "%d", i);
        journal_test_mark(test, cursors);
        journal_test_close(test);
        assert_int_equal(stat(path, &status), 0);
        largest = status.st_size > largest ? status.st_size : largest;
    }
    assert_true(largest < 4096);
    snprintf(last, sizeof(last), "c%d", 199);
    wait_for_text(path, last);
}

/* The newest batch stays when all is shipped and covered: the chain goes on from it. */
static void test_all_shipped_and_covered(void **state)
{
    struct journal_test *test = *state;
    journal_test_open(test);
    for (uint64_t i = 1; i <= 3; i++) {
        journal_test_insert(test, TEST_TIME + i);
        journal_test_mark(test, "a=1");
        journal_test_seal(test);
        assert_int_equal(journal_shipped(test->journal, i), 0);
    }
    journal_checkpoint(test->journal, true);
    journal_checkpoint(test->journal, false);
    WAIT_FOR(!file_exists(test, JOURNAL_FILE_SHIPPED, 2));
    journal_test_close(test);
    assert_false(file_exists(test, JOURNAL_FILE_SHIPPED, 1));
    assert_true(file_exists(test, JOURNAL_FILE_SHIPPED, 3));
    journal_test_open(test);
    assert_string_equal(test->recovery.cursors, "a=1");
    assert_false(test->recovery.crashed);
    journal_test_insert(test, TEST_TIME + 5);
    journal_test_seal(test);
    assert_int_equal(journal_test_count(test, 3, 4), 2);
    journal_test_close(test);
    /* even if somebody empties the directory but for the checkpoint, numbers are not used again */
    char path[256];
    for (uint64_t batch = 3; batch <= 4; batch++) {
        file_path(test, batch == 3 ? JOURNAL_FILE_SHIPPED : JOURNAL_FILE_SEALED, batch, path);
        assert_int_equal(unlink(path), 0);
    }
    journal_test_open(test);
    assert_string_equal(test->recovery.cursors, "a=1");
    journal_test_insert(test, TEST_TIME + 7);
    assert_int_equal(journal_test_seal(test), 4);
}

static void test_another_host(void **state)
{
    struct journal_test *test = *state;
    struct error_text error = ERROR_TEXT_NULL;
    journal_test_open(test);
    journal_test_insert(test, TEST_TIME);
    journal_test_close(test);
    test->options.host_id = 8;
    assert_int_equal(journal_open(&test->journal, &test->options, NULL, &error), -EINVAL);
    assert_non_null(strstr(error.text, "belongs to host 7, this agent is host 8"));
}

/* A sealed batch that cannot be read keeps neither the agent nor the numbers from going on. */
static void test_damaged_newest(void **state)
{
    struct journal_test *test = *state;
    char path[256];
    journal_test_open(test);
    journal_test_mark(test, "a=1");
    journal_test_insert(test, TEST_TIME + 1);
    journal_test_seal(test);
    journal_test_mark(test, "a=2");
    journal_test_insert(test, TEST_TIME + 3);
    journal_test_close(test);
    file_path(test, JOURNAL_FILE_SEALED, 2, path);
    file_write(path, slice_text("nothing"));
    journal_test_open(test);
    assert_non_null(strstr(journal_test_log, path));
    assert_string_equal(test->recovery.cursors, "a=1");
    assert_int_equal(test->recovery.births_after_mark, 1);
    journal_test_insert(test, TEST_TIME + 5);
    test->sealed = 0;
    assert_int_equal(journal_test_seal(test), 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, journal_test_setup, journal_test_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_truncation_of_an_open_file),
        TEST(test_crash_twice),
        TEST(test_sealed_and_open),
        TEST(test_damage_in_the_middle),
        TEST(test_marks_alone),
        TEST(test_marks_are_bounded),
        TEST(test_all_shipped_and_covered),
        TEST(test_another_host),
        TEST(test_damaged_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
