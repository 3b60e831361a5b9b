// links: vestige_private_server
/* Programs that run under us, and the locks that outlive us. */
#include "core/cleanup.h"
#include "reports/private_server/child.h"
#include "reports/private_server/private_directory.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static struct child_options shell(const char *const argv[])
{
    return (struct child_options){.name = "shell",
                                  .path = "/bin/sh",
                                  .argv = argv,
                                  .input = -1,
                                  .output_file = -1,
                                  .error_file = -1,
                                  .inherit = -1};
}

static void test_a_failure_says_the_last_line(void **state)
{
    (void)state;
    const char *const argv[] = {"sh", "-c", "echo first; echo the reason >&2; exit 3", NULL};
    struct child_options options = shell(argv);
    struct error_text error = ERROR_TEXT_NULL;
    options.capture = true;
    assert_int_equal(child_run(&options, &error), -ECHILD);
    assert_string_equal(error.text, "shell ended with status 3: the reason");
}

static void test_success(void **state)
{
    (void)state;
    const char *const argv[] = {"sh", "-c", "test \"$EXTRA\" = more && test \"$(pwd)\" = /", NULL};
    static const char *const environment[] = {"EXTRA=more", NULL};
    struct child_options options = shell(argv);
    struct error_text error = ERROR_TEXT_NULL;
    options.environment = environment;
    options.directory = "/";
    assert_int_equal(child_run(&options, &error), 0);
}

static void test_what_cannot_be_started(void **state)
{
    (void)state;
    const char *const argv[] = {"none", NULL};
    struct child_options options = shell(argv);
    struct error_text error = ERROR_TEXT_NULL;
    struct child child;
    options.path = "/nonexistent/program";
    assert_int_equal(child_start(&child, &options, &error), -ENOENT);
    assert_non_null(strstr(error.text, "/nonexistent/program cannot be started: No such file"));
    options = shell(argv);
    options.user = "no-such-user-here";
    assert_int_equal(child_start(&child, &options, &error), -ENOENT);
}

/* It is not in our process group, so Ctrl-C at a terminal does not reach it; and our signals do. */
static void test_signals(void **state)
{
    (void)state;
    const char *const argv[] = {"sh", "-c", "exec sleep 60", NULL};
    const struct child_options options = shell(argv);
    struct error_text error = ERROR_TEXT_NULL;
    struct child child;
    char end[64];
    assert_int_equal(child_start(&child, &options, &error), 0);
    assert_int_not_equal(getpgid(child.pid), getpgid(0));
    assert_int_equal(child_wait(&child, 0), -ETIMEDOUT);
    child_signal(&child, SIGTERM);
    assert_int_equal(child_wait(&child, 60000), 0);
    assert_int_equal(child.pid, 0);
    child_describe_end(&child, end);
    assert_string_equal(end, "was killed by signal 15");
    assert_int_equal(child_wait(&child, 0), 0);
    child_signal(&child, SIGTERM); /* there is nobody: nothing happens */
    child_deinit(&child);
}

static bool lock_is_free(const char *path)
{
    AUTO_CLOSE int lock = open(path, O_RDWR | O_CLOEXEC);
    return lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0;
}

static void make_directory(char path[64])
{
    strcpy(path, "/tmp/vestige-unit-XXXXXX");
    assert_non_null(mkdtemp(path));
}

/* The lock that a child inherits is held until it ends, also when we let go before. */
static void test_an_inherited_lock(void **state)
{
    (void)state;
    char path[64], file[4096];
    make_directory(path);
    struct private_directory directory;
    struct error_text error = ERROR_TEXT_NULL;
    const char *const argv[] = {"sh", "-c", "exec sleep 60", NULL};
    struct child_options options = shell(argv);
    struct child child;
    assert_int_equal(private_directory_open(&directory, path, true, &error), 0);
    int lock = private_directory_wait_lock(&directory, "child.lock", 0);
    assert_true(lock >= 0);
    options.inherit = lock;
    assert_int_equal(child_start(&child, &options, &error), 0);
    close(lock);
    private_directory_file(&directory, "child.lock", file);
    assert_false(lock_is_free(file));
    assert_int_equal(private_directory_wait_lock(&directory, "child.lock", 100), -ETIMEDOUT);
    child_signal(&child, SIGKILL);
    assert_int_equal(child_wait(&child, 60000), 0);
    assert_true(lock_is_free(file));
    child_deinit(&child);
    private_directory_close(&directory);
    assert_int_equal(private_directory_remove(path), 0);
}

static void test_a_directory_is_used_once(void **state)
{
    (void)state;
    char path[64], expected[32];
    make_directory(path);
    struct private_directory first, second;
    struct error_text error = ERROR_TEXT_NULL;
    assert_int_equal(private_directory_open(&first, path, true, &error), 0);
    assert_int_equal(private_directory_open(&second, path, true, &error), -EBUSY);
    snprintf(expected, sizeof(expected), "(pid %d)", (int)getpid());
    assert_non_null(strstr(error.text, expected));
    private_directory_close(&first);
    assert_int_equal(private_directory_open(&second, path, true, &error), 0);
    private_directory_close(&second);
    assert_int_equal(private_directory_remove(path), 0);
}

static void test_directories_that_are_refused(void **state)
{
    (void)state;
    char path[64], file[100];
    make_directory(path);
    struct private_directory directory;
    struct error_text error = ERROR_TEXT_NULL;
    assert_int_equal(private_directory_open(&directory, path, false, &error), -ENOENT);
    assert_non_null(strstr(error.text, "holds no standalone instance"));
    snprintf(file, sizeof(file), "%s/somebody-elses", path);
    FILE *stream = fopen(file, "w");
    assert_non_null(stream);
    fclose(stream);
    assert_int_equal(private_directory_open(&directory, path, true, &error), -ENOTEMPTY);
    assert_int_equal(private_directory_open(&directory, file, true, &error), -ENOTDIR);
    assert_int_equal(private_directory_remove(path), 0);
    assert_int_equal(private_directory_remove(path), 0); /* nothing there: nothing to do */
}

static void test_a_deep_directory_is_made(void **state)
{
    (void)state;
    char path[64], deep[100];
    struct stat status;
    make_directory(path);
    struct private_directory directory;
    struct error_text error = ERROR_TEXT_NULL;
    snprintf(deep, sizeof(deep), "%s/a/b/c", path);
    assert_int_equal(private_directory_open(&directory, deep, true, &error), 0);
    assert_string_equal(directory.path, deep);
    assert_int_equal(stat(deep, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    private_directory_close(&directory);
    assert_int_equal(private_directory_remove(path), 0);
}

static void test_programs_are_found(void **state)
{
    (void)state;
    char path[4096];
    assert_int_equal(child_find_program(path, "sh", false), 0);
    assert_int_equal(access(path, X_OK), 0);
    assert_int_equal(child_find_program(path, "test_child", true), 0);
    assert_int_equal(child_find_program(path, "no-such-program-here", true), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_failure_says_the_last_line),
        cmocka_unit_test(test_success),
        cmocka_unit_test(test_what_cannot_be_started),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_an_inherited_lock),
        cmocka_unit_test(test_a_directory_is_used_once),
        cmocka_unit_test(test_directories_that_are_refused),
        cmocka_unit_test(test_a_deep_directory_is_made),
        cmocka_unit_test(test_programs_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
