// links: vestige_tracker
/* Names of addresses: what is asked when, what is remembered, and the rows of address_name. */
#include "recorder/row/row_sink_memory.h"
#include "recorder/tracker/host_names.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000000)

enum { CREATED_AT, SEEN_BY, ADDRESS, NAME, SOURCE, DESTROYED_AT, END_CAUSE };

struct world {
    struct row_sink_memory memory;
    struct counters counters;
    struct timeline timeline;
    struct row_output output;
    struct host_names *names;
    struct inet_address asked; /* the last one */
    unsigned n_asked;
    bool refuse;
    uint64_t now;
};

static const uint64_t boot_start = 1000 * SECOND;
static const int64_t real_start = INT64_C(1780000000) * 1000000000; /* 2026-05-28 20:26:40 */

static bool on_ask(void *user, const struct inet_address *address)
{
    struct world *w = user;
    w->asked = *address;
    w->n_asked++;
    return !w->refuse;
}

static void open_names(struct world *w, size_t most, bool active)
{
    struct host_names_options options = {
        .output = &w->output, .addresses_most = most, .active = active, .user = w, .ask = on_ask};
    assert_int_equal(host_names_new(&w->names, &options), 0);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->now = boot_start;
    timeline_init(&w->timeline, boot_start, real_start, 0, INT64_MIN);
    w->output = (struct row_output){
        .sink = row_sink_memory(&w->memory), .timeline = &w->timeline, .counters = &w->counters};
    open_names(w, 100, true);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    host_names_free(w->names);
    line_deinit(&w->output.line);
    row_sink_memory_deinit(&w->memory);
    free(w);
    return 0;
}

static void pass(struct world *w, uint64_t seconds)
{
    w->now += seconds * SECOND;
    timeline_tick(&w->timeline, w->now, real_start + (int64_t)(w->now - boot_start), INT64_MIN);
}

static struct inet_address address_of(const char *text)
{
    struct inet_address address = {.family = strchr(text, ':') ? AF_INET6 : AF_INET, .port = 443};
    assert_int_equal(inet_pton(address.family, text, address.bytes), 1);
    return address;
}

static struct inet_address numbered(uint32_t number)
{
    struct inet_address address = {.family = AF_INET, .bytes = {10}};
    address.bytes[1] = (uint8_t)(number >> 16);
    address.bytes[2] = (uint8_t)(number >> 8);
    address.bytes[3] = (uint8_t)number;
    return address;
}

static bool find(struct world *w, const char *address, struct slice *name)
{
    struct inet_address key = address_of(address);
    return host_names_find(w->names, &key, w->now, name);
}

static void expect_name(struct world *w, const char *address, const char *name)
{
    struct slice found;
    assert_true(find(w, address, &found));
    if (name)
        assert_true(slice_is(found, name));
    else
        assert_true(slice_is_null(found));
}

static void expect_unknown(struct world *w, const char *address)
{
    struct slice found;
    assert_false(find(w, address, &found));
    assert_true(slice_is_null(found));
}

static void learn(struct world *w, const char *address, struct slice name, bool answered,
                  enum name_origin origin)
{
    struct fact_host_name fact = {
        .address = address_of(address), .name = name, .answered = answered, .origin = origin};
    fact.address.port = 0;
    host_names_learn(w->names, &fact, w->now);
}

static void learn_name(struct world *w, const char *address, const char *name)
{
    learn(w, address, slice_text(name), true, NAME_FROM_DNS);
}

static uint64_t id_of(struct world *w, size_t number, const char *verb)
{
    struct slice line = row_sink_memory_line(&w->memory, number);
    char text[64] = "", expected[64];
    unsigned long long id = 0;
    assert_false(slice_is_null(line));
    memcpy(text, line.data, line.length < sizeof(text) - 1 ? line.length : sizeof(text) - 1);
    snprintf(expected, sizeof(expected), "%s\taddress_name\t", verb);
    assert_memory_equal(text, expected, strlen(expected));
    assert_int_equal(sscanf(text + strlen(expected), "%llu", &id), 1);
    return id;
}

