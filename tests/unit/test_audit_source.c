// links: vestige_audit fake_audit
/* The audit source as owner, as guest and where audit is immutable, on a kernel in memory: what it
 * changes, what it leaves alone, and what is there after its end, of whatever kind. */
#include "collectors/audit/audit_guard.h"
#include "collectors/audit/audit_rules.h"
#include "collectors/audit/audit_source.h"
#include "core/log.h"

#include "fake_audit.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { GULP_BYTES = 1 << 20, OWNER_RULES = 5, GUEST_RULES = 2 };

struct world {
    struct fake_audit *audit;
    struct source *source;
    struct decoder *decoder;
    struct counters counters;
    char directory[64];
    pid_t other; /* another daemon; 0: none */
    int guard;   /* channel; 0: none */
    char mode[32], detail[256];
    unsigned n_deletions;      /* of rules, as it was told */
    uint64_t deletion_span_ns; /* of the last */
    unsigned n_warnings;
    char warning[512]; /* the last */
};

static void take_log(void *user, enum log_level level, const char *subsystem, const char *text)
{
    struct world *w = user;
    (void)subsystem;
    if (level > LOG_LEVEL_WARNING)
        return;
    w->n_warnings++;
    snprintf(w->warning, sizeof(w->warning), "%s", text);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    if (!w)
        return -1;
    w->audit = fake_audit_new();
    strcpy(w->directory, "/tmp/vestige-test-XXXXXX");
    log_register(take_log, w);
    *state = w;
    return mkdtemp(w->directory) ? 0 : -1;
}

static void end_other(struct world *w)
{
    if (!w->other)
        return;
    kill(w->other, SIGKILL);
    assert_int_equal(waitpid(w->other, NULL, 0), w->other);
    w->other = 0;
}

/* However it ended: no state is left behind. */
static int teardown(void **state)
{
    struct world *w = *state;
    end_other(w);
    log_register(NULL, NULL);
    fake_audit_free();
    assert_int_equal(rmdir(w->directory), 0);
    free(w);
    return 0;
}

static int try_open(struct world *w, const char *mode, const char *rules)
{
    const struct source_options options = {.audit_mode = mode,
                                           .audit_rules = rules,
                                           .audit_backlog_limit = 8192,
                                           .bpf_active = true,
                                           .audit_guard = w->guard,
                                           .state_directory = w->directory,
                                           .counters = &w->counters,
                                           .wake_fd = -1};
    struct error_text error = ERROR_TEXT_NULL;
    return audit_source.open(&w->source, &options, &error);
}

static void take_fact(void *user, const struct fact *fact)
{
    struct world *w = user;
    if (fact->kind == FACT_AUDIT_RULES) {
        w->n_deletions++;
        w->deletion_span_ns = fact->boot_ns - fact->audit_rules.since_ns;
    }
    if (fact->kind != FACT_NOTE)
        return;
    snprintf(w->mode, sizeof(w->mode), "%.*s", (int)fact->note.mode.length,
             (const char *)fact->note.mode.data);
    snprintf(w->detail, sizeof(w->detail), "%.*s", (int)fact->note.detail.length,
             (const char *)fact->note.detail.data);
}

static void drain(struct world *w)
{
    struct gulp *gulp = gulp_new(GULP_BYTES);
    struct message message;
    assert_non_null(gulp);
    assert_int_equal(audit_source.drain(w->source, gulp), SOURCE_DRAINED);
    for (size_t offset = 0; gulp_next(gulp, &offset, &message);)
        assert_int_equal(audit_source.decode(w->decoder, &message, take_fact, w), 0);
    gulp_free(gulp);
}

/* Time for the source to look, to ask, and to take the answer. */
static void pass(struct world *w, uint64_t ms)
{
    for (int i = 0; i < 4; i++) {
        w->audit->clock_offset_ns += ms * 1000000 / 4;
        drain(w);
    }
}

