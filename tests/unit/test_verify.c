// links: vestige_verify
/* The parts of verification that need no server: digest lists of any content, lines rebuilt from
 * rows, sums, and how differences of lines become rows of the answer. */
#include "reports/verify/differences.h"
#include "reports/verify/digest_list.h"
#include "reports/verify/line_sums.h"
#include "reports/verify/row_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* --- digest lists --- */

static void test_list(void **state)
{
    (void)state;
    struct batch_digest *digest;
    struct buffer text = BUFFER_NULL;
    struct digest_list list;
    struct digest_entry entry;
    uint8_t value[BATCH_DIGEST_SIZE] = "\n\t0123456789";
    assert_int_equal(batch_digest_new(&digest), 0);
    assert_int_equal(batch_digest_add(digest, VERB_END, TABLE_PROCESS, 0x0a090a, value), 0);
    assert_int_equal(batch_digest_add(digest, VERB_INSERT, TABLE_HOST, UINT64_MAX, value), 0);
    assert_int_equal(batch_digest_add(digest, VERB_INSERT, TABLE_HOST, 1, value), 0);
    assert_int_equal(batch_digest_list(digest, &text), 0);
    digest_list_begin(&list, buffer_slice(&text));
    static const struct {
        enum table_id table;
        enum verb verb;
        uint64_t id;
    } expected[] = {
        {TABLE_HOST,    VERB_INSERT, 1         },
        {TABLE_HOST,    VERB_INSERT, UINT64_MAX},
        {TABLE_PROCESS, VERB_END,    0x0a090a  },
    };
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(digest_list_next(&list, &entry), DIGEST_LIST_ENTRY);
        assert_int_equal(entry.table, expected[i].table);
        assert_int_equal(entry.verb, expected[i].verb);
        assert_int_equal(entry.id, expected[i].id);
        assert_memory_equal(entry.digest, value, BATCH_DIGEST_SIZE);
    }
    assert_int_equal(digest_list_next(&list, &entry), DIGEST_LIST_END);
    /* cut off anywhere it is no list, but at the ends of its groups; and nothing is read beyond */
    for (size_t length = 1; length < text.length; length++) {
        uint8_t *copy = malloc(length);
        memcpy(copy, text.data, length);
        digest_list_begin(&list, slice_of(copy, length));
        int outcome;
        while ((outcome = digest_list_next(&list, &entry)) == DIGEST_LIST_ENTRY)
            continue;
        assert_int_equal(outcome, length == strlen("host\tinsert\t2\n") + 2 * 24 ? 0 : -EBADMSG);
        free(copy);
    }
    buffer_deinit(&text);
    batch_digest_free(digest);
}

static void test_no_list(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "hosts\tinsert\t1\n", "host\tinserts\t1\n",
        "host\tinsert\t0\n",  "host\tinsert\t18446744073709551615\n",
        "host\tinsert\t01\n", "host\tinsert\t-1\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct digest_list list;
        struct digest_entry entry;
        struct buffer text = BUFFER_NULL;
        buffer_append_text(&text, texts[i]);
        buffer_append_text(&text, "0123456789abcdefghijklmn");
        digest_list_begin(&list, buffer_slice(&text));
        assert_int_equal(digest_list_next(&list, &entry), -EBADMSG);
        buffer_deinit(&text);
    }
}

/* --- lines --- */

static void assert_line(struct row_lines *lines, const struct row *row, enum row_line which,
                        unsigned format, const char *text)
{
    uint8_t rebuilt[BATCH_DIGEST_SIZE], expected[BATCH_DIGEST_SIZE];
    assert_int_equal(row_line_digest(lines, row, which, format, rebuilt), 0);
    assert_int_equal(row_line_digest_text(lines, slice_text(text), expected), 0);
    assert_memory_equal(rebuilt, expected, BATCH_DIGEST_SIZE);
}

