// links: vestige_connector
/* Process connector messages as the kernel makes them, and as it never would. */
#include "collectors/connector/connector_decode.h"
#include "collectors/connector/fork_total.h"
#include "collectors/connector/suspend_offset.h"
#include "guarded.h"

#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define READ_NS 777

struct facts {
    struct fact fact[8];
    char text[8][32]; /* the fact's comm or mode */
    size_t n;
};

struct wire {
    uint8_t bytes[512];
    size_t length;
};

static void keep(void *user, const struct fact *fact)
{
    struct facts *facts = user;
    assert_true(facts->n < 8);
    struct slice text = fact->kind == FACT_COMM   ? fact->comm.comm
                        : fact->kind == FACT_NOTE ? fact->note.mode
                                                  : SLICE_NULL;
    if (text.length)
        memcpy(facts->text[facts->n], text.data, text.length);
    facts->fact[facts->n++] = *fact;
}

static int decode_kind(struct decoder *decoder, enum message_kind kind, const void *bytes,
                       size_t length, struct facts *facts)
{
    *facts = (struct facts){.n = 0};
    struct guarded guarded = guarded_copy(bytes, length);
    const struct message message = {.source = SOURCE_CONNECTOR,
                                    .kind = kind,
                                    .boot_ns = READ_NS,
                                    .bytes = slice_of(guarded.data, length)};
    int r = connector_decode(decoder, &message, keep, facts);
    guarded_free(&guarded);
    return r;
}

static int decode(const struct wire *wire, struct facts *facts)
{
    struct decoder *decoder;
    assert_int_equal(connector_decoder_new(&decoder), 0);
    int r = decode_kind(decoder, MESSAGE_DATA, wire->bytes, wire->length, facts);
    connector_decoder_free(decoder);
    return r;
}

/* Append one message with @p body bytes of the event's union. */
static void put(struct wire *wire, uint32_t what, const void *union_bytes, size_t body)
{
    struct nlmsghdr netlink = {.nlmsg_len = (uint32_t)(16 + 20 + 16 + body),
                               .nlmsg_type = NLMSG_DONE};
    struct cn_msg connector = {
        .id = {CN_IDX_PROC, CN_VAL_PROC},
          .seq = 41, .ack = 8, .len = (uint16_t)(16 + body)
    };
    uint32_t words[2] = {what, 3};
    uint64_t monotonic_ns = 1000;
    uint8_t *to = wire->bytes + wire->length;
    memcpy(to, &netlink, 16);
    memcpy(to + 16, &connector, 20);
    memcpy(to + 36, words, 8);
    memcpy(to + 44, &monotonic_ns, 8);
    memcpy(to + 52, union_bytes, body);
    wire->length += (netlink.nlmsg_len + 3) & ~3u;
}

static struct wire wire_of(uint32_t what, const void *union_bytes, size_t body)
{
    struct wire wire = {.length = 0};
    put(&wire, what, union_bytes, body);
    return wire;
}

static void assert_task(struct fact_task task, uint32_t pid, uint32_t tgid)
{
    assert_int_equal(task.pid, pid);
    assert_int_equal(task.tgid, tgid);
}

/* Decode one event of full size; its fact is the second, after the sequence. */
static struct fact decode_event(uint32_t what, const uint32_t words[6], struct facts *facts)
{
    struct wire wire = wire_of(what, words, 24);
    assert_int_equal(decode(&wire, facts), 0);
    assert_int_equal(facts->n, 2);
    assert_int_equal(facts->fact[0].kind, FACT_SEQUENCE);
    assert_int_equal(facts->fact[0].sequence.cpu, 3);
    assert_int_equal(facts->fact[0].sequence.sequence, 41);
    assert_int_equal(facts->fact[0].boot_ns, 1000);
    assert_int_equal(facts->fact[1].source, SOURCE_CONNECTOR);
    assert_int_equal(facts->fact[1].boot_ns, 1000);
    return facts->fact[1];
}

