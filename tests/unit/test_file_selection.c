// links: vestige_files
/* Which paths are told: each glob by path and by directory, and that the two agree. */
#include "collectors/files/file_selection.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct file_selection *make(const struct source_options *options)
{
    struct file_selection *selection;
    assert_int_equal(file_selection_new(&selection, options, NULL), 0);
    return selection;
}

static enum file_verdict of_path(const struct file_selection *selection, const char *path)
{
    return file_selection_path(selection, slice_text(path));
}

static enum file_verdict below(const struct file_selection *selection, const char *directory)
{
    return file_selection_below(selection, slice_text(directory));
}

static void everything_by_default(void **state)
{
    struct file_selection *selection = make(&(struct source_options){0});
    (void)state;
    assert_int_equal(of_path(selection, "/etc/shadow"), FILE_INCLUDED);
    assert_int_equal(below(selection, "/"), FILE_INCLUDED);
    assert_false(file_selection_excludes_type(selection, slice_text("tmpfs")));
    file_selection_free(selection);
}

static void globs_by_path(void **state)
{
    struct file_selection *selection = make(&(struct source_options){
        .files_include = " /etc/*\t/home/* /opt/[a-c]* ",
        .files_exclude = "*/.cache/* /etc/mtab",
        .files_exclude_reads = "*.so *.so.[0-9]* /etc/ld.so.cache",
    });
    (void)state;
    assert_int_equal(of_path(selection, "/etc/shadow"), FILE_INCLUDED);
    assert_int_equal(of_path(selection, "/etc/a/b/c"), FILE_INCLUDED);
    assert_int_equal(of_path(selection, "/etc"), FILE_EXCLUDED);
    assert_int_equal(of_path(selection, "/var/log/x"), FILE_EXCLUDED);
    assert_int_equal(of_path(selection, "/etc/mtab"), FILE_EXCLUDED);
    assert_int_equal(of_path(selection, "/home/u/.cache/x"), FILE_EXCLUDED);
    assert_int_equal(of_path(selection, "/home/u/lib.so.6"), FILE_CHANGES);
    assert_int_equal(of_path(selection, "/etc/ld.so.cache"), FILE_CHANGES);
    assert_int_equal(of_path(selection, "/opt/b/x"), FILE_INCLUDED);
    assert_int_equal(of_path(selection, "/opt/d/x"), FILE_EXCLUDED);
    assert_int_equal(of_path(selection, "/home/\xff\xfe\n"), FILE_INCLUDED);
    file_selection_free(selection);
}

static void globs_by_directory(void **state)
{
    struct file_selection *selection = make(&(struct source_options){
        .files_exclude = "/var/cache/* /home/*/.cache/* /tmp/x",
        .files_exclude_reads = "/usr/lib/* /usr/share/locale*",
        .files_exclude_types = "ramfs hugetlbfs",
    });
    (void)state;
    assert_int_equal(below(selection, "/"), FILE_MIXED);
    assert_int_equal(below(selection, "/etc"), FILE_INCLUDED);
    assert_int_equal(below(selection, "/var"), FILE_MIXED);
    assert_int_equal(below(selection, "/var/log"), FILE_INCLUDED);
    assert_int_equal(below(selection, "/var/cache"), FILE_EXCLUDED);
    assert_int_equal(below(selection, "/var/cache/a/b"), FILE_EXCLUDED);
    assert_int_equal(below(selection, "/var/cache2"), FILE_INCLUDED);
    assert_int_equal(below(selection, "/home"), FILE_MIXED);
    assert_int_equal(below(selection, "/home/u"), FILE_MIXED);
    assert_int_equal(below(selection, "/home/u/.cache"), FILE_EXCLUDED);
    assert_int_equal(below(selection, "/usr"), FILE_MIXED);
    assert_int_equal(below(selection, "/usr/lib"), FILE_CHANGES);
    assert_int_equal(below(selection, "/usr/lib64"), FILE_INCLUDED);
    assert_int_equal(below(selection, "/usr/share/locale"), FILE_CHANGES);
    assert_int_equal(below(selection, "/usr/share/locale-langpack/de"), FILE_CHANGES);
    assert_int_equal(below(selection, "/tmp"), FILE_MIXED);
    assert_true(file_selection_excludes_type(selection, slice_text("hugetlbfs")));
    assert_false(file_selection_excludes_type(selection, slice_text("ramf")));
    file_selection_free(selection);
}

