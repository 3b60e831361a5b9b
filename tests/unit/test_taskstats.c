// links: vestige_taskstats
/* Taskstats messages of all layouts that kernels have had, whole and cut off anywhere. */
#include "collectors/taskstats/taskstats_decode.h"
#include "guarded.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/taskstats.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define FAMILY          31
#define VERSION_13_SIZE 416

_Static_assert(offsetof(struct taskstats, wpcopy_delay_total) + 8 == VERSION_13_SIZE, "layout");

struct facts {
    struct fact fact[4];
    char comm[4][40];
    size_t n;
};

struct wire {
    uint8_t bytes[4096];
    size_t length;
};

static void keep(void *user, const struct fact *fact)
{
    struct facts *facts = user;
    assert_true(facts->n < 4);
    if (fact->kind == FACT_TASK_STATS)
        memcpy(facts->comm[facts->n], fact->task_stats.comm.data, fact->task_stats.comm.length);
    facts->fact[facts->n++] = *fact;
}

static int decode_kind(enum message_kind kind, const void *bytes, size_t length,
                       struct facts *facts)
{
    struct decoder *decoder;
    *facts = (struct facts){.n = 0};
    assert_int_equal(taskstats_decoder_new(&decoder), 0);
    struct guarded guarded = guarded_copy(bytes, length);
    const struct message message = {.source = SOURCE_TASKSTATS,
                                    .kind = kind,
                                    .boot_ns = 777,
                                    .bytes = slice_of(guarded.data, length)};
    int r = taskstats_decode(decoder, &message, keep, facts);
    guarded_free(&guarded);
    taskstats_decoder_free(decoder);
    return r;
}

static int decode(const struct wire *wire, struct facts *facts)
{
    return decode_kind(MESSAGE_DATA, wire->bytes, wire->length, facts);
}

static void put(struct wire *wire, const void *bytes, size_t length)
{
    memcpy(wire->bytes + wire->length, bytes, length);
    wire->length += length;
}

static void put_header(struct wire *wire, uint16_t length, uint16_t type)
{
    put(wire, &(struct nlattr){.nla_len = length, .nla_type = type}, 4);
}

static void end_message(struct wire *wire)
{
    uint32_t length = (uint32_t)wire->length;
    memcpy(wire->bytes, &length, sizeof(length));
}

static void begin_message(struct wire *wire, uint8_t command)
{
    wire->length = 0;
    put(wire, &(struct nlmsghdr){.nlmsg_type = FAMILY}, 16);
    put(wire, &(struct genlmsghdr){.cmd = command, .version = 1}, 4);
}

/* A nest as the kernel makes it: the id, and the statistics; a multiple of 4 in length. */
static void put_nest(struct wire *wire, uint16_t nest, uint32_t id, const void *stats,
                     uint16_t length)
{
    put_header(wire, (uint16_t)(4 + 8 + 4 + length), nest);
    put_header(wire, 8, nest == TASKSTATS_TYPE_AGGR_PID ? TASKSTATS_TYPE_PID : TASKSTATS_TYPE_TGID);
    put(wire, &id, sizeof(id));
    put_header(wire, (uint16_t)(4 + length), TASKSTATS_TYPE_STATS);
    put(wire, stats, length);
}

static struct taskstats sample(uint16_t version)
{
    return (struct taskstats){
        .version = version,
        .ac_exitcode = 0x700,
        .ac_flag = 0x21,
        .ac_comm = "a name",
        .ac_uid = 1000,
        .ac_gid = 1001,
        .ac_pid = 51,
        .ac_ppid = 40,
        .ac_btime = 1700000000,
        .ac_etime = 2500,
        .ac_utime = 4000,
        .ac_stime = 8000,
        .hiwater_rss = 1380,
        .read_bytes = 4096,
        .write_bytes = 8192,
        .thrashing_delay_total = 5,
        .ac_btime64 = 5000000000,
        .ac_tgid = 50,
        .wpcopy_delay_total = 6,
    };
}

static int decode_sample(const void *stats, uint16_t length, struct facts *facts)
{
    struct wire wire;
    begin_message(&wire, TASKSTATS_CMD_NEW);
    put_nest(&wire, TASKSTATS_TYPE_AGGR_PID, 51, stats, length);
    end_message(&wire);
    return decode(&wire, facts);
}

/* What every version has. */
static const struct fact_task_stats *assert_common(const struct facts *facts)
{
    assert_int_equal(facts->n, 1);
    assert_int_equal(facts->fact[0].kind, FACT_TASK_STATS);
    assert_int_equal(facts->fact[0].source, SOURCE_TASKSTATS);
    assert_int_equal(facts->fact[0].boot_ns, 777);
    const struct fact_task_stats *stats = &facts->fact[0].task_stats;
    assert_int_equal(stats->pid, 51);
    assert_int_equal(stats->ppid, 40);
    assert_int_equal(stats->uid, 1000);
    assert_int_equal(stats->gid, 1001);
    assert_int_equal(stats->exit_code, 0x700);
    assert_int_equal(stats->elapsed_us, 2500);
    assert_int_equal(stats->user_us, 4000);
    assert_int_equal(stats->system_us, 8000);
    assert_true(stats->forked_no_exec);
    assert_string_equal(facts->comm[0], "a name");
    return stats;
}

