// links: vestige_question vestige_server
/* Files of questions: what is read, and what each mistake is answered with. */
#include "reports/database/statement_text.h"
#include "reports/question/question.h"
#include "reports/question/question_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HEAD "-- question: What?\n-- tags: a\n"

static struct error_text error;

static struct question *read(const char *text)
{
    struct question *question = NULL;
    error = (struct error_text)ERROR_TEXT_NULL;
    if (question_new(&question, "name", "dir/name.sql", slice_text(text), &error))
        fail_msg("%s", error.text);
    return question;
}

static void refuse(const char *text, const char *reason)
{
    struct question *question = NULL;
    error = (struct error_text)ERROR_TEXT_NULL;
    assert_int_equal(question_new(&question, "name", "dir/name.sql", slice_text(text), &error),
                     -EINVAL);
    assert_null(question);
    assert_string_equal(error.text, reason);
}

static void test_whole_header(void **state)
{
    (void)state;
    struct question *question AUTO_QUESTION =
        read("-- question: Who listens\n--    on a port?\n"
             "-- parameter: port number = none; only this port\n"
             "-- parameter: program   text; whose name it is; or not\n"
             "--\n"
             "-- window: 36 hours\n-- tags: network, seed\n-- example: vestige report name x\n"
             "-- column: local_port; the port\n"
             "-- schedule: endpoint; subject local_port\n"
             "\n  SELECT :port, :program, :since -- end\n");
    assert_string_equal(question->name, "name");
    assert_string_equal(question->question, "Who listens on a port?");
    assert_string_equal(question->tags, "network, seed");
    assert_string_equal(question->example, "vestige report name x");
    assert_string_equal(question->schedule, "endpoint; subject local_port");
    assert_string_equal(question->sql, "SELECT :port, :program, :since -- end\n");
    assert_true(question->has_window && !question->window_all);
    assert_int_equal(question->window_us, INT64_C(36) * 3600000000);
    assert_int_equal(question->n_columns, 1);
    assert_string_equal(question->columns[0].name, "local_port");
    assert_string_equal(question->columns[0].help, "the port");
    assert_int_equal(question->n_parameters, 2);
    const struct question_parameter *port = &question->parameters[0],
                                    *program = &question->parameters[1];
    assert_string_equal(port->name, "port");
    assert_int_equal(port->type, PARAMETER_NUMBER);
    assert_true(port->has_default);
    assert_null(port->default_text);
    assert_string_equal(program->name, "program");
    assert_int_equal(program->type, PARAMETER_TEXT);
    assert_false(program->has_default);
    assert_string_equal(program->help, "whose name it is; or not");
}

static void test_mistakes(void **state)
{
    (void)state;
    refuse("SELECT 1", "dir/name.sql:1: the header has no `question: ...?`");
    refuse("-- question: What?\nSELECT 1", "dir/name.sql:2: the header has no `tags: ...`");
    refuse(HEAD, "dir/name.sql:3: there is no SQL behind the header");
    refuse(HEAD "-- tags: b\nSELECT 1", "dir/name.sql:3: `tags` is there twice; leave one of them");
    refuse("-- question: What\n--    is it?\n-- titel: x\nSELECT 1",
           "dir/name.sql:3: there is no key `titel`; write question, parameter, window, tags, "
           "column, example or schedule");
    refuse(HEAD "-- no key\nSELECT 1",
           "dir/name.sql:3: write `-- key: value`, or three blanks behind `--` to go on");
    refuse(HEAD "-- parameter: x\nSELECT :x",
           "dir/name.sql:3: write `parameter: NAME TYPE [= DEFAULT]; what it is`");
    refuse(HEAD "-- parameter: x; y\nSELECT :x",
           "dir/name.sql:3: the parameter has no type: write `parameter: NAME TYPE; what it is`");
    refuse(HEAD "-- parameter: x integer; y\nSELECT :x",
           "dir/name.sql:3: there is no type \"integer\"; write text, number, address, path, time, "
           "host or user");
    refuse(HEAD "-- parameter: X text; y\nSELECT :x",
           "dir/name.sql:3: \"X\" is no name: write lower case letters, digits and _");
    refuse(HEAD "-- parameter: since time; y\nSELECT :since",
           "dir/name.sql:3: `since` is given to every question; take another name");
    refuse(HEAD "-- parameter: x text; y\n-- parameter: x text; y\nSELECT :x",
           "dir/name.sql:4: the parameter `x` is there twice");
    refuse(HEAD "-- window: 0 days\nSELECT :since",
           "dir/name.sql:3: write `window: N hours`, `N days` or `all`");
    refuse(HEAD "-- window: 2 weeks\nSELECT :since",
           "dir/name.sql:3: write `window: N hours`, `N days` or `all`");
    refuse(HEAD "-- schedule: process\nSELECT 1",
           "dir/name.sql:3: write `schedule: TABLE; subject COLUMN, COLUMN`");
}

