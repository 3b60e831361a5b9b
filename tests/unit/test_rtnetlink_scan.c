// links: vestige_rtnetlink
/* When which dump is asked for, without a kernel: every answer that a dump can have. Then once with
 * the kernel's own. */
#include "collectors/rtnetlink/rtnetlink_scan.h"
#include "collectors/rtnetlink/rtnetlink_source.h"

#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)
enum { PORT = 4711 };

struct rig {
    struct rtnetlink_scan scan;
    uint64_t now;
};

static struct rig rig_new(void)
{
    return (struct rig){.scan = rtnetlink_scan_of(PORT), .now = 1000000 * MS};
}

static void look(struct rig *rig, uint16_t type, uint16_t flags, uint32_t sequence, uint32_t port,
                 const void *payload, size_t length)
{
    uint8_t bytes[64] __attribute__((aligned(4))) = {0};
    struct nlmsghdr header = {.nlmsg_len = (uint32_t)(sizeof(header) + length),
                              .nlmsg_type = type,
                              .nlmsg_flags = flags,
                              .nlmsg_seq = sequence,
                              .nlmsg_pid = port};
    memcpy(bytes, &header, sizeof(header));
    memcpy(bytes + sizeof(header), payload, length);
    const struct message message = {.source = SOURCE_RTNETLINK,
                                    .kind = MESSAGE_DATA,
                                    .bytes = slice_of(bytes, header.nlmsg_len)};
    rtnetlink_scan_look(&rig->scan, &message);
}

static void answer(struct rig *rig, uint16_t type, uint16_t flags, int32_t error)
{
    look(rig, type, flags, rig->scan.sequence, PORT, &error, sizeof(error));
}

static void change(struct rig *rig, uint16_t type, uint16_t flags)
{
    const struct ifinfomsg nothing = {0};
    look(rig, type, flags, 0, 0, &nothing, sizeof(nothing));
}

static enum rtnetlink_step step(struct rig *rig)
{
    return rtnetlink_scan_step(&rig->scan, rig->now);
}

static void take(struct rig *rig, enum rtnetlink_step expected)
{
    assert_int_equal(step(rig), expected);
    rtnetlink_scan_done(&rig->scan, expected, rig->now);
}

static void take_note(struct rig *rig, enum rtnetlink_step expected, enum rtnetlink_note note)
{
    assert_int_equal(step(rig), expected);
    assert_int_equal(rtnetlink_scan_note(&rig->scan, expected), note);
    rtnetlink_scan_done(&rig->scan, expected, rig->now);
}

static const struct nlmsghdr *ask(struct rig *rig, char buffer[RTNETLINK_REQUEST_SIZE])
{
    assert_int_equal(step(rig), RTNETLINK_STEP_ASK);
    const struct nlmsghdr *request = rtnetlink_scan_request(&rig->scan, buffer);
    assert_true(request->nlmsg_len <= RTNETLINK_REQUEST_SIZE);
    assert_int_equal(request->nlmsg_flags, NLM_F_REQUEST | NLM_F_DUMP);
    assert_int_equal(request->nlmsg_pid, PORT);
    rtnetlink_scan_done(&rig->scan, RTNETLINK_STEP_ASK, rig->now);
    assert_int_equal(request->nlmsg_seq, rig->scan.sequence);
    assert_int_equal(step(rig), RTNETLINK_STEP_NONE);
    return request;
}

static void dump_routes(struct rig *rig)
{
    char buffer[RTNETLINK_REQUEST_SIZE] __attribute__((aligned(4)));
    static const uint8_t families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < 2; i++) {
        const struct nlmsghdr *request = ask(rig, buffer);
        assert_int_equal(request->nlmsg_type, RTM_GETROUTE);
        assert_int_equal(((struct rtmsg *)mnl_nlmsg_get_payload(request))->rtm_family, families[i]);
        answer(rig, NLMSG_DONE, NLM_F_MULTI, 0);
    }
}

static void dump_all(struct rig *rig)
{
    char buffer[RTNETLINK_REQUEST_SIZE] __attribute__((aligned(4)));
    take_note(rig, RTNETLINK_STEP_BEGIN, RTNETLINK_SCAN_BEGAN);
    assert_int_equal(ask(rig, buffer)->nlmsg_type, RTM_GETLINK);
    answer(rig, NLMSG_DONE, NLM_F_MULTI, 0);
    assert_int_equal(ask(rig, buffer)->nlmsg_type, RTM_GETADDR);
    answer(rig, NLMSG_DONE, NLM_F_MULTI, 0);
    dump_routes(rig);
    take_note(rig, RTNETLINK_STEP_END, RTNETLINK_SCAN_COMPLETE);
}

