// links: vestige_procfs
/* User names: from the passwd file, when it changes, and from the name service switch. */
#include "collectors/procfs/name_cache.h"
#include "collectors/procfs/names_source.h"
#include "core/cleanup.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { NOBODY_HAS = 3999999999, WAIT_MS = 10000, FACTS_MOST = 5000 };

struct fixture {
    char directory[64], passwd[80], next[80];
    struct source *source;
    struct gulp *gulp;
    unsigned n;
    struct {
        uint32_t uid;
        bool is_known;
        char name[40];
    } facts[FACTS_MOST];
};

static void take(void *user, const struct fact *fact)
{
    struct fixture *f = user;
    struct slice name = fact->user_name.name;
    assert_int_equal(fact->kind, FACT_USER_NAME);
    assert_int_equal(fact->source, SOURCE_NAMES);
    assert_true(f->n < FACTS_MOST);
    f->facts[f->n].uid = fact->user_name.uid;
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
    f->gulp = gulp_new(4096);
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
    struct source_options options = {.wake_fd = -1};
    struct error_text error = ERROR_TEXT_NULL;
    assert_int_equal(names_source_open(&f->source, &options, f->passwd, &error), 0);
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
    decode_ok("\1\0\0\0\2x", 6, -EBADMSG, 0);
    decode_ok("\1\0\0\0", 4, -EBADMSG, 0);
    decode_ok("", 0, -EBADMSG, 0);
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
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
