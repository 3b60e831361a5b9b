// links: vestige_accounts
/* The lines of passwd, shadow, group and gshadow, what is told of passwords, when files are read
 * again, and the source itself on a directory of its own. */
#include "collectors/accounts/account_changes.h"
#include "collectors/accounts/account_file.h"
#include "collectors/accounts/account_key.h"
#include "collectors/accounts/account_message.h"
#include "collectors/accounts/accounts_source.h"
#include "core/cleanup.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)

enum { WAIT_MS = 60000, LONG = 40000, HANG_MS = 30000, LATE_MS = 300, TICK_MS = 100 };

/* -- what fails, or hangs -- */

struct message_queue;
int __real_message_queue_put(struct message_queue *queue, enum message_kind kind, uint64_t boot_ns,
                             struct slice bytes);
int __wrap_message_queue_put(struct message_queue *queue, enum message_kind kind, uint64_t boot_ns,
                             struct slice bytes);
int __real_fstatat(int directory, const char *name, struct stat *status, int flags);
int __wrap_fstatat(int directory, const char *name, struct stat *status, int flags);

static atomic_int put_to_fail; /* 1: the next one; 0: none */
static atomic_bool locks_hang, hanging;

int __wrap_message_queue_put(struct message_queue *queue, enum message_kind kind, uint64_t boot_ns,
                             struct slice bytes)
{
    if (atomic_load(&put_to_fail) > 0 && atomic_fetch_sub(&put_to_fail, 1) == 1)
        return -ENOMEM;
    return __real_message_queue_put(queue, kind, boot_ns, bytes);
}

/* A look at a lock file hangs as long as the test says so, and not for ever. */
int __wrap_fstatat(int directory, const char *name, struct stat *status, int flags)
{
    if (strstr(name, ".lock")) {
        for (int waited = 0; waited < HANG_MS && atomic_load(&locks_hang); waited += 5) {
            atomic_store(&hanging, true);
            poll(NULL, 0, 5);
        }
        atomic_store(&hanging, false);
    }
    return __real_fstatat(directory, name, status, flags);
}

/* -- lines -- */

static bool passwd(const char *line, struct passwd_line *to)
{
    return passwd_line_parse(slice_text(line), to);
}

static void test_passwd_lines(void **state)
{
    struct passwd_line line;
    (void)state;
    assert_true(passwd("a:x:1000:100:A b,,,:/home/a:/bin/sh", &line));
    assert_true(slice_is(line.name, "a") && slice_is(line.password, "x"));
    assert_int_equal(line.uid, 1000);
    assert_int_equal(line.gid, 100);
    assert_true(slice_is(line.gecos, "A b,,,") && slice_is(line.home, "/home/a"));
    assert_true(slice_is(line.shell, "/bin/sh"));
    assert_true(passwd("a::4294967295:0:::", &line)); /* everything empty, and known */
    assert_int_equal(line.uid, UINT32_MAX);
    assert_false(slice_is_null(line.password) || slice_is_null(line.shell));
    assert_true(passwd("a:x:0:0", &line)); /* fields are missing */
    assert_true(slice_is_null(line.gecos) && slice_is_null(line.home) && slice_is_null(line.shell));
    assert_true(passwd("a:x:0:0:g:/:/bin/sh:more", &line));
    assert_true(slice_is(line.shell, "/bin/sh"));
    assert_true(passwd("+::::::", &line)); /* of NIS */
    assert_int_equal(line.uid, ID_UNSET);
    assert_true(passwd("a\n\x01\xff:x:1:1:::", &line)); /* any byte may be in a name */
}

static void test_malformed_passwd_lines(void **state)
{
    static const char *const lines[] = {"a",           "a:x",          "a:x:1",
                                        ":x:0:0:::",   "a:x::0:::",    "a:x:0::::",
                                        "a:x:-1:0:::", "a:x:0x1:0:::", "a:x:1 :0",
                                        "a:x: 1:0::",  "::::::",       "a:x:4294967296:0:::"};
    struct passwd_line line;
    char long_name[300];
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_false(passwd(lines[i], &line));
    memset(long_name, 'n', sizeof(long_name));
    memcpy(long_name + ACCOUNT_NAME_MOST, ":x:0:0:::", 10);
    assert_true(passwd(long_name, &line));
    memcpy(long_name + ACCOUNT_NAME_MOST, "n:x:0:0:::", 11);
    assert_false(passwd(long_name, &line));
}

