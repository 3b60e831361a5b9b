// links: vestige_resolver
/* The parts of the resolver that need no network: messages, the hosts file, DNS's replies, the
 * breaker, and the questions. */
#include "collectors/resolver/dns_breaker.h"
#include "collectors/resolver/dns_reply.h"
#include "collectors/resolver/hosts_file.h"
#include "collectors/resolver/resolver_message.h"
#include "core/buffer.h"
#include "core/plain_address.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct inet_address address_of(const char *text)
{
    struct inet_address address = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};
    assert_int_equal(inet_pton(address.family, text, address.bytes), 1);
    return address;
}

/* ---- messages ---- */

static struct fact_host_name decoded;
static unsigned n_decoded;

static void take_fact(void *user, const struct fact *fact)
{
    static uint8_t name[RESOLVER_MESSAGE_MOST];
    (void)user;
    n_decoded++;
    if (fact->kind == FACT_NOTE) {
        assert_true(slice_is(fact->note.mode, "on"));
        assert_true(slice_is(fact->note.detail, "hosts file"));
        return;
    }
    assert_int_equal(fact->kind, FACT_HOST_NAME);
    assert_int_equal(fact->source, SOURCE_RESOLVER);
    assert_int_equal(fact->boot_ns, 77);
    decoded = fact->host_name;
    if (decoded.name.length)
        memcpy(name, decoded.name.data, decoded.name.length);
    if (!slice_is_null(decoded.name))
        decoded.name.data = name;
}

static int decode(enum message_kind kind, struct slice bytes)
{
    struct message message = {
        .source = SOURCE_RESOLVER, .kind = kind, .boot_ns = 77, .bytes = bytes};
    n_decoded = 0;
    return resolver_decode(NULL, &message, take_fact, NULL);
}

static void round_trip(struct fact_host_name fact)
{
    uint8_t bytes[RESOLVER_MESSAGE_MOST];
    size_t length = resolver_message_write(bytes, &fact);
    assert_int_equal(decode(MESSAGE_DATA, slice_of(bytes, length)), 0);
    assert_int_equal(n_decoded, 1);
    assert_int_equal(plain_address_compare(&decoded.address, &fact.address), 0);
    assert_int_equal(decoded.answered, fact.answered);
    assert_int_equal(decoded.origin, fact.origin);
    assert_int_equal(slice_is_null(decoded.name), slice_is_null(fact.name));
    assert_true(slice_equal(decoded.name, fact.name));
}

static void test_messages(void **state)
{
    (void)state;
    char longest[HOST_NAME_MOST];
    memset(longest, 0xff, sizeof(longest));
    round_trip((struct fact_host_name){address_of("192.0.2.1"), slice_of("a\0\n\x80", 4), true,
                                       NAME_FROM_HOSTS});
    round_trip((struct fact_host_name){address_of("2001:db8::1"),
                                       slice_of(longest, sizeof(longest)), true, NAME_FROM_DNS});
    round_trip((struct fact_host_name){address_of("192.0.2.1"), SLICE_NULL, true, NAME_FROM_DNS});
    round_trip((struct fact_host_name){address_of("::1"), SLICE_NULL, false, NAME_FROM_HOSTS});
    assert_int_equal(decode(MESSAGE_NOTE, slice_text("on\thosts file")), 0);
    assert_int_equal(n_decoded, 1);
}

static void refuse(const char *bytes, size_t length)
{
    assert_int_equal(decode(MESSAGE_DATA, slice_of(bytes, length)), -EBADMSG);
    assert_int_equal(n_decoded, 0);
}

static void test_malformed_messages(void **state)
{
    (void)state;
    char large[8 + HOST_NAME_MOST + 1] = {AF_INET, NAME_FROM_DNS, 1, 1, 1, 2, 3, 4};
    assert_int_equal(decode(MESSAGE_DATA, slice_of("\2\0\1\1\1\2\3\4n", 9)), 0);
    for (size_t length = 0; length < 9; length++)
        refuse("\2\0\1\1\1\2\3\4n", length);
    refuse("\3\0\1\1\1\2\3\4n", 9);           /* family */
    refuse("\2\2\1\1\1\2\3\4n", 9);           /* origin */
    refuse("\2\0\2\1\1\2\3\4n", 9);           /* answered */
    refuse("\2\0\1\2\1\2\3\4n", 9);           /* known */
    refuse("\2\0\0\1\1\2\3\4n", 9);           /* a name, but nobody answered */
    refuse("\2\0\1\0\1\2\3\4n", 9);           /* no name, but one is there */
    refuse("\x0a\0\1\1\1\2\3\4\1\2\3\4", 12); /* half an IPv6 address */
    refuse(large, sizeof(large));
    assert_int_equal(decode(MESSAGE_DATA, slice_of(large, sizeof(large) - 1)), 0);
    assert_int_equal(decode(MESSAGE_NOTE, slice_text("no tab")), -EBADMSG);
}

