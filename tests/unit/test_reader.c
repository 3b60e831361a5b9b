// links: vestige_reader
/* The reader's thread with sources that give what the test says. */
#include "core/log.h"
#include "recorder/reader/reader.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS       60000
#define GULP_BYTES    4096
#define MESSAGE_BYTES 200 /* a full gulp still has room for a mark */

/* A source with a number of messages waiting, numbered from 0. */
struct fake {
    struct source_ops ops;
    atomic_uint waiting, at_stop;
    atomic_uint n_drains, n_stops;
    atomic_int fail;
    struct fake *cause; /* gets a message whenever this one gives one */
    uint32_t next;
};

static int fake_drain(struct source *source, struct gulp *gulp)
{
    struct fake *fake = (struct fake *)source;
    uint8_t bytes[MESSAGE_BYTES] = {0};
    atomic_fetch_add(&fake->n_drains, 1);
    if (atomic_load(&fake->fail))
        return atomic_load(&fake->fail);
    while (atomic_load(&fake->waiting)) {
        memcpy(bytes, &fake->next, sizeof(fake->next));
        if (gulp_add(gulp, fake->ops.id, MESSAGE_DATA, 1, slice_of(bytes, sizeof(bytes))) < 0)
            return SOURCE_MORE;
        fake->next++;
        atomic_fetch_sub(&fake->waiting, 1);
        if (fake->cause)
            atomic_fetch_add(&fake->cause->waiting, 1);
    }
    return SOURCE_DRAINED;
}

static void fake_stop(struct source *source)
{
    struct fake *fake = (struct fake *)source;
    atomic_fetch_add(&fake->n_stops, 1);
    atomic_fetch_add(&fake->waiting, atomic_load(&fake->at_stop));
}

struct rig {
    struct fake connector, audit;
    struct reader_source sources[2];
    struct gulp_queue *queue;
    struct reader *reader;
    int wake_fd;
};

static struct fake fake_of(enum source_id id)
{
    return (struct fake){
        .ops = {.id = id, .drain = fake_drain, .stop = fake_stop}
    };
}

static void rig_start(struct rig *rig, unsigned interval_ms, size_t n_gulps)
{
    struct error_text error = ERROR_TEXT_NULL;
    rig->sources[0] = (struct reader_source){&rig->connector.ops, (struct source *)&rig->connector};
    rig->sources[1] = (struct reader_source){&rig->audit.ops, (struct source *)&rig->audit};
    rig->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_true(rig->wake_fd >= 0);
    assert_int_equal(gulp_queue_new(&rig->queue, n_gulps * GULP_BYTES, GULP_BYTES), 0);
    const struct reader_options options = {.sources = rig->sources,
                                           .n_sources = 2,
                                           .interval_ms = interval_ms,
                                           .queue = rig->queue,
                                           .wake_fd = rig->wake_fd};
    assert_int_equal(reader_start(&rig->reader, &options, &error), 0);
}

static struct rig rig_of(void)
{
    return (struct rig){.connector = fake_of(SOURCE_CONNECTOR), .audit = fake_of(SOURCE_AUDIT)};
}

static void rig_end(struct rig *rig)
{
    gulp_queue_free(rig->queue);
    close(rig->wake_fd);
}

/* What came out of the queue until a mark, or its end. */
struct seen {
    uint32_t next[SOURCE_N]; /* number of the next message of each source */
    uint64_t mark;
    bool closed, caught_up_last, mark_was_last;
    unsigned n_notes, n_gulps, n_empty;
    unsigned n_audit_before_connector; /* in one chain; see test_connector_comes_first */
};

static void see_message(struct seen *seen, const struct message *message)
{
    seen->mark_was_last = message->kind == MESSAGE_MARK;
    if (message->kind == MESSAGE_MARK) {
        memcpy(&seen->mark, message->bytes.data, sizeof(seen->mark));
        return;
    }
    if (message->kind == MESSAGE_NOTE) {
        seen->n_notes++;
        return;
    }
    uint32_t number;
    assert_int_equal(message->bytes.length, MESSAGE_BYTES);
    memcpy(&number, message->bytes.data, sizeof(number));
    assert_int_equal(number, seen->next[message->source]);
    seen->next[message->source]++;
    if (message->source == SOURCE_CONNECTOR && seen->next[SOURCE_AUDIT])
        seen->n_audit_before_connector++;
}

static void see_gulp(struct rig *rig, struct seen *seen, unsigned timeout_ms)
{
    struct gulp *gulp;
    struct message message;
    size_t offset = 0;
    int r = gulp_queue_take(rig->queue, &gulp, timeout_ms);
    assert_int_not_equal(r, GULP_QUEUE_TIMEOUT);
    seen->closed = r == GULP_QUEUE_CLOSED;
    if (seen->closed)
        return;
    seen->n_gulps++;
    seen->n_empty += gulp->used == 0;
    seen->caught_up_last = gulp->caught_up;
    assert_true(gulp->boot_ns > 0);
    while (gulp_next(gulp, &offset, &message))
        see_message(seen, &message);
    gulp_queue_give_back(rig->queue, gulp);
}

