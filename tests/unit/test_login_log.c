// links: vestige_utmp
/* Files of login records that grow, are torn, rotated, truncated and replaced, and what the decoder
 * makes of the messages. */
#include "collectors/utmp/login_log.h"
#include "collectors/utmp/record_memory.h"
#include "core/cleanup.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

struct world {
    char directory[32], path[64], other[64];
    struct login_log_handlers handlers;
    struct login_log *log;
    struct login_cursor cursor; /* of what was read last */
    struct buffer told;         /* pids of records, "o" behind old ones; words for events */
};

static int on_records(void *user, enum login_file file, uint64_t inode, uint64_t begin, bool old,
                      struct slice records)
{
    struct world *w = user;
    assert_int_equal(file, LOGIN_FILE_WTMP);
    assert_int_equal(records.length % UTMP_RECORD_SIZE, 0);
    for (size_t at = 0; at < records.length; at += UTMP_RECORD_SIZE) {
        struct utmp record;
        memcpy(&record, records.data + at, sizeof(record));
        buffer_printf(&w->told, "%d%s ", record.ut_pid, old ? "o" : "");
    }
    w->cursor.inode = inode;
    w->cursor.offset = begin + records.length;
    w->cursor.last =
        record_digest(slice_of(records.data + records.length - UTMP_RECORD_SIZE, UTMP_RECORD_SIZE));
    if (begin == 0)
        w->cursor.first = record_digest(slice_of(records.data, UTMP_RECORD_SIZE));
    return 0;
}

static int on_event(void *user, const struct fact_login_log *event)
{
    static const char *const words[LOGIN_LOG_EVENT_N] = {
        [LOGIN_LOG_CAUGHT_UP] = "caught-up ",
        [LOGIN_LOG_SHRANK] = "shrank ",
        [LOGIN_LOG_ROTATED] = "rotated ",
        [LOGIN_LOG_REPLACED] = "replaced ",
    };
    struct world *w = user;
    bool other = event->event == LOGIN_LOG_ROTATED || event->event == LOGIN_LOG_REPLACED;
    bool gone = other && event->now == 0;
    assert_int_equal(event->inode, other ? event->now : event->inode);
    if (gone)
        w->cursor = (struct login_cursor){.inode = 0};
    if (!gone)
        buffer_append_text(&w->told, words[event->event]);
    else
        buffer_append_text(&w->told, event->event == LOGIN_LOG_ROTATED ? "rotated-away " : "gone ");
    return 0;
}

static int on_missing(void *user, enum login_file file)
{
    (void)file;
    buffer_append_text(&((struct world *)user)->told, "missing ");
    return 0;
}

static void open_log(struct world *w)
{
    const struct login_log_options options = {
        .file = LOGIN_FILE_WTMP, .path = w->path, .cursor = w->cursor, .handlers = &w->handlers};
    login_log_free(w->log);
    assert_int_equal(login_log_new(&w->log, &options), 0);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    snprintf(w->directory, sizeof(w->directory), "/tmp/test-login-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->path, sizeof(w->path), "%s/wtmp", w->directory);
    snprintf(w->other, sizeof(w->other), "%s/wtmp.1", w->directory);
    w->handlers = (struct login_log_handlers){
        .records = on_records, .event = on_event, .missing = on_missing, .user = w};
    open_log(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    login_log_free(w->log);
    unlink(w->path);
    unlink(w->other);
    rmdir(w->directory);
    buffer_deinit(&w->told);
    free(w);
    return 0;
}

static void write_bytes(const char *path, const void *bytes, size_t length)
{
    int fd AUTO_CLOSE = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), length);
}

static struct utmp record_of(int pid)
{
    struct utmp record = {.ut_type = USER_PROCESS, .ut_pid = pid};
    return record;
}

static void append(const char *path, int pid)
{
    struct utmp record = record_of(pid);
    write_bytes(path, &record, sizeof(record));
}