static void test_lines_of_a_file(void **state)
{
    static const char text[] = "\n# c\n a:1\r\n\n\t\n#\nb\n  \nlast without an end";
    struct account_lines lines = account_lines_of(slice_text(text));
    struct slice line;
    (void)state;
    assert_true(account_lines_next(&lines, &line) && slice_is(line, "a:1\r"));
    assert_true(account_lines_next(&lines, &line) && slice_is(line, "b"));
    assert_true(account_lines_next(&lines, &line) && slice_is(line, "last without an end"));
    assert_false(account_lines_next(&lines, &line));
    assert_false(lines.beyond);
}

static void test_too_many_lines(void **state)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct slice line;
    size_t n = 0;
    (void)state;
    for (size_t i = 0; i < ACCOUNT_LINES_MOST + 5; i++)
        buffer_append_text(&text, "a\n");
    struct account_lines lines = account_lines_of(buffer_slice(&text));
    while (account_lines_next(&lines, &line))
        n++;
    assert_int_equal(n, ACCOUNT_LINES_MOST);
    assert_true(lines.beyond);
}

static void test_huge_line(void **state)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct passwd_line line;
    (void)state;
    buffer_append_text(&text, "a:x:1:1:");
    for (size_t i = 0; text.length < ACCOUNT_LINE_MOST; i++)
        buffer_append_byte(&text, 'g');
    assert_true(passwd_line_parse(buffer_slice(&text), &line));
    buffer_append_byte(&text, 'g');
    assert_false(passwd_line_parse(buffer_slice(&text), &line));
}

static void test_group_lines(void **state)
{
    struct group_line line;
    struct slice name;
    uint64_t n_malformed = 0;
    (void)state;
    assert_true(group_line_parse(slice_text("wheel:x:10:a,b,, c ,"), &line));
    assert_int_equal(line.gid, 10);
    assert_true(group_member_next(&line.members, &name, &n_malformed) && slice_is(name, "a"));
    assert_true(group_member_next(&line.members, &name, &n_malformed) && slice_is(name, "b"));
    assert_true(group_member_next(&line.members, &name, &n_malformed) && slice_is(name, "c"));
    assert_false(group_member_next(&line.members, &name, &n_malformed));
    assert_true(group_line_parse(slice_text("g:x:1"), &line)); /* the members are missing */
    assert_false(group_member_next(&line.members, &name, &n_malformed));
    assert_int_equal(n_malformed, 0);
    assert_false(group_line_parse(slice_text("g:x"), &line));
    assert_false(group_line_parse(slice_text("g:x:y:a"), &line));
    assert_false(group_line_parse(slice_text(":x:1:a"), &line));
}

static void test_ten_thousand_members(void **state)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct group_line line;
    struct slice name;
    uint64_t n_malformed = 0;
    unsigned n = 0;
    (void)state;
    buffer_append_text(&text, "g:x:1:");
    for (unsigned i = 0; i < 10000; i++)
        buffer_printf(&text, "%smember%u", i ? "," : "", i);
    buffer_append_byte(&text, ',');
    for (int i = 0; i <= ACCOUNT_NAME_MOST; i++)
        buffer_append_byte(&text, 'n');
    assert_true(group_line_parse(buffer_slice(&text), &line));
    for (; group_member_next(&line.members, &name, &n_malformed); n++) {
        char expected[20];
        snprintf(expected, sizeof(expected), "member%u", n);
        assert_true(slice_is(name, expected));
    }
    assert_int_equal(n, 10000);
    assert_int_equal(n_malformed, 1);
}

/* -- passwords -- */

static const struct account_key key = {.bytes = {1}}, other_key = {.bytes = {2}};

