// links: vestige_notify
/* Section [notify]: defaults, lists, and that hostile text is refused and never written anywhere.
 */
#include "reports/notify/notify_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct notify_config config;
static struct error_text error;

static int parse(const char *text)
{
    error = (struct error_text)ERROR_TEXT_NULL;
    return notify_config_parse(&config, "f", slice_text(text), &error);
}

static void test_defaults_and_values(void **state)
{
    (void)state;
    assert_int_equal(parse("[notify]\nmail = a@b\n"), 0);
    assert_string_equal(config.mail, "a@b");
    assert_int_equal(config.attempts, 3);
    assert_int_equal(config.retry_seconds, 5);
    assert_int_equal(config.timeout_seconds, 30);
    assert_int_equal(config.most, 100);
    assert_int_equal(parse("# x\n[notify]\r\nmail=a@b , c@d\nmail_from = v@w\nattempts = 10\n"
                           "retry_seconds = 0\ntimeout_seconds = 600\nmost = 1000\n"
                           "command = /bin/x y\nwebhook = https://h/p\nwebhook_header = A: b\n"
                           "webhook_header = C: d: e\nwebhook_headers = /f\nsendmail = /s"),
                     0);
    assert_string_equal(config.mail, "a@b , c@d");
    assert_string_equal(config.mail_from, "v@w");
    assert_string_equal(config.command, "/bin/x y");
    assert_string_equal(config.webhook, "https://h/p");
    assert_string_equal(config.webhook_header, "A: b\nC: d: e");
    assert_string_equal(config.webhook_headers, "/f");
    assert_string_equal(config.sendmail, "/s");
    assert_int_equal(config.attempts, 10);
    assert_int_equal(config.most, 1000);
}

static void test_the_first_fault_is_told(void **state)
{
    (void)state;
    assert_int_equal(parse("[notify]\nmail = a@b\nattempts = 11\nx = y\n"), -EINVAL);
    assert_string_equal(error.text, "f:3: attempts = 11: write a number from 1 to 10");
    assert_int_equal(parse("[notify]\nnothing\nattempts = 11\n"), -EINVAL);
    assert_string_equal(error.text, "f:2: neither a [section] nor `key = value`");
}

static void test_too_much(void **state)
{
    (void)state;
    char text[8192] = "[notify]\nwebhook = https://h/p\n";
    for (size_t i = 0; i < 40; i++)
        strcat(text,
               "webhook_header = A: "
               "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n");
    assert_int_equal(parse(text), -EINVAL);
    assert_string_equal(error.text, "f:28: webhook_header has more than 2046 bytes");
    strcpy(text, "[notify]\ncommand = /x");
    for (size_t i = 1; i < 32; i++)
        strcat(text, "  y");
    assert_int_equal(parse(text), 0);
    assert_int_equal(parse(strcat(text, " y")), -EINVAL);
    assert_string_equal(error.text, "f:2: command has more than 32 words");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_and_values),
        cmocka_unit_test(test_the_first_fault_is_told),
        cmocka_unit_test(test_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
