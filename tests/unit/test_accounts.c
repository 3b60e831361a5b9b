// links: vestige_tracker
/* Facts of accounts in, rows of account, account_group, group_member and finding out.
 *
 * What is expected is written as one line a row: "+1 table values" for an insert, "-1 cause" for an
 * end; rows are numbered in the order in which they are first written, "-" is NULL. A row of
 * account that the agent has asked the switch for is one of "switched". */
#include "rows_test.h"

#include "core/evidence_text.h"
#include "recorder/accounts/accounts.h"

#include <stdio.h>
#include <stdlib.h>

#define MOST 40

enum { VALUES_MOST = 16 };

struct world {
    struct rows_test out;
    struct findings *findings;
    struct accounts *accounts;
    uint32_t sequence;
};

static void open_world(struct world *w, size_t most)
{
    const struct findings_options findings = {.output = &w->out.output, .most = 8};
    assert_int_equal(findings_new(&w->findings, &findings), 0);
    const struct accounts_options options = {
        .output = &w->out.output, .findings = w->findings, .most = most};
    assert_int_equal(accounts_new(&w->accounts, &options), 0);
}

static void close_world(struct world *w)
{
    w->accounts = accounts_free(w->accounts);
    w->findings = findings_free(w->findings);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    rows_test_init(&w->out);
    open_world(w, MOST);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    close_world(w);
    rows_test_deinit(&w->out);
    free(w);
    return 0;
}

/* -- what came out -- */

static void read_head(struct slice line, char verb[16], char table[32], uint64_t *id)
{
    char copy[96] = "";
    memcpy(copy, line.data, line.length < sizeof(copy) ? line.length : sizeof(copy) - 1);
    assert_int_equal(sscanf(copy, "%15s %31s %lu", verb, table, id), 3);
}

static void append_line(struct world *w, struct buffer *text, struct slice line)
{
    char verb[16], table[32];
    uint64_t id;
    read_head(line, verb, table, &id);
    if (!strcmp(verb, "end")) {
        buffer_printf(text, "-%zu", rows_test_number(&w->out, id));
        rows_test_value(text, line, 1);
    } else {
        size_t n = catalogue_table(catalogue_find(slice_text(table)))->n_columns - 4;
        bool by_agent = slice_is(row_sink_memory_value(line, 1), "agent");
        assert_true(by_agent || slice_is(row_sink_memory_value(line, 1), "inotify"));
        assert_true(by_agent ? !strcmp(table, "finding") || !strcmp(table, "account")
                             : strcmp(table, "finding") != 0);
        buffer_printf(text, "+%zu %s", rows_test_number(&w->out, id),
                      by_agent && !strcmp(table, "account") ? "switched" : table);
        for (size_t i = 0; i < n; i++)
            rows_test_value(text, line, 2 + i);
        if (!slice_is(row_sink_memory_value(line, 2 + n), "\\N"))
            rows_test_value(text, line, 3 + n);
    }
    buffer_append_byte(text, '\n');
}

/* The lines since the last call are these. */
static void expect(struct world *w, const char *expected)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    while (w->out.n_seen < w->out.memory.n_lines)
        append_line(w, &text, row_sink_memory_line(&w->out.memory, w->out.n_seen++));
    buffer_append_byte(&text, '\0');
    assert_string_equal((const char *)text.data, expected);
}

static struct slice last_value(struct world *w, size_t column)
{
    return row_sink_memory_value(row_sink_memory_line(&w->out.memory, w->out.memory.n_lines - 1),
                                 column);
}

/* -- what goes in -- */

static void give(struct world *w, struct fact fact)
{
    fact.source = SOURCE_ACCOUNTS;
    fact.boot_ns = w->out.now;
    accounts_fact(w->accounts, &fact);
}

static void tick(struct world *w, uint64_t after_ms)
{
    w->out.now += after_ms * MS;
    timeline_tick(&w->out.timeline, w->out.now, real_start + (int64_t)(w->out.now - boot_start),
                  INT64_MIN);
    accounts_tick(w->accounts);
    findings_tick(w->findings);
}

static void scan(struct world *w, enum account_scan_step step, enum account_part part,
                 bool complete)
{
    give(w, (struct fact){
                .kind = FACT_ACCOUNT_SCAN,
                .account_scan = {
                                 .step = step, .part = part, .sequence = w->sequence, .complete = complete}
    });
}

static void begin(struct world *w, enum account_part part)
{
    w->sequence++;
    scan(w, ACCOUNT_SCAN_BEGAN, part, false);
}

