// links: vestige_audit
/* Kernel events from their records, and the rules that make the kernel write these. */
#include "audit_test.h"

#include "collectors/audit/audit_kernel_call.h"
#include "collectors/audit/audit_rules.h"

static const char tail[] = "items=1 ppid=1 pid=77 auid=1000 uid=5 gid=0 euid=0 suid=0 fsuid=0 "
                           "egid=0 sgid=0 fsgid=0 tty=(none) ses=3 comm=\"tool\" "
                           "exe=\"/usr/bin/tool\" key=\"vestige\"";

static int call(struct audit_test *test, uint32_t serial, const char *head)
{
    char fields[512];
    snprintf(fields, sizeof(fields), "%s %s", head,
             strstr(head, " items=") ? tail + strlen("items=1 ") : tail);
    return audit_test_record(test, AUDIT_SYSCALL, serial, fields);
}

static void accept_call(struct audit_test *test, uint32_t serial, const char *head)
{
    assert_int_equal(call(test, serial, head), 0);
}

static void accept_record(struct audit_test *test, uint16_t type, uint32_t serial,
                          const char *fields)
{
    assert_int_equal(audit_test_record(test, type, serial, fields), 0);
}

/* What is given out, "KIND OUTCOME TARGET" behind what is the same for all. */
static void expect_event(struct audit_test *test, uint32_t serial, enum kernel_event_kind kind,
                         const char *rest)
{
    char text[512];
    snprintf(text, sizeof(text), "kernel %u kind=%d pid=77 uid=5 auid=1000 %s\n", serial, (int)kind,
             rest);
    audit_test_expect(test, text);
}

static void test_mount(void **state)
{
    struct audit_test *test = *state;
    accept_call(test, 1,
                "arch=c000003e syscall=165 success=yes exit=0 a0=55d a1=55e a2=55f a3=c0ed0000");
    expect_event(test, 1, KERNEL_MOUNT, "success comm=tool target=-");
    accept_record(test, AUDIT_CWD, 1, "cwd=\"/root\"");
    accept_record(test, AUDIT_PATH, 1, "item=0 name=\"m\" inode=2 dev=00:1f nametype=NORMAL");
    accept_record(test, AUDIT_PATH, 1, "item=1 name=\"/dev/sdb1\" inode=3 nametype=NORMAL");
    audit_test_expect(test, "target 1 is=/root/m\n");
    accept_call(test, 2, "arch=c000003e syscall=166 success=no exit=-22 a0=55d a1=0 a2=0 a3=0");
    accept_record(test, AUDIT_CWD, 2, "cwd=\"/\"");
    accept_record(test, AUDIT_PATH, 2, "item=0 name=2F6D6E742F6120622F inode=2 nametype=NORMAL");
    char text[256];
    snprintf(text, sizeof(text),
             "kernel 2 kind=%d pid=77 uid=5 auid=1000 failure comm=tool target=-\n"
             "target 2 is=/mnt/a b/\n",
             KERNEL_UMOUNT);
    audit_test_expect(test, text);
}

static void expect_targets(struct audit_test *test, uint32_t serial, enum kernel_event_kind kind,
                           const char *targets)
{
    char text[512];
    snprintf(text, sizeof(text),
             "kernel %u kind=%d pid=77 uid=5 auid=1000 success comm=tool target=-\n%s", serial,
             (int)kind, targets);
    audit_test_expect(test, text);
}

