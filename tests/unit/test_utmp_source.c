// links: vestige_utmp
/* The source itself, on a utmp file of this test: what it reads when. */
#include "source_test.h"

#include "collectors/utmp/utmp_message.h"
#include "collectors/utmp/utmp_source.h"
#include "core/file_state.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>

#include <cmocka.h>

#define MS INT64_C(1000000)

struct world {
    char directory[32], utmp[64], wtmp[64], btmp[64];
    struct source *source;
    struct gulp *gulp;
    int pid; /* in the record that was read last */
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct error_text error;
    assert_non_null(w);
    strcpy(w->directory, "/tmp/test_utmp.XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->utmp, sizeof(w->utmp), "%s/utmp", w->directory);
    snprintf(w->wtmp, sizeof(w->wtmp), "%s/wtmp", w->directory);
    snprintf(w->btmp, sizeof(w->btmp), "%s/btmp", w->directory);
    w->gulp = gulp_new(1 << 16);
    assert_non_null(w->gulp);
    const struct source_options options = {
        .wake_fd = -1, .utmp_path = w->utmp, .wtmp_path = w->wtmp, .btmp_path = w->btmp};
    assert_int_equal(utmp_source_ops.open(&w->source, &options, &error), 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    utmp_source_ops.stop(w->source);
    utmp_source_ops.free(w->source);
    gulp_free(w->gulp);
    unlink(w->utmp);
    rmdir(w->directory);
    free(w);
    return 0;
}

static void take_fact(void *user, const struct fact *fact)
{
    struct world *w = user;
    if (fact->kind == FACT_LOGIN_RECORD)
        w->pid = (int)fact->login_record.pid;
}

/* Have it look, and take what it has read. */
static void look(struct world *w)
{
    source_wait_until_read(w->source, utmp_source_request, utmp_source_read_until);
    source_drain_all(&utmp_source_ops, w->source, w->gulp, take_fact, w);
}

/* A store in a page that is mapped, and was stored to already, changes no time: as a write of which
 * the time is set and the bytes are not there yet. */
static void what_comes_within_a_tick_is_read(void **state)
{
    struct world *w = *state;
    bool is_early = false;
    for (int i = 0; i < 100 && !is_early; i++) {
        struct stat before, after;
        int fd = open(w->utmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_int_equal(ftruncate(fd, sizeof(struct utmp)), 0);
        struct utmp *record =
            mmap(NULL, sizeof(*record), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_ptr_not_equal(record, MAP_FAILED);
        record->ut_type = USER_PROCESS;
        strcpy(record->ut_line, "pts/70");
        strcpy(record->ut_user, "vbob");
        record->ut_pid = 2 * i + 1;
        assert_int_equal(fstat(fd, &before), 0);
        look(w);
        /* Else this thread stood still, and nothing can be said. */
        is_early = !file_state_is_lasting(&before, file_state_clock_ns(), INT64_MAX / 2);
        if (is_early)
            assert_int_equal(w->pid, 2 * i + 1);
        record->ut_pid = 2 * i + 2;
        assert_int_equal(fstat(fd, &after), 0);
        is_early &= file_state_equal(&before, &after);
        look(w);
        if (is_early)
            assert_int_equal(w->pid, 2 * i + 2);
        munmap(record, sizeof(*record));
        close(fd);
    }
    assert_true(is_early);
}

static void times_of_a_moment_ago_say_nothing(void **state)
{
    (void)state;
    const struct stat status = {
        .st_ctim = {.tv_sec = 1780000000, .tv_nsec = 5}
    };
    const int64_t changed = INT64_C(1780000000) * 1000000000 + 5;
    assert_false(file_state_is_lasting(&status, changed, changed));
    assert_false(file_state_is_lasting(&status, changed + 20 * MS, changed + 30 * MS));
    assert_true(file_state_is_lasting(&status, changed + 21 * MS, changed + 30 * MS));
    /* Whoever looks stood still before he looked. */
    assert_false(file_state_is_lasting(&status, changed - 500 * MS, changed));
    assert_false(file_state_is_lasting(&status, changed - 500 * MS, changed - 20 * MS));
    /* Of another clock. */
    assert_true(file_state_is_lasting(&status, changed - 500 * MS, changed - 21 * MS));
    const struct stat far = {.st_ctim = {.tv_sec = INT64_MAX / 2}};
    assert_true(file_state_is_lasting(&far, changed, changed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_comes_within_a_tick_is_read, setup, teardown),
        cmocka_unit_test(times_of_a_moment_ago_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