static void end(struct world *w, enum account_part part)
{
    scan(w, ACCOUNT_SCAN_ENDED, part, true);
}

static void account_is(struct world *w, const char *name, uint32_t uid, enum password_state state,
                       uint8_t digest)
{
    give(w, (struct fact){
                .kind = FACT_ACCOUNT,
                .account = {
                            .name = slice_text(name),
                            .uid = uid,
                            .gid = 100,
                            .home = slice_text("/home"),
                            .shell = slice_text(""),
                            .password = {.state = state, .has_digest = digest != 0, .digest = {digest}}}
    });
}

static void plain(struct world *w, const char *name, uint32_t uid)
{
    account_is(w, name, uid, PASSWORD_LOCKED, 0);
}

static void group_is(struct world *w, const char *name, uint32_t gid)
{
    give(w,
         (struct fact){
             .kind = FACT_ACCOUNT_GROUP, .account_group = {.name = slice_text(name), .gid = gid}
    });
}

static void member_is(struct world *w, const char *group, const char *name)
{
    give(w, (struct fact){
                .kind = FACT_GROUP_MEMBER, .group_member = {slice_text(group), slice_text(name)}
    });
}

#define ACCOUNTS ACCOUNT_PART_ACCOUNTS
#define GROUPS   ACCOUNT_PART_GROUPS

/* -- rows -- */

static void test_added_changed_removed(void **state)
{
    struct world *w = *state;
    begin(w, ACCOUNTS);
    account_is(w, "root", 0, PASSWORD_SET, 0xab);
    plain(w, "a", 1);
    plain(w, "b", 2);
    expect(w, "");
    end(w, ACCOUNTS);
    expect(w, "+1 account root 0 100 - /home  set ab00000000000000\n"
              "+2 account a 1 100 - /home  locked -\n+3 account b 2 100 - /home  locked -\n");
    tick(w, 1000);
    begin(w, ACCOUNTS); /* says the same */
    account_is(w, "root", 0, PASSWORD_SET, 0xab);
    plain(w, "b", 2);
    plain(w, "a", 1);
    end(w, ACCOUNTS);
    expect(w, "");
    begin(w, ACCOUNTS);
    account_is(w, "root", 0, PASSWORD_SET, 0xac); /* another password */
    plain(w, "a", 5);
    plain(w, "c", 3);
    end(w, ACCOUNTS);
    expect(w, "-1 closed\n-2 closed\n-3 removed\n"
              "+4 account root 0 100 - /home  set ac00000000000000\n"
              "+5 account a 5 100 - /home  locked -\n+6 account c 3 100 - /home  locked -\n");
    assert_true(slice_is(last_value(w, 0), "2026-05-28 20:26:41.000000"));
    begin(w, ACCOUNTS);
    account_is(w, "root", 0, PASSWORD_LOCKED, 0xac);
    account_is(w, "a", 5, PASSWORD_ABSENT, 0);
    plain(w, "c", 3);
    end(w, ACCOUNTS);
    expect(w, "-4 closed\n-5 closed\n+7 account root 0 100 - /home  locked ac00000000000000\n"
              "+8 account a 5 100 - /home  absent -\n");
    assert_int_equal(accounts_rows(w->accounts), 3);
}

static void unknown(struct world *w, const char *name, uint32_t uid)
{
    account_is(w, name, uid, PASSWORD_UNKNOWN, 0);
}

/* The file of passwords is away: what was known of them is still true, the rest is as it says. */
static void test_passwords_are_kept(void **state)
{
    struct world *w = *state;
    begin(w, ACCOUNTS);
    account_is(w, "root", 0, PASSWORD_SET, 0xab);
    account_is(w, "open", 1, PASSWORD_EMPTY, 0);
    plain(w, "a", 2);
    plain(w, "b\t", 3);
    end(w, ACCOUNTS);
    expect(w, "+1 account root 0 100 - /home  set ab00000000000000\n"
              "+2 account open 1 100 - /home  empty -\n+3 account a 2 100 - /home  locked -\n"
              "+4 account b\\t 3 100 - /home  locked -\n"
              "+5 finding empty_password open no password is asked for\n");
    for (int i = 0; i < 2; i++) {
        begin(w, ACCOUNTS);
        unknown(w, "root", 0);
        unknown(w, "open", 1);
        unknown(w, "a", 2);
        unknown(w, "b\t", 3);
        end(w, ACCOUNTS);
        expect(w, "");
    }
    begin(w, ACCOUNTS);
    unknown(w, "root", 0);
    unknown(w, "a", 5);
    unknown(w, "b\t", 3);
    unknown(w, "new", 6);
    end(w, ACCOUNTS);
    expect(w, "-2 removed\n-3 closed\n+6 account a 5 100 - /home  locked -\n"
              "+7 account new 6 100 - /home  - -\n-5 removed\n");
    begin(w, ACCOUNTS); /* it is back */
    account_is(w, "root", 0, PASSWORD_SET, 0xab);
    plain(w, "a", 5);
    plain(w, "b\t", 3);
    plain(w, "new", 6);
    end(w, ACCOUNTS);
    expect(w, "-7 closed\n+8 account new 6 100 - /home  locked -\n");
}