/* A path that is below a directory descriptor is not one below the working directory. */
static void test_below_a_descriptor(void **state)
{
    struct audit_test *test = *state;
    const char *to_descriptor = "arch=c000003e syscall=429 success=yes exit=0 a0=5 a1=7f a2=6 a3=4";
    const char *to_here =
        "arch=c000003e syscall=429 success=yes exit=0 a0=5 a1=7f a2=ffffff9c a3=4";
    accept_call(test, 1, to_descriptor);
    accept_record(test, AUDIT_CWD, 1, "cwd=\"/root\"");
    accept_record(test, AUDIT_PATH, 1, "item=0 name=\"proc\" inode=2 nametype=NORMAL");
    expect_targets(test, 1, KERNEL_MOUNT, "target 1 is=proc\n");
    accept_call(test, 2, to_here);
    accept_record(test, AUDIT_CWD, 2, "cwd=\"/root\"");
    accept_record(test, AUDIT_PATH, 2, "item=0 name=\"proc\" inode=2 nametype=NORMAL");
    expect_targets(test, 2, KERNEL_MOUNT, "target 2 is=/root/proc\n");
    accept_call(test, 3, "arch=c000003e syscall=442 success=yes exit=0 a0=6 a1=7f a2=0 a3=4");
    accept_record(test, AUDIT_CWD, 3, "cwd=\"/root\"");
    accept_record(test, AUDIT_PATH, 3, "item=0 name=\"m\" inode=2 nametype=NORMAL");
    expect_targets(test, 3, KERNEL_REMOUNT, "target 3 is=m\n");
    accept_call(test, 4,
                "arch=c000003e syscall=442 success=yes exit=0 a0=ffffffffffffff9c a1=7f a2=0 a3=4");
    accept_record(test, AUDIT_CWD, 4, "cwd=\"/root\"");
    accept_record(test, AUDIT_PATH, 4, "item=0 name=\"m\" inode=2 nametype=NORMAL");
    expect_targets(test, 4, KERNEL_REMOUNT, "target 4 is=/root/m\n");
    accept_call(test, 5, to_descriptor);
    accept_record(test, AUDIT_CWD, 5, "cwd=\"/root\"");
    accept_record(test, AUDIT_PATH, 5, "item=0 name=\"/m\" inode=2 nametype=NORMAL");
    expect_targets(test, 5, KERNEL_MOUNT, "target 5 is=/m\n");
}

/* Kernels differ in which of its paths move_mount looks at first. */
static void test_both_paths_of_a_move(void **state)
{
    struct audit_test *test = *state;
    const char *here_to_here =
        "arch=c000003e syscall=429 success=yes exit=0 a0=ffffff9c a1=7f a2=ffffff9c a3=4 items=2";
    accept_call(test, 1, here_to_here);
    accept_record(test, AUDIT_CWD, 1, "cwd=\"/root\"");
    accept_record(test, AUDIT_PATH, 1, "item=0 name=\"/a\" inode=2 nametype=NORMAL");
    accept_record(test, AUDIT_PATH, 1, "item=1 name=\"b\" inode=2 nametype=NORMAL");
    expect_targets(test, 1, KERNEL_MOUNT,
                   "target 1 is=/a\n"
                   "target 1 further is=/root/b\n");
    /* Which of them is below the descriptor nobody knows. */
    accept_call(test, 2,
                "arch=c000003e syscall=429 success=yes exit=0 a0=5 a1=7f a2=ffffff9c a3=4 items=2");
    accept_record(test, AUDIT_CWD, 2, "cwd=\"/root\"");
    accept_record(test, AUDIT_PATH, 2, "item=0 name=\"a\" inode=2 nametype=NORMAL");
    accept_record(test, AUDIT_PATH, 2, "item=1 name=\"b\" inode=2 nametype=NORMAL");
    expect_targets(test, 2, KERNEL_MOUNT,
                   "target 2 is=a\n"
                   "target 2 further is=b\n");
    /* One that is empty, as older kernels name it, and what is no path of the caller. */
    accept_call(test, 3,
                "arch=c000003e syscall=429 success=yes exit=0 a0=5 a1=7f a2=ffffff9c a3=4 items=3");
    accept_record(test, AUDIT_CWD, 3, "cwd=\"/root\"");
    accept_record(test, AUDIT_PATH, 3, "item=0 name=\"\" inode=2 nametype=NORMAL");
    accept_record(test, AUDIT_PATH, 3, "item=1 name=\"/root\" inode=2 nametype=PARENT");
    accept_record(test, AUDIT_PATH, 3, "item=2 name=\"b\" inode=2 nametype=NORMAL");
    expect_targets(test, 3, KERNEL_MOUNT, "target 3 is=/root/b\n");
}

