// links: vestige_audit
/* Exec events from their records: complete, interleaved, in pieces, damaged, and lying. */
#include "audit_test.h"

static int exec_with(struct audit_test *test, const char *execve)
{
    assert_int_equal(audit_test_syscall(test, 1, 7), 0);
    int r = audit_test_record(test, AUDIT_EXECVE, 1, execve);
    assert_int_equal(audit_test_cwd(test, 1), 0);
    return r;
}

struct taken {
    struct fact_audit_exec exec; /* its slices are not valid any more */
    uint64_t boot_ns;
    bool key_known;
    char comm[16], exe[32], cwd[16], tty[16];
};

static void copy_text(char *to, struct slice text)
{
    memcpy(to, text.data, text.length);
    to[text.length] = 0;
}

static void take_exec(void *user, const struct fact *fact)
{
    struct taken *taken = user;
    assert_int_equal(fact->kind, FACT_AUDIT_EXEC);
    taken->exec = fact->audit_exec;
    taken->boot_ns = fact->boot_ns;
    taken->key_known = !slice_is_null(fact->audit_exec.key);
    copy_text(taken->comm, fact->audit_exec.comm);
    copy_text(taken->exe, fact->audit_exec.exe);
    copy_text(taken->cwd, fact->audit_exec.cwd);
    copy_text(taken->tty, fact->audit_exec.tty);
}

static void decode_text(struct audit_test *test, uint16_t type, const char *text,
                        struct taken *taken)
{
    uint8_t bytes[512] = {0};
    const struct nlmsghdr header = {.nlmsg_type = type};
    memcpy(bytes, &header, sizeof(header));
    memcpy(bytes + sizeof(header), text, strlen(text));
    const struct message message = {.source = SOURCE_AUDIT,
                                    .boot_ns = test->boot_ns++,
                                    .bytes = slice_of(bytes, sizeof(header) + strlen(text))};
    assert_int_equal(audit_decoder_decode(test->decoder, &message, take_exec, taken), 0);
}

/* One event, as kernel 6.18 writes it. */
static void test_fields(void **state)
{
    struct taken taken = {0};
    decode_text(*state, AUDIT_SYSCALL,
                "audit(1795218336.059:11881): arch=c000003e syscall=59 success=yes exit=0 a0=5f "
                "a1=5e a2=5d a3=5c items=2 ppid=5223 pid=5247 auid=1000 uid=1 gid=2 euid=3 suid=4 "
                "fsuid=5 egid=6 sgid=7 fsgid=8 tty=(none) ses=12 comm=61206222 "
                "exe=\"/usr/bin/true\" subj=unconfined key=(null)",
                &taken);
    decode_text(*state, AUDIT_EXECVE, "audit(1795218336.059:11881): argc=1 a0=\"true\"", &taken);
    decode_text(*state, AUDIT_CWD, "audit(1795218336.059:11881): cwd=2F746D702F0A", &taken);
    assert_int_equal(taken.boot_ns, 100 * SECOND); /* of its first record */
    assert_int_equal(taken.exec.serial, 11881);
    assert_int_equal(taken.exec.real_ms, 1795218336059);
    assert_int_equal(taken.exec.ppid, 5223);
    assert_int_equal(taken.exec.pid, 5247);
    assert_int_equal(taken.exec.login_uid, 1000);
    assert_int_equal(taken.exec.session, 12);
    assert_int_equal(taken.exec.uid, 1);
    assert_int_equal(taken.exec.gid, 2);
    assert_int_equal(taken.exec.euid, 3);
    assert_int_equal(taken.exec.egid, 6);
    assert_int_equal(taken.exec.argc, 1);
    assert_int_equal(taken.exec.n_argv, 1);
    assert_false(taken.key_known);
    assert_string_equal(taken.comm, "a b\"");
    assert_string_equal(taken.exe, "/usr/bin/true");
    assert_string_equal(taken.cwd, "/tmp/\n");
    assert_string_equal(taken.tty, "");
}