static void test_lines(void **state)
{
    (void)state;
    struct row_lines *lines;
    const struct table *table = catalogue_table(TABLE_PROCESS);
    struct slice values[PROCESS_COLUMN_N];
    bool plain[PROCESS_COLUMN_N] = {false};
    struct row row = {.table = TABLE_PROCESS, .id = 7, .values = values, .plain = plain};
    assert_int_equal(row_lines_new(&lines), 0);
    for (size_t i = 0; i < table->n_columns; i++)
        values[i] = SLICE_NULL;
    values[PROCESS_PID] = slice_text("12");
    plain[PROCESS_PID] = true;
    values[PROCESS_COMM] = slice_text("a\tb\\N");
    values[PROCESS_MASKED] = slice_text("1");
    values[PROCESS_END_CAUSE] = slice_text("");
#define N3    "\t\\N\t\\N\t\\N"
#define N5    "\t\\N\t\\N" N3
#define BIRTH N3 "\t12" N5 N5 N5 "\t\\N"
    assert_line(lines, &row, ROW_INSERT, 2,
                "insert\tprocess\t7" BIRTH "\ta\\tb\\\\N\t\\N" N3 "\t1" N5 N3 "\t\\N\t" N5 N3);
    /* a host could not say it in that format: it is in no line */
    assert_line(lines, &row, ROW_INSERT_OPEN, 1,
                "insert\tprocess\t7" BIRTH "\ta\\tb\\\\N\t\\N" N3 "\t1" N5 N3 N5 N5);
    values[PROCESS_MASKED] = SLICE_NULL;
    assert_line(lines, &row, ROW_INSERT_OPEN, 1,
                "insert\tprocess\t7" BIRTH "\ta\\tb\\\\N\t\\N" N3 N5 N3 N5 N5);
    values[PROCESS_MASKED] = slice_text("1");
    row.settled = true;
    assert_line(lines, &row, ROW_INSERT_OPEN, 2, "insert\tprocess\t7" BIRTH N5 N5 N3 "\t\\N" N5 N5);
    assert_line(lines, &row, ROW_SETTLE, 2, "settle\tprocess\t7\ta\\tb\\\\N\t\\N" N3 "\t1" N5 N3);
    values[PROCESS_MASKED] = SLICE_NULL;
    assert_line(lines, &row, ROW_SETTLE, 1, "settle\tprocess\t7\ta\\tb\\\\N\t\\N" N3 N5 N3);
    assert_line(lines, &row, ROW_END, 1, "end\tprocess\t7\t\\N\t" N5 N3);
    row_lines_free(lines);
}

/* --- sums --- */

static void change(struct line_sums *sums, struct batch_digest *digest, uint64_t id, uint64_t batch,
                   bool add)
{
    static const uint8_t secret[LINE_SECRET_SIZE] = "a secret";
    struct line_key line = {.host_id = 1, .table = TABLE_HOST, .id = id, .batch = batch};
    assert_int_equal(line_sums_change(sums, digest, secret, &line, add), 0);
}

static void test_sums(void **state)
{
    (void)state;
    struct line_sums sums;
    struct batch_digest *digest;
    assert_int_equal(batch_digest_new(&digest), 0);
    assert_int_equal(line_sums_init(&sums, 3), 0);
    for (uint64_t id = 0; id < 100; id++)
        change(&sums, digest, id, 5, true);
    for (uint64_t id = 100; id-- > 0;) {
        assert_false(line_sums_is_zero(&sums, line_sums_bucket(&sums, 5)));
        change(&sums, digest, id, 5, false);
    }
    for (size_t bucket = 0; bucket < 3; bucket++)
        assert_true(line_sums_is_zero(&sums, bucket));
    /* of the same bucket, and not the same; twice is not never */
    change(&sums, digest, 1, 5, true);
    change(&sums, digest, 1, 8, false);
    assert_false(line_sums_is_zero(&sums, 2));
    change(&sums, digest, 1, 8, true);
    change(&sums, digest, 1, 5, true);
    assert_false(line_sums_is_zero(&sums, 2));
    line_sums_deinit(&sums);
    batch_digest_free(digest);
}

/* --- differences --- */

#define DAY 1700000000000000

static void add(struct differences *differences, enum difference_kind kind, uint32_t host_id,
                uint64_t id, enum verb verb, uint64_t batch, uint8_t digest)
{
    struct line_difference line = {
        .kind = kind,
        .row_exists = kind != LINE_MISSING || digest >= 100,
        .what = "day wrong",
        .line = {.host_id = host_id,
                 .table = TABLE_DEVICE,
                 .verb = verb,
                 .id = DAY + id,
                 .batch = batch,
                 .digest = {digest}}
    };
    differences_add_line(differences, &line);
}