static void own_directory(void **state)
{
    struct file_selection *selection = make(&(struct source_options){
        .own_directory = "/var/lib/vestige/",
    });
    (void)state;
    assert_int_equal(of_path(selection, "/var/lib/vestige"), FILE_EXCLUDED);
    assert_int_equal(of_path(selection, "/var/lib/vestige/journal/1"), FILE_EXCLUDED);
    assert_int_equal(of_path(selection, "/var/lib/vestige2"), FILE_INCLUDED);
    assert_int_equal(below(selection, "/var/lib/vestige"), FILE_EXCLUDED);
    assert_int_equal(below(selection, "/var/lib/vestige/journal"), FILE_EXCLUDED);
    assert_int_equal(below(selection, "/var/lib"), FILE_MIXED);
    assert_int_equal(below(selection, "/"), FILE_MIXED);
    assert_int_equal(below(selection, "/var/lib/vestige2"), FILE_INCLUDED);
    file_selection_free(selection);
}

/* A star that is quoted or in a bracket is none; * alone matches all. */
static void special_characters(void **state)
{
    struct file_selection *selection = make(&(struct source_options){
        .files_exclude = "/a/\\* /b/[*] /c/\\\\*",
    });
    (void)state;
    assert_int_equal(below(selection, "/a"), FILE_MIXED);
    assert_int_equal(of_path(selection, "/a/*"), FILE_EXCLUDED);
    assert_int_equal(of_path(selection, "/a/x"), FILE_INCLUDED);
    assert_int_equal(below(selection, "/b"), FILE_MIXED);
    assert_int_equal(of_path(selection, "/b/*"), FILE_EXCLUDED);
    assert_int_equal(of_path(selection, "/c/\\x"), FILE_EXCLUDED);
    assert_int_equal(below(selection, "/c/\\x"), FILE_EXCLUDED);
    file_selection_free(selection);
    selection = make(&(struct source_options){.files_exclude = "*"});
    assert_int_equal(below(selection, "/"), FILE_EXCLUDED);
    file_selection_free(selection);
}

static void long_paths(void **state)
{
    static char path[FILE_PATH_MOST + 100];
    struct file_selection *selection = make(&(struct source_options){.files_exclude = "/x/*"});
    (void)state;
    memset(path, 'x', sizeof(path));
    path[0] = path[2] = '/';
    struct slice slice = slice_of(path, sizeof(path));
    assert_int_equal(file_selection_path(selection, slice), FILE_EXCLUDED);
    assert_int_equal(file_selection_below(selection, slice), FILE_EXCLUDED);
    path[1] = 'y';
    assert_int_equal(file_selection_path(selection, slice), FILE_INCLUDED);
    file_selection_free(selection);
}

static void verdicts(void **state)
{
    (void)state;
    assert_true(file_verdict_tells(FILE_INCLUDED, FILE_OPENED));
    assert_false(file_verdict_tells(FILE_CHANGES, FILE_OPENED | FILE_EXECUTED | FILE_CLOSED));
    assert_true(file_verdict_tells(FILE_CHANGES, FILE_OPENED | FILE_CLOSED_AFTER_WRITE));
    assert_false(file_verdict_tells(FILE_EXCLUDED, FILE_DELETED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_by_default),
        cmocka_unit_test(globs_by_path),
        cmocka_unit_test(globs_by_directory),
        cmocka_unit_test(own_directory),
        cmocka_unit_test(special_characters),
        cmocka_unit_test(long_paths),
        cmocka_unit_test(verdicts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
