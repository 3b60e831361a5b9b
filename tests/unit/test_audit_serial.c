// links: vestige_audit
/* Holes in the serials: reported once, when they have been waited for, whatever the order. */
#include "collectors/audit/audit_serial.h"

#include "audit_test.h"

struct holes {
    struct audit_serial serial;
    uint64_t now_ns;
    struct buffer text;
};

static void take_hole(void *user, uint32_t first, uint32_t last)
{
    buffer_printf(user, "%u-%u ", first, last);
}

static void see(struct holes *holes, uint32_t serial)
{
    audit_serial_see(&holes->serial, serial, holes->now_ns, take_hole, &holes->text);
}

static void see_range(struct holes *holes, uint32_t first, uint32_t last)
{
    for (uint32_t serial = first; serial != last + 1; serial++)
        see(holes, serial);
}

static void wait_and_tick(struct holes *holes)
{
    for (int i = 0; i < 2; i++) {
        holes->now_ns += AUDIT_SERIAL_WAIT_NS;
        audit_serial_tick(&holes->serial, holes->now_ns, take_hole, &holes->text);
    }
}

static void expect(struct holes *holes, const char *expected)
{
    buffer_append_byte(&holes->text, 0);
    assert_string_equal((const char *)holes->text.data, expected);
    buffer_clear(&holes->text);
}

static int setup(void **state)
{
    struct holes *holes = calloc(1, sizeof(*holes));
    *state = holes;
    if (holes)
        holes->now_ns = 50 * SECOND;
    return holes ? 0 : -1;
}

static int teardown(void **state)
{
    struct holes *holes = *state;
    buffer_deinit(&holes->text);
    free(holes);
    return 0;
}

static void test_nothing_missing(void **state)
{
    see_range(*state, 1000, 20000);
    wait_and_tick(*state);
    expect(*state, "");
}

static void test_several_records_of_an_event(void **state)
{
    for (uint32_t serial = 5; serial < 100; serial++) {
        see(*state, serial);
        see(*state, serial);
        see(*state, serial - 1);
    }
    wait_and_tick(*state);
    expect(*state, "");
}

static void test_hole_is_waited_for(void **state)
{
    struct holes *holes = *state;
    see_range(holes, 1, 10);
    see_range(holes, 14, 20);
    see(holes, 22);
    holes->now_ns += SECOND;
    see(holes, 23);
    expect(holes, "");
    wait_and_tick(holes);
    expect(holes, "11-13 21-21 ");
    see(holes, 12); /* too late */
    wait_and_tick(holes);
    expect(holes, "");
}

static void test_late_ones_fill_it(void **state)
{
    struct holes *holes = *state;
    see_range(holes, 1, 10);
    see_range(holes, 15, 2000);
    see(holes, 13);
    see(holes, 11);
    see(holes, 14);
    wait_and_tick(holes);
    expect(holes, "12-12 ");
}

static void test_window(void **state)
{
    struct holes *holes = *state;
    see_range(holes, 1, 10);
    see_range(holes, 12, 11 + AUDIT_SERIAL_WINDOW - 1);
    expect(holes, "");
    see_range(holes, 11 + AUDIT_SERIAL_WINDOW, 13 + AUDIT_SERIAL_WINDOW);
    expect(holes, "11-11 "); /* without waiting */
}

static void test_jump(void **state)
{
    struct holes *holes = *state;
    see_range(holes, 1, 10);
    see(holes, 1000000);
    wait_and_tick(holes);
    expect(holes, "11-999999 ");
}

static void test_wrap(void **state)
{
    struct holes *holes = *state;
    see_range(holes, UINT32_MAX - 10, UINT32_MAX - 3);
    see_range(holes, 3, 9);
    wait_and_tick(holes);
    expect(holes, "4294967293-2 ");
    see_range(holes, 10, 10000);
    wait_and_tick(holes);
    expect(holes, "");
}

/* Every serial but multiples of 97, in an order that is shuffled within blocks of 64, over a wrap.
 */
static void test_shuffled(void **state)
{
    struct holes *holes = *state;
    struct buffer expected = BUFFER_NULL;
    const uint32_t base = UINT32_MAX - 5000, n = 300 * 64;
    see(holes, base - 1);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t offset = (i & ~63u) | ((i * 37 + 11) & 63);
        if (offset % 97)
            see(holes, base + offset);
        if (i % 97 == 0)
            buffer_printf(&expected, "%u-%u ", base + i, base + i);
    }
    see(holes, base + n);
    wait_and_tick(holes);
    buffer_append_byte(&expected, 0);
    expect(holes, (const char *)expected.data);
    buffer_deinit(&expected);
}

static void test_resume(void **state)
{
    struct holes *holes = *state;
    audit_serial_resume(&holes->serial, 500);
    see_range(holes, 1511, 1520);
    wait_and_tick(holes);
    expect(holes, "501-1510 ");
    audit_serial_resume(&holes->serial, 1520);
    see_range(holes, 1521, 1530);
    wait_and_tick(holes);
    expect(holes, "");
}

/* After a boot, or with a cursor that is wrong, counting begins anew. */
static void test_counting_anew(void **state)
{
    struct holes *holes = *state;
    audit_serial_resume(&holes->serial, 5000);
    see_range(holes, 30, 40);
    see_range(holes, 42, 50);
    wait_and_tick(holes);
    expect(holes, "41-41 ");
    see(holes, 3000000);
    wait_and_tick(holes);
    expect(holes, "51-2999999 ");
    see_range(holes, 45, 50);
    see_range(holes, 52, 60);
    wait_and_tick(holes);
    expect(holes, "51-51 ");
}

/* Through the decoder: any record counts, and the cursor is handed over by a note. */
static void test_decoder(void **state)
{
    void *inner = NULL;
    (void)state;
    assert_int_equal(audit_test_setup(&inner), 0);
    struct audit_test *test = inner;
    audit_test_message(test, MESSAGE_NOTE, slice_text("last_serial=100"));
    audit_test_record(test, AUDIT_CONFIG_CHANGE, 103, "op=set");
    audit_test_record(test, AUDIT_USER_TTY, 104, "");
    audit_test_expect(test, "");
    test->boot_ns += 3 * SECOND;
    audit_test_record(test, AUDIT_CONFIG_CHANGE, 105, "op=set");
    test->boot_ns += 3 * SECOND;
    audit_test_record(test, AUDIT_CONFIG_CHANGE, 106, "op=set");
    audit_test_expect(test, "hole 101-102\n");
    audit_test_teardown(&inner);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_missing),
        TEST(test_several_records_of_an_event),
        TEST(test_hole_is_waited_for),
        TEST(test_late_ones_fill_it),
        TEST(test_window),
        TEST(test_jump),
        TEST(test_wrap),
        TEST(test_shuffled),
        TEST(test_resume),
        TEST(test_counting_anew),
        TEST(test_decoder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
