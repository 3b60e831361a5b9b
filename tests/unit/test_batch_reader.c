// links: vestige_journal
/* Hostile files: whatever is done to a batch, it is noticed or it reads as before. */
#include "journal_test.h"

#include "recorder/journal/batch_input.h"
#include "recorder/journal/batch_writer.h"

#include <zstd.h>

static struct buffer small_batch(struct journal_test *test)
{
    char path[256];
    journal_test_open(test);
    journal_test_mark(test, "cpu0=3");
    for (uint64_t i = 0; i < 5; i++)
        journal_test_insert(test, TEST_TIME + i);
    journal_test_seal(test);
    file_path(test, JOURNAL_FILE_SEALED, 1, path);
    return file_read(path);
}

/* Everything that can be read, as text. Returns 0 or the error of reading or checking. */
static int read_all(struct slice bytes, struct buffer *text)
{
    struct batch_reader *reader;
    struct batch_line line;
    struct error_text error = ERROR_TEXT_NULL;
    int result = batch_reader_open_memory(&reader, bytes, &error);
    if (result) {
        assert_true(error.text[0]);
        return result;
    }
    result = batch_reader_check(reader, NULL, &error);
    if (!result) {
        batch_header_print(text, batch_reader_header(reader));
        while ((result = batch_reader_next(reader, &line, &error)) == BATCH_READER_LINE) {
            buffer_append_slice(text, line.raw);
            buffer_append_byte(text, '\n');
        }
        result = result == BATCH_READER_END ? 0 : result;
    }
    if (result)
        assert_true(error.text[0]);
    batch_reader_free(reader);
    return result;
}

/* Every bit of a sealed file. zstd's frames have a few bits that mean nothing for the text (the
 * size of the window, one that is not used); then the text must be the same to the byte. */
