// links: vestige_tracker
/* Facts of kernel events in, rows of kernel_event out. What is expected is one line a row: "source
 * process pid application uid login_uid kind target result", "-" is NULL; the process is a letter:
 * a for the first image of the test, b for the second. */
#include "processes_test.h"

#include "recorder/kernel_events/kernel_events.h"

enum { TOOL = 100, OWN = 200, CHILD = 300 };

struct stage {
    struct world *world;
    struct kernel_events *events;
    uint64_t processes[8];
    size_t n_processes, n_seen;
    uint32_t serial;
};

static void add_process(struct world *w, uint32_t pid, uint32_t ppid, const char *comm)
{
    struct fact fact = proc_entry(pid, ppid, ticks_of(w->now - 1000 * MS), comm, "/bin/x");
    give(w, fact);
}

static void after(struct stage *s, uint64_t ms)
{
    tick(s->world, ms);
    kernel_events_clock(s->events, s->world->now, s->world->timeline.wall_ns);
    kernel_events_tick(s->events);
}

static int begin(void **state, bool scanned)
{
    struct stage *s = calloc(1, sizeof(*s));
    s->world = world_new();
    s->world->options.taskstats_active = false;
    s->world->options.own_pid = OWN;
    world_begin(s->world);
    const struct kernel_events_options options = {.output = &s->world->output,
                                                  .names = s->world->names,
                                                  .processes = s->world->processes,
                                                  .active = true,
                                                  .settle_ns = 250 * MS};
    assert_int_equal(kernel_events_new(&s->events, &options), 0);
    *state = s;
    if (!scanned)
        return 0;
    scan(s->world, true);
    add_process(s->world, TOOL, 1, "tool");
    add_process(s->world, OWN, 1, "vestiged");
    add_process(s->world, OWN + 1, OWN, "mariadbd");
    scan(s->world, false);
    after(s, 1000);
    s->n_seen = s->world->memory.n_lines;
    return 0;
}

static int begin_running(void **state)
{
    return begin(state, true);
}

static int begin_unscanned(void **state)
{
    return begin(state, false);
}

static int end(void **state)
{
    struct stage *s = *state;
    void *world = s->world;
    kernel_events_free(s->events);
    teardown(&world);
    free(s);
    return 0;
}

/* Called @p ago_ms ago. */
static struct fact call_fact(struct stage *s, uint32_t pid, const char *comm,
                             enum kernel_event_kind kind, uint64_t ago_ms)
{
    return (struct fact){
        .kind = FACT_KERNEL_EVENT,
        .source = SOURCE_AUDIT,
        .boot_ns = s->world->now,
        .kernel_event = {.serial = ++s->serial,
                         .real_ms = stamp_ms(s->world, s->world->now - ago_ms * MS),
                         .kind = kind,
                         .known = true,
                         .success = true,
                         .pid = pid,
                         .uid = 0,
                         .login_uid = 1000,
                         .comm = slice_text(comm)}
    };
}

static void call(struct stage *s, uint32_t pid, const char *comm, enum kernel_event_kind kind)
{
    struct fact fact = call_fact(s, pid, comm, kind, 0);
    kernel_events_fact(s->events, &fact);
}

static void target(struct stage *s, uint32_t serial, const char *text, bool further)
{
    const struct fact fact = {
        .kind = FACT_KERNEL_TARGET,
        .source = SOURCE_AUDIT,
        .boot_ns = s->world->now,
        .kernel_target = {.serial = serial, .further = further, .target = slice_text(text)}
    };
    kernel_events_fact(s->events, &fact);
}

static char letter_of(struct stage *s, const char *id)
{
    uint64_t number = strtoull(id, NULL, 10);
    if (strcmp(id, "\\N") == 0)
        return '-';
    size_t i = 0;
    while (i < s->n_processes && s->processes[i] != number)
        i++;
    assert_true(i < 8);
    s->processes[i] = number;
    s->n_processes += i == s->n_processes;
    return (char)('a' + i);
}