static void test_group_passwords_are_kept(void **state)
{
    struct world *w = *state;
    const struct fact group = {
        .kind = FACT_ACCOUNT_GROUP,
        .account_group = {.name = slice_text("g"), .gid = 1, .password = {.state = PASSWORD_SET}}
    };
    begin(w, GROUPS);
    give(w, group);
    member_is(w, "g", "a");
    end(w, GROUPS);
    expect(w, "+1 account_group g 1 set -\n+2 group_member g a\n");
    begin(w, GROUPS);
    group_is(w, "g", 1);
    member_is(w, "g", "a");
    end(w, GROUPS);
    expect(w, "");
}

static void test_groups_and_members(void **state)
{
    struct world *w = *state;
    begin(w, GROUPS);
    group_is(w, "wheel", 10);
    member_is(w, "wheel", "a");
    member_is(w, "wheel", "a"); /* twice in the line is once in the group */
    member_is(w, "wheel", "b");
    group_is(w, "whe", 11);
    member_is(w, "whe", "ela");
    end(w, GROUPS);
    expect(w, "+1 account_group wheel 10 - -\n+2 group_member wheel a\n+3 group_member wheel b\n"
              "+4 account_group whe 11 - -\n+5 group_member whe ela\n");
    begin(w, ACCOUNTS); /* another part proves nothing of this one */
    end(w, ACCOUNTS);
    expect(w, "");
    begin(w, GROUPS);
    group_is(w, "wheel", 12);
    member_is(w, "wheel", "b");
    member_is(w, "wheel", "c");
    end(w, GROUPS);
    expect(w, "-1 closed\n-2 removed\n-4 removed\n-5 removed\n+6 account_group wheel 12 - -\n"
              "+7 group_member wheel c\n");
}

static void test_names_with_any_bytes(void **state)
{
    struct world *w = *state;
    begin(w, ACCOUNTS);
    plain(w, "a\tb\n\xff\\", 1);
    end(w, ACCOUNTS);
    expect(w, "+1 account a\\tb\\n\\\\xff\\\\ 1 100 - /home  locked -\n");
    begin(w, ACCOUNTS);
    plain(w, "a\tb\n\xff\\", 2);
    end(w, ACCOUNTS);
    expect(w, "-1 closed\n+2 account a\\tb\\n\\\\xff\\\\ 2 100 - /home  locked -\n");
}

static void test_incomplete_reading_ends_nothing(void **state)
{
    struct world *w = *state;
    begin(w, ACCOUNTS);
    plain(w, "a", 1);
    plain(w, "b", 2);
    end(w, ACCOUNTS);
    expect(w, "+1 account a 1 100 - /home  locked -\n+2 account b 2 100 - /home  locked -\n");
    begin(w, ACCOUNTS);
    plain(w, "a", 3); /* but what it says counts */
    scan(w, ACCOUNT_SCAN_ENDED, ACCOUNTS, false);
    expect(w, "-1 closed\n+3 account a 3 100 - /home  locked -\n");
    begin(w, ACCOUNTS); /* whose end never comes */
    plain(w, "c", 4);
    begin(w, ACCOUNTS);
    plain(w, "a", 3);
    end(w, ACCOUNTS);
    expect(w, "+4 account c 4 100 - /home  locked -\n-2 removed\n-4 removed\n");
}

static void test_settled(void **state)
{
    struct world *w = *state;
    w->sequence = UINT32_MAX;
    scan(w, ACCOUNT_SCAN_WANTED, ACCOUNTS, false);
    assert_true(accounts_settled(w->accounts)); /* the number went round */
    w->sequence = 1;
    scan(w, ACCOUNT_SCAN_WANTED, ACCOUNTS, false);
    scan(w, ACCOUNT_SCAN_WANTED, GROUPS, false);
    assert_false(accounts_settled(w->accounts));
    scan(w, ACCOUNT_SCAN_BEGAN, ACCOUNTS, false);
    end(w, ACCOUNTS);
    assert_false(accounts_settled(w->accounts));
    scan(w, ACCOUNT_SCAN_BEGAN, GROUPS, false);
    assert_false(accounts_settled(w->accounts));
    end(w, GROUPS);
    assert_true(accounts_settled(w->accounts));
}