static void test_each_event(void **state)
{
    (void)state;
    struct facts facts;
    const uint32_t words[6] = {11, 12, 13, 14, 15, 16};
    struct fact fact = decode_event(PROC_EVENT_FORK, words, &facts);
    assert_int_equal(fact.kind, FACT_FORK);
    assert_task(fact.fork.parent, 11, 12);
    assert_task(fact.fork.child, 13, 14);
    fact = decode_event(PROC_EVENT_EXEC, words, &facts);
    assert_int_equal(fact.kind, FACT_EXEC);
    assert_task(fact.exec, 11, 12);
    fact = decode_event(PROC_EVENT_UID, words, &facts);
    assert_int_equal(fact.kind, FACT_UID);
    assert_task(fact.uid.task, 11, 12);
    assert_int_equal(fact.uid.real, 13);
    assert_int_equal(fact.uid.effective, 14);
    fact = decode_event(PROC_EVENT_GID, words, &facts);
    assert_int_equal(fact.kind, FACT_GID);
    assert_int_equal(fact.gid.real, 13);
    assert_int_equal(fact.gid.effective, 14);
    fact = decode_event(PROC_EVENT_SID, words, &facts);
    assert_int_equal(fact.kind, FACT_SID);
    assert_task(fact.sid, 11, 12);
    fact = decode_event(PROC_EVENT_EXIT, words, &facts);
    assert_int_equal(fact.kind, FACT_EXIT);
    assert_task(fact.exit.task, 11, 12);
    assert_int_equal(fact.exit.code, 13);
    assert_int_equal(fact.exit.parent_tgid, 16);
}

static void test_comm(void **state)
{
    (void)state;
    struct facts facts;
    uint32_t words[6] = {11, 12};
    memcpy(&words[2], "a b\tc\0rest......", 16);
    struct fact fact = decode_event(PROC_EVENT_COMM, words, &facts);
    assert_int_equal(fact.kind, FACT_COMM);
    assert_task(fact.comm.task, 11, 12);
    assert_int_equal(fact.comm.comm.length, 5);
    assert_string_equal(facts.text[1], "a b\tc");
    memcpy(&words[2], "sixteen letters!", 16); /* no terminator */
    fact = decode_event(PROC_EVENT_COMM, words, &facts);
    assert_int_equal(fact.comm.comm.length, 16);
}

static void test_events_without_a_fact(void **state)
{
    (void)state;
    static const uint32_t kinds[] = {PROC_EVENT_NONE, PROC_EVENT_PTRACE, PROC_EVENT_COREDUMP,
                                     0x400};
    const uint32_t words[6] = {0};
    struct facts facts;
    for (size_t i = 0; i < 4; i++) {
        struct wire wire = wire_of(kinds[i], words, 24);
        assert_int_equal(decode(&wire, &facts), 0);
        assert_int_equal(facts.n, 1); /* but it is part of the sequence */
        assert_int_equal(facts.fact[0].kind, FACT_SEQUENCE);
    }
    struct wire wire = wire_of(PROC_EVENT_NONE, words, 24);
    memset(wire.bytes + 40, 0xff, 4); /* an answer of an old kernel: no CPU */
    assert_int_equal(decode(&wire, &facts), 0);
    assert_int_equal(facts.n, 0);
}

static void test_old_exit_has_no_parent(void **state)
{
    (void)state;
    const uint32_t words[4] = {11, 12, 0x700, 17};
    struct facts facts;
    struct wire wire = wire_of(PROC_EVENT_EXIT, words, 16);
    assert_int_equal(decode(&wire, &facts), 0);
    assert_int_equal(facts.n, 2);
    assert_int_equal(facts.fact[1].exit.code, 0x700);
    assert_int_equal(facts.fact[1].exit.parent_tgid, 0);
}

static void test_two_in_a_datagram(void **state)
{
    (void)state;
    const uint32_t words[6] = {11, 12, 13, 14, 15, 16};
    struct facts facts;
    struct wire wire = wire_of(PROC_EVENT_FORK, words, 24);
    put(&wire, PROC_EVENT_EXEC, words, 24);
    assert_int_equal(decode(&wire, &facts), 0);
    assert_int_equal(facts.n, 4);
    assert_int_equal(facts.fact[1].kind, FACT_FORK);
    assert_int_equal(facts.fact[3].kind, FACT_EXEC);
}

