// links: vestige_journal
/* All threads at once: one appends and marks, one ships, one asks and requests seals. Run under the
 * thread sanitizer it finds races; here it finds lost, doubled and disordered lines. */
#include "journal_test.h"

enum { N_LINES = 20000 };

struct shipping {
    struct journal_test *test;
    atomic_bool stop;
    uint64_t n_lines, next_id;
};

static void ship_batch(struct shipping *shipping, uint64_t batch)
{
    struct batch_reader *reader;
    struct batch_line line;
    char path[4096];
    journal_batch_path(shipping->test->journal, batch, path);
    assert_int_equal(batch_reader_open(&reader, path, NULL), 0);
    assert_int_equal(batch_reader_check(reader, NULL, NULL), 0);
    while (batch_reader_next(reader, &line, NULL) == BATCH_READER_LINE) {
        assert_int_equal(line.id, shipping->next_id);
        shipping->next_id++;
        shipping->n_lines++;
    }
    batch_reader_free(reader);
    assert_int_equal(journal_shipped(shipping->test->journal, batch), 0);
}

static void *ship(void *user)
{
    struct shipping *shipping = user;
    while (!shipping->stop || journal_next_to_ship(shipping->test->journal)) {
        uint64_t batch = journal_next_to_ship(shipping->test->journal);
        if (batch)
            ship_batch(shipping, batch);
        else
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    return NULL;
}

static void *ask(void *user)
{
    struct shipping *shipping = user;
    struct journal_status status;
    uint64_t former = 0;
    while (!shipping->stop) {
        uint64_t batch = journal_seal_request(shipping->test->journal);
        assert_true(batch >= former);
        former = batch;
        journal_get_status(shipping->test->journal, &status);
        assert_string_equal(status.error, "");
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return NULL;
}

static void append_all(struct journal_test *test)
{
    char cursors[32];
    for (uint64_t i = 0; i < N_LINES; i++) {
        int result;
        while ((result = journal_test_append(test, VERB_INSERT, TABLE_GAP, i, "x")) != 0)
            assert_int_equal(result, -ENOBUFS);
        if (i % 100 == 0) {
            snprintf(cursors, sizeof(cursors), "n=%" PRIu64, i);
            journal_test_mark(test, cursors);
        }
        if (i % 5000 == 4999) {
            journal_checkpoint(test->journal, true);
            journal_test_insert(test, i);
            journal_checkpoint(test->journal, false);
        }
    }
}

static void test_all_threads(void **state)
{
    struct journal_test *test = *state;
    struct shipping shipping = {.test = test};
    pthread_t shipper, asker;
    test->options.seal_after_ms = 20;
    test->options.buffer_bytes = 256 * 1024;
    journal_test_open(test);
    pthread_create(&shipper, NULL, ship, &shipping);
    pthread_create(&asker, NULL, ask, &shipping);
    append_all(test);
    journal_test_seal(test);
    shipping.stop = true;
    pthread_join(shipper, NULL);
    pthread_join(asker, NULL);
    assert_int_equal(shipping.n_lines, N_LINES);
    journal_test_close(test);
    test->sealed = 0;
    journal_test_open(test);
    assert_string_equal(test->recovery.cursors, "n=19900");
    assert_false(test->recovery.crashed);
    assert_int_equal(journal_next_to_ship(test->journal), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_threads, journal_test_setup,
                                        journal_test_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
