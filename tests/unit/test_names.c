// links: vestige_procfs
/* User names: from the passwd file, when it changes, and from the name service switch. Uids from
 * SWITCH_FIRST on are asked of a switch of this test, all others of the system's. */
#include "collectors/procfs/name_cache.h"
#include "collectors/procfs/names_source.h"
#include "core/cleanup.h"

#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { NOBODY_HAS = 3999999999, WAIT_MS = 60000, FACTS_MOST = 5000, ACCOUNTS_MOST = 16 };

enum { SWITCH_FIRST = 4100000000, SWITCH_NOBODY, SWITCH_FAILS, SWITCH_HANGS };

/* What the switch says of SWITCH_FIRST, and how often it was asked. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t released;
    bool hanging;
    const char *name, *gecos, *home, *shell;
    unsigned n_asked, n_hung;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .released = PTHREAD_COND_INITIALIZER};

static void hang(void)
{
    fake.n_hung++;
    while (fake.hanging)
        pthread_cond_wait(&fake.released, &fake.lock);
}

static int fill(struct passwd *entry, char *buffer, size_t size)
{
    const char *const texts[] = {fake.name, "secret", fake.gecos, fake.home, fake.shell};
    char **const to[] = {&entry->pw_name, &entry->pw_passwd, &entry->pw_gecos, &entry->pw_dir,
                         &entry->pw_shell};
    for (size_t i = 0; i < 5; i++) {
        size_t length = strlen(texts[i]) + 1;
        if (length > size)
            return ERANGE;
        *to[i] = memcpy(buffer, texts[i], length);
        buffer += length;
        size -= length;
    }
    return 0;
}

static int ask_fake(uid_t uid, struct passwd *entry, char *buffer, size_t size)
{
    if (uid == SWITCH_HANGS)
        hang();
    if (uid == SWITCH_FAILS)
        return EIO;
    if (uid != SWITCH_FIRST)
        return ENOENT;
    entry->pw_uid = uid;
    entry->pw_gid = 77;
    return fill(entry, buffer, size);
}

/* In the place of the C library's. */
int getpwuid_r(uid_t uid, struct passwd *entry, char *buffer, size_t size, struct passwd **found)
{
    int (*system_ask)(uid_t, struct passwd *, char *, size_t, struct passwd **);
    *found = NULL;
    if (uid < SWITCH_FIRST) {
        void *symbol = dlsym(RTLD_NEXT, "getpwuid_r");
        memcpy(&system_ask, &symbol, sizeof(symbol));
        return system_ask(uid, entry, buffer, size, found);
    }
    pthread_mutex_lock(&fake.lock);
    int error = ask_fake(uid, entry, buffer, size);
    fake.n_asked += error != ERANGE;
    pthread_mutex_unlock(&fake.lock);
    if (!error)
        *found = entry;
    return uid == SWITCH_NOBODY ? 0 : error;
}

static void say(const char *name, const char *gecos, const char *shell)
{
    pthread_mutex_lock(&fake.lock);
    fake.name = name;
    fake.gecos = gecos;
    fake.home = "/h";
    fake.shell = shell;
    pthread_mutex_unlock(&fake.lock);
}

static unsigned times_hung(void)
{
    pthread_mutex_lock(&fake.lock);
    unsigned n = fake.n_hung;
    pthread_mutex_unlock(&fake.lock);
    return n;
}

static unsigned times_asked(void)
{
    pthread_mutex_lock(&fake.lock);
    unsigned n = fake.n_asked;
    pthread_mutex_unlock(&fake.lock);
    return n;
}

struct fixture {
    char directory[64], passwd[80], next[80];
    struct source *source;
    struct gulp *gulp;
    struct counters counters;
    struct source_options options;
    unsigned n, n_accounts;
    struct {
        uint32_t uid;
        enum user_name_origin origin;
        bool is_known;
        char name[40];
    } facts[FACTS_MOST];
    char accounts[ACCOUNTS_MOST][120];
};

static const char *shown(struct slice text, char to[24])
{
    if (slice_is_null(text))
        return "-";
    snprintf(to, 24, "%.*s", (int)text.length, (const char *)text.data);
    return to;
}