static const struct fact_task_stats *assert_newest(const struct facts *facts)
{
    const struct fact_task_stats *stats = assert_common(facts);
    assert_true(stats->last);
    assert_int_equal(stats->tgid, 50);
    assert_int_equal(stats->max_rss_kib, 1380);
    assert_int_equal(stats->read_bytes, 4096);
    assert_int_equal(stats->write_bytes, 8192);
    assert_int_equal(stats->begin_real_s, 5000000000);
    return stats;
}

static void test_version_13(void **state)
{
    (void)state;
    struct facts facts;
    struct taskstats stats = sample(13);
    assert_int_equal(decode_sample(&stats, VERSION_13_SIZE, &facts), 0);
    assert_newest(&facts);
    stats.ac_flag = 0x10;
    assert_int_equal(decode_sample(&stats, VERSION_13_SIZE, &facts), 0);
    assert_false(facts.fact[0].task_stats.last);
    assert_false(facts.fact[0].task_stats.forked_no_exec);
    memset(stats.ac_comm, 'x', sizeof(stats.ac_comm)); /* no terminator */
    assert_int_equal(decode_sample(&stats, VERSION_13_SIZE, &facts), 0);
    assert_int_equal(facts.fact[0].task_stats.comm.length, 32);
}

static void test_version_16_is_longer(void **state)
{
    (void)state;
    struct facts facts;
    uint8_t bytes[560];
    struct taskstats stats = sample(16);
    memset(bytes, 0xee, sizeof(bytes));
    memcpy(bytes, &stats, VERSION_13_SIZE);
    assert_int_equal(decode_sample(bytes, sizeof(bytes), &facts), 0);
    assert_newest(&facts);
}

/* Version 15: a maximum and a minimum (8 bytes each) behind each delay's total. */
static void test_version_15_is_wider(void **state)
{
    (void)state;
    static const size_t wider_behind[] = {
        offsetof(struct taskstats, cpu_delay_total),
        offsetof(struct taskstats, blkio_delay_total),
        offsetof(struct taskstats, swapin_delay_total),
        offsetof(struct taskstats, freepages_delay_total),
        offsetof(struct taskstats, thrashing_delay_total),
        offsetof(struct taskstats, compact_delay_total),
        offsetof(struct taskstats, wpcopy_delay_total),
    };
    struct facts facts;
    struct taskstats stats = sample(15);
    uint8_t bytes[VERSION_13_SIZE + 7 * 16 + 32];
    size_t from = 0, to = 0;
    memset(bytes, 0xee, sizeof(bytes));
    for (size_t i = 0; i < 7; i++) {
        size_t n = wider_behind[i] + 8 - from;
        memcpy(bytes + to, (const uint8_t *)&stats + from, n);
        from += n;
        to += n + 16;
    }
    assert_int_equal(decode_sample(bytes, sizeof(bytes), &facts), 0);
    assert_newest(&facts);
    for (uint16_t length = 0; length < sizeof(bytes); length = (uint16_t)(length + 4)) {
        int r = decode_sample(bytes, length, &facts);
        assert_int_equal(r, length >= offsetof(struct taskstats, ac_stime) + 8 + 48 ? 0 : -EBADMSG);
        if (r == 0)
            assert_common(&facts);
    }
}

static void test_old_versions_lack_fields(void **state)
{
    (void)state;
    struct facts facts;
    struct taskstats stats = sample(10);
    assert_int_equal(decode_sample(&stats, offsetof(struct taskstats, compact_count), &facts), 0);
    assert_int_equal(assert_common(&facts)->tgid, 0);
    assert_int_equal(facts.fact[0].task_stats.begin_real_s, 5000000000);
    assert_int_equal(decode_sample(&stats, offsetof(struct taskstats, ac_btime64), &facts), 0);
    assert_int_equal(assert_common(&facts)->begin_real_s, 1700000000);
    assert_int_equal(facts.fact[0].task_stats.read_bytes, 4096);
    assert_int_equal(decode_sample(&stats, offsetof(struct taskstats, read_bytes), &facts), 0);
    assert_true(assert_common(&facts)->read_bytes == UINT64_MAX);
    assert_true(facts.fact[0].task_stats.write_bytes == UINT64_MAX);
}

static void decode_group(uint8_t flag, uint64_t user_us, uint64_t system_us, struct facts *facts)
{
    struct wire wire;
    struct taskstats task = sample(13);
    struct taskstats group = {.version = 13, .ac_utime = user_us, .ac_stime = system_us};
    task.ac_flag = flag;
    begin_message(&wire, TASKSTATS_CMD_NEW);
    put_nest(&wire, TASKSTATS_TYPE_AGGR_PID, 51, &task, VERSION_13_SIZE);
    put_nest(&wire, TASKSTATS_TYPE_AGGR_TGID, 50, &group, VERSION_13_SIZE);
    end_message(&wire);
    assert_int_equal(decode(&wire, facts), 0);
    assert_int_equal(facts->n, 1);
}

