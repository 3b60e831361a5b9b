// links: vestige_tracker
/* Losses as gap rows: each kind says what was lost, from when to when, and how much. */
#include "recorder/row/row_sink_memory.h"
#include "recorder/tracker/loss.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)

struct world {
    struct row_sink_memory memory;
    struct counters counters;
    struct timeline timeline;
    struct row_output output;
    struct user_names *names;
    struct processes *processes;
    struct loss loss;
    uint64_t now;
};

static const int64_t real_start = INT64_C(1780000000) * 1000000000;
static const uint64_t boot_start = UINT64_C(1000000) * MS;

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    if (!w)
        return -1;
    w->now = boot_start;
    timeline_init(&w->timeline, boot_start, real_start, 0, INT64_MIN);
    w->output = (struct row_output){.sink = row_sink_memory(&w->memory),
                                    .timeline = &w->timeline,
                                    .counters = &w->counters,
                                    .boot_id = "00000000-0000-0000-0000-000000000001"};
    assert_int_equal(user_names_new(&w->names, (struct user_names_request){0}), 0);
    const struct processes_options options = {.output = &w->output,
                                              .names = w->names,
                                              .settle_ns = 250 * MS,
                                              .fork_ns = 100 * MS,
                                              .late_ns = 60000 * MS,
                                              .image_bytes_most = 200,
                                              .late_most = 100,
                                              .audit_active = true,
                                              .taskstats_active = true,
                                              .connector_active = true};
    assert_int_equal(processes_new(&w->processes, &options), 0);
    loss_init(&w->loss, &w->output, w->processes, false);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    processes_free(w->processes);
    user_names_free(w->names);
    line_deinit(&w->output.line);
    row_sink_memory_deinit(&w->memory);
    free(w);
    return 0;
}

static void tick(struct world *w, uint64_t after_ms)
{
    w->now += after_ms * MS;
    timeline_tick(&w->timeline, w->now, real_start + (int64_t)(w->now - boot_start), INT64_MIN);
    processes_tick(w->processes);
    loss_tick(&w->loss);
}

static void give(struct world *w, struct fact fact)
{
    fact.boot_ns = w->now;
    processes_fact(w->processes, &fact);
}

static void execute(struct world *w, uint32_t pid, const char *argument)
{
    struct slice argv[2] = {slice_text("sleep"), slice_text(argument)};
    give(w, (struct fact){
                .kind = FACT_FORK, .fork = {{1, 1}, {pid, pid}}
    });
    give(w, (struct fact){
                .kind = FACT_EXEC, .exec = {pid, pid}
    });
    give(w, (struct fact){
                .kind = FACT_AUDIT_EXEC,
                .audit_exec = {.pid = pid,
                               .real_ms = (real_start + (int64_t)(w->now - boot_start)) / 1000000,
                               .comm = slice_text("sleep"),
                               .exe = slice_text("/bin/sleep"),
                               .cwd = slice_text("/"),
                               .argv = argv,
                               .argc = 2,
                               .n_argv = 2}
    });
}

/* The last line that is a gap. */
static struct slice last_gap(const struct world *w)
{
    static const char start[] = "insert\tgap\t";
    struct slice line = SLICE_NULL;
    for (size_t i = 0; i < w->memory.n_lines; i++) {
        struct slice one = row_sink_memory_line(&w->memory, i);
        if (one.length >= strlen(start) && !memcmp(one.data, start, strlen(start)))
            line = one;
    }
    return line;
}

static void assert_value(struct slice line, enum gap_column column, const char *expected)
{
    struct slice value = row_sink_memory_value(line, column);
    if (!slice_is(value, expected))
        fail_msg("column %d is \"%.*s\", expected \"%s\"", column, (int)value.length,
                 (const char *)value.data, expected);
}

static bool is_settled(const struct world *w)
{
    return loss_settled_until(&w->loss, w->now);
}

static void test_each_kind_is_described(void **state)
{
    const struct world *w = *state;
    for (size_t i = 0; i < LOSS_KIND_N; i++) {
        const struct gap_gatherer *gatherer = &w->loss.gatherers[i];
        if (!gatherer->source || !gatherer->cause || !gatherer->unit)
            fail_msg("loss kind %zu lacks its source, its cause or its unit", i);
    }
}

/* Two execs of which the second does not fit into the bound of memory. */
static void test_arguments_over_the_bound(void **state)
{
    struct world *w = *state;
    char argument[181];
    memset(argument, 'x', sizeof(argument) - 1);
    argument[sizeof(argument) - 1] = '\0';
    tick(w, 1000);
    execute(w, 100, "1");
    tick(w, 20);
    assert_true(is_settled(w));
    execute(w, 101, argument);
    tick(w, 20);
    assert_false(is_settled(w)); /* noticed, and gathered for a second */
    tick(w, 1000);
    assert_true(is_settled(w));
    struct slice line = last_gap(w);
    assert_value(line, GAP_SOURCE, "agent");
    assert_value(line, GAP_CAUSE, "arguments_dropped");
    assert_value(line, GAP_UNIT, "record");
    assert_value(line, GAP_COUNT, "1");
    assert_value(line, GAP_CREATED_AT, "2026-05-28 20:26:41.020000");
    assert_value(line, GAP_DESTROYED_AT, "2026-05-28 20:26:41.040000");
}