/* Remounting, and making a mount private, with and without the magic of old. */
static void test_changed_mounts(void **state)
{
    struct audit_test *test = *state;
    const struct {
        const char *flags;
        enum kernel_event_kind kind;
    } cases[] = {
        {"20",       KERNEL_REMOUNT},
        {"c0ed1021", KERNEL_REMOUNT},
        {"44000",    KERNEL_REMOUNT},
        {"1000",     KERNEL_MOUNT  },
        {"c0ed1000", KERNEL_MOUNT  },
        {"2000",     KERNEL_MOUNT  },
    };
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char head[128];
        snprintf(head, sizeof(head),
                 "arch=c000003e syscall=165 success=yes exit=0 a0=1 a1=2 a2=3 a3=%s",
                 cases[i].flags);
        accept_call(test, i, head);
        expect_event(test, i, cases[i].kind, "success comm=tool target=-");
    }
}

static void test_modules(void **state)
{
    struct audit_test *test = *state;
    accept_call(test, 1, "arch=c000003e syscall=313 success=yes exit=0 a0=3 a1=1 a2=0 a3=0");
    expect_event(test, 1, KERNEL_MODULE_LOAD, "success comm=tool target=-");
    accept_record(test, AUDIT_KERN_MODULE, 1, "name=\"dummy\"");
    audit_test_expect(test, "target 1 is=dummy\n");
    accept_call(test, 2, "arch=40000003 syscall=129 success=no exit=-11 a0=3 a1=1 a2=0 a3=0");
    expect_event(test, 2, KERNEL_MODULE_UNLOAD, "failure comm=tool target=-");
    accept_record(test, AUDIT_KERN_MODULE, 2, "name=(null)");
    audit_test_expect(test, "");
}

static void test_ptrace(void **state)
{
    struct audit_test *test = *state;
    accept_call(test, 1, "arch=c000003e syscall=101 success=yes exit=0 a0=4206 a1=64 a2=0 a3=11");
    expect_event(test, 1, KERNEL_PTRACE, "success comm=tool target=pid 100");
    accept_record(test, AUDIT_OBJ_PID, 1, "opid=4100 oauid=1000 ouid=1000 oses=3 ocomm=\"sleep\"");
    audit_test_expect(test, "target 1 is=pid 4100 (sleep)\n");
    accept_call(test, 2,
                "arch=c000003e syscall=101 success=no exit=-3 a0=10 a1=ffffffff a2=0 a3=0");
    expect_event(test, 2, KERNEL_PTRACE, "failure comm=tool target=pid -1");
    /* Reading a word, and going on, are no attaching. */
    accept_call(test, 3, "arch=c000003e syscall=101 success=yes exit=0 a0=1 a1=64 a2=0 a3=0");
    accept_call(test, 4, "arch=c000003e syscall=101 success=yes exit=0 a0=7 a1=64 a2=0 a3=0");
    audit_test_expect(test, "");
}