/* ---- hosts ---- */

static void expect_name(struct slice found, const char *name)
{
    if (name ? !slice_is(found, name) : !slice_is_null(found))
        fail_msg("found %.*s and not %s", (int)found.length,
                 found.data ? (const char *)found.data : "(none)", name ? name : "none");
}

static void expect_host(const struct hosts_table *table, const char *address, const char *name)
{
    struct inet_address key = address_of(address);
    key = plain_address(&key);
    expect_name(hosts_table_find(table, &key), name);
}

static struct hosts_table *table_of(const char *text, size_t length)
{
    struct hosts_table *table = NULL;
    assert_int_equal(hosts_table_new(&table, slice_of(text, length)), 0);
    return table;
}

static void test_hosts_table(void **state)
{
    (void)state;
    static const char text[] = "127.0.0.1 localhost loopback\n"
                               "# 192.0.2.1 comment\n"
                               "\n"
                               " \t192.0.2.1\tone.example one # two\r\n"
                               "192.0.2.2#no name\n"
                               "192.0.2.2 \n"
                               "192.0.2.1 other.example\n"
                               "2001:db8::1 six.example\n"
                               "2001:DB8:0::1 again.example\n"
                               "::ffff:192.0.2.7 mapped.example\n"
                               "192.0.2.1 third.example\n"
                               "127.0.0.1 third.example\n"
                               "fe80::1%eth0 scope.example\n"
                               "0.0.0.0 blocked.example\n"
                               ":: blocked6.example\n"
                               "192.0.2 short.example\n"
                               "192.0.2.300 wrong.example\n"
                               "192.0.2.3\0 nul.example\n"
                               "192.0.2.4 c\1\x1b\xff\0x\n"
                               "192.0.2.5 last.example";
    struct hosts_table *table = table_of(text, sizeof(text) - 1);
    struct inet_address four = address_of("192.0.2.4");
    expect_host(table, "127.0.0.1", "localhost");
    expect_host(table, "192.0.2.1", "one.example");
    expect_host(table, "192.0.2.2", NULL);
    expect_host(table, "192.0.2.3", NULL);
    expect_host(table, "2001:db8::1", "six.example");
    expect_host(table, "192.0.2.7", "mapped.example");
    expect_host(table, "::ffff:192.0.2.7", "mapped.example");
    expect_host(table, "fe80::1", NULL);
    expect_host(table, "0.0.0.0", NULL);
    expect_host(table, "::", NULL);
    expect_host(table, "192.0.2.5", "last.example");
    assert_true(slice_equal(hosts_table_find(table, &four), slice_of("c\1\x1b\xff\0x", 6)));
    assert_int_equal(hosts_table_refused(table), 0);
    assert_false(hosts_table_truncated(table));
    hosts_table_free(table);
}

static void test_hosts_bounds(void **state)
{
    (void)state;
    struct buffer text = BUFFER_NULL;
    buffer_append_text(&text, "192.0.2.1 ");
    for (size_t i = 0; i < HOST_NAME_MOST; i++)
        buffer_append_byte(&text, 'x');
    buffer_append_text(&text, "\n192.0.2.2 ");
    for (size_t i = 0; i < HOST_NAME_MOST + 1; i++)
        buffer_append_byte(&text, 'y');
    buffer_append_byte(&text, '\n');
    for (unsigned i = 0; i < 100000; i++) /* one address */
        buffer_printf(&text, "127.0.0.1 blocked%u.example\n", i);
    for (unsigned i = 0; i < HOSTS_ENTRIES_MOST; i++)
        buffer_printf(&text, "10.1.%u.%u host%u\n", i >> 8, i & 0xff, i);
    assert_false(text.failed);
    struct hosts_table *table = table_of((const char *)text.data, text.length);
    struct inet_address one = address_of("192.0.2.1");
    assert_int_equal(hosts_table_find(table, &one).length, HOST_NAME_MOST);
    expect_host(table, "192.0.2.2", NULL);
    assert_int_equal(hosts_table_refused(table), 1);
    expect_host(table, "127.0.0.1", "blocked0.example");
    assert_true(hosts_table_truncated(table));
    expect_host(table, "10.1.0.0", "host0");
    expect_host(table, "10.1.255.253", "host65533"); /* the last one with room */
    expect_host(table, "10.1.255.254", NULL);
    hosts_table_free(table);
    buffer_deinit(&text);
}

