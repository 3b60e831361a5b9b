// links: vestige_core
/* Values of option files, as the client library would read them. */
#include "core/cleanup.h"
#include "core/option_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char path[64];

static int set_up(void **state)
{
    (void)state;
    strcpy(path, "/tmp/vestige-option-file-XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

static void write_text(const char *text)
{
    FILE *file AUTO_FCLOSE = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
}

static void values(void **state)
{
    (void)state;
    static const struct {
        const char *text, *value;
    } cases[] = {
        {"[vestige]\nssl-cert = /a\n",                             "/a"   },
        {"[vestige]\nssl_cert=/a",                                 "/a"   },
        {"[client]\nssl-cert=/b\n[vestige]\nssl-cert=\"/a b\"",    "/a b" },
        {"[vestige]\nssl-cert=/b\n[vestige]\n ssl-cert = '/a' ",   "/a"   },
        {"[vestige]\nssl-cert=/a\n[client]\nssl-cert=/b\n",        "/a"   },
        {"[vestige]\nssl-cert=\"/a\\\\b\"\n",                      "/a\\b"},
        {"[vestige]\nssl-cert\n",                                  ""     },
        {"[vestige]\n#ssl-cert=/b\n;ssl-cert=/b\nssl-cert=/a\r\n", "/a"   },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char value[16];
        write_text(cases[i].text);
        assert_int_equal(option_file_get(path, "vestige", "ssl-cert", value, sizeof(value)),
                         OPTION_FILE_FOUND);
        assert_string_equal(value, cases[i].value);
    }
}

static void nothing_there(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "ssl-cert=/a\n",
                                        "[vestige\nssl-cert=/a\n",
                                        "[vestige_two]\nssl-cert=/a\n",
                                        "[vestige]\nssl-certs=/a\n",
                                        "[vestige]\nssl-cer\n=t\n"};
    char value[16];
    for (size_t i = 1; i < sizeof(texts) / sizeof(texts[0]); i++) {
        write_text(texts[i]);
        int r = option_file_get(path, "vestige", "ssl-cert", value, sizeof(value));
        assert_int_equal(r, i == 2 ? OPTION_FILE_FOUND : OPTION_FILE_MISSING);
    }
    assert_int_equal(option_file_get("/nonexistent", "vestige", "x", value, sizeof(value)),
                     -ENOENT);
    write_text("[vestige]\nssl-cert=/longer/than/fifteen\n");
    assert_int_equal(option_file_get(path, "vestige", "ssl-cert", value, sizeof(value)), -E2BIG);
}

static void long_lines_are_passed_over(void **state)
{
    (void)state;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("[vestige]\nx = ", file);
    for (int i = 0; i < 20000; i++)
        fputc('a', file);
    fputs("\nssl-cert=/a\n", file);
    fclose(file);
    char value[16];
    assert_int_equal(option_file_get(path, "vestige", "ssl-cert", value, sizeof(value)),
                     OPTION_FILE_FOUND);
    assert_string_equal(value, "/a");
}

static void flags(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_set;
    } cases[] = {
        {"allow-cleartext",       true },
        {"allow-cleartext=1",     true },
        {"allow_cleartext = yes", true },
        {"allow-cleartext=0",     false},
        {"allow-cleartext=OFF",   false},
        {"allow-cleartext=no",    false},
        {"allow-cleartext=false", false},
        {"#allow-cleartext",      false},
        {"",                      false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[100];
        snprintf(text, sizeof(text), "[vestige]\n%s\n", cases[i].text);
        write_text(text);
        assert_int_equal(option_file_is_set(path, "vestige", "allow-cleartext"), cases[i].is_set);
    }
    assert_false(option_file_is_set("/nonexistent", "vestige", "allow-cleartext"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(nothing_there),
        cmocka_unit_test(long_lines_are_passed_over),
        cmocka_unit_test(flags),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