static void test_namespaces(void **state)
{
    struct audit_test *test = *state;
    accept_call(test, 1, "arch=c000003e syscall=272 success=yes exit=0 a0=40020000 a1=0 a2=0 a3=0");
    expect_event(test, 1, KERNEL_UNSHARE, "success comm=tool target=mount,net");
    accept_call(test, 2, "arch=c000003e syscall=308 success=yes exit=0 a0=3 a1=0 a2=0 a3=0");
    expect_event(test, 2, KERNEL_SETNS, "success comm=tool target=-");
    accept_call(test, 3, "arch=c000003e syscall=308 success=no exit=-1 a0=3 a1=20000000 a2=0 a3=0");
    expect_event(test, 3, KERNEL_SETNS, "failure comm=tool target=pid");
    accept_call(test, 4, "arch=c000003e syscall=56 success=yes exit=90 a0=10000091 a1=0 a2=0 a3=0");
    expect_event(test, 4, KERNEL_CLONE, "success comm=tool target=user");
    /* An ordinary fork, and descriptors that are not shared any more. */
    accept_call(test, 5, "arch=c000003e syscall=56 success=yes exit=90 a0=1200091 a1=0 a2=0 a3=0");
    accept_call(test, 6, "arch=c000003e syscall=272 success=yes exit=0 a0=400 a1=0 a2=0 a3=0");
    audit_test_expect(test, "");
}

/* The record of the program comes before that of the call. */
static void test_bpf(void **state)
{
    struct audit_test *test = *state;
    accept_record(test, AUDIT_BPF, 1, "prog-id=41 op=LOAD");
    accept_record(test, AUDIT_BPF, 2, "prog-id=40 op=UNLOAD");
    audit_test_expect(test, "");
    accept_call(test, 1, "arch=c000003e syscall=321 success=yes exit=4 a0=5 a1=7f a2=94 a3=0");
    expect_event(test, 1, KERNEL_BPF_LOAD, "success comm=tool target=program 41");
    accept_call(test, 2, "arch=c000003e syscall=321 success=no exit=-1 a0=5 a1=7f a2=94 a3=0");
    expect_event(test, 2, KERNEL_BPF_LOAD, "failure comm=tool target=-");
    accept_call(test, 3, "arch=c000003e syscall=321 success=yes exit=4 a0=0 a1=7f a2=94 a3=0");
    audit_test_expect(test, "");
    /* The kernel looks at the lower half of the register, and so do its rules. */
    accept_call(test, 4,
                "arch=c000003e syscall=321 success=yes exit=4 a0=100000005 a1=7f a2=94 a3=0");
    expect_event(test, 4, KERNEL_BPF_LOAD, "success comm=tool target=-");
}

static void test_clock(void **state)
{
    struct audit_test *test = *state;
    accept_call(test, 1, "arch=c000003e syscall=227 success=yes exit=0 a0=0 a1=7f a2=0 a3=0");
    expect_event(test, 1, KERNEL_CLOCK_SET, "success comm=tool target=-");
    accept_record(test, AUDIT_TIME_INJOFFSET, 1, "sec=-2 nsec=750000000");
    audit_test_expect(test, "target 1 further is=-1.250000 s\n");
    /* What only reads the clock's discipline has no further record. */
    accept_call(test, 2, "arch=c000003e syscall=159 success=yes exit=0 a0=7f a1=0 a2=0 a3=0");
    expect_event(test, 2, KERNEL_CLOCK_SET, "success comm=tool target=- needs");
    accept_record(test, AUDIT_TIME_ADJNTPVAL, 2, "op=freq old=0 new=-65536000");
    audit_test_expect(test, "target 2 further is=freq 0 to -65536000\n");
    accept_call(test, 3, "arch=c000003e syscall=305 success=no exit=-1 a0=0 a1=7f a2=0 a3=0");
    expect_event(test, 3, KERNEL_CLOCK_SET, "failure comm=tool target=-");
}

static void test_others(void **state)
{
    struct audit_test *test = *state;
    accept_call(test, 1, "arch=c000003e syscall=425 success=yes exit=3 a0=8 a1=7f a2=0 a3=0");
    expect_event(test, 1, KERNEL_IO_URING_SETUP, "success comm=tool target=8 entries");
    accept_call(test, 2, "arch=c000003e syscall=246 success=no exit=-1 a0=0 a1=0 a2=0 a3=0");
    expect_event(test, 2, KERNEL_KEXEC_LOAD, "failure comm=tool target=-");
    /* Killed on the way: nobody knows how it ended. */
    accept_call(test, 3, "arch=c00000b7 syscall=425 a0=8 a1=7f a2=0 a3=0");
    expect_event(test, 3, KERNEL_IO_URING_SETUP, "unknown comm=tool target=8 entries");
}

