// links: vestige_server
/* What enrolment writes, and what a connection says that cannot come about; no server needed. */
#include "reports/client/enrolment.h"
#include "reports/database/schema.h"
#include "reports/database/schema_files.h"

#include "core/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

struct place {
    char directory[64], file[128], text[2048];
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    strcpy(place->directory, "/tmp/vestige-enrolment-XXXXXX");
    if (!mkdtemp(place->directory))
        return -1;
    snprintf(place->file, sizeof(place->file), "%s/agent.cnf", place->directory);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    unlink(place->file);
    int r = rmdir(place->directory); /* fails when something else was left there */
    free(place);
    return r;
}

static const char *read_back(struct place *place)
{
    FILE *file AUTO_FCLOSE = fopen(place->file, "r");
    assert_non_null(file);
    size_t length = fread(place->text, 1, sizeof(place->text) - 1, file);
    place->text[length] = '\0';
    return place->text;
}

static const struct enrolment agent = {
    .host_id = 7, .user = "agent_7", .from = "%", .password = "secret"};

static void agent_by_socket(void **state)
{
    struct place *place = *state;
    struct enrolment_server server = {.socket = "/a b/c\\d", .port = 3307, .database = "vestige"};
    struct stat status;
    assert_int_equal(enrolment_write_options(place->file, &agent, &server, NULL), 0);
    assert_string_equal(read_back(place), "[vestige]\nuser = agent_7\npassword = secret\n"
                                          "socket = \"/a b/c\\\\d\"\ndatabase = vestige\n");
    assert_int_equal(stat(place->file, &status), 0);
    assert_int_equal(status.st_mode, S_IFREG | 0600);
}

