// links: vestige_tracker
/* Records of wtmp and announcements in, rows of boot out, without a kernel.
 *
 * What is expected is written as one line a row: "+1 seconds boot_id kernel command_line" for an
 * insert, "-1 seconds clean" for an end; rows are numbered in the order in which they are first
 * written, seconds are those since real_start, "-" is NULL. */
#include "recorder/kernel_events/time_records.h"
#include "recorder/row/row_sink_memory.h"
#include "recorder/sessions/boots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utmp.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000000)
#define OWN    "00000000-0000-0000-0000-000000000001"
#define OTHER  "00000000-0000-0000-0000-000000000002"

enum { ROWS_MOST = 128, UPTIME_S = 5000, DAY_S = 86400 };

struct world {
    struct row_sink_memory memory;
    struct counters counters;
    struct timeline timeline;
    struct row_output output;
    struct findings *findings;
    struct boots *boots;
    size_t n_seen; /* lines that were looked at */
    uint64_t ids[ROWS_MOST];
    size_t n_ids;
};

/* When the boot at hand began. */
static const int64_t real_start = INT64_C(1780000000);
static const char *const own_values[BOOT_VALUES] = {OWN, "6.1", "quiet"};

static void open_boots(struct world *w, bool utmp_active)
{
    const struct boots_options options = {
        .output = &w->output, .findings = w->findings, .utmp_active = utmp_active};
    boots_free(w->boots);
    assert_int_equal(boots_new(&w->boots, &options), 0);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    timeline_init(&w->timeline, UPTIME_S * SECOND, (real_start + UPTIME_S) * (int64_t)SECOND, 0,
                  INT64_MIN);
    w->output = (struct row_output){.sink = row_sink_memory(&w->memory),
                                    .timeline = &w->timeline,
                                    .counters = &w->counters,
                                    .boot_id = OWN};
    assert_int_equal(
        findings_new(&w->findings, &(struct findings_options){.output = &w->output, .most = 16}),
        0);
    open_boots(w, true);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    boots_free(w->boots);
    findings_free(w->findings);
    line_deinit(&w->output.line);
    row_sink_memory_deinit(&w->memory);
    free(w);
    return 0;
}

/* -- what goes in -- */

static uint64_t at_us(int64_t seconds)
{
    return (uint64_t)(real_start + seconds) * 1000000;
}

static void record(struct world *w, short type, const char *user, int64_t seconds)
{
    struct fact fact = {
        .kind = FACT_LOGIN_RECORD,
        .source = SOURCE_UTMP,
        .boot_ns = w->timeline.now_boot_ns,
        .login_record = {.file = LOGIN_FILE_WTMP,
                         .old = true,
                         .type = (uint16_t)type,
                         .line = slice_text("~"),
                         .user = slice_text(user),
                         .host = slice_text("5.10"),
                         .real_us = (int64_t)at_us(seconds)}
    };
    boots_fact(w->boots, &fact);
}

static void boot_record(struct world *w, int64_t seconds)
{
    record(w, BOOT_TIME, "reboot", seconds);
}

static void shutdown_record(struct world *w, int64_t seconds)
{
    record(w, RUN_LVL, "shutdown", seconds);
}

static void login_record(struct world *w, int64_t seconds)
{
    record(w, USER_PROCESS, "anna", seconds);
}

static void log_event(struct world *w, enum login_log_event event)
{
    struct fact fact = {
        .kind = FACT_LOGIN_LOG,
        .source = SOURCE_UTMP,
        .login_log = {.event = event, .file = LOGIN_FILE_WTMP}
    };
    boots_fact(w->boots, &fact);
}

/* A row of an earlier run that is open. */
static void restore(struct world *w, uint64_t id, const char *boot_id, const char *created)
{
    const struct slice values[] = {
        slice_text(created), slice_text("agent"), boot_id ? slice_text(boot_id) : SLICE_NULL,
        slice_text("6.0"),   SLICE_NULL,          SLICE_NULL,
        SLICE_NULL,          SLICE_NULL};
    boots_restore(w->boots, VERB_INSERT, id, values, sizeof(values) / sizeof(values[0]));
}

/* -- what came out -- */

static size_t number_of(struct world *w, uint64_t id)
{
    for (size_t i = 0; i < w->n_ids; i++)
        if (w->ids[i] == id)
            return i + 1;
    assert_true(w->n_ids < ROWS_MOST);
    w->ids[w->n_ids++] = id;
    return w->n_ids;
}

static void append_value(struct buffer *text, struct slice line, size_t column)
{
    struct slice value = row_sink_memory_value(line, column);
    buffer_append_byte(text, ' ');
    if (slice_is(value, "\\N"))
        buffer_append_byte(text, '-');
    else
        buffer_append_slice(text, value);
}

