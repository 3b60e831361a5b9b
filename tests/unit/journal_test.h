#pragma once
/* What the tests of the journal share: a directory of their own, lines, a clock that stands, and
 * waiting for a batch to be sealed. */
#include "core/log.h"
#include "recorder/journal/batch_reader.h"
#include "recorder/journal/journal.h"
#include "recorder/journal/journal_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define TEST_BOOT  "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
#define TEST_HOST  7
#define TEST_TIME  UINT64_C(1700000000000000)
#define WAIT_LIMIT 60 /* seconds: far above what anything here takes */

struct journal_test {
    char directory[64];
    struct journal *journal;
    struct row_sink sink;
    struct counters counters;
    struct journal_options options;
    struct journal_recovery recovery;
    struct line line;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t sealed, n_sealed;
    _Atomic uint64_t now_us;
};

static inline uint64_t journal_test_now(void *user)
{
    return ((struct journal_test *)user)->now_us;
}

static inline void journal_test_sealed(void *user, uint64_t batch)
{
    struct journal_test *test = user;
    pthread_mutex_lock(&test->lock);
    test->sealed = batch;
    test->n_sealed++;
    pthread_cond_broadcast(&test->changed);
    pthread_mutex_unlock(&test->lock);
}

static inline void journal_test_wait_sealed(struct journal_test *test, uint64_t batch)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_LIMIT;
    pthread_mutex_lock(&test->lock);
    int result = 0;
    while (test->sealed < batch && result == 0)
        result = pthread_cond_timedwait(&test->changed, &test->lock, &until);
    pthread_mutex_unlock(&test->lock);
    assert_int_equal(result, 0);
}

/* Wait until @p condition holds; for what has no event of its own. */
#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        time_t limit_ = time(NULL) + WAIT_LIMIT;                                                   \
        while (!(condition)) {                                                                     \
            assert_true(time(NULL) < limit_);                                                      \
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);                               \
        }                                                                                          \
    } while (0)

static inline void journal_test_quiet(void *user, enum log_level level, const char *subsystem,
                                      const char *text)
{
    (void)level;
    (void)subsystem;
    snprintf(user, 512, "%s", text);
}

static char journal_test_log[512];