static void take_account(struct fixture *f, const struct fact_account *account)
{
    char name[24], gecos[24], home[24], shell[24];
    assert_true(account->from_switch);
    assert_int_equal(account->password.state, PASSWORD_UNKNOWN);
    assert_false(account->password.has_digest);
    assert_true(f->n_accounts < ACCOUNTS_MOST);
    snprintf(f->accounts[f->n_accounts++], sizeof(f->accounts[0]), "%s %u %u %s %s %s",
             shown(account->name, name), account->uid, account->gid, shown(account->gecos, gecos),
             shown(account->home, home), shown(account->shell, shell));
}

static void take(void *user, const struct fact *fact)
{
    struct fixture *f = user;
    struct slice name = fact->user_name.name;
    assert_int_equal(fact->source, SOURCE_NAMES);
    if (fact->kind == FACT_ACCOUNT) {
        take_account(f, &fact->account);
        return;
    }
    assert_int_equal(fact->kind, FACT_USER_NAME);
    assert_true(f->n < FACTS_MOST);
    f->facts[f->n].uid = fact->user_name.uid;
    f->facts[f->n].origin = fact->user_name.origin;
    f->facts[f->n].is_known = name.data != NULL;
    snprintf(f->facts[f->n].name, sizeof(f->facts[f->n].name), "%.*s", (int)name.length,
             name.data ? (const char *)name.data : "");
    f->n++;
}

static void drain(struct fixture *f)
{
    struct message message;
    int r;
    do {
        size_t offset = 0;
        f->gulp->used = 0;
        r = names_source_ops.drain(f->source, f->gulp);
        while (gulp_next(f->gulp, &offset, &message))
            assert_int_equal(names_source_ops.decode(NULL, &message, take, f), 0);
    } while (r == SOURCE_MORE);
}

static void wait_for(struct fixture *f, unsigned n)
{
    for (int waited = 0; waited < WAIT_MS && f->n < n; waited += 5) {
        drain(f);
        poll(NULL, 0, f->n < n ? 5 : 0);
    }
    assert_int_equal(f->n, n);
}

static void expect(const struct fixture *f, unsigned i, uint32_t uid, const char *name)
{
    assert_true(i < f->n);
    assert_int_equal(f->facts[i].uid, uid);
    assert_int_equal(f->facts[i].is_known, name != NULL);
    assert_string_equal(f->facts[i].name, name ? name : "");
}

static void ask(struct fixture *f, uint32_t uid, enum user_name_origin origin, const char *name)
{
    unsigned i = f->n;
    assert_true(names_request(f->source, uid));
    wait_for(f, i + 1);
    expect(f, i, uid, name);
    assert_int_equal(f->facts[i].origin, origin);
}

/* Ask until there is another answer than the one before. */
static void ask_until_new(struct fixture *f, uint32_t uid)
{
    for (int waited = 0; waited < WAIT_MS; waited += 20) {
        unsigned i = f->n;
        assert_true(names_request(f->source, uid));
        wait_for(f, i + 1);
        if (f->facts[i].origin != USER_AS_BEFORE)
            return;
        poll(NULL, 0, 20);
    }
    fail_msg("no new answer");
}

/* As useradd does it: a new file takes the place of the old one. */
static void write_passwd(struct fixture *f, const char *text)
{
    FILE *file = fopen(f->next, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(f->next, f->passwd), 0);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    snprintf(f->directory, sizeof(f->directory), "/tmp/vestige-names-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->passwd, sizeof(f->passwd), "%s/passwd", f->directory);
    snprintf(f->next, sizeof(f->next), "%s/next", f->directory);
    f->options = (struct source_options){.wake_fd = -1, .counters = &f->counters};
    fake.n_asked = fake.n_hung = 0;
    f->gulp = gulp_new(65536);
    assert_non_null(f->gulp);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->source)
        names_source_ops.stop(f->source);
    names_source_ops.free(f->source);
    gulp_free(f->gulp);
    unlink(f->passwd);
    rmdir(f->directory);
    free(f);
    return 0;
}

static void open_source(struct fixture *f)
{
    struct error_text error = ERROR_TEXT_NULL;
    assert_int_equal(names_source_open(&f->source, &f->options, f->passwd, &error), 0);
}

