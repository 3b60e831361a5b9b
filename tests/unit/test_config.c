// links: vestige_config
/* The configuration file: every fault is told with its line, and the sample is what the table says.
 */
#include "core/cleanup.h"
#include "recorder/agent/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct config *defaults(void)
{
    struct config *config = NULL;
    assert_int_equal(config_new(&config), 0);
    return config;
}

static void refused_text(struct slice text, const char *message)
{
    struct config *config = defaults();
    struct error_text error = ERROR_TEXT_NULL;
    assert_int_equal(config_parse(config, "f.conf", text, &error), -EINVAL);
    assert_string_equal(error.text, message);
    config_free(config);
}

static void refused(const char *text, const char *message)
{
    refused_text(slice_text(text), message);
}

static struct config *accepted(const char *text)
{
    struct config *config = defaults();
    struct error_text error = ERROR_TEXT_NULL;
    assert_int_equal(config_parse(config, "f.conf", slice_text(text), &error), 0);
    assert_string_equal(error.text, "");
    return config;
}

static void test_defaults(void **state)
{
    (void)state;
    struct config *config = defaults();
    assert_string_equal(config->state_directory, "/var/lib/vestige/agent");
    assert_string_equal(config->defaults_file, "/etc/vestige/agent.cnf");
    assert_int_equal(config->host_id, 0);
    assert_int_equal(config->reader_interval_ms, 20);
    assert_int_equal(config->receive_buffer_kib, 65536);
    assert_int_equal(config->queue_mib, 16);
    assert_string_equal(config->audit_mode, "auto");
    assert_string_equal(config->audit_rules, "own");
    assert_int_equal(config->audit_backlog_limit, 8192);
    assert_string_equal(config->connector_mode, "on");
    assert_string_equal(config->taskstats_mode, "on");
    assert_int_equal(config->proc_interval_ms, 250);
    assert_int_equal(config->proc_full_interval_s, 10);
    assert_int_equal(config->journal_limit_mib, 0);
    assert_int_equal(config->settle_ms, 250);
    assert_int_equal(config->remember_s, 60);
    assert_int_equal(config->remember_mib, 8);
    assert_int_equal(config->fork_ms, 100);
    assert_int_equal(config->retry_first_ms, 200);
    assert_int_equal(config->retry_most_ms, 30000);
    config_free(config);
}

static void test_values(void **state)
{
    (void)state;
    struct config *config = accepted("\xef\xbb\xbf# first\n; second\n\n[agent]\r\n"
                                     "state_directory = /tmp/a b\r\n"
                                     "host_id=9223372036854775807\n"
                                     "[audit]\nmode: guest ; why\n[proc]\n[audit]\nrules=none\n"
                                     "backlog_limit = 1");
    assert_string_equal(config->state_directory, "/tmp/a b");
    assert_int_equal(config->host_id, INT64_MAX);
    assert_string_equal(config->audit_mode, "guest");
    assert_string_equal(config->audit_rules, "none");
    assert_int_equal(config->audit_backlog_limit, 1);
    assert_int_equal(config->proc_interval_ms, 250);
    config_free(config);
    config_free(accepted(""));
}

static void test_unknown_and_doubled(void **state)
{
    (void)state;
    refused("[agent]\nhost_id = 1\n\nstate_dir = /x\n",
            "f.conf:4: unknown key state_dir; in [agent] there are: state_directory, host_id, "
            "defaults_file, signing_key, user, seccomp");
    refused("[agent]\nhost_id = 1\n[proc]\n[agent]\nhost_id = 1\n",
            "f.conf:5: host_id is given twice in [agent]; remove one");
    refused(
        "[agnet]\nhost_id = 1\n",
        "f.conf:1: unknown section [agnet]; there are: agent, reader, audit, connector, "
        "taskstats, proc, sock_diag, bpf, rtnetlink, names, programs, files, devices, accounts, "
        "sessions, kernel_events, masking, journal, process, database");
    refused(
        "# a\n[empty]\n",
        "f.conf:2: unknown section [empty]; there are: agent, reader, audit, connector, "
        "taskstats, proc, sock_diag, bpf, rtnetlink, names, programs, files, devices, accounts, "
        "sessions, kernel_events, masking, journal, process, database");
    refused("host_id = 1\n", "f.conf:1: host_id stands before any [section]; put it below one");
    refused("[audit]\nhost_id = 1\n",
            "f.conf:2: unknown key host_id; in [audit] there are: mode, rules, backlog_limit");
}

/* Lines add up; the first one takes the place of the default. */
static void test_lists(void **state)
{
    (void)state;
    struct config *config = accepted("[files]\nexclude = /a/* /b\nexclude = /c\ninclude = /x\n"
                                     "exclude_reads =\n");
    assert_string_equal(config->files_exclude, "/a/* /b /c");
    assert_string_equal(config->files_include, "/x");
    assert_string_equal(config->files_exclude_reads, "");
    assert_non_null(strstr(config->files_exclude_types, "cgroup2"));
    config_free(config);
    char text[4096] = "[files]\n";
    for (unsigned i = 0; i < 20; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "exclude = /%0119u\n", i);
    refused(text, "f.conf:18: exclude has more than 2047 bytes in all; shorten it");
}

