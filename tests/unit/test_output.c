// links: vestige_output vestige_findings
/* What the three formats write, byte by byte, for values that could break them. */
#include "reports/evidence/findings.h"
#include "reports/output/output.h"
#include "reports/output/safe_text.h"

#include <locale.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct written {
    char *text;
    size_t length;
};

static const struct output_column two_columns[] = {
    {"id",   OUTPUT_NUMBER, NULL},
    {"Text", OUTPUT_TEXT,   NULL},
};

static struct written write_rows(enum output_format format, const struct output_column *columns,
                                 size_t n_columns, const struct slice *values, size_t n_rows)
{
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    struct output *output = NULL;
    assert_non_null(stream);
    assert_int_equal(output_new(&output, format, stream, columns, n_columns), 0);
    for (size_t row = 0; row < n_rows; row++)
        assert_int_equal(output_row(output, values + row * n_columns), 0);
    assert_int_equal(output_finish(output), 0);
    assert_null(output_free(output));
    fclose(stream);
    return (struct written){text, length};
}

static void expect_rows(enum output_format format, const struct output_column *columns,
                        size_t n_columns, const struct slice *values, size_t n_rows,
                        const char *expected)
{
    struct written written = write_rows(format, columns, n_columns, values, n_rows);
    assert_string_equal(written.text, expected);
    assert_int_equal(written.length, strlen(expected));
    free(written.text);
}

#define TEXT(literal) slice_of(literal, sizeof(literal) - 1)

static void test_csv(void **state)
{
    (void)state;
    const struct slice values[] = {
        TEXT("1"),  TEXT("plain"),    TEXT("2"), SLICE_NULL,        TEXT("3"), TEXT(""),
        TEXT("4"),  TEXT("a,b"),      TEXT("5"), TEXT("say \"x\""), TEXT("6"), TEXT("two\nlines"),
        SLICE_NULL, TEXT("cr\rhere"), TEXT("8"), TEXT(" blank "),   TEXT("9"), TEXT("nul\0byte"),
    };
    char expected[] = "id,Text\r\n1,plain\r\n2,\r\n3,\"\"\r\n4,\"a,b\"\r\n5,\"say \"\"x\"\"\"\r\n"
                      "6,\"two\nlines\"\r\n,\"cr\rhere\"\r\n8,\" blank \"\r\n9,\"nul\0byte\"\r\n";
    struct written written = write_rows(OUTPUT_CSV, two_columns, 2, values, 9);
    assert_int_equal(written.length, sizeof(expected) - 1);
    assert_memory_equal(written.text, expected, sizeof(expected) - 1);
    free(written.text);
    expect_rows(OUTPUT_CSV, two_columns, 2, NULL, 0, "id,Text\r\n");
}

static void test_json(void **state)
{
    (void)state;
    const struct slice values[] = {
        TEXT("18446744073709551615"),
        TEXT("a\"b\\c"),
        SLICE_NULL,
        SLICE_NULL,
        TEXT("-1.50"),
        TEXT(""),
        TEXT("1e3"),
        TEXT("\x01\n\x7f"),
    };
    expect_rows(OUTPUT_JSON, two_columns, 2, values, 4,
                "{\"rows\": [\n"
                "  {\"id\": 18446744073709551615, \"Text\": \"a\\\"b\\\\c\"},\n"
                "  {\"id\": null, \"Text\": null},\n"
                "  {\"id\": -1.50, \"Text\": \"\"},\n"
                "  {\"id\": 1e3, \"Text\": \"\\u0001\\u000a\\u007f\"}\n]}\n");
    expect_rows(OUTPUT_JSON, two_columns, 2, NULL, 0, "{\"rows\": []}\n");
}

/* What is no JSON number is written as a string, so that the document stays valid. */
static void test_json_numbers(void **state)
{
    (void)state;
    static const struct output_column column = {"n", OUTPUT_NUMBER, NULL};
    static const char strings[][8] = {"",    "-",    "007", ".5", "1.", "1e",
                                      "nan", "0x10", "1 ",  "+1", "1e+"};
    static const char numbers[][8] = {"0", "-0", "10", "0.5", "1e10", "1E-5", "12.5e+3"};
    char expected[80];
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        struct slice value = slice_text(strings[i]);
        snprintf(expected, sizeof(expected), "{\"rows\": [\n  {\"n\": \"%s\"}\n]}\n", strings[i]);
        expect_rows(OUTPUT_JSON, &column, 1, &value, 1, expected);
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct slice value = slice_text(numbers[i]);
        snprintf(expected, sizeof(expected), "{\"rows\": [\n  {\"n\": %s}\n]}\n", numbers[i]);
        expect_rows(OUTPUT_JSON, &column, 1, &value, 1, expected);
    }
}

