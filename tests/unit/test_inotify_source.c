// links: vestige_inotify
/* The source itself, on a tree of this test: what it has told when it is stopped. */
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

enum { STORM_FILES = 3000 }; /* 12000 events: more than its queue holds, and the kernel's does */

struct world {
    char directory[32], tree[64], path[96], elsewhere[96];
    struct source *source;
    struct gulp *gulp;
    unsigned n_created, n_gone, n_overruns, n_notes, n_looks;
};

static void take_fact(void *user, const struct fact *fact)
{
    struct world *w = user;
    w->n_overruns += fact->kind == FACT_OVERRUN;
    w->n_notes += fact->kind == FACT_NOTE;
    w->n_looks += fact->kind == FACT_FILE_SCAN && fact->file_scan.begin;
    if (fact->kind != FACT_FILE || !slice_is(fact->file.path, w->path))
        return;
    w->n_created += (fact->file.events & FILE_CREATED) != 0;
    w->n_gone += (fact->file.events & FILE_RENAMED) && slice_is_null(fact->file.new_path);
}

static void drain(struct world *w)
{
    int r;
    do {
        struct message message;
        size_t offset = 0;
        w->gulp->used = 0;
        r = inotify_source_ops.drain(w->source, w->gulp);
        assert_true(r >= 0);
        while (gulp_next(w->gulp, &offset, &message))
            assert_int_equal(inotify_decode(NULL, &message, take_fact, w), 0);
    } while (r == SOURCE_MORE);
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
    snprintf(w->tree, sizeof(w->tree), "%s/tree", w->directory);
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

static void what_happened_before_the_stop_is_told(void **state)
{
    struct world *w = *state;
    start(w, w->tree);
    make_file(w);
    inotify_source_ops.stop(w->source);
    drain(w);
    assert_int_equal(w->n_created, 1);
    assert_int_equal(w->n_overruns, 0);
}

static void what_is_new_in_a_new_directory_is_told(void **state)
{
    struct world *w = *state;
    char new[128];
    start(w, w->tree);
    snprintf(new, sizeof(new), "%s/new", w->tree);
    snprintf(w->path, sizeof(w->path), "%s/new/file", w->tree);
    assert_int_equal(mkdir(new, 0700), 0);
    make_file(w);
    inotify_source_ops.stop(w->source);
    drain(w);
    unlink(w->path);
    rmdir(new);
    assert_int_equal(w->n_created, 1);
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
    assert_int_equal(w->n_gone, 1);
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
    assert_in_range(w->n_created, 1, STORM_FILES - 1);
    assert_true(w->n_overruns > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_happened_before_the_stop_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_new_in_a_new_directory_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_moved_away_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(what_finds_no_room_at_the_stop_is_told_to_be_lost, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