static void expect(struct world *w, const char *expected)
{
    assert_int_equal(login_log_look(w->log), 0);
    buffer_append_byte(&w->told, '\0');
    assert_string_equal((const char *)w->told.data, expected);
    buffer_clear(&w->told);
}

static void test_absent_then_there(void **state)
{
    struct world *w = *state;
    expect(w, "caught-up ");
    assert_false(login_log_there(w->log));
    append(w->path, 1);
    expect(w, "1 ");
    assert_true(login_log_there(w->log));
    expect(w, "");
}

static void test_torn(void **state)
{
    struct world *w = *state;
    struct utmp record = record_of(2);
    append(w->path, 1);
    write_bytes(w->path, &record, 100);
    expect(w, "1o caught-up ");
    expect(w, "");
    write_bytes(w->path, (uint8_t *)&record + 100, sizeof(record) - 100);
    expect(w, "2 ");
}

static void test_rotated(void **state)
{
    struct world *w = *state;
    append(w->path, 1);
    expect(w, "1o caught-up ");
    append(w->path, 2);
    assert_int_equal(rename(w->path, w->other), 0);
    append(w->other, 3);
    expect(w, "2 3 ");
    append(w->other, 4);
    append(w->path, 5);
    expect(w, "4 rotated 5 ");
}

static void test_shrank(void **state)
{
    struct world *w = *state;
    for (int pid = 1; pid <= 200; pid++)
        append(w->path, pid);
    assert_int_equal(login_log_look(w->log), 0);
    buffer_clear(&w->told);
    assert_int_equal(truncate(w->path, 150 * UTMP_RECORD_SIZE), 0);
    append(w->path, 201);
    expect(w, "shrank 201 ");
    assert_int_equal(truncate(w->path, 0), 0);
    expect(w, "shrank ");
    append(w->path, 202);
    append(w->path, 202); /* twice there, twice told: it is known only from before */
    expect(w, "202 ");
    append(w->path, 203);
    expect(w, "203 ");
}

static void test_replaced(void **state)
{
    struct world *w = *state;
    append(w->path, 1);
    append(w->path, 2);
    expect(w, "1o 2o caught-up ");
    append(w->other, 2);
    append(w->other, 3);
    assert_int_equal(rename(w->other, w->path), 0);
    expect(w, "replaced 3 ");
}

static void test_restart(void **state)
{
    struct world *w = *state;
    append(w->path, 1);
    append(w->path, 2);
    expect(w, "1o 2o caught-up ");
    append(w->path, 3);
    open_log(w);
    expect(w, "3o caught-up ");
    append(w->path, 4);
    assert_int_equal(rename(w->path, w->other), 0);
    append(w->path, 5);
    open_log(w);
    expect(w, "4o rotated 5o caught-up ");
    assert_int_equal(truncate(w->path, 0), 0);
    append(w->path, 6);
    append(w->path, 5);
    append(w->path, 7);
    open_log(w);
    expect(w, "shrank 6o 5o 7o caught-up "); /* it is longer again than what was read */
}

static void test_cut_while_nobody_looked(void **state)
{
    struct world *w = *state;
    for (int pid = 1; pid <= 3; pid++)
        append(w->path, pid);
    expect(w, "1o 2o 3o caught-up ");
    assert_int_equal(truncate(w->path, 2 * UTMP_RECORD_SIZE), 0);
    open_log(w);
    expect(w, "shrank caught-up ");
    append(w->path, 4);
    expect(w, "4 ");
    assert_int_equal(truncate(w->path, 0), 0);
    append(w->path, 5);
    open_log(w);
    expect(w, "shrank 5o caught-up ");
}

/* Cut and grown again between two looks. */
static void test_written_anew(void **state)
{
    struct world *w = *state;
    append(w->path, 1);
    append(w->path, 2);
    expect(w, "1o 2o caught-up ");
    assert_int_equal(truncate(w->path, 0), 0);
    for (int pid = 3; pid <= 6; pid++)
        append(w->path, pid);
    expect(w, "shrank 3 4 5 6 ");
}

