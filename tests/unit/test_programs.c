// links: vestige_tracker
/* What an answer about a file proves of execs, and how the rows of processes wait for it. */
#include "processes_test.h"

#include "recorder/processes/programs.h"

#include <string.h>

/* What was asked, and by the test's hand what is told. */
struct asked {
    unsigned n;
    uint64_t request;
    uint32_t pid, root_pid;
    char path[64];
};

struct subject {
    bool runs, told;
    uint64_t until_ns; /* that it runs; 0: on and on */
    char program[128];
};

struct bench {
    struct programs *programs;
    struct counters counters;
    struct asked asked;
    struct subject subjects[8];
};

static void on_ask(void *user, uint64_t request, uint32_t pid, uint32_t root_pid, struct slice path)
{
    struct asked *asked = user;
    asked->n++;
    asked->request = request;
    asked->pid = pid;
    asked->root_pid = root_pid;
    assert_true(path.length < sizeof(asked->path));
    memcpy(asked->path, path.data, path.length);
    asked->path[path.length] = '\0';
}

static bool still_runs(void *user, const void *subject, uint64_t at_ns)
{
    const struct subject *s = subject;
    (void)user;
    return s->runs && (!s->until_ns || at_ns < s->until_ns);
}

static void on_told(void *user, void *subject, struct shared_text *program)
{
    struct subject *s = subject;
    (void)user;
    assert_false(s->told);
    s->told = true;
    if (program)
        memcpy(s->program, program->data, program->length);
}

static int bench_setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    struct programs_options options = {.most = 5,
                                       .interval_ns = 60 * MS,
                                       .patience_ns = 1000 * MS,
                                       .counters = &b->counters,
                                       .ask_user = &b->asked,
                                       .ask = on_ask,
                                       .still_runs = still_runs,
                                       .told = on_told};
    assert_int_equal(programs_new(&b->programs, &options), 0);
    *state = b;
    return 0;
}

static int bench_teardown(void **state)
{
    struct bench *b = *state;
    programs_free(b->programs);
    free(b);
    return 0;
}

/* Subject @p i executes at @p ms, by both clocks. */
static bool want(struct bench *b, size_t i, const char *path, uint32_t root_pid, uint64_t ms)
{
    struct programs_exec exec = {.subject = &b->subjects[i],
                                 .pid = (uint32_t)(100 + i),
                                 .root_pid = root_pid,
                                 .path = slice_text(path),
                                 .executed_ns = ms * MS,
                                 .began_real_ns = (int64_t)(ms * MS)};
    return programs_want(b->programs, &exec, ms * MS);
}

static struct fact program_fact(uint64_t request, uint64_t looked_ms, unsigned evidence,
                                uint64_t changed_ms)
{
    struct fact fact = {
        .kind = FACT_PROGRAM,
        .boot_ns = looked_ms * MS,
        .program = {.request = request,
                    .known = evidence != 0,
                    .hashed = evidence != 0,
                    .evidence = evidence,
                    .size = 5,
                    .changed_real_ns = (int64_t)(changed_ms * MS)}
    };
    memset(fact.program.sha256, 0xab, sizeof(fact.program.sha256));
    return fact;
}

static void answer(struct bench *b, uint64_t looked_ms, unsigned evidence, uint64_t changed_ms)
{
    struct fact fact = program_fact(b->asked.request, looked_ms, evidence, changed_ms);
    programs_answer(b->programs, &fact);
}

static void assert_told(const struct bench *b, size_t i, bool known)
{
    assert_true(b->subjects[i].told);
    assert_int_equal(b->subjects[i].program[0] != '\0', known);
}

static void one_look_answers_for_all_before_it(void **state)
{
    struct bench *b = *state;
    for (size_t i = 0; i < 4; i++)
        assert_true(want(b, i, "/p", 1, 1000 + i * 10));
    assert_int_equal(b->asked.n, 1);
    assert_int_equal(b->asked.pid, 100);
    assert_string_equal(b->asked.path, "/p");
    answer(b, 1025, PROGRAM_AT_PATH, 500);
    for (size_t i = 0; i < 3; i++)
        assert_told(b, i, true);
    assert_string_equal(b->subjects[0].program,
                        "abababababababababababababababababababababababababababababababab\t5\t"
                        "1970-01-01 00:00:00.000000");
    assert_false(b->subjects[3].told); /* it executed after the look */
    programs_tick(b->programs, 1030 * MS);
    assert_int_equal(b->asked.n, 1);
    programs_tick(b->programs, 1100 * MS);
    assert_int_equal(b->asked.n, 2);
    assert_int_equal(b->asked.pid, 103);
    answer(b, 1110, PROGRAM_AT_PATH, 500);
    assert_told(b, 3, true);
    assert_true(programs_settled_until(b->programs, UINT64_MAX));
}