static void lose_rows(struct world *w, uint64_t for_ms)
{
    for (uint64_t ms = 0; ms < for_ms; ms += 20) {
        tick(w, 20);
        loss_rows(&w->loss, LOSS_KERNEL_EVENTS, 3);
    }
}

/* Each row begins where the one before ends; returns how many there are. */
static size_t assert_one_span(const struct world *w, const char *cause, uint64_t count)
{
    struct slice before = SLICE_NULL;
    size_t n = 0;
    for (size_t i = 0; i < w->memory.n_lines; i++) {
        struct slice line = row_sink_memory_line(&w->memory, i);
        assert_value(line, GAP_CAUSE, cause);
        if (n++)
            assert_true(slice_equal(row_sink_memory_value(line, GAP_CREATED_AT), before));
        before = row_sink_memory_value(line, GAP_DESTROYED_AT);
        count -= strtoull((const char *)row_sink_memory_value(line, GAP_COUNT).data, NULL, 10);
    }
    assert_int_equal(count, 0);
    return n;
}

/* A loss that does not end is told of after five seconds, and then once a minute. */
static void test_storm(void **state)
{
    struct world *w = *state;
    lose_rows(w, 5000);
    assert_int_equal(w->memory.n_lines, 0);
    lose_rows(w, 20);
    assert_int_equal(w->memory.n_lines, 1);
    assert_value(last_gap(w), GAP_CREATED_AT, "2026-05-28 20:26:40.020000");
    assert_value(last_gap(w), GAP_DESTROYED_AT, "2026-05-28 20:26:45.000000");
    lose_rows(w, 150000);
    assert_int_equal(w->memory.n_lines, 3);
    tick(w, 1000);
    assert_int_equal(assert_one_span(w, "rate_limit", (5020 + 150000) / 20 * 3), 4);
    assert_true(is_settled(w));
    lose_rows(w, 20); /* another one */
    tick(w, 1000);
    assert_value(last_gap(w), GAP_CREATED_AT, "2026-05-28 20:29:16.040000");
}

/* What is noticed late may have been lost in the span of the row before. */
static void test_storm_that_is_noticed_late(void **state)
{
    struct world *w = *state;
    w->loss.audit_checked_ns = boot_start - 5000 * MS;
    for (unsigned i = 0; i < 275; i++) {
        tick(w, 20);
        const struct fact fact = {
            .kind = FACT_AUDIT_HOLE, .boot_ns = w->now, .audit_hole = {.first = i, .last = i}
        };
        assert_int_equal(loss_fact(&w->loss, &fact), LOSS_NOTED);
    }
    assert_value(last_gap(w), GAP_CREATED_AT, "2026-05-28 20:26:35.000000");
    tick(w, 1000);
    assert_int_equal(assert_one_span(w, "missing_serials", 275), 2);
}

/* Whoever asks in the middle of it is told of what was lost before. */
static void test_hurried_storm(void **state)
{
    struct world *w = *state;
    lose_rows(w, 6000);
    uint64_t mark_ns = w->now;
    loss_hurry(&w->loss, mark_ns);
    assert_false(loss_settled_until(&w->loss, mark_ns));
    for (unsigned i = 0; i < 210; i++) {
        lose_rows(w, 20);
        loss_hurry(&w->loss, mark_ns);
    }
    assert_true(loss_settled_until(&w->loss, mark_ns));
    assert_false(is_settled(w));
    tick(w, 1000);
    assert_int_equal(assert_one_span(w, "rate_limit", (6000 + 210 * 20) / 20 * 3), 3);
}

/* Without a connector nobody counts the births while no agent ran: a gap of unknown size, as soon
 * as /proc has been looked through. */
static void test_not_running_without_a_connector(void **state)
{
    struct world *w = *state;
    struct cursors before = {
        .at_ns = w->now - 5000 * MS, .processes = {.forks = 1000}, .clean = true, .known = true};
    loss_expect(&w->loss, &before, 0);
    tick(w, 20);
    assert_false(is_settled(w));
    give(w, (struct fact){.kind = FACT_PROC_SCAN, .proc_scan = {.begin = true}});
    give(w, (struct fact){.kind = FACT_PROC_SCAN, .proc_scan = {.begin = false}});
    tick(w, 20);
    assert_true(is_settled(w));
    struct slice line = last_gap(w);
    assert_value(line, GAP_SOURCE, "agent");
    assert_value(line, GAP_CAUSE, "not_running");
    assert_value(line, GAP_UNIT, "process");
    assert_value(line, GAP_COUNT, "\\N");
    assert_value(line, GAP_CREATED_AT, "2026-05-28 20:26:35.000000");
    assert_value(line, GAP_DESTROYED_AT, "2026-05-28 20:26:40.000000");
}