/* As long again as what was read, with other records. */
static void test_written_anew_to_the_same_size(void **state)
{
    struct world *w = *state;
    append(w->path, 1);
    append(w->path, 2);
    expect(w, "1o 2o caught-up ");
    assert_int_equal(truncate(w->path, 0), 0);
    append(w->path, 3);
    append(w->path, 4);
    expect(w, "shrank 3 4 ");
    expect(w, "");
    assert_int_equal(truncate(w->path, 0), 0);
    append(w->path, 5);
    append(w->path, 6);
    open_log(w);
    expect(w, "shrank 5o 6o caught-up ");
}

static void test_removed(void **state)
{
    struct world *w = *state;
    append(w->path, 1);
    append(w->path, 2);
    expect(w, "1o 2o caught-up ");
    assert_true(login_log_there(w->log));
    append(w->path, 3);
    assert_int_equal(unlink(w->path), 0);
    expect(w, "3 gone ");
    assert_false(login_log_there(w->log));
    expect(w, "");
    append(w->path, 2); /* a part of it, put back */
    append(w->path, 4);
    expect(w, "4 ");
    assert_true(login_log_there(w->log));
}

/* Renamed, and nothing in its place; then the old one goes, too. */
static void test_rotated_away(void **state)
{
    struct world *w = *state;
    append(w->path, 1);
    expect(w, "1o caught-up ");
    assert_int_equal(rename(w->path, w->other), 0);
    expect(w, "");
    append(w->other, 2);
    assert_int_equal(unlink(w->other), 0);
    expect(w, "2 rotated-away ");
    expect(w, "");
}

static void test_removed_while_nobody_looked(void **state)
{
    struct world *w = *state;
    append(w->path, 1);
    expect(w, "1o caught-up ");
    login_log_free(w->log);
    w->log = NULL;
    append(w->path, 2);
    assert_int_equal(rename(w->path, w->other), 0);
    open_log(w);
    expect(w, "2o caught-up ");
    login_log_free(w->log);
    w->log = NULL;
    assert_int_equal(unlink(w->other), 0);
    open_log(w);
    expect(w, "gone missing caught-up ");
    expect(w, "");
}

/* Another thing in its place takes no records. */
static void test_replaced_by_no_file(void **state)
{
    struct world *w = *state;
    append(w->path, 1);
    expect(w, "1o caught-up ");
    assert_int_equal(unlink(w->path), 0);
    assert_int_equal(symlink("/dev/null", w->path), 0);
    expect(w, "gone ");
    assert_false(login_log_there(w->log));
}

static void test_gone_while_nobody_looked(void **state)
{
    struct world *w = *state;
    append(w->path, 1);
    expect(w, "1o caught-up ");
    append(w->other, 2);
    login_log_free(w->log);
    w->log = NULL;
    assert_int_equal(rename(w->other, w->path), 0);
    open_log(w);
    expect(w, "replaced missing 2o caught-up ");
}

static void test_no_regular_file(void **state)
{
    struct world *w = *state;
    assert_int_equal(mkfifo(w->path, 0600), 0);
    expect(w, "caught-up ");
    assert_false(login_log_there(w->log));
}

static void test_memory(void **state)
{
    struct record_memory *memory;
    (void)state;
    assert_int_equal(record_memory_new(&memory), 0);
    for (uint32_t i = 0; i < 100000; i++) {
        struct slice record = slice_of(&i, sizeof(i));
        assert_false(record_memory_has(memory, record));
        record_memory_add(memory, record);
    }
    for (uint32_t i = 100000 - 32768; i < 100000; i++)
        assert_true(record_memory_has(memory, slice_of(&i, sizeof(i))));
    uint32_t first = 0;
    assert_false(record_memory_has(memory, slice_of(&first, sizeof(first))));
    record_memory_free(memory);
}

