// links: vestige_agent
/* Raw messages in, rows out. The wall clock steps while processes live: times go on, no end is
 * before its beginning, no id comes twice, arguments find their rows, and a row tells of the step.
 */
#include "../programs/kernel_messages.h"
#include "recorder/agent/agent_sources.h"
#include "recorder/row/row_sink_memory.h"
#include "recorder/tracker/tracker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define HOUR_NS INT64_C(3600000000000)

struct host {
    struct kernel kernel;
    struct row_sink_memory memory;
    struct counters counters;
    struct tracker *tracker;
    unsigned n_checkpoints;
    bool checkpoint_due;
    uint64_t synced;
};

static const uint64_t boot_start = UINT64_C(1000000) * MS;
static const int64_t real_start = INT64_C(1780000000) * 1000000000;
static const int64_t earliest_us = INT64_C(1767225600) * 1000000; /* 2026-01-01 */

static void turn(struct host *host, uint64_t after_ms)
{
    host->kernel.boot_ns += after_ms * MS;
    struct gulp *gulp = kernel_gulp(&host->kernel);
    tracker_gulp(host->tracker, gulp);
    gulp_free(gulp);
}

static void on_checkpoint(void *user, bool begin)
{
    ((struct host *)user)->n_checkpoints += begin;
}

static bool on_checkpoint_due(void *user)
{
    return ((struct host *)user)->checkpoint_due;
}

static void on_sync_done(void *user, uint64_t token)
{
    ((struct host *)user)->synced = token;
}

static struct host *host_new(int64_t real_ns)
{
    struct host *host = calloc(1, sizeof(*host));
    assert_non_null(host);
    kernel_init(&host->kernel, boot_start, real_ns);
    struct tracker_options options = {.sink = row_sink_memory(&host->memory),
                                      .counters = &host->counters,
                                      .boot_id = "00000000-0000-0000-0000-000000000001",
                                      .boot_ns = boot_start,
                                      .real_ns = real_ns,
                                      .late_mib = 1,
                                      .connector_active = true,
                                      .taskstats_active = true,
                                      .audit_active = true,
                                      .user = host,
                                      .checkpoint = on_checkpoint,
                                      .checkpoint_due = on_checkpoint_due,
                                      .sync_done = on_sync_done};
    options.sources = agent_sources_all(&options.n_sources);
    assert_int_equal(tracker_new(&host->tracker, &options), 0);
    struct tracker_recovery recovery = {.cursors = ""};
    tracker_begin(host->tracker, &recovery);
    tracker_restored(host->tracker);
    kernel_note(&host->kernel, SOURCE_CONNECTOR, "suspend_offset=0");
    kernel_user(&host->kernel, 0, "root");
    kernel_user(&host->kernel, 1000, "alice");
    kernel_scan(&host->kernel, true);
    kernel_scan(&host->kernel, false);
    turn(host, 0);
    turn(host, 15);
    return host;
}

static int setup(void **state)
{
    *state = host_new(real_start);
    return 0;
}

static int teardown(void **state)
{
    struct host *host = *state;
    tracker_free(host->tracker);
    kernel_deinit(&host->kernel);
    row_sink_memory_deinit(&host->memory);
    free(host);
    return 0;
}

static void step(struct host *host, int64_t by_ns)
{
    host->kernel.wall_ns += by_ns;
}

/* -- Lines -- */

static size_t find_line(struct host *host, const char *start, size_t from)
{
    size_t length = strlen(start);
    for (size_t i = from; i < host->memory.n_lines; i++) {
        struct slice line = row_sink_memory_line(&host->memory, i);
        if (line.length > length && !memcmp(line.data, start, length))
            return i;
    }
    fail_msg("no line '%s'", start);
    return 0;
}

static struct slice value(struct host *host, size_t line, size_t column)
{
    return row_sink_memory_value(row_sink_memory_line(&host->memory, line), column);
}

static int64_t time_us(struct host *host, size_t line, size_t column)
{
    return (int64_t)line_parse_time(value(host, line, column));
}