/* What a killed run was told, heard of `n` more births, and what a run after it would compare with.
 */
static struct processes_state state_after(struct world *w, const struct cursors *before,
                                          uint64_t births_after_mark, uint32_t n)
{
    struct processes_state state;
    loss_init(&w->loss, &w->output, w->processes, true);
    loss_expect(&w->loss, before, births_after_mark);
    for (uint32_t pid = 100; pid < 100 + n; pid++)
        give(w, (struct fact){
                    .kind = FACT_FORK, .fork = {{1, 1}, {pid, pid}}
        });
    processes_get_state(w->processes, &state);
    loss_state(&w->loss, &state);
    return state;
}

/* Killed before it could count what the run before had lost: its mark goes on from that one's. */
static void test_state_while_an_earlier_loss_is_open(void **state)
{
    struct world *w = *state;
    struct processes_state own;
    const struct cursors before = {
        .at_ns = w->now - 5000 * MS,
        .processes = {.forks = 1000, .unstored = 11, .threads = 53},
        .known = true
    };
    struct processes_state after = state_after(w, &before, 4, 23);
    processes_get_state(w->processes, &own);
    assert_int_equal(own.forks, 0); /* its own total is not known yet */
    assert_int_equal(own.unstored, 23);
    assert_int_equal(after.forks, 1000 + 23);
    assert_int_equal(after.unstored, 23 + 11 - 4);
    assert_int_equal(after.threads, 53);
    assert_false(is_settled(w));

    /* a second mark behind more births, of which the first look at /proc finds one that was unheard
     */
    give(w, (struct fact){.kind = FACT_PROC_SCAN, .proc_scan = {.begin = true}});
    give(w, (struct fact){
                .kind = FACT_PROC_PROCESS,
                .proc_process = {.pid = 77, .n_threads = 3, .comm = slice_text("found")}
    });
    give(w, (struct fact){.kind = FACT_PROC_SCAN, .proc_scan = {.begin = false}});
    processes_get_state(w->processes, &own);
    after = own;
    loss_state(&w->loss, &after);
    assert_int_equal(after.unstored, own.unstored + 11 - 4 - 3);
}

/* The second of two readings of the kernel's total that agree is handed over with the last tick. */
static void read_total(struct world *w, uint64_t total)
{
    for (int reading = 0; reading < 2; reading++) {
        tick(w, 1000);
        give(w, (struct fact){
                    .kind = FACT_FORK_TOTAL,
                    .fork_total = {.total = total, .before_ns = w->now, .after_ns = w->now}
        });
        tick(w, 20);
        tick(w, 20);
    }
}

/* /proc is read, in some milliseconds, and shows this one. */
static void scan(struct world *w, uint32_t pid, uint32_t n_threads)
{
    uint64_t begin = w->now;
    give(w, (struct fact){.kind = FACT_PROC_SCAN, .proc_scan = {.begin = true}});
    give(w, (struct fact){
                .kind = FACT_PROC_PROCESS,
                .proc_process = {.pid = pid,
                                 .start_ticks = boot_start / (10 * MS),
                                 .n_threads = n_threads,
                                 .threads_from_ns = begin,
                                 .threads_until_ns = begin + 5 * MS,
                                 .comm = slice_text("found")}
    });
    give(w, (struct fact){.kind = FACT_PROC_SCAN, .proc_scan = {.begin = false}});
    tick(w, 20);
}

static void expect_after(struct world *w, uint64_t forks)
{
    const struct cursors before = {
        .at_ns = w->now - 5000 * MS, .processes = {.forks = forks}, .known = true};
    loss_init(&w->loss, &w->output, w->processes, true);
    loss_expect(&w->loss, &before, 0);
}

static void lose_messages(struct world *w)
{
    const struct fact fact = {.kind = FACT_OVERRUN, .source = SOURCE_CONNECTOR, .boot_ns = w->now};
    assert_int_equal(loss_fact(&w->loss, &fact), LOSS_SCAN_WANTED);
}

/* Two were born in a hole before the total was known: one is gone, the other is found alive, and is
 * not lost. */
