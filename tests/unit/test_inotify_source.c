// links: vestige_inotify
/* The source itself, on a tree of this test: what it has told when it is asked, and when
 * it is stopped. */
#include "source_test.h"

#include "collectors/inotify/inotify_message.h"
#include "collectors/inotify/inotify_source.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { STORM_FILES = 500 }; /* with a long path: more than its queue holds */

struct world {
    char directory[32], tree[288], path[320], elsewhere[96];
    struct source *source;
    struct gulp *gulp;
    unsigned n_created, n_gone, n_overruns, n_notes, n_looks, n_told;
};

static void take_fact(void *user, const struct fact *fact)
{
    struct world *w = user;
    w->n_overruns += fact->kind == FACT_OVERRUN;
    w->n_notes += fact->kind == FACT_NOTE;
    w->n_looks += fact->kind == FACT_FILE_SCAN && fact->file_scan.begin;
    w->n_told += fact->kind == FACT_FILE && (fact->file.events & FILE_CREATED);
    if (fact->kind != FACT_FILE || !slice_is(fact->file.path, w->path))
        return;
    w->n_created += (fact->file.events & FILE_CREATED) != 0;
    w->n_gone += (fact->file.events & FILE_RENAMED) && slice_is_null(fact->file.new_path);
}

static void drain(struct world *w)
{
    source_drain_all(&inotify_source_ops, w->source, w->gulp, take_fact, w);
}

static void pause_ms(unsigned ms)
{
    nanosleep(&(struct timespec){0, ms * 1000000L}, NULL);
}

/* Until the tree is watched, and the first look is over. */
static void start(struct world *w, const char *trees)
{
    struct error_text error;
    const struct source_options options = {.wake_fd = -1, .files_trees = trees};
    assert_int_equal(inotify_source_ops.open(&w->source, &options, &error), 0);
    for (int i = 0; i < 60000 && w->n_notes == 0; i++) {
        pause_ms(1);
        drain(w);
    }
    assert_int_equal(w->n_notes, 1);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    strcpy(w->directory, "/tmp/test_inotify.XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->tree, sizeof(w->tree), "%s/%0250d", w->directory, 0);
    snprintf(w->path, sizeof(w->path), "%s/file", w->tree);
    snprintf(w->elsewhere, sizeof(w->elsewhere), "%s/elsewhere", w->directory);
    assert_int_equal(mkdir(w->tree, 0700), 0);
    w->gulp = gulp_new(64 << 10);
    assert_non_null(w->gulp);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    inotify_source_ops.free(w->source);
    gulp_free(w->gulp);
    unlink(w->path);
    unlink(w->elsewhere);
    rmdir(w->tree);
    rmdir(w->directory);
    free(w);
    return 0;
}

static void make_file(const struct world *w)
{
    int fd = open(w->path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

/* Something is lost only when the thread cannot run for half a second, and told then. */
static void assert_told(const struct world *w, unsigned n)
{
    assert_in_range(n, w->n_overruns ? 0 : 1, 1);
}

static void what_happened_before_the_stop_is_told(void **state)
{
    struct world *w = *state;
    start(w, w->tree);
    make_file(w);
    inotify_source_ops.stop(w->source);
    drain(w);
    assert_told(w, w->n_created);
}

static void what_is_new_in_a_new_directory_is_told(void **state)
{
    struct world *w = *state;
    char new[320];
    start(w, w->tree);
    snprintf(new, sizeof(new), "%s/new", w->tree);
    snprintf(w->path, sizeof(w->path), "%s/new/file", w->tree);
    assert_int_equal(mkdir(new, 0700), 0);
    make_file(w);
    inotify_source_ops.stop(w->source);
    drain(w);
    unlink(w->path);
    rmdir(new);
    assert_told(w, w->n_created);
}

static void move_away(struct world *w)
{
    start(w, w->tree);
    make_file(w);
    pause_ms(20);
    assert_int_equal(rename(w->path, w->elsewhere), 0);
}

/* The source waits for the other half of a move. */
static void what_was_moved_away_is_told(void **state)
{
    struct world *w = *state;
    move_away(w);
    pause_ms(20);
    inotify_source_ops.stop(w->source);
    drain(w);
    assert_told(w, w->n_gone);
}

/* Nobody drains while it is being stopped. */
static void what_finds_no_room_at_the_stop_is_told_to_be_lost(void **state)
{
    struct world *w = *state;
    start(w, w->tree);
    for (int i = 0; i < STORM_FILES; i++) {
        unlink(w->path);
        make_file(w);
    }
    inotify_source_ops.stop(w->source);
    drain(w);
    assert_in_range(w->n_created, 0, STORM_FILES - 1);
    assert_true(w->n_overruns > 0);
}

/* Returns whether all was told within the time. */
static bool has_told(struct world *w, unsigned most_ms)
{
    uint64_t asked_ns = clock_boot_ns();
    inotify_source_request(w->source);
    for (unsigned i = 0; i < most_ms && inotify_source_read_until(w->source) < asked_ns; i++) {
        pause_ms(1);
        drain(w);
    }
    bool told = inotify_source_read_until(w->source) >= asked_ns;
    drain(w);
    return told;
}

static void what_happened_is_told_at_a_request(void **state)
{
    struct world *w = *state;
    start(w, w->tree);
    make_file(w);
    assert_true(has_told(w, 60000));
    assert_int_equal(w->n_created, 1);
    assert_int_equal(w->n_looks, 1);
}

static void a_request_waits_for_moves(void **state)
{
    struct world *w = *state;
    move_away(w);
    assert_true(has_told(w, 60000));
    assert_int_equal(w->n_gone, 1);
}

static void name_pair(const struct world *w, int i, char outer[320], char inner[320])
{
    snprintf(outer, 320, "%s/%d", w->tree, i);
    snprintf(inner, 320, "%s/%d/inner", w->tree, i);
}

/* What is in a new directory may be found only by listing it. */
static void a_request_waits_for_lists(void **state)
{
    struct world *w = *state;
    enum { PAIRS = 600 };
    char outer[320], inner[320];
    start(w, w->tree);
    for (int i = 0; i < PAIRS; i++) {
        name_pair(w, i, outer, inner);
        assert_int_equal(mkdir(outer, 0700), 0);
        assert_int_equal(mkdir(inner, 0700), 0);
    }
    assert_true(has_told(w, 60000));
    unsigned n_told = w->n_told;
    for (int i = 0; i < PAIRS; i++) {
        name_pair(w, i, outer, inner);
        assert_int_equal(rmdir(inner), 0);
        assert_int_equal(rmdir(outer), 0);
    }
    assert_int_equal(n_told, 2 * PAIRS);
}

static void without_trees_nothing_waits(void **state)
{
    struct world *w = *state;
    start(w, NULL);
    assert_int_equal(inotify_source_read_until(w->source), UINT64_MAX);
}

static void a_look_comes_when_it_is_asked_for(void **state)
{
    struct world *w = *state;
    start(w, w->tree);
    inotify_source_scan(w->source);
    for (int i = 0; i < 60000 && w->n_looks < 2; i++) {
        pause_ms(1);
        drain(w);
    }
    assert_int_equal(w->n_looks, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_happened_before_the_stop_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_new_in_a_new_directory_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_moved_away_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(what_finds_no_room_at_the_stop_is_told_to_be_lost, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_happened_is_told_at_a_request, setup, teardown),
        cmocka_unit_test_setup_teardown(a_request_waits_for_moves, setup, teardown),
        cmocka_unit_test_setup_teardown(a_request_waits_for_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(without_trees_nothing_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(a_look_comes_when_it_is_asked_for, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
