// links: vestige_html
/* Text from evidence in a page: never markup, never script, whatever it holds. */
#include "reports/output/html.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define TEXT(literal) slice_of(literal, sizeof(literal) - 1)

static void expect(struct buffer *made, const char *expected)
{
    buffer_append_byte(made, '\0');
    assert_false(made->failed);
    assert_string_equal((const char *)made->data, expected);
    buffer_deinit(made);
}

static void test_text(void **state)
{
    (void)state;
    struct buffer made = BUFFER_NULL;
    html_append_text(&made, TEXT("<script>alert('1')</script> & \"q\" caf\xc3\xa9"));
    expect(&made,
           "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;q&quot; caf\xc3\xa9");
    html_append_text(&made, TEXT("\x1b[2J\n\0\xff\xe2\x80\xae"));
    expect(&made, "\\x1b[2J\\x0a\\x00\\xff\\u202e");
    html_append_text(&made, SLICE_NULL);
    expect(&made, "");
}

static void test_attribute(void **state)
{
    (void)state;
    struct buffer made = BUFFER_NULL;
    html_append_attribute(&made, "title", TEXT("\" onload=\"x\" '`"));
    expect(&made, " title=\"&quot; onload=&quot;x&quot; &#39;`\"");
}

static void test_json(void **state)
{
    (void)state;
    struct buffer made = BUFFER_NULL;
    html_append_json(&made, TEXT("</script><!-- \"\\\n"));
    expect(&made, "\"\\u003c/script\\u003e\\u003c!-- \\u0022\\u005c\\u005cx0a\"");
}

static void test_page(void **state)
{
    (void)state;
    struct buffer made = BUFFER_NULL;
    struct html_page page = {.title = TEXT("</title><b>"), .script = TEXT("alert(1)")};
    assert_int_equal(html_begin(&made, &page), 0);
    html_end(&made, &page);
    buffer_append_byte(&made, '\0');
    const char *text = (const char *)made.data;
    /* printf 'alert(1)' | openssl dgst -sha256 -binary | base64 */
    assert_non_null(
        strstr(text, "; script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='\">"));
    assert_non_null(strstr(text, "default-src 'none'; base-uri 'none'; form-action 'none'; "
                                 "style-src 'sha256-"));
    assert_non_null(strstr(text, "<title>&lt;/title&gt;&lt;b&gt;</title>"));
    assert_non_null(strstr(text, "<script>alert(1)</script>\n</body>\n</html>\n"));
    buffer_deinit(&made);
}

static void test_file(void **state)
{
    (void)state;
    char directory[] = "/tmp/vestige-html-XXXXXX", path[100];
    struct html_file file = HTML_FILE_NULL;
    struct error_text error = ERROR_TEXT_NULL;
    struct buffer text = BUFFER_NULL;
    struct stat status;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/page", directory);
    assert_int_equal(html_file_open(&file, path, &error), 0);
    buffer_append_text(&text, "half");
    assert_int_equal(html_file_put(&file, &text, &error), 0);
    html_file_deinit(&file); /* given up: no file, and nothing else in the directory */
    assert_int_equal(rmdir(directory), 0);
    assert_int_equal(mkdir(directory, 0700), 0);
    assert_int_equal(html_file_open(&file, path, &error), 0);
    buffer_append_text(&text, "whole");
    assert_int_equal(html_file_put(&file, &text, &error), 0);
    assert_int_equal(html_file_finish(&file, &error), 0);
    html_file_deinit(&file);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 5);
    assert_int_equal(status.st_mode & 0777, 0600);
    unlink(path);
    rmdir(directory);
    assert_true(html_file_open(&file, path, &error) < 0);
    assert_non_null(strstr(error.text, "cannot write the page /tmp/vestige-html-"));
    html_file_deinit(&file);
    buffer_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text), cmocka_unit_test(test_attribute), cmocka_unit_test(test_json),
        cmocka_unit_test(test_page), cmocka_unit_test(test_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