static void agent_by_tcp_in_place_of_an_open_file(void **state)
{
    struct place *place = *state;
    struct enrolment_server server = {.host = "db1", .port = 3307, .database = "other"};
    FILE *older = fopen(place->file, "w");
    struct stat status;
    assert_non_null(older);
    fclose(older);
    assert_int_equal(chmod(place->file, 0644), 0);
    assert_int_equal(enrolment_write_options(place->file, &agent, &server, NULL), 0);
    assert_string_equal(read_back(place), "[vestige]\nuser = agent_7\npassword = secret\n"
                                          "host = \"db1\"\nport = 3307\ndatabase = other\n");
    assert_int_equal(stat(place->file, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

static void reader_serves_any_client(void **state)
{
    struct place *place = *state;
    struct enrolment reader = {.user = "vestige_user", .from = "localhost", .password = "secret"};
    struct enrolment_server server = {.socket = "/s", .database = "vestige"};
    assert_int_equal(enrolment_write_options(place->file, &reader, &server, NULL), 0);
    const char *text = read_back(place);
    assert_non_null(
        strstr(text, "\n[client]\nuser = vestige_user\npassword = secret\nsocket = \"/s\"\n"));
    assert_non_null(
        strstr(text, "[mariadb-client]\ninit-command = \"SET time_zone = '+00:00'\"\n"));
    assert_non_null(strstr(text, "[vestige]\nuser = vestige_user\npassword = secret\n"));
}

static void place_that_no_option_file_can_name(void **state)
{
    struct place *place = *state;
    static const char *const bad[] = {"/a\nb", "/a\"b", "/a'b", "/a#b", "/a\tb"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct error_text error = ERROR_TEXT_NULL;
        struct enrolment_server server = {.socket = bad[i], .database = "vestige"};
        assert_int_equal(enrolment_write_options(place->file, &agent, &server, &error), -EINVAL);
        assert_non_null(strstr(error.text, "cannot stand in an option file"));
        assert_int_equal(access(place->file, F_OK), -1);
    }
}

static void directory_that_is_missing(void **state)
{
    struct error_text error = ERROR_TEXT_NULL;
    struct enrolment_server server = {.socket = "/s", .database = "vestige"};
    (void)state;
    assert_int_equal(enrolment_write_options("/nonexistent/a.cnf", &agent, &server, &error),
                     -ENOENT);
    assert_non_null(strstr(error.text, "/nonexistent/a.cnf"));
    assert_null(strstr(error.text, "secret"));
}

static void configuration(void **state)
{
    struct buffer text = BUFFER_NULL;
    (void)state;
    enrolment_append_configuration(&text, "one", "7", NULL);
    buffer_append_byte(&text, '\0');
    assert_string_equal((const char *)text.data, "# Host one, as `vestige client enroll` made it.\n"
                                                 "[agent]\nhost_id = 7\n");
    buffer_deinit(&text);
}

static void password_is_wiped(void **state)
{
    (void)state;
    struct enrolment copy = agent;
    enrolment_deinit(&copy);
    assert_string_equal(copy.password, "");
}

static void schema_files_are_in_order(void **state)
{
    (void)state;
    assert_true(schema_files_n >= 4);
    for (size_t i = 0; i < schema_files_n; i++) {
        assert_int_equal(strtoul(schema_files[i].name, NULL, 10), i + 1);
        assert_int_equal(strlen(schema_files[i].text), schema_files[i].length);
        assert_int_equal(schema_files[i].text[schema_files[i].length - 1], '\n');
    }
    assert_int_equal(schema_latest(), schema_files_n);
}

static void refused_connect(const struct database_options *options, int code, const char *text)
{
    MYSQL *connection = NULL;
    struct error_text error = ERROR_TEXT_NULL;
    assert_int_equal(database_connect(&connection, options, &error), code);
    assert_null(connection);
    if (!strstr(error.text, text))
        fail_msg("\"%s\" is not in: %s", text, error.text);
}

static void connection_that_cannot_be(void **state)
{
    (void)state;
    refused_connect(&(struct database_options){.no_defaults = true, .socket = "/nonexistent"},
                    -ECONNREFUSED, "at socket /nonexistent: ");
    refused_connect(&(struct database_options){.no_defaults = true, .host = "127.0.0.1", .port = 1},
                    -ECONNREFUSED, "at host 127.0.0.1 port 1: ");
    refused_connect(&(struct database_options){.defaults_file = "/nonexistent.cnf"}, -ENOENT,
                    "cannot read the option file /nonexistent.cnf");
    refused_connect(
        &(struct database_options){.no_defaults = true, .defaults_extra_file = "/nonexistent.cnf"},
        -ENOENT, "cannot read the option file /nonexistent.cnf");
}

static void option_file_says_where(void **state)
{
    struct place *place = *state;
    FILE *file = fopen(place->file, "w");
    assert_non_null(file);
    fputs("[vestige]\nsocket = /nonexistent/one\n[vestige_x]\nsocket = /nonexistent/two\n", file);
    fclose(file);
    struct database_options options = {.defaults_file = place->file};
    refused_connect(&options, -ECONNREFUSED, "at socket /nonexistent/one: ");
    options.defaults_group_suffix = "_x";
    refused_connect(&options, -ECONNREFUSED, "at socket /nonexistent/two: ");
    options.socket = "/nonexistent/three";
    refused_connect(&options, -ECONNREFUSED, "at socket /nonexistent/three: ");
}

static void socket_given_wins_over_host_of_the_file(void **state)
{
    struct place *place = *state;
    FILE *file = fopen(place->file, "w");
    assert_non_null(file);
    fputs("[vestige]\nhost = 127.0.0.1\nport = 1\n", file);
    fclose(file);
    struct database_options options = {.defaults_file = place->file};
    refused_connect(&options, -ECONNREFUSED, "at host 127.0.0.1 port 1: ");
    options.socket = "/nonexistent";
    refused_connect(&options, -ECONNREFUSED, "at socket /nonexistent: ");
}

#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PLACE(agent_by_socket),
        WITH_PLACE(agent_by_tcp_in_place_of_an_open_file),
        WITH_PLACE(reader_serves_any_client),
        WITH_PLACE(place_that_no_option_file_can_name),
        cmocka_unit_test(directory_that_is_missing),
        WITH_PLACE(configuration),
        cmocka_unit_test(password_is_wiped),
        cmocka_unit_test(schema_files_are_in_order),
        cmocka_unit_test(connection_that_cannot_be),
        WITH_PLACE(option_file_says_where),
        WITH_PLACE(socket_given_wins_over_host_of_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
