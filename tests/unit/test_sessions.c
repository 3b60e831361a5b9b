// links: vestige_tracker vestige_utmp
/* What audit and utmp say of logins in, rows of session and auth_attempt out, without a kernel.
 *
 * What is expected is written as one line a row: "+1 seen_by boot session_id login_uid username tty
 * service leader_pid process_id address name [second cause]" for a session, "! seen_by username
 * service result address tty process_id" for an attempt, "-1 second cause" for an end; rows are
 * numbered in the order in which they are first written, "-" is NULL, boot is "b" for this boot,
 * and seconds are those since the test began. */
#include "rows_test.h"

#include "recorder/sessions/sessions.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <utmp.h>

#define BOOT "00000000-0000-0000-0000-000000000001"

enum { PROCESSES_MOST = 16, SESSIONS_MOST = 8, ATTEMPTS_MOST = 8 };

struct world {
    struct rows_test out;
    struct sessions *sessions;
    struct user_names *names;
    unsigned n_asked;       /* names, by number */
    int64_t clock_ns;       /* by so much the clock was set */
    uint64_t inode, offset; /* of wtmp, and in it */
    bool known;             /* all processes are */
    struct actor processes[PROCESSES_MOST];
    size_t n_processes;
    struct buffer findings;
};

static bool find_actor(void *user, uint32_t pid, uint64_t from_ns, uint64_t until_ns,
                       struct actor *actor)
{
    const struct world *w = user;
    for (size_t i = 0; i < w->n_processes; i++)
        if (w->processes[i].pid == pid && w->processes[i].from_ns <= until_ns &&
            w->processes[i].until_ns >= from_ns) {
            *actor = w->processes[i];
            return true;
        }
    return false;
}

static bool find_living(void *user, uint32_t pid, struct actor *actor)
{
    return find_actor(user, pid, UINT64_MAX, UINT64_MAX, actor);
}

static bool are_known(void *user)
{
    return ((struct world *)user)->known;
}

static void on_finding(void *user, const char *class, const char *subject, const char *detail)
{
    struct world *w = user;
    buffer_printf(&w->findings, "%s %s: %s\n", class, subject, detail);
}

static void on_ask(void *user, uint32_t uid)
{
    (void)uid;
    ((struct world *)user)->n_asked++;
}

static void open_sessions(struct world *w)
{
    const struct sessions_options options = {.output = &w->out.output,
                                             .names = w->names,
                                             .merge_ns = 2000 * MS,
                                             .sessions_most = SESSIONS_MOST,
                                             .attempts_most = ATTEMPTS_MOST,
                                             .utmp_active = true,
                                             .user = w,
                                             .actor = find_actor,
                                             .living = find_living,
                                             .processes_known = are_known,
                                             .finding = on_finding};
    assert_int_equal(sessions_new(&w->sessions, &options), 0);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    w->out.now = boot_start;
    w->known = true;
    w->inode = 77;
    rows_test_init(&w->out);
    const struct user_names_request request = {.user = w, .ask = on_ask};
    assert_int_equal(user_names_new(&w->names, request), 0);
    open_sessions(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    sessions_free(w->sessions);
    user_names_free(w->names);
    rows_test_deinit(&w->out);
    buffer_deinit(&w->findings);
    free(w);
    return 0;
}

/* -- what came out -- */

static void append_value(struct buffer *text, struct slice value)
{
    buffer_append_byte(text, ' ');
    if (slice_is(value, "\\N"))
        buffer_append_byte(text, '-');
    else if (slice_is(value, BOOT))
        buffer_append_byte(text, 'b');
    else
        buffer_append_slice(text, value);
}

static void append_values(struct buffer *text, struct slice line, size_t first, size_t last)
{
    for (size_t i = first; i <= last; i++)
        append_value(text, row_sink_memory_value(line, i));
}

static void append_end(struct buffer *text, struct slice line, size_t column)
{
    struct slice time = row_sink_memory_value(line, column);
    if (slice_is(time, "\\N"))
        return;
    int64_t second = (int64_t)(line_parse_time(time) / 1000000) - real_start / 1000000000;
    buffer_printf(text, " %lld", (long long)second);
    append_value(text, row_sink_memory_value(line, column + 1));
}

static void append_line(struct world *w, struct buffer *text, struct slice line)
{
    char verb[16], table[32], copy[96] = "";
    unsigned long id;
    memcpy(copy, line.data, line.length < sizeof(copy) ? line.length : sizeof(copy) - 1);
    assert_int_equal(sscanf(copy, "%15s %31s %lu", verb, table, &id), 3);
    if (strcmp(table, "auth_attempt") == 0) {
        buffer_append_byte(text, '!');
        append_values(text, line, 1, 7);
        assert_true(slice_equal(row_sink_memory_value(line, 0), row_sink_memory_value(line, 8)));
    } else if (strcmp(verb, "end") == 0) {
        buffer_printf(text, "-%zu", rows_test_number(&w->out, id));
        append_end(text, line, 0);
    } else {
        buffer_printf(text, "+%zu", rows_test_number(&w->out, id));
        append_values(text, line, 1, 11);
        append_end(text, line, 12);
    }
    buffer_append_byte(text, '\n');
}

static void expect(struct world *w, const char *expected)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    while (w->out.n_seen < w->out.memory.n_lines)
        append_line(w, &text, row_sink_memory_line(&w->out.memory, w->out.n_seen++));
    buffer_append_byte(&text, '\0');
    assert_string_equal((const char *)text.data, expected);
}

static void expect_findings(struct world *w, const char *expected)
{
    buffer_append_byte(&w->findings, '\0');
    assert_string_equal((const char *)w->findings.data, expected);
    buffer_clear(&w->findings);
}

static void expect_users(struct world *w, const char *expected)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    sessions_append_users(w->sessions, &text);
    buffer_append_byte(&text, '\0');
    assert_string_equal((const char *)text.data, expected);
}

/* -- what goes in -- */

static void tick(struct world *w, uint64_t after_ms)
{
    w->out.now += after_ms * MS;
    timeline_tick(&w->out.timeline, w->out.now,
                  real_start + w->clock_ns + (int64_t)(w->out.now - boot_start), INT64_MIN);
    sessions_tick(w->sessions);
}

static int64_t now_us(const struct world *w)
{
    return (real_start + w->clock_ns + (int64_t)(w->out.now - boot_start)) / 1000;
}

static struct actor *process(struct world *w, uint32_t pid, uint32_t session, const char *comm)
{
    assert_true(w->n_processes < PROCESSES_MOST);
    struct actor *actor = &w->processes[w->n_processes++];
    *actor = (struct actor){.pid = pid,
                            .process_id = 7000 + pid,
                            .began_ns = w->out.now,
                            .from_ns = w->out.now,
                            .until_ns = UINT64_MAX,
                            .login_uid = session == ID_UNSET ? ID_UNSET : 1000,
                            .session = session};
    memcpy(actor->comm, comm, strlen(comm));
    return actor;
}

static void process_ends(struct world *w, struct actor *actor)
{
    actor->until_ns = w->out.now;
    actor->end_cause = END_EXIT;
    sessions_image_ended(w->sessions, actor);
}

static struct fact_audit_user said(enum audit_user_event event, uint32_t pid, const char *exe,
                                   const char *account)
{
    return (struct fact_audit_user){.event = event,
                                    .pid = pid,
                                    .uid = 0,
                                    .login_uid = 1000,
                                    .session = 5,
                                    .success = true,
                                    .account_uid = ID_UNSET,
                                    .account = slice_text(account),
                                    .exe = slice_text(exe)};
}

static void give_audit(struct world *w, struct fact_audit_user user)
{
    user.real_ms = now_us(w) / 1000;
    const struct fact fact = {
        .kind = FACT_AUDIT_USER, .source = SOURCE_AUDIT, .boot_ns = w->out.now, .audit_user = user};
    sessions_fact(w->sessions, &fact);
}

static void audit(struct world *w, enum audit_user_event event, uint32_t pid, const char *exe,
                  const char *account, const char *terminal)
{
    struct fact_audit_user user = said(event, pid, exe, account);
    user.terminal = slice_text(terminal);
    give_audit(w, user);
}

static void manager(struct world *w, enum audit_user_event event, uint32_t pid, const char *exe)
{
    struct fact_audit_user user = said(event, pid, exe, "alice");
    user.session = 6;
    give_audit(w, user);
}

