// links: vestige_tracker
/* Clocks that step, start in 1970 or run a year ahead; ids that never repeat. */
#include "recorder/lifecycle/timeline.h"
#include "recorder/tracker/cursors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

static const int64_t wall = INT64_C(1780000000) * SECOND;
static const uint64_t boot = UINT64_C(1000) * 1000000000;

static void test_ids_increase_and_are_times(void **state)
{
    (void)state;
    struct timeline t;
    assert_int_equal(timeline_init(&t, boot, wall, 0, INT64_MIN), TIMELINE_STEADY);
    uint64_t first = timeline_id(&t), second = timeline_id(&t);
    assert_int_equal(first, wall / 1000);
    assert_int_equal(second, first + 1);
    assert_int_equal(timeline_tick(&t, boot + 1000000, wall + 1000000, INT64_MIN), TIMELINE_STEADY);
    assert_int_equal(timeline_id(&t), wall / 1000 + 1000);
}

static void test_restart_goes_on_behind_the_last_id(void **state)
{
    (void)state;
    struct timeline t;
    uint64_t last = (uint64_t)(wall / 1000) + 5000000;
    assert_int_equal(timeline_init(&t, boot, wall, last, wall - (int64_t)boot), TIMELINE_STEADY);
    assert_int_equal(timeline_id(&t), last + 1);
}

static void test_a_step_waits_for_the_server(void **state)
{
    (void)state;
    struct timeline t;
    int64_t ahead = wall + 365 * 86400 * SECOND;
    timeline_init(&t, boot, wall, 0, INT64_MIN);
    uint64_t before = timeline_real_us(&t, boot);
    assert_int_equal(timeline_tick(&t, boot, ahead, INT64_MIN), TIMELINE_STEP_SEEN);
    assert_int_equal(timeline_tick(&t, boot, ahead, INT64_MIN), TIMELINE_STEADY);
    assert_int_equal(timeline_real_us(&t, boot), before);
    /* The server says that the wall clock is wrong. */
    assert_int_equal(timeline_tick(&t, boot, ahead, wall - ahead), TIMELINE_STEADY);
    assert_int_equal(timeline_real_us(&t, boot), before);
    /* The server agrees with it. */
    assert_int_equal(timeline_tick(&t, boot, ahead, 3 * SECOND), TIMELINE_STEP_TAKEN);
    assert_int_equal(timeline_real_us(&t, boot), ahead / 1000);
    assert_int_equal(timeline_tick(&t, boot, ahead, 3 * SECOND), TIMELINE_STEADY);
}

static void test_1970_goes_on_from_the_last_id(void **state)
{
    (void)state;
    struct timeline t;
    uint64_t last = (uint64_t)wall / 1000;
    assert_int_equal(timeline_init(&t, boot, 5 * SECOND, last, INT64_MIN), TIMELINE_STEP_SEEN);
    assert_int_equal(timeline_real_us(&t, boot), last);
    assert_int_equal(timeline_id(&t), last + 1);
    assert_int_equal(timeline_init(&t, boot, 5 * SECOND, 0, INT64_MIN), TIMELINE_STEP_SEEN);
    assert_true(timeline_real_us(&t, boot) >= UINT64_C(1767225600000000));
}

static void expect_moment(const struct timeline *t, int64_t real_ns, uint64_t heard_ns,
                          uint64_t boot_ns, uint64_t other_ns)
{
    struct timeline_moment moment = timeline_moment(t, real_ns, heard_ns);
    assert_int_equal(moment.boot_ns, boot_ns);
    assert_int_equal(moment.other_ns, other_ns);
}

static void test_moments_around_a_jump(void **state)
{
    (void)state;
    const uint64_t second = (uint64_t)SECOND;
    struct timeline t;
    timeline_init(&t, boot, wall, 0, INT64_MIN);
    expect_moment(&t, wall - SECOND, boot, boot - second, boot - second);
    expect_moment(&t, wall + SECOND, boot, boot, boot + second); /* not in the future */
    expect_moment(&t, INT64_MIN, boot, 0, 0);
    expect_moment(&t, INT64_MAX, boot, boot, (uint64_t)(INT64_MAX - (wall - (int64_t)boot)));
    /* An hour back: what was stamped before it would be of the future. */
    uint64_t now = boot + second;
    timeline_tick(&t, now, wall + SECOND - 3600 * SECOND, INT64_MIN);
    expect_moment(&t, wall, now, boot, boot + 3600 * second);
    expect_moment(&t, wall + SECOND - 3600 * SECOND, now, now, 0);
    /* Slowly made up for: no jump. */
    timeline_tick(&t, now + second, wall + 2 * SECOND - 3600 * SECOND + 1000000, INT64_MIN);
    expect_moment(&t, wall, now, boot, boot + 3600 * second - 1000000);
    /* After a minute nothing comes from before. */
    now += 60 * second;
    timeline_tick(&t, now, wall + 61 * SECOND - 3600 * SECOND, INT64_MIN);
    expect_moment(&t, wall, now, now, boot + 3600 * second);
}