/* Audit changed by a message: the change comes first, then the call that sent it, whatever it is.
 */
static void test_changes_of_audit(void **state)
{
    struct audit_test *test = *state;
    const char *send = "arch=c000003e syscall=44 success=yes exit=60 a0=3 a1=7f a2=3c a3=0";
    accept_record(test, AUDIT_CONFIG_CHANGE, 1,
                  "auid=1000 ses=3 subj=unconfined op=remove_rule key=\"vestige\" list=4 res=1");
    audit_test_expect(test, "");
    accept_call(test, 1, send);
    expect_event(test, 1, KERNEL_AUDIT_CHANGE,
                 "success comm=tool target=remove_rule key=vestige list=4");
    accept_record(test, AUDIT_CONFIG_CHANGE, 2,
                  "op=set audit_enabled=0 old=1 auid=1000 ses=3 res=1");
    accept_record(test, AUDIT_CONFIG_CHANGE, 2,
                  "auid=1000 ses=3 op=add_rule key=6120 list=5 res=0");
    accept_call(test, 2, send);
    expect_event(test, 2, KERNEL_AUDIT_CHANGE,
                 "failure comm=tool target=set audit_enabled=0 old=1; add_rule key=a  list=5");
    accept_record(test, AUDIT_CONFIG_CHANGE, 3,
                  "auid=1000 ses=3 op=add_rule key=(null) list=5 res=1");
    accept_call(test, 4, send);
    accept_call(test, 3, send);
    accept_call(test, 3, send);
    expect_event(test, 3, KERNEL_AUDIT_CHANGE,
                 "success comm=tool target=add_rule key=(null) list=5");
}

/* What somebody adds to what audit holds for us, by many records and a long one. */
static void test_a_change_without_an_end(void **state)
{
    struct audit_test *test = *state;
    char fields[5200];
    int length = snprintf(fields, sizeof(fields), "op=add_rule key=");
    for (; length < 5000; length += 2)
        memcpy(fields + length, "41", 3);
    for (int i = 0; i < 97; i++)
        accept_record(test, AUDIT_CONFIG_CHANGE, 5, fields);
    accept_call(test, 5, "arch=c000003e syscall=44 success=yes exit=60 a0=3 a1=7f a2=3c a3=0");
    assert_true(test->facts.length > KERNEL_TARGET_MOST);
    assert_true(test->facts.length < KERNEL_TARGET_MOST + 200);
    assert_string_equal((char *)test->facts.data + test->facts.length - 4, "...\n");
    buffer_clear(&test->facts);
}