static void sshd(struct world *w, enum audit_user_event event, uint32_t pid, const char *account,
                 bool success)
{
    struct fact_audit_user user = said(event, pid, "/usr/sbin/sshd", account);
    user.terminal = slice_text("ssh");
    user.host_name = slice_text("198.18.0.7");
    user.address = slice_text("198.18.0.7");
    user.success = success;
    if (event == AUDIT_USER_AUTHENTICATED)
        user.login_uid = user.session = ID_UNSET;
    give_audit(w, user);
}

static struct fact_login_record record_of(uint16_t type, uint32_t pid, const char *line,
                                          const char *user, const char *host)
{
    return (struct fact_login_record){.file = LOGIN_FILE_WTMP,
                                      .type = type,
                                      .pid = pid,
                                      .line = slice_text(line),
                                      .user = slice_text(user),
                                      .host = slice_text(host)};
}

static void give_record(struct world *w, struct fact_login_record record)
{
    record.inode = w->inode;
    record.begin = w->offset;
    record.end = w->offset += 384;
    if (!record.real_us)
        record.real_us = now_us(w);
    const struct fact fact = {.kind = FACT_LOGIN_RECORD,
                              .source = SOURCE_UTMP,
                              .boot_ns = w->out.now,
                              .login_record = record};
    sessions_fact(w->sessions, &fact);
}

static void wtmp(struct world *w, uint16_t type, uint32_t pid, const char *line, const char *user,
                 const char *host)
{
    give_record(w, record_of(type, pid, line, user, host));
}

/* Of the past: so many seconds before the test began. */
static void past(struct world *w, int64_t seconds, uint16_t type, uint32_t pid, const char *line,
                 const char *user)
{
    struct fact_login_record record = record_of(type, pid, line, user, "");
    record.old = true;
    record.real_us = real_start / 1000 - seconds * 1000000;
    give_record(w, record);
}

static void log_event(struct world *w, enum login_log_event event, enum login_file file,
                      uint64_t before, uint64_t now)
{
    const struct fact fact = {
        .kind = FACT_LOGIN_LOG,
        .source = SOURCE_UTMP,
        .boot_ns = w->out.now,
        .login_log = {
                      .event = event, .file = file, .inode = w->inode, .before = before, .now = now}
    };
    sessions_fact(w->sessions, &fact);
}

static void begin_scan(struct world *w)
{
    log_event(w, LOGIN_LOG_SCAN_BEGAN, LOGIN_FILE_UTMP, 0, 0);
}

static void end_scan(struct world *w)
{
    log_event(w, LOGIN_LOG_SCAN_ENDED, LOGIN_FILE_UTMP, 0, 0);
}

/* utmp shows nobody. */
static void caught_up(struct world *w)
{
    log_event(w, LOGIN_LOG_CAUGHT_UP, LOGIN_FILE_WTMP, 0, 0);
    begin_scan(w);
    end_scan(w);
    tick(w, 10);
}

/* -- one row of both -- */

static void test_ssh_by_both(void **state)
{
    struct world *w = *state;
    caught_up(w);
    process(w, 100, 5, "sshd");
    process(w, 101, 5, "sshd");
    sshd(w, AUDIT_USER_AUTHENTICATED, 100, "alice", true);
    sshd(w, AUDIT_USER_ACCOUNT, 100, "alice", true);
    tick(w, 5);
    sshd(w, AUDIT_USER_START, 100, "alice", true);
    tick(w, 5);
    wtmp(w, USER_PROCESS, 101, "pts/3", "alice", "client.example");
    sshd(w, AUDIT_USER_LOGIN, 100, "alice", true);
    expect(w, "");
    expect_users(w, "alice");
    tick(w, 2000);
    expect(w, "+1 audit,utmp b 5 1000 alice pts/3 sshd 100 7100 198.18.0.7 client.example\n"
              "! audit alice sshd success 198.18.0.7 - 7100\n");
    tick(w, 8000);
    sshd(w, AUDIT_USER_END, 100, "alice", true);
    wtmp(w, DEAD_PROCESS, 101, "pts/3", "", "");
    expect(w, "-1 10 closed\n");
    expect_users(w, "");
    tick(w, 5000);
    expect(w, "");
    expect_findings(w, "");
}

/* Only the number is said, and its name comes before the row is written, or does not. */
static void test_names_by_number(void **state)
{
    struct world *w = *state;
    caught_up(w);
    for (uint32_t pid = 100; pid < 102; pid++) {
        struct fact_audit_user user = said(AUDIT_USER_START, pid, "/bin/login", "?");
        process(w, pid, 5, "login");
        user.session = pid;
        user.account_uid = pid * 10;
        give_audit(w, user);
        user.event = AUDIT_USER_AUTHENTICATED;
        give_audit(w, user);
    }
    assert_int_equal(w->n_asked, 2);
    user_names_learn(w->names, &(struct fact_user_name){.uid = 1010, .name = slice_text("late")});
    tick(w, 2000);
    expect(w, "+1 audit b 100 1000 - - login 100 7100 - -\n"
              "+2 audit b 101 1000 late - login 101 7101 - -\n"
              "! audit - login success - - 7100\n! audit late login success - - 7101\n");
}

static void test_utmp_first(void **state)
{
    struct world *w = *state;
    caught_up(w);
    process(w, 100, 5, "login");
    wtmp(w, USER_PROCESS, 100, "tty1", "alice", "");
    tick(w, 10);
    audit(w, AUDIT_USER_START, 100, "/bin/login", "alice", "/dev/tty1");
    tick(w, 2000);
    expect(w, "+1 audit,utmp b 5 1000 alice tty1 login 100 7100 - -\n");
    wtmp(w, DEAD_PROCESS, 100, "tty1", "", "");
    audit(w, AUDIT_USER_END, 100, "/bin/login", "alice", "/dev/tty1");
    expect(w, "-1 2 closed\n");
    expect_findings(w, "");
}

/* Both files have the record. */
static void test_utmp_and_wtmp(void **state)
{
    struct world *w = *state;
    struct fact_login_record record = record_of(USER_PROCESS, 100, "pts/1", "bob", "");
    caught_up(w);
    struct actor *leader = process(w, 100, 6, "xterm");
    record.real_us = now_us(w);
    give_record(w, record);
    record.file = LOGIN_FILE_UTMP;
    begin_scan(w);
    give_record(w, record);
    end_scan(w);
    tick(w, 2000);
    expect(w, "+1 utmp b 6 1000 bob pts/1 xterm 100 7100 - -\n");
    process_ends(w, leader);
    begin_scan(w);
    end_scan(w);
    expect(w, "-1 2 closed\n");
    begin_scan(w);
    give_record(w, record);
    end_scan(w);
    tick(w, 3000);
    expect(w, "");
    expect_findings(w, "");
}

/* That it is empty proves nothing about a session whose leader lives. */
static void test_utmp_emptied(void **state)
{
    struct world *w = *state;
    struct fact_login_record record = record_of(USER_PROCESS, 100, "pts/1", "alice", "");
    caught_up(w);
    struct actor *leader = process(w, 100, 5, "sshd");
    sshd(w, AUDIT_USER_START, 100, "alice", true);
    record.file = LOGIN_FILE_UTMP;
    record.real_us = now_us(w);
    begin_scan(w);
    give_record(w, record);
    end_scan(w);
    tick(w, 2000);
    expect(w, "+1 audit,utmp b 5 1000 alice pts/1 sshd 100 7100 198.18.0.7 -\n");
    for (int i = 0; i < 2; i++) {
        begin_scan(w);
        end_scan(w);
        tick(w, 2000);
        expect(w, "");
        expect_users(w, "alice");
        expect_findings(w, i ? ""
                             : "utmp_shrank pts/1: alice, process 100: utmp shows it no more, and "
                               "it lives\n");
    }
    begin_scan(w);
    give_record(w, record);
    end_scan(w);
    sshd(w, AUDIT_USER_END, 100, "alice", true);
    expect(w, "-1 6 closed\n");
    process_ends(w, leader);
    tick(w, 3000);
    expect_findings(w, "");
}

static void test_two_on_one_line(void **state)
{
    struct world *w = *state;
    caught_up(w);
    process(w, 100, 6, "sh");
    process(w, 101, 7, "sh");
    wtmp(w, USER_PROCESS, 100, "pts/1", "bob", "");
    tick(w, 5000);
    wtmp(w, USER_PROCESS, 101, "pts/1", "bob", "");
    tick(w, 2000);
    expect(w, "+1 utmp b 6 1000 bob pts/1 sh 100 7100 - -\n"
              "-1 5 unknown\n"
              "+2 utmp b 7 1000 bob pts/1 sh 101 7101 - -\n");
}

