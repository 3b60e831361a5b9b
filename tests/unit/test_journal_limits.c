// links: vestige_journal
/* Full journals, full buffers, disks that refuse, and directories that are not ours. */
#include "core/cleanup.h"
#include "journal_test.h"

#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* A line whose text does not compress. */
static int append_noise(struct journal_test *test, uint64_t id)
{
    static uint64_t seed = 1;
    char text[2001];
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        text[i] = (char)('!' + (seed >> 33) % 90);
        if (text[i] == '\\')
            text[i] = 'x';
    }
    text[sizeof(text) - 1] = 0;
    return journal_test_append(test, VERB_END, TABLE_GAP, id, text);
}

/* Append until it is refused. Returns how many were taken. */
static uint64_t fill(struct journal_test *test, int expected)
{
    uint64_t n = 0;
    int result;
    while ((result = append_noise(test, n)) == 0) {
        assert_true(++n < 1000000);
        if (n % 64 == 0)
            journal_test_seal(test);
    }
    assert_int_equal(result, expected);
    return n;
}

static void test_full_and_room_again(void **state)
{
    struct journal_test *test = *state;
    struct journal_status status;
    test->options.limit_bytes = 1024 * 1024;
    journal_test_open(test);
    uint64_t n = fill(test, -ENOSPC);
    assert_true(n > 400 && n < 800);
    assert_int_equal(counter_get(&test->counters, COUNTER_LINES_REFUSED), 1);
    uint64_t last = journal_test_seal(test);
    journal_get_status(test->journal, &status);
    assert_true(status.full);
    assert_true(status.bytes <= status.limit_bytes);
    assert_int_equal(append_noise(test, 0), -ENOSPC);
    /* shipping alone frees nothing: a restart would not know what is open */
    for (uint64_t batch = 1; batch <= last; batch++)
        assert_int_equal(journal_shipped(test->journal, batch), 0);
    assert_int_equal(append_noise(test, 0), -ENOSPC);
    /* a full journal takes a checkpoint, or it would never be empty again */
    journal_checkpoint(test->journal, true);
    journal_checkpoint(test->journal, false);
    WAIT_FOR((journal_get_status(test->journal, &status), !status.full));
    assert_int_equal(append_noise(test, n), 0);
    assert_int_equal(journal_test_seal(test), last + 1);
    journal_test_close(test);
    assert_int_equal(journal_test_count(test, last, last + 1),
                     1 + counter_get(&test->counters, COUNTER_LINES_WRITTEN) - 1 - (last - 1) * 64);
}

static void test_limit_counts_what_was_there(void **state)
{
    struct journal_test *test = *state;
    struct journal_status status;
    test->options.limit_bytes = 256 * 1024;
    journal_test_open(test);
    fill(test, -ENOSPC);
    journal_test_close(test);
    journal_test_open(test);
    journal_get_status(test->journal, &status);
    assert_true(status.bytes > 128 * 1024 && status.bytes <= 256 * 1024);
    assert_true(fill(test, -ENOSPC) < 64);
}

static void test_default_limit(void **state)
{
    struct journal_test *test = *state;
    struct journal_status status;
    test->options.limit_bytes = 0;
    journal_test_open(test);
    journal_get_status(test->journal, &status);
    assert_true(status.limit_bytes > 0 && status.limit_bytes <= UINT64_C(8) << 30);
}