static void test_encoded_fields(void **state)
{
    struct taken taken = {0};
    decode_text(*state, AUDIT_SYSCALL,
                "audit(1.000:5): arch=40000003 syscall=11 success=yes exit=0 pid=3 "
                "auid=4294967295 tty=pts1 ses=4294967295 comm=\"a\" exe=2F612062 "
                "key=6101766573746967650A",
                &taken);
    decode_text(*state, AUDIT_EXECVE, "audit(1.000:5): argc=1 a0=\"x\"\n", &taken);
    decode_text(*state, AUDIT_CWD, "audit(1.000:5): cwd=\"/\"", &taken);
    assert_int_equal(taken.exec.pid, 3);
    assert_int_equal(taken.exec.ppid, 0);
    assert_int_equal(taken.exec.uid, ID_UNSET);
    assert_int_equal(taken.exec.login_uid, ID_UNSET);
    assert_true(taken.key_known);
    assert_string_equal(taken.exe, "/a b");
    assert_string_equal(taken.tty, "pts1");
}

static void test_arguments(void **state)
{
    struct audit_test *test = *state;
    assert_int_equal(exec_with(test, "argc=3 a0=\"/bin/true\" a1=\"x=y\" a2=\"'\""), 0);
    audit_test_expect(test, "exec 1 pid=7 argc=3 cwd=/ [/bin/true] [x=y] [']\n");
    assert_int_equal(exec_with(test, "argc=5 a0=\"\" a1=6120620922 a2=0A a3=\"\" a4=FFfe"), 0);
    audit_test_expect(test, "exec 1 pid=7 argc=5 cwd=/ [] [a b\t\"] [\n] [] [\xff\xfe]\n");
    assert_int_equal(exec_with(test, "argc=0"), 0);
    audit_test_expect(test, "exec 1 pid=7 argc=0 cwd=/\n");
}

static void test_pieces_of_one_argument(void **state)
{
    struct audit_test *test = *state;
    audit_test_syscall(test, 1, 7);
    audit_test_record(test, AUDIT_EXECVE, 1, "argc=3 a0=\"x\" a1_len=6 a1[0]=\"abc\"");
    audit_test_record(test, AUDIT_EXECVE, 1, " a1[1]=6420 a1[2]=\"e\" a2=\"z\"");
    audit_test_cwd(test, 1);
    audit_test_expect(test, "exec 1 pid=7 argc=3 cwd=/ [x] [abcd e] [z]\n");
}

/* Another process changed the memory after the length was taken: the bytes are what counts. */
static void test_length_that_lies(void **state)
{
    struct audit_test *test = *state;
    assert_int_equal(exec_with(test, "argc=2 a0_len=900 a0[0]=\"abc\" a1=\"z\""), 0);
    audit_test_expect(test, "exec 1 pid=7 argc=2 cwd=/ [abc] [z]\n");
    assert_int_equal(exec_with(test, "argc=2 a0_len=1 a0[0]=\"abc\" a1=\"z\""), 0);
    audit_test_expect(test, "exec 1 pid=7 argc=2 cwd=/ [abc] [z]\n");
}

static void test_lost_pieces(void **state)
{
    struct audit_test *test = *state;
    audit_test_syscall(test, 1, 7);
    audit_test_record(test, AUDIT_EXECVE, 1, "argc=4 a0=\"x\" a1_len=9 a1[0]=\"abc\"");
    audit_test_record(test, AUDIT_EXECVE, 1, " a1[2]=\"ghi\" a2=\"y\" a3=\"z\"");
    audit_test_cwd(test, 1);
    audit_test_expect(test, "exec 1 pid=7 argc=4 cwd=/ [x] [y] [z]\n");

    audit_test_syscall(test, 1, 7);
    audit_test_record(test, AUDIT_EXECVE, 1, "argc=4 a0=\"x\" a1_len=9 a1[0]=\"abc\"");
    audit_test_record(test, AUDIT_EXECVE, 1, " a3=\"z\"");
    audit_test_cwd(test, 1);
    audit_test_expect(test, "exec 1 pid=7 argc=4 cwd=/ [x] [z]\n");

    audit_test_syscall(test, 1, 7); /* the first record is lost, and with it argc */
    audit_test_record(test, AUDIT_EXECVE, 1, " a1[3]=\"q\" a2=\"z\"");
    audit_test_cwd(test, 1);
    audit_test_expect(test, "exec 1 pid=7 argc=3 cwd=/ [z]\n");

    audit_test_syscall(test, 1, 7); /* the last record is lost */
    audit_test_record(test, AUDIT_EXECVE, 1, "argc=2 a0=\"x\" a1_len=9 a1[0]=\"abc\"");
    audit_test_cwd(test, 1);
    audit_test_expect(test, "exec 1 pid=7 argc=2 cwd=/ [x]\n");
}