static void see_until_mark(struct rig *rig, struct seen *seen, uint64_t token)
{
    while (seen->mark != token)
        see_gulp(rig, seen, WAIT_MS);
}

static void *stop_reader(void *user)
{
    return reader_stop(user);
}

static void see_end(struct rig *rig, struct seen *seen)
{
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, stop_reader, rig->reader), 0);
    while (!seen->closed)
        see_gulp(rig, seen, WAIT_MS);
    pthread_join(stopper, NULL);
}

static void test_connector_comes_first(void **state)
{
    (void)state;
    struct rig rig = rig_of();
    struct seen seen = {.mark = 0};
    atomic_store(&rig.connector.waiting, 100); /* several gulps */
    atomic_store(&rig.audit.waiting, 150);
    rig_start(&rig, 1000, 64);
    assert_int_equal(reader_mark(rig.reader, 9), 0);
    see_until_mark(&rig, &seen, 9);
    assert_int_equal(seen.next[SOURCE_CONNECTOR], 100);
    assert_int_equal(seen.next[SOURCE_AUDIT], 150);
    assert_int_equal(seen.n_audit_before_connector, 0);
    assert_true(seen.mark_was_last);
    assert_true(seen.caught_up_last);
    see_end(&rig, &seen);
    rig_end(&rig);
}

/* What the connector gets while the others are read is of the same round: it is read last. */
static void test_connector_is_read_last(void **state)
{
    (void)state;
    struct rig rig = rig_of();
    struct seen seen = {.mark = 0};
    rig.audit.cause = &rig.connector;
    atomic_store(&rig.audit.waiting, 20);
    rig_start(&rig, 1000, 64);
    while (seen.next[SOURCE_AUDIT] < 20)
        see_gulp(&rig, &seen, WAIT_MS);
    assert_int_equal(seen.next[SOURCE_CONNECTOR], 20);
    assert_int_equal(seen.n_audit_before_connector, 0);
    see_end(&rig, &seen);
    rig_end(&rig);
}

/* A mark waits until the sources have given all they had, however many rounds it takes. */
static void test_mark_waits_for_the_last_message(void **state)
{
    (void)state;
    struct rig rig = rig_of();
    struct seen seen = {.mark = 0};
    rig_start(&rig, 1, 4);
    see_gulp(&rig, &seen, WAIT_MS); /* the first round has nothing */
    atomic_store(&rig.audit.waiting, 1000);
    assert_int_equal(reader_mark(rig.reader, 9), 0);
    see_until_mark(&rig, &seen, 9);
    assert_int_equal(seen.next[SOURCE_AUDIT], 1000);
    assert_true(seen.mark_was_last);
    see_end(&rig, &seen);
    rig_end(&rig);
}

/* Four gulps of 18 messages: the connector alone needs more. The order must hold, nothing is lost.
 */
static void test_little_memory(void **state)
{
    (void)state;
    struct rig rig = rig_of();
    struct seen seen = {.mark = 0};
    atomic_store(&rig.connector.waiting, 1000);
    atomic_store(&rig.audit.waiting, 30);
    rig_start(&rig, 1, 4);
    assert_int_equal(reader_mark(rig.reader, 9), 0);
    see_until_mark(&rig, &seen, 9);
    assert_int_equal(seen.next[SOURCE_CONNECTOR], 1000);
    assert_int_equal(seen.next[SOURCE_AUDIT], 30);
    assert_int_equal(seen.n_audit_before_connector, 0);
    see_end(&rig, &seen);
    rig_end(&rig);
}

static void wait_for_drains(struct fake *fake, unsigned n)
{
    for (unsigned ms = 0; atomic_load(&fake->n_drains) < n; ms++) {
        assert_true(ms < WAIT_MS);
        usleep(1000);
    }
}

/* While nobody takes, what is in the queue is bounded and the rest stays where it is. */
static void test_full_queue_leaves_messages_in_the_sources(void **state)
{
    (void)state;
    struct rig rig = rig_of();
    struct seen seen = {.mark = 0};
    atomic_store(&rig.audit.waiting, 1000);
    rig_start(&rig, 1, 8);
    wait_for_drains(&rig.audit, 7);
    assert_in_range(gulp_queue_bytes(rig.queue), 1, 8 * GULP_BYTES);
    assert_in_range(atomic_load(&rig.audit.waiting), 700, 1000);
    see_end(&rig, &seen);
    assert_int_equal(seen.next[SOURCE_AUDIT], 1000);
    rig_end(&rig);
}

