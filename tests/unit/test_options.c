// links: vestige_options
/* The command line: what is taken, in which form, and what each mistake is answered with. */
#include "reports/options/nearest.h"
#include "reports/options/options.h"

#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORDS_MOST = 32 };

static bool flag;
static const char *text;
static uint64_t number;

static const struct option_own own[] = {
    {"flag",   OPTION_FLAG,   &flag,   NULL,   "a flag",   0, 0 },
    {"text",   OPTION_TEXT,   &text,   "TEXT", "a text",   0, 0 },
    {"number", OPTION_NUMBER, &number, "N",    "a number", 2, 10},
};

static const struct command_line everything = {
    .words = "test WORD",
    .summary = "A test.",
    .groups = OPTIONS_STATE | OPTIONS_DATABASE | OPTIONS_OUTPUT | OPTIONS_EVIDENCE,
    .own = own,
    .n_own = 3,
    .most_arguments = 2,
};

static const struct command_line nothing = {.words = "bare", .summary = "A test."};

static struct options options;
static struct error_text error;

static int parse(const struct command_line *line, const char *words)
{
    static char copy[512], *argv[WORDS_MOST + 1]; /* options.arguments are of it */
    char *rest = NULL;
    int argc = 0;
    memset(argv, 0, sizeof(argv));
    snprintf(copy, sizeof(copy), "%s", words);
    for (char *word = strtok_r(copy, "|", &rest); word && argc < WORDS_MOST;
         word = strtok_r(NULL, "|", &rest))
        argv[argc++] = word;
    flag = false;
    text = NULL;
    number = 0;
    error = (struct error_text)ERROR_TEXT_NULL;
    return options_parse(&options, line, argc, argv, &error);
}

static void refuse(const struct command_line *line, const char *words, const char *reason)
{
    assert_int_equal(parse(line, words), -EINVAL);
    if (!strstr(error.text, reason))
        fail_msg("%s: \"%s\" does not say \"%s\"", words, error.text, reason);
}

static void test_defaults(void **state)
{
    (void)state;
    assert_int_equal(parse(&everything, "test"), OPTIONS_READ);
    assert_int_equal(options.format, OUTPUT_TABLE);
    assert_null(options.state_directory);
    assert_null(options.time_zone);
    assert_false(options.has_since || options.has_until);
    assert_int_equal(options.n_arguments, 0);
    assert_int_equal(options.port, 0);
}

static void test_all_are_kept(void **state)
{
    (void)state;
    assert_int_equal(parse(&everything, "test|--state=/d|--format|json|--on|web|--login-user|unset|"
                                        "--defaults-file=/f|--host|db|-u|me|-P|3307|-S|/s|word"),
                     OPTIONS_READ);
    assert_string_equal(options.state_directory, "/d");
    assert_int_equal(options.format, OUTPUT_JSON);
    assert_string_equal(options.on, "web");
    assert_string_equal(options.login_user, "unset");
    assert_string_equal(options.defaults_file, "/f");
    assert_string_equal(options.host, "db");
    assert_string_equal(options.user, "me");
    assert_int_equal(options.port, 3307);
    assert_string_equal(options.socket, "/s");
    assert_int_equal(options.n_arguments, 1);
    assert_string_equal(options.arguments[0], "word");
}

static void test_the_option_file_family(void **state)
{
    (void)state;
    assert_int_equal(parse(&everything, "test|--no-defaults|--defaults-extra-file=/e|"
                                        "--defaults-group-suffix=_2|-h|db"),
                     OPTIONS_READ);
    assert_true(options.no_defaults);
    assert_string_equal(options.defaults_extra_file, "/e");
    assert_string_equal(options.defaults_group_suffix, "_2");
    assert_string_equal(options.host, "db");
}

static void test_own_options(void **state)
{
    (void)state;
    assert_int_equal(parse(&everything, "test|a|--flag|--text|t|--number=10|b"), OPTIONS_READ);
    assert_true(flag);
    assert_string_equal(text, "t");
    assert_int_equal(number, 10);
    assert_int_equal(options.n_arguments, 2);
    assert_string_equal(options.arguments[1], "b");
    assert_int_equal(parse(&everything, "test|--|--flag"), OPTIONS_READ);
    assert_false(flag);
    assert_string_equal(options.arguments[0], "--flag");
}

static void test_the_zone_holds_for_times_before_it(void **state)
{
    (void)state;
    assert_int_equal(
        parse(&everything, "test|--since|2026-07-01|--until|2026-07-02|--time-zone|Europe/Berlin"),
        OPTIONS_READ);
    assert_true(options.has_since && options.has_until);
    assert_true(options.since_us == INT64_C(1782856800000000)); /* 2026-06-30 22:00 UTC */
    assert_true(options.until_us == INT64_C(1782943200000000));
    assert_int_equal(parse(&everything, "test|--since|2026-07-01"), OPTIONS_READ);
    assert_true(options.since_us == INT64_C(1782864000000000));
}