static void test_json_names_are_unique(void **state)
{
    (void)state;
    static const struct output_column columns[] = {
        {"id",   OUTPUT_TEXT, NULL},
        {"id_2", OUTPUT_TEXT, NULL},
        {"id",   OUTPUT_TEXT, NULL}
    };
    const struct slice values[] = {TEXT("a"), TEXT("b"), TEXT("c")};
    expect_rows(OUTPUT_JSON, columns, 3, values, 1,
                "{\"rows\": [\n  {\"id\": \"a\", \"id_2\": \"b\", \"id_3\": \"c\"}\n]}\n");
}

static void test_json_hides_what_drives_a_terminal(void **state)
{
    (void)state;
    static const struct output_column column = {"t", OUTPUT_TEXT, NULL};
    const struct slice value = TEXT("\xc2\x9b"
                                    "31m \xe2\x80\xae \xff \xc3\xa9 \xf0\x9f\x98\x80");
    expect_rows(OUTPUT_JSON, &column, 1, &value, 1,
                "{\"rows\": [\n  {\"t\": \"\\u009b31m \\u202e \xef\xbf\xbd \xc3\xa9 "
                "\xf0\x9f\x98\x80\"}\n]}\n");
}

static void test_table(void **state)
{
    (void)state;
    static const struct output_column columns[] = {
        {"id",   OUTPUT_NUMBER, NULL   },
        {"who",  OUTPUT_TEXT,   "unset"},
        {"Text", OUTPUT_TEXT,   NULL   }
    };
    const struct slice values[] = {
        TEXT("1"),   SLICE_NULL,   TEXT("a\tb\x1b[31m"),
        TEXT("200"), TEXT("root"), TEXT("C:\\x41 \\n \xc3\xa9\xe2\x80\xae"),
    };
    expect_rows(OUTPUT_TABLE, columns, 3, values, 2,
                " id who   Text\n"
                "  1 unset a\\x09b\\x1b[31m\n"
                "200 root  C:\\x41 \\n \xc3\xa9\\u202e\n");
    expect_rows(OUTPUT_TABLE, columns, 3, NULL, 0, "");
}

static size_t count(const char *text, const char *word)
{
    size_t n = 0;
    for (; (text = strstr(text, word)); text += strlen(word))
        n++;
    return n;
}

/* A long answer comes in portions, each row once. */
static void test_long_table(void **state)
{
    (void)state;
    enum { ROWS = 12001 };
    struct slice *values = calloc(2 * ROWS, sizeof(*values));
    static char digits[ROWS][8];
    assert_non_null(values);
    for (size_t i = 0; i < ROWS; i++) {
        snprintf(digits[i], sizeof(digits[i]), "%zu", i);
        values[2 * i] = slice_text(digits[i]);
        values[2 * i + 1] = TEXT("word");
    }
    struct written written = write_rows(OUTPUT_TABLE, two_columns, 2, values, ROWS);
    assert_int_equal(count(written.text, "word\n"), ROWS);
    assert_int_equal(count(written.text, "id Text\n"), 3);
    assert_non_null(strstr(written.text, "12000 word\n"));
    free(written.text);
    free(values);
}

/* What a terminal of @p width characters gets; the rows are short enough for its buffer. */
static void expect_shaped(unsigned short width, size_t least, size_t head,
                          const struct slice *values, size_t n_rows, const char *expected)
{
    static const struct output_column columns[] = {
        {"id",   OUTPUT_NUMBER, NULL},
        {"text", OUTPUT_TEXT,   NULL},
        {"more", OUTPUT_TEXT,   NULL},
    };
    struct winsize size = {.ws_row = 24, .ws_col = width};
    int reader, writer, saved = dup(STDOUT_FILENO);
    char got[2048];
    struct output *output = NULL;
    assert_int_equal(openpty(&reader, &writer, NULL, NULL, &size), 0);
    fflush(stdout);
    assert_int_equal(dup2(writer, STDOUT_FILENO), STDOUT_FILENO); /* whose width is asked for */
    assert_int_equal(output_new(&output, OUTPUT_TABLE, stdout, columns, 3), 0);
    output_least_columns(output, least);
    output_head_columns(output, head);
    for (size_t row = 0; row < n_rows; row++)
        assert_int_equal(output_row(output, values + row * 3), 0);
    assert_int_equal(output_finish(output), 0);
    assert_null(output_free(output));
    ssize_t length = read(reader, got, sizeof(got) - 1);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(writer);
    close(reader);
    assert_true(length > 0);
    got[length] = '\0';
    assert_string_equal(got, expected);
}

static void expect_on_terminal(unsigned short width, const struct slice *values, size_t n_rows,
                               const char *expected)
{
    expect_shaped(width, 0, 0, values, n_rows, expected);
}

static void test_rows_that_do_not_fit(void **state)
{
    (void)state;
#define LONG "0123456789 123456789 123456789 123456789"
    const struct slice values[] = {TEXT("1"),     TEXT(LONG), TEXT(LONG), TEXT("22"), SLICE_NULL,
                                   TEXT("b\x1b"), TEXT("3"),  TEXT("c"),  TEXT("d")};
    unsetenv("COLUMNS");
    expect_on_terminal(35, values, 2,
                       "id   1\r\ntext " LONG "\r\nmore " LONG "\r\n\r\n"
                       "id   22\r\ntext\r\nmore b\\x1b\r\n");
    expect_on_terminal(36, values + 6, 1, "id text more\r\n 3 c    d\r\n");
    expect_on_terminal(90, values, 1,
                       "id text                                     more\r\n"
                       " 1 " LONG " " LONG "\r\n");
}