/* Cut off anywhere: by the datagram, by the netlink length, by the connector's length. */
static void test_truncated(void **state)
{
    (void)state;
    static const struct {
        uint32_t what;
        size_t body; /* what the event needs */
    } cases[] = {
        {PROC_EVENT_FORK, 16},
        {PROC_EVENT_EXEC, 8 },
        {PROC_EVENT_UID,  16},
        {PROC_EVENT_GID,  16},
        {PROC_EVENT_SID,  8 },
        {PROC_EVENT_COMM, 24},
        {PROC_EVENT_EXIT, 16}
    };
    const uint32_t words[6] = {11, 12, 13, 14, 15, 16};
    struct facts facts;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct wire whole = wire_of(cases[i].what, words, 24);
        for (size_t length = 0; length < whole.length; length++) {
            struct wire wire = whole;
            wire.length = length;
            assert_int_equal(decode(&wire, &facts), -EBADMSG);
            assert_int_equal(facts.n, 0);
            uint32_t netlink_length = (uint32_t)length;
            memcpy(wire.bytes, &netlink_length, 4);
            assert_int_equal(decode(&wire, &facts), -EBADMSG);
            assert_int_equal(facts.n, 0);
            if (length < 36)
                continue;
            uint16_t connector_length = (uint16_t)(length - 36);
            memcpy(wire.bytes + 32, &connector_length, 2);
            bool enough = length >= 52 + cases[i].body;
            assert_int_equal(decode(&wire, &facts), enough ? 0 : -EBADMSG);
            assert_int_equal(facts.n, enough ? 2 : length >= 52 ? 1 : 0);
        }
    }
}

static void test_hostile_lengths(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {0, 1, 15, 77, 0x7fffffff, 0x80000000, 0xffffffff};
    const uint32_t words[6] = {11, 12, 13, 14, 15, 16};
    const struct wire whole = wire_of(PROC_EVENT_FORK, words, 24);
    struct facts facts;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct wire wire = whole;
        memcpy(wire.bytes, &lengths[i], 4);
        assert_int_equal(decode(&wire, &facts), -EBADMSG);
    }
    struct wire wire = whole;
    memset(wire.bytes + 32, 0xff, 2);
    assert_int_equal(decode(&wire, &facts), -EBADMSG);
    wire = whole;
    wire.bytes[16] = 9; /* another connector */
    assert_int_equal(decode(&wire, &facts), -EBADMSG);
}