static void test_mistakes(void **state)
{
    (void)state;
    refuse(&everything, "test|--formt|json", "did you mean \"--format\"");
    refuse(&everything, "test|--nonsense-word",
           "unknown option --nonsense-word; see vestige test --help");
    refuse(&everything, "test|-q", "unknown option -q");
    refuse(&everything, "test|--format", "--format needs a value");
    refuse(&everything, "test|--format|xml", "table, json or csv");
    refuse(&everything, "test|--port|0", "from 1 to 65535");
    refuse(&everything, "test|--port|65536", "from 1 to 65535");
    refuse(&everything, "test|--number|1", "from 2 to 10");
    refuse(&everything, "test|--number|11", "from 2 to 10");
    refuse(&everything, "test|--number|-3", "from 2 to 10");
    refuse(&everything, "test|--number|3x", "from 2 to 10");
    refuse(&everything, "test|--number|99999999999999999999", "from 2 to 10");
    refuse(&everything, "test|--since|2h", "no moment; did you mean \"2h ago\"?");
    refuse(&everything, "test|--since|yestrday", "--since: \"yestrday\" is no moment");
    refuse(&everything, "test|--time-zone|Nowhere", "there is no time zone \"Nowhere\"");
    refuse(&everything, "test|--since|now|--until|2h ago", "--since is after --until");
    refuse(&everything, "test|a|b|c", "\"c\" is one word too many");
}

/* An option of a group that a command does not honour is unknown to it, and not ignored. */
static void test_groups(void **state)
{
    (void)state;
    static const char *const words[] = {"bare|--state|/d", "bare|--format|json", "bare|--on|web",
                                        "bare|--host|db",  "bare|-h|db",         "bare|--flag"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        refuse(&nothing, words[i], "unknown option");
    refuse(&nothing, "bare|word", "one word too many");
    assert_int_equal(parse(&nothing, "bare"), OPTIONS_READ);
}

static void test_too_few(void **state)
{
    (void)state;
    static const struct command_line needs = {
        .words = "needs SQL", .summary = "", .least_arguments = 1, .most_arguments = 1};
    refuse(&needs, "needs", "usage: vestige needs SQL");
}

/* An option that the action does not take is refused, given or not with its default. */
static void test_options_of_actions(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int number;
    } actions[] = {
        {"begin", 1},
        {"end",   2}
    };
    size_t found = 7;
    error = (struct error_text)ERROR_TEXT_NULL;
    assert_int_equal(
        options_find_action("test", "end", actions, 2, sizeof(actions[0]), &found, &error), 0);
    assert_int_equal(found, 1);
    assert_int_equal(
        options_find_action("test", "edn", actions, 2, sizeof(actions[0]), &found, &error),
        -EINVAL);
    assert_string_equal(error.text,
                        "there is no `vestige test edn`; did you mean \"end\"? (see vestige"
                        " test --help)");
    assert_int_equal(parse(&everything, "test|--number|3|--text|x"), OPTIONS_READ);
    assert_int_equal(options_check_own(&options, &everything, "end", " number text ", &error), 0);
    assert_int_equal(options_check_own(&options, &everything, "end", " num number ", &error),
                     -EINVAL);
    assert_string_equal(error.text, "vestige test end does not take --text");
    assert_int_equal(parse(&everything, "test"), OPTIONS_READ);
    assert_int_equal(options_check_own(&options, &everything, "end", "", &error), 0);
}

/* Help is as wide as the terminal; an option does not begin a line that goes on. */
static void test_help_on_a_narrow_terminal(void **state)
{
    (void)state;
    static const struct option_own one[] = {
        {"flag", OPTION_FLAG, &flag, NULL, "as much as it may be with --text or another", 0, 0}
    };
    static const struct command_line line = {
        .words = "test WORD", .summary = "Some\nwords that stand here.", .own = one, .n_own = 1};
    struct winsize size = {.ws_row = 24, .ws_col = 54};
    int reader, writer, saved = dup(STDOUT_FILENO);
    char got[1024];
    fflush(stdout);
    assert_int_equal(openpty(&reader, &writer, NULL, NULL, &size), 0);
    assert_int_equal(dup2(writer, STDOUT_FILENO), STDOUT_FILENO);
    assert_int_equal(parse(&line, "test|--help"), OPTIONS_HELP_SHOWN);
    fflush(stdout);
    ssize_t length = read(reader, got, sizeof(got) - 1);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(writer);
    close(reader);
    assert_true(length > 0);
    got[length] = '\0';
    assert_string_equal(got,
                        "Usage: vestige test WORD [options]\r\n\r\nSome words that stand here.\r\n"
                        "\r\nOptions:\r\n"
                        "      --flag                   as much as it may be\r\n"
                        "                               with --text or another\r\n"
                        "      --help                   show this\r\n");
}

static void expect_nearest(const char *word, const char *expected)
{
    static const char *const names[] = {"standalone", "server", "status",
                                        "sync",       "query",  "doctor"};
    struct buffer hint = BUFFER_NULL;
    nearest_append(&hint, word, names, 6);
    buffer_append_byte(&hint, '\0');
    assert_string_equal((const char *)hint.data, expected);
    buffer_deinit(&hint);
}

static void test_nearest(void **state)
{
    (void)state;
    expect_nearest("statsu", "; did you mean \"status\"?");
    expect_nearest("dcotro", "; did you mean \"doctor\"?"); /* neighbours swapped, twice */
    expect_nearest("QUERY", "; did you mean \"query\"?");
    expect_nearest("doc", "; did you mean \"doctor\"?");
    expect_nearest("sta", "; did you mean \"standalone\" or \"status\"?");
    expect_nearest("elephant", "");
    expect_nearest("", "");
    expect_nearest("a-word-that-is-longer-than-every-name-that-anybody-would-ever-type-here", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_all_are_kept),
        cmocka_unit_test(test_the_option_file_family),
        cmocka_unit_test(test_own_options),
        cmocka_unit_test(test_the_zone_holds_for_times_before_it),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_too_few),
        cmocka_unit_test(test_options_of_actions),
        cmocka_unit_test(test_help_on_a_narrow_terminal),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