static void test_file_and_its_changes(void **state)
{
    struct fixture *f = *state;
    write_passwd(f, "anna:x:4000000001:1::/:\n"
                    "second:x:4000000001:1::/:\n" /* the first counts */
                    "+@net:x:1:1::/:\n"
                    "broken\n"
                    "bo:x:4000000002:1::/:\n");
    open_source(f);
    wait_for(f, 2);
    expect(f, 0, 4000000001, "anna");
    expect(f, 1, 4000000002, "bo");
    write_passwd(f, "anna:x:4000000001:1::/:\n"
                    "robert:x:4000000002:1::/:\n"
                    "carl:x:4000000003:1::/:\n");
    wait_for(f, 4); /* what stayed is not said again */
    expect(f, 2, 4000000002, "robert");
    expect(f, 3, 4000000003, "carl");
    write_passwd(f, "robert:x:4000000002:1::/:\ncarl:x:4000000003:1::/:\n");
    wait_for(f, 5);
    expect(f, 4, 4000000001, NULL);
}

static void test_requests(void **state)
{
    struct fixture *f = *state;
    write_passwd(f, "anna:x:4000000001:1::/:\n");
    open_source(f);
    wait_for(f, 1);
    assert_true(names_request(f->source, 4000000001));
    wait_for(f, 2);
    expect(f, 1, 4000000001, "anna");
    assert_true(names_request(f->source, 0)); /* not in this file, but the switch knows */
    wait_for(f, 3);
    expect(f, 2, 0, "root");
    assert_true(names_request(f->source, NOBODY_HAS));
    wait_for(f, 4);
    expect(f, 3, NOBODY_HAS, NULL);
    assert_true(names_request(f->source, NOBODY_HAS)); /* from the cache */
    wait_for(f, 5);
    expect(f, 4, NOBODY_HAS, NULL);
    /* in the file now, and asked for before the next look at it would be due: the miss looks */
    write_passwd(f, "anna:x:4000000001:1::/:\ndora:x:4000000004:1::/:\n");
    assert_true(names_request(f->source, 4000000004));
    wait_for(f, 7);
    expect(f, 5, 4000000004, "dora");
    expect(f, 6, 4000000004, "dora"); /* once because it is new, once because it was asked for */
}

static void test_no_file(void **state)
{
    struct fixture *f = *state;
    open_source(f);
    assert_true(names_request(f->source, 0));
    wait_for(f, 1);
    expect(f, 0, 0, "root");
}

/* The queue is full and nobody drains: requests are refused at their bound, and stop ends it. */
static void test_bounds(void **state)
{
    struct fixture *f = *state;
    uint32_t accepted = 0;
    open_source(f);
    while (accepted < 100000 && names_request(f->source, accepted + 3000000000))
        accepted++;
    assert_true(accepted >= 256);
    assert_true(accepted < 100000);
    names_source_ops.stop(f->source);
    drain(f);
    assert_true(f->n <= accepted);
}

static void test_switch_is_asked_once(void **state)
{
    struct fixture *f = *state;
    open_source(f);
    say("zoe", "Zoe, of the directory", "/bin/sh");
    ask(f, SWITCH_FIRST, USER_OF_SWITCH, "zoe");
    assert_int_equal(f->n_accounts, 1);
    assert_string_equal(f->accounts[0], "zoe 4100000000 77 Zoe, of the directory /h /bin/sh");
    ask(f, SWITCH_NOBODY, USER_OF_NOBODY, NULL);
    for (int i = 0; i < 10; i++) {
        ask(f, SWITCH_FIRST, USER_AS_BEFORE, NULL);
        ask(f, SWITCH_NOBODY, USER_AS_BEFORE, NULL);
    }
    assert_int_equal(f->n_accounts, 1);
    assert_int_equal(times_asked(), 2);
    assert_int_equal(counter_get(&f->counters, COUNTER_USER_FIELDS_UNUSABLE), 0);
}

static void test_switch_is_asked_again(void **state)
{
    struct fixture *f = *state;
    f->options.user_keep_s = f->options.user_absent_s = 1;
    open_source(f);
    say("zoe", "", "/bin/sh");
    ask(f, SWITCH_FIRST, USER_OF_SWITCH, "zoe");
    ask(f, SWITCH_NOBODY, USER_OF_NOBODY, NULL);
    say("zoe", "", "/bin/zsh");
    ask_until_new(f, SWITCH_FIRST);
    assert_int_equal(f->n_accounts, 2);
    assert_string_equal(f->accounts[0], "zoe 4100000000 77  /h /bin/sh");
    assert_string_equal(f->accounts[1], "zoe 4100000000 77  /h /bin/zsh");
    ask_until_new(f, SWITCH_NOBODY);
    assert_int_equal(f->facts[f->n - 1].origin, USER_OF_NOBODY);
    assert_int_equal(times_asked(), 4);
}