static void a_file_that_changed_since_proves_nothing(void **state)
{
    struct bench *b = *state;
    assert_true(want(b, 0, "/p", 1, 1000));
    answer(b, 1020, PROGRAM_AT_PATH, 1000);
    assert_told(b, 0, false);
    assert_true(want(b, 1, "/q", 1, 2000));
    answer(b, 2020, PROGRAM_AT_PATH, 1999);
    assert_told(b, 1, true);
    assert_int_equal(counter_get(&b->counters, COUNTER_PROGRAMS_UNKNOWN), 1);
}

static void a_process_that_runs_proves_its_own_file_only(void **state)
{
    struct bench *b = *state;
    b->subjects[0].runs = b->subjects[1].runs = true;
    for (size_t i = 0; i < 3; i++)
        assert_true(want(b, i, "/p", 1, 1000));
    answer(b, 1020, PROGRAM_OF_PROCESS, 1010);
    assert_told(b, 0, true);
    assert_told(b, 2, false); /* it is gone, and the path says nothing */
    assert_false(b->subjects[1].told);
    assert_int_equal(b->asked.n, 2); /* in its own name */
    assert_int_equal(b->asked.pid, 101);
    answer(b, 1040, PROGRAM_OF_PROCESS, 1010);
    assert_told(b, 1, true);
    assert_true(want(b, 3, "/p", 0, 1100));
    answer(b, 1110, PROGRAM_OF_PROCESS, 500);
    assert_told(b, 3, false); /* it has executed another one since */
}

/* The inode was changed after the look, and the process still shows it. */
static void a_later_digest_is_of_the_process_alone(void **state)
{
    const char without[] = "\\N\t5\t1970-01-01 00:00:00.000000";
    struct bench *b = *state;
    for (uint64_t until_ms = 0; until_ms <= 1035; until_ms += 1035) {
        memset(b->subjects, 0, sizeof(b->subjects));
        b->subjects[0] = (struct subject){.runs = true, .until_ns = until_ms * MS};
        const char *path = until_ms ? "/ended" : "/p";
        for (size_t i = 0; i < 3; i++)
            assert_true(want(b, i, path, 1, 1000 + i * 15));
        struct fact fact =
            program_fact(b->asked.request, 1025, PROGRAM_OF_PROCESS | PROGRAM_AT_PATH, 500);
        fact.program.shown_ns = 1040 * MS;
        programs_answer(b->programs, &fact);
        assert_told(b, 0, true);
        if (until_ms)
            assert_string_equal(b->subjects[0].program, without);
        else
            assert_memory_equal(b->subjects[0].program, "abab", 4);
        assert_string_equal(b->subjects[1].program, without);
        assert_false(b->subjects[2].told); /* it executed after the look */
    }
}

static void a_path_is_another_one_under_another_root(void **state)
{
    struct bench *b = *state;
    assert_true(want(b, 0, "/p", 1, 1000));
    assert_true(want(b, 1, "/p", 2, 1000));
    assert_true(want(b, 2, "/p", 0, 1000));
    assert_true(want(b, 3, "/p", 0, 1000));
    assert_int_equal(b->asked.n, 4);
    answer(b, 1020, 0, 0);
    assert_told(b, 3, false);
    assert_false(b->subjects[2].told);
}

static void another_root_is_tried_when_the_first_is_gone(void **state)
{
    struct bench *b = *state;
    for (size_t i = 0; i < 2; i++) {
        struct programs_exec exec = {.subject = &b->subjects[i],
                                     .root_pid = 7,
                                     .other_root_pid = 8,
                                     .path = slice_text("/p"),
                                     .executed_ns = 1000 * MS,
                                     .began_real_ns = 1000 * MS};
        assert_true(programs_want(b->programs, &exec, 1000 * MS));
    }
    assert_int_equal(b->asked.n, 1);
    assert_int_equal(b->asked.root_pid, 7);
    answer(b, 1010, 0, 0);
    assert_false(b->subjects[0].told);
    assert_int_equal(b->asked.n, 2);
    assert_int_equal(b->asked.root_pid, 8);
    assert_true(want(b, 2, "/p", 7, 1015)); /* a look of its own */
    assert_int_equal(b->asked.n, 3);
    answer(b, 1020, 0, 0);
    assert_told(b, 2, false);
    b->asked.request--;
    answer(b, 1020, PROGRAM_AT_PATH, 500);
    assert_told(b, 0, true);
    assert_told(b, 1, true);
    assert_true(programs_settled_until(b->programs, UINT64_MAX));
}

static void patience_and_room_have_bounds(void **state)
{
    struct bench *b = *state;
    for (size_t i = 0; i < 5; i++)
        assert_true(want(b, i, "/p", 1, 1000));
    assert_false(want(b, 5, "/p", 1, 1000));
    assert_false(programs_settled_until(b->programs, 1000 * MS));
    assert_true(programs_settled_until(b->programs, 999 * MS));
    programs_tick(b->programs, 1999 * MS);
    assert_false(b->subjects[0].told);
    programs_tick(b->programs, 2000 * MS);
    for (size_t i = 0; i < 5; i++)
        assert_told(b, i, false);
    answer(b, 2010, PROGRAM_AT_PATH, 1);
    assert_int_equal(counter_get(&b->counters, COUNTER_PROGRAMS_LATE), 1);
    assert_true(want(b, 5, "/p", 1, 2100));
    programs_give_up(b->programs);
    assert_told(b, 5, false);
}