/* -- messages -- */

static void copy_record(void *user, const struct fact *fact)
{
    struct buffer *told = user;
    if (fact->kind == FACT_LOGIN_LOG) {
        buffer_printf(told, "event %d;", fact->login_log.event);
        return;
    }
    const struct fact_login_record *record = &fact->login_record;
    buffer_printf(told, "%u %u ", record->type, record->pid);
    buffer_append_slice(told, record->line);
    buffer_append_byte(told, ' ');
    buffer_append_slice(told, record->user);
    buffer_printf(told, " %zu %u %lld %llu;", record->host.length, record->address.family,
                  (long long)record->real_us, (unsigned long long)record->end);
}

static int decode(struct slice bytes, const char *expected)
{
    struct buffer told CLEANUP(buffer_deinit) = BUFFER_NULL;
    uint8_t *exact = malloc(bytes.length + 1);
    memcpy(exact, bytes.data, bytes.length);
    const struct message message = {
        .source = SOURCE_UTMP, .kind = MESSAGE_DATA, .bytes = slice_of(exact, bytes.length)};
    int r = utmp_decode(NULL, &message, copy_record, &told);
    buffer_append_byte(&told, '\0');
    assert_string_equal((const char *)told.data, expected);
    free(exact);
    return r;
}

static void test_messages(void **state)
{
    struct buffer bytes CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct utmp records[2] = {
        {.ut_type = USER_PROCESS, .ut_pid = 7, .ut_line = "pts/0", .ut_addr_v6 = {1}},
        {.ut_type = -1,                       .ut_pid = -5,                      .ut_addr_v6 = {0, 0, 0, 1}     },
    };
    const struct utmp_message_header header = {.file = LOGIN_FILE_WTMP, .before = 384};
    (void)state;
    memset(records[0].ut_user, 'u', sizeof(records[0].ut_user));
    memset(records[0].ut_host, 'h', sizeof(records[0].ut_host));
    records[0].ut_tv.tv_sec = 2;
    records[0].ut_tv.tv_usec = 3;
    utmp_message_append_records(&bytes, &header, slice_of(records, sizeof(records)));
    static const char first[] = "7 7 pts/0 uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu 256 2 2000003 768;";
    static const char both[] = "7 7 pts/0 uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu 256 2 2000003 768;"
                               "65535 0   0 10 0 1152;";
    assert_int_equal(decode(buffer_slice(&bytes), both), 0);
    assert_int_equal(decode(slice_of(bytes.data, bytes.length - 1), first), -EBADMSG);
    assert_int_equal(decode(slice_of(bytes.data, 31), ""), -EBADMSG);
    assert_int_equal(decode(slice_of(bytes.data, 0), ""), -EBADMSG);
    bytes.data[1] = LOGIN_FILE_N;
    assert_int_equal(decode(buffer_slice(&bytes), ""), -EBADMSG);
    buffer_clear(&bytes);
    const struct fact_login_log log = {.event = LOGIN_LOG_ROTATED, .file = LOGIN_FILE_BTMP};
    utmp_message_append_log(&bytes, &log);
    assert_int_equal(decode(buffer_slice(&bytes), "event 4;"), 0);
    bytes.data[0] = LOGIN_LOG_EVENT_N + 1;
    assert_int_equal(decode(buffer_slice(&bytes), ""), -EBADMSG);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_absent_then_there),
        TEST(test_torn),
        TEST(test_rotated),
        TEST(test_shrank),
        TEST(test_replaced),
        TEST(test_restart),
        TEST(test_cut_while_nobody_looked),
        TEST(test_written_anew),
        TEST(test_written_anew_to_the_same_size),
        TEST(test_removed),
        TEST(test_rotated_away),
        TEST(test_removed_while_nobody_looked),
        TEST(test_replaced_by_no_file),
        TEST(test_gone_while_nobody_looked),
        TEST(test_no_regular_file),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