/* From an error nothing follows: it is not said that there is no such user. */
static void test_switch_fails(void **state)
{
    struct fixture *f = *state;
    open_source(f);
    for (int i = 0; i < 3; i++)
        ask(f, SWITCH_FAILS, USER_AS_BEFORE, NULL);
    assert_int_equal(f->n_accounts, 0);
    assert_int_equal(times_asked(), 1);
}

static void repeat(char *text, size_t n)
{
    memset(text, 'x', n);
    text[n] = '\0';
}

static void test_switch_bounds(void **state)
{
    static char gecos[NAMES_TEXT_MOST + 2], name[NAMES_NAME_MOST + 2];
    struct fixture *f = *state;
    f->options.user_keep_s = f->options.user_absent_s = 1;
    open_source(f);
    repeat(gecos, NAMES_TEXT_MOST);
    say("zoe", gecos, "/bin/sh");
    ask(f, SWITCH_FIRST, USER_OF_SWITCH, "zoe");
    assert_string_equal(f->accounts[0], "zoe 4100000000 77 xxxxxxxxxxxxxxxxxxxxxxx /h /bin/sh");
    repeat(gecos, NAMES_TEXT_MOST + 1);
    ask_until_new(f, SWITCH_FIRST);
    assert_string_equal(f->accounts[1], "zoe 4100000000 77 - /h /bin/sh");
    assert_int_equal(counter_get(&f->counters, COUNTER_USER_FIELDS_UNUSABLE), 1);
    repeat(name, NAMES_NAME_MOST);
    say(name, "", "/bin/sh");
    ask_until_new(f, SWITCH_FIRST);
    assert_int_equal(f->n_accounts, 3);
    repeat(name, NAMES_NAME_MOST + 1);
    for (int waited = 0; times_asked() < 4 && waited < WAIT_MS; waited += 20) {
        ask(f, SWITCH_FIRST, USER_AS_BEFORE, NULL);
        poll(NULL, 0, 20);
    }
    assert_int_equal(f->n_accounts, 3);
    assert_int_equal(counter_get(&f->counters, COUNTER_USER_FIELDS_UNUSABLE), 2);
}

/* A user of the switch comes into the file, with the same name, and leaves it. */
static void test_from_switch_to_file(void **state)
{
    struct fixture *f = *state;
    write_passwd(f, "");
    open_source(f);
    say("zoe", "", "/bin/sh");
    ask(f, SWITCH_FIRST, USER_OF_SWITCH, "zoe");
    write_passwd(f, "zoe:x:4100000000:1::/:\n");
    wait_for(f, 2);
    expect(f, 1, SWITCH_FIRST, "zoe");
    assert_int_equal(f->facts[1].origin, USER_OF_FILE);
    ask(f, SWITCH_FIRST, USER_OF_FILE, "zoe");
    assert_int_equal(f->n_accounts, 1);
    write_passwd(f, "");
    wait_for(f, 4);
    assert_int_equal(f->facts[3].origin, USER_OF_SWITCH);
    assert_int_equal(f->n_accounts, 2);
}

static void set_hanging(bool hanging)
{
    pthread_mutex_lock(&fake.lock);
    fake.hanging = hanging;
    pthread_cond_broadcast(&fake.released);
    pthread_mutex_unlock(&fake.lock);
}

/* The thread does not come back before the source is gone; then it finds nobody to tell. */
static void test_switch_hangs(void **state)
{
    static struct source *left_behind; /* for who looks for memory that is lost */
    struct fixture *f = *state;
    open_source(f);
    set_hanging(true);
    assert_true(names_request(f->source, SWITCH_HANGS));
    for (uint32_t i = 0; i < 1000; i++)
        (void)names_request(f->source, i);
    for (int waited = 0; times_hung() == 0 && waited < WAIT_MS; waited += 5)
        poll(NULL, 0, 5);
    assert_int_equal(times_hung(), 1);
    drain(f);
    assert_true(f->n == 0);
    uint64_t before_ns = clock_boot_ns();
    names_source_ops.stop(f->source);
    left_behind = f->source;
    f->source = names_source_ops.free(f->source);
    assert_true(clock_boot_ns() - before_ns < UINT64_C(30000000000));
    assert_null(f->source);
    assert_non_null(left_behind);
    set_hanging(false);
    for (int waited = 0; times_asked() == 0 && waited < WAIT_MS; waited += 5)
        poll(NULL, 0, 5);
    assert_int_equal(times_asked(), 1);
}