static void test_lies(void **state)
{
    struct audit_test *test = *state;
    assert_int_equal(exec_with(test, "argc=4294967295 a0=\"x\""), 0);
    audit_test_expect(test, "exec 1 pid=7 argc=4294967295 cwd=/ [x]\n");
    assert_int_equal(exec_with(test, "argc=4294967296 a0=\"x\""), -EBADMSG);
    audit_test_expect(test, "exec 1 pid=7 argc=1 cwd=/ [x]\n");
    assert_int_equal(exec_with(test, "argc=1 a0=\"x\" a1=\"y\""), -EBADMSG);
    audit_test_expect(test, "exec 1 pid=7 argc=1 cwd=/ [x]\n");
    assert_int_equal(exec_with(test, "argc=3 a1=\"y\" a0=\"x\" a1=\"z\" a99999999999=\"q\""),
                     -EBADMSG);
    audit_test_expect(test, "exec 1 pid=7 argc=3 cwd=/ [y]\n");
    assert_int_equal(exec_with(test, "argc=3 argc=4 a0=6 a1=XY a2=\"open"), -EBADMSG);
    audit_test_expect(test, "exec 1 pid=7 argc=3 cwd=/ [open]\n");
    assert_int_equal(exec_with(test, "argc=2 a0=414 a1=4142"), -EBADMSG);
    audit_test_expect(test, "exec 1 pid=7 argc=2 cwd=/ [AB]\n");
    assert_int_equal(exec_with(test, "argc=2 a0[0]=\"x\" a1[\"=\"x\" a_len=3 a=\"\" =\"\""), 0);
    audit_test_expect(test, "exec 1 pid=7 argc=2 cwd=/\n");
}

static void test_interleaved(void **state)
{
    struct audit_test *test = *state;
    audit_test_syscall(test, 10, 1);
    audit_test_syscall(test, 12, 3);
    audit_test_record(test, AUDIT_EXECVE, 12, "argc=1 a0=\"c\"");
    audit_test_syscall(test, 11, 2);
    audit_test_record(test, AUDIT_EXECVE, 10, "argc=2 a0=\"a\"");
    audit_test_record(test, AUDIT_EXECVE, 11, "argc=1 a0=\"b\"");
    audit_test_cwd(test, 12);
    audit_test_record(test, AUDIT_EXECVE, 10, " a1=\"aa\"");
    audit_test_cwd(test, 10);
    audit_test_record(test, AUDIT_EOE, 11, "");
    audit_test_record(test, AUDIT_EOE, 10, "");
    audit_test_expect(test, "exec 12 pid=3 argc=1 cwd=/ [c]\nexec 10 pid=1 argc=2 cwd=/ [a] [aa]\n"
                            "exec 11 pid=2 argc=1 cwd=- [b]\n");
}

static void test_what_is_left_out(void **state)
{
    struct audit_test *test = *state;
    static const char *const unwanted[] = {
        "arch=c000003e syscall=59 success=no exit=-2 pid=3",
        "arch=c000003e syscall=257 success=yes exit=3 pid=3",
        "arch=c00000b7 syscall=59 success=yes exit=0 pid=3", /* 59 is pipe2 there */
        "arch=c000003e syscall=59 pid=3",
    };
    for (size_t i = 0; i < sizeof(unwanted) / sizeof(unwanted[0]); i++) {
        assert_int_equal(audit_test_record(test, AUDIT_SYSCALL, 5, unwanted[i]), 0);
        assert_int_equal(audit_test_cwd(test, 5), 0);
    }
    /* An architecture that is not known: the EXECVE record decides. */
    audit_test_record(test, AUDIT_SYSCALL, 6, "arch=1234 syscall=1 success=yes exit=0 pid=3");
    assert_int_equal(audit_test_cwd(test, 6), 0);
    audit_test_record(test, AUDIT_SYSCALL, 7, "arch=1234 per=8 syscall=1 success=yes exit=0 pid=3");
    audit_test_record(test, AUDIT_EXECVE, 7, "argc=1 a0=\"x\"");
    assert_int_equal(audit_test_cwd(test, 7), 0);
    audit_test_expect(test, "exec 7 pid=3 argc=1 cwd=/ [x]\n");
}

