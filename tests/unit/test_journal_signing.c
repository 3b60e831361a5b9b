// links: vestige_journal
/* Who signs a batch, and what becomes of a journal that an older agent left: its files are in
 * tests/data/journal-format-1. */
#include "journal_test.h"

struct signers {
    struct signing_key *first, *second;
    uint8_t first_public[PUBLIC_KEY_SIZE], second_public[PUBLIC_KEY_SIZE];
};

static void make_key(const struct journal_test *test, struct signing_key **key,
                     uint8_t public_key[PUBLIC_KEY_SIZE])
{
    char path[256];
    struct error_text error = ERROR_TEXT_NULL;
    snprintf(path, sizeof(path), "%s/signing.key", test->directory);
    assert_int_equal(signing_key_create(key, path, &error), 0);
    signing_key_public(*key, public_key);
    assert_int_equal(unlink(path), 0);
}

static struct signers make_signers(const struct journal_test *test)
{
    struct signers signers;
    make_key(test, &signers.first, signers.first_public);
    make_key(test, &signers.second, signers.second_public);
    return signers;
}

static void free_signers(struct signers *signers)
{
    signing_key_free(signers->first);
    signing_key_free(signers->second);
}

static struct batch_header header_of(const struct journal_test *test, enum journal_file file,
                                     uint64_t batch)
{
    struct batch_reader *reader = batch_open(test, file, batch);
    struct batch_header header = *batch_reader_header(reader);
    batch_reader_free(reader);
    return header;
}

static void assert_signed(const struct journal_test *test, uint64_t batch,
                          const uint8_t public_key[PUBLIC_KEY_SIZE], const uint8_t *other)
{
    struct batch_header header = header_of(test, JOURNAL_FILE_SEALED, batch);
    assert_int_equal(header.format, BATCH_FORMAT);
    assert_true(batch_header_signed(&header));
    assert_int_equal(signature_check(public_key, header.hash, header.signature), 0);
    assert_int_equal(signature_check(other, header.hash, header.signature), -EBADMSG);
}

static void assert_unsigned(const struct journal_test *test, uint64_t batch, uint32_t format)
{
    struct batch_header header = header_of(test, JOURNAL_FILE_SEALED, batch);
    assert_int_equal(header.format, format);
    assert_false(batch_header_signed(&header));
}

/* Each batch by the key that there is when it is sealed; the chain goes on over all of them. */
static void test_each_batch_is_signed(void **state)
{
    struct journal_test *test = *state;
    struct signers signers = make_signers(test);
    const struct signing_key *keys[] = {NULL, signers.first, signers.second};
    for (uint64_t i = 0; i < 3; i++) {
        test->options.key = keys[i];
        journal_test_open(test);
        journal_test_insert(test, TEST_TIME + 2 * i);
        journal_test_seal(test);
        journal_test_insert(test, TEST_TIME + 2 * i + 1);
        journal_test_close(test);
    }
    for (uint64_t batch = 1; batch <= 2; batch++) {
        assert_unsigned(test, batch, BATCH_FORMAT);
        assert_signed(test, batch + 2, signers.first_public, signers.second_public);
        assert_signed(test, batch + 4, signers.second_public, signers.first_public);
    }
    assert_int_equal(journal_test_count(test, 1, 6), 6);
    free_signers(&signers);
}

static void nothing(void *user, enum verb verb, enum table_id table, uint64_t id,
                    const struct slice *values, size_t n_values)
{
    (void)user, (void)verb, (void)table, (void)id, (void)values, (void)n_values;
}

