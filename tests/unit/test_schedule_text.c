// links: vestige_schedule vestige_question vestige_server
/* The form of a question that the server keeps: places with their types, lists of names. */
#include "reports/schedule/schedule_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HEAD      "-- question: What?\n-- tags: a\n-- window: 1 day\n"
#define PARAMETER "-- parameter: name text; x\n-- parameter: port number = none; x\n"
#define AT        "-- parameter: at time = now; x\n"
#define SCHEDULE  "-- schedule: process; subject host, exe\n"

static struct error_text error;

static const struct statement_value all[] = {
    {.name = "name",            .kind = STATEMENT_TEXT  },
    {.name = "port",            .kind = STATEMENT_NULL  },
    {.name = "since",           .kind = STATEMENT_MOMENT, .us = 5000},
    {.name = "until",                         .kind = STATEMENT_MOMENT,                                   .us = 9000},
    {.name = "since_day",               .kind = STATEMENT_DAY    },
    {.name = "until_day",.kind = STATEMENT_DAY         },
    {.name = "at_day",               .kind = STATEMENT_DAY                             },
    {.name = "host_id",.kind = STATEMENT_NULL},
    {.name = "any_login",              .kind = STATEMENT_NUMBER                                                     },
    {.name = "login_uid",.kind = STATEMENT_NULL},
    {.name = "row_limit",                .kind = STATEMENT_NUMBER                                                                                 },
};

static int form(struct schedule_text *text, const char *file, const struct statement_value *first)
{
    static const int64_t now[2] = {7000, 7005};
    struct question *question AUTO_QUESTION = NULL;
    struct question_values values = {0};
    error = (struct error_text)ERROR_TEXT_NULL;
    if (question_new(&question, "name", "dir/name.sql", slice_text(file), &error))
        fail_msg("%s", error.text);
    if (first)
        values.values[values.n++] = *first;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        values.values[values.n++] = all[i];
    return schedule_text_init(text, question, &values, now, &error);
}

static void assert_buffer(const struct buffer *buffer, const char *expected)
{
    char text[1000];
    snprintf(text, sizeof(text), "%.*s", (int)buffer->length, (const char *)buffer->data);
    assert_string_equal(text, expected);
}

static void test_places_and_types(void **state)
{
    (void)state;
    static const struct statement_value now = {.name = "at", .kind = STATEMENT_MOMENT, .us = 7003};
    struct schedule_text text;
    assert_int_equal(
        form(&text,
             HEAD PARAMETER AT SCHEDULE
             "SELECT ':name', `:port` -- :since\n WHERE :name, :port, :since, :since_day,"
             " :host_id, :any_login, :login_uid, :until, :at_day, :at LIMIT :row_limit",
             &now),
        0);
    assert_buffer(
        &text.sql,
        "SELECT ':name', `:port` -- :since\n WHERE ?, CAST(? AS UNSIGNED), CAST(? AS "
        "DATETIME(6)), CAST(? AS DATE), CAST(? AS UNSIGNED), CAST(? AS UNSIGNED), CAST(? AS "
        "UNSIGNED), CAST(? AS DATETIME(6)), CAST(? AS DATE), CAST(? AS DATETIME(6)) LIMIT "
        "18446744073709551615");
    assert_buffer(&text.value_names,
                  "[\"name\", \"port\", \"since\", \"since_day\", \"host_id\", \"any_login\","
                  " \"login_uid\", \"until\", \"at_day\", \"at\"]");
    assert_buffer(&text.parameters,
                  "JSON_OBJECT('name', :name, 'port', :port, 'host_id', :host_id, 'any_login', "
                  ":any_login, 'login_uid', :login_uid)");
    assert_buffer(&text.row_table, "process");
    assert_buffer(&text.subject_columns, "[\"host\", \"exe\"]");
    schedule_text_deinit(&text);
}

static void test_the_present_is_not_kept(void **state)
{
    (void)state;
    static const struct statement_value now = {.name = "at", .kind = STATEMENT_MOMENT, .us = 7003},
                                        past = {.name = "at", .kind = STATEMENT_MOMENT, .us = 6999};
    static const char file[] = HEAD AT SCHEDULE "SELECT :at";
    struct schedule_text text;
    assert_int_equal(form(&text, file, &now), 0);
    assert_buffer(&text.sql, "SELECT CAST(? AS DATETIME(6))");
    assert_null(memmem(text.parameters.data, text.parameters.length, "'at'", 4));
    schedule_text_deinit(&text);
    assert_int_equal(form(&text, file, &past), 0);
    assert_non_null(memmem(text.parameters.data, text.parameters.length, "'at', :at", 9));
    schedule_text_deinit(&text);
}

static void refuse(const char *file, const char *reason)
{
    struct schedule_text text;
    assert_int_equal(form(&text, file, NULL), -EINVAL);
    assert_string_equal(error.text, reason);
}

static void test_refused(void **state)
{
    (void)state;
    char many[2000] = HEAD SCHEDULE "SELECT 1";
    refuse(HEAD "SELECT :since",
           "name cannot be scheduled: its file (dir/name.sql) has no `schedule:` line, because its "
           "answer is not a list of rows that are new or not");
    static const char cannot[] = "dir/name.sql: its `schedule` cannot be read: write `schedule: "
                                 "TABLE; subject COLUMN, COLUMN`";
    refuse(HEAD "-- schedule: two words; subject x\nSELECT :since", cannot);
    refuse(HEAD "-- schedule: process; subject x y\nSELECT :since", cannot);
    refuse(HEAD "-- schedule: process; subject `x`\nSELECT :since", cannot);
    refuse(HEAD "-- schedule: Process; subject x\nSELECT :since", cannot);
    refuse(HEAD "-- schedule: process; subject ,\nSELECT :since", cannot);
    for (size_t i = 0; i < SCHEDULE_PLACES_MAX + 1; i++)
        strcat(many, ", :since");
    refuse(many, "dir/name.sql uses values at more than 64 places; write fewer to schedule it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places_and_types),
        cmocka_unit_test(test_the_present_is_not_kept),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