static void test_ten_thousand_members(void **state)
{
    struct world *w = *state;
    close_world(w);
    open_world(w, 20000);
    for (int i = 0; i < 3; i++) {
        begin(w, GROUPS);
        group_is(w, "g", 1);
        for (unsigned n = 0; n < 10000; n++) {
            char name[16];
            snprintf(name, sizeof(name), "m%u", n);
            if (i < 2 || n != 5000)
                member_is(w, "g", name);
        }
        end(w, GROUPS);
        assert_int_equal(w->out.memory.n_lines, i < 2 ? 10001 : 10002);
    }
    assert_int_equal(accounts_rows(w->accounts), 10000);
}

/* -- restart -- */

static void restore_line(struct world *w, struct slice line)
{
    char verb[16], table[32];
    uint64_t id;
    struct slice values[VALUES_MOST];
    struct buffer text[VALUES_MOST] = {0};
    read_head(line, verb, table, &id);
    enum table_id of = catalogue_find(slice_text(table));
    bool insert = !strcmp(verb, "insert");
    size_t n = insert ? catalogue_table(of)->n_columns : 2;
    for (size_t i = 0; i < n; i++) {
        struct slice field = row_sink_memory_value(line, i);
        bool null = slice_is(field, "\\N");
        assert_true(null || evidence_field_unescape(&text[i], field) == 0);
        values[i] = null ? SLICE_NULL : buffer_slice(&text[i]);
    }
    if (of == TABLE_FINDING)
        findings_restore(w->findings, insert ? VERB_INSERT : VERB_END, id, values, n);
    else
        accounts_restore(w->accounts, insert ? VERB_INSERT : VERB_END, of, id, values, n);
    for (size_t i = 0; i < n; i++)
        buffer_deinit(&text[i]);
}

/* A new one is given the lines of the journal, from @p first on. */
static void restart(struct world *w, size_t first)
{
    uint64_t last_us = timeline_real_us(&w->out.timeline, w->out.now);
    close_world(w);
    open_world(w, MOST);
    for (size_t i = first; i < w->out.memory.n_lines; i++)
        restore_line(w, row_sink_memory_line(&w->out.memory, i));
    tick(w, 60000);
    accounts_restored(w->accounts, last_us);
}

static void begin_some(struct world *w)
{
    begin(w, ACCOUNTS);
    plain(w, "a", 1);
    plain(w, "b\xff\t", 2);
    plain(w, "c", 3);
    end(w, ACCOUNTS);
    begin(w, GROUPS);
    member_is(w, "g", "a");
    end(w, GROUPS);
    begin(w, GROUPS);
    member_is(w, "g", "b");
    end(w, GROUPS);
    expect(w,
           "+1 account a 1 100 - /home  locked -\n+2 account b\\\\xff\\t 2 100 - /home  locked -\n"
           "+3 account c 3 100 - /home  locked -\n+4 group_member g a\n-4 removed\n"
           "+5 group_member g b\n");
}

static void test_restart(void **state)
{
    struct world *w = *state;
    begin_some(w);
    restart(w, 0);
    begin(w, ACCOUNTS);
    scan(w, ACCOUNT_SCAN_ENDED, ACCOUNTS, false);
    expect(w, "");
    begin(w, ACCOUNTS);
    plain(w, "b\xff\t", 2);
    plain(w, "c", 4);
    end(w, ACCOUNTS);
    begin(w, GROUPS);
    member_is(w, "g", "b");
    end(w, GROUPS);
    size_t first = w->out.memory.n_lines;
    assert_int_equal(first, 9); /* a and c end as reconciled in any order, c begins anew */
    assert_int_equal(accounts_rows(w->accounts), 3);
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    for (w->out.n_seen = 6; w->out.n_seen < 8; w->out.n_seen++)
        append_line(w, &text, row_sink_memory_line(&w->out.memory, w->out.n_seen));
    buffer_append_byte(&text, '\0');
    assert_true(!strcmp((char *)text.data, "-1 reconciled\n-3 reconciled\n") ||
                !strcmp((char *)text.data, "-3 reconciled\n-1 reconciled\n"));
    expect(w, "+6 account c 4 100 - /home  locked -\n");
    begin(w, ACCOUNTS);
    plain(w, "c", 4);
    end(w, ACCOUNTS);
    expect(w, "-2 removed\n"); /* taken up, and then removed before our eyes */
}