static struct account_password password(const char *shadow, const char *name, const char *field,
                                        const struct account_key *with)
{
    struct account_passwords *passwords;
    assert_int_equal(account_passwords_new(&passwords, slice_text(shadow), with), 0);
    struct account_password found =
        account_passwords_find(passwords, slice_text(name), slice_text(field));
    account_passwords_free(passwords);
    return found;
}

static bool same_digest(struct account_password a, struct account_password b)
{
    return a.has_digest && b.has_digest && memcmp(a.digest, b.digest, sizeof(a.digest)) == 0;
}

static void test_password_states(void **state)
{
    static const char shadow[] = "b:*:1::::::\na:$y$h:1::::::\nempty::1\nc:!:1\nd:!$y$h:1\ne:!!\n"
                                 "a:second:1\nnofield\n";
    (void)state;
    assert_int_equal(password(shadow, "a", "x", &key).state, PASSWORD_SET);
    assert_true(same_digest(password(shadow, "a", "x", &key), password("a:$y$h", "a", "x", &key)));
    assert_int_equal(password(shadow, "b", "x", &key).state, PASSWORD_LOCKED);
    assert_false(password(shadow, "b", "x", &key).has_digest);
    assert_int_equal(password(shadow, "c", "x", &key).state, PASSWORD_LOCKED);
    assert_int_equal(password(shadow, "d", "x", &key).state, PASSWORD_LOCKED);
    assert_true(password(shadow, "d", "x", &key).has_digest);
    assert_int_equal(password(shadow, "e", "x", &key).state, PASSWORD_LOCKED);
    assert_false(password(shadow, "e", "x", &key).has_digest);
    assert_int_equal(password(shadow, "empty", "x", &key).state, PASSWORD_EMPTY);
    assert_int_equal(password(shadow, "nofield", "x", &key).state, PASSWORD_ABSENT);
    assert_int_equal(password(shadow, "nobody", "x", &key).state, PASSWORD_ABSENT);
    assert_int_equal(password(NULL, "a", "x", &key).state, PASSWORD_UNKNOWN);
    assert_int_equal(password(shadow, "a", NULL, &key).state, PASSWORD_UNKNOWN);
    assert_int_equal(password(shadow, "a", "", &key).state, PASSWORD_EMPTY);
    assert_int_equal(password(shadow, "a", "*", &key).state, PASSWORD_LOCKED);
    assert_int_equal(password(shadow, "a", "$1$in passwd", &key).state, PASSWORD_SET);
}

static void test_digests(void **state)
{
    struct account_password one = password("a:$y$h", "a", "x", &key);
    (void)state;
    assert_true(same_digest(one, password("a:!$y$h", "a", "x", &key))); /* locked, the same one */
    assert_false(same_digest(one, password("a:$y$i", "a", "x", &key)));
    assert_false(same_digest(one, password("a:$y$h", "a", "x", &other_key)));
    assert_false(same_digest(one, password("b:$y$h", "b", "x", &key)));
    assert_null(memmem(one.digest, sizeof(one.digest), "$y$h", 4));
}

/* -- when to read -- */

static void test_lock_is_waited_for(void **state)
{
    struct account_changes changes = {.locked = 0};
    (void)state;
    account_changes_event(&changes, "passwd.lock", true, 1000 * MS);
    account_changes_event(&changes, "shadow.lock", true, 1001 * MS);
    account_changes_event(&changes, "passwd.4711", true, 1002 * MS);
    account_changes_event(&changes, "passwd-", true, 1003 * MS);
    assert_int_equal(account_changes_due(&changes, ACCOUNT_PART_ACCOUNTS), UINT64_MAX);
    account_changes_event(&changes, "passwd", true, 1010 * MS);
    assert_int_equal(account_changes_due(&changes, ACCOUNT_PART_ACCOUNTS), 3010 * MS);
    assert_int_equal(account_changes_due(&changes, ACCOUNT_PART_GROUPS), UINT64_MAX);
    account_changes_event(&changes, "shadow", true, 1020 * MS);
    account_changes_event(&changes, "shadow.lock", false, 1030 * MS);
    assert_int_equal(account_changes_due(&changes, ACCOUNT_PART_ACCOUNTS), 3010 * MS);
    account_changes_event(&changes, "passwd.lock", false, 1031 * MS);
    assert_int_equal(account_changes_due(&changes, ACCOUNT_PART_ACCOUNTS), 1020 * MS);
    account_changes_event(&changes, "passwd.lock", true, 1032 * MS); /* the next one */
    assert_int_equal(account_changes_due(&changes, ACCOUNT_PART_ACCOUNTS), 1020 * MS);
    struct account_change change = account_changes_take(&changes, ACCOUNT_PART_ACCOUNTS);
    assert_int_equal(change.first_ns, 1010 * MS);
    assert_int_equal(change.sequence, 2);
    assert_int_equal(account_changes_due(&changes, ACCOUNT_PART_ACCOUNTS), UINT64_MAX);
}

