// links: vestige_journal
/* A header has one form: what is printed is parsed, and nothing else is. */
#include "journal_test.h"

static struct batch_header example(enum batch_kind kind, uint32_t format)
{
    struct batch_header header = {
        .kind = kind,
        .format = format,
        .host_id = UINT64_MAX,
        .batch = 12,
        .first_us = TEST_TIME,
        .boot_id = TEST_BOOT,
    };
    memset(header.previous_hash, 0xab, BATCH_HASH_SIZE);
    if (kind == BATCH_OPEN)
        return header;
    header.last_us = TEST_TIME + 1;
    header.n_lines = 345;
    header.recovered = true;
    header.births = 2;
    snprintf(header.cursors, sizeof(header.cursors), "cpu0=17 audit=99");
    memset(header.hash, 0xcd, BATCH_HASH_SIZE);
    if (format >= 2)
        memset(header.signature, 0xef, SIGNATURE_SIZE);
    return header;
}

static int parse(struct batch_header *header, struct slice text)
{
    const char *reason;
    *header = (struct batch_header){0};
    for (size_t number = 1;; number++) {
        const uint8_t *newline = text.length ? memchr(text.data, '\n', text.length) : NULL;
        if (!newline)
            return -EBADMSG;
        struct slice line = slice_of(text.data, (size_t)(newline - text.data));
        text = slice_of(newline + 1, text.length - line.length - 1);
        int result = batch_header_parse_line(header, number, line, &reason);
        if (result < 0)
            assert_non_null(reason);
        if (result != BATCH_HEADER_MORE)
            return result < 0 ? result : text.length ? -EBADMSG : 0;
    }
}

static void test_printed_is_parsed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < BATCH_KIND_N * BATCH_FORMAT; i++) {
        enum batch_kind kind = (enum batch_kind)(i % BATCH_KIND_N);
        struct batch_header header = example(kind, i / BATCH_KIND_N + 1), again;
        struct buffer text = BUFFER_NULL, second = BUFFER_NULL;
        batch_header_print(&text, &header);
        assert_int_equal(parse(&again, buffer_slice(&text)), 0);
        batch_header_print(&second, &again);
        assert_true(slice_equal(buffer_slice(&text), buffer_slice(&second)));
        assert_int_equal(again.host_id, UINT64_MAX);
        assert_int_equal(again.kind, kind);
        assert_int_equal(again.format, header.format);
        assert_memory_equal(again.signature, header.signature, SIGNATURE_SIZE);
        buffer_deinit(&text);
        buffer_deinit(&second);
    }
}

static void test_exact_text(void **state)
{
    (void)state;
    struct batch_header header = example(BATCH_OPEN, BATCH_FORMAT);
    struct buffer text = BUFFER_NULL;
    batch_header_print(&text, &header);
    assert_true(slice_is(buffer_slice(&text),
                         "vestige open 2\nhost\t18446744073709551615\nboot\t" TEST_BOOT
                         "\nbatch\t12\nfirst\t1700000000000000\nprevious\t"
                         "abababababababababababababababababababababababababababababababab\n\n"));
    buffer_deinit(&text);
}

/* What is hashed is the same in both but for the number; the signature stands behind it. */
static void test_signature_line(void **state)
{
    (void)state;
    struct batch_header former = example(BATCH_SEALED, 1), header = example(BATCH_SEALED, 2);
    struct buffer old = BUFFER_NULL, text = BUFFER_NULL, hashed = BUFFER_NULL;
    batch_header_print(&old, &former);
    batch_header_print(&text, &header);
    batch_header_print_hashed(&hashed, &header);
    const char *key = "\nsignature\tefefefef";
    size_t line = 1 + strlen("signature\t") + 2 * (size_t)SIGNATURE_SIZE;
    assert_int_equal(text.length, old.length + line);
    assert_null(memmem(old.data, old.length, "signature", 9));
    assert_ptr_equal(memmem(text.data, text.length, key, strlen(key)), text.data + old.length - 2);
    assert_null(memmem(hashed.data, hashed.length, "signature", 9));
    assert_true(batch_header_signed(&header));
    assert_false(batch_header_signed(&former));
    old.data[strlen("vestige batch ")] = '2';
    assert_memory_equal(old.data, text.data, old.length - 1);
    buffer_deinit(&old);
    buffer_deinit(&text);
    buffer_deinit(&hashed);
}