static void test_passwords_are_kept_over_a_restart(void **state)
{
    struct world *w = *state;
    begin(w, ACCOUNTS);
    account_is(w, "root", 0, PASSWORD_SET, 0xab);
    end(w, ACCOUNTS);
    expect(w, "+1 account root 0 100 - /home  set ab00000000000000\n");
    restart(w, 0);
    begin(w, ACCOUNTS);
    unknown(w, "root", 0);
    end(w, ACCOUNTS);
    expect(w, "");
    assert_int_equal(accounts_rows(w->accounts), 1);
}

static void test_checkpoint(void **state)
{
    struct world *w = *state;
    begin_some(w);
    for (int i = 0; i < 2; i++) {
        size_t first = w->out.memory.n_lines;
        accounts_checkpoint(w->accounts);
        assert_int_equal(w->out.memory.n_lines, first + 4);
        restart(w, first);
    }
    w->out.n_seen = w->out.memory.n_lines;
    begin(w, GROUPS);
    end(w, GROUPS);
    expect(w, "-5 reconciled\n");
    begin(w, ACCOUNTS);
    plain(w, "a", 1);
    plain(w, "b\xff\t", 2);
    plain(w, "c", 3);
    end(w, ACCOUNTS);
    expect(w, "");
}

static void test_unwatched(void **state)
{
    struct world *w = *state;
    begin_some(w);
    begin(w, GROUPS);
    group_is(w, "g", 1);
    accounts_unwatched(w->accounts);
    assert_int_equal(accounts_rows(w->accounts), 0);
    expect(w, "-1 unknown\n-2 unknown\n-3 unknown\n+6 account_group g 1 - -\n-5 unknown\n"
              "-6 unknown\n");
    assert_true(accounts_settled(w->accounts));
}

/* -- bad days -- */

static void test_refused_rows_wait(void **state)
{
    struct world *w = *state;
    begin_some(w);
    w->out.memory.refuse = -ENOSPC;
    begin(w, GROUPS); /* the end of one waits, and the beginning of two */
    member_is(w, "g", "x");
    member_is(w, "g", "y");
    end(w, GROUPS);
    begin(w, GROUPS); /* one of them ends before it is written */
    member_is(w, "g", "y");
    end(w, GROUPS);
    tick(w, 1000);
    assert_int_equal(accounts_rows(w->accounts), 6);
    w->out.memory.refuse = 0;
    size_t first = w->out.memory.n_lines;
    accounts_checkpoint(w->accounts); /* has what the database has open */
    assert_int_equal(w->out.memory.n_lines, first + 4);
    w->out.n_seen = w->out.memory.n_lines;
    tick(w, 1);
    expect(w, "-5 removed\n+6 group_member g x removed\n+7 group_member g y\n");
    w->out.memory.refuse = -ENOSPC;
    begin(w, GROUPS);
    end(w, GROUPS);
    accounts_flush(w->accounts);
    assert_int_equal(w->out.output.refused_rows, 1);
}

static void test_no_room(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 2; i++) {
        begin(w, GROUPS);
        for (unsigned n = 0; n < MOST + 3; n++) {
            char name[16];
            snprintf(name, sizeof(name), "m%u", n);
            member_is(w, "g", name);
        }
        end(w, GROUPS);
        assert_int_equal(accounts_take_beyond(w->accounts), i == 0 ? 3 : 0); /* said once */
        assert_int_equal(accounts_rows(w->accounts), MOST);
    }
}

/* -- the name service switch -- */

static void switch_says(struct world *w, const char *name, uint32_t uid, const char *shell)
{
    give(w, (struct fact){
                .kind = FACT_ACCOUNT,
                .account = {.name = slice_text(name),
                            .uid = uid,
                            .gid = 5,
                            .gecos = slice_text("G\t"),
                            .shell = slice_text(shell),
                            .from_switch = true}
    });
}

static void whose_is(struct world *w, uint32_t uid, enum user_name_origin origin)
{
    give(w, (struct fact){
                .kind = FACT_USER_NAME, .user_name = {.uid = uid, .origin = origin}
    });
}