struct changes {
    char text[512];
    size_t length;
};

static void take_change(void *user, const struct inet_address *address, struct slice name)
{
    struct changes *changes = user;
    char word[INET6_ADDRSTRLEN];
    assert_non_null(inet_ntop(address->family, address->bytes, word, sizeof(word)));
    changes->length += (size_t)snprintf(
        changes->text + changes->length, sizeof(changes->text) - changes->length, "%s=%.*s ", word,
        (int)name.length, slice_is_null(name) ? "" : (const char *)name.data);
}

static void test_hosts_compare(void **state)
{
    (void)state;
    static const char before[] = "10.0.0.1 same\n10.0.0.2 old\n10.0.0.3 gone\n::1 gone6\n";
    static const char after[] = "10.0.0.0 first\n10.0.0.2 new\n10.0.0.1 same\n::2 new6\n";
    struct hosts_table *a = table_of(before, sizeof(before) - 1);
    struct hosts_table *b = table_of(after, sizeof(after) - 1);
    struct changes changes = {.length = 0};
    hosts_table_compare(a, b, take_change, &changes);
    assert_string_equal(changes.text, "10.0.0.0=first 10.0.0.2=new 10.0.0.3= ::1= ::2=new6 ");
    changes = (struct changes){.length = 0};
    hosts_table_compare(b, b, take_change, &changes);
    assert_string_equal(changes.text, "");
    hosts_table_free(a);
    hosts_table_free(b);
}

struct file_fixture {
    char directory[64], path[80], next[80];
    struct hosts_file *file;
    struct changes changes;
};

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int set_up_file(void **state)
{
    struct file_fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    snprintf(f->directory, sizeof(f->directory), "/tmp/vestige-hosts-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->path, sizeof(f->path), "%s/hosts", f->directory);
    snprintf(f->next, sizeof(f->next), "%s/next", f->directory);
    assert_int_equal(hosts_file_new(&f->file, f->path), 0);
    *state = f;
    return 0;
}

static int tear_down_file(void **state)
{
    struct file_fixture *f = *state;
    hosts_file_free(f->file);
    unlink(f->path);
    rmdir(f->path);
    rmdir(f->directory);
    free(f);
    return 0;
}

static void expect_refresh(struct file_fixture *f, int outcome, const char *changes)
{
    f->changes = (struct changes){.length = 0};
    assert_int_equal(hosts_file_refresh(f->file, take_change, &f->changes), outcome);
    assert_string_equal(f->changes.text, changes);
}

static void test_hosts_file(void **state)
{
    struct file_fixture *f = *state;
    struct inet_address one = address_of("10.0.0.1");
    expect_refresh(f, HOSTS_FILE_READ, ""); /* there is none */
    expect_refresh(f, HOSTS_FILE_SAME, "");
    write_file(f->path, "10.0.0.1 one\n");
    expect_refresh(f, HOSTS_FILE_READ, "10.0.0.1=one ");
    expect_refresh(f, HOSTS_FILE_SAME, "");
    write_file(f->next, "10.0.0.1 two\n"); /* of the same size */
    assert_int_equal(rename(f->next, f->path), 0);
    expect_refresh(f, HOSTS_FILE_READ, "10.0.0.1=two ");
    write_file(f->path, "10.0.0.1 three\n"); /* of the same inode */
    expect_refresh(f, HOSTS_FILE_READ, "10.0.0.1=three ");
    assert_int_equal(unlink(f->path), 0);
    expect_refresh(f, HOSTS_FILE_READ, "10.0.0.1= ");
    assert_true(slice_is_null(hosts_file_find(f->file, &one)));
}

static void test_hosts_file_first_reading(void **state)
{
    struct file_fixture *f = *state;
    struct inet_address one = address_of("10.0.0.1");
    write_file(f->path, "10.0.0.1 one\n");
    expect_refresh(f, HOSTS_FILE_READ, "");
    expect_name(hosts_file_find(f->file, &one), "one");
    /* something that is no file: what was read stays, and it is tried again */
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkdir(f->path, 0700), 0);
    expect_refresh(f, HOSTS_FILE_SAME, "");
    assert_int_equal(rmdir(f->path), 0);
    expect_name(hosts_file_find(f->file, &one), "one");
    assert_int_equal(mkfifo(f->path, 0600), 0);
    expect_refresh(f, HOSTS_FILE_SAME, "");
    assert_int_equal(unlink(f->path), 0);
    expect_refresh(f, HOSTS_FILE_READ, "10.0.0.1= ");
}