static void test_sums_of_the_group(void **state)
{
    (void)state;
    struct facts facts;
    decode_group(0x20, 72000, 579540, &facts);
    assert_int_equal(facts.fact[0].task_stats.user_us, 72000);
    assert_int_equal(facts.fact[0].task_stats.system_us, 579540);
    assert_int_equal(facts.fact[0].task_stats.max_rss_kib, 1380); /* the sums have none */
    decode_group(0x20, 0, 0, &facts); /* a kernel that does not sum CPU time */
    assert_int_equal(facts.fact[0].task_stats.user_us, 4000);
    decode_group(0, 72000, 579540, &facts); /* not the last task: its own */
    assert_int_equal(facts.fact[0].task_stats.user_us, 4000);
}

static void test_padding_attributes_are_passed_over(void **state)
{
    (void)state;
    struct wire wire;
    struct facts facts;
    struct taskstats stats = sample(13);
    begin_message(&wire, TASKSTATS_CMD_NEW);
    put_header(&wire, 4 + 8 + 4 + 4 + VERSION_13_SIZE, TASKSTATS_TYPE_AGGR_PID);
    put_header(&wire, 8, TASKSTATS_TYPE_PID);
    put(&wire, "abcd", 4);
    put_header(&wire, 4, TASKSTATS_TYPE_NULL);
    put_header(&wire, 4 + VERSION_13_SIZE, TASKSTATS_TYPE_STATS);
    put(&wire, &stats, VERSION_13_SIZE);
    end_message(&wire);
    assert_int_equal(decode(&wire, &facts), 0);
    assert_newest(&facts);
}

/* Cut off by the datagram, and by the netlink length. */
static void test_truncated(void **state)
{
    (void)state;
    struct wire whole;
    struct facts facts;
    struct taskstats stats = sample(13);
    begin_message(&whole, TASKSTATS_CMD_NEW);
    put_nest(&whole, TASKSTATS_TYPE_AGGR_PID, 51, &stats, VERSION_13_SIZE);
    end_message(&whole);
    for (size_t length = 0; length < whole.length; length++) {
        struct wire wire = whole;
        wire.length = length;
        assert_int_equal(decode(&wire, &facts), -EBADMSG);
        assert_int_equal(facts.n, 0);
        end_message(&wire);
        assert_int_equal(decode(&wire, &facts), -EBADMSG);
        assert_int_equal(facts.n, 0);
    }
    assert_int_equal(decode(&whole, &facts), 0);
}

static void test_hostile_attributes(void **state)
{
    (void)state;
    static const uint16_t lengths[] = {0, 1, 3, 4, 0x7fff, 0xffff};
    struct wire whole;
    struct facts facts;
    struct taskstats stats = sample(13);
    begin_message(&whole, TASKSTATS_CMD_NEW);
    put_nest(&whole, TASKSTATS_TYPE_AGGR_PID, 51, &stats, VERSION_13_SIZE);
    end_message(&whole);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        static const size_t offsets[] = {20, 32}; /* the nest; the statistics */
        for (size_t k = 0; k < 2; k++) {
            struct wire wire = whole;
            memcpy(wire.bytes + offsets[k], &lengths[i], 2);
            assert_int_equal(decode(&wire, &facts), -EBADMSG);
            assert_int_equal(facts.n, 0);
        }
    }
    const uint32_t huge = 0xffffffff;
    memcpy(whole.bytes, &huge, sizeof(huge));
    assert_int_equal(decode(&whole, &facts), -EBADMSG);
}

static void test_other_messages(void **state)
{
    (void)state;
    struct wire wire;
    struct facts facts;
    begin_message(&wire, TASKSTATS_CMD_GET); /* also an answer of the family's controller */
    end_message(&wire);
    assert_int_equal(decode(&wire, &facts), 0);
    assert_int_equal(facts.n, 0);
    begin_message(&wire, TASKSTATS_CMD_NEW);
    end_message(&wire);
    assert_int_equal(decode(&wire, &facts), -EBADMSG);
    assert_int_equal(decode_kind(MESSAGE_OVERRUN, "", 0, &facts), 0);
    assert_int_equal(facts.fact[0].kind, FACT_OVERRUN);
    assert_int_equal(decode_kind(MESSAGE_NOTE, "all\tCPUs 0-1", 12, &facts), 0);
    assert_int_equal(facts.fact[0].kind, FACT_NOTE);
    assert_int_equal(decode_kind(MESSAGE_NOTE, "no tab", 6, &facts), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_13),
        cmocka_unit_test(test_version_16_is_longer),
        cmocka_unit_test(test_version_15_is_wider),
        cmocka_unit_test(test_old_versions_lack_fields),
        cmocka_unit_test(test_sums_of_the_group),
        cmocka_unit_test(test_padding_attributes_are_passed_over),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_hostile_attributes),
        cmocka_unit_test(test_other_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