static void test_switch(void **state)
{
    struct world *w = *state;
    switch_says(w, "a", 1, "/s");
    switch_says(w, "b\xff", 2, "/s");
    switch_says(w, "c", 3, "/s");
    expect(w, "+1 switched a 1 5 G\\t - /s - -\n+2 switched b\\\\xff 2 5 G\\t - /s - -\n"
              "+3 switched c 3 5 G\\t - /s - -\n");
    tick(w, 1000);
    switch_says(w, "a", 1, "/s"); /* says the same */
    whose_is(w, 1, USER_OF_SWITCH);
    whose_is(w, 2, USER_AS_BEFORE);
    whose_is(w, 9, USER_OF_NOBODY);
    expect(w, "");
    switch_says(w, "a", 1, "/t");
    expect(w, "-1 closed\n+4 switched a 1 5 G\\t - /t - -\n");
    assert_true(slice_is(last_value(w, 0), "2026-05-28 20:26:41.000000"));
    whose_is(w, 2, USER_OF_NOBODY);
    whose_is(w, 2, USER_OF_NOBODY);
    expect(w, "-2 removed\n");
    whose_is(w, 3, USER_OF_FILE);
    expect(w, "-3 closed\n");
    switch_says(w, "b\xff", 2, "/s");
    expect(w, "+5 switched b\\\\xff 2 5 G\\t - /s - -\n");
    assert_int_equal(accounts_rows(w->accounts), 2);
}

/* Readings of the files prove nothing of the switch's users: a line with the same uid takes their
 * place when the source of names says so. */
static void test_switch_beside_files(void **state)
{
    struct world *w = *state;
    switch_says(w, "root", 1, "/s");
    switch_says(w, "b", 2, "/s");
    expect(w, "+1 switched root 1 5 G\\t - /s - -\n+2 switched b 2 5 G\\t - /s - -\n");
    begin(w, ACCOUNTS);
    plain(w, "root", 0);
    end(w, ACCOUNTS);
    expect(w, "+3 account root 0 100 - /home  locked -\n");
    tick(w, 1000);
    begin(w, ACCOUNTS);
    plain(w, "root", 0);
    plain(w, "b", 2);
    end(w, ACCOUNTS);
    expect(w, "+4 account b 2 100 - /home  locked -\n");
    whose_is(w, 2, USER_OF_FILE);
    expect(w, "-2 closed\n");
    begin(w, ACCOUNTS);
    end(w, ACCOUNTS);
    expect(w, "-3 removed\n-4 removed\n");
    assert_int_equal(accounts_rows(w->accounts), 1);
}

static void test_switch_restart(void **state)
{
    struct world *w = *state;
    for (uint32_t uid = 1; uid <= 5; uid++)
        switch_says(w, "n\t", uid, "/s");
    whose_is(w, 5, USER_OF_NOBODY);
    size_t first = 0;
    for (int i = 0; i < 2; i++) { /* of the lines, and of a checkpoint */
        restart(w, first);
        assert_int_equal(accounts_rows(w->accounts), 4);
        first = w->out.memory.n_lines;
        begin(w, ACCOUNTS); /* no reading ends them */
        end(w, ACCOUNTS);
        assert_int_equal(w->out.memory.n_lines, first);
        accounts_checkpoint(w->accounts);
        assert_int_equal(w->out.memory.n_lines, first + 4);
    }
    restart(w, first);
    w->out.n_seen = w->out.memory.n_lines;
    switch_says(w, "n\t", 1, "/s"); /* taken up */
    expect(w, "");
    first = w->out.memory.n_lines;
    switch_says(w, "n\t", 2, "/t");
    whose_is(w, 3, USER_OF_NOBODY);
    whose_is(w, 4, USER_OF_FILE);
    assert_int_equal(w->out.memory.n_lines, first + 4);
    for (size_t i = 0; i < 4; i++)
        assert_true(
            slice_is(row_sink_memory_value(row_sink_memory_line(&w->out.memory, first + i), 1),
                     i == 1 ? "agent" : "reconciled"));
    w->out.n_seen = w->out.memory.n_lines;
    whose_is(w, 1, USER_OF_NOBODY);
    assert_true(slice_is(last_value(w, 1), "removed"));
    assert_int_equal(accounts_rows(w->accounts), 1);
}

/* No run leaves two rows of one uid open; if a journal says so all the same, one goes on. */
static void test_switch_restores_one_of_a_uid(void **state)
{
    struct world *w = *state;
    switch_says(w, "a", 1, "/s");
    switch_says(w, "a", 1, "/t");
    expect(w, "+1 switched a 1 5 G\\t - /s - -\n-1 closed\n+2 switched a 1 5 G\\t - /t - -\n");
    close_world(w);
    open_world(w, MOST);
    restore_line(w, row_sink_memory_line(&w->out.memory, 0));
    restore_line(w, row_sink_memory_line(&w->out.memory, 2));
    accounts_restored(w->accounts, 0);
    expect(w, "-1 reconciled\n");
    switch_says(w, "a", 1, "/t");
    expect(w, "");
    assert_int_equal(accounts_rows(w->accounts), 1);
}