/* The same user twice at once, the first without a terminal. Who writes the record is in the
 * second's audit session. */
static void test_two_at_once(void **state)
{
    struct world *w = *state;
    caught_up(w);
    process(w, 100, 5, "sshd");
    process(w, 101, 6, "sshd");
    process(w, 102, 6, "sshd");
    sshd(w, AUDIT_USER_START, 100, "alice", true);
    tick(w, 500);
    struct fact_audit_user second = said(AUDIT_USER_START, 101, "/usr/sbin/sshd", "alice");
    second.session = 6;
    second.terminal = slice_text("ssh");
    give_audit(w, second);
    wtmp(w, USER_PROCESS, 102, "pts/1", "alice", "198.18.0.7");
    tick(w, 3000);
    expect(w, "+1 audit b 5 1000 alice - sshd 100 7100 198.18.0.7 -\n"
              "+2 audit,utmp b 6 1000 alice pts/1 sshd 101 7101 198.18.0.7 -\n");
}

/* The audit session is that of the login, the row is another. */
static void test_su(void **state)
{
    struct world *w = *state;
    caught_up(w);
    struct actor *su = process(w, 200, 5, "su");
    process(w, 100, 5, "sshd");
    sshd(w, AUDIT_USER_START, 100, "alice", true);
    audit(w, AUDIT_USER_AUTHENTICATED, 200, "/usr/bin/su", "root", "/dev/pts/3");
    audit(w, AUDIT_USER_ACCOUNT, 200, "/usr/bin/su", "root", "/dev/pts/3");
    audit(w, AUDIT_USER_START, 200, "/usr/bin/su", "root", "/dev/pts/3");
    tick(w, 2000);
    expect(w, "+1 audit b 5 1000 alice - sshd 100 7100 198.18.0.7 -\n"
              "+2 audit b 5 1000 root pts/3 su 200 7200 - -\n"
              "! audit root su success - pts/3 7200\n");
    expect_users(w, "alice");
    audit(w, AUDIT_USER_END, 200, "/usr/bin/su", "root", "/dev/pts/3");
    process_ends(w, su);
    tick(w, 3000);
    expect(w, "-2 2 closed\n");
}

static void test_sudo_without_password(void **state)
{
    struct world *w = *state;
    caught_up(w);
    process(w, 200, 5, "sudo");
    audit(w, AUDIT_USER_ACCOUNT, 200, "/usr/bin/sudo", "alice", "/dev/pts/3");
    audit(w, AUDIT_USER_COMMAND, 200, "/usr/bin/sudo", NULL, "pts/3");
    audit(w, AUDIT_USER_START, 200, "/usr/bin/sudo", "root", "/dev/pts/3");
    audit(w, AUDIT_USER_END, 200, "/usr/bin/sudo", "root", "/dev/pts/3");
    expect(w, "");
    tick(w, 2000);
    expect(w, "+1 audit b 5 1000 root pts/3 sudo 200 7200 - - 0 closed\n"
              "! audit alice sudo success - pts/3 7200\n");
}

static void test_cron_is_no_attempt(void **state)
{
    struct world *w = *state;
    caught_up(w);
    process(w, 300, 9, "cron");
    audit(w, AUDIT_USER_ACCOUNT, 300, "/usr/sbin/cron", "root", "cron");
    audit(w, AUDIT_USER_START, 300, "/usr/sbin/cron", "root", "cron");
    const struct fact login = {
        .kind = FACT_AUDIT_LOGIN,
        .boot_ns = w->out.now,
        .audit_login = {.pid = 300, .login_uid = 0, .session = 9}
    };
    sessions_fact(w->sessions, &login);
    tick(w, 2000);
    expect(w, "+1 audit b 9 0 root - cron 300 7300 - -\n");
    expect_users(w, "");
}

/* Whom these make somebody else has not logged in. */
static void test_inner_services(void **state)
{
    static const char *const programs[] = {
        "/usr/bin/su",   "/usr/bin/sudo", "/usr/bin/pkexec", "/usr/bin/doas",
        "/sbin/runuser", "/usr/sbin/atd", "/usr/sbin/crond", "/lib/systemd/systemd"};
    struct world *w = *state;
    caught_up(w);
    for (uint32_t i = 0; i < 8; i++)
        audit(w, AUDIT_USER_START, 300 + i, programs[i], "root", "?");
    assert_int_equal(sessions_rows(w->sessions), 8);
    expect_users(w, "");
}

/* The account is refused: that is told. */
static void test_cron_is_refused(void **state)
{
    struct world *w = *state;
    caught_up(w);
    process(w, 300, ID_UNSET, "cron");
    struct fact_audit_user user = said(AUDIT_USER_ACCOUNT, 300, "/usr/sbin/cron", "alice");
    user.terminal = slice_text("cron");
    user.success = false;
    give_audit(w, user);
    tick(w, 2000);
    expect(w, "! audit alice cron failure - - 7300\n");
}

/* systemd's word, and that of (sd-pam), which closes; the login that it began with is another. */
static void test_user_manager(void **state)
{
    struct world *w = *state;
    caught_up(w);
    process(w, 100, 5, "sshd");
    process(w, 400, 6, "systemd");
    process(w, 401, 6, "(sd-pam)");
    sshd(w, AUDIT_USER_START, 100, "alice", true);
    audit(w, AUDIT_USER_ACCOUNT, 400, "/usr/lib/systemd/systemd", "alice", "?");
    manager(w, AUDIT_USER_START, 400, "/usr/lib/systemd/systemd");
    wtmp(w, USER_PROCESS, 100, "pts/3", "alice", "");
    tick(w, 2000);
    expect(w, "+1 audit,utmp b 5 1000 alice pts/3 sshd 100 7100 198.18.0.7 -\n"
              "+2 audit b 6 1000 alice - systemd-user 400 7400 - -\n");
    expect_users(w, "alice");
    manager(w, AUDIT_USER_END, 401, "/usr/lib/systemd/systemd-executor");
    tick(w, 1);
    expect(w, "-2 2 closed\n");
    expect_findings(w, "");
}

/* It is heard when its leader's end has ended the row. */
static void test_user_manager_closes_late(void **state)
{
    struct world *w = *state;
    caught_up(w);
    struct actor *leader = process(w, 400, 6, "systemd");
    manager(w, AUDIT_USER_START, 400, "/usr/lib/systemd/systemd");
    tick(w, 3000);
    process_ends(w, leader);
    tick(w, 3000);
    process(w, 401, 6, "(sd-pam)");
    manager(w, AUDIT_USER_END, 401, "/usr/lib/systemd/systemd");
    tick(w, 3000);
    expect(w, "+1 audit b 6 1000 alice - systemd-user 400 7400 - -\n"
              "-1 3 exit\n");
    expect_findings(w, "");
}

/* Who opened it is gone, or it is the only one of its kind: then it is closed by whoever is of the
 * same service in the same audit session. Of two that live nobody knows which. */
static void test_closed_by_another_process(void **state)
{
    struct world *w = *state;
    caught_up(w);
    process(w, 100, 5, "gdm");
    audit(w, AUDIT_USER_START, 100, "/usr/sbin/gdm", "alice", "?");
    tick(w, 2000);
    expect(w, "+1 audit b 5 1000 alice - gdm 100 7100 - -\n");
    audit(w, AUDIT_USER_END, 101, "/usr/sbin/gdm", "alice", "?");
    expect(w, "-1 2 closed\n");
    audit(w, AUDIT_USER_END, 102, "/usr/sbin/gdm", "alice", "?");
    expect_findings(w, "");
    process(w, 200, 5, "su");
    struct actor *second = process(w, 201, 5, "su");
    audit(w, AUDIT_USER_START, 200, "/usr/bin/su", "root", "/dev/pts/1");
    audit(w, AUDIT_USER_START, 201, "/usr/bin/su", "root", "/dev/pts/2");
    tick(w, 2000);
    expect(w, "+2 audit b 5 1000 root pts/1 su 200 7200 - -\n"
              "+3 audit b 5 1000 root pts/2 su 201 7201 - -\n");
    audit(w, AUDIT_USER_END, 202, "/usr/bin/su", "root", "/dev/pts/3");
    expect(w, "");
    expect_findings(w, "logout_without_login pid 202: su, process 202, closed a session that was "
                       "not opened\n");
    process_ends(w, second);
    audit(w, AUDIT_USER_END, 203, "/usr/bin/su", "root", "/dev/pts/2");
    expect(w, "-3 4 closed\n");
    expect_findings(w, "");
}

