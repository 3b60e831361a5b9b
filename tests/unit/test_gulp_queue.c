// links: vestige_reader
/* The queue of gulps: order, its bound, and that memory falls again. */
#include "recorder/reader/gulp_queue.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define GULP_BYTES 4096

static struct gulp_queue *queue_of(size_t n_gulps)
{
    struct gulp_queue *queue;
    assert_int_equal(gulp_queue_new(&queue, n_gulps * GULP_BYTES, GULP_BYTES), 0);
    return queue;
}

static struct gulp *get_filled(struct gulp_queue *queue, uint64_t number)
{
    struct gulp *gulp = gulp_queue_get(queue);
    assert_non_null(gulp);
    assert_int_equal(gulp->used, 0);
    assert_null(gulp->next);
    assert_int_equal(gulp_add(gulp, SOURCE_AGENT, MESSAGE_MARK, 0, slice_of(&number, 8)), 0);
    return gulp;
}

static uint64_t number_of(const struct gulp *gulp)
{
    struct message message;
    size_t offset = 0;
    uint64_t number;
    assert_true(gulp_next(gulp, &offset, &message));
    memcpy(&number, message.bytes.data, sizeof(number));
    return number;
}

static void assert_next(struct gulp_queue *queue, uint64_t number)
{
    struct gulp *gulp;
    assert_int_equal(gulp_queue_take(queue, &gulp, 0), GULP_QUEUE_GULP);
    assert_int_equal(number_of(gulp), number);
    assert_null(gulp->next);
    gulp_queue_give_back(queue, gulp);
}

static void test_order_of_chains(void **state)
{
    (void)state;
    struct gulp_queue *queue = queue_of(8);
    struct gulp *none, *chain = get_filled(queue, 1);
    chain->next = get_filled(queue, 2);
    gulp_queue_put(queue, chain);
    gulp_queue_put(queue, get_filled(queue, 3));
    gulp_queue_put(queue, NULL);
    for (uint64_t number = 1; number <= 3; number++)
        assert_next(queue, number);
    assert_int_equal(gulp_queue_take(queue, &none, 1), GULP_QUEUE_TIMEOUT);
    gulp_queue_put(queue, get_filled(queue, 4));
    gulp_queue_close(queue);
    assert_next(queue, 4); /* closed only when all were taken */
    assert_int_equal(gulp_queue_take(queue, &none, 1000), GULP_QUEUE_CLOSED);
    gulp_queue_free(queue);
}

static void test_bound(void **state)
{
    (void)state;
    struct gulp_queue *queue = queue_of(20);
    struct gulp *gulps[20];
    for (size_t i = 0; i < 20; i++)
        gulps[i] = get_filled(queue, i);
    assert_null(gulp_queue_get(queue));
    assert_int_equal(gulp_queue_bytes(queue), 20 * GULP_BYTES);
    gulp_queue_give_back(queue, gulps[0]);
    gulps[0] = get_filled(queue, 0);
    assert_null(gulp_queue_get(queue));
    for (size_t i = 0; i < 20; i++)
        gulp_queue_give_back(queue, gulps[i]);
    assert_in_range(gulp_queue_bytes(queue), 1, 8 * GULP_BYTES);
    gulp_queue_free(queue);
}

#define PASSED 20000

static void *produce(void *user)
{
    struct gulp_queue *queue = user;
    for (uint64_t number = 0; number < PASSED;) {
        struct gulp *gulp = gulp_queue_get(queue);
        if (!gulp)
            continue; /* the consumer has them */
        if (gulp_add(gulp, SOURCE_AGENT, MESSAGE_MARK, 0, slice_of(&number, 8)) < 0)
            break;
        gulp_queue_put(queue, gulp);
        number++;
    }
    gulp_queue_close(queue);
    return NULL;
}

static void test_two_threads(void **state)
{
    (void)state;
    struct gulp_queue *queue = queue_of(4);
    pthread_t producer;
    struct gulp *gulp;
    uint64_t expected = 0;
    assert_int_equal(pthread_create(&producer, NULL, produce, queue), 0);
    while (gulp_queue_take(queue, &gulp, 60000) == GULP_QUEUE_GULP) {
        assert_int_equal(number_of(gulp), expected);
        expected++;
        gulp_queue_give_back(queue, gulp);
    }
    pthread_join(producer, NULL);
    assert_int_equal(expected, PASSED);
    gulp_queue_free(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_chains),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_two_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