static void test_notes(void **state)
{
    (void)state;
    struct decoder *decoder;
    struct facts facts;
    const uint32_t words[6] = {11, 12};
    const struct wire exec = wire_of(PROC_EVENT_EXEC, words, 24);
    assert_int_equal(connector_decoder_new(&decoder), 0);
    assert_int_equal(decode_kind(decoder, MESSAGE_NOTE, "suspend_offset=500", 18, &facts), 0);
    assert_int_equal(facts.n, 0);
    assert_int_equal(decode_kind(decoder, MESSAGE_DATA, exec.bytes, exec.length, &facts), 0);
    assert_int_equal(facts.fact[1].boot_ns, 1500);
    static const char total[] = "fork_total=18446744073709551615 before=2 after=3";
    assert_int_equal(decode_kind(decoder, MESSAGE_NOTE, total, sizeof(total) - 1, &facts), 0);
    assert_int_equal(facts.n, 1);
    assert_int_equal(facts.fact[0].kind, FACT_FORK_TOTAL);
    assert_true(facts.fact[0].fork_total.total == UINT64_MAX);
    assert_int_equal(facts.fact[0].fork_total.before_ns, 2);
    assert_int_equal(facts.fact[0].fork_total.after_ns, 3);
    assert_int_equal(decode_kind(decoder, MESSAGE_NOTE, "all\tdetail", 10, &facts), 0);
    assert_int_equal(facts.fact[0].kind, FACT_NOTE);
    assert_string_equal(facts.text[0], "all");
    assert_int_equal(facts.fact[0].note.detail.length, 6);
    assert_int_equal(decode_kind(decoder, MESSAGE_OVERRUN, "", 0, &facts), 0);
    assert_int_equal(facts.n, 1);
    assert_int_equal(facts.fact[0].kind, FACT_OVERRUN);
    assert_int_equal(facts.fact[0].boot_ns, READ_NS);
    static const char *const wrong[] = {"",
                                        "x",
                                        "suspend_offset=",
                                        "suspend_offset=5x",
                                        "suspend_offset=5 ",
                                        "fork_total=1",
                                        "fork_total=1 before=2 after=",
                                        "fork_total=1 before=2 after=3 more"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(decode_kind(decoder, MESSAGE_NOTE, wrong[i], strlen(wrong[i]), &facts),
                         -EBADMSG);
    char longer[300];
    memset(longer, '1', sizeof(longer));
    memcpy(longer, "suspend_offset=", 15);
    assert_int_equal(decode_kind(decoder, MESSAGE_NOTE, longer, sizeof(longer), &facts), -EBADMSG);
    assert_int_equal(decode_kind(decoder, MESSAGE_MARK, "12345678", 8, &facts), -EBADMSG);
    connector_decoder_free(decoder);
}

static void test_answers(void **state)
{
    (void)state;
    const uint32_t words[6] = {1 /* EPERM */};
    uint32_t error = 99;
    struct wire wire = wire_of(PROC_EVENT_NONE, words, 24);
    assert_true(connector_decode_ack(slice_of(wire.bytes, wire.length), 7, &error));
    assert_int_equal(error, 1);
    assert_false(connector_decode_ack(slice_of(wire.bytes, wire.length), 8, &error));
    assert_false(connector_decode_ack(slice_of(wire.bytes, 51), 7, &error));
    wire = wire_of(PROC_EVENT_EXEC, words, 24);
    assert_false(connector_decode_ack(slice_of(wire.bytes, wire.length), 7, &error));
}

static bool find(const char *text, uint64_t *number)
{
    struct guarded guarded = guarded_copy(text, strlen(text));
    bool found = fork_total_find(slice_of(guarded.data, strlen(text)), number);
    guarded_free(&guarded);
    return found;
}

static void test_proc_stat(void **state)
{
    (void)state;
    uint64_t number = 0;
    assert_true(find("cpu 1\nbtime 5\nprocesses 18437\nprocs_running 1\n", &number));
    assert_int_equal(number, 18437);
    assert_false(find("cpu 1\nprocesses 18437", &number)); /* may be cut off */
    assert_false(find("cpu 1\nprocesses \n", &number));
    assert_false(find("cpu 1\nprocesses 1x\n", &number));
    assert_false(find("processes 1\n", &number));
    assert_false(find("", &number));
}

static void test_notes_are_made_once(void **state)
{
    (void)state;
    struct gulp *gulp = gulp_new(4096);
    struct suspend_offset offset = {.known = false};
    struct fork_total *total;
    assert_non_null(gulp);
    gulp->used = gulp->capacity; /* no room: not lost, but made later */
    assert_int_equal(suspend_offset_note(&offset, gulp), -ENOBUFS);
    assert_int_equal(fork_total_open(&total), 0);
    assert_int_equal(fork_total_note(total, gulp), -ENOBUFS);
    gulp->used = 0;
    assert_int_equal(suspend_offset_note(&offset, gulp), 0);
    assert_int_equal(fork_total_note(total, gulp), 0);
    size_t used = gulp->used;
    assert_true(used > 0);
    assert_int_equal(suspend_offset_note(&offset, gulp), 0);
    assert_int_equal(fork_total_note(total, gulp), 0);
    assert_int_equal(gulp->used, used);
    fork_total_demand(total);
    assert_int_equal(fork_total_note(total, gulp), 0);
    assert_true(gulp->used > used);
    used = gulp->used;
    offset.nanoseconds += 2000000; /* as if the host had been suspended */
    assert_int_equal(suspend_offset_note(&offset, gulp), 0);
    assert_true(gulp->used > used);
    fork_total_free(total);
    gulp_free(gulp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_event),
        cmocka_unit_test(test_comm),
        cmocka_unit_test(test_events_without_a_fact),
        cmocka_unit_test(test_old_exit_has_no_parent),
        cmocka_unit_test(test_two_in_a_datagram),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_hostile_lengths),
        cmocka_unit_test(test_notes),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_proc_stat),
        cmocka_unit_test(test_notes_are_made_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