/* -- ends -- */

/* Audit is read when the connector has told that the leader is gone. */
static void test_leader_ends_first(void **state)
{
    struct world *w = *state;
    caught_up(w);
    struct actor *leader = process(w, 400, 6, "systemd");
    tick(w, 20);
    process_ends(w, leader);
    manager(w, AUDIT_USER_START, 400, "/usr/lib/systemd/systemd");
    tick(w, 2000);
    expect(w, "+1 audit b 6 1000 alice - systemd-user 400 7400 - - 0 exit\n");
}

static void test_leader_killed(void **state)
{
    struct world *w = *state;
    caught_up(w);
    struct actor *leader = process(w, 100, 5, "sshd");
    sshd(w, AUDIT_USER_START, 100, "alice", true);
    tick(w, 4000);
    process_ends(w, leader);
    tick(w, 1000);
    expect(w, "+1 audit b 5 1000 alice - sshd 100 7100 198.18.0.7 -\n");
    tick(w, 1000);
    expect(w, "-1 4 exit\n");
}

/* All in one gulp. */
static void test_leader_killed_at_once(void **state)
{
    struct world *w = *state;
    caught_up(w);
    struct actor *leaders[4];
    for (uint32_t i = 0; i < 4; i++)
        leaders[i] = process(w, 100 + i, i == 3 ? ID_UNSET : 5 + i, "sshd");
    tick(w, 10);
    sshd(w, AUDIT_USER_START, 100, "alice", true);
    wtmp(w, USER_PROCESS, 101, "pts/1", "bob", "");
    wtmp(w, USER_PROCESS, 102, "pts/2", "carol", "");
    struct fact_audit_user user = said(AUDIT_USER_START, 104, "/usr/sbin/sshd", "carol");
    user.session = 7;
    give_audit(w, user); /* carol's leader is another process */
    leaders[2]->pid = 104;
    sshd(w, AUDIT_USER_LOGIN, 103, "nobody-there", false);
    for (int i = 0; i < 4; i++)
        process_ends(w, leaders[i]);
    tick(w, 2000);
    tick(w, 0);
    expect(w, "! audit nobody-there sshd failure 198.18.0.7 - 7103\n"
              "+1 audit b 5 1000 alice - sshd 100 7100 198.18.0.7 - 0 exit\n"
              "+2 utmp b 6 1000 bob pts/1 sshd 101 7101 - - 0 exit\n"
              "+3 audit,utmp b 7 1000 carol pts/2 sshd 104 7102 - - 0 exit\n");
}

static void test_exec_of_the_leader_ends_nothing(void **state)
{
    struct world *w = *state;
    caught_up(w);
    struct actor *leader = process(w, 100, 5, "sshd");
    sshd(w, AUDIT_USER_START, 100, "alice", true);
    tick(w, 2000);
    struct actor image = *leader;
    image.until_ns = w->out.now;
    image.end_cause = END_EXEC;
    sessions_image_ended(w->sessions, &image);
    tick(w, 5000);
    expect(w, "+1 audit b 5 1000 alice - sshd 100 7100 198.18.0.7 -\n");
}

static void test_past_with_reboots(void **state)
{
    struct world *w = *state;
    past(w, 9000, BOOT_TIME, 0, "~", "reboot");
    past(w, 8000, USER_PROCESS, 10, "pts/0", "alice");
    past(w, 7900, USER_PROCESS, 11, "pts/1", "bob");
    past(w, 7000, DEAD_PROCESS, 10, "pts/0", "");
    past(w, 6900, RUN_LVL, 0, "~", "runlevel");
    past(w, 6000, BOOT_TIME, 0, "~", "reboot");
    past(w, 5000, USER_PROCESS, 12, "pts/0", "carol");
    past(w, 4000, RUN_LVL, 0, "~~", "shutdown");
    past(w, 3900, OLD_TIME, 0, "|", "");
    past(w, 3900, NEW_TIME, 0, "{", "");
    past(w, 3000, LOGIN_PROCESS, 13, "tty1", "LOGIN");
    past(w, 2000, USER_PROCESS, 14, "tty1", "dave");
    expect(w, "+1 utmp - - - alice pts/0 - 10 - - - -7000 closed\n"
              "+2 utmp - - - bob pts/1 - 11 - - - -6000 reboot\n"
              "+3 utmp - - - carol pts/0 - 12 - - - -4000 reboot\n");
    caught_up(w);
    /* the boot clock began then */
    expect(w, "+4 utmp - - - dave tty1 - 14 - - - -1000 reboot\n");
    expect_findings(w, "");
}

/* Who has the pid now began long after the login. */
static void test_past_of_a_reused_pid(void **state)
{
    struct world *w = *state;
    past(w, 900, USER_PROCESS, 900, "pts/3", "mallory");
    process(w, 900, ID_UNSET, "nginx");
    caught_up(w);
    tick(w, 3000);
    expect(w, "+1 utmp b - - mallory pts/3 - 900 - - - 0 reconciled\n");
    expect_users(w, "");
}

/* The clock was half an hour behind at boot and at the first login, and right at the second; then
 * the agent began. Of a former boot is only who does not live. */
static void test_clock_set_after_boot(void **state)
{
    struct world *w = *state;
    struct fact_login_record boot = record_of(BOOT_TIME, 0, "~", "reboot", "");
    process(w, 40, 3, "login")->began_ns = boot_start - 910000 * MS;
    process(w, 41, 4, "login")->began_ns = boot_start - 110000 * MS;
    process(w, 42, ID_UNSET, "nginx")->began_ns = boot_start - 50000 * MS;
    past(w, 2800, BOOT_TIME, 0, "~", "reboot");
    past(w, 2700, USER_PROCESS, 40, "tty1", "alice");
    past(w, 2650, USER_PROCESS, 42, "tty3", "mallory");
    past(w, 2600, USER_PROCESS, 43, "tty4", "eve");
    past(w, 100, USER_PROCESS, 41, "tty2", "bob");
    log_event(w, LOGIN_LOG_CAUGHT_UP, LOGIN_FILE_WTMP, 0, 0);
    tick(w, 10);
    expect(w, ""); /* utmp, which is read next, knows when the boot was by the clock of then */
    boot.file = LOGIN_FILE_UTMP;
    boot.old = true;
    boot.real_us = real_start / 1000 - 2800 * INT64_C(1000000);
    begin_scan(w);
    give_record(w, boot);
    end_scan(w);
    tick(w, 10);
    tick(w, 10);
    expect(w, "+1 utmp - - - mallory tty3 - 42 - - - -1000 reboot\n"
              "+2 utmp - - - eve tty4 - 43 - - - -1000 reboot\n"
              "+3 utmp b 3 1000 alice tty1 login 40 7040 - -\n"
              "+4 utmp b 4 1000 bob tty2 login 41 7041 - -\n");
    expect_users(w, "alice,bob");
}

/* There is no utmp: it is not waited for long. */
static void test_past_without_utmp(void **state)
{
    struct world *w = *state;
    past(w, 500, USER_PROCESS, 11, "pts/1", "bob");
    log_event(w, LOGIN_LOG_CAUGHT_UP, LOGIN_FILE_WTMP, 0, 0);
    tick(w, 1990);
    expect(w, "");
    tick(w, 10);
    expect(w, "+1 utmp b - - bob pts/1 - 11 - - - 2 reconciled\n");
}

/* utmp shows who logged in before the agent began, when all else is known already. */
static void test_late_utmp(void **state)
{
    struct world *w = *state;
    struct fact_login_record record = record_of(USER_PROCESS, 10, "pts/1", "bob", "");
    caught_up(w);
    process(w, 10, 3, "sshd")->began_ns = boot_start - 600000 * MS;
    record.file = LOGIN_FILE_UTMP;
    record.old = true;
    record.real_us = real_start / 1000 - 500 * INT64_C(1000000);
    begin_scan(w);
    give_record(w, record);
    end_scan(w);
    tick(w, 10);
    tick(w, 10);
    expect(w, "+1 utmp b 3 1000 bob pts/1 sshd 10 7010 - -\n");
}