static void append_seconds(struct buffer *text, struct slice line)
{
    uint64_t us = line_parse_time(row_sink_memory_value(line, 0));
    buffer_printf(text, " %ld", (long)(us / 1000000) - (long)real_start);
}

static void append_finding(struct buffer *text, struct slice line)
{
    buffer_append_text(text, "finding");
    append_value(text, line, 2);
    append_value(text, line, 3);
}

static void append_line(struct world *w, struct buffer *text, struct slice line)
{
    char verb[16], table[32], copy[96] = "";
    uint64_t id;
    memcpy(copy, line.data, line.length < sizeof(copy) ? line.length : sizeof(copy) - 1);
    assert_int_equal(sscanf(copy, "%15s %31s %lu", verb, table, &id), 3);
    if (!strcmp(table, "finding")) {
        append_finding(text, line);
    } else if (!strcmp(verb, "end")) {
        buffer_printf(text, "-%zu", number_of(w, id));
        assert_true(slice_is(row_sink_memory_value(line, 1), "reboot"));
        append_seconds(text, line);
        append_value(text, line, 2);
    } else {
        buffer_printf(text, "+%zu", number_of(w, id));
        append_seconds(text, line);
        for (size_t i = 2; i < 5; i++)
            append_value(text, line, i);
        bool told = slice_is(row_sink_memory_value(line, 2), "\\N");
        assert_true(slice_is(row_sink_memory_value(line, 1), told ? "utmp" : "agent"));
    }
    buffer_append_byte(text, '\n');
}

/* The lines since the last call are these. */
static void expect(struct world *w, const char *expected)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    while (w->n_seen < w->memory.n_lines)
        append_line(w, &text, row_sink_memory_line(&w->memory, w->n_seen++));
    buffer_append_byte(&text, '\0');
    assert_string_equal((const char *)text.data, expected);
}

#define OWN_1 "+1 0 " OWN " 6.1 quiet\n"

/* -- the boot at hand -- */

static void test_own(void **state)
{
    struct world *w = *state;
    boots_restored(w->boots, 0, 0, false);
    boots_begin(w->boots, own_values);
    expect(w, OWN_1);
    log_event(w, LOGIN_LOG_CAUGHT_UP);
    boots_tick(w->boots);
    expect(w, "");
    boots_checkpoint(w->boots);
    expect(w, OWN_1);
}

static void test_own_again(void **state)
{
    struct world *w = *state;
    restore(w, 7, OWN, "2026-05-28 20:26:40.000000");
    boots_restored(w->boots, at_us(4000), 0, true);
    boots_begin(w->boots, own_values);
    log_event(w, LOGIN_LOG_CAUGHT_UP);
    expect(w, "");
}

/* -- what wtmp tells of the time before -- */

static void test_history(void **state)
{
    struct world *w = *state;
    boots_restored(w->boots, 0, 0, false);
    boots_begin(w->boots, own_values);
    expect(w, OWN_1);
    shutdown_record(w, -9 * DAY_S); /* of a boot that began before the file */
    boot_record(w, -8 * DAY_S);
    login_record(w, -8 * DAY_S + 60);
    shutdown_record(w, -7 * DAY_S);
    boot_record(w, -7 * DAY_S + 30);
    login_record(w, -6 * DAY_S);
    boot_record(w, -5 * DAY_S);
    shutdown_record(w, -100);
    boot_record(w, 5);
    login_record(w, 400);
    log_event(w, LOGIN_LOG_CAUGHT_UP);
    expect(w, "+2 -691200 - 5.10 -\n-2 -604800 1\n"
              "+3 -604770 - 5.10 -\n-3 -518400 0\n"
              "+4 -432000 - 5.10 -\n-4 -100 1\n");
}

/* The host writes no record of its own boot. */
static void test_history_without_own(void **state)
{
    struct world *w = *state;
    boots_restored(w->boots, 0, 0, false);
    boots_begin(w->boots, own_values);
    expect(w, OWN_1);
    boot_record(w, -DAY_S);
    login_record(w, -DAY_S + 60);
    login_record(w, 100);
    expect(w, "+2 -86400 - 5.10 -\n");
    log_event(w, LOGIN_LOG_CAUGHT_UP);
    expect(w, "-2 -86340 0\n");
}

