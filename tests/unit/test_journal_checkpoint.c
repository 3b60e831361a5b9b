// links: vestige_journal
/* What a restart is given: the checkpoint, and every line after it, once and in order. */
#include "journal_test.h"

#include "recorder/journal/batch_writer.h"

struct restored {
    struct buffer text; /* "verb id " for each line */
    size_t n_values;
};

static void take(void *user, enum verb verb, enum table_id table, uint64_t id,
                 const struct slice *values, size_t n_values)
{
    struct restored *restored = user;
    size_t first;
    assert_int_equal(n_values, catalogue_line_columns(catalogue_table(table), verb, &first));
    assert_true(slice_is(values[1], "v1"));
    buffer_printf(&restored->text, "%s%" PRIu64 " ", verb == VERB_INSERT ? "+" : "-",
                  id - TEST_TIME);
    restored->n_values += n_values;
}

static void expect_restored(struct journal_test *test, const char *expected)
{
    struct restored restored = {0};
    struct error_text error = ERROR_TEXT_NULL;
    assert_int_equal(journal_restore(test->journal, take, &restored, &error), 0);
    buffer_append_byte(&restored.text, 0);
    assert_string_equal((char *)restored.text.data, expected);
    buffer_deinit(&restored.text);
}

static void end_process(struct journal_test *test, uint64_t id)
{
    assert_int_equal(journal_test_append(test, VERB_END, TABLE_PROCESS, id, "e"), 0);
}

static void checkpoint(struct journal_test *test, uint64_t first, uint64_t last)
{
    char path[256];
    struct stat before = {0}, after;
    snprintf(path, sizeof(path), "%s/%s", test->directory, JOURNAL_CHECKPOINT);
    stat(path, &before);
    journal_checkpoint(test->journal, true);
    for (uint64_t id = first; id <= last; id++)
        journal_test_insert(test, TEST_TIME + id);
    journal_checkpoint(test->journal, false);
    WAIT_FOR(stat(path, &after) == 0 && after.st_ino != before.st_ino);
}

static void test_without_a_checkpoint(void **state)
{
    struct journal_test *test = *state;
    journal_test_open(test);
    expect_restored(test, "");
    for (uint64_t id = 1; id <= 3; id++) {
        journal_test_insert(test, TEST_TIME + id);
        journal_test_seal(test);
    }
    assert_int_equal(journal_shipped(test->journal, 1), 0);
    end_process(test, TEST_TIME + 2);
    journal_test_close(test);
    journal_test_open(test);
    expect_restored(test, "+1 +2 +3 -2 ");
}

static void test_checkpoint_and_after(void **state)
{
    struct journal_test *test = *state;
    journal_test_open(test);
    for (uint64_t id = 1; id <= 4; id++) {
        journal_test_insert(test, TEST_TIME + id);
        if (id % 2)
            end_process(test, TEST_TIME + id);
    }
    /* ends batch 1 by itself */
    checkpoint(test, 2, 3);
    journal_test_insert(test, TEST_TIME + 5);
    journal_test_seal(test);
    journal_test_wait_sealed(test, 2);
    assert_int_equal(journal_shipped(test->journal, 1), 0);
    assert_false(file_exists(test, JOURNAL_FILE_SHIPPED, 1)); /* it is covered */
    assert_int_equal(journal_shipped(test->journal, 2), 0);
    assert_true(file_exists(test, JOURNAL_FILE_SHIPPED, 2));
    journal_test_insert(test, TEST_TIME + 6);
    journal_test_close(test);
    journal_test_open(test);
    expect_restored(test, "+2 +3 +5 +6 ");
    assert_int_equal(journal_next_to_ship(test->journal), 3);
    /* a checkpoint's lines are not shipped, and are a file like a batch */
    struct batch_reader *reader = batch_open(test, JOURNAL_FILE_CHECKPOINT, 0);
    assert_int_equal(batch_reader_header(reader)->kind, BATCH_CHECKPOINT);
    assert_int_equal(batch_reader_header(reader)->batch, 1);
    assert_int_equal(batch_reader_header(reader)->n_lines, 2);
    batch_reader_free(reader);
    assert_int_equal(counter_get(&test->counters, COUNTER_LINES_WRITTEN), 8);
}

/* The newer one takes the place of the older one; shipped batches go when it is durable. */
static void test_newer_checkpoint(void **state)
{
    struct journal_test *test = *state;
    journal_test_open(test);
    for (uint64_t id = 1; id <= 3; id++) {
        journal_test_insert(test, TEST_TIME + id);
        journal_test_seal(test);
        assert_int_equal(journal_shipped(test->journal, id), 0);
    }
    assert_true(file_exists(test, JOURNAL_FILE_SHIPPED, 1));
    checkpoint(test, 1, 3);
    WAIT_FOR(!file_exists(test, JOURNAL_FILE_SHIPPED, 2));
    journal_test_insert(test, TEST_TIME + 4);
    checkpoint(test, 4, 4);
    journal_test_close(test);
    journal_test_open(test);
    expect_restored(test, "+4 ");
}