/* utmp forgets him before the processes are known. */
static void test_shown_no_more_and_unproven(void **state)
{
    struct world *w = *state;
    struct fact_login_record record = record_of(USER_PROCESS, 10, "pts/1", "bob", "");
    w->known = false;
    tick(w, 10);
    log_event(w, LOGIN_LOG_CAUGHT_UP, LOGIN_FILE_WTMP, 0, 0);
    record.file = LOGIN_FILE_UTMP;
    record.old = true;
    record.real_us = real_start / 1000 - 500 * INT64_C(1000000);
    begin_scan(w);
    give_record(w, record);
    end_scan(w);
    begin_scan(w);
    end_scan(w);
    process(w, 10, 3, "sshd")->began_ns = boot_start - 600000 * MS;
    w->known = true;
    tick(w, 10);
    tick(w, 10);
    expect(w, "+1 utmp b 3 1000 bob pts/1 sshd 10 7010 - -\n");
}

/* The clock was set back below the time of the boot, as it was taken. */
static void test_clock_set_back(void **state)
{
    struct world *w = *state;
    struct fact_login_record record = record_of(USER_PROCESS, 100, "pts/1", "bob", "");
    caught_up(w);
    struct actor *leader = process(w, 100, 5, "login");
    w->clock_ns = -7200 * (int64_t)1000 * (int64_t)MS;
    int64_t real_ns = now_us(w) * 1000;
    assert_int_equal(timeline_tick(&w->out.timeline, w->out.now, real_ns, 0), TIMELINE_STEP_TAKEN);
    give_record(w, record);
    tick(w, 2000);
    expect(w, "+1 utmp b 5 1000 bob pts/1 login 100 7100 - -\n");
    process_ends(w, leader);
    tick(w, 2000);
    expect(w, "-1 -7198 exit\n");
}

/* By half an hour, which is not followed: audit's time is ours, that of utmp is the clock's. */
static void move_clock(struct world *w, int64_t seconds)
{
    caught_up(w);
    process(w, 100, ID_UNSET, "sshd");
    process(w, 101, ID_UNSET, "sshd");
    struct fact_audit_user user = said(AUDIT_USER_START, 100, "/usr/sbin/sshd", "alice");
    user.session = user.login_uid = ID_UNSET;
    w->clock_ns = seconds * 1000 * (int64_t)MS;
    tick(w, 10);
    give_audit(w, user);
    wtmp(w, USER_PROCESS, 100, "pts/1", "alice", "");
    wtmp(w, USER_PROCESS, 101, "pts/2", "bob", "");
    user.pid = 101;
    user.account = slice_text("bob");
    give_audit(w, user);
    tick(w, 2000);
    expect(w, "+1 audit,utmp b - - alice pts/1 sshd 100 7100 - -\n"
              "+2 audit,utmp b - - bob pts/2 sshd 101 7101 - -\n");
    w->processes[0].process_id++;
    w->clock_ns = 0;
    tick(w, 10);
    wtmp(w, BOOT_TIME, 0, "~", "reboot", "");
    w->clock_ns = 3600 * 1000 * (int64_t)MS;
    tick(w, 10);
    wtmp(w, BOOT_TIME, 0, "~", "reboot", "");
    expect(w, "");
    expect_findings(w, "");
}

static void test_clock_forward(void **state)
{
    move_clock(*state, 1800);
}

static void test_clock_back(void **state)
{
    move_clock(*state, -1800);
}

/* A record of a login long ago is not of the session that has the same pid now. */
static void test_old_record_of_the_same_pid(void **state)
{
    struct world *w = *state;
    tick(w, 10);
    process(w, 100, 5, "sshd");
    process(w, 101, 6, "sshd");
    sshd(w, AUDIT_USER_START, 100, "alice", true);
    tick(w, 2000);
    struct fact_audit_user user = said(AUDIT_USER_START, 101, "/usr/sbin/sshd", "bob");
    user.session = 6;
    give_audit(w, user);
    past(w, 900, USER_PROCESS, 100, "pts/1", "mallory");
    past(w, 800, USER_PROCESS, 101, "pts/2", "eve");
    caught_up(w);
    tick(w, 2000);
    expect(w, "+1 audit b 5 1000 alice - sshd 100 7100 198.18.0.7 -\n"
              "+2 utmp b - - mallory pts/1 - 100 - - - 2 reconciled\n"
              "+3 utmp b - - eve pts/2 - 101 - - - 2 reconciled\n"
              "+4 audit b 6 1000 bob - sshd 101 7101 - -\n");
}

/* Who is logged in is known when the files have been read and all processes found. */
static void test_users_are_known(void **state)
{
    struct world *w = *state;
    w->known = false;
    tick(w, 10);
    assert_false(sessions_users_known(w->sessions));
    caught_up(w);
    assert_false(sessions_users_known(w->sessions));
    w->known = true;
    tick(w, 10);
    assert_true(sessions_users_known(w->sessions));
}

/* Logged in before the agent began: by a process that lives, and by one that does not. */
static void test_past_of_this_boot(void **state)
{
    struct world *w = *state;
    w->known = false;
    process(w, 10, 3, "sshd")->began_ns = boot_start - 600000 * MS;
    past(w, 500, USER_PROCESS, 10, "pts/0", "alice");
    past(w, 400, USER_PROCESS, 11, "pts/1", "bob");
    caught_up(w);
    assert_false(sessions_settled_until(w->sessions, w->out.now));
    expect(w, "");
    w->known = true;
    tick(w, 10);
    tick(w, 10);
    expect(w, "+1 utmp b - - bob pts/1 - 11 - - - 0 reconciled\n"
              "+2 utmp b 3 1000 alice pts/0 sshd 10 7010 - -\n");
    assert_true(sessions_settled_until(w->sessions, w->out.now));
}

/* A reboot that did not happen: its leader lives. */
static void test_reboot_record(void **state)
{
    struct world *w = *state;
    caught_up(w);
    process(w, 100, 6, "sh");
    wtmp(w, USER_PROCESS, 100, "pts/1", "bob", "");
    wtmp(w, USER_PROCESS, 101, "pts/2", "eve", "");
    tick(w, 3000);
    expect(w, "+1 utmp b 6 1000 bob pts/1 sh 100 7100 - -\n"
              "+2 utmp b - - eve pts/2 - 101 - - -\n");
    wtmp(w, BOOT_TIME, 0, "~", "reboot", "6.1");
    expect(w, "-2 3 reboot\n");
}

/* -- findings -- */

static void test_findings(void **state)
{
    struct world *w = *state;
    caught_up(w);
    tick(w, 10);
    wtmp(w, LOGIN_PROCESS, 50, "tty1", "LOGIN", "");
    wtmp(w, DEAD_PROCESS, 50, "tty1", "", "");
    expect_findings(w, "");
    wtmp(w, DEAD_PROCESS, 51, "pts/9", "", "");
    expect_findings(w, "logout_without_login pts/9: process 51: a logout of nobody who was logged "
                       "in\n");
    process(w, 52, 4, "sshd");
    sshd(w, AUDIT_USER_END, 52, "alice", true);
    expect_findings(w, "logout_without_login pid 52: sshd, process 52, closed a session that was "
                       "not opened\n");
    wtmp(w, USER_PROCESS, 53, "pts/8", "mallory", "");
    tick(w, 2000);
    expect(w, "+1 utmp b - - mallory pts/8 - 53 - - -\n");
    expect_findings(w, "session_without_leader pts/8: process 53, which a login names, was never "
                       "there\n");
    log_event(w, LOGIN_LOG_SHRANK, LOGIN_FILE_WTMP, 3840, 384);
    log_event(w, LOGIN_LOG_ROTATED, LOGIN_FILE_WTMP, 5, 6);
    log_event(w, LOGIN_LOG_REPLACED, LOGIN_FILE_BTMP, 7, 8);
    log_event(w, LOGIN_LOG_REPLACED, LOGIN_FILE_WTMP, 6, 0);
    log_event(w, LOGIN_LOG_ROTATED, LOGIN_FILE_BTMP, 8, 0);
    expect_findings(w, "wtmp_shrank wtmp: 3840 bytes were read, now it has 384\n"
                       "wtmp_changed_inode wtmp: the one before was renamed; inode 6, before 5\n"
                       "btmp_changed_inode btmp: the one before is gone; inode 8, before 7\n"
                       "wtmp_changed_inode wtmp: inode 6 is gone, and there is no other\n"
                       "btmp_changed_inode btmp: inode 8 was renamed and is gone, and there is no "
                       "other\n");
    assert_int_equal(sessions_findings(w->sessions), 8);
}