/* Records of calls that nobody asked about, twice, broken, too long: no row, and never a crash. */
static void test_hostile(void **state)
{
    struct audit_test *test = *state;
    const uint16_t types[] = {AUDIT_CWD, AUDIT_PATH, AUDIT_KERN_MODULE, AUDIT_OBJ_PID,
                              AUDIT_TIME_INJOFFSET};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        accept_record(test, types[i], 9, "name=\"x\" cwd=\"/\" opid=1 sec=1 nsec=1");
    audit_test_expect(test, "");
    const char *mount = "arch=c000003e syscall=165 success=yes exit=0 a0=1 a1=2 a2=3 a3=0";
    accept_call(test, 1, mount);
    expect_event(test, 1, KERNEL_MOUNT, "success comm=tool target=-");
    assert_int_equal(audit_test_record(test, AUDIT_PATH, 1, "item=0 name=2F6"), -EBADMSG);
    assert_int_equal(audit_test_record(test, AUDIT_PATH, 1, "item=0 name=zz"), -EBADMSG);
    assert_int_equal(audit_test_record(test, AUDIT_CWD, 1, "cwd=2"), -EBADMSG);
    accept_record(test, AUDIT_PATH, 1, "item=0");
    accept_record(test, AUDIT_PATH, 1, "item=0 name=(null)");
    assert_int_equal(audit_test_record(test, AUDIT_KERN_MODULE, 1, "x=1"), -EBADMSG);
    assert_int_equal(audit_test_record(test, AUDIT_TIME_INJOFFSET, 1, "sec=x nsec=1"), -EBADMSG);
    assert_int_equal(audit_test_record(test, AUDIT_TIME_INJOFFSET, 1, "sec=1"), -EBADMSG);
    assert_int_equal(audit_test_record(test, AUDIT_TIME_ADJNTPVAL, 1, "op=a old=1 new="), -EBADMSG);
    audit_test_expect(test, "");
    accept_record(test, AUDIT_TIME_INJOFFSET, 1, "sec=9223372036854775807 nsec=999999999");
    audit_test_expect(test, "target 1 further is=+9223372036854775807 s\n");
    assert_int_equal(
        audit_test_record(test, AUDIT_SYSCALL, 2, "arch=c000003e syscall=165 success=yes a0=1"),
        -EBADMSG); /* nobody's */
    assert_int_equal(audit_test_record(test, AUDIT_SYSCALL, 2,
                                       "arch=c000003e syscall=165 a0=11112222333344445 pid=7"),
                     -EBADMSG);
    assert_int_equal(audit_test_record(test, AUDIT_BPF, 2, "prog-id=x op=LOAD"), -EBADMSG);
    audit_test_expect(test, "");
}

static void expect_long_target(struct audit_test *test, size_t length, const char *begin,
                               const char *end)
{
    const struct buffer *facts = &test->facts;
    assert_int_equal(facts->length, strlen("target 1 is=\n") + length);
    assert_memory_equal(facts->data, begin, strlen(begin));
    assert_memory_equal(facts->data + facts->length - strlen(end), end, strlen(end));
    buffer_clear(&test->facts);
}

/* As long as a path and its directory can be they are told whole; what is longer is seen to be. */
static void test_long_targets(void **state)
{
    struct audit_test *test = *state;
    static char text[20000];
    const char *mount = "arch=c000003e syscall=165 success=yes exit=0 a0=1 a1=2 a2=3 a3=0";
    for (uint32_t serial = 1; serial <= 3; serial++) {
        bool long_directory = serial == 3, long_name = serial == 2;
        accept_call(test, serial, mount);
        buffer_clear(&test->facts);
        memset(text, 'd', sizeof(text) - 1);
        memcpy(text, "cwd=\"/", 6);
        text[(long_directory ? 9000 : 4095) + 5] = '\0';
        accept_record(test, AUDIT_CWD, serial, text);
        memset(text, 'n', sizeof(text) - 1);
        memcpy(text, "name=\"", 6);
        text[(long_name ? 19000 : 4095) + 6] = '\0';
        accept_record(test, AUDIT_PATH, serial, text);
        if (long_name)
            expect_long_target(test, KERNEL_TARGET_MOST, "target 2 is=/ddd", "nnn...\n");
        else if (long_directory)
            expect_long_target(test, 4096 + 1 + 4095, "target 3 is=/ddd", "nnn\n");
        else
            expect_long_target(test, 4095 + 1 + 4095, "target 1 is=/ddd", "nnn\n");
    }
}

/* Many events at a time: what has lost its place says nothing more. */
static void test_bounded(void **state)
{
    struct audit_test *test = *state;
    const char *mount = "arch=c000003e syscall=165 success=yes exit=0 a0=1 a1=2 a2=3 a3=0";
    for (uint32_t serial = 1; serial <= 65; serial++)
        accept_call(test, serial, mount);
    buffer_clear(&test->facts);
    accept_record(test, AUDIT_PATH, 1, "item=0 name=\"/a\"");
    audit_test_expect(test, "");
    for (uint32_t serial = 2; serial <= 65; serial++)
        accept_record(test, AUDIT_PATH, serial, "item=0 name=\"/a\"");
    size_t n = 0;
    for (size_t i = 0; i < test->facts.length; i++)
        n += test->facts.data[i] == '\n';
    assert_int_equal(n, 64);
}

