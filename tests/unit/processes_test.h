#pragma once
/* For the tests of the process lifecycle: a world without a kernel. Facts go in, and the lines that
 * come out are kept in memory. */
#include "recorder/processes/processes.h"
#include "recorder/row/row_sink_memory.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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
    struct processes_options options;
    uint64_t now;
    int64_t wall_ahead_ns; /* of the wall clock, of what it was in the beginning */
    uint32_t serial;       /* of the last audit record */
};

static const int64_t real_start = INT64_C(1780000000) * 1000000000;
static const uint64_t boot_start = UINT64_C(1000000) * MS;
static const char boot_id[] = "00000000-0000-0000-0000-000000000001";

/* All sources are heard; nothing has been scanned, and nobody has been restored. The caller may
 * change the options before world_begin. */
static inline struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->now = boot_start;
    timeline_init(&w->timeline, boot_start, real_start, 0, INT64_MIN);
    w->output = (struct row_output){
        .sink = row_sink_memory(&w->memory), .timeline = &w->timeline, .counters = &w->counters};
    memcpy(w->output.boot_id, boot_id, sizeof(boot_id));
    assert_int_equal(user_names_new(&w->names, (struct user_names_request){0}), 0);
    user_names_learn(w->names, &(struct fact_user_name){.uid = 0, .name = slice_text("root")});
    user_names_learn(w->names, &(struct fact_user_name){.uid = 1000, .name = slice_text("alice")});
    w->options = (struct processes_options){.output = &w->output,
                                            .names = w->names,
                                            .settle_ns = 250 * MS,
                                            .fork_ns = 100 * MS,
                                            .late_ns = 60000 * MS,
                                            .image_bytes_most = 1048576,
                                            .late_most = 100,
                                            .audit_active = true,
                                            .taskstats_active = true,
                                            .connector_active = true};
    return w;
}

static inline void world_begin(struct world *w)
{
    assert_int_equal(processes_new(&w->processes, &w->options), 0);
}

static inline void give(struct world *w, struct fact fact)
{
    if (!fact.boot_ns)
        fact.boot_ns = w->now;
    processes_fact(w->processes, &fact);
}

static inline void tick(struct world *w, uint64_t after_ms)
{
    w->now += after_ms * MS;
    timeline_tick(&w->timeline, w->now,
                  real_start + (int64_t)(w->now - boot_start) + w->wall_ahead_ns, INT64_MIN);
    processes_tick(w->processes);
}

static inline void scan(struct world *w, bool begin)
{
    give(w, (struct fact){.kind = FACT_PROC_SCAN, .proc_scan = {.begin = begin}});
}

/* An agent that has been running for a while: the first scan is done. */
static inline int setup(void **state)
{
    struct world *w = world_new();
    world_begin(w);
    scan(w, true);
    scan(w, false);
    tick(w, 0);
    *state = w;
    return 0;
}

/* An agent that has just begun. */
static inline int setup_restart(void **state)
{
    struct world *w = world_new();
    world_begin(w);
    *state = w;
    return 0;
}

static inline int teardown(void **state)
{
    struct world *w = *state;
    processes_free(w->processes);
    user_names_free(w->names);
    line_deinit(&w->output.line);
    row_sink_memory_deinit(&w->memory);
    free(w);
    return 0;
}

static inline void fork_process(struct world *w, uint32_t parent, uint32_t child)
{
    give(w, (struct fact){
                .kind = FACT_FORK, .fork = {{parent, parent}, {child, child}}
    });
}

static inline void fork_thread(struct world *w, uint32_t tgid, uint32_t thread)
{
    give(w, (struct fact){
                .kind = FACT_FORK, .fork = {{tgid, tgid}, {thread, tgid}}
    });
}

static inline void exec_process(struct world *w, uint32_t pid)
{
    give(w, (struct fact){
                .kind = FACT_EXEC, .exec = {pid, pid}
    });
}

static inline void exit_task(struct world *w, uint32_t pid, uint32_t tgid, uint32_t code)
{
    give(w, (struct fact){
                .kind = FACT_EXIT, .exit = {.task = {pid, tgid}, .code = code}
    });
}

/* @p pid is the last task. */
static inline void last_stats(struct world *w, uint32_t pid, uint32_t tgid, uint64_t elapsed_ms,
                              uint32_t code)
{
    give(w, (struct fact){
                .kind = FACT_TASK_STATS,
                .task_stats = {.pid = pid,
                               .tgid = tgid,
                               .uid = 1000,
                               .gid = 1000,
                               .last = true,
                               .exit_code = code,
                               .comm = slice_text("stat"),
                               .elapsed_us = elapsed_ms * 1000,
                               .max_rss_kib = 7}
    });
}

static inline void stats(struct world *w, uint32_t tgid, uint64_t elapsed_ms)
{
    last_stats(w, tgid, tgid, elapsed_ms, 0);
}