/* What comes from outside is evidence text in a finding, too, and whole. */
static void test_hostile_findings(void **state)
{
    struct world *w = *state;
    char longest[1000], expected[4096] = "logout_without_login pid 54: ";
    caught_up(w);
    wtmp(w, DEAD_PROCESS, 51, "\xff\xfe\n", "", "");
    expect_findings(w, "logout_without_login \\xff\\xfe\n: process 51: a logout of nobody who was "
                       "logged in\n");
    wtmp(w, DEAD_PROCESS, 52, "", "", "");
    expect_findings(w, "logout_without_login pid 52: process 52: a logout of nobody who was logged "
                       "in\n");
    memset(longest, 0xff, sizeof(longest));
    struct fact_audit_user user = said(AUDIT_USER_END, 54, "", "alice");
    user.exe = slice_of(longest, sizeof(longest));
    give_audit(w, user);
    size_t length = strlen(expected);
    for (int i = 0; i < 253; i++, length += 4)
        memcpy(expected + length, "\\xff", 4);
    strcpy(expected + length, "..., process 54, closed a session that was not opened\n");
    expect_findings(w, expected);
}

/* -- attempts -- */

static struct fact_login_record btmp_of(uint32_t pid, const char *line, const char *user)
{
    struct fact_login_record record = record_of(LOGIN_PROCESS, pid, line, user, "198.18.0.7");
    record.file = LOGIN_FILE_BTMP;
    record.address.family = AF_INET;
    inet_pton(AF_INET, "198.18.0.7", record.address.bytes);
    return record;
}

/* PAM, sshd and btmp speak of one attempt; the name that does not exist is in btmp only. */
static void test_attempt_by_three(void **state)
{
    struct world *w = *state;
    caught_up(w);
    process(w, 100, ID_UNSET, "sshd");
    sshd(w, AUDIT_USER_AUTHENTICATED, 100, "?", false);
    sshd(w, AUDIT_USER_LOGIN, 100, "(invalid user)", false);
    give_record(w, btmp_of(100, "ssh:notty", "nobody-there"));
    expect(w, "");
    tick(w, 2000);
    expect(w, "! audit,utmp nobody-there sshd failure 198.18.0.7 - 7100\n");
}

static void test_three_attempts_of_one_process(void **state)
{
    struct world *w = *state;
    caught_up(w);
    process(w, 100, ID_UNSET, "sshd");
    for (int i = 0; i < 3; i++) {
        sshd(w, AUDIT_USER_AUTHENTICATED, 100, "alice", i == 2);
        if (i < 2)
            give_record(w, btmp_of(100, "ssh:notty", "alice"));
        tick(w, 100);
    }
    sshd(w, AUDIT_USER_ACCOUNT, 100, "alice", true);
    tick(w, 2000);
    expect(w, "! audit,utmp alice sshd failure 198.18.0.7 - 7100\n"
              "! audit,utmp alice sshd failure 198.18.0.7 - 7100\n"
              "! audit alice sshd success 198.18.0.7 - 7100\n");
}

static void test_probes(void **state)
{
    struct world *w = *state;
    caught_up(w);
    struct actor *first = process(w, 100, ID_UNSET, "sshd");
    process(w, 101, ID_UNSET, "sshd");
    sshd(w, AUDIT_USER_LOGIN, 100, "(invalid user)", false);
    sshd(w, AUDIT_USER_LOGIN, 100, "nobody-there", false);
    sshd(w, AUDIT_USER_LOGIN, 101, "alice", false);
    tick(w, 60000);
    expect(w, "");
    assert_true(sessions_settled_until(w->sessions, w->out.now));
    sshd(w, AUDIT_USER_AUTHENTICATED, 101, "alice", false);
    sshd(w, AUDIT_USER_LOGIN, 101, "alice", false);
    give_record(w, btmp_of(101, "ssh:notty", "alice"));
    tick(w, 2000);
    expect(w, "! audit,utmp alice sshd failure 198.18.0.7 - 7101\n");
    sshd(w, AUDIT_USER_LOGIN, 101, "alice", false);
    sshd(w, AUDIT_USER_ACCOUNT, 101, "alice", true);
    process_ends(w, first);
    tick(w, 2000);
    expect(w, "! audit nobody-there sshd failure 198.18.0.7 - 7100\n"
              "! audit alice sshd success 198.18.0.7 - 7101\n");
}

/* The word of success is another process's, as without PAM: the connection of the same user and
 * address tried before. */
static void test_probe_of_another_process(void **state)
{
    struct world *w = *state;
    caught_up(w);
    process(w, 100, ID_UNSET, "sshd");
    struct actor *other = process(w, 101, ID_UNSET, "sshd");
    process(w, 102, ID_UNSET, "sshd");
    sshd(w, AUDIT_USER_LOGIN, 100, "alice", false);
    sshd(w, AUDIT_USER_LOGIN, 101, "bob", false);
    tick(w, 5000);
    sshd(w, AUDIT_USER_LOGIN, 102, "alice", true);
    process_ends(w, other);
    tick(w, 2000);
    expect(w, "+1 audit b 5 1000 alice - sshd 102 7102 198.18.0.7 -\n"
              "! audit bob sshd failure 198.18.0.7 - 7101\n"
              "! audit alice sshd success 198.18.0.7 - 7102\n");
    tick(w, 200000);
    expect(w, "");
}

/* Its time is that of the word that audit has heard, in the same second. */
static void test_probe_before_btmp(void **state)
{
    struct world *w = *state;
    caught_up(w);
    tick(w, 400);
    process(w, 100, ID_UNSET, "sshd");
    sshd(w, AUDIT_USER_LOGIN, 100, "alice", false);
    struct fact_login_record record = btmp_of(100, "ssh:notty", "alice");
    record.real_us = real_start / 1000;
    give_record(w, record);
    tick(w, 2000);
    expect(w, "! audit,utmp alice sshd failure 198.18.0.7 - 7100\n");
    struct slice line = row_sink_memory_line(&w->out.memory, w->out.n_seen - 1);
    assert_int_equal(line_parse_time(row_sink_memory_value(line, 0)),
                     real_start / 1000 + 400000 + 10000);
}

/* Later than the bound, or of another user: another attempt. */
static void test_attempts_that_are_two(void **state)
{
    struct world *w = *state;
    caught_up(w);
    process(w, 100, ID_UNSET, "sshd");
    sshd(w, AUDIT_USER_AUTHENTICATED, 100, "alice", false);
    give_record(w, btmp_of(101, "ssh:notty", "bob"));
    tick(w, 2000);
    expect(w, "! utmp bob sshd failure 198.18.0.7 - -\n");
    tick(w, 3000);
    expect(w, "! audit alice sshd failure 198.18.0.7 - 7100\n");
    give_record(w, btmp_of(100, "ssh:notty", "alice"));
    tick(w, 2000);
    expect(w, "! utmp alice sshd failure 198.18.0.7 - 7100\n");
}

/* PAM makes who gave a wrong password wait before sshd tells; btmp has whole seconds. */
static void test_late_words(void **state)
{
    struct world *w = *state;
    caught_up(w);
    process(w, 100, ID_UNSET, "sshd");
    tick(w, 500);
    sshd(w, AUDIT_USER_AUTHENTICATED, 100, "alice", false);
    tick(w, 2900);
    struct fact_login_record record = btmp_of(100, "ssh:notty", "alice");
    record.real_us = now_us(w) / 1000000 * 1000000;
    sshd(w, AUDIT_USER_LOGIN, 100, "alice", false);
    give_record(w, record);
    tick(w, 2000);
    expect(w, "! audit,utmp alice sshd failure 198.18.0.7 - 7100\n");
}

