// links: vestige_privilege
/* Whose the state is: given away whole, once, and never through a link or a second name. */
#include "recorder/agent/state_owner.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { USER = 65533, GROUP = 65532 };

static char top[64], directory[80];

static void path_of(char path[128], const char *name)
{
    snprintf(path, 128, "%s/%s", directory, name);
}

static void make_file(const char *name)
{
    char path[128];
    path_of(path, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void make_directory(const char *name)
{
    char path[128];
    path_of(path, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static uid_t owner_of(const char *name)
{
    char path[128];
    struct stat status;
    path_of(path, name);
    assert_int_equal(lstat(path, &status), 0);
    return status.st_uid;
}

static int give(struct error_text *error)
{
    return state_owner_give(directory, "journal", USER, GROUP, error);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(top, "/tmp/vestige-unit-owner-XXXXXX");
    if (geteuid() != 0 || !mkdtemp(top))
        return 1;
    snprintf(directory, sizeof(directory), "%s/state", top);
    return mkdir(directory, 0700);
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", top);
    return system(command);
}

static void test_given_whole(void **state)
{
    struct error_text error = {{0}};
    (void)state;
    make_directory("journal");
    make_directory("lost+found");
    make_file("journal/1");
    make_file("accounts.key");
    char link[128];
    path_of(link, "link");
    assert_int_equal(symlink("/etc/shadow", link), 0);
    assert_int_equal(give(&error), 0);
    assert_int_equal(owner_of(""), USER);
    assert_int_equal(owner_of("journal"), USER);
    assert_int_equal(owner_of("journal/1"), USER);
    assert_int_equal(owner_of("accounts.key"), USER);
    assert_int_equal(owner_of("link"), USER);
    assert_int_equal(owner_of("lost+found"), 0);
    struct stat shadow;
    assert_int_equal(stat("/etc/shadow", &shadow), 0);
    assert_int_equal(shadow.st_uid, 0);
}

/* What the user put there is not looked at by root. */
static void test_once(void **state)
{
    struct error_text error = {{0}};
    (void)state;
    make_directory("journal");
    assert_int_equal(give(&error), 0);
    make_file("journal/later");
    assert_int_equal(give(&error), 0);
    assert_int_equal(owner_of("journal/later"), 0);
}

static void assert_refused(const char *why)
{
    struct error_text error = {{0}};
    assert_true(give(&error) < 0);
    assert_non_null(strstr(error.text, why));
    assert_int_equal(owner_of(""), 0);
}

static void test_refused(void **state)
{
    char one[128], two[128];
    (void)state;
    make_file("something");
    assert_refused("something else than an agent's state");
    make_directory("journal");
    path_of(one, "something");
    path_of(two, "second");
    assert_int_equal(link(one, two), 0);
    assert_refused("another name elsewhere");
    assert_int_equal(unlink(two), 0);
    assert_int_equal(chmod(directory, 0770), 0);
    assert_refused("others than root may write in it");
    assert_int_equal(chmod(directory, 0700), 0);
    assert_int_equal(chmod(top, 0777), 0);
    assert_refused("below a directory in which others may write");
    assert_int_equal(chown(top, 1, 1), 0);
    assert_int_equal(chmod(top, 01777), 0);
    assert_refused("below a directory in which others may write");
}

static void test_of_another(void **state)
{
    struct error_text error = {{0}};
    (void)state;
    assert_int_equal(chown(directory, 1, 1), 0);
    assert_true(give(&error) < 0);
    assert_int_equal(owner_of(""), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_given_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_of_another, set_up, tear_down),
    };
    if (geteuid() != 0) {
        printf("not run: it needs root\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