/* Two calls in one tick of the clock that stamps, heard of in two gulps. */
static void expect_stamp(struct timeline *t, int64_t real_ns, uint64_t heard_ns, uint64_t boot_ns,
                         uint64_t other_ns)
{
    struct timeline_moment moment = timeline_stamp(t, real_ns, heard_ns);
    assert_int_equal(moment.boot_ns, boot_ns);
    assert_int_equal(moment.other_ns, other_ns);
}

static void test_stamps_keep_their_order(void **state)
{
    (void)state;
    const uint64_t ms = 1000000;
    struct timeline t;
    timeline_init(&t, boot, wall, 0, INT64_MIN);
    /* Clocks that are read one after the other are never quite as far apart as before. */
    expect_stamp(&t, wall, boot, boot, boot);
    timeline_tick(&t, boot + ms, wall + (int64_t)ms + 400000, INT64_MIN);
    expect_moment(&t, wall - SECOND, boot + ms, boot - (uint64_t)SECOND, boot - (uint64_t)SECOND);
    expect_stamp(&t, wall, boot + ms, boot, boot);
    /* The wall clock is corrected: the same stamp and a later one are not before the first. */
    timeline_tick(&t, boot + 2 * ms, wall + 3 * (int64_t)ms + 500000, INT64_MIN);
    expect_stamp(&t, wall, boot + 2 * ms, boot, boot);
    expect_stamp(&t, wall + (int64_t)ms, boot + 2 * ms, boot, boot);
    expect_stamp(&t, wall + 2 * (int64_t)ms, boot + 2 * ms, boot + ms / 2, boot + ms / 2);
    /* One that is earlier is. */
    expect_stamp(&t, wall, boot + 2 * ms, boot - ms - 500000, boot - ms - 500000);
}

static void test_cursors_survive_as_text(void **state)
{
    (void)state;
    struct cursors in = {
        .boot_id = "00000000-1111-2222-3333-444444444444",
        .offset_ns = -5,
        .last_id = 1780000000000000,
        .at_ns = 7,
        .unheard_since_ns = 5,
        .processes = {.forks = 11, .unstored = 13, .threads = 17, .unstored_threads = 19},
        .audit_serial = 4294967295U,
        .clean = true,
        .known = true
    };
    struct cursors out;
    struct buffer text = BUFFER_NULL;
    cursors_append(&text, &in);
    buffer_append_byte(&text, '\0');
    cursors_parse(&out, (const char *)text.data);
    assert_string_equal(in.boot_id, out.boot_id);
    assert_int_equal(in.offset_ns, out.offset_ns);
    assert_int_equal(in.last_id, out.last_id);
    assert_int_equal(in.at_ns, out.at_ns);
    assert_int_equal(in.unheard_since_ns, out.unheard_since_ns);
    assert_memory_equal(&in.processes, &out.processes, sizeof(in.processes));
    assert_int_equal(in.audit_serial, out.audit_serial);
    assert_true(out.clean && out.known);
    buffer_deinit(&text);
    cursors_parse(&out, "");
    assert_false(out.known);
    cursors_parse(&out, "boot=x future=9 forks=12 =");
    assert_int_equal(out.processes.forks, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_increase_and_are_times),
        cmocka_unit_test(test_restart_goes_on_behind_the_last_id),
        cmocka_unit_test(test_a_step_waits_for_the_server),
        cmocka_unit_test(test_1970_goes_on_from_the_last_id),
        cmocka_unit_test(test_moments_around_a_jump),
        cmocka_unit_test(test_stamps_keep_their_order),
        cmocka_unit_test(test_cursors_survive_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