/* The process that has become the user's tells of the terminal. */
static void test_login_by_another_process(void **state)
{
    struct world *w = *state;
    caught_up(w);
    process(w, 100, 5, "sshd");
    process(w, 101, 5, "sshd");
    sshd(w, AUDIT_USER_ACCOUNT, 100, "alice", true);
    struct fact_audit_user user = said(AUDIT_USER_LOGIN, 101, "/usr/sbin/sshd", "alice");
    user.terminal = slice_text("/dev/pts/4");
    user.address = slice_text("198.18.0.7");
    sshd(w, AUDIT_USER_START, 100, "alice", true);
    give_audit(w, user);
    tick(w, 2000);
    expect(w, "+1 audit b 5 1000 alice pts/4 sshd 100 7100 198.18.0.7 -\n"
              "! audit alice sshd success 198.18.0.7 pts/4 7100\n");
}

static void test_account_refused(void **state)
{
    struct world *w = *state;
    caught_up(w);
    process(w, 100, ID_UNSET, "sshd");
    sshd(w, AUDIT_USER_AUTHENTICATED, 100, "alice", true);
    sshd(w, AUDIT_USER_ACCOUNT, 100, "alice", false);
    tick(w, 2000);
    expect(w, "! audit alice sshd failure 198.18.0.7 - 7100\n");
}

static void test_old_attempts_do_not_wait(void **state)
{
    struct world *w = *state;
    struct fact_login_record record = btmp_of(9, "ssh:notty", "alice");
    record.old = true;
    record.real_us = real_start / 1000 - 3600 * INT64_C(1000000);
    tick(w, 0);
    const struct fact first = {.kind = FACT_LOGIN_LOG, .boot_ns = w->out.now};
    sessions_fact(w->sessions, &first);
    for (int i = 0; i < 20; i++)
        give_record(w, record);
    assert_int_equal(w->out.memory.n_lines, 20);
    struct login_cursor wtmp_cursor, btmp_cursor;
    sessions_cursors(w->sessions, &wtmp_cursor, &btmp_cursor);
    assert_int_equal(btmp_cursor.offset, 20 * 384);
    assert_int_equal(btmp_cursor.inode, 77);
}

/* -- bounds and hostile input -- */

static void test_bounds(void **state)
{
    struct world *w = *state;
    caught_up(w);
    char line[16];
    for (unsigned i = 0; i < SESSIONS_MOST + 3; i++) {
        snprintf(line, sizeof(line), "pts/%u", i);
        wtmp(w, USER_PROCESS, 100 + i, line, "alice", "");
    }
    assert_int_equal(sessions_take_beyond(w->sessions), 3);
    for (unsigned i = 0; i < ATTEMPTS_MOST + 3; i++) {
        snprintf(line, sizeof(line), "u%u", i);
        give_record(w, btmp_of(500 + i, "ssh:notty", line));
    }
    assert_int_equal(w->out.memory.n_lines, 3); /* the oldest are written as they are */
    expect_users(w, "alice");
    tick(w, 2000);
    assert_int_equal(w->out.memory.n_lines, SESSIONS_MOST + ATTEMPTS_MOST + 3);
}

static void test_hostile_text(void **state)
{
    struct world *w = *state;
    char longest[1000];
    caught_up(w);
    struct fact_login_record record = record_of(USER_PROCESS, 0, "pts/1", "", "");
    record.user = slice_of("a\tb\\N\n\xff\0c,d", 11);
    record.real_us = INT64_MAX;
    give_record(w, record);
    memset(longest, 'x', sizeof(longest));
    struct fact_audit_user user = said(AUDIT_USER_AUTHENTICATED, 100, "/usr/sbin/sshd", "");
    user.account = user.host_name = slice_of(longest, sizeof(longest));
    user.address = slice_text("198.18.0.7 or so");
    give_audit(w, user);
    tick(w, 2000);
    struct slice line = row_sink_memory_line(&w->out.memory, 0);
    assert_true(slice_is(row_sink_memory_value(line, 5), "a\\tb\\\\N\\n\\\\xff\\\\x00c,d"));
    assert_true(slice_is(row_sink_memory_value(line, 8), "\\N"));
    line = row_sink_memory_line(&w->out.memory, 1);
    assert_int_equal(row_sink_memory_value(line, 2).length, 256);
    assert_memory_equal(row_sink_memory_value(line, 2).data + 250, "xxx...", 6);
    assert_true(slice_is(row_sink_memory_value(line, 5), "\\N"));
}

static void test_sink_refuses(void **state)
{
    struct world *w = *state;
    caught_up(w);
    process(w, 100, 5, "sshd");
    sshd(w, AUDIT_USER_AUTHENTICATED, 100, "alice", true);
    sshd(w, AUDIT_USER_START, 100, "alice", true);
    w->out.memory.refuse = -ENOSPC;
    tick(w, 2000);
    sshd(w, AUDIT_USER_END, 100, "alice", true);
    tick(w, 2000);
    assert_int_equal(w->out.memory.n_lines, 0);
    w->out.memory.refuse = 0;
    tick(w, 10);
    expect(w, "+1 audit b 5 1000 alice - sshd 100 7100 198.18.0.7 - 2 closed\n"
              "! audit alice sshd success 198.18.0.7 - 7100\n");
    assert_int_equal(w->out.output.refused_rows, 0);
}

/* -- restart -- */

struct kept {
    struct slice values[32];
    size_t n;
};

/* The lines so far, to another run. */
static void restore_lines(struct world *w)
{
    size_t n_lines = w->out.memory.n_lines;
    for (size_t i = 0; i < n_lines; i++) {
        struct slice line = row_sink_memory_line(&w->out.memory, i);
        char verb[16], table[32], copy[96] = "";
        unsigned long id;
        memcpy(copy, line.data, line.length < sizeof(copy) ? line.length : sizeof(copy) - 1);
        assert_int_equal(sscanf(copy, "%15s %31s %lu", verb, table, &id), 3);
        struct kept kept = {.n = 0};
        for (;; kept.n++) {
            struct slice value = row_sink_memory_value(line, kept.n);
            if (slice_is_null(value))
                break;
            kept.values[kept.n] = slice_is(value, "\\N") ? SLICE_NULL : value;
        }
        sessions_restore(w->sessions, verb_find(slice_text(verb)),
                         catalogue_find(slice_text(table)), id, kept.values, kept.n);
    }
}

static void restart(struct world *w, bool same_boot)
{
    sessions_free(w->sessions);
    open_sessions(w);
    restore_lines(w);
    sessions_restored(w->sessions, same_boot, (uint64_t)now_us(w));
}

static void log_in_two(struct world *w)
{
    caught_up(w);
    process(w, 100, 5, "sshd");
    process(w, 101, 6, "sshd");
    sshd(w, AUDIT_USER_START, 100, "alice", true);
    wtmp(w, USER_PROCESS, 101, "pts/2", "bob", "");
    tick(w, 2000);
    expect(w, "+1 audit b 5 1000 alice - sshd 100 7100 198.18.0.7 -\n"
              "+2 utmp b 6 1000 bob pts/2 sshd 101 7101 - -\n");
}

static void test_restart(void **state)
{
    struct world *w = *state;
    log_in_two(w);
    sshd(w, AUDIT_USER_AUTHENTICATED, 102, "carol", false);
    tick(w, 5000);
    expect(w, "! audit carol sshd failure 198.18.0.7 - -\n");
    w->processes[1].process_id++; /* it has become another program */
    restart(w, true);
    caught_up(w);
    expect(w, "");
    expect_users(w, "alice,bob");
    sessions_checkpoint(w->sessions);
    expect(w, "+1 audit b 5 1000 alice - sshd 100 7100 198.18.0.7 -\n"
              "+2 utmp b 6 1000 bob pts/2 sshd 101 7101 - -\n");
    sshd(w, AUDIT_USER_END, 100, "alice", true);
    wtmp(w, DEAD_PROCESS, 101, "pts/2", "", "");
    expect(w, "-1 7 closed\n"
              "-2 7 closed\n");
    expect_findings(w, "");
}

/* What a crash left behind the mark is read once more. */
static void test_read_again(void **state)
{
    struct world *w = *state;
    struct fact_login_record login = record_of(USER_PROCESS, 101, "pts/2", "bob", ""),
                             logout = record_of(DEAD_PROCESS, 101, "pts/2", "", ""),
                             failure = btmp_of(103, "ssh:notty", "eve");
    caught_up(w);
    process(w, 101, 6, "sshd");
    login.real_us = failure.real_us = now_us(w);
    give_record(w, login);
    give_record(w, failure);
    tick(w, 2000);
    logout.real_us = now_us(w);
    give_record(w, logout);
    expect(w, "+1 utmp b 6 1000 bob pts/2 sshd 101 7101 - -\n"
              "! utmp eve sshd failure 198.18.0.7 - -\n"
              "-1 2 closed\n");
    tick(w, 100);
    restart(w, true);
    login.old = logout.old = failure.old = true;
    give_record(w, login);
    give_record(w, failure);
    give_record(w, logout);
    caught_up(w);
    tick(w, 2000);
    expect(w, "");
    expect_findings(w, "");
}

