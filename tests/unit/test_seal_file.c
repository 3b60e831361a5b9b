// links: vestige_seal_file
/* What is printed is read again, also after it went over paper or by mail; what is mistyped is
 * found, and where. */
#include "reports/verify/seal_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define AT INT64_C(1764142429123456) /* 2025-11-26 07:33:49.123456 */

static void add_host(struct seal *seal, uint64_t host_id, const char *name, uint64_t last,
                     size_t n_keys)
{
    struct seal_host *host = seal_add(seal);
    assert_non_null(host);
    host->host_id = host_id;
    snprintf(host->name, sizeof(host->name), "%s", name);
    host->n_batches = last;
    host->last = last;
    host->received_us = last ? AT - 1000000 : 0;
    for (size_t i = 0; last && i < SEAL_HASH_SIZE; i++)
        host->hash[i] = (uint8_t)(host_id * 16 + i);
    host->n_keys = n_keys;
    for (size_t i = 0; i < n_keys; i++) {
        host->keys[i].number = i + 3;
        memset(host->keys[i].public_key, (int)(0xc0 + i), SEAL_KEY_SIZE);
    }
}

static struct seal example(void)
{
    struct seal seal = SEAL_NULL;
    seal.at_us = AT;
    add_host(&seal, 1, "web1", 1234, 1);
    add_host(&seal, 7, "db-2.example.net", 0, 0);
    add_host(&seal, 4294967295, "A_b", UINT64_MAX, SEAL_KEYS_MOST);
    return seal;
}

static struct buffer print(const struct seal *seal)
{
    struct buffer text = BUFFER_NULL;
    seal_print(&text, seal);
    buffer_append_byte(&text, 0);
    assert_false(text.failed);
    text.length--;
    return text;
}

static void assert_same(const struct seal *a, const struct seal *b)
{
    assert_int_equal(a->at_us, b->at_us);
    assert_int_equal(a->n_hosts, b->n_hosts);
    for (size_t i = 0; i < a->n_hosts; i++) {
        const struct seal_host *one = seal_host_at(a, i), *other = seal_host_at(b, i);
        assert_int_equal(one->host_id, other->host_id);
        assert_string_equal(one->name, other->name);
        assert_int_equal(one->n_batches, other->n_batches);
        assert_int_equal(one->last, other->last);
        assert_int_equal(one->received_us, other->received_us);
        assert_memory_equal(one->hash, other->hash, SEAL_HASH_SIZE);
        assert_int_equal(one->n_keys, other->n_keys);
        for (size_t k = 0; k < one->n_keys; k++) {
            assert_int_equal(one->keys[k].number, other->keys[k].number);
            assert_memory_equal(one->keys[k].public_key, other->keys[k].public_key, SEAL_KEY_SIZE);
        }
    }
}

/* Reads @p text, which must be the example. */
static void assert_reads(const char *text)
{
    struct seal expected = example(), found;
    struct error_text error = ERROR_TEXT_NULL;
    int result = seal_parse(&found, "paper", slice_text(text), &error);
    if (result)
        print_error("%s\n", error.text);
    assert_int_equal(result, 0);
    assert_same(&expected, &found);
    seal_deinit(&expected);
    seal_deinit(&found);
}

static void test_again(void **state)
{
    (void)state;
    struct seal seal = example(), none = SEAL_NULL, found;
    struct buffer text = print(&seal);
    assert_reads((const char *)text.data);
    buffer_deinit(&text);
    seal_deinit(&seal);
    none.at_us = AT;
    text = print(&none);
    assert_int_equal(seal_parse(&found, "paper", buffer_slice(&text), NULL), 0);
    assert_int_equal(found.n_hosts, 0);
    buffer_deinit(&text);
}