static void decode_ok(const char *bytes, size_t length, int expected, unsigned n)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    struct message message = {
        .source = SOURCE_NAMES, .kind = MESSAGE_DATA, .bytes = slice_of(bytes, length)};
    assert_int_equal(names_decode(NULL, &message, take, f), expected);
    assert_int_equal(f->n, n);
    free(f);
}

static void test_decode(void **state)
{
    (void)state;
    decode_ok("\1\0\0\0\1x", 6, 0, 1);
    decode_ok("\1\0\0\0\0", 5, 0, 1);
    decode_ok("\1\0\0\0\1", 5, -EBADMSG, 0); /* known, but empty */
    decode_ok("\1\0\0\0\0x", 6, -EBADMSG, 0);
    decode_ok("\1\0\0\0\0\0", 6, -EBADMSG, 0);
    decode_ok("\1\0\0\0\3", 5, 0, 1);
    decode_ok("\1\0\0\0\3x", 6, -EBADMSG, 0);
    decode_ok("\1\0\0\0\4", 5, -EBADMSG, 0);
    decode_ok("\1\0\0\0\2x", 6, -EBADMSG, 0);
    decode_ok("\1\0\0\0", 4, -EBADMSG, 0);
    decode_ok("", 0, -EBADMSG, 0);
}

/* Whatever is cut off or added, an entry is whole or nothing. */
static void test_decode_entry(void **state)
{
    (void)state;
    struct buffer message CLEANUP(buffer_deinit) = BUFFER_NULL;
    const struct fact_account entry = {.uid = 7,
                                       .gid = 8,
                                       .name = slice_text("a"),
                                       .gecos = slice_text(""),
                                       .shell = slice_text("/s")};
    names_message_append_entry(&message, &entry);
    for (size_t length = 0; length < message.length; length++)
        decode_ok((const char *)message.data, length, -EBADMSG, 0);
    decode_ok((const char *)message.data, message.length, 0, 1);
    buffer_append_byte(&message, 'x');
    decode_ok((const char *)message.data, message.length, -EBADMSG, 0);
    static const uint8_t no_name[] = {7, 0, 0, 0, 2, 8, 0, 0, 0};
    buffer_clear(&message);
    buffer_append(&message, no_name, sizeof(no_name));
    for (int i = 0; i < 16; i++)
        buffer_append_byte(&message, 0);
    decode_ok((const char *)message.data, message.length, -EBADMSG, 0);
}

static void test_cache(void **state)
{
    (void)state;
    struct name_cache *cache;
    uint32_t uid;
    assert_int_equal(name_cache_new(&cache), 0);
    for (uint32_t i = 0; i < NAME_CACHE_MOST; i++) /* 7919 is a prime: all orders of insertion */
        assert_int_equal(name_cache_put(cache, i * 7919 % NAME_CACHE_MOST, "x", 1000 + i), 0);
    assert_non_null(name_cache_find(cache, 0, 999));
    assert_null(name_cache_find(cache, 0, 1000)); /* the first put is the first to expire */
    assert_int_equal(name_cache_put(cache, 70000, "y", UINT64_MAX), 0);
    assert_null(name_cache_find(cache, 0, 0)); /* it made room */
    assert_string_equal(name_cache_find(cache, 70000, 0)->name, "y");
    assert_int_equal(name_cache_put(cache, 70000, NULL, 5), 0);
    assert_null(name_cache_find(cache, 70000, 0)->name);
    for (uint32_t i = 1; i < NAME_CACHE_MOST; i++)
        assert_int_equal(name_cache_find(cache, i, 0)->uid, i);
    for (uint32_t i = 0; i < NAME_CACHE_MOST; i++)
        assert_int_equal(name_cache_put(cache, i, "file", UINT64_MAX), 0);
    assert_null(name_cache_find(cache, 70000, 0));
    assert_int_equal(name_cache_put(cache, 80000, "z", UINT64_MAX), 0); /* no room: not kept */
    assert_null(name_cache_find(cache, 80000, 0));
    assert_false(name_cache_take_old(cache, &uid));
    name_cache_age(cache);
    assert_true(name_cache_take_old(cache, &uid));
    assert_int_equal(uid, 0);
    assert_null(name_cache_find(cache, 0, 0));
    name_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_file_and_its_changes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_requests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_switch_is_asked_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_switch_is_asked_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_switch_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_switch_bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_from_switch_to_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_switch_hangs, set_up, tear_down),
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_decode_entry),
        cmocka_unit_test(test_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