static void test_mistakes_of_the_sql(void **state)
{
    (void)state;
    refuse(HEAD "\nSELECT :nothing",
           "dir/name.sql:4: the SQL has :nothing, which no `parameter` line declares");
    refuse(HEAD "SELECT :until_day",
           "dir/name.sql:3: the SQL uses :since or :until: the header needs a `window`");
    refuse(HEAD "SELECT :at_day",
           "dir/name.sql:3: the SQL uses :at_day: the header needs `parameter: at time`");
    refuse(HEAD "-- parameter: x text; y\nSELECT ':x'",
           "dir/name.sql:4: the SQL does not use the parameter `x`");
    refuse(HEAD "SELECT 'x", "dir/name.sql:3: a string or comment of the SQL is not closed");
}

static int append_name(void *user, struct slice name)
{
    buffer_append_slice(user, name);
    buffer_append_byte(user, ' ');
    return 0;
}

static void test_names(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"a = :a AND b<=>:b_2",  "a = ? AND b<=>?",     "a b_2 "},
        {"':a' \":b\" `:c` :d",  "':a' \":b\" `:c` ?",  "d "    },
        {"'it''s :a' :b",        "'it''s :a' ?",        "b "    },
        {"'\\':a' :b '\\\\' :c", "'\\':a' ? '\\\\' ?",  "b c "  },
        {"`\\` :a",              "`\\` ?",              "a "    },
        {"-- :a\n:b #:c\n:d",    "-- :a\n? #:c\n?",     "b d "  },
        {"1--:a",                "1--?",                "a "    },
        {"/* :a */ :b",          "/* :a */ ?",          "b "    },
        {"@a := 1, :A, ::, :1",  "@a := 1, :A, ::, :1", ""      },
        {":a:b",                 "??",                  "a b "  },
        {":",                    ":",                   ""      },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer sql = BUFFER_NULL, names = BUFFER_NULL;
        assert_int_equal(
            statement_text_translate(&sql, slice_text(cases[i][0]), append_name, &names), 0);
        assert_true(slice_is(buffer_slice(&sql), cases[i][1]));
        assert_true(slice_is(buffer_slice(&names), cases[i][2]));
        buffer_deinit(&sql);
        buffer_deinit(&names);
    }
    static const char *const unclosed[] = {"'", "\"a", "`", "/* *", "'\\'", "/*/"};
    for (size_t i = 0; i < sizeof(unclosed) / sizeof(unclosed[0]); i++)
        assert_int_equal(statement_text_translate(NULL, slice_text(unclosed[i]), NULL, NULL),
                         -EINVAL);
}

/* Each file of sql/ can be read, and is complete enough to be a page of a manual. */
static void test_built_in(void **state)
{
    (void)state;
    struct question_files files;
    assert_int_equal(question_files_init(&files, NULL, &error), 0);
    assert_true(files.n > 0);
    for (size_t i = 0; i < files.n; i++) {
        const struct question *question = files.files[i].question;
        if (!question)
            fail_msg("%s", files.files[i].problem.text);
        if (!files.files[i].built_in)
            continue;
        if (!question->example)
            fail_msg("%s has no example", question->file);
        char start[200];
        snprintf(start, sizeof(start), "vestige report %s", question->name);
        if (strncmp(question->example, start, strlen(start)) != 0)
            fail_msg("%s: the example is not %s ...", question->file, start);
        if (question->question[strlen(question->question) - 1] != '?')
            fail_msg("%s: the question has no question mark", question->file);
    }
    question_files_deinit(&files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_header),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_mistakes_of_the_sql),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_built_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