/* A checkpoint is nobody's evidence: it is not signed. */
static void test_checkpoint(void **state)
{
    struct journal_test *test = *state;
    struct signers signers = make_signers(test);
    struct batch_header header;
    test->options.key = signers.first;
    journal_test_open(test);
    journal_test_insert(test, TEST_TIME);
    journal_test_seal(test);
    journal_checkpoint(test->journal, true);
    journal_test_insert(test, TEST_TIME);
    journal_checkpoint(test->journal, false);
    WAIT_FOR(file_exists(test, JOURNAL_FILE_CHECKPOINT, 0));
    journal_test_close(test);
    header = header_of(test, JOURNAL_FILE_CHECKPOINT, 0);
    assert_int_equal(header.format, BATCH_FORMAT);
    assert_false(batch_header_signed(&header));
    assert_signed(test, 1, signers.first_public, signers.second_public);
    journal_test_open(test);
    assert_int_equal(journal_restore(test->journal, nothing, NULL, NULL), 0);
    journal_test_close(test);
    free_signers(&signers);
}

/* The agent dies with an open batch, and gets another key before it starts again. */
static void test_recovered(void **state)
{
    struct journal_test *test = *state;
    struct signers signers = make_signers(test);
    char path[256];
    struct stat status;
    test->options.key = signers.first;
    journal_test_open(test);
    journal_test_insert(test, TEST_TIME);
    journal_test_seal(test);
    journal_test_insert(test, TEST_TIME + 1);
    file_path(test, JOURNAL_FILE_OPEN, 2, path);
    WAIT_FOR(stat(path, &status) == 0 && status.st_size > 300);
    struct buffer bytes = file_read(path);
    journal_test_close(test);
    file_write(path, buffer_slice(&bytes));
    file_path(test, JOURNAL_FILE_SEALED, 2, path);
    assert_int_equal(unlink(path), 0);
    test->options.key = signers.second;
    journal_test_open(test);
    assert_true(test->recovery.crashed);
    journal_test_close(test);
    assert_signed(test, 1, signers.first_public, signers.second_public);
    assert_signed(test, 2, signers.second_public, signers.first_public);
    assert_true(header_of(test, JOURNAL_FILE_SEALED, 2).recovered);
    buffer_deinit(&bytes);
    free_signers(&signers);
}

/* ---- a journal of format 1 ---- */

#define OLD_LINES 26 /* 9 in each sealed batch, 8 in the open one */

static void copy_old_journal(const struct journal_test *test)
{
    static const char *const names[] = {"000000000001.sealed.zst", "000000000002.sealed.zst",
                                        "000000000003.open", "checkpoint.zst"};
    char path[512];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), TEST_DATA "/journal-format-1/%s", names[i]);
        struct buffer bytes = file_read(path);
        snprintf(path, sizeof(path), "%s/%s", test->directory, names[i]);
        file_write(path, buffer_slice(&bytes));
        buffer_deinit(&bytes);
    }
}

/* What stands behind the column that the old lines lack is where it belongs. */
static void check_values(const struct table *table, enum verb verb, const struct slice *values,
                         size_t n_values)
{
    size_t first;
    assert_int_equal(n_values, catalogue_line_columns(table, verb, &first));
    if (verb == VERB_END)
        return;
    assert_true(slice_is_null(values[PROCESS_MASKED - first]));
    if (slice_is_null(values[PROCESS_COMM - first]))
        return;
    assert_true(slice_is(values[PROCESS_ARGC - first], "5"));
    assert_true(slice_is(values[PROCESS_CWD - first], "/var/tmp/build"));
    assert_true(slice_is(values[PROCESS_LOGIN_USERNAME - first], "investigator"));
}

static void count_restored(void *user, enum verb verb, enum table_id table, uint64_t id,
                           const struct slice *values, size_t n_values)
{
    size_t *n = user;
    assert_int_equal(table, TABLE_PROCESS);
    assert_true(id >= TEST_TIME);
    check_values(catalogue_table(table), verb, values, n_values);
    (*n)++;
}

static size_t check_lines(struct batch_reader *reader)
{
    struct batch_line line;
    size_t n = 0;
    while (batch_reader_next(reader, &line, NULL) == BATCH_READER_LINE) {
        check_values(catalogue_table(line.table), line.verb, line.values, line.n_values);
        n++;
    }
    return n;
}

