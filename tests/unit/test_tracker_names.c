// links: vestige_tracker vestige_resolver
/* The way of a name through the tracker: from a message to a row, over a restart, to a checkpoint.
 */
#include "collectors/resolver/resolver_source.h"
#include "recorder/row/row_sink_memory.h"
#include "recorder/tracker/tracker.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint64_t boot_start = UINT64_C(1000000000000);
static const int64_t real_start = INT64_C(1780000000) * 1000000000;
static const struct source_ops *const sources[] = {&resolver_source_ops};

struct world {
    struct row_sink_memory memory;
    struct counters counters;
    struct tracker *tracker;
    struct gulp *gulp;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->gulp = gulp_new(65536);
    assert_non_null(w->gulp);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    tracker_free(w->tracker);
    gulp_free(w->gulp);
    row_sink_memory_deinit(&w->memory);
    free(w);
    return 0;
}

/* With one open row of an earlier run. */
static void begin(struct world *w, bool active)
{
    struct tracker_options options = {.sink = row_sink_memory(&w->memory),
                                      .counters = &w->counters,
                                      .sources = sources,
                                      .n_sources = 1,
                                      .boot_id = "00000000-0000-0000-0000-000000000001",
                                      .boot_ns = boot_start,
                                      .real_ns = real_start,
                                      .resolver_active = active};
    struct tracker_recovery recovery = {.cursors = "",
                                        .last_time_us = (uint64_t)real_start / 1000 - 1000000};
    const struct slice values[] = {slice_text("2026-05-01 00:00:00.000001"),
                                   slice_text("agent"),
                                   slice_text("192.0.2.1"),
                                   slice_text("before.example"),
                                   slice_text("dns"),
                                   SLICE_NULL,
                                   SLICE_NULL};
    assert_int_equal(tracker_new(&w->tracker, &options), 0);
    assert_int_equal(tracker_begin(w->tracker, &recovery), 0);
    tracker_restore(w->tracker, VERB_INSERT, TABLE_ADDRESS_NAME, 77, values, 7);
    tracker_restored(w->tracker);
}

static void give_name(struct world *w, const char *address, const char *name)
{
    uint8_t bytes[RESOLVER_MESSAGE_MOST];
    struct fact_host_name fact = {.address.family = AF_INET,
                                  .name = slice_text(name),
                                  .answered = true,
                                  .origin = NAME_FROM_DNS};
    assert_int_equal(inet_pton(AF_INET, address, fact.address.bytes), 1);
    w->gulp->used = 0;
    w->gulp->boot_ns = boot_start + 2000000000;
    w->gulp->real_ns = real_start + 2000000000;
    w->gulp->caught_up = true;
    assert_int_equal(gulp_add(w->gulp, SOURCE_RESOLVER, MESSAGE_DATA, w->gulp->boot_ns,
                              slice_of(bytes, resolver_message_write(bytes, &fact))),
                     0);
    tracker_gulp(w->tracker, w->gulp);
}

static void expect_line(const struct world *w, size_t number, const char *start, const char *end)
{
    struct slice line = row_sink_memory_line(&w->memory, number);
    assert_true(line.length > strlen(start) && line.length > strlen(end));
    assert_memory_equal(line.data, start, strlen(start));
    assert_memory_equal(line.data + line.length - strlen(end), end, strlen(end));
}

static void test_learned(void **state)
{
    struct world *w = *state;
    begin(w, true);
    assert_int_equal(w->memory.n_lines, 0);
    give_name(w, "192.0.2.1", "before.example"); /* as it was */
    give_name(w, "192.0.2.2", "x");              /* in use nowhere */
    assert_int_equal(w->memory.n_lines, 0);
    give_name(w, "192.0.2.1", "after.example");
    assert_int_equal(w->memory.n_lines, 2);
    expect_line(w, 0, "end\taddress_name\t77\t", "2026-05-28 20:26:42.000000\tremoved");
    expect_line(w, 1, "insert\taddress_name\t",
                "\t2026-05-28 20:26:42.000000\tagent\t192.0.2.1\tafter.example\tdns\t\\N\t\\N");
    assert_int_equal(counter_get(&w->counters, COUNTER_MESSAGES_MALFORMED), 0);
}

static void test_switched_off(void **state)
{
    struct world *w = *state;
    begin(w, false);
    assert_int_equal(w->memory.n_lines, 1);
    expect_line(w, 0, "end\taddress_name\t77\t", "2026-05-28 20:26:39.000000\tclosed");
}

static void test_malformed(void **state)
{
    struct world *w = *state;
    begin(w, true);
    w->gulp->boot_ns = boot_start;
    w->gulp->real_ns = real_start;
    assert_int_equal(gulp_add(w->gulp, SOURCE_RESOLVER, MESSAGE_DATA, boot_start,
                              slice_of("\2\1\1\1\xc0\0\2", 7)),
                     0);
    tracker_gulp(w->tracker, w->gulp);
    assert_int_equal(w->memory.n_lines, 0);
    assert_int_equal(counter_get(&w->counters, COUNTER_MESSAGES_MALFORMED), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_learned, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_switched_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_malformed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