static uint64_t line_id(struct host *host, size_t line)
{
    char text[96] = "";
    struct slice bytes = row_sink_memory_line(&host->memory, line);
    memcpy(text, bytes.data, bytes.length < 95 ? bytes.length : 95);
    char *rest = text;
    strsep(&rest, "\t");
    strsep(&rest, "\t");
    return strtoull(rest, NULL, 10);
}

/* The insert line of a process. */
static size_t row_of(struct host *host, uint32_t pid)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", pid);
    for (size_t i = 0;; i++) {
        i = find_line(host, "insert\tprocess\t", i);
        if (slice_is(value(host, i, PROCESS_PID), text))
            return i;
    }
}

/* When the process ended, in whichever line it stands. */
static int64_t end_us(struct host *host, uint32_t pid)
{
    size_t row = row_of(host, pid);
    if (!slice_is(value(host, row, PROCESS_DESTROYED_AT), "\\N"))
        return time_us(host, row, PROCESS_DESTROYED_AT);
    char start[64];
    snprintf(start, sizeof(start), "end\tprocess\t%" PRIu64 "\t", line_id(host, row));
    return time_us(host, find_line(host, start, row), 0);
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Every inserted row has an id of its own, from @p from_us on, and no end is before its beginning.
 */
static void assert_sound(struct host *host, int64_t from_us)
{
    uint64_t ids[256];
    size_t n = 0;
    for (size_t i = 0; i < host->memory.n_lines; i++) {
        struct slice line = row_sink_memory_line(&host->memory, i);
        if (memcmp(line.data, "insert", 6) != 0)
            continue;
        assert_true(n < 256);
        ids[n++] = line_id(host, i);
        assert_true((int64_t)ids[n - 1] >= from_us);
    }
    assert_true(n > 1);
    qsort(ids, n, sizeof(ids[0]), compare_ids);
    for (size_t i = 1; i < n; i++)
        assert_true(ids[i - 1] < ids[i]);
}

static void assert_life(struct host *host, uint32_t pid, const char *argument)
{
    size_t row = row_of(host, pid);
    assert_true(slice_is(value(host, row, PROCESS_ARGUMENTS), argument));
    assert_true(end_us(host, pid) >= time_us(host, row, PROCESS_CREATED_AT));
}

static size_t n_steps(struct host *host)
{
    size_t n = 0;
    for (size_t i = 0; i < host->memory.n_lines; i++)
        n += !memcmp(row_sink_memory_line(&host->memory, i).data, "insert\tgap\t", 11) &&
             slice_is(value(host, i, GAP_CAUSE), "clock_step");
    return n;
}

static void assert_step(struct host *host, size_t from, const char *detail)
{
    size_t gap = find_line(host, "insert\tgap\t", from);
    assert_true(slice_is(value(host, gap, GAP_SOURCE), "clock"));
    assert_true(slice_is(value(host, gap, GAP_CAUSE), "clock_step"));
    assert_true(slice_is(value(host, gap, GAP_COUNT), "\\N"));
    assert_true(slice_is(value(host, gap, GAP_DETAIL), detail));
}

/* -- Lives -- */

static int64_t begin(struct host *host, uint32_t pid)
{
    kernel_fork(&host->kernel, 1, pid, pid);
    kernel_exec(&host->kernel, pid);
    return kernel_stamp_ms(&host->kernel);
}

static void live(struct host *host, uint32_t pid)
{
    int64_t stamp = begin(host, pid);
    host->kernel.boot_ns += 1 * MS;
    kernel_end(&host->kernel, pid, "true", 1, 0);
    kernel_audit_exec(&host->kernel, pid, stamp, "true", "short");
    turn(host, 10);
}

/* One lives over the step; the record of another is stamped before it and read after it; a third
 * begins behind it. */
static void lives_over_a_step(struct host *host, int64_t by_ns)
{
    live(host, 100);
    int64_t stamp = begin(host, 101);
    turn(host, 5);
    kernel_audit_exec(&host->kernel, 101, stamp, "true", "living");
    turn(host, 300);
    stamp = begin(host, 102);
    step(host, by_ns);
    turn(host, 15);
    kernel_audit_exec(&host->kernel, 102, stamp, "true", "across");
    kernel_end(&host->kernel, 102, "true", 15, 0);
    turn(host, 15);
    live(host, 103);
    kernel_end(&host->kernel, 101, "true", 350, 0);
    turn(host, 300);
    assert_life(host, 100, "short");
    assert_life(host, 101, "living");
    assert_life(host, 102, "across");
    assert_life(host, 103, "short");
    assert_int_equal(counter_get(&host->counters, COUNTER_AUDIT_UNJOINED), 0);
}

static int64_t begun_us(struct host *host, uint32_t pid)
{
    return time_us(host, row_of(host, pid), PROCESS_CREATED_AT);
}

/* It is not followed: rows tell the time of before, on and on. */
static void assert_time_goes_on(struct host *host)
{
    int64_t between = begun_us(host, 103) - begun_us(host, 100);
    assert_in_range(between, 340000, 350000);
    assert_in_range(end_us(host, 101) - begun_us(host, 101), 340000, 370000);
}

static void test_two_hours_back(void **state)
{
    struct host *host = *state;
    lives_over_a_step(host, -2 * HOUR_NS);
    assert_time_goes_on(host);
    assert_step(host, 0, "the wall clock stepped by -7200 s and was not followed");
    assert_int_equal(n_steps(host), 1);
    assert_sound(host, real_start / 1000);
}

static void test_a_year_ahead(void **state)
{
    struct host *host = *state;
    lives_over_a_step(host, 365 * 24 * HOUR_NS);
    assert_time_goes_on(host);
    assert_step(host, 0, "the wall clock stepped by 31536000 s and was not followed");
    assert_sound(host, real_start / 1000);
    /* It is set right again. */
    step(host, -365 * 24 * HOUR_NS);
    live(host, 200);
    assert_life(host, 200, "short");
    assert_int_equal(n_steps(host), 1);
}

/* What the server's clock was before the step is no word about it. */
static void test_a_step_after_the_servers_clock_was_read(void **state)
{
    struct host *host = *state;
    tracker_server_time(host->tracker, host->kernel.wall_ns);
    lives_over_a_step(host, 365 * 24 * HOUR_NS);
    assert_time_goes_on(host);
    assert_step(host, 0, "the wall clock stepped by 31536000 s and was not followed");
    assert_int_equal(n_steps(host), 1);
    assert_sound(host, real_start / 1000);
}

/* Small steps are followed by nobody, and are no event; records still find their rows. */
static void test_a_second_back_and_forth(void **state)
{
    struct host *host = *state;
    lives_over_a_step(host, -1000000000);
    assert_time_goes_on(host);
    step(host, 1000000000);
    live(host, 200);
    assert_life(host, 200, "short");
    assert_int_equal(n_steps(host), 0);
    assert_sound(host, real_start / 1000);
}

/* The clock of the server says that the step was right. */
static void test_a_step_that_the_server_confirms(void **state)
{
    struct host *host = *state;
    int64_t stamp = begin(host, 99);
    turn(host, 5);
    kernel_audit_exec(&host->kernel, 99, stamp, "true", "oldest");
    turn(host, 300);
    lives_over_a_step(host, -2 * HOUR_NS);
    size_t before = host->memory.n_lines;
    tracker_server_time(host->tracker, host->kernel.wall_ns);
    turn(host, 15);
    assert_step(host, before, "the wall clock stepped by -7200 s and was followed");
    live(host, 200);
    int64_t back = begun_us(host, 103) - begun_us(host, 200);
    assert_in_range(back, 7190000000, 7200000000);
    kernel_end(&host->kernel, 99, "true", 1000, 0);
    turn(host, 300);
    assert_life(host, 99, "oldest"); /* it did not end before it began */
    assert_life(host, 200, "short");
    assert_sound(host, real_start / 1000 - 7200000000);
    assert_int_equal(n_steps(host), 2);
}

static void test_start_in_1970(void **state)
{
    struct host *host = host_new(5 * INT64_C(1000000000));
    *state = host;
    lives_over_a_step(host, real_start);
    assert_true(begun_us(host, 100) >= earliest_us);
    assert_time_goes_on(host);
    assert_sound(host, earliest_us);
    assert_step(host, 0, "the wall clock stepped by -1767225595 s and was not followed");
    size_t before = host->memory.n_lines;
    tracker_server_time(host->tracker, host->kernel.wall_ns);
    turn(host, 15);
    assert_step(host, before, "the wall clock stepped by 12774405 s and was followed");
    live(host, 200);
    assert_true(begun_us(host, 200) >= real_start / 1000);
    assert_sound(host, earliest_us);
}

/* A bound of memory is no reason to lose a word about it. */
static void test_arguments_over_the_bound_are_a_gap(void **state)
{
    struct host *host = *state;
    static char quotes[400000];
    memset(quotes, '\'', sizeof(quotes) - 1);
    memcpy(quotes, "sh", 3);
    struct fact_proc_process process =
        kernel_process(300, 1, host->kernel.boot_ns - 1000 * MS, "sh", "/bin/sh");
    kernel_entry(&host->kernel, &process, slice_of(quotes, sizeof(quotes)));
    turn(host, 300);
    turn(host, 1100);
    size_t gap = find_line(host, "insert\tgap\t", 0);
    assert_true(slice_is(value(host, gap, GAP_SOURCE), "agent"));
    assert_true(slice_is(value(host, gap, GAP_CAUSE), "arguments_dropped"));
    assert_true(slice_is(value(host, gap, GAP_UNIT), "record"));
    assert_true(slice_is(value(host, gap, GAP_COUNT), "1"));
    assert_true(slice_is(value(host, row_of(host, 300), PROCESS_ARGUMENTS), "\\N"));
    assert_true(slice_is(value(host, row_of(host, 300), PROCESS_ARGV0), "sh"));
}

/* Each ten seconds or so; each second when the journal asks for it, because it is full. */
static void test_checkpoints(void **state)
{
    struct host *host = *state;
    assert_int_equal(host->n_checkpoints, 1);
    turn(host, 5000);
    assert_int_equal(host->n_checkpoints, 1);
    host->checkpoint_due = true;
    turn(host, 20);
    assert_int_equal(host->n_checkpoints, 2);
    turn(host, 900);
    assert_int_equal(host->n_checkpoints, 2);
    turn(host, 200);
    assert_int_equal(host->n_checkpoints, 3);
    host->checkpoint_due = false;
    turn(host, 2000);
    assert_int_equal(host->n_checkpoints, 3);
    turn(host, 10000);
    assert_int_equal(host->n_checkpoints, 4);
}

/* Messages are lost all the time: a sync waits for what was lost before it. */
static void test_sync_in_a_storm_of_losses(void **state)
{
    struct host *host = *state;
    const uint64_t token = 7;
    for (unsigned i = 0; i < 550; i++) {
        if (i == 400)
            kernel_add(&host->kernel, SOURCE_AGENT, MESSAGE_MARK, &token, sizeof(token));
        kernel_overrun(&host->kernel, SOURCE_INOTIFY);
        turn(host, 20);
    }
    assert_int_equal(host->synced, token);
    size_t first = find_line(host, "insert\tgap\t", 0);
    (void)find_line(host, "insert\tgap\t", first + 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_two_hours_back),
        TEST(test_a_year_ahead),
        TEST(test_a_step_after_the_servers_clock_was_read),
        TEST(test_a_second_back_and_forth),
        TEST(test_a_step_that_the_server_confirms),
        cmocka_unit_test_teardown(test_start_in_1970, teardown),
        TEST(test_arguments_over_the_bound_are_a_gap),
        TEST(test_checkpoints),
        TEST(test_sync_in_a_storm_of_losses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