static void test_exact_text(void **state)
{
    (void)state;
    struct seal seal = SEAL_NULL;
    seal.at_us = AT;
    add_host(&seal, 1, "web1", 1234, 1);
    struct buffer text = print(&seal);
    const char *begin = strstr((const char *)text.data, "vestige seal");
    assert_non_null(begin);
    /* the checks were computed with sha256sum */
    assert_string_equal(begin, "vestige seal 1\n"
                               "at 2025-11-26 07:33:49.123456\n"
                               "hosts 1\n"
                               "check 8541ebd0\n"
                               "\n"
                               "host 1 web1\n"
                               "batches 1234\n"
                               "last 1234\n"
                               "received 2025-11-26 07:33:48.123456\n"
                               "hash 10111213 14151617 18191a1b 1c1d1e1f\n"
                               "hash 20212223 24252627 28292a2b 2c2d2e2f\n"
                               "key 3 c0c0c0c0 c0c0c0c0 c0c0c0c0 c0c0c0c0\n"
                               "key 3 c0c0c0c0 c0c0c0c0 c0c0c0c0 c0c0c0c0\n"
                               "check c9023fec\n"
                               "\n"
                               "end 6360b7ee\n");
    for (const char *line = (const char *)text.data; *line; line = strchr(line, '\n') + 1)
        assert_true(strcspn(line, "\n") <= 78);
    buffer_deinit(&text);
    seal_deinit(&seal);
}

/* Typed in from paper, or saved with the headers and the footer of a mail. */
static void test_other_forms(void **state)
{
    (void)state;
    struct seal seal = example();
    struct buffer text = print(&seal), other = BUFFER_NULL;
    buffer_append_text(&other, "From: a@example.net\r\nSubject: vestige seal of a week\n\n");
    for (const char *at = strstr((const char *)text.data, "vestige seal"); *at; at++) {
        if (*at == ' ')
            buffer_append_text(&other, "\t ");
        else if (*at == '\n')
            buffer_append_text(&other, " \r\n# a note\n\n");
        else
            buffer_append_byte(&other, *at);
    }
    buffer_append_text(&other, "-- \nThe list of the office\x80\n");
    buffer_append_byte(&other, 0);
    assert_reads((const char *)other.data);

    /* capitals in hexadecimal digits */
    for (char *line = (char *)text.data; *line; line = strchr(line, '\n') + 1)
        if (!strncmp(line, "hash ", 5) || !strncmp(line, "key ", 4))
            for (char *at = strchr(line, ' '); *at != '\n'; at++)
                *at = (char)(*at >= 'a' ? *at - 32 : *at);
    assert_reads((const char *)text.data);
    buffer_deinit(&text);
    buffer_deinit(&other);
    seal_deinit(&seal);
}

/* Each single wrong key: it is found, or it means the same (a blank, a remark). */
static void test_typing_errors(void **state)
{
    (void)state;
    static const char typed[] = "0123456789abcdefgxyzLK-. \n#";
    struct seal seal = example(), found;
    struct error_text error;
    struct buffer text = print(&seal);
    size_t n_found = 0,
           from = (size_t)(strstr((char *)text.data, "vestige seal") - (char *)text.data);
    for (size_t i = from; i < text.length - 1; i++) {
        uint8_t former = text.data[i];
        for (const char *key = typed; *key; key++) {
            text.data[i] = (uint8_t)*key;
            error.text[0] = 0;
            int result = seal_parse(&found, "paper", buffer_slice(&text), &error);
            if (result == 0) {
                assert_same(&seal, &found);
                seal_deinit(&found);
                continue;
            }
            assert_int_equal(result, -EINVAL);
            assert_memory_equal(error.text, "paper:", 6);
            n_found++;
        }
        text.data[i] = former;
    }
    assert_true(n_found > (text.length - from) * (sizeof(typed) - 4));
    buffer_deinit(&text);
    seal_deinit(&seal);
}

/* Two lines in the wrong order, each line left out or doubled. */
static void test_lines(void **state)
{
    (void)state;
    struct seal seal = example(), found;
    struct buffer text = print(&seal), other = BUFFER_NULL;
    const char *begin = strstr((const char *)text.data, "vestige seal");
    for (const char *line = begin; *line; line = strchr(line, '\n') + 1) {
        size_t length = strcspn(line, "\n") + 1;
        if (length == 1)
            continue;
        for (int times = 0; times <= 2; times += 2) {
            buffer_clear(&other);
            buffer_append(&other, begin, (size_t)(line - begin));
            for (int i = 0; i < times; i++)
                buffer_append(&other, line, length);
            buffer_append_text(&other, line + length);
            int result = seal_parse(&found, "paper", buffer_slice(&other), NULL);
            bool harmless = times == 2 && !strncmp(line, "end ", 4);
            assert_int_equal(result, harmless ? 0 : -EINVAL);
            if (!result)
                seal_deinit(&found);
        }
    }
    for (size_t length = 0; length < text.length - 1; length++)
        assert_int_equal(seal_parse(&found, "paper", slice_of(text.data, length), NULL), -EINVAL);
    buffer_deinit(&text);
    buffer_deinit(&other);
    seal_deinit(&seal);
}