/* The wall clock's stamp of a moment, in milliseconds, downwards as audit has it. */
static inline int64_t stamp_ms(const struct world *w, uint64_t at)
{
    return (real_start + (int64_t)(at - boot_start) + w->wall_ahead_ns) / 1000000;
}

/* The record of an exec with a serial of its own. */
static inline void audit_exec_serial(struct world *w, uint32_t serial, uint32_t pid, uint64_t at,
                                     const char *argument)
{
    struct slice argv[2] = {slice_text("true"), slice_text(argument)};
    give(w, (struct fact){
                .kind = FACT_AUDIT_EXEC,
                .audit_exec = {.serial = serial,
                               .pid = pid,
                               .ppid = 1,
                               .real_ms = stamp_ms(w, at),
                               .login_uid = 1000,
                               .session = 3,
                               .uid = 0,
                               .euid = 0,
                               .gid = 0,
                               .egid = 0,
                               .comm = slice_text("true"),
                               .exe = slice_text("/bin/true"),
                               .cwd = slice_text("/"),
                               .argv = argv,
                               .argc = 2,
                               .n_argv = 2}
    });
}

/* The record of an exec, later than all before. */
static inline void audit_exec(struct world *w, uint32_t pid, uint64_t at, const char *argument)
{
    audit_exec_serial(w, ++w->serial, pid, at, argument);
}

static inline void audit_login(struct world *w, uint32_t pid, uint64_t at, uint32_t login_uid)
{
    give(w, (struct fact){
                .kind = FACT_AUDIT_LOGIN,
                .audit_login = {.serial = ++w->serial,
                                .real_ms = stamp_ms(w, at),
                                .pid = pid,
                                .login_uid = login_uid,
                                .old_login_uid = ID_UNSET,
                                .old_session = ID_UNSET,
                                .session = 3}
    });
}

/* What /proc says of a process of root's that nobody has logged in to. */
static inline struct fact proc_entry(uint32_t pid, uint32_t ppid, uint64_t start_ticks,
                                     const char *comm, const char *exe)
{
    return (struct fact){
        .kind = FACT_PROC_PROCESS,
        .proc_process = {.pid = pid,
                         .ppid = ppid,
                         .start_ticks = start_ticks,
                         .n_threads = 1,
                         .login_uid = ID_UNSET,
                         .session = ID_UNSET,
                         .comm = slice_text(comm),
                         .exe = exe ? slice_text(exe) : SLICE_NULL}
    };
}

static inline uint64_t ticks_of(uint64_t boot_ns)
{
    return boot_ns / (10 * MS);
}

/* The value of a column in the line with this index, escaped as it stands there. */
static inline char *value(struct world *w, size_t index, size_t column)
{
    static char text[8][1024];
    static unsigned turn;
    char *to = text[turn++ % 8];
    struct slice value = row_sink_memory_value(row_sink_memory_line(&w->memory, index), column);
    assert_false(slice_is_null(value));
    assert_true(value.length < sizeof(text[0]));
    memcpy(to, value.data, value.length);
    to[value.length] = '\0';
    return to;
}

static inline void expect_line(struct world *w, size_t index, const char *start)
{
    struct slice line = row_sink_memory_line(&w->memory, index);
    assert_true(line.length > strlen(start));
    assert_memory_equal(line.data, start, strlen(start));
}

/* The id of the row that the line is about. */
static inline uint64_t line_id(struct world *w, size_t index)
{
    char text[128] = "";
    struct slice line = row_sink_memory_line(&w->memory, index);
    memcpy(text, line.data, line.length < 127 ? line.length : 127);
    char *rest = text;
    strsep(&rest, "\t");
    strsep(&rest, "\t");
    assert_non_null(rest);
    return strtoull(rest, NULL, 10);
}

static inline uint64_t value_id(struct world *w, size_t index, size_t column)
{
    return strtoull(value(w, index, column), NULL, 10);
}

static inline size_t n_lines(struct world *w)
{
    return w->memory.n_lines;
}

static const uint64_t old_id = UINT64_C(1779999000000000);

/* A row that an earlier run left open. */
static inline void restore_row(struct world *w, uint32_t pid, uint64_t start_ticks, const char *exe,
                               bool unaudited)
{
    struct slice values[PROCESS_COLUMN_N] = {0};
    char text[3][24];
    snprintf(text[0], sizeof(text[0]), "%u", pid);
    snprintf(text[1], sizeof(text[1]), "%" PRIu64, start_ticks);
    values[PROCESS_CREATED_AT] = slice_text("2026-05-28 20:00:00.000000");
    values[PROCESS_BOOT_ID] = slice_text(boot_id);
    values[PROCESS_PID] = slice_text(text[0]);
    values[PROCESS_START_TICKS] = slice_text(text[1]);
    values[PROCESS_PARENT_ID] = slice_text("17");
    values[PROCESS_UNAUDITED] = slice_text(unaudited ? "1" : "0");
    values[PROCESS_EXE] = slice_text(exe);
    processes_restore(w->processes, VERB_INSERT, old_id, values, PROCESS_COLUMN_N);
}