static void expect_column(struct world *w, size_t number, size_t column, const char *text)
{
    struct slice value = row_sink_memory_value(row_sink_memory_line(&w->memory, number), column);
    if (!slice_is(value, text))
        fail_msg("line %zu column %zu is %.*s and not %s", number, column, (int)value.length,
                 value.data ? (const char *)value.data : "", text);
}

static void test_asked_once_and_written_once(void **state)
{
    struct world *w = *state;
    expect_unknown(w, "192.0.2.1");
    assert_int_equal(w->n_asked, 1);
    assert_int_equal(w->asked.family, AF_INET);
    assert_int_equal(w->asked.port, 0);
    assert_memory_equal(w->asked.bytes, "\xc0\0\2\1", 4);
    expect_unknown(w, "192.0.2.1"); /* it is under way */
    assert_int_equal(w->n_asked, 1);
    pass(w, 1);
    learn_name(w, "192.0.2.1", "one.example");
    expect_name(w, "192.0.2.1", "one.example");
    learn_name(w, "192.0.2.1", "one.example");
    assert_int_equal(w->n_asked, 1);
    assert_int_equal(w->memory.n_lines, 1);
    assert_true(id_of(w, 0, "insert") >= UINT64_C(1780000000000000));
    expect_column(w, 0, CREATED_AT, "2026-05-28 20:26:41.000000");
    expect_column(w, 0, SEEN_BY, "agent");
    expect_column(w, 0, ADDRESS, "192.0.2.1");
    expect_column(w, 0, NAME, "one.example");
    expect_column(w, 0, SOURCE, "dns");
    expect_column(w, 0, DESTROYED_AT, "\\N");
    expect_column(w, 0, END_CAUSE, "\\N");
    assert_int_equal(host_names_open_rows(w->names), 1);
}

static void test_another_answer(void **state)
{
    struct world *w = *state;
    expect_unknown(w, "2001:db8::1");
    learn_name(w, "2001:db8::1", "old.example");
    uint64_t first = id_of(w, 0, "insert");
    pass(w, 7);
    learn(w, "2001:db8::1", slice_text("new.example"), true, NAME_FROM_HOSTS);
    expect_name(w, "2001:db8::1", "new.example");
    assert_int_equal(w->memory.n_lines, 3);
    assert_int_equal(id_of(w, 1, "end"), first);
    expect_column(w, 1, 0, "2026-05-28 20:26:47.000000");
    expect_column(w, 1, 1, "removed");
    assert_true(id_of(w, 2, "insert") > first);
    expect_column(w, 2, ADDRESS, "2001:db8::1");
    expect_column(w, 2, NAME, "new.example");
    expect_column(w, 2, SOURCE, "hosts");
    expect_column(w, 2, CREATED_AT, "2026-05-28 20:26:47.000000");
    /* the same name, but learned in another way */
    learn_name(w, "2001:db8::1", "new.example");
    assert_int_equal(w->memory.n_lines, 5);
    expect_column(w, 4, SOURCE, "dns");
    learn(w, "2001:db8::1", SLICE_NULL, true, NAME_FROM_DNS);
    assert_int_equal(w->memory.n_lines, 7);
    expect_column(w, 6, NAME, "\\N");
    expect_name(w, "2001:db8::1", NULL);
    learn(w, "2001:db8::1", SLICE_NULL, true, NAME_FROM_DNS);
    assert_int_equal(w->memory.n_lines, 7);
    assert_int_equal(host_names_open_rows(w->names), 1);
}

static void expect_asked_after(struct world *w, const char *address, unsigned seconds,
                               const char *name)
{
    unsigned before = w->n_asked;
    pass(w, seconds - 1);
    expect_name(w, address, name);
    assert_int_equal(w->n_asked, before);
    pass(w, 1);
    expect_name(w, address, name); /* it is asked for, and the old answer counts */
    assert_int_equal(w->n_asked, before + 1);
    expect_name(w, address, name);
    assert_int_equal(w->n_asked, before + 1);
}