static void test_bad_values(void **state)
{
    (void)state;
    refused("[reader]\ninterval_ms = 9\n",
            "f.conf:2: interval_ms = 9: write a number from 10 to 20, in milliseconds");
    refused("[reader]\ninterval_ms = 21\n",
            "f.conf:2: interval_ms = 21: write a number from 10 to 20, in milliseconds");
    refused("[reader]\ninterval_ms = 15ms\n",
            "f.conf:2: interval_ms = 15ms: write a number from 10 to 20, in milliseconds");
    refused("[reader]\ninterval_ms = -15\n",
            "f.conf:2: interval_ms = -15: write a number from 10 to 20, in milliseconds");
    refused("[reader]\ninterval_ms =\n",
            "f.conf:2: interval_ms = : write a number from 10 to 20, in milliseconds");
    refused("[reader]\ninterval_ms = 18446744073709551631\n", /* 15 + 2 to the 64th */
            "f.conf:2: interval_ms = 18446744073709551631: write a number from 10 to 20, in "
            "milliseconds");
    refused("[agent]\nhost_id = 9223372036854775808\n",
            "f.conf:2: host_id = 9223372036854775808: write a number from 0 to "
            "9223372036854775807");
    refused("[audit]\nmode = gue\n", "f.conf:2: mode = gue: write one of: auto guest off");
    refused("[audit]\nmode = auto guest\n",
            "f.conf:2: mode = auto guest: write one of: auto guest off");
    refused("[audit]\nmode =\n", "f.conf:2: mode = : write one of: auto guest off");
    refused("[audit]\nmode = own\n", "f.conf:2: mode = own: write one of: auto guest off");
    refused("[agent]\nstate_directory = here\n",
            "f.conf:2: state_directory = here: write an absolute path of at most 179 bytes");
    refused("[database]\nretry_first_ms = 500\nretry_most_ms = 400\n",
            "f.conf: retry_first_ms (500) is more than retry_most_ms (400); lower it");
}

static void test_bad_lines(void **state)
{
    (void)state;
    static const char control[] = "[agent]\nhost_id = 1\0\n";
    char path[400] = "[agent]\nstate_directory = /", *end = path + strlen(path);
    refused("[agent]\nhost_id\n", "f.conf:2: neither a [section] nor `key = value`");
    refused("[agent\nhost_id = 1\n", "f.conf:1: neither a [section] nor `key = value`");
    refused("[agent]\nhost_id = 1\n 2\n", "f.conf:3: the line begins with a blank; remove it");
    refused("\n\t[agent]\n", "f.conf:2: the line begins with a blank; remove it");
    refused_text(slice_of(control, sizeof(control) - 1),
                 "f.conf:2: byte 12 is a control character; remove it");
    memset(end, 'x', 180);
    strcpy(end + 180, "\n");
    refused(path, "f.conf:2: the line is longer than 197 bytes; shorten it");
    strcpy(end + 178, "\n"); /* and the longest path is accepted */
    struct config *config = accepted(path);
    assert_int_equal(strlen(config->state_directory), 179);
    config_free(config);
}

static void test_the_first_fault_is_told(void **state)
{
    (void)state;
    refused("[audit]\nmode = x\n[nowhere]\nrules = y\n",
            "f.conf:2: mode = x: write one of: auto guest off");
}

static void test_dump_is_read_again(void **state)
{
    (void)state;
    struct buffer first = BUFFER_NULL, second = BUFFER_NULL;
    struct error_text error = ERROR_TEXT_NULL;
    struct config *config = accepted("[agent]\nhost_id = 77\nstate_directory = /a\n[audit]\n"
                                     "mode = off\n[database]\nretry_most_ms = 3600000\n");
    struct config *again = defaults();
    config_dump(config, &first);
    assert_int_equal(config_parse(again, "dump", buffer_slice(&first), &error), 0);
    config_dump(again, &second);
    assert_true(slice_equal(buffer_slice(&first), buffer_slice(&second)));
    assert_int_equal(again->host_id, 77);
    assert_string_equal(again->state_directory, "/a");
    assert_string_equal(again->audit_mode, "off");
    assert_int_equal(again->retry_most_ms, 3600000);
    buffer_deinit(&first);
    buffer_deinit(&second);
    config_free(config);
    config_free(again);
}

static void test_sample_is_the_dump(void **state)
{
    (void)state;
    struct buffer dump = BUFFER_NULL;
    struct config *config = defaults();
    static char sample[1 << 16];
    FILE *file = fopen(TEST_DATA "/../../deploy/vestiged.conf", "re");
    assert_non_null(file);
    size_t length = fread(sample, 1, sizeof(sample), file);
    fclose(file);
    config_dump(config, &dump);
    assert_int_equal(length, dump.length);
    assert_memory_equal(sample, dump.data, length);
    config_free(config);
    config = NULL;
    struct error_text error = ERROR_TEXT_NULL;
    assert_int_equal(config_load(&config, TEST_DATA "/../../deploy/vestiged.conf", &error), 0);
    config_free(config);
    buffer_deinit(&dump);
}

static void test_files(void **state)
{
    (void)state;
    struct config *config = NULL;
    struct error_text error = ERROR_TEXT_NULL;
    assert_int_equal(config_load(&config, "/nonexistent/f.conf", &error), -ENOENT);
    assert_string_equal(error.text, "/nonexistent/f.conf: cannot read it: No such file or "
                                    "directory");
    assert_int_equal(config_load(&config, "/", &error), -EISDIR);
    assert_int_equal(config_load(&config, "/dev/zero", &error), -EINVAL);
    assert_string_equal(error.text, "/dev/zero: larger than 64 KiB; this is no configuration of "
                                    "vestiged");
    assert_null(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_unknown_and_doubled),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_the_first_fault_is_told),
        cmocka_unit_test(test_dump_is_read_again),
        cmocka_unit_test(test_sample_is_the_dump),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