/* What was told just before the last dump may have happened just after it. */
static void look_again(struct rig *rig)
{
    take_note(rig, RTNETLINK_STEP_WANTED, RTNETLINK_SCAN_WANTED);
    rig->now += 49 * MS;
    assert_int_equal(step(rig), RTNETLINK_STEP_NONE);
    rig->now += MS;
    take_note(rig, RTNETLINK_STEP_BEGIN, RTNETLINK_SCAN_ROUTES_BEGAN);
    dump_routes(rig);
    take_note(rig, RTNETLINK_STEP_END, RTNETLINK_SCAN_COMPLETE);
    assert_int_equal(step(rig), RTNETLINK_STEP_NONE);
}

static struct rig idle_rig(void)
{
    struct rig rig = rig_new();
    dump_all(&rig);
    assert_int_equal(step(&rig), RTNETLINK_STEP_NONE);
    return rig;
}

static void test_one_after_the_other(void **state)
{
    (void)state;
    struct rig rig = idle_rig();
    rig.now += 3600000 * MS;
    assert_int_equal(step(&rig), RTNETLINK_STEP_NONE);
}

/* Only its own answers end a dump: others' requests have numbers, too. */
static void test_answers_of_others(void **state)
{
    (void)state;
    struct rig rig = rig_new();
    char buffer[RTNETLINK_REQUEST_SIZE] __attribute__((aligned(4)));
    int32_t zero = 0;
    take(&rig, RTNETLINK_STEP_BEGIN);
    ask(&rig, buffer);
    look(&rig, NLMSG_DONE, 0, rig.scan.sequence, PORT + 1, &zero, sizeof(zero));
    look(&rig, NLMSG_DONE, 0, rig.scan.sequence + 1, PORT, &zero, sizeof(zero));
    answer(&rig, RTM_NEWLINK, NLM_F_MULTI, 0);
    assert_int_equal(step(&rig), RTNETLINK_STEP_NONE);
    answer(&rig, NLMSG_DONE, NLM_F_MULTI, 0);
    assert_int_equal(step(&rig), RTNETLINK_STEP_ASK);
    answer(&rig, NLMSG_DONE, NLM_F_MULTI, 0); /* once more: nobody waits for it */
    assert_int_equal(ask(&rig, buffer)->nlmsg_type, RTM_GETADDR);
}

static void test_interrupted_dump_is_repeated(void **state)
{
    (void)state;
    struct rig rig = rig_new();
    char buffer[RTNETLINK_REQUEST_SIZE] __attribute__((aligned(4)));
    take(&rig, RTNETLINK_STEP_BEGIN);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(ask(&rig, buffer)->nlmsg_type, RTM_GETLINK);
        answer(&rig, RTM_NEWLINK, NLM_F_MULTI | NLM_F_DUMP_INTR, 0);
        answer(&rig, NLMSG_DONE, NLM_F_MULTI, 0);
    }
    assert_int_equal(ask(&rig, buffer)->nlmsg_type, RTM_GETLINK);
    answer(&rig, NLMSG_DONE, NLM_F_MULTI, 0);
    assert_int_equal(ask(&rig, buffer)->nlmsg_type, RTM_GETADDR);
    answer(&rig, NLMSG_DONE, NLM_F_MULTI, 0);
    dump_routes(&rig);
    take_note(&rig, RTNETLINK_STEP_END, RTNETLINK_SCAN_COMPLETE);
}

static void fail_all(struct rig *rig, uint16_t type, uint16_t flags, int32_t error)
{
    char buffer[RTNETLINK_REQUEST_SIZE] __attribute__((aligned(4)));
    take(rig, RTNETLINK_STEP_BEGIN);
    unsigned n = 0;
    while (step(rig) == RTNETLINK_STEP_ASK) {
        ask(rig, buffer);
        answer(rig, type, flags, error);
        n++;
    }
    assert_int_equal(n, 20);
    take_note(rig, RTNETLINK_STEP_END, RTNETLINK_SCAN_INCOMPLETE);
}

/* After five attempts each the scan goes on, is incomplete, and comes again by itself. */
static void test_always_interrupted(void **state)
{
    (void)state;
    struct rig rig = rig_new();
    fail_all(&rig, NLMSG_DONE, NLM_F_MULTI | NLM_F_DUMP_INTR, 0);
    rig.now += 4999 * MS;
    assert_int_equal(step(&rig), RTNETLINK_STEP_NONE);
    rig.now += 2 * MS;
    dump_all(&rig);
    rig.now += 3600000 * MS;
    assert_int_equal(step(&rig), RTNETLINK_STEP_NONE);
}