static void test_times(void **state)
{
    struct world *w = *state;
    expect_unknown(w, "192.0.2.1");
    learn_name(w, "192.0.2.1", "one.example");
    expect_asked_after(w, "192.0.2.1", 3600, "one.example");
    learn(w, "192.0.2.1", SLICE_NULL, false, NAME_FROM_DNS); /* silence does not take it away */
    expect_asked_after(w, "192.0.2.1", 30, "one.example");
    learn(w, "192.0.2.1", SLICE_NULL, true, NAME_FROM_DNS);
    expect_asked_after(w, "192.0.2.1", 300, NULL);
    assert_int_equal(w->memory.n_lines, 3); /* the name, its end, no name */
    expect_unknown(w, "192.0.2.2");
    learn(w, "192.0.2.2", SLICE_NULL, false, NAME_FROM_DNS);
    expect_asked_after(w, "192.0.2.2", 30, NULL);
    assert_int_equal(w->memory.n_lines, 3); /* silence is no row */
}

static void test_no_answer_and_no_room(void **state)
{
    struct world *w = *state;
    w->refuse = true;
    expect_unknown(w, "192.0.2.1");
    expect_unknown(w, "192.0.2.1");
    assert_int_equal(w->n_asked, 2);
    w->refuse = false;
    expect_unknown(w, "192.0.2.1");
    expect_unknown(w, "192.0.2.1");
    assert_int_equal(w->n_asked, 3);
    pass(w, 60); /* the answer was lost on its way */
    expect_unknown(w, "192.0.2.1");
    assert_int_equal(w->n_asked, 4);
}

static void test_hosts_entry_gone(void **state)
{
    struct world *w = *state;
    expect_unknown(w, "192.0.2.1");
    learn(w, "192.0.2.1", SLICE_NULL, false, NAME_FROM_HOSTS); /* it was never told */
    expect_unknown(w, "192.0.2.1");
    assert_int_equal(w->n_asked, 1);
    learn(w, "192.0.2.1", slice_text("one"), true, NAME_FROM_HOSTS);
    expect_name(w, "192.0.2.1", "one");
    pass(w, 3);
    learn(w, "192.0.2.1", SLICE_NULL, false, NAME_FROM_HOSTS);
    assert_int_equal(w->memory.n_lines, 2);
    assert_int_equal(id_of(w, 1, "end"), id_of(w, 0, "insert"));
    expect_column(w, 1, 0, "2026-05-28 20:26:43.000000");
    expect_column(w, 1, 1, "removed");
    learn(w, "192.0.2.1", SLICE_NULL, false, NAME_FROM_HOSTS);
    assert_int_equal(w->memory.n_lines, 2);
    expect_name(w, "192.0.2.1", "one"); /* until there is another answer */
    assert_int_equal(w->n_asked, 2);
    learn(w, "192.0.2.1", slice_text("one.example"), true, NAME_FROM_DNS);
    learn(w, "192.0.2.1", SLICE_NULL, false, NAME_FROM_HOSTS); /* it is of DNS */
    expect_name(w, "192.0.2.1", "one.example");
    assert_int_equal(w->n_asked, 2);
    assert_int_equal(w->memory.n_lines, 3);
}

static void test_names_nobody_asked_for(void **state)
{
    struct world *w = *state;
    learn(w, "192.0.2.1", slice_text("one"), true, NAME_FROM_HOSTS);
    assert_int_equal(w->memory.n_lines, 0);
    expect_unknown(w, "192.0.2.1");
}

static void test_addresses_without_names(void **state)
{
    struct world *w = *state;
    struct slice name;
    struct inet_address none = {.family = 0};
    expect_name(w, "0.0.0.0", NULL);
    expect_name(w, "::", NULL);
    expect_name(w, "::ffff:0.0.0.0", NULL);
    assert_true(host_names_find(w->names, &none, w->now, &name));
    assert_int_equal(w->n_asked, 0);
    expect_unknown(w, "::ffff:192.0.2.1"); /* the same address as */
    expect_unknown(w, "192.0.2.1");
    assert_int_equal(w->n_asked, 1);
    assert_int_equal(w->asked.family, AF_INET);
}