static void test_orphans_and_nonsense(void **state)
{
    struct audit_test *test = *state;
    assert_int_equal(audit_test_record(test, AUDIT_EXECVE, 5, "argc=1 a0=\"x\""), -EBADMSG);
    assert_int_equal(audit_test_cwd(test, 5), 0);
    assert_int_equal(audit_test_record(test, AUDIT_SYSCALL, 5, ""), -EBADMSG);
    assert_int_equal(
        audit_test_record(test, AUDIT_SYSCALL, 5, "arch=c000003e syscall=59 success=yes exit=0"),
        -EBADMSG);
    assert_int_equal(
        audit_test_record(test, AUDIT_SYSCALL, 5, "arch=c000003e syscall=59 success=yes pid=-1"),
        -EBADMSG);
    assert_int_equal(audit_test_syscall(test, 6, 1), 0);
    assert_int_equal(audit_test_syscall(test, 6, 1), -EBADMSG);
    assert_int_equal(audit_test_message(test, MESSAGE_DATA, slice_text("short")), -EBADMSG);
    assert_int_equal(audit_test_record(test, AUDIT_REPLACE, 7, ""), 0);
    assert_int_equal(audit_test_record(test, AUDIT_GET, 7, ""), 0);
    assert_int_equal(audit_test_record(test, 1399, 7, "any=thing"), 0);
    audit_test_expect(test, "");
}

static void test_stale_events_go_out(void **state)
{
    struct audit_test *test = *state;
    audit_test_syscall(test, 1, 7);
    audit_test_record(test, AUDIT_EXECVE, 1, "argc=2 a0=\"x\"");
    test->boot_ns += 4 * SECOND;
    audit_test_syscall(test, 2, 8);
    audit_test_expect(test, "");
    test->boot_ns += 2 * SECOND;
    audit_test_cwd(test, 2); /* was no exec: it had no EXECVE record */
    audit_test_expect(test, "exec 1 pid=7 argc=2 cwd=- [x]\n");

    audit_test_syscall(test, 3, 7);
    audit_test_record(test, AUDIT_EXECVE, 3, "argc=1 a0=\"x\"");
    for (uint32_t serial = 4; serial < 10000; serial++)
        audit_test_cwd(test, serial);
    audit_test_expect(test, "exec 3 pid=7 argc=1 cwd=- [x]\n");

    audit_test_syscall(test, 10000, 7);
    audit_test_record(test, AUDIT_EXECVE, 10000, "argc=1 a0=\"x\"");
    audit_test_message(test, MESSAGE_NOTE, slice_text("lost=0"));
    audit_test_expect(test, "");
    test->boot_ns += 2 * SECOND;
    audit_test_message(test, MESSAGE_NOTE, slice_text("lost=3"));
    audit_test_expect(test, "exec 10000 pid=7 argc=1 cwd=- [x]\nlost 3\n");
}

static void test_open_events_are_bounded(void **state)
{
    struct audit_test *test = *state;
    for (uint32_t serial = 1; serial <= 300; serial++) {
        audit_test_syscall(test, serial, serial);
        audit_test_record(test, AUDIT_EXECVE, serial, "argc=1 a0=\"x\"");
    }
    assert_int_equal(test->n_execs, 300 - 256);
    for (uint32_t serial = 1; serial <= 300; serial++)
        audit_test_cwd(test, serial);
    assert_int_equal(test->n_execs, 300);
}

static void append_argument(struct buffer *fields, unsigned index)
{
    buffer_printf(fields, " a%u=\"value-%u\"", index, index);
}