/* A host that lived on did not go down. */
static void test_cancelled_shutdown(void **state)
{
    struct world *w = *state;
    boots_restored(w->boots, 0, 0, false);
    boots_begin(w->boots, own_values);
    expect(w, OWN_1);
    boot_record(w, -DAY_S);
    shutdown_record(w, -DAY_S + 1000);
    login_record(w, -DAY_S + 1000 + BOOT_SLACK_S + 1);
    boot_record(w, 0);
    expect(w, "+2 -86400 - 5.10 -\n-2 -84799 0\n");
}

/* -- what was recorded -- */

static void restore_other(struct world *w, uint64_t shutdown_us, bool wtmp_known)
{
    restore(w, 7, OTHER, "2026-05-27 20:26:40.000000"); /* a day before */
    w->ids[w->n_ids++] = 7;
    boots_restored(w->boots, at_us(-1000), shutdown_us, wtmp_known);
    boots_begin(w->boots, own_values);
    expect(w, "+2 0 " OWN " 6.1 quiet\n");
}

static void test_shutdown_in_wtmp(void **state)
{
    struct world *w = *state;
    restore_other(w, 0, true);
    shutdown_record(w, -990);
    boot_record(w, 3);
    expect(w, "-1 -990 1\n");
    log_event(w, LOGIN_LOG_CAUGHT_UP);
    expect(w, "");
}

static void test_crash(void **state)
{
    struct world *w = *state;
    restore_other(w, 0, true);
    login_record(w, -1200);
    boot_record(w, 3);
    log_event(w, LOGIN_LOG_CAUGHT_UP);
    expect(w, "-1 -1000 0\n");
}

/* Between the two there was a boot without an agent. */
static void test_unrecorded_boot(void **state)
{
    struct world *w = *state;
    restore_other(w, 0, true);
    boot_record(w, -900);
    shutdown_record(w, -700);
    log_event(w, LOGIN_LOG_CAUGHT_UP);
    expect(w, "-1 -1000 0\n+3 -900 - 5.10 -\n-3 -700 1\n");
}

/* Its own record of the boot comes late, when the agent did not read wtmp then. */
static void test_own_record_of_a_recorded_boot(void **state)
{
    struct world *w = *state;
    restore_other(w, 0, false);
    boot_record(w, -DAY_S + 7);
    shutdown_record(w, -999);
    boot_record(w, 2);
    expect(w, "-1 -999 1\n");
}

static void test_no_wtmp(void **state)
{
    struct world *w = *state;
    restore_other(w, 0, false);
    log_event(w, LOGIN_LOG_CAUGHT_UP);
    expect(w, "-1 -1000 -\n");
}

static void test_utmp_is_off(void **state)
{
    struct world *w = *state;
    open_boots(w, false);
    restore(w, 7, OTHER, "2026-05-27 20:26:40.000000");
    w->ids[w->n_ids++] = 7;
    boots_restored(w->boots, at_us(-1000), 0, false);
    boots_begin(w->boots, own_values);
    expect(w, "+2 0 " OWN " 6.1 quiet\n-1 -1000 -\n");
}

static void test_utmp_fails(void **state)
{
    struct world *w = *state;
    restore_other(w, 0, false);
    boots_unheard(w->boots);
    expect(w, "-1 -1000 -\n");
}

/* What was cut off may have held the announcement. */
static void test_wtmp_shrank(void **state)
{
    struct world *w = *state;
    restore_other(w, 0, true);
    log_event(w, LOGIN_LOG_SHRANK);
    log_event(w, LOGIN_LOG_CAUGHT_UP);
    expect(w, "-1 -1000 -\n");
}

/* What audit said before the agent was stopped counts without wtmp. */
static void test_announced_by_audit(void **state)
{
    struct world *w = *state;
    struct fact fact = {
        .kind = FACT_AUDIT_USER,
        .source = SOURCE_AUDIT,
        .boot_ns = 4000 * SECOND,
        .audit_user = {.event = AUDIT_USER_SHUTDOWN, .success = true}
    };
    boots_restored(w->boots, 0, 0, false);
    boots_begin(w->boots, own_values);
    assert_int_equal(boots_shutdown_us(w->boots), 0);
    boots_fact(w->boots, &fact);
    assert_int_equal(boots_shutdown_us(w->boots), at_us(4000));
    open_boots(w, true);
    w->n_seen = w->memory.n_lines;
    restore_other(w, at_us(-995), false);
    log_event(w, LOGIN_LOG_CAUGHT_UP);
    expect(w, "-1 -995 1\n");
}

/* -- findings -- */