static void assert_told(struct differences *differences, const char *expected)
{
    struct buffer text = BUFFER_NULL;
    assert_int_equal(differences_conclude_lines(differences), 0);
    assert_int_equal(differences_conclude(differences, NULL, NULL), 0);
    for (size_t i = 0; i < differences_n(differences); i++) {
        const struct difference *told = differences_at(differences, i);
        buffer_printf(&text, "%u %llu %s %llu %s\n", (unsigned)told->host_id,
                      (unsigned long long)(told->id - DAY), told->verb,
                      (unsigned long long)told->batch, told->what);
    }
    buffer_append_byte(&text, '\0');
    assert_string_equal((const char *)text.data, expected);
    buffer_deinit(&text);
    differences_free(differences);
}

static void test_rows_of_lines(void **state)
{
    (void)state;
    struct differences *differences;
    assert_int_equal(differences_new(&differences, 1000), 0);
    add(differences, LINE_MISSING, 1, 1, VERB_INSERT, 5, 1); /* the row is gone, with its end */
    add(differences, LINE_MISSING, 1, 1, VERB_END, 6, 2);
    add(differences, LINE_EXTRA, 1, 2, VERB_INSERT, 5, 3);
    add(differences, LINE_MISSING, 1, 3, VERB_SETTLE, 5, 100); /* another line of the row is */
    add(differences, LINE_EXTRA, 1, 3, VERB_SETTLE, 5, 101);
    add(differences, LINE_MISSING, 1, 4, VERB_INSERT, 5, 102); /* the same line, another batch */
    add(differences, LINE_EXTRA, 1, 4, VERB_INSERT, 9, 102);
    add(differences, LINE_MISSING, 1, 5, VERB_INSERT, 5, 7); /* from host to host, both ways */
    add(differences, LINE_EXTRA, 2, 5, VERB_INSERT, 5, 7);
    add(differences, LINE_EXTRA, 1, 6, VERB_INSERT, 5, 8);
    add(differences, LINE_MISSING, 2, 6, VERB_INSERT, 5, 8);
    add(differences, LINE_MISSING, 2, 6, VERB_END, 5, 9);
    add(differences, LINE_EXTRA, 1, 6, VERB_END, 5, 9);
    add(differences, ROW_WRONG, 1, 7, VERB_INSERT, 5, 0);
    add(differences, LINE_EXTRA, 1, 8, VERB_END, 5, 10); /* an end that nobody has sealed */
    assert_told(differences, "1 4 insert 5 batch number changed\n"
                             "1 3 settle 5 changed\n"
                             "1 8 end 5 changed\n"
                             "1 7  5 day wrong\n"
                             "1 2 insert 5 extra\n"
                             "1 1 insert,end 5 missing\n"
                             "1 5 insert 5 moved\n"
                             "2 6 insert,end 5 moved\n");
}

static void test_floods(void **state)
{
    (void)state;
    struct differences *differences;
    assert_int_equal(differences_new(&differences, 1000), 0);
    for (uint64_t id = 0; id < 25; id++)
        add(differences, LINE_MISSING, 1, id, VERB_INSERT, 5, 1);
    add(differences, LINE_MISSING, 2, 1, VERB_INSERT, 5, 1);
    assert_told(differences, "1 0 insert 5 missing\n2 1 insert 5 missing\n");
    assert_int_equal(differences_new(&differences, 10), 0);
    for (uint64_t id = 0; id < 25; id++)
        add(differences, LINE_EXTRA, 1, id, VERB_INSERT, 5, 1);
    assert_int_equal(differences_n_untold(differences), 15);
    differences_free(differences);
}

static void test_refused_lines(void **state)
{
    (void)state;
    struct retained_day day = {.table = RETAINED_REJECTED};
    struct differences *differences;
    struct line_difference line = {
        .refused = &day,
        .line = {.host_id = 1, .table = TABLE_DEVICE, .id = DAY, .verb = VERB_INSERT}
    };
    assert_int_equal(differences_new(&differences, 1000), 0);
    differences_add_line(differences, &line); /* may be one that retention dropped */
    line.line.id++;
    differences_add_line(differences, &line); /* but not beside one that is extra */
    line.kind = LINE_EXTRA;
    line.refused = NULL;
    line.line.digest[0] = 1;
    differences_add_line(differences, &line);
    assert_told(differences, "1 1 insert 0 changed\n");
    assert_int_equal(day.n_listed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),          cmocka_unit_test(test_no_list),
        cmocka_unit_test(test_lines),         cmocka_unit_test(test_sums),
        cmocka_unit_test(test_rows_of_lines), cmocka_unit_test(test_floods),
        cmocka_unit_test(test_refused_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