static void make_checkpoint(struct journal_test *test, uint64_t covers)
{
    journal_checkpoint(test->journal, true);
    journal_test_insert(test, TEST_TIME + 9000000);
    journal_checkpoint(test->journal, false);
    WAIT_FOR(header_of(test, JOURNAL_FILE_CHECKPOINT, 0).batch == covers);
    assert_int_equal(header_of(test, JOURNAL_FILE_CHECKPOINT, 0).format, BATCH_FORMAT);
}

static void test_upgrade(void **state)
{
    struct journal_test *test = *state;
    struct signers signers = make_signers(test);
    size_t n = 0, n_lines = 0;
    copy_old_journal(test);
    test->options.key = signers.first;
    journal_test_open(test);
    assert_true(test->recovery.crashed);
    assert_string_equal(test->recovery.cursors, "cpu0=9 audit=99");
    assert_int_equal(test->recovery.births_after_mark, 4);
    assert_int_equal(journal_restore(test->journal, count_restored, &n, NULL), 0);
    assert_int_equal(n, 2 + 9 + 8); /* the checkpoint's, and the batches after it */
    make_checkpoint(test, 3);       /* of the new form, over a batch of the old one */
    journal_test_insert(test, TEST_TIME + 9000000);
    journal_test_seal(test);
    make_checkpoint(test, 4);
    journal_test_close(test);

    /* what the old one wrote stays as it is, what it left open too; the new goes on behind it */
    for (uint64_t batch = 1; batch <= 3; batch++) {
        assert_unsigned(test, batch, 1);
        struct batch_reader *reader = batch_open(test, JOURNAL_FILE_SEALED, batch);
        assert_int_equal(batch_reader_header(reader)->recovered, batch == 3);
        n_lines += check_lines(reader);
        batch_reader_free(reader);
    }
    assert_int_equal(n_lines, OLD_LINES);
    assert_signed(test, 4, signers.first_public, signers.second_public);
    assert_int_equal(journal_test_count(test, 1, 4), OLD_LINES + 1);

    journal_test_open(test);
    assert_int_equal(journal_restore(test->journal, nothing, NULL, NULL), 0);
    assert_false(test->recovery.crashed);
    journal_test_close(test);
    free_signers(&signers);
}

/* A line of the new form in a batch of the old one has a value too many, and the other way round.
 */
static void test_form_of_lines(void **state)
{
    struct journal_test *test = *state;
    char path[256];
    copy_old_journal(test);
    file_path(test, JOURNAL_FILE_OPEN, 3, path);
    struct buffer bytes = file_read(path);
    struct batch_reader *reader;
    struct batch_line line;
    struct error_text error = ERROR_TEXT_NULL;
    bytes.data[strlen("vestige open ")] = '2';
    assert_int_equal(batch_reader_open_memory(&reader, buffer_slice(&bytes), &error), 0);
    assert_int_equal(batch_reader_next(reader, &line, &error), -EBADMSG);
    assert_non_null(strstr(error.text, "too few values"));
    batch_reader_free(reader);

    struct batch_header header = {.kind = BATCH_OPEN, .format = 1, .boot_id = TEST_BOOT};
    buffer_clear(&bytes);
    batch_header_print(&bytes, &header);
    make_line(&test->line, VERB_SETTLE, TABLE_PROCESS, TEST_TIME, slice_text("true"));
    buffer_append_slice(&bytes, buffer_slice(&test->line.text));
    assert_int_equal(batch_reader_open_memory(&reader, buffer_slice(&bytes), &error), 0);
    assert_int_equal(batch_reader_next(reader, &line, &error), -EBADMSG);
    assert_non_null(strstr(error.text, "too many values"));
    batch_reader_free(reader);
    buffer_deinit(&bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, journal_test_setup, journal_test_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_batch_is_signed),
        TEST(test_checkpoint),
        TEST(test_recovered),
        TEST(test_upgrade),
        TEST(test_form_of_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
