/* One line builder, refilled for each row; the faults are chosen by the row's number alone. */
#include "ship_rows_made.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define STEP_US    50 /* between two ids */
#define MISSING_ID UINT64_C(7)

struct maker {
    const struct made_rows *made;
    const struct row_sink *sink;
    struct line line;
    uint64_t n;
};

static void append(struct maker *maker)
{
    const struct timespec millisecond = {.tv_nsec = 1000000};
    int r = line_finish(&maker->line);
    while (r == 0 && (r = maker->sink->append(maker->sink->user, &maker->line)) == -ENOBUFS) {
        nanosleep(&millisecond, NULL);
        r = 0;
    }
    if (r == 0)
        return;
    fprintf(stderr, "ship_tool: a line was refused: %s\n", strerror(-r));
    exit(2);
}

static void add_birth(struct line *line, uint64_t id, uint64_t number)
{
    line_time(line, id);
    line_word(line, "audit,connector,taskstats");
    line_word(line, MADE_BOOT_ID);
    line_u64(line, 300 + number % 30000);
    line_u64(line, 100000 + number);
    line_u64(line, 200 + number % 100);
    line_u64(line, id - 1);
    line_null(line);
    line_u64(line, 1000);
    line_word(line, "investigator");
    line_u64(line, 1000);
    line_word(line, "investigator");
    line_u64(line, 1000);
    line_u64(line, 1000);
    line_null(line);
    line_u64(line, 4026531836);
    line_u64(line, 4026531841);
    line_u64(line, 4026531840);
    line_u64(line, 0);
    line_u64(line, 0);
}

static void add_settle(struct line *line, uint64_t number, struct slice arguments)
{
    char text[160];
    line_word(line, "true");
    line_word(line, "/usr/bin/true");
    line_word(line, "/usr/bin/true");
    if (slice_is_null(arguments)) {
        snprintf(text, sizeof(text), "tag-%llu --output /var/tmp/build/object-%llu.o 'a b\tc\\d'",
                 (unsigned long long)number, (unsigned long long)number);
        arguments = slice_text(text);
    }
    line_text(line, arguments);
    line_u64(line, 5);
    line_null(line);
    line_word(line, "/var/tmp/build");
    line_word(line, "pts/3");
    line_word(line, MADE_EXE_SHA256);
    line_u64(line, 35664);
    line_time(line, MADE_EXE_MODIFIED_US);
    line_u64(line, 17);
    line_u64(line, 1000);
    line_word(line, "investigator");
}

static void add_end(struct line *line, uint64_t id, uint64_t exit_code)
{
    line_time(line, id + 1500);
    line_word(line, "exit");
    line_u64(line, 812);
    line_u64(line, 1404);
    line_u64(line, 2312);
    line_u64(line, 4096);
    line_u64(line, 0);
    line_u64(line, 1000);
    line_u64(line, exit_code);
    line_null(line);
}

static void append_row(struct maker *maker, uint64_t id, uint64_t number, bool open, bool settled,
                       bool bad, struct slice arguments)
{
    struct line *line = &maker->line;
    line_begin(line, VERB_INSERT, TABLE_PROCESS, id);
    add_birth(line, id, number);
    if (settled)
        add_settle(line, number, arguments);
    else
        line_nulls(line, PROCESS_DESTROYED_AT - PROCESS_COMM);
    if (open)
        line_nulls(line, PROCESS_COLUMN_N - PROCESS_DESTROYED_AT);
    else
        add_end(line, id, bad ? 300 : number % 256);
    append(maker);
}

int made_row_append(struct line *line, uint64_t id, uint64_t number, const struct row_sink *sink)
{
    line_begin(line, VERB_INSERT, TABLE_PROCESS, id);
    add_birth(line, id, number);
    add_settle(line, number, SLICE_NULL);
    add_end(line, id, number % 256);
    int r = line_finish(line);
    return r ? r : sink->append(sink->user, line);
}

/** Whether @p number is one of @p n that are spread evenly over all. */
static bool is_chosen(uint64_t number, uint64_t n, uint64_t of, uint64_t *index)
{
    if (n == 0 || of == 0)
        return false;
    *index = number * n / of;
    return *index != (number + 1) * n / of;
}

static void append_rows(struct maker *maker)
{
    const struct made_rows *made = maker->made;
    for (uint64_t i = 0, index = 0; i < maker->n; i++) {
        bool bad = is_chosen(i, made->n_bad, maker->n, &index);
        struct slice arguments =
            bad && index < made->n_not_utf8 ? slice_of("caf\xe9 \xff", 6) : SLICE_NULL;
        append_row(maker, made->first_id + i * STEP_US, i, i < made->n_open, i >= made->n_settle,
                   bad, arguments);
    }
}

static void append_later_lines(struct maker *maker)
{
    const struct made_rows *made = maker->made;
    for (uint64_t i = 0; i < made->n_settle; i++) {
        line_begin(&maker->line, VERB_SETTLE, TABLE_PROCESS, made->first_id + i * STEP_US);
        add_settle(&maker->line, i, SLICE_NULL);
        append(maker);
    }
    for (uint64_t i = 0; i < made->n_open; i++) {
        uint64_t id = made->first_id + i * STEP_US;
        line_begin(&maker->line, VERB_END, TABLE_PROCESS, id);
        add_end(&maker->line, id, i % 256);
        append(maker);
    }
    for (uint64_t i = 0; i < made->n_missing; i++) {
        uint64_t id = made->first_id + i * STEP_US + MISSING_ID;
        line_begin(&maker->line, VERB_END, TABLE_PROCESS, id);
        add_end(&maker->line, id, 0);
        append(maker);
    }
}

static void append_huge_row(struct maker *maker)
{
    char *arguments = malloc(maker->made->huge);
    if (!arguments)
        exit(2);
    memset(arguments, 'x', maker->made->huge);
    append_row(maker, maker->made->first_id + maker->n * STEP_US, maker->n, false, true, false,
               slice_of(arguments, maker->made->huge));
    free(arguments);
}

void made_rows_append(const struct made_rows *made, uint64_t n, const struct row_sink *sink)
{
    struct maker maker = {.made = made, .sink = sink, .line = LINE_NULL, .n = n};
    append_rows(&maker);
    append_later_lines(&maker);
    for (uint64_t i = 0; i < made->n_twice; i++)
        append_row(&maker, made->first_id + i * STEP_US, i, false, true, false, SLICE_NULL);
    if (made->huge)
        append_huge_row(&maker);
    line_deinit(&maker.line);
}