static void test_time_backwards(void **state)
{
    struct world *w = *state;
    restore(w, 7, OTHER, "2026-05-27 20:26:40.000000");
    w->ids[w->n_ids++] = 7;
    boots_restored(w->boots, at_us(61), 0, true);
    boots_begin(w->boots, own_values);
    expect(w, "finding boot_time_backwards boot\n+2 0 " OWN " 6.1 quiet\n");
    login_record(w, -700);
    boot_record(w, -761);
    expect(w, "finding boot_time_backwards wtmp\n-1 61 0\n+3 -761 - 5.10 -\n");
    boot_record(w, -800); /* the same boot, for all that is known, and not long ago */
    boot_record(w, 60);
    boot_record(w, -900);
    expect(w, "-3 -761 0\nfinding boot_time_backwards wtmp\n");
}

static void test_boot_that_was_not(void **state)
{
    struct world *w = *state;
    boots_restored(w->boots, 0, 0, false);
    boots_begin(w->boots, own_values);
    expect(w, OWN_1);
    boot_record(w, BOOT_SLACK_S);
    expect(w, "");
    boot_record(w, BOOT_SLACK_S + 1);
    expect(w, "finding boot_record_without_boot wtmp\n");
}

/* -- the clock that is set -- */

static void set_clock(struct world *w, struct time_records *records, short type, int64_t real_us)
{
    struct fact fact = {
        .kind = FACT_LOGIN_RECORD,
        .source = SOURCE_UTMP,
        .boot_ns = w->timeline.now_boot_ns,
        .login_record = {.file = LOGIN_FILE_WTMP, .type = (uint16_t)type, .real_us = real_us}
    };
    time_records_fact(records, &fact);
}

static void test_clock_is_set(void **state)
{
    struct world *w = *state;
    struct time_records records = {.output = &w->output};
    int64_t old = (int64_t)at_us(100);
    set_clock(w, &records, NEW_TIME, old);
    set_clock(w, &records, OLD_TIME, old);
    set_clock(w, &records, USER_PROCESS, old);
    assert_int_equal(w->memory.n_lines, 0);
    set_clock(w, &records, NEW_TIME, old - 3661000001);
    set_clock(w, &records, NEW_TIME, old);
    set_clock(w, &records, OLD_TIME, -1);
    set_clock(w, &records, NEW_TIME, old);
    set_clock(w, &records, OLD_TIME, INT64_MAX);
    set_clock(w, &records, NEW_TIME, old);
    assert_int_equal(w->memory.n_lines, 1);
    struct slice line = row_sink_memory_line(&w->memory, 0);
    assert_true(slice_is(row_sink_memory_value(line, 0), "2026-05-28 19:27:18.999999"));
    assert_true(slice_is(row_sink_memory_value(line, 1), "utmp"));
    assert_true(slice_is(row_sink_memory_value(line, 9), "clock_step"));
    assert_true(slice_is(row_sink_memory_value(line, 10), "-3661.000001 s"));
}

/* -- a sink that is full -- */

static void test_full_sink(void **state)
{
    struct world *w = *state;
    boots_restored(w->boots, 0, 0, false);
    w->memory.refuse = -ENOSPC;
    boots_begin(w->boots, own_values);
    boot_record(w, -DAY_S);
    shutdown_record(w, -50);
    boot_record(w, 0);
    expect(w, "");
    w->memory.refuse = 0;
    boots_tick(w->boots);
    boots_tick(w->boots);
    assert_int_equal(w->memory.n_lines, 3);
    boots_tick(w->boots);
    assert_int_equal(w->memory.n_lines, 3);
}

/* More boots than there is room for, while nothing can be written: counted. */
static void test_too_many(void **state)
{
    struct world *w = *state;
    boots_restored(w->boots, 0, 0, false);
    w->memory.refuse = -ENOSPC;
    boots_begin(w->boots, own_values);
    for (int i = 0; i < 97; i++)
        boot_record(w, -100 * DAY_S + i * DAY_S);
    assert_int_equal(boots_take_beyond(w->boots), 97 - 63);
    assert_int_equal(boots_take_beyond(w->boots), 0);
    w->memory.refuse = 0;
    log_event(w, LOGIN_LOG_CAUGHT_UP);
    boots_tick(w->boots);
    assert_int_equal(w->memory.n_lines, 1 + 2 * 63);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_history, setup, teardown),
        cmocka_unit_test_setup_teardown(test_history_without_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancelled_shutdown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shutdown_in_wtmp, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unrecorded_boot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_record_of_a_recorded_boot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_wtmp, setup, teardown),
        cmocka_unit_test_setup_teardown(test_utmp_is_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_utmp_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wtmp_shrank, setup, teardown),
        cmocka_unit_test_setup_teardown(test_announced_by_audit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time_backwards, setup, teardown),
        cmocka_unit_test_setup_teardown(test_boot_that_was_not, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clock_is_set, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_sink, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