/* Files of this process may not grow beyond @p bytes: a write is short, the next one fails. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Nothing half written stays, lines wait in memory within the bound, and all goes on by itself. */
static void test_disk_refuses(void **state)
{
    struct journal_test *test = *state;
    struct journal_status status;
    struct rlimit former;
    char path[256];
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &former), 0);
    signal(SIGXFSZ, SIG_IGN);
    test->options.buffer_bytes = 64 * 1024;
    journal_test_open(test);
    assert_int_equal(append_noise(test, 0), 0);
    file_path(test, JOURNAL_FILE_OPEN, 1, path);
    struct stat before, after;
    WAIT_FOR(stat(path, &before) == 0 && before.st_size > 2000);
    limit_files((rlim_t)before.st_size + 1000);
    assert_int_equal(append_noise(test, 1), 0);
    WAIT_FOR((journal_get_status(test->journal, &status), status.error[0] != 0));
    assert_non_null(strstr(status.error, "cannot be written: File too large"));
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
    uint64_t n = 2;
    int result;
    while ((result = append_noise(test, n)) == 0)
        assert_true(++n < 100);
    assert_int_equal(result, -ENOSPC);
    assert_true(n > 20);
    assert_int_equal(counter_get(&test->counters, COUNTER_LINES_REFUSED), 1);
    limit_files(former.rlim_cur);
    WAIT_FOR((journal_get_status(test->journal, &status), status.error[0] == 0));
    assert_int_equal(append_noise(test, n++), 0);
    assert_int_equal(journal_test_seal(test), 1);
    assert_int_equal(journal_test_count(test, 1, 1), n);
    struct batch_reader *reader = batch_open(test, JOURNAL_FILE_SEALED, 1);
    struct batch_line line;
    for (uint64_t i = 0; i < n; i++) {
        assert_int_equal(batch_reader_next(reader, &line, NULL), BATCH_READER_LINE);
        assert_int_equal(line.id, i);
    }
    batch_reader_free(reader);
}

/* Sealing fails: the open file stays, and the seal is repeated. */
static void test_disk_refuses_the_seal(void **state)
{
    struct journal_test *test = *state;
    struct journal_status status;
    struct rlimit former;
    char path[256];
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &former), 0);
    signal(SIGXFSZ, SIG_IGN);
    journal_test_open(test);
    assert_int_equal(append_noise(test, 0), 0);
    file_path(test, JOURNAL_FILE_OPEN, 1, path);
    WAIT_FOR(access(path, F_OK) == 0);
    struct stat file;
    WAIT_FOR(stat(path, &file) == 0 && file.st_size > 2000);
    limit_files(100);
    journal_test_mark(test, "m=1");
    assert_int_equal(journal_seal_request(test->journal), 1);
    WAIT_FOR((journal_get_status(test->journal, &status), status.error[0] != 0));
    assert_true(file_exists(test, JOURNAL_FILE_OPEN, 1));
    assert_false(file_exists(test, JOURNAL_FILE_SEALED, 1));
    assert_int_equal(append_noise(test, 1), 0);
    limit_files(former.rlim_cur);
    journal_test_wait_sealed(test, 1);
    assert_int_equal(journal_test_seal(test), 2);
    assert_int_equal(journal_test_count(test, 1, 2), 2);
    journal_test_close(test);
    journal_test_open(test);
    assert_string_equal(test->recovery.cursors, "m=1");
}

/* A stop with a disk that refuses ends, and says what was lost. */
static void test_stop_with_a_disk_that_refuses(void **state)
{
    struct journal_test *test = *state;
    struct rlimit former;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &former), 0);
    signal(SIGXFSZ, SIG_IGN);
    journal_test_open(test);
    limit_files(100);
    assert_int_equal(append_noise(test, 0), 0);
    assert_int_equal(append_noise(test, 1), 0);
    journal_test_close(test);
    limit_files(former.rlim_cur);
    assert_non_null(strstr(journal_test_log, "2 lines could not be written and are lost"));
}

static void expect_open_error(struct journal_test *test, const char *directory, int error,
                              const char *words)
{
    struct error_text text = ERROR_TEXT_NULL;
    struct journal *journal = NULL;
    test->options.directory = directory;
    assert_int_equal(journal_open(&journal, &test->options, NULL, &text), error);
    assert_non_null(strstr(text.text, words));
    assert_non_null(strstr(text.text, directory));
    assert_null(strchr(text.text, '\n'));
}