static void test_idle_gulps_carry_the_clock(void **state)
{
    (void)state;
    struct rig rig = rig_of();
    struct seen seen = {.mark = 0};
    uint64_t before = clock_boot_ns();
    rig_start(&rig, 1, 8);
    while (seen.n_gulps < 3)
        see_gulp(&rig, &seen, WAIT_MS);
    uint64_t took = clock_boot_ns() - before;
    assert_int_equal(seen.n_empty, 3);
    assert_true(seen.caught_up_last);
    assert_true(took > 150000000); /* the first at once, then one in 100 ms */
    assert_true(atomic_load(&rig.audit.n_drains) > 3);
    see_end(&rig, &seen);
    rig_end(&rig);
}

static void test_stop_drains_what_the_sources_still_have(void **state)
{
    (void)state;
    struct rig rig = rig_of();
    struct seen seen = {.mark = 0};
    atomic_store(&rig.connector.at_stop, 5);
    atomic_store(&rig.audit.at_stop, 200);
    rig_start(&rig, 1000, 8);
    see_end(&rig, &seen);
    assert_int_equal(seen.next[SOURCE_CONNECTOR], 5);
    assert_int_equal(seen.next[SOURCE_AUDIT], 200);
    assert_int_equal(atomic_load(&rig.connector.n_stops), 1);
    assert_int_equal(atomic_load(&rig.audit.n_stops), 1);
    assert_true(seen.caught_up_last);
    rig_end(&rig);
}

static void swallow(void *user, enum log_level level, const char *subsystem, const char *text)
{
    (void)subsystem;
    (void)text;
    atomic_uint *n_errors = user;
    if (level == LOG_LEVEL_ERROR)
        atomic_fetch_add(n_errors, 1);
}

static void test_broken_source_is_noted_once(void **state)
{
    (void)state;
    struct rig rig = rig_of();
    struct seen seen = {.mark = 0};
    atomic_uint n_errors = 0;
    log_register(swallow, &n_errors);
    atomic_store(&rig.audit.fail, -EBADF);
    atomic_store(&rig.connector.waiting, 3);
    rig_start(&rig, 1, 8);
    for (uint64_t token = 1; token <= 3; token++) {
        assert_int_equal(reader_mark(rig.reader, token), 0);
        see_until_mark(&rig, &seen, token);
    }
    see_end(&rig, &seen);
    assert_int_equal(seen.n_notes, 1);
    assert_int_equal(seen.next[SOURCE_CONNECTOR], 3);
    assert_int_equal(atomic_load(&rig.audit.n_drains), 1);
    assert_int_equal(atomic_load(&n_errors), 1);
    log_register(NULL, NULL);
    rig_end(&rig);
}

static void test_marks_are_bounded(void **state)
{
    (void)state;
    struct rig rig = rig_of();
    struct seen seen = {.mark = 0};
    rig_start(&rig, 1000, 4);
    struct gulp *taken[4]; /* no room: marks must wait */
    size_t n_taken = 0;
    for (unsigned ms = 0; n_taken < 4; ms++) {
        assert_true(ms < WAIT_MS);
        struct gulp *gulp = gulp_queue_get(rig.queue);
        if (!gulp && gulp_queue_take(rig.queue, &gulp, 1) != GULP_QUEUE_GULP)
            continue;
        taken[n_taken++] = gulp;
    }
    for (uint64_t token = 1; token <= 64; token++)
        assert_int_equal(reader_mark(rig.reader, token), 0);
    assert_int_equal(reader_mark(rig.reader, 65), -EBUSY);
    while (n_taken)
        gulp_queue_give_back(rig.queue, taken[--n_taken]);
    uint64_t one = 1;
    assert_int_equal(write(rig.wake_fd, &one, sizeof(one)), sizeof(one));
    see_until_mark(&rig, &seen, 64);
    assert_int_equal(reader_mark(rig.reader, 65), 0);
    see_until_mark(&rig, &seen, 65);
    see_end(&rig, &seen);
    rig_end(&rig);
}

static void test_options_are_checked(void **state)
{
    (void)state;
    struct error_text error = ERROR_TEXT_NULL;
    struct reader *reader = NULL;
    assert_int_equal(reader_start(&reader, &(struct reader_options){.interval_ms = 1001}, &error),
                     -EINVAL);
    assert_int_equal(reader_start(&reader,
                                  &(struct reader_options){.n_sources = READER_SOURCES_MOST + 1},
                                  &error),
                     -EINVAL);
    assert_null(reader_stop(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connector_comes_first),
        cmocka_unit_test(test_connector_is_read_last),
        cmocka_unit_test(test_mark_waits_for_the_last_message),
        cmocka_unit_test(test_little_memory),
        cmocka_unit_test(test_full_queue_leaves_messages_in_the_sources),
        cmocka_unit_test(test_idle_gulps_carry_the_clock),
        cmocka_unit_test(test_stop_drains_what_the_sources_still_have),
        cmocka_unit_test(test_broken_source_is_noted_once),
        cmocka_unit_test(test_marks_are_bounded),
        cmocka_unit_test(test_options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