/* Rows since the last call are these. */
static void expect(struct stage *s, const char *expected)
{
    struct world *w = s->world;
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    const size_t columns[] = {KERNEL_EVENT_PID,       KERNEL_EVENT_APPLICATION, KERNEL_EVENT_UID,
                              KERNEL_EVENT_LOGIN_UID, KERNEL_EVENT_KIND,        KERNEL_EVENT_TARGET,
                              KERNEL_EVENT_RESULT};
    for (; s->n_seen < n_lines(w); s->n_seen++) {
        struct slice line = row_sink_memory_line(&w->memory, s->n_seen);
        if (!memmem(line.data, line.length, "\tkernel_event\t", 14))
            continue;
        expect_line(w, s->n_seen, "insert\tkernel_event\t");
        assert_string_equal(value(w, s->n_seen, KERNEL_EVENT_CREATED_AT),
                            value(w, s->n_seen, KERNEL_EVENT_DESTROYED_AT));
        assert_string_equal(value(w, s->n_seen, KERNEL_EVENT_END_CAUSE), "closed");
        buffer_printf(&text, "%s %c", value(w, s->n_seen, KERNEL_EVENT_SEEN_BY),
                      letter_of(s, value(w, s->n_seen, KERNEL_EVENT_PROCESS_ID)));
        for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
            const char *one = value(w, s->n_seen, columns[i]);
            buffer_printf(&text, " %s", strcmp(one, "\\N") == 0 ? "-" : one);
        }
        buffer_append_byte(&text, '\n');
    }
    buffer_append_byte(&text, '\0');
    assert_string_equal((const char *)text.data, expected);
}

static size_t count_rows(struct stage *s)
{
    size_t n = 0;
    for (; s->n_seen < n_lines(s->world); s->n_seen++) {
        struct slice line = row_sink_memory_line(&s->world->memory, s->n_seen);
        n += memmem(line.data, line.length, "\tkernel_event\t", 14) != NULL;
    }
    return n;
}

static void test_row_waits_for_its_target(void **state)
{
    struct stage *s = *state;
    call(s, TOOL, "tool", KERNEL_MOUNT);
    after(s, 100);
    target(s, s->serial, "/mnt", false);
    after(s, 149);
    expect(s, "");
    assert_false(kernel_events_settled_until(s->events, s->world->now));
    after(s, 1);
    expect(s, "audit a 100 tool 0 1000 mount /mnt success\n");
    assert_true(kernel_events_settled_until(s->events, s->world->now));
    target(s, s->serial, "/late", false); /* nobody waits for it any more */
    after(s, 1000);
    expect(s, "");
}

static void test_targets(void **state)
{
    struct stage *s = *state;
    struct fact fact = call_fact(s, TOOL, "tool", KERNEL_PTRACE, 0);
    fact.kernel_event.target = slice_text("pid 7");
    fact.kernel_event.success = false;
    kernel_events_fact(s->events, &fact);
    target(s, s->serial, "pid 4007 (sleep)", false);
    target(s, 4711, "of no call", false);
    call(s, TOOL, "tool", KERNEL_CLOCK_SET);
    target(s, s->serial, "+1.000000 s", true);
    target(s, s->serial, "freq 0 to 1", true);
    fact = call_fact(s, TOOL, "tool", KERNEL_SETNS, 0);
    fact.kernel_event.known = false;
    fact.kernel_event.login_uid = ID_UNSET;
    kernel_events_fact(s->events, &fact);
    after(s, 250);
    expect(s, "audit a 100 tool 0 1000 ptrace pid 4007 (sleep) failure\n"
              "audit a 100 tool 0 1000 clock_set +1.000000 s; freq 0 to 1 success\n"
              "audit a 100 tool 0 - setns - -\n");
}

/* A call that only read has no record of what it changed. */
static void test_reading_is_no_row(void **state)
{
    struct stage *s = *state;
    struct fact fact = call_fact(s, TOOL, "tool", KERNEL_CLOCK_SET, 0);
    fact.kernel_event.needs_target = true;
    kernel_events_fact(s->events, &fact);
    fact = call_fact(s, TOOL, "tool", KERNEL_CLOCK_SET, 0);
    fact.kernel_event.needs_target = true;
    kernel_events_fact(s->events, &fact);
    target(s, s->serial, "freq 0 to 1", true);
    after(s, 250);
    expect(s, "audit a 100 tool 0 1000 clock_set freq 0 to 1 success\n");
}

static void test_own_is_left_out(void **state)
{
    struct stage *s = *state;
    call(s, OWN, "vestiged", KERNEL_BPF_LOAD);
    call(s, OWN + 1, "mariadbd", KERNEL_IO_URING_SETUP);
    call(s, 4711, "nobody", KERNEL_BPF_LOAD); /* no process that is known */
    after(s, 250);
    expect(s, "audit - 4711 nobody 0 1000 bpf_load - success\n");
}

