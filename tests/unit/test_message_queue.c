// links: vestige_thread
/* The queue between a source's thread and the reader. */
#include "collectors/thread/message_queue.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

static size_t keep_four(struct slice message)
{
    return message.length < 4 ? message.length : 4;
}

struct fixture {
    struct message_queue *queue;
    struct counters counters;
    struct gulp *gulp;
};

static void begin(struct fixture *f, size_t capacity, size_t gulp_bytes, int wake_fd)
{
    *f = (struct fixture){.gulp = gulp_new(gulp_bytes)};
    struct message_queue_options options = {.source = SOURCE_PROC,
                                            .capacity = capacity,
                                            .wake_fd = wake_fd,
                                            .counters = &f->counters,
                                            .shorten = keep_four};
    assert_non_null(f->gulp);
    assert_int_equal(message_queue_new(&f->queue, &options), 0);
}

static void end(struct fixture *f)
{
    message_queue_free(f->queue);
    gulp_free(f->gulp);
}

static void put(struct fixture *f, uint64_t boot_ns, const char *text)
{
    assert_int_equal(message_queue_put(f->queue, MESSAGE_DATA, boot_ns, slice_text(text)), 0);
}

static void expect(const struct gulp *gulp, size_t *offset, uint64_t boot_ns, const char *text)
{
    struct message message;
    assert_true(gulp_next(gulp, offset, &message));
    assert_int_equal(message.source, SOURCE_PROC);
    assert_int_equal(message.boot_ns, boot_ns);
    assert_int_equal(message.bytes.length, strlen(text));
    assert_memory_equal(message.bytes.data, text, strlen(text));
}

static void test_order_over_several_gulps(void **state)
{
    (void)state;
    struct fixture f;
    struct message message;
    size_t offset = 0;
    begin(&f, 1024, 56, -1); /* the gulp has room for two messages */
    put(&f, 1, "one");
    put(&f, 2, "two");
    put(&f, 3, "three");
    assert_false(message_queue_drain(f.queue, f.gulp));
    expect(f.gulp, &offset, 1, "one");
    expect(f.gulp, &offset, 2, "two");
    assert_false(gulp_next(f.gulp, &offset, &message));
    f.gulp->used = offset = 0;
    assert_true(message_queue_drain(f.queue, f.gulp));
    expect(f.gulp, &offset, 3, "three");
    assert_int_equal(counter_get(&f.counters, COUNTER_MESSAGES_RECEIVED), 3);
    assert_int_equal(counter_get(&f.counters, COUNTER_BYTES_RECEIVED), 11);
    end(&f);
}

static void test_what_fits_nowhere(void **state)
{
    (void)state;
    struct fixture f;
    size_t offset = 0;
    begin(&f, 64, 56, -1);
    char large[501];
    memset(large, 'x', 500);
    large[500] = '\0';
    put(&f, 1, large); /* larger than the queue, which is empty */
    assert_true(message_queue_drain(f.queue, f.gulp));
    expect(f.gulp, &offset, 1, "xxxx");
    put(&f, 2, "next");
    assert_true(message_queue_drain(f.queue, f.gulp));
    expect(f.gulp, &offset, 2, "next");
    gulp_free(f.gulp);
    f.gulp = gulp_new(16); /* not even four bytes */
    assert_non_null(f.gulp);
    put(&f, 3, "last");
    assert_true(message_queue_drain(f.queue, f.gulp));
    assert_int_equal(f.gulp->used, 0);
    assert_int_equal(counter_get(&f.counters, COUNTER_MESSAGES_MALFORMED), 1);
    end(&f);
}

struct producer {
    struct fixture *fixture;
    unsigned n;
    int result;
};

static void *produce(void *user)
{
    struct producer *producer = user;
    for (uint64_t i = 0; i < producer->n && producer->result == 0; i++)
        producer->result =
            message_queue_put(producer->fixture->queue, MESSAGE_DATA, i, slice_of(&i, sizeof(i)));
    return NULL;
}

static void test_producer_waits_and_nothing_is_lost(void **state)
{
    (void)state;
    struct fixture f;
    int wake = eventfd(0, EFD_CLOEXEC);
    pthread_t thread;
    uint64_t expected = 0, count;
    begin(&f, 256, 4096, wake);
    struct producer producer = {&f, 10000, 0};
    assert_int_equal(pthread_create(&thread, NULL, produce, &producer), 0);
    while (expected < producer.n) {
        struct message message;
        size_t offset = 0;
        f.gulp->used = 0;
        if (expected < producer.n - 64) /* it fills the queue, and says so */
            assert_int_equal(read(wake, &count, sizeof(count)), sizeof(count));
        message_queue_drain(f.queue, f.gulp);
        for (; gulp_next(f.gulp, &offset, &message); expected++)
            assert_int_equal(message.boot_ns, expected);
    }
    pthread_join(thread, NULL);
    assert_int_equal(producer.result, 0);
    close(wake);
    end(&f);
}

static void test_close_frees_the_producer(void **state)
{
    (void)state;
    struct fixture f;
    int wake = eventfd(0, EFD_CLOEXEC);
    pthread_t thread;
    uint64_t count;
    begin(&f, 256, 4096, wake);
    struct producer producer = {&f, 10000, 0};
    assert_int_equal(pthread_create(&thread, NULL, produce, &producer), 0);
    assert_int_equal(read(wake, &count, sizeof(count)), sizeof(count)); /* it waits now */
    message_queue_close(f.queue);
    pthread_join(thread, NULL);
    assert_int_equal(producer.result, -ECANCELED);
    assert_true(message_queue_drain(f.queue, f.gulp)); /* what was there is still there */
    assert_true(counter_get(&f.counters, COUNTER_MESSAGES_RECEIVED) > 0);
    close(wake);
    end(&f);
}

static void test_what_is_lost_after_the_close_is_told(void **state)
{
    (void)state;
    struct fixture f = {.gulp = gulp_new(32)}; /* one message */
    struct message_queue_options options = {
        .source = SOURCE_PROC, .capacity = 1024, .wake_fd = -1, .counters = &f.counters};
    struct message message;
    size_t offset = 0;
    assert_non_null(f.gulp);
    assert_int_equal(message_queue_new(&f.queue, &options), 0);
    put(&f, 1, "one");
    message_queue_close(f.queue);
    assert_int_equal(message_queue_put(f.queue, MESSAGE_DATA, 2, slice_text("two")), -ECANCELED);
    message_queue_lost(f.queue);
    assert_false(message_queue_drain(f.queue, f.gulp));
    expect(f.gulp, &offset, 1, "one");
    f.gulp->used = offset = 0;
    assert_true(message_queue_drain(f.queue, f.gulp));
    assert_true(gulp_next(f.gulp, &offset, &message));
    assert_int_equal(message.kind, MESSAGE_OVERRUN);
    f.gulp->used = 0;
    assert_true(message_queue_drain(f.queue, f.gulp));
    assert_int_equal(f.gulp->used, 0);
    assert_int_equal(counter_get(&f.counters, COUNTER_RECEIVE_OVERRUNS), 1);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_over_several_gulps),
        cmocka_unit_test(test_what_fits_nowhere),
        cmocka_unit_test(test_producer_waits_and_nothing_is_lost),
        cmocka_unit_test(test_close_frees_the_producer),
        cmocka_unit_test(test_what_is_lost_after_the_close_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