static void test_reconciled(void **state)
{
    struct world *w = *state;
    log_in_two(w);
    w->n_processes = 1; /* bob's is gone */
    restart(w, true);
    caught_up(w);
    expect(w, "-2 2 reconciled\n");
    expect_users(w, "alice");
}

/* Another process has the pid of bob's leader. Alice's is the same, though the clock was set since.
 */
static void test_restart_with_a_reused_pid(void **state)
{
    struct world *w = *state;
    log_in_two(w);
    tick(w, 60000);
    w->processes[1].process_id++;
    w->processes[0].began_ns = w->processes[1].began_ns = w->out.now - 1000 * MS;
    restart(w, true);
    caught_up(w);
    expect(w, "-2 62 reconciled\n");
    expect_users(w, "alice");
}

/* Alice's leader lives at the start, and its end is heard before all is read. Bob's had gone, and
 * who has its pid ends, too. */
static void test_end_before_the_proof(void **state)
{
    struct world *w = *state;
    log_in_two(w);
    tick(w, 60000);
    struct actor *alice = &w->processes[0], *other = &w->processes[1];
    other->process_id++;
    other->began_ns = w->out.now;
    restart(w, true);
    tick(w, 1000);
    process_ends(w, alice);
    process_ends(w, other);
    tick(w, 1000);
    expect(w, "");
    caught_up(w);
    expect(w, "-2 64 reconciled\n");
    tick(w, 1000);
    expect(w, "-1 63 exit\n");
}

/* It is found to be gone: it may have ended before the start. */
static void test_found_to_be_gone_before_the_proof(void **state)
{
    struct world *w = *state;
    log_in_two(w);
    restart(w, true);
    tick(w, 1000);
    w->processes[0].until_ns = w->out.now;
    w->processes[0].end_cause = END_RECONCILED;
    sessions_image_ended(w->sessions, &w->processes[0]);
    tick(w, 3000);
    expect(w, "");
    caught_up(w);
    expect(w, "-1 6 reconciled\n");
}

static void test_reboot(void **state)
{
    struct world *w = *state;
    log_in_two(w);
    restart(w, false);
    expect(w, "-1 2 reboot\n"
              "-2 2 reboot\n");
}

/* A cursor does not pass what is not written. */
static void test_cursors(void **state)
{
    struct world *w = *state;
    struct login_cursor wtmp_cursor, btmp_cursor;
    caught_up(w);
    process(w, 101, 6, "sshd");
    wtmp(w, LOGIN_PROCESS, 50, "tty1", "LOGIN", "");
    wtmp(w, USER_PROCESS, 101, "pts/2", "bob", "");
    wtmp(w, LOGIN_PROCESS, 51, "tty2", "LOGIN", "");
    sessions_cursors(w->sessions, &wtmp_cursor, &btmp_cursor);
    assert_int_equal(wtmp_cursor.offset, 384);
    tick(w, 2000);
    sessions_cursors(w->sessions, &wtmp_cursor, &btmp_cursor);
    assert_int_equal(wtmp_cursor.offset, 3 * 384);
    assert_int_equal(btmp_cursor.inode, 0);
}

/* The file is another one while a login waits: first the rest of the old one is to be read. */
static void test_cursors_over_rotation(void **state)
{
    struct world *w = *state;
    struct login_cursor wtmp_cursor, btmp_cursor;
    caught_up(w);
    process(w, 101, 6, "sshd");
    wtmp(w, LOGIN_PROCESS, 50, "tty1", "LOGIN", "");
    wtmp(w, USER_PROCESS, 101, "pts/2", "bob", "");
    w->inode = 78;
    w->offset = 0;
    log_event(w, LOGIN_LOG_ROTATED, LOGIN_FILE_WTMP, 77, 78);
    process(w, 102, 7, "sshd");
    wtmp(w, USER_PROCESS, 102, "pts/3", "carol", "");
    for (int i = 0; i < 3; i++)
        wtmp(w, LOGIN_PROCESS, 51, "tty2", "LOGIN", "");
    sessions_cursors(w->sessions, &wtmp_cursor, &btmp_cursor);
    assert_int_equal(wtmp_cursor.inode, 77);
    assert_int_equal(wtmp_cursor.offset, 384);
    tick(w, 2000);
    sessions_cursors(w->sessions, &wtmp_cursor, &btmp_cursor);
    assert_int_equal(wtmp_cursor.inode, 78);
    assert_int_equal(wtmp_cursor.offset, 4 * 384);
}

/* What was cut off cannot be read again. */
static void test_cursors_over_truncation(void **state)
{
    struct world *w = *state;
    struct login_cursor wtmp_cursor, btmp_cursor;
    caught_up(w);
    wtmp(w, LOGIN_PROCESS, 50, "tty1", "LOGIN", "");
    wtmp(w, USER_PROCESS, 101, "pts/2", "bob", "");
    give_record(w, btmp_of(103, "ssh:notty", "eve"));
    w->offset = 0;
    log_event(w, LOGIN_LOG_SHRANK, LOGIN_FILE_WTMP, 768, 0);
    log_event(w, LOGIN_LOG_SHRANK, LOGIN_FILE_BTMP, 1152, 0);
    for (int i = 0; i < 4; i++)
        wtmp(w, LOGIN_PROCESS, 51, "tty2", "LOGIN", "");
    struct fact_login_record record = btmp_of(104, "ssh:notty", "eve");
    record.old = true;
    record.real_us = real_start / 1000 - 3600 * INT64_C(1000000);
    give_record(w, record);
    sessions_cursors(w->sessions, &wtmp_cursor, &btmp_cursor);
    assert_int_equal(wtmp_cursor.inode, 77);
    assert_int_equal(wtmp_cursor.offset, 4 * 384);
    assert_int_equal(btmp_cursor.offset, 5 * 384);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ssh_by_both),
        TEST(test_names_by_number),
        TEST(test_utmp_first),
        TEST(test_utmp_and_wtmp),
        TEST(test_utmp_emptied),
        TEST(test_two_on_one_line),
        TEST(test_two_at_once),
        TEST(test_su),
        TEST(test_sudo_without_password),
        TEST(test_cron_is_no_attempt),
        TEST(test_inner_services),
        TEST(test_cron_is_refused),
        TEST(test_user_manager),
        TEST(test_user_manager_closes_late),
        TEST(test_closed_by_another_process),
        TEST(test_leader_ends_first),
        TEST(test_leader_killed),
        TEST(test_leader_killed_at_once),
        TEST(test_exec_of_the_leader_ends_nothing),
        TEST(test_past_with_reboots),
        TEST(test_past_of_a_reused_pid),
        TEST(test_clock_set_after_boot),
        TEST(test_past_without_utmp),
        TEST(test_late_utmp),
        TEST(test_shown_no_more_and_unproven),
        TEST(test_clock_set_back),
        TEST(test_clock_forward),
        TEST(test_clock_back),
        TEST(test_old_record_of_the_same_pid),
        TEST(test_users_are_known),
        TEST(test_past_of_this_boot),
        TEST(test_reboot_record),
        TEST(test_findings),
        TEST(test_hostile_findings),
        TEST(test_attempt_by_three),
        TEST(test_three_attempts_of_one_process),
        TEST(test_probes),
        TEST(test_probe_of_another_process),
        TEST(test_probe_before_btmp),
        TEST(test_attempts_that_are_two),
        TEST(test_late_words),
        TEST(test_login_by_another_process),
        TEST(test_account_refused),
        TEST(test_old_attempts_do_not_wait),
        TEST(test_bounds),
        TEST(test_hostile_text),
        TEST(test_sink_refuses),
        TEST(test_restart),
        TEST(test_read_again),
        TEST(test_reconciled),
        TEST(test_end_before_the_proof),
        TEST(test_found_to_be_gone_before_the_proof),
        TEST(test_restart_with_a_reused_pid),
        TEST(test_reboot),
        TEST(test_cursors),
        TEST(test_cursors_over_rotation),
        TEST(test_cursors_over_truncation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