static void test_hole_before_the_total_is_known(void **state)
{
    struct world *w = *state;
    expect_after(w, 1000);
    scan(w, 1, 1); /* is one of the 1000 and one */
    tick(w, 1000);
    lose_messages(w);
    read_total(w, 1003);
    assert_false(is_settled(w));
    scan(w, 77, 1);
    read_total(w, 1003);
    assert_true(is_settled(w));
    struct slice line = last_gap(w);
    assert_value(line, GAP_SOURCE, "agent");
    assert_value(line, GAP_CAUSE, "killed");
    assert_value(line, GAP_COUNT, "1");
}

/* A run that was killed before it could say what one before it had lost: the span is both. */
static void test_span_over_two_runs(void **state)
{
    struct world *w = *state;
    struct cursors before = {
        .at_ns = w->now - 5000 * MS, .processes = {.forks = 1000}, .known = true};
    loss_init(&w->loss, &w->output, w->processes, true);
    assert_int_equal(loss_unheard_since(&w->loss), 0);
    loss_expect(&w->loss, &before, 0);
    before.unheard_since_ns = loss_unheard_since(&w->loss);
    assert_int_equal(before.unheard_since_ns, before.at_ns);
    before.at_ns += 2000 * MS;
    loss_init(&w->loss, &w->output, w->processes, true);
    loss_expect(&w->loss, &before, 0);
    scan(w, 1, 1);
    read_total(w, 1000 + 1 + 23);
    assert_int_equal(loss_unheard_since(&w->loss), 0);
    struct slice line = last_gap(w);
    assert_value(line, GAP_COUNT, "23");
    assert_value(line, GAP_CREATED_AT, "2026-05-28 20:26:35.000000");
    assert_value(line, GAP_DESTROYED_AT, "2026-05-28 20:26:40.000000");
}

/* What a hole costs, while it cannot be said yet what the run before had lost, is lost once. */
static void test_hole_while_an_earlier_loss_is_open(void **state)
{
    struct world *w = *state;
    struct processes_state after;
    expect_after(w, 1000);
    give(w, (struct fact){
                .kind = FACT_FORK, .fork = {{500, 500}, {501, 500}}
    });
    scan(w, 500, 2); /* a thread is born meanwhile */
    read_total(w, 1003);
    assert_false(is_settled(w));
    lose_messages(w);
    tick(w, 1000);
    scan(w, 500, 2);
    read_total(w, 1004);
    assert_true(is_settled(w));
    uint64_t sum = 0;
    for (size_t i = 0; i < w->memory.n_lines; i++) {
        struct slice one = row_sink_memory_line(&w->memory, i);
        struct slice unit = row_sink_memory_value(one, GAP_UNIT);
        if (one.length > 11 && !memcmp(one.data, "insert\tgap", 10) && slice_is(unit, "process"))
            sum += strtoull((const char *)row_sink_memory_value(one, GAP_COUNT).data, NULL, 10);
    }
    assert_int_equal(sum, 2);
    processes_get_state(w->processes, &after);
    assert_int_equal(after.forks, 1004);
}

/* More was stored behind the mark than it knew of: the difference is negative, modulo 2^64. */
static void test_state_may_be_negative(void **state)
{
    const struct cursors before = {.processes = {.forks = 1000}, .known = true};
    struct processes_state after = state_after(*state, &before, 97, 0);
    assert_int_equal((int64_t)after.unstored, -97);
}

/* An earlier run that did not know the kernel's total leaves nothing to compare with. */
static void test_state_without_a_total(void **state)
{
    const struct cursors before = {.processes = {.unstored = 5}, .known = true};
    assert_int_equal(state_after(*state, &before, 0, 23).forks, 0);
}

/* What the journal refused and no gap names yet is in no row. */
static void test_state_of_what_was_refused(void **state)
{
    struct world *w = *state;
    struct processes_state before, after;
    processes_get_state(w->processes, &before);
    for (int i = 0; i < 23; i++)
        row_output_refused(&w->output, true, -ENOSPC);
    assert_false(is_settled(w));
    processes_get_state(w->processes, &after);
    loss_state(&w->loss, &after);
    assert_int_equal(after.unstored, before.unstored + 23);
    tick(w, 20);
    struct slice line = last_gap(w);
    assert_value(line, GAP_CAUSE, "journal_full");
    assert_value(line, GAP_COUNT, "23");
    processes_get_state(w->processes, &after);
    assert_int_equal(after.unstored, before.unstored);
    assert_true(is_settled(w));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_kind_is_described),
        TEST(test_arguments_over_the_bound),
        TEST(test_storm),
        TEST(test_storm_that_is_noticed_late),
        TEST(test_hurried_storm),
        TEST(test_not_running_without_a_connector),
        TEST(test_state_while_an_earlier_loss_is_open),
        TEST(test_state_may_be_negative),
        TEST(test_state_without_a_total),
        TEST(test_state_of_what_was_refused),
        TEST(test_hole_before_the_total_is_known),
        TEST(test_span_over_two_runs),
        TEST(test_hole_while_an_earlier_loss_is_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