/* Whatever one byte becomes: it is refused, or it is another value in the same form. */
static void check_one_form_only(uint32_t format)
{
    struct batch_header header = example(BATCH_SEALED, format), found;
    struct buffer text = BUFFER_NULL, again = BUFFER_NULL;
    size_t refused = 0;
    batch_header_print(&text, &header);
    for (size_t i = 0; i < text.length; i++) {
        uint8_t former = text.data[i];
        for (unsigned byte = 0; byte < 256; byte++) {
            text.data[i] = (uint8_t)byte;
            if (parse(&found, buffer_slice(&text)) != 0) {
                refused++;
                continue;
            }
            buffer_clear(&again);
            batch_header_print(&again, &found);
            assert_true(slice_equal(buffer_slice(&text), buffer_slice(&again)));
        }
        text.data[i] = former;
    }
    assert_true(refused > text.length * 200);
    buffer_deinit(&text);
    buffer_deinit(&again);
}

static void test_one_form_only(void **state)
{
    (void)state;
    for (uint32_t format = 1; format <= BATCH_FORMAT; format++)
        check_one_form_only(format);
}

static void test_numbers(void **state)
{
    (void)state;
    uint64_t value;
    assert_true(batch_parse_u64(slice_text("18446744073709551615"), &value));
    assert_int_equal(value, UINT64_MAX);
    assert_true(batch_parse_u64(slice_text("0"), &value));
    static const char *const bad[] = {"",
                                      "00",
                                      "01",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "0x1",
                                      "18446744073709551616",
                                      "99999999999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(batch_parse_u64(slice_text(bad[i]), &value));
}

static void test_marks(void **state)
{
    (void)state;
    struct batch_mark mark = {.time_us = 5, .births = 3, .cursors = "cpu0=1 x=y"}, found;
    struct buffer text = BUFFER_NULL;
    batch_mark_print(&text, &mark);
    assert_true(slice_is(buffer_slice(&text), "mark\t5\t3\tcpu0=1 x=y\n"));
    assert_int_equal(batch_mark_parse(&found, slice_of(text.data, text.length - 1)), 0);
    assert_int_equal(found.time_us, 5);
    assert_int_equal(found.births, 3);
    assert_string_equal(found.cursors, mark.cursors);
    buffer_deinit(&text);
    static const char *const bad[] = {"",
                                      "mark",
                                      "mark\t5",
                                      "mark\t5\t3",
                                      "mark\t5\tx\tc",
                                      "Mark\t5\t3\tc",
                                      "mark\t5\t3\ta\tb",
                                      "mark\t\t3\tc"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(batch_mark_parse(&found, slice_text(bad[i])), -EBADMSG);
    char cursors[BATCH_CURSORS_SIZE + 1];
    memset(cursors, 'c', sizeof(cursors));
    assert_true(batch_cursors_valid(slice_of(cursors, BATCH_CURSORS_SIZE - 1)));
    assert_false(batch_cursors_valid(slice_of(cursors, BATCH_CURSORS_SIZE)));
    assert_false(batch_cursors_valid(slice_text("a\nb")));
}

static void make_gap(struct line *line, enum verb verb, const char *unit, const char *count)
{
    line_begin(line, verb, TABLE_GAP, 1);
    while (line->n_values < line->n_expected) {
        if (line->n_values == GAP_COUNT && !count)
            line_null(line);
        else
            line_word(line, line->n_values == GAP_UNIT    ? unit
                            : line->n_values == GAP_COUNT ? count
                                                          : "v");
    }
    assert_int_equal(line_finish(line), 0);
}

static uint64_t births(const struct line *line)
{
    struct slice raw = slice_of(line->text.data, line->text.length - 1);
    return batch_line_births(line->verb, line->table, raw);
}

static void test_births(void **state)
{
    (void)state;
    struct line line = LINE_NULL;
    static const struct {
        enum verb verb;
        enum table_id table;
        uint64_t id, births;
    } cases[] = {
        {VERB_INSERT, TABLE_PROCESS,  1, 1},
        {VERB_INSERT, TABLE_PROCESS,  2, 0}, /* has a previous_id */
        {VERB_SETTLE, TABLE_PROCESS,  1, 0},
        {VERB_END,    TABLE_PROCESS,  1, 0},
        {VERB_INSERT, TABLE_ENDPOINT, 1, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        make_line(&line, cases[i].verb, cases[i].table, cases[i].id, slice_text("t"));
        assert_int_equal(births(&line), cases[i].births);
    }
    static const struct {
        const char *unit, *count;
        uint64_t births;
    } gaps[] = {
        {"process", "97", 97},
        {"process", NULL, 0 },
        {"row",     "97", 0 },
        {"event",   "97", 0 },
    };
    for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++) {
        make_gap(&line, VERB_INSERT, gaps[i].unit, gaps[i].count);
        assert_int_equal(births(&line), gaps[i].births);
    }
    line_deinit(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_printed_is_parsed),
        cmocka_unit_test(test_exact_text),
        cmocka_unit_test(test_signature_line),
        cmocka_unit_test(test_one_form_only),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_births),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