/* Rows */

static struct asked world_asked;

static int world_setup(void **state)
{
    struct world *w = world_new();
    memset(&world_asked, 0, sizeof(world_asked));
    w->options.user = &world_asked;
    w->options.ask_program = on_ask;
    world_begin(w);
    scan(w, true);
    give(w, proc_entry(1, 0, 1, "init", NULL));
    scan(w, false);
    tick(w, 0);
    tick(w, 300);
    *state = w;
    return 0;
}

static void run_true(struct world *w, uint32_t pid)
{
    fork_process(w, 1, pid);
    exec_process(w, pid);
    exit_task(w, pid, pid, 0);
    stats(w, pid, 0);
    audit_exec(w, pid, w->now, "x");
    tick(w, 20);
}

/* The look was now; the file was last changed in 1970. */
static void tell_world(struct world *w)
{
    struct fact fact = program_fact(world_asked.request, 0, PROGRAM_AT_PATH, 1);
    fact.boot_ns = w->now;
    give(w, fact);
    tick(w, 0);
}

static void a_row_waits_for_its_program(void **state)
{
    struct world *w = *state;
    size_t before = n_lines(w);
    run_true(w, 50);
    assert_int_equal(n_lines(w), before);
    assert_int_equal(world_asked.n, 1);
    assert_int_equal(world_asked.root_pid, 1);
    assert_string_equal(world_asked.path, "/bin/true");
    tell_world(w);
    assert_int_equal(n_lines(w), before + 1);
    assert_string_equal(value(w, before, PROCESS_EXE), "/bin/true");
    assert_string_equal(value(w, before, PROCESS_EXE_SIZE), "5");
    assert_memory_equal(value(w, before, PROCESS_EXE_SHA256), "abababab", 8);
    assert_string_equal(value(w, before, PROCESS_END_CAUSE), "exit");
}

static void a_late_digest_comes_by_the_settle_line(void **state)
{
    struct world *w = *state;
    size_t before = n_lines(w);
    run_true(w, 51);
    tick(w, 300);
    assert_int_equal(n_lines(w), before + 1);
    expect_line(w, before, "insert\tprocess\t");
    assert_string_equal(value(w, before, PROCESS_ARGUMENTS), "\\N");
    tick(w, 5000);
    assert_int_equal(n_lines(w), before + 1);
    tell_world(w);
    assert_int_equal(n_lines(w), before + 2);
    expect_line(w, before + 1, "settle\tprocess\t");
    assert_string_equal(value(w, before + 1, PROCESS_ARGUMENTS - PROCESS_COMM), "x");
    assert_string_equal(value(w, before + 1, PROCESS_EXE_SIZE - PROCESS_COMM), "5");
}

static void without_an_answer_the_rest_is_not_lost(void **state)
{
    struct world *w = *state;
    size_t before = n_lines(w);
    run_true(w, 52);
    tick(w, 300);
    tick(w, 60000);
    assert_int_equal(n_lines(w), before + 2);
    assert_string_equal(value(w, before + 1, PROCESS_ARGUMENTS - PROCESS_COMM), "x");
    assert_string_equal(value(w, before + 1, PROCESS_EXE_SHA256 - PROCESS_COMM), "\\N");
    tell_world(w);
    assert_int_equal(n_lines(w), before + 2);
    run_true(w, 53);
    processes_flush(w->processes);
    assert_int_equal(n_lines(w), before + 3);
    assert_string_equal(value(w, before + 2, PROCESS_ARGUMENTS), "x");
}

/* Who knows what a program has done to its root before it executed the next one? */
static void what_another_program_became_has_no_path(void **state)
{
    struct world *w = *state;
    fork_process(w, 1, 54);
    exec_process(w, 54);
    audit_exec(w, 54, w->now, "chroot");
    assert_int_equal(world_asked.root_pid, 1);
    tick(w, 120);
    exec_process(w, 54);
    audit_exec(w, 54, w->now, "inside");
    assert_int_equal(world_asked.n, 2);
    assert_int_equal(world_asked.root_pid, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_look_answers_for_all_before_it, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(a_file_that_changed_since_proves_nothing, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(a_process_that_runs_proves_its_own_file_only, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(a_later_digest_is_of_the_process_alone, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(a_path_is_another_one_under_another_root, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(another_root_is_tried_when_the_first_is_gone, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(patience_and_room_have_bounds, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(a_row_waits_for_its_program, world_setup, teardown),
        cmocka_unit_test_setup_teardown(a_late_digest_comes_by_the_settle_line, world_setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(without_an_answer_the_rest_is_not_lost, world_setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_another_program_became_has_no_path, world_setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