static void test_evidence(void **state)
{
    struct world *w = *state;
    static const char raw[] = "a\0\x1b[31m\xff\t\\x41.b\\.c";
    struct slice name = slice_of(raw, sizeof(raw) - 1);
    struct slice found;
    expect_unknown(w, "192.0.2.1");
    learn(w, "192.0.2.1", name, true, NAME_FROM_DNS);
    assert_true(find(w, "192.0.2.1", &found));
    assert_true(slice_equal(found, name));
    expect_column(w, 0, NAME, "a\\\\x00\x1b[31m\\\\xff\\t\\\\x5cx41.b\\\\.c");
}

static void test_bound(void **state)
{
    struct world *w = *state;
    struct slice name;
    host_names_free(w->names);
    open_names(w, 1000, true);
    for (uint32_t i = 0; i < 3000; i++) {
        struct inet_address address = numbered(i);
        struct fact_host_name fact = {
            .address = address, .name = slice_text("x"), .answered = true};
        assert_false(host_names_find(w->names, &address, w->now, &name));
        host_names_learn(w->names, &fact, w->now);
        address = numbered(0); /* the first is always in use */
        assert_true(host_names_find(w->names, &address, w->now, &name));
    }
    assert_int_equal(host_names_open_rows(w->names), 1000);
    assert_int_equal(w->memory.n_lines, 3000 + 2000);
    struct inet_address address = numbered(2001);
    assert_true(host_names_find(w->names, &address, w->now, &name));
    address = numbered(2000); /* 0 and 2001 to 2999 are left */
    assert_false(host_names_find(w->names, &address, w->now, &name));
}

static void test_forgotten_rows_end(void **state)
{
    struct world *w = *state;
    host_names_free(w->names);
    open_names(w, 1, true);
    expect_unknown(w, "192.0.2.1");
    learn_name(w, "192.0.2.1", "one");
    pass(w, 5);
    expect_unknown(w, "192.0.2.2");
    assert_int_equal(w->memory.n_lines, 2);
    assert_int_equal(id_of(w, 1, "end"), id_of(w, 0, "insert"));
    expect_column(w, 1, 0, "2026-05-28 20:26:45.000000");
    expect_column(w, 1, 1, "closed");
    learn_name(w, "192.0.2.1", "one"); /* late, and forgotten */
    assert_int_equal(w->memory.n_lines, 2);
}

static void test_refused_row(void **state)
{
    struct world *w = *state;
    w->memory.refuse = -ENOSPC;
    expect_unknown(w, "192.0.2.1");
    learn_name(w, "192.0.2.1", "one");
    expect_name(w, "192.0.2.1", "one");
    assert_int_equal(w->output.refused_rows, 1);
    assert_int_equal(host_names_open_rows(w->names), 0);
    w->memory.refuse = 0;
    learn_name(w, "192.0.2.1", "one");
    assert_int_equal(w->memory.n_lines, 1);
    assert_int_equal(host_names_open_rows(w->names), 1);
}

static void test_inactive(void **state)
{
    struct world *w = *state;
    host_names_free(w->names);
    open_names(w, 100, false);
    expect_name(w, "192.0.2.1", NULL);
    learn_name(w, "192.0.2.1", "one");
    expect_name(w, "192.0.2.1", NULL);
    assert_int_equal(w->n_asked, 0);
    assert_int_equal(w->memory.n_lines, 0);
}

static void restore(struct world *w, enum verb verb, uint64_t id, const char *address,
                    const char *name, const char *source)
{
    struct slice values[7] = {slice_text("2026-05-01 00:00:00.000001"),
                              slice_text("agent"),
                              slice_text(address),
                              slice_text(name),
                              slice_text(source),
                              SLICE_NULL,
                              SLICE_NULL};
    if (verb == VERB_END)
        values[0] = slice_text("2026-05-01 00:00:01.000000");
    host_names_restore(w->names, verb, id, values, verb == VERB_END ? 2 : 7);
}

static const uint64_t last_us = UINT64_C(1779999999) * 1000000; /* of the run before */