static void test_errors(void **state)
{
    (void)state;
    struct rig rig = rig_new();
    fail_all(&rig, NLMSG_ERROR, 0, -EOPNOTSUPP);
    rig.now += 5001 * MS;
    fail_all(&rig, NLMSG_DONE, NLM_F_MULTI, -ENOENT);
    rig.now += 5001 * MS;
    take(&rig, RTNETLINK_STEP_BEGIN);
    while (step(&rig) == RTNETLINK_STEP_ASK)
        rtnetlink_scan_refused(&rig.scan); /* it could not even be sent */
    take_note(&rig, RTNETLINK_STEP_END, RTNETLINK_SCAN_INCOMPLETE);
    rig.now += 5001 * MS;
    dump_all(&rig);
}

static void test_no_answer(void **state)
{
    (void)state;
    struct rig rig = rig_new();
    char buffer[RTNETLINK_REQUEST_SIZE] __attribute__((aligned(4)));
    take(&rig, RTNETLINK_STEP_BEGIN);
    ask(&rig, buffer);
    rig.now += 10000 * MS;
    assert_int_equal(step(&rig), RTNETLINK_STEP_NONE);
    rig.now += MS;
    take_note(&rig, RTNETLINK_STEP_END, RTNETLINK_SCAN_INCOMPLETE);
    /* it took 10 s, so the next one has to wait for longer than the usual 5 s */
    rig.now += 5000 * MS;
    take_note(&rig, RTNETLINK_STEP_WANTED, RTNETLINK_SCAN_WANTED);
    rig.now += 500000 * MS;
    dump_all(&rig);
}

static void test_overrun(void **state)
{
    (void)state;
    struct rig rig = idle_rig();
    rtnetlink_scan_overrun(&rig.scan);
    dump_all(&rig);
    rig.now += MS;
    change(&rig, RTM_DELADDR, 0);
    rtnetlink_scan_overrun(&rig.scan);
    dump_all(&rig);
    look_again(&rig);
}

static void look_at_link(struct rig *rig, uint32_t flags, uint32_t changed)
{
    const struct ifinfomsg link = {.ifi_index = 3, .ifi_flags = flags, .ifi_change = changed};
    look(rig, RTM_NEWLINK, 0, 0, 0, &link, sizeof(link));
}

static void test_silent_ends(void **state)
{
    (void)state;
    struct rig rig = idle_rig();
    change(&rig, RTM_NEWADDR, 0);
    change(&rig, RTM_NEWNEXTHOP, 0);
    change(&rig, RTM_NEWROUTE, NLM_F_EXCL | NLM_F_CREATE);
    change(&rig, RTM_NEWROUTE, NLM_F_APPEND | NLM_F_CREATE);
    look_at_link(&rig, 0, UINT32_MAX); /* it is new */
    look_at_link(&rig, 0, 0);
    look_at_link(&rig, IFF_UP, IFF_UP);
    assert_int_equal(step(&rig), RTNETLINK_STEP_NONE);
    static const uint16_t types[] = {RTM_DELROUTE, RTM_DELLINK, RTM_DELADDR, RTM_DELNEXTHOP,
                                     RTM_NEWROUTE};
    for (size_t i = 0; i < 6; i++) {
        if (i < 5)
            change(&rig, types[i], i == 4 ? NLM_F_REPLACE : 0);
        else
            look_at_link(&rig, IFF_RUNNING, IFF_UP | IFF_RUNNING);
        take_note(&rig, RTNETLINK_STEP_BEGIN, RTNETLINK_SCAN_ROUTES_BEGAN);
        dump_routes(&rig);
        take_note(&rig, RTNETLINK_STEP_END, RTNETLINK_SCAN_COMPLETE);
        look_again(&rig);
    }
}

/* A dump that takes 2 ms is not repeated before 100 ms have passed, and that one is due is told. */
static void test_pause(void **state)
{
    (void)state;
    struct rig rig = idle_rig();
    change(&rig, RTM_DELLINK, 0);
    take(&rig, RTNETLINK_STEP_BEGIN);
    change(&rig, RTM_DELLINK, 0); /* while it is under way: it may have come too late for it */
    dump_routes(&rig);
    rig.now += 2 * MS;
    take(&rig, RTNETLINK_STEP_END);
    take_note(&rig, RTNETLINK_STEP_WANTED, RTNETLINK_SCAN_WANTED);
    assert_int_equal(step(&rig), RTNETLINK_STEP_NONE);
    change(&rig, RTM_DELADDR, 0);
    rig.now += 99 * MS;
    assert_int_equal(step(&rig), RTNETLINK_STEP_NONE);
    rig.now += MS;
    take_note(&rig, RTNETLINK_STEP_BEGIN, RTNETLINK_SCAN_ROUTES_BEGAN);
    dump_routes(&rig);
    take_note(&rig, RTNETLINK_STEP_END, RTNETLINK_SCAN_COMPLETE);
    look_again(&rig);
}

/* The second look of one who has many routes is far off; what is told meanwhile is wanted all the
 * same. */