static void test_columns_that_may_be_left_out(void **state)
{
    (void)state;
    const struct slice values[] = {TEXT("1"), TEXT("0123456789"), TEXT("012345678"),
                                   TEXT("2"), SLICE_NULL,         SLICE_NULL};
    expect_shaped(23, 1, 0, values, 2,
                  "id text       more\r\n 1 0123456789 012345678\r\n 2            \r\n");
    expect_shaped(22, 1, 0, values, 2,
                  "id text\r\n 1 0123456789\r\n 2 \r\nToo narrow for more: see --format json\r\n");
    expect_shaped(12, 1, 0, values, 1,
                  "id\r\n 1\r\nToo narrow for text, more: see --format json\r\n");
    expect_shaped(12, 2, 0, values, 1, "id   1\r\ntext 0123456789\r\nmore 012345678\r\n");
}

static void test_rows_in_brief(void **state)
{
    (void)state;
    const struct slice values[] = {TEXT("1"),  TEXT("0123456789"), TEXT("012345678"),
                                   TEXT("20"), SLICE_NULL,         TEXT("x"),
                                   TEXT("3"),  TEXT("012"),        SLICE_NULL};
    expect_shaped(13, 0, 1, values, 3,
                  "1  0123456789\r\n    more: 012345678\r\n20\r\n    more: x\r\n3  012\r\n");
    expect_shaped(11, 0, 1, values, 1, "1 \r\n    text: 0123456789\r\n    more: 012345678\r\n");
}

static void test_stream_errors_are_told(void **state)
{
    (void)state;
    for (int format = OUTPUT_TABLE; format <= OUTPUT_CSV; format++) {
        FILE *full = fopen("/dev/full", "w");
        struct output *output = NULL;
        const struct slice values[] = {TEXT("1"), TEXT("x")};
        assert_non_null(full);
        assert_int_equal(output_new(&output, (enum output_format)format, full, two_columns, 2), 0);
        int error = output_row(output, values);
        if (!error)
            error = output_finish(output);
        assert_true(error < 0);
        output_free(output);
        fclose(full);
    }
}

static void test_remarks(void **state)
{
    (void)state;
    assert_ptr_equal(output_remarks(OUTPUT_TABLE), stdout);
    assert_ptr_equal(output_remarks(OUTPUT_JSON), stderr);
    assert_ptr_equal(output_remarks(OUTPUT_CSV), stderr);
}

/* No byte sequence may bring a control character, or less than itself, to the terminal. */
static void test_safe_text_of_all_pairs(void **state)
{
    (void)state;
    struct buffer safe = BUFFER_NULL;
    for (unsigned pair = 0; pair < 65536; pair++) {
        const uint8_t bytes[2] = {(uint8_t)(pair >> 8), (uint8_t)pair};
        buffer_clear(&safe);
        safe_text_append(&safe, slice_of(bytes, 2));
        assert_true(safe.length >= 2);
        for (size_t i = 0; i < safe.length; i++) {
            assert_true(safe.data[i] >= 0x20 && safe.data[i] != 0x7f);
            assert_false(safe.data[i] == 0xc2 && safe.data[i + 1] < 0xa0);
        }
    }
    buffer_deinit(&safe);
}

static void test_findings(void **state)
{
    (void)state;
    struct findings findings = FINDINGS_NULL;
    findings_add(&findings, FINDING_OK, "a", "b", NULL, NULL);
    findings_add(&findings, FINDING_WRONG, "c", NULL, "d", NULL);
    findings_add(&findings, FINDING_NOTE, "e", NULL, NULL, NULL);
    assert_int_equal(findings.n, 3);
    assert_int_equal(findings.n_wrong, 1);
    assert_false(findings.failed);
    assert_int_equal(findings_drop_well(&findings), 1);
    assert_int_equal(findings.n, 2);
    assert_string_equal(findings.array[0].texts[0], "c");
    assert_string_equal(findings.array[1].texts[0], "e");
    findings_deinit(&findings);
    assert_int_equal(findings.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_numbers),
        cmocka_unit_test(test_json_names_are_unique),
        cmocka_unit_test(test_json_hides_what_drives_a_terminal),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_long_table),
        cmocka_unit_test(test_rows_that_do_not_fit),
        cmocka_unit_test(test_columns_that_may_be_left_out),
        cmocka_unit_test(test_rows_in_brief),
        cmocka_unit_test(test_stream_errors_are_told),
        cmocka_unit_test(test_remarks),
        cmocka_unit_test(test_safe_text_of_all_pairs),
        cmocka_unit_test(test_findings),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