static void refuse(const char *text, const char *words)
{
    struct seal found;
    struct error_text error = ERROR_TEXT_NULL;
    assert_int_equal(seal_parse(&found, "f", slice_text(text), &error), -EINVAL);
    if (!strstr(error.text, words))
        print_error("%s\n", error.text);
    assert_non_null(strstr(error.text, words));
}

static void test_refused(void **state)
{
    (void)state;
    refuse("", "f: no line \"vestige seal 1\"");
    refuse("PK\x03\x04", "f: no line \"vestige seal 1\"");
    refuse("vestige seal 2\n", "f:1: a form of seal that this program does not know");
    refuse("vestige seal 1\n\nat 2025-11-26\n", "f:3: a word is mistyped or a line is missing");
    refuse("vestige seal 1\nat 2025-02-30 07:33:49.123456\n", "f:2: no moment");
    refuse("vestige seal 1\nat 2025-11-26 07:33:49.123456\nhosts 01\n", "f:3: no number");
    refuse("vestige seal 1\nat 2025-11-26 07:33:49.123456\nhosts 1\n",
           "f:3: the seal ends before its end");
    refuse("vestige seal 1\nat 2025-11-26 07:33:49.123456\nhosts 1\ncheck 00000000\n",
           "f:4: the check does not fit: something is mistyped or missing since line 1");
}

static void test_order_of_hosts(void **state)
{
    (void)state;
    struct seal seal = SEAL_NULL, found;
    struct error_text error = ERROR_TEXT_NULL;
    add_host(&seal, 2, "b", 1, 0);
    add_host(&seal, 2, "b", 1, 0);
    struct buffer text = print(&seal);
    assert_int_equal(seal_parse(&found, "f", buffer_slice(&text), &error), -EINVAL);
    assert_non_null(strstr(error.text, "in the order of their numbers, each once"));
    buffer_deinit(&text);
    seal_deinit(&seal);
}

static void test_names(void **state)
{
    (void)state;
    char name[SEAL_NAME_SIZE + 1];
    memset(name, 'a', sizeof(name));
    assert_true(seal_name_valid(slice_of(name, SEAL_NAME_SIZE - 1)));
    assert_false(seal_name_valid(slice_of(name, SEAL_NAME_SIZE)));
    assert_true(seal_name_valid(slice_text("db-2.example_net")));
    static const char *const bad[] = {"", "a b", "a\nb", "a\x1b[31m", "caf\xc3\xa9", "#a"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(seal_name_valid(slice_text(bad[i])));
    assert_false(seal_name_valid(slice_of("a\0b", 3)));
}

static void test_file(void **state)
{
    (void)state;
    char path[] = "/tmp/vestige-seal-XXXXXX";
    struct seal seal = example(), found;
    struct error_text error = ERROR_TEXT_NULL;
    struct buffer text = print(&seal);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.data, text.length), text.length);
    close(fd);
    assert_int_equal(seal_read(&found, path, &error), 0);
    assert_same(&seal, &found);
    seal_deinit(&found);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(seal_read(&found, path, &error), -ENOENT);
    assert_non_null(strstr(error.text, path));
    assert_int_equal(seal_read(&found, "/tmp", &error), -EISDIR);
    assert_int_equal(seal_read(&found, "/dev/zero", &error), -EINVAL);
    assert_non_null(strstr(error.text, "larger than"));
    buffer_deinit(&text);
    seal_deinit(&seal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_again),       cmocka_unit_test(test_exact_text),
        cmocka_unit_test(test_other_forms), cmocka_unit_test(test_typing_errors),
        cmocka_unit_test(test_lines),       cmocka_unit_test(test_refused),
        cmocka_unit_test(test_names),       cmocka_unit_test(test_order_of_hosts),
        cmocka_unit_test(test_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