static void test_switch_unwatched(void **state)
{
    struct world *w = *state;
    switch_says(w, "a", 1, "/s");
    accounts_unwatched(w->accounts);
    expect(w, "+1 switched a 1 5 G\\t - /s - -\n-1 unknown\n");
    switch_says(w, "a", 1, "/s");
    expect(w, "");
    begin(w, ACCOUNTS);
    end(w, ACCOUNTS);
    switch_says(w, "a", 1, "/s");
    expect(w, "+2 switched a 1 5 G\\t - /s - -\n");
}

static void test_switch_no_room(void **state)
{
    enum { SWITCH_MOST = 4096 };
    struct world *w = *state;
    close_world(w);
    open_world(w, SWITCH_MOST * 2);
    for (uint32_t uid = 1; uid <= SWITCH_MOST + 3; uid++)
        switch_says(w, "a", uid, "/s");
    assert_int_equal(accounts_rows(w->accounts), SWITCH_MOST);
    assert_int_equal(accounts_take_beyond(w->accounts), 3);
    whose_is(w, 1, USER_OF_NOBODY);
    switch_says(w, "a", SWITCH_MOST + 1, "/s");
    assert_int_equal(accounts_take_beyond(w->accounts), 0);
    assert_int_equal(accounts_rows(w->accounts), SWITCH_MOST);
}

static void test_switch_refused(void **state)
{
    struct world *w = *state;
    w->out.memory.refuse = -ENOSPC;
    switch_says(w, "a", 1, "/s");
    switch_says(w, "a", 1, "/t");
    w->out.memory.refuse = 0;
    tick(w, 1);
    expect(w, "+1 switched a 1 5 G\\t - /s - - closed\n+2 switched a 1 5 G\\t - /t - -\n");
    assert_int_equal(accounts_rows(w->accounts), 1);
}

/* -- findings -- */

static void test_findings(void **state)
{
    struct world *w = *state;
    begin(w, ACCOUNTS);
    plain(w, "root", 0);
    plain(w, "t\xff", 0);
    account_is(w, "open", 7, PASSWORD_EMPTY, 0);
    plain(w, "z", 8);
    plain(w, "z", 8); /* the same line twice */
    end(w, ACCOUNTS);
    expect(w,
           "+1 account root 0 100 - /home  locked -\n+2 account t\\\\xff 0 100 - /home  locked -\n"
           "+3 account open 7 100 - /home  empty -\n+4 account z 8 100 - /home  locked -\n"
           "+5 finding uid_zero_account t\\\\xff an account besides root has uid 0\n"
           "+6 finding empty_password open no password is asked for\n"
           "+7 finding duplicate_uid 0 root, t\\\\xff\n"
           "+8 finding duplicate_name z 2 lines with this name\n");
    tick(w, 1000);
    begin(w, ACCOUNTS);
    plain(w, "root", 0);
    plain(w, "t\xff", 0);
    plain(w, "u", 0);
    account_is(w, "open", 7, PASSWORD_EMPTY, 0);
    plain(w, "z", 8);
    plain(w, "z", 9);
    end(w, ACCOUNTS);
    expect(w, "+9 account u 0 100 - /home  locked -\n+10 account z 9 100 - /home  locked -\n"
              "+11 finding uid_zero_account u an account besides root has uid 0\n"
              "-7 closed\n+12 finding duplicate_uid 0 root, t\\\\xff, u\n");
    begin(w, ACCOUNTS);
    plain(w, "root", 0);
    account_is(w, "open", 7, PASSWORD_LOCKED, 0);
    plain(w, "z", 8);
    end(w, ACCOUNTS);
    expect(w, "-2 removed\n-3 closed\n-9 removed\n-10 removed\n"
              "+13 account open 7 100 - /home  locked -\n-5 removed\n-11 removed\n-6 removed\n"
              "-12 removed\n-8 removed\n");
    assert_int_equal(findings_rows(w->findings), 0);
}

static void test_accounts_without_uid_are_no_duplicates(void **state)
{
    struct world *w = *state;
    begin(w, ACCOUNTS);
    plain(w, "+", ID_UNSET);
    plain(w, "-x", ID_UNSET);
    end(w, ACCOUNTS);
    expect(w, "+1 account + - 100 - /home  locked -\n+2 account -x - 100 - /home  locked -\n");
}