static void test_restart(void **state)
{
    struct world *w = *state;
    restore(w, VERB_INSERT, 11, "192.0.2.1", "one\\xff", "dns");
    restore(w, VERB_INSERT, 12, "192.0.2.2", "two", "hosts");
    restore(w, VERB_INSERT, 11, "192.0.2.1", "one\\xff", "dns"); /* of a checkpoint */
    restore(w, VERB_INSERT, 13, "192.0.2.3", "three", "dns");
    restore(w, VERB_END, 13, NULL, NULL, NULL);
    restore(w, VERB_END, 99, NULL, NULL, NULL);
    restore(w, VERB_INSERT, 14, "not an address", "x", "dns");
    host_names_restored(w->names, last_us);
    assert_int_equal(w->memory.n_lines, 0);
    assert_int_equal(host_names_open_rows(w->names), 2);
    expect_unknown(w, "192.0.2.1"); /* to be confirmed */
    learn(w, "192.0.2.1", slice_of("one\xff", 4), true, NAME_FROM_DNS);
    assert_int_equal(w->memory.n_lines, 0);
    expect_unknown(w, "192.0.2.2");
    learn(w, "192.0.2.2", SLICE_NULL, false, NAME_FROM_DNS); /* nobody can say otherwise */
    expect_name(w, "192.0.2.2", "two");
    learn_name(w, "192.0.2.2", "zwei");
    assert_int_equal(w->memory.n_lines, 2);
    assert_int_equal(id_of(w, 0, "end"), 12);
    expect_unknown(w, "192.0.2.3");
}

static void test_restart_with_two_rows_of_one_address(void **state)
{
    struct world *w = *state;
    restore(w, VERB_INSERT, 22, "192.0.2.1", "new", "dns");
    restore(w, VERB_INSERT, 21, "192.0.2.1", "old", "dns");
    host_names_restored(w->names, last_us);
    assert_int_equal(w->memory.n_lines, 1);
    assert_int_equal(id_of(w, 0, "end"), 21);
    expect_column(w, 0, 0, "2026-05-28 20:26:39.000000");
    expect_column(w, 0, 1, "reconciled");
    assert_int_equal(host_names_open_rows(w->names), 1);
}

static void test_restart_with_less_room(void **state)
{
    struct world *w = *state;
    for (int active = 1; active >= 0; active--) {
        host_names_free(w->names);
        row_sink_memory_clear(&w->memory);
        open_names(w, 2, active);
        for (uint64_t id = 1; id <= 5; id++) {
            char address[32];
            snprintf(address, sizeof(address), "192.0.2.%u", (unsigned)id);
            restore(w, VERB_INSERT, id, address, "x", "dns");
        }
        host_names_restored(w->names, last_us);
        assert_int_equal(w->memory.n_lines, active ? 3 : 5);
        for (size_t i = 0; i < w->memory.n_lines; i++)
            assert_int_equal(id_of(w, i, "end"), i + 1);
        expect_column(w, 0, 1, "closed");
    }
}

static void test_checkpoint(void **state)
{
    struct world *w = *state;
    for (uint32_t i = 1; i <= 3; i++) {
        char address[32];
        snprintf(address, sizeof(address), "192.0.2.%u", i);
        expect_unknown(w, address);
        learn_name(w, address, i == 2 ? NULL : "x");
    }
    expect_unknown(w, "192.0.2.4"); /* no row yet */
    assert_int_equal(w->memory.n_lines, 3);
    host_names_checkpoint(w->names);
    assert_int_equal(w->memory.n_lines, 6);
    for (size_t i = 0; i < 3; i++)
        assert_true(slice_equal(row_sink_memory_line(&w->memory, i),
                                row_sink_memory_line(&w->memory, 3 + i)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_asked_once_and_written_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_times, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_answer_and_no_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hosts_entry_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names_nobody_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_addresses_without_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_evidence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bound, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_forgotten_rows_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused_row, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_inactive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_restart_with_two_rows_of_one_address, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_restart_with_less_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_checkpoint, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