/* As the kernel does it: several records, one argc. */
static void test_5004_arguments(void **state)
{
    struct audit_test *test = *state;
    struct buffer fields = BUFFER_NULL, expected = BUFFER_NULL;
    audit_test_syscall(test, 1, 7);
    buffer_append_text(&fields, "argc=5004");
    buffer_append_text(&expected, "exec 1 pid=7 argc=5004 cwd=/");
    for (unsigned i = 0; i < 5004; i++) {
        append_argument(&fields, i);
        buffer_printf(&expected, " [value-%u]", i);
        if (fields.length > 7000 || i == 5003) {
            assert_int_equal(audit_test_record_bytes(test, AUDIT_EXECVE, 1, buffer_slice(&fields)),
                             0);
            buffer_clear(&fields);
        }
    }
    audit_test_cwd(test, 1);
    buffer_append_text(&expected, "\n");
    buffer_append_byte(&expected, 0);
    audit_test_expect(test, (const char *)expected.data);
    buffer_deinit(&fields);
    buffer_deinit(&expected);
}

/* Memory is bounded: what does not fit is missing, and argc tells. */
static void test_argument_memory_is_bounded(void **state)
{
    struct audit_test *test = *state;
    struct buffer fields = BUFFER_NULL;
    audit_test_syscall(test, 1, 7);
    for (unsigned record = 0; record < 1200; record++) {
        buffer_clear(&fields);
        if (record == 0)
            buffer_append_text(&fields, "argc=2000");
        buffer_printf(&fields, " a%u=\"", record);
        for (unsigned i = 0; i < 8000; i++)
            buffer_append_byte(&fields, 'x');
        buffer_append_text(&fields, "\"");
        assert_int_equal(audit_test_record_bytes(test, AUDIT_EXECVE, 1, buffer_slice(&fields)), 0);
    }
    audit_test_cwd(test, 1);
    buffer_deinit(&fields);
    assert_int_equal(test->n_execs, 1);
    assert_in_range(test->facts.length, 7u * 1024 * 1024, 8u * 1024 * 1024);
}

static void test_logins(void **state)
{
    struct audit_test *test = *state;
    audit_test_record(test, AUDIT_LOGIN, 1,
                      "pid=55 uid=0 subj=x old-auid=4294967295 auid=1000 tty=(none) "
                      "old-ses=4294967295 ses=7 res=1");
    audit_test_record(test, AUDIT_LOGIN, 2,
                      "pid=56 uid=0 old-auid=1000 auid=0 tty=(none) old-ses=7 ses=7 res=0");
    audit_test_expect(test, "login pid=55 4294967295->1000 session 4294967295->7\n");
    assert_int_equal(audit_test_record(test, AUDIT_LOGIN, 3, "pid=55 pid=55 pid=55 res=1"),
                     -EBADMSG);
}

static void test_notes(void **state)
{
    struct audit_test *test = *state;
    audit_test_message(test, MESSAGE_NOTE, slice_text("guest\tauditd"));
    audit_test_message(test, MESSAGE_OVERRUN, SLICE_NULL);
    audit_test_message(test, MESSAGE_NOTE, slice_text("lost=12"));
    audit_test_message(test, MESSAGE_NOTE, slice_text("lost=-1"));
    audit_test_message(test, MESSAGE_NOTE, slice_text("nothing"));
    audit_test_message(test, MESSAGE_MARK, slice_text("12345678"));
    audit_test_expect(test, " note=guest detail=auditd\noverrun\nlost 12\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, audit_test_setup, audit_test_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_fields),
        TEST(test_encoded_fields),
        TEST(test_arguments),
        TEST(test_pieces_of_one_argument),
        TEST(test_length_that_lies),
        TEST(test_lost_pieces),
        TEST(test_lies),
        TEST(test_interleaved),
        TEST(test_what_is_left_out),
        TEST(test_orphans_and_nonsense),
        TEST(test_stale_events_go_out),
        TEST(test_open_events_are_bounded),
        TEST(test_5004_arguments),
        TEST(test_argument_memory_is_bounded),
        TEST(test_logins),
        TEST(test_notes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