/* A real full filesystem: a tmpfs of 256 KiB in a mount namespace of its own. */
static void full_tmpfs(struct journal_test *test)
{
    struct journal_status status;
    char filler[256];
    assert_int_equal(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    assert_int_equal(mount("tmpfs", test->directory, "tmpfs", 0, "size=256k,mode=700"), 0);
    test->options.buffer_bytes = 64 * 1024;
    journal_test_open(test);
    assert_int_equal(append_noise(test, 0), 0);
    assert_int_equal(journal_test_seal(test), 1);
    snprintf(filler, sizeof(filler), "%s/filler", test->directory);
    int fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    char block[4096] = {0};
    while (write(fd, block, sizeof(block)) > 0)
        continue;
    close(fd);
    uint64_t n = 1;
    int result = 0;
    /* at first the buffer may be full before the disk is found to be */
    for (time_t limit = time(NULL) + WAIT_LIMIT; result != -ENOSPC && time(NULL) < limit;) {
        result = append_noise(test, n);
        n += result == 0;
        assert_true(result == 0 || result == -ENOSPC || result == -ENOBUFS);
    }
    assert_int_equal(result, -ENOSPC);
    assert_true(n < 100);
    journal_get_status(test->journal, &status);
    assert_non_null(strstr(status.error, "No space left on device"));
    assert_int_equal(unlink(filler), 0);
    WAIT_FOR((journal_get_status(test->journal, &status), status.error[0] == 0));
    assert_int_equal(append_noise(test, n++), 0);
    assert_int_equal(journal_test_seal(test), 2);
    assert_int_equal(journal_test_count(test, 1, 2), n);
    journal_test_close(test);
    assert_int_equal(umount2(test->directory, MNT_DETACH), 0);
}

static void need_mounts(void)
{
    if (unshare(CLONE_NEWNS) == 0)
        return;
    print_message("no mount namespace here: %s\n", strerror(errno));
    skip();
}

/* The journal itself fills its filesystem. What is shipped then goes only with a checkpoint, which
 * ends the open batch and needs room itself. */
static void test_own_filesystem(void **state)
{
    struct journal_test *test = *state;
    struct journal_status status;
    need_mounts();
    assert_int_equal(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    assert_int_equal(mount("tmpfs", test->directory, "tmpfs", 0, "size=16m,mode=700"), 0);
    test->options.limit_bytes = UINT64_C(1) << 30;
    test->options.buffer_bytes = 512 * 1024;
    journal_test_open(test);
    uint64_t n = 0;
    int result;
    while ((result = append_noise(test, n)) == 0 || result == -ENOBUFS) {
        n += result == 0;
        if (n % 64 == 63)
            journal_seal_request(test->journal);
        assert_true(n < 100000);
    }
    assert_int_equal(result, -ENOSPC); /* the memory is full, too */
    journal_get_status(test->journal, &status);
    assert_false(status.full);
    assert_non_null(strstr(status.error, "cannot be written: No space left on device"));
    uint64_t first = status.first_batch;
    for (uint64_t batch; (batch = journal_next_to_ship(test->journal)) != 0;)
        assert_int_equal(journal_shipped(test->journal, batch), 0);
    journal_checkpoint(test->journal, true);
    journal_checkpoint(test->journal, false);
    WAIT_FOR(!file_exists(test, JOURNAL_FILE_SHIPPED, first));
    WAIT_FOR((journal_get_status(test->journal, &status), status.error[0] == 0));
    assert_int_equal(append_noise(test, n++), 0);
    journal_test_seal(test);
    assert_int_equal(counter_get(&test->counters, COUNTER_LINES_WRITTEN), n);
    journal_test_close(test);
    assert_int_equal(umount2(test->directory, MNT_DETACH), 0);
}

static void test_full_filesystem(void **state)
{
    struct journal_test *test = *state;
    need_mounts();
    full_tmpfs(test);
    assert_int_equal(mount("tmpfs", test->directory, "tmpfs", MS_RDONLY, "size=256k,mode=700"), 0);
    expect_open_error(test, test->directory, -EROFS, "not writable: Read-only file system");
    assert_int_equal(umount2(test->directory, MNT_DETACH), 0);
}

/* All is shipped, and kept until a checkpoint: a full journal asks for one, and then has room. */
static void test_full_of_what_is_shipped(void **state)
{
    struct journal_test *test = *state;
    test->options.limit_bytes = 256 * 1024;
    journal_test_open(test);
    uint64_t n = fill(test, -ENOSPC);
    journal_test_seal(test);
    assert_false(journal_checkpoint_due(test->journal));
    uint64_t last = 0;
    for (uint64_t batch; (batch = journal_next_to_ship(test->journal)) != 0; last = batch)
        assert_int_equal(journal_shipped(test->journal, batch), 0);
    assert_true(last > 1 && n > 100);
    assert_int_equal(append_noise(test, n), -ENOSPC);
    assert_true(journal_checkpoint_due(test->journal));
    journal_checkpoint(test->journal, true);
    journal_checkpoint(test->journal, false);
    WAIT_FOR(append_noise(test, n) == 0);
    WAIT_FOR(!journal_checkpoint_due(test->journal));
}

/* It is full when all was shipped before. */
static void test_full_behind_what_is_shipped(void **state)
{
    struct journal_test *test = *state;
    test->options.limit_bytes = 256 * 1024;
    journal_test_open(test);
    for (uint64_t n = 0; n < 2; n++) {
        append_noise(test, n);
        assert_int_equal(journal_shipped(test->journal, journal_test_seal(test)), 0);
    }
    assert_false(journal_checkpoint_due(test->journal));
    fill(test, -ENOSPC);
    WAIT_FOR(journal_checkpoint_due(test->journal));
}

static void mount_small(const char *directory, const char *options)
{
    assert_int_equal(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    assert_int_equal(mount("tmpfs", directory, "tmpfs", 0, options), 0);
}

static void fill_disk(const char *path)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    char block[4096] = {0};
    while (write(fd, block, sizeof(block)) > 0)
        continue;
}

/* Batch 1 is sealed; batch 2 has a mark and 3 births, and its run was killed. */
static void leave_crash(struct journal_test *test)
{
    char path[256];
    struct buffer bytes = BUFFER_NULL;
    journal_test_open(test);
    journal_test_insert(test, TEST_TIME + 1);
    journal_test_seal(test);
    journal_test_mark(test, "a=1");
    for (uint64_t i = 3; i < 9; i += 2)
        journal_test_insert(test, TEST_TIME + i);
    file_path(test, JOURNAL_FILE_OPEN, 2, path);
    do {
        buffer_deinit(&bytes);
        if (access(path, F_OK) == 0)
            bytes = file_read(path);
        buffer_append_byte(&bytes, 0);
    } while (!strstr((char *)bytes.data, "1700000000000007"));
    journal_test_close(test);
    file_write(path, slice_of(bytes.data, bytes.length - 1));
    buffer_deinit(&bytes);
    file_path(test, JOURNAL_FILE_SEALED, 2, path);
    assert_int_equal(unlink(path), 0);
}

static void count_line(void *user, enum verb verb, enum table_id table, uint64_t id,
                       const struct slice *values, size_t n_values)
{
    (void)verb;
    (void)table;
    (void)id;
    (void)values;
    (void)n_values;
    ++*(size_t *)user;
}

static void assert_restored(struct journal_test *test, size_t expected)
{
    struct error_text error;
    size_t n = 0;
    assert_int_equal(journal_restore(test->journal, count_line, &n, &error), 0);
    assert_int_equal(n, expected);
}

static void wait_for_disk(struct journal_test *test, bool is_full)
{
    struct journal_status status;
    WAIT_FOR((journal_get_status(test->journal, &status), (status.error[0] != 0) == is_full));
}

/* The batch of a crash waits for room, all others behind it; nothing of it is lost or there twice,
 * whether this run gets room or ends before. */
static void test_start_on_a_full_filesystem(void **state)
{
    struct journal_test *test = *state;
    char filler[256];
    need_mounts();
    mount_small(test->directory, "size=256k,mode=700");
    leave_crash(test);
    snprintf(filler, sizeof(filler), "%s/filler", test->directory);
    fill_disk(filler);
    for (int run = 0; run < 3; run++) {
        journal_test_open(test);
        assert_true(test->recovery.crashed);
        assert_string_equal(test->recovery.cursors, "a=1");
        assert_int_equal(test->recovery.births_after_mark, 3);
        assert_restored(test, 4);
        wait_for_disk(test, true);
        assert_true(file_exists(test, JOURNAL_FILE_OPEN, 2));
        assert_int_equal(journal_next_to_ship(test->journal), 1);
        journal_test_insert(test, TEST_TIME + 11);
        if (run == 2)
            assert_int_equal(unlink(filler), 0);
        else
            journal_test_close(test); /* its line is lost with it */
    }
    assert_int_equal(journal_test_seal(test), 3);
    wait_for_disk(test, false);
    journal_test_close(test);
    assert_int_equal(journal_test_count(test, 1, 3), 5);
    struct batch_reader *reader = batch_open(test, JOURNAL_FILE_SEALED, 2);
    assert_true(batch_reader_header(reader)->recovered);
    assert_int_equal(batch_reader_header(reader)->births, 3);
    batch_reader_free(reader);
    assert_false(file_exists(test, JOURNAL_FILE_OPEN, 2));
    journal_test_open(test);
    assert_restored(test, 5);
    journal_test_close(test);
    assert_int_equal(umount2(test->directory, MNT_DETACH), 0);
}

/* The end of it that could not be read is kept, as at any other start. */
static void test_damage_on_a_full_filesystem(void **state)
{
    struct journal_test *test = *state;
    char filler[256], path[256];
    need_mounts();
    mount_small(test->directory, "size=256k,mode=700");
    leave_crash(test);
    file_path(test, JOURNAL_FILE_OPEN, 2, path);
    struct buffer bytes = file_read(path);
    buffer_append_text(&bytes, "no line\n");
    file_write(path, buffer_slice(&bytes));
    buffer_deinit(&bytes);
    snprintf(filler, sizeof(filler), "%s/filler", test->directory);
    fill_disk(filler);
    journal_test_open(test);
    wait_for_disk(test, true);
    assert_int_equal(unlink(filler), 0);
    wait_for_disk(test, false);
    journal_test_close(test);
    assert_int_equal(journal_test_count(test, 1, 2), 4);
    assert_false(file_exists(test, JOURNAL_FILE_OPEN, 2));
    assert_true(file_exists(test, JOURNAL_FILE_DAMAGED, 2));
    assert_int_equal(umount2(test->directory, MNT_DETACH), 0);
}

static bool is_locked(const char *directory)
{
    AUTO_CLOSE int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

/* No inode is left for the directory, then for nothing but the directory. */
static void test_start_without_inodes(void **state)
{
    struct journal_test *test = *state;
    struct journal_status status;
    char directory[128], filler[128];
    need_mounts();
    mount_small(test->directory, "size=16m,nr_inodes=2,mode=700");
    snprintf(directory, sizeof(directory), "%s/journal", test->directory);
    snprintf(filler, sizeof(filler), "%s/filler", test->directory);
    file_write(filler, slice_text("x"));
    test->options.directory = directory;
    test->options.limit_bytes = 0;
    journal_test_open(test);
    wait_for_disk(test, true);
    journal_get_status(test->journal, &status);
    assert_int_equal(status.limit_bytes, (16u << 20) / 4096 / 10 * 4096);
    journal_test_insert(test, TEST_TIME + 1);
    assert_int_equal(unlink(filler), 0); /* room for the directory alone */
    WAIT_FOR(is_locked(directory));
    expect_open_error(test, directory, -EBUSY, "in use by another agent");
    wait_for_disk(test, true);
    assert_int_equal(mount("tmpfs", test->directory, "tmpfs", MS_REMOUNT, "nr_inodes=100"), 0);
    assert_int_equal(journal_test_seal(test), 1);
    wait_for_disk(test, false);
    journal_test_close(test);
    assert_int_equal(umount2(test->directory, MNT_DETACH), 0);
    test->options.directory = test->directory;
}

static void test_buffer_full(void **state)
{
    struct journal_test *test = *state;
    test->options.buffer_bytes = 16 * 1024;
    journal_test_open(test);
    /* the thread may take lines away meanwhile, but not a thousand times as fast as they come */
    int result = 0;
    uint64_t taken = 0;
    for (int i = 0; i < 100000 && result == 0; i++) {
        result = append_noise(test, (uint64_t)i);
        taken += result == 0;
    }
    assert_int_equal(result, -ENOBUFS);
    WAIT_FOR(append_noise(test, 1) == 0);
    uint64_t last = journal_test_seal(test);
    journal_test_close(test);
    assert_int_equal(journal_test_count(test, 1, last), taken + 1);
}

static void test_line_too_long(void **state)
{
    struct journal_test *test = *state;
    struct line line = LINE_NULL;
    journal_test_open(test);
    make_line(&line, VERB_END, TABLE_GAP, 1, slice_text("x"));
    assert_non_null(buffer_reserve(&line.text, 65u << 20));
    memset(line.text.data + line.text.length, 'x', 65u << 20);
    line.text.length += 65u << 20;
    assert_int_equal(test->sink.append(test->sink.user, &line), -EMSGSIZE);
    line_deinit(&line);
}

static void test_second_opener(void **state)
{
    struct journal_test *test = *state;
    struct error_text error = ERROR_TEXT_NULL;
    struct journal *second = NULL;
    char expected[256];
    journal_test_open(test);
    assert_int_equal(journal_open(&second, &test->options, NULL, &error), -EBUSY);
    snprintf(expected, sizeof(expected),
             "journal %s: in use by another agent (process %ld); stop it first", test->directory,
             (long)getpid());
    assert_string_equal(error.text, expected);
    journal_test_insert(test, 1);
    journal_test_close(test);
    journal_test_open(test);
}

static void test_bad_directories(void **state)
{
    struct journal_test *test = *state;
    char file[128], inside[160], missing[160];
    snprintf(file, sizeof(file), "%s/file", test->directory);
    snprintf(inside, sizeof(inside), "%s/journal", file);
    snprintf(missing, sizeof(missing), "%s/none/journal", test->directory);
    file_write(file, slice_text("x"));
    expect_open_error(test, file, -ENOTDIR, "Not a directory");
    expect_open_error(test, inside, -ENOTDIR, "cannot make the directory");
    expect_open_error(test, missing, -ENOENT, "No such file");
    assert_int_equal(chmod(test->directory, 0722), 0);
    expect_open_error(test, test->directory, -EPERM, "others may write to it (mode 0722)");
    assert_int_equal(chmod(test->directory, 0700), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(test->directory, 65534, 65534), 0);
        expect_open_error(test, test->directory, -EPERM, "belongs to uid 65534");
        assert_int_equal(chown(test->directory, 0, 0), 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, journal_test_setup, journal_test_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_full_and_room_again),
        TEST(test_limit_counts_what_was_there),
        TEST(test_default_limit),
        TEST(test_disk_refuses),
        TEST(test_disk_refuses_the_seal),
        TEST(test_stop_with_a_disk_that_refuses),
        TEST(test_buffer_full),
        TEST(test_line_too_long),
        TEST(test_second_opener),
        TEST(test_bad_directories),
        TEST(test_full_filesystem),
        TEST(test_own_filesystem),
        TEST(test_full_of_what_is_shipped),
        TEST(test_full_behind_what_is_shipped),
        TEST(test_start_on_a_full_filesystem),
        TEST(test_damage_on_a_full_filesystem),
        TEST(test_start_without_inodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