/* A checkpoint that was begun and not ended leaves what was there, and nothing of it is shipped. */
static void test_unfinished_checkpoint(void **state)
{
    struct journal_test *test = *state;
    journal_test_open(test);
    journal_test_insert(test, TEST_TIME + 1);
    journal_checkpoint(test->journal, true);
    journal_test_insert(test, TEST_TIME + 2);
    journal_test_close(test);
    journal_test_open(test);
    expect_restored(test, "+1 ");
    journal_test_close(test);
    assert_int_equal(journal_test_count(test, 1, 1), 1);
}

/* The stop comes directly behind the end of a checkpoint, at whatever the thread is just doing: it
 * is durable all the same. */
static void test_checkpoint_at_the_end(void **state)
{
    struct journal_test *test = *state;
    for (uint64_t run = 1; run <= 200; run++) {
        char expected[16];
        journal_test_open(test);
        journal_test_insert(test, TEST_TIME + 1000 + run);
        journal_checkpoint(test->journal, true);
        journal_test_insert(test, TEST_TIME + run);
        if (run % 2)
            journal_test_wait_sealed(test, run);
        for (volatile uint64_t spin = 0; spin < run * 100; spin++)
            continue;
        journal_checkpoint(test->journal, false);
        journal_test_close(test);
        journal_test_open(test);
        snprintf(expected, sizeof(expected), "+%" PRIu64 " ", run);
        expect_restored(test, expected);
        journal_test_close(test);
    }
}

static void test_recovered_batch_is_restored(void **state)
{
    struct journal_test *test = *state;
    char path[256], sealed[256];
    journal_test_open(test);
    checkpoint(test, 1, 2);
    journal_test_insert(test, TEST_TIME + 3);
    file_path(test, JOURNAL_FILE_OPEN, 1, path);
    file_path(test, JOURNAL_FILE_SEALED, 1, sealed);
    struct buffer bytes = BUFFER_NULL;
    do {
        buffer_deinit(&bytes);
        if (access(path, F_OK) == 0)
            bytes = file_read(path);
        buffer_append_byte(&bytes, 0);
        bytes.length--;
    } while (!strstr((char *)bytes.data, "\ninsert"));
    journal_test_close(test);
    assert_int_equal(unlink(sealed), 0);
    file_write(path, buffer_slice(&bytes));
    journal_test_open(test);
    assert_true(test->recovery.crashed);
    expect_restored(test, "+1 +2 +3 ");
    buffer_deinit(&bytes);
}

/* Damage in one file costs its lines only. */
static void test_damage(void **state)
{
    struct journal_test *test = *state;
    char path[256];
    journal_test_open(test);
    checkpoint(test, 1, 2);
    for (uint64_t id = 3; id <= 5; id++) {
        journal_test_insert(test, TEST_TIME + id);
        journal_test_seal(test);
    }
    journal_test_close(test);
    file_path(test, JOURNAL_FILE_SEALED, 2, path);
    file_write(path, slice_text("x"));
    file_path(test, JOURNAL_FILE_SEALED, 1, path);
    assert_int_equal(unlink(path), 0);
    journal_test_open(test);
    expect_restored(test, "+1 +2 +5 ");
    assert_non_null(strstr(journal_test_log, "rows of it may stay open"));
    journal_test_close(test);
    snprintf(path, sizeof(path), "%s/%s", test->directory, JOURNAL_CHECKPOINT);
    file_write(path, slice_text("x"));
    journal_test_open(test);
    expect_restored(test, "+5 ");
}

static void test_due(void **state)
{
    struct journal_test *test = *state;
    journal_test_open(test);
    for (uint64_t id = 1; id <= 299; id++) {
        journal_test_insert(test, TEST_TIME + id);
        journal_test_seal(test);
    }
    assert_false(journal_checkpoint_due(test->journal));
    journal_test_insert(test, TEST_TIME + 300);
    journal_test_seal(test);
    WAIT_FOR(journal_checkpoint_due(test->journal));
    checkpoint(test, 1, 1);
    WAIT_FOR(!journal_checkpoint_due(test->journal));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, journal_test_setup, journal_test_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_without_a_checkpoint),
        TEST(test_checkpoint_and_after),
        TEST(test_newer_checkpoint),
        TEST(test_unfinished_checkpoint),
        TEST(test_checkpoint_at_the_end),
        TEST(test_recovered_batch_is_restored),
        TEST(test_damage),
        TEST(test_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