static void test_every_bit_of_a_sealed_file(void **state)
{
    struct buffer bytes = small_batch(*state), whole = BUFFER_NULL, text = BUFFER_NULL;
    assert_int_equal(read_all(buffer_slice(&bytes), &whole), 0);
    size_t unnoticed = 0;
    for (size_t bit = 0; bit < bytes.length * 8; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        buffer_clear(&text);
        if (read_all(buffer_slice(&bytes), &text) == 0) {
            assert_true(slice_equal(buffer_slice(&text), buffer_slice(&whole)));
            unnoticed++;
        }
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(unnoticed <= 32);
    buffer_deinit(&bytes);
    buffer_deinit(&whole);
    buffer_deinit(&text);
}

static size_t signature_at(const struct buffer *text)
{
    static const char key[] = "\nsignature\t";
    const uint8_t *at = memmem(text->data, text->length, key, sizeof(key) - 1);
    assert_non_null(at);
    return (size_t)(at - text->data) + sizeof(key) - 1;
}

/* The text itself, not protected by zstd's checksums: each byte is covered by the batch hash, but
 * for the signature, which has a check of its own. */
static void test_every_byte_of_the_text(void **state)
{
    struct buffer bytes = small_batch(*state), whole = BUFFER_NULL, text = BUFFER_NULL;
    assert_int_equal(read_all(buffer_slice(&bytes), &whole), 0);
    assert_int_equal(read_all(buffer_slice(&whole), &text), 0);
    assert_true(slice_equal(buffer_slice(&text), buffer_slice(&whole)));
    size_t signature = signature_at(&whole);
    for (size_t i = 0; i < whole.length; i++) {
        bool digit = i >= signature && i < signature + 2 * (size_t)SIGNATURE_SIZE;
        for (unsigned change = 1; change < 256; change += 13) {
            whole.data[i] ^= (uint8_t)change;
            bool possible = digit && whole.data[i] && strchr("0123456789abcdef", whole.data[i]);
            buffer_clear(&text);
            assert_int_equal(read_all(buffer_slice(&whole), &text), possible ? 0 : -EBADMSG);
            whole.data[i] ^= (uint8_t)change;
        }
    }
    buffer_deinit(&bytes);
    buffer_deinit(&whole);
    buffer_deinit(&text);
}

static void test_every_truncation(void **state)
{
    struct buffer bytes = small_batch(*state), whole = BUFFER_NULL, text = BUFFER_NULL;
    assert_int_equal(read_all(buffer_slice(&bytes), &whole), 0);
    for (size_t length = 0; length < bytes.length; length++)
        assert_int_equal(read_all(slice_of(bytes.data, length), &text), -EBADMSG);
    for (size_t length = 0; length < whole.length; length++)
        assert_int_equal(read_all(slice_of(whole.data, length), &text), -EBADMSG);
    buffer_append_byte(&bytes, 'x');
    assert_int_equal(read_all(buffer_slice(&bytes), &text), -EBADMSG);
    buffer_deinit(&bytes);
    buffer_deinit(&whole);
    buffer_deinit(&text);
}

static void test_error_names_file_line_and_reason(void **state)
{
    struct journal_test *test = *state;
    struct buffer bytes = small_batch(test), whole = BUFFER_NULL;
    struct error_text error = ERROR_TEXT_NULL;
    struct batch_reader *reader;
    char path[256], expected[512];
    assert_int_equal(read_all(buffer_slice(&bytes), &whole), 0);
    buffer_append_byte(&whole, 0);
    char *line = strstr((char *)whole.data, "\ninsert\t");
    assert_non_null(line);
    memcpy(line, "\ninsect\t", 8);
    snprintf(path, sizeof(path), "%s/changed", test->directory);
    file_write(path, slice_of(whole.data, whole.length - 1));
    assert_int_equal(batch_reader_open(&reader, path, NULL), 0);
    assert_int_equal(batch_reader_check(reader, NULL, &error), -EBADMSG);
    snprintf(expected, sizeof(expected), "%s: line 15: an unknown verb", path);
    assert_string_equal(error.text, expected);
    batch_reader_free(reader);
    buffer_deinit(&bytes);
    buffer_deinit(&whole);
}

static void test_not_batches(void **state)
{
    struct journal_test *test = *state;
    struct error_text error = ERROR_TEXT_NULL;
    struct batch_reader *reader;
    char path[256];
    snprintf(path, sizeof(path), "%s/none", test->directory);
    assert_int_equal(batch_reader_open(&reader, path, &error), -ENOENT);
    assert_non_null(strstr(error.text, path));
    assert_int_equal(batch_reader_open(&reader, test->directory, &error), -EBADMSG);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(batch_reader_open(&reader, path, &error), -EBADMSG);
    static const char *const texts[] = {"",
                                        "\n",
                                        "vestige batch 0\n",
                                        "vestige batch 3\n",
                                        "vestige batch 1",
                                        "vestige  1\n",
                                        "vestige batch 1\n\n",
                                        "vestige batch 2\n\n",
                                        "vestige checkpoint x\n",
                                        "vestige open 1\nhost\t1\nboot\tx\n"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(batch_reader_open_memory(&reader, slice_text(texts[i]), &error), -EBADMSG);
}

static struct buffer compressed(struct slice head, char fill, size_t length, int window_log)
{
    struct buffer out = BUFFER_NULL;
    char *zeros = malloc(length);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    assert_non_null(zeros);
    memset(zeros, fill, length);
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    assert_non_null(buffer_reserve(&out, ZSTD_compressBound(length) + 4096));
    ZSTD_inBuffer pieces[] = {
        {head.data, head.length, 0},
        {zeros,     length,      0}
    };
    ZSTD_outBuffer to = {out.data, out.capacity, 0};
    ZSTD_compressStream2(context, &to, &pieces[0], ZSTD_e_continue);
    assert_int_equal(ZSTD_compressStream2(context, &to, &pieces[1], ZSTD_e_end), 0);
    out.length = to.pos;
    ZSTD_freeCCtx(context);
    free(zeros);
    return out;
}

/* A few KiB that would become 256 MiB, as one line or as many, or that ask for a large window. */
static void test_bombs(void **state)
{
    (void)state;
    struct error_text error = ERROR_TEXT_NULL;
    struct buffer text = BUFFER_NULL, head = BUFFER_NULL;
    struct batch_header header = {.kind = BATCH_OPEN, .format = 1, .boot_id = TEST_BOOT};
    batch_header_print(&head, &header);
    static const struct {
        char fill;
        int window_log;
        const char *reason;
    } cases[] = {
        {'a',  17, "too long"    },
        {'\n', 17, "unknown verb"},
        {'a',  24, "damaged"     }
    };
    for (size_t i = 0; i < 3; i++) {
        struct buffer bomb =
            compressed(buffer_slice(&head), cases[i].fill, 256u << 20, cases[i].window_log);
        struct batch_reader *reader = NULL;
        assert_true(bomb.length < 64 * 1024);
        int result = batch_reader_open_memory(&reader, buffer_slice(&bomb), &error);
        if (!result) {
            result = batch_reader_check(reader, NULL, &error);
            batch_reader_free(reader);
        }
        assert_int_equal(result, -EBADMSG);
        assert_non_null(strstr(error.text, cases[i].reason));
        buffer_deinit(&bomb);
    }
    buffer_deinit(&head);
    buffer_deinit(&text);
}

/* The bound on the text as a whole. */
static void test_text_limit(void **state)
{
    (void)state;
    struct buffer bomb = compressed(slice_text("x"), '\n', 100u << 20, 17);
    struct batch_input *input;
    const char *reason;
    static char to[65536];
    uint64_t total = 0;
    ssize_t n;
    assert_int_equal(batch_input_open_memory(&input, buffer_slice(&bomb)), 0);
    while ((n = batch_input_read(input, to, sizeof(to), &reason)) > 0)
        total += (uint64_t)n;
    assert_int_equal(n, -EBADMSG);
    assert_true(total <= BATCH_TEXT_LIMIT);
    batch_input_free(input);
    buffer_deinit(&bomb);
}

static void test_rewind(void **state)
{
    struct buffer bytes = small_batch(*state);
    struct batch_reader *reader;
    struct batch_line line;
    assert_int_equal(batch_reader_open_memory(&reader, buffer_slice(&bytes), NULL), 0);
    for (int pass = 0; pass < 3; pass++) {
        for (uint64_t i = 0; i < 5; i++) {
            assert_int_equal(batch_reader_next(reader, &line, NULL), BATCH_READER_LINE);
            assert_int_equal(line.id, TEST_TIME + i);
        }
        if (pass == 1)
            assert_int_equal(batch_reader_next(reader, &line, NULL), BATCH_READER_END);
        batch_reader_rewind(reader);
    }
    batch_reader_free(reader);
    buffer_deinit(&bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, journal_test_setup, journal_test_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_bit_of_a_sealed_file),
        TEST(test_every_byte_of_the_text),
        TEST(test_every_truncation),
        TEST(test_error_names_file_line_and_reason),
        TEST(test_not_batches),
        TEST(test_bombs),
        TEST(test_text_limit),
        TEST(test_rewind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
