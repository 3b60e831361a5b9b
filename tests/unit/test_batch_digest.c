// links: vestige_journal
/* Digests and hash against what other tools compute. Each expectation was made with printf, xxd -r
 * and sha256sum from the description in recorder/journal.md, not with this code. */
#include "journal_test.h"

static void assert_hex(const uint8_t *bytes, size_t length, const char *expected)
{
    char text[3];
    assert_int_equal(2 * length, strlen(expected));
    for (size_t i = 0; i < length; i++) {
        snprintf(text, sizeof(text), "%02x", bytes[i]);
        assert_memory_equal(text, expected + 2 * i, 2);
    }
}

/* printf 'abc' | sha256sum, and the empty one: the vectors of FIPS 180-2. */
static void test_known_digests(void **state)
{
    (void)state;
    struct batch_digest *digest;
    uint8_t value[BATCH_DIGEST_SIZE];
    assert_int_equal(batch_digest_new(&digest), 0);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(batch_digest_line(digest, slice_text("abc"), value), 0);
        assert_hex(value, sizeof(value), "ba7816bf8f01cfea414140de5dae2223");
        assert_int_equal(batch_digest_line(digest, slice_text(""), value), 0);
        assert_hex(value, sizeof(value), "e3b0c44298fc1c149afbf4c8996fb924");
    }
    batch_digest_free(digest);
}

/* Sorted by table name, verb name, id and digest; not by the order of the catalogue. */
static void test_list_is_sorted(void **state)
{
    (void)state;
    struct batch_digest *digest;
    struct buffer list = BUFFER_NULL;
    uint8_t low[BATCH_DIGEST_SIZE] = {1}, high[BATCH_DIGEST_SIZE] = {2};
    assert_int_equal(batch_digest_new(&digest), 0);
    assert_int_equal(batch_digest_add(digest, VERB_SETTLE, TABLE_PROCESS, 1, low), 0);
    assert_int_equal(batch_digest_add(digest, VERB_INSERT, TABLE_PROCESS_CHANGE, 1, low), 0);
    assert_int_equal(batch_digest_add(digest, VERB_INSERT, TABLE_PROCESS, 256, high), 0);
    assert_int_equal(batch_digest_add(digest, VERB_INSERT, TABLE_PROCESS, 256, low), 0);
    assert_int_equal(batch_digest_add(digest, VERB_INSERT, TABLE_PROCESS, 255, high), 0);
    assert_int_equal(batch_digest_add(digest, VERB_END, TABLE_PROCESS, 2, low), 0);
    assert_int_equal(batch_digest_add(digest, VERB_INSERT, TABLE_HOST, 3, low), 0);
    assert_int_equal(batch_digest_count(digest), 7);
    assert_int_equal(batch_digest_list(digest, &list), 0);
    assert_hex(list.data, list.length,
               /* host insert 1 */
               "686f737409696e7365727409310a"
               "000000000000000301000000000000000000000000000000"
               /* process end 1 */
               "70726f6365737309656e6409310a"
               "000000000000000201000000000000000000000000000000"
               /* process insert 3 */
               "70726f6365737309696e7365727409330a"
               "00000000000000ff02000000000000000000000000000000"
               "000000000000010001000000000000000000000000000000"
               "000000000000010002000000000000000000000000000000"
               /* process settle 1 */
               "70726f6365737309736574746c6509310a"
               "000000000000000101000000000000000000000000000000"
               /* process_change insert 1 */
               "70726f636573735f6368616e676509696e7365727409310a"
               "000000000000000101000000000000000000000000000000");
    buffer_deinit(&list);
    batch_digest_free(digest);
}

/* A whole batch through the journal: digests of its lines, list and hash. */
static void test_hash_of_a_batch(void **state)
{
    struct journal_test *test = *state;
    static const char *const digests[] = {
        "59528a2c2389e5ca3eda8ce9ddc739cf", "3f8296cfab80623ff7dc018e77cb3bf4",
        "c05d6d0deba4e60425082badd7a0fcdc", "0a7a079356e591353b06d08d4a2f3377"};
    journal_test_open(test);
    journal_test_append(test, VERB_INSERT, TABLE_GAP, UINT64_C(1700000000000003), "b");
    journal_test_append(test, VERB_INSERT, TABLE_GAP, UINT64_C(1700000000000001), "a");
    journal_test_append(test, VERB_END, TABLE_GAP, UINT64_C(1700000000000002), "c");
    journal_test_append(test, VERB_INSERT, TABLE_BOOT, UINT64_C(1700000000000004), "d");
    journal_test_mark(test, "cpu0=1 audit=2");
    journal_test_seal(test);
    struct batch_reader *reader = batch_open(test, JOURNAL_FILE_SEALED, 1);
    struct batch_line line;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(batch_reader_next(reader, &line, NULL), BATCH_READER_LINE);
        assert_hex(line.digest, sizeof(line.digest), digests[i]);
    }
    assert_hex(batch_reader_header(reader)->hash, BATCH_HASH_SIZE,
               "f83d49d0a1afba45fcc23f7873aeee788298ce7a1c644120056570f165d6fbe0");
    struct buffer list = BUFFER_NULL;
    assert_int_equal(batch_reader_check(reader, &list, NULL), 0);
    assert_hex(list.data, list.length,
               "626f6f7409696e7365727409310a00060a24181e40040a7a079356e591353b06d08d4a2f3377"
               "67617009656e6409310a00060a24181e4002c05d6d0deba4e60425082badd7a0fcdc67617009"
               "696e7365727409320a00060a24181e40013f8296cfab80623ff7dc018e77cb3bf400060a2418"
               "1e400359528a2c2389e5ca3eda8ce9ddc739cf");
    buffer_deinit(&list);
    batch_reader_free(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_digests),
        cmocka_unit_test(test_list_is_sorted),
        cmocka_unit_test_setup_teardown(test_hash_of_a_batch, journal_test_setup,
                                        journal_test_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