static void test_without_lock_quiet_is_waited_for(void **state)
{
    struct account_changes changes = {.locked = 0};
    (void)state;
    account_changes_event(&changes, "group", true, 1000 * MS);
    assert_int_equal(account_changes_due(&changes, ACCOUNT_PART_GROUPS), 1050 * MS);
    account_changes_event(&changes, "gshadow", false, 1040 * MS);
    assert_int_equal(account_changes_due(&changes, ACCOUNT_PART_GROUPS), 1090 * MS);
    for (uint64_t now = 1040; now < 5000; now += 40)
        account_changes_event(&changes, "group", true, now * MS);
    assert_int_equal(account_changes_due(&changes, ACCOUNT_PART_GROUPS), 3000 * MS);
}

/* -- the source -- */

struct fixture {
    char directory[64], state[80];
    struct source *source;
    struct gulp *gulp;
    struct counters counters;
    unsigned wanted[ACCOUNT_PART_N], ended[ACCOUNT_PART_N], n_accounts, n_groups, n_members;
    bool complete[ACCOUNT_PART_N];
    uint64_t began_ns; /* the moment of the last reading's change */
    struct account_password root;
    char note[512];
    struct buffer bytes; /* of all messages */
};

static void write_file(const struct fixture *f, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", f->directory, name);
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void replace_file(const struct fixture *f, const char *name, const char *text)
{
    char path[128], new_path[128];
    write_file(f, "new", text);
    snprintf(path, sizeof(path), "%s/%s", f->directory, name);
    snprintf(new_path, sizeof(new_path), "%s/new", f->directory);
    assert_int_equal(rename(new_path, path), 0);
}

static void on_scan(struct fixture *f, const struct fact_account_scan *scan)
{
    if (scan->step == ACCOUNT_SCAN_WANTED) {
        f->wanted[scan->part] = scan->sequence;
    } else if (scan->step == ACCOUNT_SCAN_BEGAN) {
        if (scan->part == ACCOUNT_PART_ACCOUNTS)
            f->n_accounts = 0;
        else
            f->n_groups = f->n_members = 0;
    } else {
        f->ended[scan->part] = scan->sequence;
        f->complete[scan->part] = scan->complete;
    }
}

static void take(void *user, const struct fact *fact)
{
    struct fixture *f = user;
    if (fact->kind == FACT_ACCOUNT_SCAN)
        on_scan(f, &fact->account_scan);
    if (fact->kind == FACT_ACCOUNT_SCAN && fact->account_scan.step == ACCOUNT_SCAN_BEGAN)
        f->began_ns = fact->boot_ns;
    f->n_accounts += fact->kind == FACT_ACCOUNT;
    f->n_groups += fact->kind == FACT_ACCOUNT_GROUP;
    f->n_members += fact->kind == FACT_GROUP_MEMBER;
    if (fact->kind == FACT_ACCOUNT && slice_is(fact->account.name, "root"))
        f->root = fact->account.password;
    if (fact->kind == FACT_NOTE)
        snprintf(f->note, sizeof(f->note), "%.*s", (int)fact->note.detail.length,
                 (const char *)fact->note.detail.data);
}

static void drain(struct fixture *f)
{
    struct message message;
    int r;
    do {
        size_t offset = 0;
        f->gulp->used = 0;
        r = accounts_source_ops.drain(f->source, f->gulp);
        while (gulp_next(f->gulp, &offset, &message)) {
            buffer_append_slice(&f->bytes, message.bytes);
            assert_int_equal(accounts_source_ops.decode(NULL, &message, take, f), 0);
        }
    } while (r == SOURCE_MORE);
}

static bool is_settled(const struct fixture *f)
{
    return f->wanted[0] && f->ended[0] >= f->wanted[0] && f->wanted[1] &&
           f->ended[1] >= f->wanted[1];
}

/* Every change that was announced has been read; at least one was since the call before. */
static void settle(struct fixture *f)
{
    for (int waited = 0; waited < WAIT_MS; waited += 5) {
        drain(f);
        if (is_settled(f))
            return;
        poll(NULL, 0, 5);
    }
    fail_msg("not read within %d ms", WAIT_MS);
}

static void open_source(struct fixture *f)
{
    struct error_text error = ERROR_TEXT_NULL;
    const struct source_options options = {.accounts_directory = f->directory,
                                           .state_directory = f->state,
                                           .counters = &f->counters,
                                           .wake_fd = -1};
    memset(f->wanted, 0, sizeof(f->wanted));
    memset(f->ended, 0, sizeof(f->ended));
    assert_int_equal(accounts_source_ops.open(&f->source, &options, &error), 0);
}

static void close_source(struct fixture *f)
{
    accounts_source_ops.stop(f->source);
    f->source = accounts_source_ops.free(f->source);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    snprintf(f->directory, sizeof(f->directory), "/tmp/vestige-accounts-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->state, sizeof(f->state), "%s/state", f->directory);
    assert_int_equal(mkdir(f->state, 0700), 0);
    f->gulp = gulp_new(1 << 16);
    write_file(f, "passwd", "root:x:0:0:root:/root:/bin/sh\na:x:1:1:::\nbad line\n");
    write_file(f, "shadow", "root:$y$secret-hash:1::::::\na:*:1::::::\n");
    write_file(f, "group", "root:x:0:\ng:x:1:a,root\n");
    write_file(f, "gshadow", "root:*::\ng:!::a,root\n");
    open_source(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[96];
    close_source(f);
    snprintf(command, sizeof(command), "rm -r %s", f->directory);
    assert_int_equal(system(command), 0);
    gulp_free(f->gulp);
    buffer_deinit(&f->bytes);
    free(f);
    return 0;
}

static void test_first_reading(void **state)
{
    struct fixture *f = *state;
    settle(f);
    assert_int_equal(f->n_accounts, 2);
    assert_int_equal(f->n_groups, 2);
    assert_int_equal(f->n_members, 2);
    assert_true(f->complete[0] && f->complete[1]);
    assert_non_null(strstr(f->note, "1 malformed"));
    assert_int_equal(counter_get(&f->counters, COUNTER_MESSAGES_MALFORMED), 1);
    assert_int_equal(f->root.state, PASSWORD_SET);
    assert_null(memmem(f->bytes.data, f->bytes.length, "secret", 6));
}

static void let_thread_hang(void)
{
    atomic_store(&locks_hang, true);
    for (int waited = 0; waited < WAIT_MS && !atomic_load(&hanging); waited += 5)
        poll(NULL, 0, 5);
    assert_true(atomic_load(&hanging));
}

static void test_changes(void **state)
{
    struct fixture *f = *state;
    settle(f);
    struct account_password before = f->root;
    let_thread_hang();
    replace_file(f, "passwd", "root:x:0:0:root:/root:/bin/sh\n");
    drain(f); /* announced at once, before it is read */
    assert_false(is_settled(f));
    atomic_store(&locks_hang, false);
    settle(f);
    assert_int_equal(f->n_accounts, 1);
    assert_true(same_digest(before, f->root));
    write_file(f, "shadow", "root:$y$another:1::::::\n"); /* in its place */
    settle(f);
    assert_false(same_digest(before, f->root));
    write_file(f, "group.lock", "1");
    replace_file(f, "group", "g:x:1:a,b,c\n");
    replace_file(f, "gshadow", "g:!::\n");
    char lock[96];
    snprintf(lock, sizeof(lock), "%s/group.lock", f->directory);
    assert_int_equal(unlink(lock), 0);
    settle(f);
    assert_int_equal(f->n_groups, 1);
    assert_int_equal(f->n_members, 3);
}

static void test_key_is_kept(void **state)
{
    struct fixture *f = *state;
    char path[128];
    struct stat status;
    settle(f);
    struct account_password before = f->root;
    close_source(f);
    snprintf(path, sizeof(path), "%s/accounts.key", f->state);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(status.st_size, ACCOUNT_KEY_BYTES);
    open_source(f);
    settle(f);
    assert_true(same_digest(before, f->root));
    close_source(f);
    assert_int_equal(chmod(path, 0644), 0); /* no secret any more */
    open_source(f);
    settle(f);
    assert_false(same_digest(before, f->root));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
}

static void test_missing_files(void **state)
{
    struct fixture *f = *state;
    char path[96];
    settle(f);
    snprintf(path, sizeof(path), "%s/shadow", f->directory);
    assert_int_equal(unlink(path), 0);
    settle(f);
    assert_int_equal(f->root.state, PASSWORD_UNKNOWN);
    assert_true(f->complete[0]);
    assert_non_null(strstr(f->note, "shadow: No such file or directory, passwords are those known "
                                    "before"));
    snprintf(path, sizeof(path), "%s/passwd", f->directory);
    assert_int_equal(unlink(path), 0);
    settle(f);
    assert_false(f->complete[0]);
    assert_int_equal(f->n_accounts, 0);
    assert_non_null(strstr(f->note, "passwd: No such file"));
    assert_int_equal(mkfifo(path, 0600), 0); /* never waits for a pipe */
    settle(f);
    assert_false(f->complete[0]);
    assert_int_equal(unlink(path), 0);
    write_file(f, "passwd", "root:x:0:0:root:/root:/bin/sh\n");
    settle(f);
    assert_true(f->complete[0]);
    assert_int_equal(f->n_accounts, 1);
}

/* A change of which a message was lost is read again. */
static void test_lost_message(void **state)
{
    struct fixture *f = *state;
    for (int n = 1; n <= 3; n++) { /* the beginning, the accounts, the end */
        settle(f);
        f->complete[0] = false;
        atomic_store(&put_to_fail, n); /* before the thread can hear of the change */
        replace_file(f, "passwd", "root:x:0:0:root:/root:/bin/sh\n");
        settle(f);
        assert_true(f->complete[0]);
        assert_int_equal(f->n_accounts, 1);
        assert_int_equal(atomic_load(&put_to_fail), 0);
    }
}

/* The moment of a change is that of the change, not of its reading. */
static void test_read_late(void **state)
{
    struct fixture *f = *state;
    settle(f);
    let_thread_hang();
    uint64_t before_ns = clock_boot_ns();
    replace_file(f, "passwd", "b:x:1:1:::\n");
    uint64_t after_ns = clock_boot_ns();
    poll(NULL, 0, LATE_MS);
    assert_true(atomic_load(&hanging));
    atomic_store(&locks_hang, false);
    drain(f);
    settle(f);
    assert_int_equal(f->n_accounts, 1);
    assert_in_range(f->began_ns, before_ns - TICK_MS * MS, after_ns);
}

/* The reader does not wait for a file system. */
static void test_directory_that_hangs(void **state)
{
    struct fixture *f = *state;
    settle(f);
    let_thread_hang();
    drain(f);
    bool still_hangs = atomic_load(&hanging);
    atomic_store(&locks_hang, false);
    assert_true(still_hangs);
    replace_file(f, "passwd", "b:x:1:1:::\n");
    drain(f);
    settle(f);
    assert_int_equal(f->n_accounts, 1);
}

/* Of a file of passwords that is cut, what has no line in it is not known to have none. */
static void test_cut_passwords(void **state)
{
    struct fixture *f = *state;
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    settle(f);
    while (text.length <= ACCOUNT_FILE_MOST)
        buffer_append_text(&text,
                           "filler:*:1::::::filler filler filler filler filler filler fill\n");
    buffer_append_text(&text, "root:$y$h:1::::::\n");
    buffer_append_byte(&text, '\0');
    replace_file(f, "shadow", (const char *)text.data);
    drain(f);
    settle(f);
    assert_int_equal(f->root.state, PASSWORD_UNKNOWN);
    assert_false(f->complete[0]);
}

/* More than a message and a gulp hold. */
static void test_many(void **state)
{
    struct fixture *f = *state;
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    settle(f);
    for (unsigned i = 0; i < LONG; i++)
        buffer_printf(&text, "account%u:x:%u:%u:::/bin/sh\n", i, i, i);
    buffer_append_byte(&text, '\0');
    replace_file(f, "passwd", (const char *)text.data);
    settle(f);
    assert_int_equal(f->n_accounts, LONG);
    assert_true(f->complete[0]);
}

static void test_other_directory(void **state)
{
    struct fixture *f = *state;
    char moved[128];
    settle(f);
    snprintf(moved, sizeof(moved), "%s-moved", f->directory);
    assert_int_equal(rename(f->directory, moved), 0);
    assert_int_equal(mkdir(f->directory, 0700), 0);
    write_file(f, "passwd", "b:x:1:1:::\nc:x:2:2:::\nd:x:3:3:::\n");
    for (int waited = 0; waited < WAIT_MS && f->n_accounts != 3; waited += 5) {
        drain(f);
        poll(NULL, 0, 5);
    }
    assert_int_equal(f->n_accounts, 3);
    settle(f);
    replace_file(f, "passwd", "b:x:1:1:::\n"); /* heard there, too */
    drain(f);
    settle(f);
    assert_int_equal(f->n_accounts, 1);
    char command[160];
    snprintf(command, sizeof(command), "rm -r %s", moved);
    assert_int_equal(system(command), 0);
}

/* -- messages -- */

static int decode(struct slice bytes)
{
    struct fixture f = {.n_accounts = 0};
    const struct message message = {
        .source = SOURCE_ACCOUNTS, .kind = MESSAGE_DATA, .bytes = bytes};
    return account_message_decode(NULL, &message, take, &f);
}

static void test_torn_messages(void **state)
{
    struct buffer bytes CLEANUP(buffer_deinit) = BUFFER_NULL;
    const struct fact_account account = {
        .name = slice_text("a"), .home = slice_text("/"), .password = {.state = PASSWORD_SET}};
    (void)state;
    account_message_append_account(&bytes, &account);
    size_t first = bytes.length;
    account_message_append_account(&bytes, &account);
    for (size_t n = 0; n <= bytes.length; n++) {
        bool whole = n == first || n == bytes.length;
        assert_int_equal(decode(slice_of(bytes.data, n)), whole ? 0 : -EBADMSG);
    }
    bytes.data[9] = PASSWORD_STATE_N;
    assert_int_equal(decode(slice_of(bytes.data, first)), -EBADMSG);
    bytes.data[0] = 7;
    assert_int_equal(decode(slice_of(bytes.data, first)), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passwd_lines),
        cmocka_unit_test(test_malformed_passwd_lines),
        cmocka_unit_test(test_lines_of_a_file),
        cmocka_unit_test(test_too_many_lines),
        cmocka_unit_test(test_huge_line),
        cmocka_unit_test(test_group_lines),
        cmocka_unit_test(test_ten_thousand_members),
        cmocka_unit_test(test_password_states),
        cmocka_unit_test(test_digests),
        cmocka_unit_test(test_lock_is_waited_for),
        cmocka_unit_test(test_without_lock_quiet_is_waited_for),
        cmocka_unit_test(test_torn_messages),
        cmocka_unit_test_setup_teardown(test_first_reading, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_key_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_late, setup, teardown),
        cmocka_unit_test_setup_teardown(test_directory_that_hangs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_passwords, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_directory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