/* unshare(1) becomes another program within a tick of audit's clock. */
static void test_image_by_its_name(void **state)
{
    struct stage *s = *state;
    struct world *w = s->world;
    fork_process(w, TOOL, CHILD);
    exec_process(w, CHILD);
    audit_exec(w, CHILD, w->now, "x");
    call(s, CHILD, "true", KERNEL_UNSHARE);
    after(s, 300);
    expect(s, "audit a 300 true 0 1000 unshare - success\n");
    struct fact fact = call_fact(s, CHILD, "true", KERNEL_UNSHARE, 0);
    kernel_events_fact(s->events, &fact);
    tick(w, 5);
    exec_process(w, CHILD);
    give(w, (struct fact){
                .kind = FACT_COMM, .comm = {.task = {CHILD, CHILD}, .comm = slice_text("next")}
    });
    fact = call_fact(s, CHILD, "next", KERNEL_SETNS, 5);
    kernel_events_fact(s->events, &fact);
    after(s, 300);
    expect(s, "audit a 300 true 0 1000 unshare - success\n"
              "audit b 300 next 0 1000 setns - success\n");
}

/* Nothing is lost without being counted, whatever one program does. */
static void test_rate(void **state)
{
    struct stage *s = *state;
    const size_t burst = KERNEL_EVENTS_RATE * KERNEL_EVENTS_BURST_S;
    for (size_t i = 0; i < burst + 7; i++)
        call(s, TOOL, "storm", KERNEL_UNSHARE);
    call(s, TOOL, "tool", KERNEL_MOUNT);
    assert_int_equal(kernel_events_take_beyond(s->events), 7);
    assert_int_equal(kernel_events_take_beyond(s->events), 0);
    after(s, 250);
    assert_int_equal(count_rows(s), burst + 1);
    after(s, 750);
    for (size_t i = 0; i < KERNEL_EVENTS_RATE + 1; i++)
        call(s, TOOL, "storm", KERNEL_UNSHARE);
    assert_int_equal(kernel_events_take_beyond(s->events), 1);
    after(s, 250);
    assert_int_equal(count_rows(s), KERNEL_EVENTS_RATE);
}

/* A storm takes nothing from another user's calls, nor from another kind of call. */
static void test_storm_of_another(void **state)
{
    struct stage *s = *state;
    const size_t burst = KERNEL_EVENTS_RATE * KERNEL_EVENTS_BURST_S;
    struct fact storm = call_fact(s, TOOL, "insmod", KERNEL_UNSHARE, 0);
    storm.kernel_event.uid = 1000;
    storm.kernel_event.success = false;
    for (size_t i = 0; i < 2 * burst; i++)
        kernel_events_fact(s->events, &storm);
    assert_int_equal(kernel_events_take_beyond(s->events), burst);
    call(s, TOOL, "insmod", KERNEL_UNSHARE);
    storm.kernel_event.kind = KERNEL_PTRACE;
    kernel_events_fact(s->events, &storm);
    assert_int_equal(kernel_events_take_beyond(s->events), 0);
    after(s, 250);
    assert_int_equal(count_rows(s), burst + 2);
}

/* Whatever names another user's programs have, root's calls are not among what they share. */
static void test_storm_of_all_names(void **state)
{
    struct stage *s = *state;
    char comm[16];
    struct fact storm = call_fact(s, TOOL, "", KERNEL_MOUNT, 0);
    storm.kernel_event.uid = 1000;
    storm.kernel_event.comm = slice_of(comm, 0);
    for (int i = 0; i < 1000; i++) {
        storm.kernel_event.comm.length = (size_t)snprintf(comm, sizeof(comm), "name%d", i);
        for (int j = 0; j < KERNEL_EVENTS_RATE * KERNEL_EVENTS_BURST_S; j++)
            kernel_events_fact(s->events, &storm);
    }
    assert_true(kernel_events_take_beyond(s->events) > 0);
    for (int i = 0; i < 100; i++) {
        snprintf(comm, sizeof(comm), "tool%d", i);
        call(s, TOOL, comm, KERNEL_MOUNT);
    }
    assert_int_equal(kernel_events_take_beyond(s->events), 0);
}