static void begin(struct world *w, const char *expected_mode)
{
    assert_int_equal(try_open(w, "auto", "own"), 0);
    assert_int_equal(audit_source.decoder_new(&w->decoder), 0);
    drain(w);
    assert_string_equal(w->mode, expected_mode);
}

static void release(struct world *w)
{
    w->source = audit_source.free(w->source);
    w->decoder = audit_source.decoder_free(w->decoder);
}

static void end(struct world *w)
{
    audit_source.stop(w->source);
    drain(w);
    release(w);
}

/* Another daemon that lives. */
static void make_other(struct world *w)
{
    w->other = fork();
    if (w->other == 0) {
        pause();
        _exit(0);
    }
    assert_true(w->other > 0);
}

static void other_owns(struct world *w)
{
    if (!w->other)
        make_other(w);
    assert_int_equal(fake_audit_register(w->other), 0);
    assert_int_equal(fake_audit_set_enabled(1), 0);
}

/* A run of the agent that ends as by kill -9. */
static void killed_run(struct world *w)
{
    pid_t child = fork();
    int status;
    if (child == 0)
        _exit(try_open(w, "auto", "own") == 0 ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* As after a boot. */
static void assert_untouched(const struct world *w)
{
    const struct audit_status *status = &w->audit->status;
    assert_int_equal(status->enabled, 0);
    assert_int_equal(status->pid, 0);
    assert_int_equal(status->backlog_limit, 64);
    assert_int_equal(status->backlog_wait_time, 15000);
    assert_int_equal(w->audit->n_rules, 0);
    assert_int_equal(w->audit->n_printed, 0);
    assert_int_equal(w->audit->n_refused, 0);
}

static void assert_owned(const struct world *w)
{
    const struct audit_status *status = &w->audit->status;
    assert_int_equal(status->pid, getpid());
    assert_int_equal(status->backlog_limit, 8192);
    assert_int_equal(status->backlog_wait_time, 0);
    assert_int_equal(w->audit->n_rules, OWNER_RULES);
}

static void assert_one_warning(struct world *w, const char *text)
{
    assert_int_equal(w->n_warnings, 1);
    assert_non_null(strstr(w->warning, text));
    w->n_warnings = 0;
}

/* -- owner -- */

static void test_owner(void **state)
{
    struct world *w = *state;
    begin(w, "owner");
    assert_owned(w);
    assert_int_equal(w->audit->status.enabled, 1);
    pass(w, 100000);
    end(w);
    assert_untouched(w);
    assert_int_equal(w->n_warnings, 0);
}

/* The agent's start failed after the source was open. */
static void test_free_without_stop(void **state)
{
    struct world *w = *state;
    begin(w, "owner");
    release(w);
    assert_untouched(w);
}

static void test_state_cannot_be_saved(void **state)
{
    struct world *w = *state;
    char directory[sizeof(w->directory)];
    strcpy(directory, w->directory);
    strcpy(w->directory, "/nonexistent");
    assert_int_equal(try_open(w, "auto", "own"), -ENOENT);
    strcpy(w->directory, directory);
    assert_untouched(w);
}

static void test_killed(void **state)
{
    struct world *w = *state;
    killed_run(w);
    assert_int_equal(w->audit->n_rules, OWNER_RULES);
    assert_int_not_equal(w->audit->status.pid, getpid());
    begin(w, "owner");
    assert_owned(w);
    end(w);
    w->audit->n_printed = 0; /* while nobody was registered the kernel could not but print */
    assert_untouched(w);
}

/* What a killed run changed in an earlier boot ended with that boot. */
static void test_killed_before_a_boot(void **state)
{
    struct world *w = *state;
    char path[128], text[65536];
    killed_run(w);
    snprintf(path, sizeof(path), "%s/audit_state", w->directory);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t length = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[length] = '\0';
    char *boot = strstr(text, "boot ");
    assert_non_null(boot);
    memcpy(boot, "boot 11111111", strlen("boot 11111111"));
    file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    fake_audit_free();
    w->audit = fake_audit_new();
    w->audit->status.backlog_limit = 100;
    begin(w, "owner");
    end(w);
    assert_int_equal(w->audit->status.backlog_limit, 100);
    w->audit->status.backlog_limit = 64;
    assert_untouched(w);
}

/* -- immutable -- */

static void test_immutable_at_start(void **state)
{
    struct world *w = *state;
    assert_int_equal(fake_audit_add_rule("theirs"), 0);
    assert_int_equal(fake_audit_set_enabled(2), 0);
    const struct fake_audit before = *w->audit;
    begin(w, "guest-immutable");
    assert_non_null(strstr(w->detail, "owner nobody; 0 rules of ours"));
    assert_one_warning(w, "audit is immutable (enabled 2) until the next boot");
    pass(w, 100000);
    end(w);
    assert_int_equal(w->n_warnings, 0);
    assert_int_equal(w->audit->n_refused, 0); /* nothing is tried */
    assert_memory_equal(&w->audit->status, &before.status, sizeof(before.status));
    assert_memory_equal(w->audit->rules, before.rules, sizeof(before.rules));
}

static void test_immutable_with_our_rule(void **state)
{
    struct world *w = *state;
    assert_int_equal(fake_audit_add_rule(AUDIT_RULES_KEY), 0);
    other_owns(w);
    assert_int_equal(fake_audit_set_enabled(2), 0);
    begin(w, "guest-immutable");
    assert_non_null(strstr(w->detail, "1 rules of ours"));
    end(w);
    assert_int_equal(w->audit->n_rules, 1);
    assert_int_equal(w->audit->n_refused, 0);
}

static void test_owner_when_it_becomes_immutable(void **state)
{
    struct world *w = *state;
    begin(w, "owner");
    assert_int_equal(fake_audit_set_enabled(2), 0);
    pass(w, 1000);
    assert_string_equal(w->mode, "owner-immutable");
    assert_one_warning(w, "audit is immutable (enabled 2) until the next boot, with 2 rules");
    pass(w, 200000);
    assert_owned(w);
    end(w);
    assert_one_warning(w, "5 rules of ours and the backlog limit stay until the next boot");
    assert_int_equal(w->audit->status.pid, 0);
    assert_int_equal(w->audit->n_rules, OWNER_RULES);
    assert_int_equal(w->audit->n_refused, 0);
}

static void test_guest_when_it_becomes_immutable(void **state)
{
    struct world *w = *state;
    other_owns(w);
    begin(w, "guest");
    assert_int_equal(w->audit->n_rules, GUEST_RULES);
    assert_int_equal(fake_audit_set_enabled(2), 0);
    pass(w, 1000);
    assert_string_equal(w->mode, "guest-immutable");
    assert_one_warning(w, "audit is immutable (enabled 2)");
    pass(w, 200000);
    end(w);
    assert_one_warning(w, "2 rules of ours stay until the next boot");
    assert_int_equal(w->audit->status.pid, w->other);
    assert_int_equal(w->audit->n_refused, 0);
}

/* Another daemon comes although nothing can be changed any more. */
static void test_immutable_owner_is_replaced(void **state)
{
    struct world *w = *state;
    make_other(w);
    begin(w, "owner");
    assert_int_equal(fake_audit_set_enabled(2), 0);
    pass(w, 1000);
    assert_int_equal(fake_audit_register(w->other), -EEXIST);
    drain(w);
    assert_int_equal(w->audit->status.pid, 0);
    assert_int_equal(fake_audit_register(w->other), 0);
    pass(w, 1000);
    assert_string_equal(w->mode, "guest-immutable");
    assert_non_null(strstr(w->detail, "2 rules of ours"));
    end(w);
    assert_int_equal(w->audit->status.pid, w->other);
    assert_int_equal(w->audit->n_refused, 0);
}

/* Killed, made immutable, started again: its own rules are heard, and nothing can be undone. */
static void test_killed_and_immutable(void **state)
{
    struct world *w = *state;
    killed_run(w);
    assert_int_equal(fake_audit_set_enabled(2), 0);
    begin(w, "guest-immutable");
    assert_non_null(strstr(w->detail, "2 rules of ours"));
    assert_one_warning(w, "audit is immutable (enabled 2)");
    end(w);
    assert_one_warning(w, "stay until the next boot");
    assert_int_equal(w->audit->n_rules, OWNER_RULES);
    assert_int_equal(w->audit->n_refused, 0);
}

/* -- guest -- */

static void test_guest(void **state)
{
    struct world *w = *state;
    assert_int_equal(fake_audit_add_rule("theirs"), 0);
    other_owns(w);
    const struct fake_audit before = *w->audit;
    begin(w, "guest");
    assert_int_equal(w->audit->n_rules, 1 + GUEST_RULES);
    assert_int_equal(fake_audit_count_rules(AUDIT_RULES_KEY), GUEST_RULES);
    assert_memory_equal(&w->audit->status, &before.status, sizeof(before.status));
    assert_string_equal(fake_audit_exec_key(), "theirs");
    pass(w, 200000);
    end(w);
    assert_memory_equal(&w->audit->status, &before.status, sizeof(before.status));
    assert_int_equal(w->audit->n_rules, 1);
    assert_int_equal(fake_audit_count_rules("theirs"), 1);
}

static void test_guest_without_rules(void **state)
{
    struct world *w = *state;
    other_owns(w);
    assert_int_equal(try_open(w, "auto", "none"), 0);
    assert_int_equal(w->audit->n_rules, 0);
    release(w);
    assert_int_equal(w->audit->status.pid, w->other);
}

static void test_asked_to_be_guest(void **state)
{
    struct world *w = *state;
    assert_int_equal(try_open(w, "guest", "own"), 0);
    assert_int_equal(w->audit->status.pid, 0);
    assert_int_equal(w->audit->status.enabled, 0);
    release(w);
    assert_untouched(w);
}

/* An event gets the key of the first rule that matches: it is to be the owner's. While ours are
 * moved, no exec may be without a rule. */
static void test_our_rules_move_behind_the_owners(void **state)
{
    struct world *w = *state;
    other_owns(w);
    begin(w, "guest");
    assert_string_equal(fake_audit_exec_key(), AUDIT_RULES_KEY);
    for (int i = 0; i < 3; i++) {
        char key[32];
        snprintf(key, sizeof(key), "theirs-%d", i);
        w->audit->n_unwatched = 0;
        assert_int_equal(fake_audit_add_rule(key), 0);
        pass(w, 2000);
        assert_string_equal(fake_audit_exec_key(), "theirs-0");
        assert_int_equal(fake_audit_count_rules(AUDIT_RULES_KEY), GUEST_RULES);
        assert_int_equal(w->audit->n_unwatched, 0);
        assert_int_equal(w->audit->n_rules, GUEST_RULES + (size_t)i + 1);
    }
    const struct fake_audit moved = *w->audit;
    pass(w, 200000); /* and then they stay */
    assert_memory_equal(w->audit->rules, moved.rules, sizeof(moved.rules));
    end(w);
    assert_int_equal(fake_audit_count_rules(AUDIT_RULES_KEY), 0);
    assert_int_equal(w->audit->n_rules, 3);
}

/* Moved rules are not those that were added at first: the state file has them. */
static void test_killed_after_moving(void **state)
{
    struct world *w = *state;
    other_owns(w);
    pid_t child = fork();
    int status;
    if (child == 0) {
        begin(w, "guest");
        fake_audit_add_rule("theirs");
        pass(w, 2000);
        _exit(strcmp(fake_audit_exec_key(), "theirs") != 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(w->audit->n_rules, 1 + GUEST_RULES);
    begin(w, "guest");
    assert_int_equal(fake_audit_count_rules(AUDIT_RULES_KEY), GUEST_RULES);
    end(w);
    assert_int_equal(w->audit->n_rules, 1);
    assert_int_equal(fake_audit_count_rules("theirs"), 1);
}

static void test_deleted_rules_come_back(void **state)
{
    struct world *w = *state;
    other_owns(w);
    begin(w, "guest");
    pass(w, 60000); /* all are there */
    pass(w, 4000);
    assert_int_equal(fake_audit_delete_rules(), 0);
    pass(w, 2000);
    drain(w);
    assert_int_equal(w->audit->n_rules, GUEST_RULES);
    assert_int_equal(fake_audit_count_rules(AUDIT_RULES_KEY), GUEST_RULES);
    assert_int_equal(w->n_deletions, 1);
    assert_in_range(w->deletion_span_ns, 1000000000, 64500000000);
    pass(w, 200000);
    assert_int_equal(w->n_deletions, 1);
    end(w);
    assert_int_equal(w->audit->n_rules, 0);
}

/* -- changes of the owner -- */

static void test_replaced(void **state)
{
    struct world *w = *state;
    make_other(w);
    begin(w, "owner");
    assert_int_equal(fake_audit_register(w->other), -EEXIST);
    drain(w);
    assert_string_equal(w->mode, "owner"); /* the note comes with the next gulp */
    assert_untouched(w);
    drain(w);
    assert_string_equal(w->mode, "off");
    other_owns(w);
    assert_int_equal(fake_audit_add_rule("theirs"), 0);
    pass(w, 1000);
    assert_string_equal(w->mode, "guest");
    assert_string_equal(fake_audit_exec_key(), "theirs");
    assert_int_equal(w->audit->n_rules, 1 + GUEST_RULES);
    end_other(w); /* without a word; the kernel does not know yet */
    pass(w, 60000);
    for (int i = 0; i < 12; i++)
        pass(w, 500);
    assert_string_equal(w->mode, "owner");
    assert_int_equal(w->audit->status.pid, getpid());
    end(w);
    assert_int_equal(w->audit->status.enabled, 1); /* as the other one left it */
    assert_int_equal(w->audit->n_rules, 1);
    assert_int_equal(w->audit->status.backlog_limit, 64);
}

static void test_nobody_comes_after_all(void **state)
{
    struct world *w = *state;
    make_other(w);
    begin(w, "owner");
    assert_int_equal(fake_audit_register(w->other), -EEXIST);
    drain(w);
    pass(w, 9000);
    assert_string_equal(w->mode, "off");
    pass(w, 4000);
    assert_string_equal(w->mode, "owner");
    assert_owned(w);
    end(w);
    assert_untouched(w);
}

static void test_killed_and_another_came(void **state)
{
    struct world *w = *state;
    killed_run(w);
    other_owns(w);
    w->audit->status.backlog_limit = 320; /* the other one's */
    begin(w, "guest");
    assert_int_equal(w->audit->n_rules, GUEST_RULES); /* exclusions would be the other one's loss */
    end(w);
    assert_int_equal(w->audit->status.pid, w->other);
    assert_int_equal(w->audit->status.enabled, 1);
    assert_int_equal(w->audit->status.backlog_limit, 320);
    assert_int_equal(w->audit->status.backlog_wait_time, 15000);
    assert_int_equal(w->audit->n_rules, 0);
}

/* -- the guard -- */

/* A run with a guard, which ends as by kill -9 after it did what it is to do. Returns when the
 * guard has ended too. */
static void guarded_run(struct world *w, void (*act)(struct world *))
{
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    pid_t agent = fork();
    if (agent == 0) {
        int pair[2];
        uint32_t pid = (uint32_t)getpid();
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
            _exit(1);
        if (fork() == 0) {
            close(pair[0]);
            audit_guard_run(pair[1], w->directory, pid);
            _exit(w->n_warnings == 1 ? 0 : 2);
        }
        close(pair[1]);
        w->guard = pair[0];
        if (audit_guard_take_place(w->guard, 60000) != 0 || try_open(w, "auto", "own") != 0)
            _exit(3);
        act(w);
        _exit(0);
    }
    for (int i = 0, status; i < 2; i++) {
        assert_true(waitpid(-1, &status, 0) > 0);
        assert_int_equal(status, 0);
    }
    w->audit->n_printed = 0; /* this kernel does not know that the guard holds the socket */
}

static void act_nothing(struct world *w)
{
    if (w->audit->n_rules != OWNER_RULES)
        _exit(4);
}

static void test_guard(void **state)
{
    struct world *w = *state;
    guarded_run(w, act_nothing);
    assert_untouched(w);
    begin(w, "owner");
    end(w);
    assert_untouched(w);
}

static void act_as_guest(struct world *w)
{
    if (w->audit->n_rules != 1 + GUEST_RULES)
        _exit(4);
}

static void test_guard_of_a_guest(void **state)
{
    struct world *w = *state;
    assert_int_equal(fake_audit_add_rule("theirs"), 0);
    other_owns(w);
    guarded_run(w, act_as_guest);
    assert_int_equal(w->audit->n_rules, 1);
    assert_int_equal(w->audit->status.pid, w->other);
    assert_int_equal(w->audit->status.enabled, 1);
}

static pid_t start_guard(const struct world *w, int *channel)
{
    int pair[2];
    uint32_t pid = (uint32_t)getpid();
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    pid_t guard = fork();
    if (guard == 0) {
        close(pair[0]);
        audit_guard_run(pair[1], w->directory, pid);
        _exit(0);
    }
    close(pair[1]);
    *channel = pair[0];
    return guard;
}

static void end_guard(pid_t guard, int channel)
{
    int status;
    audit_guard_end(channel);
    close(channel);
    assert_int_equal(waitpid(guard, &status, 0), guard);
    assert_int_equal(status, 0);
}

/* The next one waits, and ends when it is told to, whether it got its place or not. */
static void test_one_guard_at_a_time(void **state)
{
    struct world *w = *state;
    int channels[2];
    pid_t first = start_guard(w, &channels[0]);
    assert_int_equal(audit_guard_take_place(channels[0], 60000), 0);
    pid_t second = start_guard(w, &channels[1]);
    assert_int_equal(audit_guard_take_place(channels[1], 50), -ETIMEDOUT);
    end_guard(second, channels[1]);
    second = start_guard(w, &channels[1]);
    assert_int_equal(audit_guard_take_place(channels[1], 50), -ETIMEDOUT);
    end_guard(first, channels[0]);
    char byte;
    assert_int_equal(recv(channels[1], &byte, 1, 0), 1);
    end_guard(second, channels[1]);
    assert_untouched(w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_owner),
        TEST(test_free_without_stop),
        TEST(test_state_cannot_be_saved),
        TEST(test_killed),
        TEST(test_killed_before_a_boot),
        TEST(test_immutable_at_start),
        TEST(test_immutable_with_our_rule),
        TEST(test_owner_when_it_becomes_immutable),
        TEST(test_guest_when_it_becomes_immutable),
        TEST(test_immutable_owner_is_replaced),
        TEST(test_killed_and_immutable),
        TEST(test_guest),
        TEST(test_guest_without_rules),
        TEST(test_asked_to_be_guest),
        TEST(test_our_rules_move_behind_the_owners),
        TEST(test_killed_after_moving),
        TEST(test_deleted_rules_come_back),
        TEST(test_replaced),
        TEST(test_nobody_comes_after_all),
        TEST(test_killed_and_another_came),
        TEST(test_guard),
        TEST(test_guard_of_a_guest),
        TEST(test_one_guard_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