static void test_hosts_file_too_large(void **state)
{
    struct file_fixture *f = *state;
    static const char line[] = "10.0.0.1 one two three four five six seven eight nine ten eleven\n";
    FILE *file = fopen(f->path, "we");
    struct inet_address one = address_of("10.0.0.1"), two = address_of("10.0.0.2");
    assert_non_null(file);
    for (size_t size = 0; size <= 16 << 20; size += sizeof(line) - 1)
        assert_true(fputs(line, file) >= 0);
    assert_true(fputs("10.0.0.2 late\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    expect_refresh(f, HOSTS_FILE_READ, "");
    assert_true(hosts_file_truncated(f->file));
    expect_name(hosts_file_find(f->file, &one), "one");
    expect_name(hosts_file_find(f->file, &two), NULL);
    write_file(f->path, "10.0.0.2 late\n");
    expect_refresh(f, HOSTS_FILE_READ, "10.0.0.1= 10.0.0.2=late ");
    assert_false(hosts_file_truncated(f->file));
}

/* ---- DNS ---- */

static void test_questions(void **state)
{
    (void)state;
    char question[DNS_QUESTION_SIZE];
    struct inet_address four = address_of("192.0.2.255"), six = address_of("2001:db8::567:89ab");
    dns_question(question, &four);
    assert_string_equal(question, "255.2.0.192.in-addr.arpa");
    dns_question(question, &six);
    assert_string_equal(question, "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2."
                                  "ip6.arpa");
}

static const char question[] = "1.2.0.192.in-addr.arpa";
#define QUESTION        "\0011\0012\0010\003192\7in-addr\4arpa\0\0\x0c\0\1"
#define HEADER(answers) "\0\1\x81\x80\0\1\0" answers "\0\0\0\0"
#define OWNER           "\xc0\x0c"
#define PTR             "\0\x0c\0\1\0\0\0\x3c"
#define CNAME           "\0\x05\0\1\0\0\0\x3c"

static void expect_reply(const char *bytes, size_t length, int outcome, const char *name,
                         size_t name_length)
{
    struct dns_name found = {.length = 0};
    assert_int_equal(dns_reply_name(slice_of(bytes, length), question, &found), outcome);
    if (outcome == DNS_REPLY_NAME) {
        assert_int_equal(found.length, name_length);
        assert_memory_equal(found.bytes, name, name_length);
    }
}

#define EXPECT_REPLY(bytes, outcome, name)                                                         \
    expect_reply(bytes, sizeof(bytes) - 1, outcome, name, sizeof(name) - 1)

static void test_replies(void **state)
{
    (void)state;
    EXPECT_REPLY(HEADER("\1") QUESTION OWNER PTR "\0\x0d\3one\7example\0", DNS_REPLY_NAME,
                 "one.example");
    EXPECT_REPLY(HEADER("\0") QUESTION, DNS_REPLY_NONE, "");
    /* any byte; a dot and a backslash inside of a label */
    EXPECT_REPLY(HEADER("\1") QUESTION OWNER PTR "\0\x0a\3a.\\\4\0\x1b\xff\n\0", DNS_REPLY_NAME,
                 "a\\.\\\\.\0\x1b\xff\n");
    EXPECT_REPLY(HEADER("\1") QUESTION OWNER PTR "\0\1\0", DNS_REPLY_NAME, ".");
    /* a compressed name */
    EXPECT_REPLY(HEADER("\1") QUESTION OWNER PTR "\0\5\2ns\xc0\x1e", DNS_REPLY_NAME, "ns.arpa");
    /* RFC 2317: the name of a part of a network; the case does not matter */
    EXPECT_REPLY(HEADER("\2") QUESTION OWNER CNAME "\0\x06\3N-1\xc0\x0e"
                                                   "\3n-1\xc0\x0e" PTR "\0\5\3two\0",
                 DNS_REPLY_NAME, "two");
    /* the first one counts; of other names and types none */
    EXPECT_REPLY(HEADER("\3") QUESTION "\3www\0" PTR "\0\3\1x\0" OWNER
                                       "\0\1\0\1\0\0\0\0\0\4\1\2\3\4" OWNER PTR "\0\3\1y\0",
                 DNS_REPLY_NAME, "y");
    EXPECT_REPLY(HEADER("\1") QUESTION OWNER CNAME "\0\3\1x\0", DNS_REPLY_NONE, "");
}

static void test_malformed_replies(void **state)
{
    (void)state;
    static const char whole[] = HEADER("\1") QUESTION OWNER PTR "\0\x0d\3one\7example\0";
    for (size_t length = 0; length < sizeof(whole) - 1; length++)
        expect_reply(whole, length, -EBADMSG, "", 0);
    expect_reply(whole, sizeof(whole), -EBADMSG, "", 0); /* one byte too many */
    /* a name that leads to itself, forward, out of the message, of an unknown kind */
    EXPECT_REPLY(HEADER("\1") QUESTION OWNER PTR "\0\2\xc0\x34", -EBADMSG, "");
    EXPECT_REPLY(HEADER("\1") QUESTION OWNER PTR "\0\4\1a\xc0\x34", -EBADMSG, "");
    EXPECT_REPLY(HEADER("\1") QUESTION OWNER PTR "\0\2\xff\xff", -EBADMSG, "");
    EXPECT_REPLY(HEADER("\1") QUESTION OWNER PTR "\0\3\x80x\0", -EBADMSG, "");
    /* it is longer, and shorter, than its record */
    EXPECT_REPLY(HEADER("\2") QUESTION OWNER PTR "\0\2\1a"
                                                 "\0" PTR "\0\1\0",
                 -EBADMSG, "");
    EXPECT_REPLY(HEADER("\1") QUESTION OWNER PTR "\0\5\1a\0zz", -EBADMSG, "");
    EXPECT_REPLY(HEADER("\1") QUESTION OWNER CNAME "\0\2\xff\xff", -EBADMSG, "");
}

static void test_longest_name(void **state)
{
    (void)state;
    struct buffer reply = BUFFER_NULL;
    struct dns_name found = {.length = 0};
    static const char start[] = HEADER("\1") QUESTION OWNER PTR "\0\xff";
    buffer_append(&reply, start, sizeof(start) - 1);
    for (int label = 0; label < 4; label++) {
        int length = label < 3 ? 63 : 61;
        buffer_append_byte(&reply, (char)length);
        for (int i = 0; i < length; i++)
            buffer_append_byte(&reply, '.');
    }
    buffer_append_byte(&reply, 0);
    assert_int_equal(dns_reply_name(buffer_slice(&reply), question, &found), DNS_REPLY_NAME);
    assert_int_equal(found.length, 2 * 250 + 3);
    buffer_deinit(&reply);
}

/* ---- the breaker ---- */

static void test_breaker(void **state)
{
    (void)state;
    const uint64_t second = UINT64_C(1000000000);
    struct dns_breaker breaker = {.open = false};
    for (int i = 1; i < DNS_BREAKER_FAILURES; i++)
        dns_breaker_unanswered(&breaker, second);
    dns_breaker_answered(&breaker); /* they must come in a row */
    for (int i = 1; i < DNS_BREAKER_FAILURES; i++)
        dns_breaker_unanswered(&breaker, second);
    assert_false(breaker.open);
    assert_false(dns_breaker_probe_due(&breaker, second));
    dns_breaker_unanswered(&breaker, 2 * second);
    assert_true(breaker.open);
    assert_true(dns_breaker_probe_due(&breaker, 2 * second));
    dns_breaker_probe_sent(&breaker, 2 * second);
    assert_false(dns_breaker_probe_due(&breaker, 60 * second)); /* one at a time */
    dns_breaker_probe_failed(&breaker);
    assert_false(dns_breaker_probe_due(&breaker, 7 * second - 1));
    dns_breaker_unanswered(&breaker, 7 * second - 1); /* of before */
    assert_false(dns_breaker_probe_due(&breaker, 7 * second - 1));
    assert_true(dns_breaker_probe_due(&breaker, 7 * second));
    dns_breaker_answered(&breaker);
    assert_false(breaker.open);
    assert_false(dns_breaker_probe_due(&breaker, 60 * second));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_malformed_messages),
        cmocka_unit_test(test_hosts_table),
        cmocka_unit_test(test_hosts_bounds),
        cmocka_unit_test(test_hosts_compare),
        cmocka_unit_test_setup_teardown(test_hosts_file, set_up_file, tear_down_file),
        cmocka_unit_test_setup_teardown(test_hosts_file_first_reading, set_up_file, tear_down_file),
        cmocka_unit_test_setup_teardown(test_hosts_file_too_large, set_up_file, tear_down_file),
        cmocka_unit_test(test_questions),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_malformed_replies),
        cmocka_unit_test(test_longest_name),
        cmocka_unit_test(test_breaker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