static void test_second_look_that_is_far_off(void **state)
{
    (void)state;
    struct rig rig = idle_rig();
    change(&rig, RTM_DELROUTE, 0);
    take(&rig, RTNETLINK_STEP_BEGIN);
    dump_routes(&rig);
    rig.now += 2 * MS;
    take(&rig, RTNETLINK_STEP_END);
    assert_int_equal(step(&rig), RTNETLINK_STEP_NONE);
    change(&rig, RTM_DELROUTE, 0);
    take_note(&rig, RTNETLINK_STEP_WANTED, RTNETLINK_SCAN_WANTED);
    change(&rig, RTM_DELROUTE, 0);
    assert_int_equal(step(&rig), RTNETLINK_STEP_NONE);
    rig.now += 100 * MS;
    take_note(&rig, RTNETLINK_STEP_BEGIN, RTNETLINK_SCAN_ROUTES_BEGAN);
    dump_routes(&rig);
    take_note(&rig, RTNETLINK_STEP_END, RTNETLINK_SCAN_COMPLETE);
    look_again(&rig);
}

/* A full scan that was incomplete is still due when the routes have been dumped alone. */
static void test_retry_is_of_the_same_kind(void **state)
{
    (void)state;
    struct rig rig = rig_new();
    fail_all(&rig, NLMSG_DONE, NLM_F_MULTI | NLM_F_DUMP_INTR, 0);
    rig.now += MS;
    change(&rig, RTM_DELLINK, 0);
    take_note(&rig, RTNETLINK_STEP_BEGIN, RTNETLINK_SCAN_ROUTES_BEGAN);
    dump_routes(&rig);
    take_note(&rig, RTNETLINK_STEP_END, RTNETLINK_SCAN_COMPLETE);
    look_again(&rig);
    rig.now += 5000 * MS;
    dump_all(&rig);
    rig.now += 3600000 * MS;
    assert_int_equal(step(&rig), RTNETLINK_STEP_NONE);
}

/* -- the kernel -- */

struct heard {
    unsigned n_began, n_complete, n_notes, n_loopback;
    bool note_first;
};

static void hear(void *user, const struct fact *fact)
{
    struct heard *heard = user;
    if (fact->kind == FACT_NETWORK_SCAN) {
        heard->n_began += fact->network_scan.step == NETWORK_SCAN_BEGAN;
        heard->n_complete += fact->network_scan.complete;
    }
    if (fact->kind == FACT_NOTE) {
        heard->n_notes++;
        heard->note_first = heard->n_complete == 0;
        assert_true(slice_is(fact->note.mode, "on"));
    }
    heard->n_loopback += fact->kind == FACT_LINK && slice_is(fact->link.name, "lo");
}

/* Gulps are as small as they may be, so that the dumps are read in several. */
static void test_the_kernel(void **state)
{
    (void)state;
    struct source *source;
    struct decoder *decoder;
    struct counters counters = {0};
    struct error_text error = ERROR_TEXT_NULL;
    const struct source_options options = {.counters = &counters, .wake_fd = -1};
    struct heard heard = {0};
    assert_int_equal(rtnetlink_source.open(&source, &options, &error), 0);
    assert_int_equal(rtnetlink_source.decoder_new(&decoder), 0);
    int r = SOURCE_MORE;
    for (unsigned n_gulps = 0; r == SOURCE_MORE; n_gulps++) {
        struct gulp *gulp = gulp_new(32768 + 256);
        struct message message;
        size_t offset = 0;
        assert_true(n_gulps < 1000);
        r = rtnetlink_source.drain(source, gulp);
        while (gulp_next(gulp, &offset, &message))
            assert_int_equal(rtnetlink_source.decode(decoder, &message, hear, &heard), 0);
        gulp_free(gulp);
    }
    assert_int_equal(r, SOURCE_DRAINED);
    assert_true(heard.n_began >= 1); /* more when somebody else removes an interface meanwhile */
    assert_true(heard.n_complete >= 1);
    assert_int_equal(heard.n_notes, 1);
    assert_true(heard.note_first);
    assert_true(heard.n_loopback >= 1);
    rtnetlink_source.stop(source);
    rtnetlink_source.decoder_free(decoder);
    assert_null(rtnetlink_source.free(source));
    assert_null(rtnetlink_source.free(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_after_the_other),
        cmocka_unit_test(test_answers_of_others),
        cmocka_unit_test(test_interrupted_dump_is_repeated),
        cmocka_unit_test(test_always_interrupted),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_no_answer),
        cmocka_unit_test(test_overrun),
        cmocka_unit_test(test_silent_ends),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_second_look_that_is_far_off),
        cmocka_unit_test(test_retry_is_of_the_same_kind),
        cmocka_unit_test(test_the_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
