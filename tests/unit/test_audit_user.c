// links: vestige_audit
/* What programs say to audit of logins: honest, in hexadecimal, torn, and written by who wants to
 * look like something else. */
#include "collectors/audit/audit_decoder.h"
#include "core/buffer.h"

#include <linux/audit.h>
#include <linux/netlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    USER_AUTH = 1100,
    USER_ACCT,
    CRED_ACQ = 1103,
    USER_START = 1105,
    USER_END,
    USER_LOGIN = 1112,
    USER_CMD = 1123
};

struct seen {
    unsigned n;
    struct buffer text; /* of the last one */
    struct fact_audit_user last;
};

static void append(struct buffer *to, struct slice value)
{
    buffer_append_byte(to, '|');
    if (slice_is_null(value))
        buffer_append_byte(to, '-');
    else
        buffer_append_slice(to, value);
}

static void take(void *user, const struct fact *fact)
{
    struct seen *seen = user;
    if (fact->kind != FACT_AUDIT_USER)
        return;
    const struct fact_audit_user *said = &fact->audit_user;
    seen->n++;
    seen->last = *said;
    buffer_clear(&seen->text);
    buffer_printf(&seen->text, "%d %u %s", said->event, said->pid, said->success ? "yes" : "no");
    append(&seen->text, said->operation);
    append(&seen->text, said->account);
    append(&seen->text, said->exe);
    append(&seen->text, said->host_name);
    append(&seen->text, said->address);
    append(&seen->text, said->terminal);
    buffer_append_byte(&seen->text, '\0');
}

/* In memory of exactly its size. */
static int decode(struct seen *seen, uint16_t type, const char *fields)
{
    struct decoder *decoder;
    char text[4096];
    int length = snprintf(text, sizeof(text), "audit(1780000000.123:77): %s", fields);
    size_t size = sizeof(struct nlmsghdr) + (size_t)length;
    uint8_t *bytes = malloc(size);
    const struct nlmsghdr header = {.nlmsg_type = type};
    memcpy(bytes, &header, sizeof(header));
    memcpy(bytes + sizeof(header), text, (size_t)length);
    const struct message message = {
        .source = SOURCE_AUDIT, .kind = MESSAGE_DATA, .boot_ns = 5, .bytes = slice_of(bytes, size)};
    assert_int_equal(audit_decoder_new(&decoder), 0);
    int r = audit_decoder_decode(decoder, &message, take, seen);
    audit_decoder_free(decoder);
    free(bytes);
    return r;
}

static void expect(uint16_t type, const char *fields, const char *expected)
{
    struct seen seen = {.n = 0};
    assert_int_equal(decode(&seen, type, fields), 0);
    assert_int_equal(seen.n, 1);
    assert_string_equal((const char *)seen.text.data, expected);
    buffer_deinit(&seen.text);
}

static void refused(uint16_t type, const char *fields)
{
    struct seen seen = {.n = 0};
    assert_int_equal(decode(&seen, type, fields), -EBADMSG);
    assert_int_equal(seen.n, 0);
}

#define SENDER "pid=9 uid=0 auid=1000 ses=3 subj=unconfined "

static void test_of_pam(void **state)
{
    (void)state;
    expect(USER_AUTH,
           SENDER "msg='op=PAM:authentication grantors=pam_unix acct=\"root\" exe=\"/usr/bin/su\" "
                  "hostname=h addr=198.18.0.1 terminal=/dev/pts/0 res=success'",
           "0 9 yes|PAM:authentication|root|/usr/bin/su|h|198.18.0.1|/dev/pts/0");
    expect(USER_END,
           SENDER "msg='op=PAM:session_close acct=\"a\" exe=\"/x\" hostname=? addr=? terminal=? "
                  "res=failed'\n",
           "5 9 no|PAM:session_close|a|/x|-|-|-");
    expect(USER_CMD, SENDER "msg='cwd=\"/\" cmd=6C73 terminal=pts/0 res=success'",
           "3 9 yes|-|-|-|-|-|pts/0");
}

static void test_numbers(void **state)
{
    (void)state;
    struct seen seen = {.n = 0};
    assert_int_equal(decode(&seen, USER_LOGIN,
                            "pid=4294967294 uid=4294967295 auid=1000 ses=7 msg='op=login id=1001 "
                            "exe=\"/usr/sbin/sshd\" hostname=? addr=? terminal=/dev/pts/1 "
                            "res=success'"),
                     0);
    assert_int_equal(seen.last.pid, 4294967294);
    assert_int_equal(seen.last.uid, ID_UNSET);
    assert_int_equal(seen.last.login_uid, 1000);
    assert_int_equal(seen.last.session, 7);
    assert_int_equal(seen.last.account_uid, 1001);
    assert_int_equal(seen.last.serial, 77);
    assert_int_equal(seen.last.real_ms, INT64_C(1780000000123));
    buffer_deinit(&seen.text);
}

static void test_names(void **state)
{
    (void)state;
    expect(USER_AUTH, SENDER "msg='op=a acct=6120627A exe=2F782079 res=failed'",
           "0 9 no|a|a bz|/x y|-|-|-");
    expect(USER_AUTH, SENDER "msg='op=a acct=\"?\" res=failed'", "0 9 no|a|-|-|-|-|-");
    expect(USER_AUTH, SENDER "msg='op=a acct=\"o'brien\" res=failed'", "0 9 no|a|o'brien|-|-|-|-");
    expect(USER_AUTH, SENDER "msg='op=a acct=bob res=1'", "0 9 yes|a|bob|-|-|-|-");
    expect(USER_AUTH, SENDER "msg='op=a acct=ABC res=1'", "0 9 yes|a|ABC|-|-|-|-");
    expect(USER_AUTH, SENDER "msg='op=a acct=\"\" res=1'", "0 9 yes|a||-|-|-|-");
}

/* Before the name of the host the first word counts, behind it the last. */
static void test_forged(void **state)
{
    (void)state;
    expect(USER_AUTH,
           SENDER "msg='op=a acct=\"eve\" exe=\"/e\" hostname=x acct=\"root\" exe=\"/r\" "
                  "addr=1.1.1.1 res=success addr=198.18.0.1 terminal=ssh res=failed'",
           "0 9 no|a|eve|/e|x|198.18.0.1|ssh");
    expect(USER_AUTH, SENDER "msg='op=a acct=\"x' pid=1 msg='\" res=failed'",
           "0 9 no|a|x' pid=1 msg='|-|-|-|-");
}

static void test_malformed(void **state)
{
    (void)state;
    refused(USER_AUTH, SENDER "msg='op=a acct=\"x\"'"); /* no result */
    refused(USER_AUTH, "uid=0 msg='op=a res=success'");
    refused(USER_AUTH, "pid=0 msg='op=a res=success'");
    refused(USER_AUTH, "pid=x msg='op=a res=success'");
    refused(USER_AUTH, "pid=99999999999 msg='op=a res=success'");
    refused(USER_AUTH, SENDER);
    refused(USER_AUTH, "");
    refused(USER_AUTH, "msg='");
    refused(USER_AUTH, SENDER "msg=");
    expect(USER_AUTH, SENDER "msg='res=success", "0 9 yes|-|-|-|-|-|-");
}

static void test_others_are_skipped(void **state)
{
    (void)state;
    struct seen seen = {.n = 0};
    assert_int_equal(decode(&seen, CRED_ACQ, SENDER "msg='op=a acct=\"x\" res=success'"), 0);
    assert_int_equal(seen.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_pam),    cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_names),     cmocka_unit_test(test_forged),
        cmocka_unit_test(test_malformed), cmocka_unit_test(test_others_are_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
