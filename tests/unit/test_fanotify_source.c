// links: vestige_fanotify
/* The source itself, on a directory of this test: what it has told when it is stopped. */
#include "source_test.h"

#include "collectors/fanotify/fanotify_source.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { LONG = 250, STORM_FILES = 4000 }; /* with a long path: more than its queue holds */

struct world {
    char directory[32], pattern[40], places[3][4 * LONG], path[5 * LONG];
    struct source *source; /* NULL: fanotify is not permitted, or not there */
    struct gulp *gulp;
    unsigned n_created, n_overruns;
};

static void append_long(char *to, const char *place)
{
    size_t length = strlen(strcpy(to, place));
    to[length] = '/';
    memset(to + length + 1, 'x', LONG - 1);
    to[length + LONG] = '\0';
}

static void make_places(struct world *w)
{
    for (int i = 0; i < 3; i++) {
        append_long(w->places[i], i ? w->places[i - 1] : w->directory);
        assert_int_equal(mkdir(w->places[i], 0700), 0);
    }
    append_long(w->path, w->places[2]);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct error_text error;
    assert_non_null(w);
    strcpy(w->directory, "/tmp/test_fanotify.XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->pattern, sizeof(w->pattern), "%s/*", w->directory);
    make_places(w);
    w->gulp = gulp_new(64 << 10);
    assert_non_null(w->gulp);
    const struct source_options options = {.wake_fd = -1, .files_include = w->pattern};
    if (fanotify_source_ops.open(&w->source, &options, &error) < 0)
        w->source = NULL;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    if (w->source)
        fanotify_source_ops.free(w->source);
    gulp_free(w->gulp);
    unlink(w->path);
    for (int i = 3; i > 0; i--)
        rmdir(w->places[i - 1]);
    rmdir(w->directory);
    free(w);
    return 0;
}

static void wait_until_read(struct world *w)
{
    source_wait_until_read(w->source, fanotify_source_request, fanotify_source_read_until);
}

/* By a child: the source tells nothing of its own process. */
static void make_files(const struct world *w, int n_times)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < n_times; i++) {
            unlink(w->path);
            close(open(w->path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600));
        }
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void take_fact(void *user, const struct fact *fact)
{
    struct world *w = user;
    w->n_overruns += fact->kind == FACT_OVERRUN;
    w->n_created += fact->kind == FACT_FILE && (fact->file.events & FILE_CREATED) &&
                    slice_is(fact->file.path, w->path);
}

static void drain(struct world *w)
{
    source_drain_all(&fanotify_source_ops, w->source, w->gulp, take_fact, w);
}

/* Something is lost only when the thread cannot run for half a second, and told then. */
static void assert_told(const struct world *w)
{
    assert_in_range(w->n_created, w->n_overruns ? 0 : 1, 1);
}

static void what_happened_before_the_stop_is_told(void **state)
{
    struct world *w = *state;
    if (!w->source)
        skip();
    wait_until_read(w);
    make_files(w, 1);
    fanotify_source_ops.stop(w->source);
    drain(w);
    assert_told(w);
}

/* Nobody drains while it is being stopped. */
static void what_finds_no_room_at_the_stop_is_told_to_be_lost(void **state)
{
    struct world *w = *state;
    if (!w->source)
        skip();
    wait_until_read(w);
    make_files(w, STORM_FILES);
    fanotify_source_ops.stop(w->source);
    drain(w);
    assert_in_range(w->n_created, 0, STORM_FILES - 1);
    assert_true(w->n_overruns > 0); /* others on this filesystem may fill the kernel's queue, too */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_happened_before_the_stop_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(what_finds_no_room_at_the_stop_is_told_to_be_lost, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