static inline int journal_test_setup(void **state)
{
    struct journal_test *test = calloc(1, sizeof(*test));
    /* memory: a test opens journals a thousand times, each with some fsync */
    snprintf(test->directory, sizeof(test->directory), "%s/vestige-journal-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(test->directory));
    pthread_mutex_init(&test->lock, NULL);
    pthread_cond_init(&test->changed, NULL);
    test->now_us = TEST_TIME;
    test->options = (struct journal_options){
        .directory = test->directory,
        .host_id = TEST_HOST,
        .boot_id = TEST_BOOT,
        .limit_bytes = UINT64_C(1) << 30,
        .seal_after_ms = 3600 * 1000,
        .counters = &test->counters,
        .now_us = journal_test_now,
        .now_user = test,
        .sealed = journal_test_sealed,
        .sealed_user = test,
    };
    journal_test_log[0] = 0;
    log_register(journal_test_quiet, journal_test_log);
    *state = test;
    return 0;
}

static inline void journal_test_open(struct journal_test *test)
{
    struct error_text error = ERROR_TEXT_NULL;
    int result = journal_open(&test->journal, &test->options, &test->recovery, &error);
    if (result)
        print_error("%s\n", error.text);
    assert_int_equal(result, 0);
    test->sink = journal_sink(test->journal);
}

static inline void journal_test_close(struct journal_test *test)
{
    test->journal = journal_free(test->journal);
}

static inline void journal_test_remove(const char *directory)
{
    DIR *stream = opendir(directory);
    const struct dirent *entry;
    char path[512];
    while (stream && (entry = readdir(stream))) {
        snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        unlink(path);
    }
    if (stream)
        closedir(stream);
    rmdir(directory);
}

static inline int journal_test_teardown(void **state)
{
    struct journal_test *test = *state;
    journal_test_close(test);
    line_deinit(&test->line);
    journal_test_remove(test->directory);
    pthread_mutex_destroy(&test->lock);
    pthread_cond_destroy(&test->changed);
    free(test);
    return 0;
}

/* A line whose values are "v0", "v1" ..., with @p text as its first; a process has no previous_id
 * (it is a birth) unless its id is even. */
static inline void make_line(struct line *line, enum verb verb, enum table_id table, uint64_t id,
                             struct slice text)
{
    line_begin(line, verb, table, id);
    line_text(line, text);
    while (line->n_values < line->n_expected) {
        char word[24];
        snprintf(word, sizeof(word), "v%zu", line->n_values);
        if (verb == VERB_INSERT && table == TABLE_PROCESS &&
            line->n_values == PROCESS_PREVIOUS_ID && id % 2)
            line_null(line);
        else
            line_word(line, word);
    }
    assert_int_equal(line_finish(line), 0);
}

static inline int journal_test_append(struct journal_test *test, enum verb verb,
                                      enum table_id table, uint64_t id, const char *text)
{
    make_line(&test->line, verb, table, id, slice_text(text));
    return test->sink.append(test->sink.user, &test->line);
}

/* An insert of a process: a birth when the id is odd. */
static inline void journal_test_insert(struct journal_test *test, uint64_t id)
{
    assert_int_equal(journal_test_append(test, VERB_INSERT, TABLE_PROCESS, id, "text"), 0);
}

static inline void journal_test_mark(struct journal_test *test, const char *cursors)
{
    test->sink.mark(test->sink.user, slice_text(cursors));
}

static inline uint64_t journal_test_seal(struct journal_test *test)
{
    uint64_t batch = journal_seal_request(test->journal);
    journal_test_wait_sealed(test, batch);
    return batch;
}

static inline void file_path(const struct journal_test *test, enum journal_file file,
                             uint64_t batch, char path[256])
{
    char name[JOURNAL_NAME_SIZE];
    journal_file_name(name, file, batch);
    snprintf(path, 256, "%s/%s", test->directory, name);
}

static inline bool file_exists(const struct journal_test *test, enum journal_file file,
                               uint64_t batch)
{
    char path[256];
    file_path(test, file, batch, path);
    return access(path, F_OK) == 0;
}

static inline struct buffer file_read(const char *path)
{
    struct buffer bytes = BUFFER_NULL;
    FILE *stream = fopen(path, "rbe");
    assert_non_null(stream);
    for (;;) {
        uint8_t *room = buffer_reserve(&bytes, 65536);
        assert_non_null(room);
        size_t n = fread(room, 1, 65536, stream);
        if (n == 0)
            break;
        bytes.length += n;
    }
    fclose(stream);
    return bytes;
}

static inline void file_write(const char *path, struct slice bytes)
{
    FILE *stream = fopen(path, "wbe");
    assert_non_null(stream);
    assert_int_equal(fwrite(bytes.data, 1, bytes.length, stream), bytes.length);
    assert_int_equal(fclose(stream), 0);
}

/* Opens a batch that must be whole. */
static inline struct batch_reader *batch_open(const struct journal_test *test,
                                              enum journal_file file, uint64_t batch)
{
    char path[256];
    struct error_text error = ERROR_TEXT_NULL;
    struct batch_reader *reader = NULL;
    file_path(test, file, batch, path);
    int result = batch_reader_open(&reader, path, &error);
    if (!result)
        result = batch_reader_check(reader, NULL, &error);
    if (result)
        print_error("%s\n", error.text);
    assert_int_equal(result, 0);
    return reader;
}

/* Number of lines that the whole journal has, sealed and shipped batches; each is checked, and the
 * chain of the hashes too. */
static inline size_t journal_test_count(const struct journal_test *test, uint64_t first,
                                        uint64_t last)
{
    uint8_t hash[BATCH_HASH_SIZE] = {0};
    size_t n = 0;
    for (uint64_t batch = first; batch <= last; batch++) {
        bool shipped = !file_exists(test, JOURNAL_FILE_SEALED, batch);
        struct batch_reader *reader =
            batch_open(test, shipped ? JOURNAL_FILE_SHIPPED : JOURNAL_FILE_SEALED, batch);
        const struct batch_header *header = batch_reader_header(reader);
        assert_int_equal(header->batch, batch);
        if (batch > first)
            assert_memory_equal(header->previous_hash, hash, sizeof(hash));
        memcpy(hash, header->hash, sizeof(hash));
        n += header->n_lines;
        batch_reader_free(reader);
    }
    return n;
}