/* What only root can do is never beyond the rate; what was refused is. */
static void test_gravest_are_not_limited(void **state)
{
    struct stage *s = *state;
    const size_t burst = KERNEL_EVENTS_RATE * KERNEL_EVENTS_BURST_S;
    const enum kernel_event_kind kinds[] = {KERNEL_MODULE_LOAD, KERNEL_MODULE_UNLOAD,
                                            KERNEL_KEXEC_LOAD, KERNEL_BPF_LOAD, KERNEL_CLOCK_SET};
    const size_t n_kinds = sizeof(kinds) / sizeof(kinds[0]);
    for (size_t kind = 0; kind < n_kinds; kind++) {
        struct fact refused = call_fact(s, TOOL, "tool", kinds[kind], 0);
        refused.kernel_event.success = false;
        for (size_t i = 0; i < burst + 3; i++)
            kernel_events_fact(s->events, &refused);
        assert_int_equal(kernel_events_take_beyond(s->events), 3);
        for (size_t i = 0; i < burst + 3; i++)
            call(s, TOOL, "tool", kinds[kind]);
        assert_int_equal(kernel_events_take_beyond(s->events), 0);
    }
    kernel_events_flush(s->events);
    assert_int_equal(count_rows(s), n_kinds * (2 * burst + 3));
}

/* Looking at the clock costs nothing, is not lost, and takes no place of those that wait. */
/* It is the only one of which the sender may be the recorder, and its time is exact. */
static void test_signals(void **state)
{
    struct stage *s = *state;
    struct fact fact = call_fact(s, TOOL, "tool", KERNEL_SIGNAL, 0);
    fact.source = SOURCE_BPF;
    fact.kernel_event.real_ms = -1;
    fact.kernel_event.target = slice_text("SIGKILL to vestiged, pid 200");
    kernel_events_fact(s->events, &fact);
    fact.kernel_event.pid = OWN;
    kernel_events_fact(s->events, &fact);
    target(s, fact.kernel_event.serial, "of another call", false);
    after(s, 300);
    expect(s, "bpf a 100 tool 0 1000 signal SIGKILL to vestiged, pid 200 success\n"
              "bpf b 200 tool 0 1000 signal SIGKILL to vestiged, pid 200 success\n");
}

static void test_storm_of_readings(void **state)
{
    struct stage *s = *state;
    const size_t n = 2 * KERNEL_EVENTS_MOST;
    call(s, TOOL, "tool", KERNEL_MOUNT);
    uint32_t mount = s->serial;
    for (size_t i = 0; i < n; i++) {
        struct fact fact = call_fact(s, TOOL, "tool", KERNEL_CLOCK_SET, 0);
        fact.kernel_event.needs_target = true;
        kernel_events_fact(s->events, &fact);
    }
    target(s, s->serial, "freq 0 to 1", true);
    target(s, s->serial, "tick 1 to 2", true);
    target(s, mount, "/mnt", false);
    assert_int_equal(kernel_events_take_beyond(s->events), 0);
    expect(s, "");
    after(s, 250);
    expect(s, "audit a 100 tool 0 1000 mount /mnt success\n"
              "audit a 100 tool 0 1000 clock_set freq 0 to 1; tick 1 to 2 success\n");
}

/* What is cut is seen to be, and nothing is left out for being long. */
static void test_long_target(void **state)
{
    struct stage *s = *state;
    static char text[KERNEL_TARGET_MOST + 100];
    memset(text, 'a', sizeof(text) - 1);
    call(s, TOOL, "tool", KERNEL_MOUNT);
    target(s, s->serial, "/mnt", false);
    target(s, s->serial, text, true);
    target(s, s->serial, "more", true);
    after(s, 250);
    struct slice line = row_sink_memory_line(&s->world->memory, n_lines(s->world) - 1);
    struct slice found = row_sink_memory_value(line, KERNEL_EVENT_TARGET);
    assert_int_equal(found.length, KERNEL_TARGET_MOST);
    assert_memory_equal(found.data, "/mnt; aaa", 9);
    assert_memory_equal(found.data + found.length - 6, "aaa...", 6);
}

/* Long targets make rows wait for a shorter time, but none is lost. */
static void test_many_long_targets(void **state)
{
    struct stage *s = *state;
    static char text[KERNEL_TARGET_MOST + 1];
    memset(text, 'a', sizeof(text) - 1);
    for (int i = 0; i < 2000; i++) {
        call(s, TOOL, "tool", KERNEL_MOUNT);
        target(s, s->serial, text, false);
    }
    size_t n = count_rows(s);
    assert_in_range(n, 900, 1000);
    kernel_events_flush(s->events);
    assert_int_equal(n + count_rows(s), 2000);
}