static void test_findings_after_a_restart(void **state)
{
    struct world *w = *state;
    begin(w, ACCOUNTS);
    plain(w, "a", 0);
    account_is(w, "b", 1, PASSWORD_EMPTY, 0);
    account_is(w, "c", 2, PASSWORD_EMPTY, 0);
    end(w, ACCOUNTS);
    w->out.n_seen = w->out.memory.n_lines - 3;
    expect(w, "+1 finding uid_zero_account a an account besides root has uid 0\n"
              "+2 finding empty_password b no password is asked for\n"
              "+3 finding empty_password c no password is asked for\n");
    size_t first = w->out.memory.n_lines;
    accounts_checkpoint(w->accounts);
    findings_checkpoint(w->findings);
    assert_int_equal(w->out.memory.n_lines, first + 6);
    restart(w, first);
    assert_int_equal(findings_rows(w->findings), 3);
    begin(w, ACCOUNTS);
    plain(w, "a", 0);
    account_is(w, "b", 1, PASSWORD_EMPTY, 0);
    account_is(w, "c", 2, PASSWORD_LOCKED, 0);
    first = w->out.memory.n_lines;
    end(w, ACCOUNTS);
    assert_int_equal(w->out.memory.n_lines, first + 3); /* end, insert, end of the finding */
    w->out.n_seen = first + 2;
    expect(w, "-3 reconciled\n");
}

static void test_findings_of_any_kind(void **state)
{
    struct world *w = *state;
    uint64_t at = timeline_real_us(&w->out.timeline, w->out.now);
    findings_open(w->findings, "one", slice_text("s"), SLICE_NULL, at);
    findings_open(w->findings, "one", slice_text("s"), SLICE_NULL, at + 1); /* is open */
    findings_open(w->findings, "one_more", slice_text("s"), slice_text("d\t"), at);
    findings_note(w->findings, "moment", slice_text("s"), slice_text("d"), at);
    expect(w, "+1 finding one s -\n+2 finding one_more s d\\t\n+3 finding moment s d closed\n");
    findings_open(w->findings, "one", slice_text("s"), slice_text("new"), at + 2);
    findings_close(w->findings, "one", slice_text("other"), at + 3);
    expect(w, "-1 closed\n+4 finding one s new\n");
    findings_close(w->findings, "one", slice_text("s"), at + 3);
    findings_close(w->findings, "one", slice_text("s"), at + 3);
    expect(w, "-4 removed\n");
    w->out.memory.refuse = -ENOSPC;
    findings_close(w->findings, "one_more", slice_text("s"), at - 5);
    findings_open(w->findings, "one", slice_text("s"), SLICE_NULL, at);
    findings_flush(w->findings);
    assert_int_equal(w->out.output.refused_rows, 2);
    w->out.memory.refuse = 0;
    findings_tick(w->findings);
    expect(w, "-2 removed\n+5 finding one s -\n");
    for (unsigned i = 0; i < 10; i++) {
        uint8_t subject = (uint8_t)('a' + i);
        findings_open(w->findings, "many", slice_of(&subject, 1), SLICE_NULL, at);
    }
    assert_int_equal(findings_rows(w->findings), 8);
    assert_int_equal(findings_take_beyond(w->findings), 3);
    findings_review_begin(w->findings);
    findings_open(w->findings, "many", slice_text("c"), SLICE_NULL, at);
    findings_review_end(w->findings, "many", at);
    assert_int_equal(findings_rows(w->findings), 2);
    findings_unwatched(w->findings, "many", at);
    assert_true(slice_is(last_value(w, 1), "unknown"));
    assert_int_equal(findings_rows(w->findings), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_added_changed_removed),
        TEST(test_passwords_are_kept),
        TEST(test_group_passwords_are_kept),
        TEST(test_groups_and_members),
        TEST(test_names_with_any_bytes),
        TEST(test_incomplete_reading_ends_nothing),
        TEST(test_settled),
        TEST(test_ten_thousand_members),
        TEST(test_restart),
        TEST(test_passwords_are_kept_over_a_restart),
        TEST(test_checkpoint),
        TEST(test_unwatched),
        TEST(test_refused_rows_wait),
        TEST(test_no_room),
        TEST(test_switch),
        TEST(test_switch_beside_files),
        TEST(test_switch_restart),
        TEST(test_switch_restores_one_of_a_uid),
        TEST(test_switch_unwatched),
        TEST(test_switch_no_room),
        TEST(test_switch_refused),
        TEST(test_findings),
        TEST(test_accounts_without_uid_are_no_duplicates),
        TEST(test_findings_after_a_restart),
        TEST(test_findings_of_any_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