static bool has_call(const struct audit_rule_data *rule, uint32_t number)
{
    return rule->mask[AUDIT_WORD(number)] & AUDIT_BIT(number);
}

/* Frequent calls stand only in rules that look at their argument. */
static void test_rules(void **state)
{
    (void)state;
    struct audit_rules rules = AUDIT_RULES_NULL;
    assert_int_equal(audit_rules_append_kernel(&rules), 0);
    assert_int_equal(rules.n, 2 * AUDIT_KERNEL_FILTER_N);
    for (size_t i = 0; i < rules.n; i++) {
        const struct audit_rule_data *rule = rules.list[i];
        assert_true(audit_rule_is_keyed(rule));
        assert_true(audit_rule_is_exit(rule));
        assert_false(audit_rule_suppresses(rule));
        assert_false(has_call(rule, 59));
        assert_int_equal(rule->fields[0], AUDIT_ARCH);
        assert_int_equal(rule->field_count, i % AUDIT_KERNEL_FILTER_N ? 3 : 2);
        for (size_t j = 0; j < i; j++)
            assert_false(audit_rule_equal(rule, rules.list[j]));
    }
#if defined(__x86_64__)
    assert_true(has_call(rules.list[AUDIT_KERNEL_ANY], 165));
    assert_false(has_call(rules.list[AUDIT_KERNEL_ANY], 56));
    assert_true(has_call(rules.list[AUDIT_KERNEL_CLONE], 56));
    assert_int_equal(rules.list[AUDIT_KERNEL_CLONE]->fieldflags[1], AUDIT_BIT_MASK);
    assert_int_equal(rules.list[AUDIT_KERNEL_SEIZE]->values[1], 0x4206);
    assert_int_equal(rules.list[AUDIT_KERNEL_BPF]->values[1], 5);
#endif
    audit_rules_deinit(&rules);
}

static void test_suppressing_rules(void **state)
{
    static const struct {
        uint32_t list, action;
        bool suppresses;
    } rules[] = {
        {AUDIT_FILTER_EXCLUDE,                     AUDIT_ALWAYS, true },
        {AUDIT_FILTER_EXCLUDE,                     AUDIT_NEVER,  true }, /* the older form */
        {AUDIT_FILTER_TASK,                        AUDIT_NEVER,  true },
        {AUDIT_FILTER_EXIT,                        AUDIT_NEVER,  true },
        {AUDIT_FILTER_EXIT | AUDIT_FILTER_PREPEND, AUDIT_NEVER,  true },
        {AUDIT_FILTER_EXIT,                        AUDIT_ALWAYS, false},
        {AUDIT_FILTER_USER,                        AUDIT_NEVER,  true },
        {AUDIT_FILTER_FS,                          AUDIT_NEVER,  false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        const struct audit_rule_data rule = {.flags = rules[i].list, .action = rules[i].action};
        assert_int_equal(audit_rule_suppresses(&rule), rules[i].suppresses);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, audit_test_setup, audit_test_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_mount),
        TEST(test_below_a_descriptor),
        TEST(test_both_paths_of_a_move),
        TEST(test_changed_mounts),
        TEST(test_modules),
        TEST(test_ptrace),
        TEST(test_namespaces),
        TEST(test_bpf),
        TEST(test_clock),
        TEST(test_others),
        TEST(test_changes_of_audit),
        TEST(test_a_change_without_an_end),
        TEST(test_hostile),
        TEST(test_long_targets),
        TEST(test_bounded),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_suppressing_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