/* Whoever takes the name of a program takes nothing of what the program may have; what only
 * root can do is never left out. */
static void test_rate_of_others(void **state)
{
    struct stage *s = *state;
    const size_t burst = KERNEL_EVENTS_RATE * KERNEL_EVENTS_BURST_S;
    for (size_t i = 0; i < burst + 1; i++) {
        struct fact fact = call_fact(s, TOOL, "insmod", KERNEL_MODULE_LOAD, 0);
        fact.kernel_event.uid = 1000;
        fact.kernel_event.success = false;
        kernel_events_fact(s->events, &fact);
    }
    assert_int_equal(kernel_events_take_beyond(s->events), 1);
    struct fact refused = call_fact(s, TOOL, "insmod", KERNEL_MODULE_LOAD, 0);
    refused.kernel_event.success = false;
    kernel_events_fact(s->events, &refused);
    call(s, TOOL, "insmod", KERNEL_MOUNT);
    for (size_t i = 0; i < burst + 1; i++)
        call(s, TOOL, "insmod", KERNEL_MODULE_LOAD);
    assert_int_equal(kernel_events_take_beyond(s->events), 0);
    after(s, 250);
    assert_int_equal(count_rows(s), 2 * burst + 3);
}

/* Of many names at a time those that wait are bounded: the oldest is written as it is. */
static void test_many_wait(void **state)
{
    struct stage *s = *state;
    char comm[16];
    for (int i = 0; i < KERNEL_EVENTS_MOST + 3; i++) {
        snprintf(comm, sizeof(comm), "name%d", i % 50);
        call(s, TOOL, comm, KERNEL_SETNS);
    }
    assert_int_equal(kernel_events_take_beyond(s->events), 0);
    assert_int_equal(count_rows(s), 3);
    kernel_events_flush(s->events);
    assert_int_equal(count_rows(s), KERNEL_EVENTS_MOST);
}

static void test_whose_is_waited_for(void **state)
{
    struct stage *s = *state;
    call(s, OWN, "vestiged", KERNEL_BPF_LOAD);
    call(s, TOOL, "tool", KERNEL_BPF_LOAD);
    after(s, 1000);
    expect(s, "");
    scan(s->world, true);
    add_process(s->world, TOOL, 1, "tool");
    add_process(s->world, OWN, 1, "vestiged");
    scan(s->world, false);
    after(s, 100);
    expect(s, "audit a 100 tool 0 1000 bpf_load - success\n");
}

static void test_refused_is_counted(void **state)
{
    struct stage *s = *state;
    call(s, TOOL, "tool", KERNEL_MOUNT);
    s->world->memory.refuse = -ENOSPC;
    after(s, 250);
    s->world->memory.refuse = 0;
    assert_int_equal(s->world->output.refused_rows, 1);
    after(s, 250);
    expect(s, "");
}

static void test_clock_steps(void **state)
{
    struct stage *s = *state;
    for (int i = 0; i < 10; i++) { /* slewed, and read badly once */
        s->world->wall_ahead_ns += 1000000;
        after(s, 20);
    }
    s->world->wall_ahead_ns += 40000000;
    after(s, 20);
    s->world->wall_ahead_ns -= 40000000;
    after(s, 1000);
    expect(s, "");
    s->world->wall_ahead_ns -= INT64_C(3600250000000);
    for (int i = 0; i < 3; i++)
        after(s, 20);
    after(s, 250);
    expect(s, "agent - - - - - clock_step -3600.250000 s success\n");
    s->world->wall_ahead_ns += 5000000;
    for (int i = 0; i < 20; i++)
        after(s, 20);
    expect(s, "agent - - - - - clock_step +0.005000 s success\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_running, end)
    const struct CMUnitTest tests[] = {
        TEST(test_row_waits_for_its_target),
        TEST(test_targets),
        TEST(test_reading_is_no_row),
        TEST(test_own_is_left_out),
        TEST(test_image_by_its_name),
        TEST(test_rate),
        TEST(test_storm_of_another),
        TEST(test_storm_of_all_names),
        TEST(test_gravest_are_not_limited),
        TEST(test_signals),
        TEST(test_storm_of_readings),
        TEST(test_long_target),
        TEST(test_many_long_targets),
        TEST(test_rate_of_others),
        TEST(test_many_wait),
        cmocka_unit_test_setup_teardown(test_whose_is_waited_for, begin_unscanned, end),
        TEST(test_refused_is_counted),
        TEST(test_clock_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
