// links: vestige_audit
/* The saved state comes back as it was, or not at all; rules are compared as a whole. */
#include "collectors/audit/audit_state.h"
#include "collectors/audit/audit_type.h"

#include "audit_test.h"

#include <sys/stat.h>
#include <unistd.h>

struct directory {
    char path[64];
};

static int setup(void **state)
{
    struct directory *directory = calloc(1, sizeof(*directory));
    if (!directory)
        return -1;
    strcpy(directory->path, "/tmp/vestige-test-XXXXXX");
    *state = directory;
    return mkdtemp(directory->path) ? 0 : -1;
}

static int teardown(void **state)
{
    struct directory *directory = *state;
    assert_int_equal(audit_state_remove(directory->path), 0);
    assert_int_equal(rmdir(directory->path), 0); /* nothing else was left in it */
    free(directory);
    return 0;
}

static struct audit_state example(void)
{
    struct audit_state state = {.boot_id = "1-2-3",
                                .pid = 77,
                                .owner = 1,
                                .former_enabled = 0,
                                .former_backlog_limit = 64,
                                .former_backlog_wait_time = UINT32_MAX,
                                .set_backlog_limit = 8192};
    assert_int_equal(audit_rules_append_keyed(&state.added_rules, true), 0);
    assert_int_equal(audit_rules_append_exclusions(&state.former_rules, false), 0);
    return state;
}

static void test_round_trip(void **state)
{
    const struct directory *directory = *state;
    struct audit_state saved = example(), loaded = AUDIT_STATE_NULL;
    assert_int_equal(audit_state_load(&loaded, directory->path), -ENOENT);
    assert_int_equal(audit_state_save(&saved, directory->path, NULL), 0);
    assert_int_equal(audit_state_save(&saved, directory->path, NULL), 0);
    assert_int_equal(audit_state_load(&loaded, directory->path), 0);
    assert_string_equal(loaded.boot_id, "1-2-3");
    assert_int_equal(loaded.pid, 77);
    assert_int_equal(loaded.owner, 1);
    assert_int_equal(loaded.former_enabled, 0);
    assert_int_equal(loaded.former_backlog_limit, 64);
    assert_int_equal(loaded.former_backlog_wait_time, UINT32_MAX);
    assert_int_equal(loaded.set_backlog_limit, 8192);
    assert_int_equal(loaded.added_rules.n, saved.added_rules.n);
    assert_int_equal(loaded.former_rules.n, saved.former_rules.n);
    for (size_t i = 0; i < saved.added_rules.n; i++)
        assert_true(audit_rule_equal(loaded.added_rules.list[i], saved.added_rules.list[i]));
    for (size_t i = 0; i < saved.former_rules.n; i++)
        assert_true(audit_rules_contain(&loaded.former_rules, saved.former_rules.list[i]));
    audit_state_deinit(&saved);
    audit_state_deinit(&loaded);
}

static void write_file(const struct directory *directory, const char *text, size_t length)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/audit_state", directory->path);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* A file that ends too early, at whatever byte, is refused. */
/* Nobody reads or writes them: opening one for that would never return. */
static void test_pipes_in_their_place(void **state)
{
    const struct directory *directory = *state;
    struct audit_state saved = example(), loaded = AUDIT_STATE_NULL;
    char path[96];
    snprintf(path, sizeof(path), "%s/audit_state", directory->path);
    assert_int_equal(mkfifo(path, 0600), 0);
    alarm(60);
    assert_int_equal(audit_state_load(&loaded, directory->path), -EBADMSG);
    snprintf(path, sizeof(path), "%s/audit_state.new", directory->path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(audit_state_save(&saved, directory->path, NULL), 0);
    assert_int_equal(audit_state_load(&loaded, directory->path), 0);
    alarm(0);
    assert_int_equal(loaded.pid, 77);
    audit_state_deinit(&saved);
    audit_state_deinit(&loaded);
}

static void test_cut_file(void **state)
{
    const struct directory *directory = *state;
    struct audit_state saved = example(), loaded;
    assert_int_equal(audit_state_save(&saved, directory->path, NULL), 0);
    char path[128], text[65536];
    snprintf(path, sizeof(path), "%s/audit_state", directory->path);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t length = fread(text, 1, sizeof(text), file);
    fclose(file);
    for (size_t cut = 0; cut < length; cut += cut < 400 ? 1 : 977) {
        write_file(directory, text, cut);
        assert_int_equal(audit_state_load(&loaded, directory->path), -EBADMSG);
    }
    audit_state_deinit(&saved);
}

static void test_bad_files(void **state)
{
    const struct directory *directory = *state;
    static const char *const bad[] = {
        "",
        "vestige-audit-state 2\nend\n",
        "vestige-audit-state 1\nunknown 1\nend\n",
        "vestige-audit-state 1\npid -1\nend\n",
        "vestige-audit-state 1\npid 4294967296\nend\n",
        "vestige-audit-state 1\npid 1x\nend\n",
        "vestige-audit-state 1\nadded_rule 00\nend\n",
        "vestige-audit-state 1\nadded_rule 0\nend\n",
        "vestige-audit-state 1\nadded_rule xx\nend\n",
        "vestige-audit-state 1\nboot 0123456789012345678901234567890123456789\nend\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct audit_state loaded;
        write_file(directory, bad[i], strlen(bad[i]));
        assert_int_equal(audit_state_load(&loaded, directory->path), -EBADMSG);
    }
}

static void test_directory_that_is_missing(void **state)
{
    (void)state;
    struct audit_state saved = example();
    struct error_text error = ERROR_TEXT_NULL;
    assert_int_equal(audit_state_save(&saved, "/nonexistent", &error), -ENOENT);
    assert_non_null(strstr(error.text, "/nonexistent/audit_state"));
    audit_state_deinit(&saved);
}

static void test_rules(void **state)
{
    (void)state;
    struct audit_rules rules = AUDIT_RULES_NULL;
    assert_int_equal(audit_rules_append_keyed(&rules, true), 0);
    size_t n_keyed = rules.n;
    assert_int_equal(audit_rules_append_exclusions(&rules, false), 0);
    for (size_t i = 0; i < rules.n; i++) {
        assert_int_equal(audit_rule_is_keyed(rules.list[i]), i < n_keyed);
        assert_false(audit_rule_is_task_never(rules.list[i]));
    }
    struct audit_rule_data never = {.flags = AUDIT_FILTER_TASK, .action = AUDIT_NEVER};
    assert_true(audit_rule_is_task_never(&never));
    assert_false(audit_rules_contain(&rules, &never));
    never.buflen = 1; /* more than there is */
    assert_int_equal(audit_rules_append(&rules, &never, sizeof(never)), -EBADMSG);
    assert_int_equal(audit_rules_append(&rules, &never, sizeof(never) - 1), -EBADMSG);
    never = (struct audit_rule_data){.field_count = 1,
                                     .fields = {AUDIT_FILTERKEY},
                                     .values = {7}}; /* a key that is not in the buffer */
    assert_false(audit_rule_is_keyed(&never));
    audit_rules_deinit(&rules);
}

static void test_types(void **state)
{
    (void)state;
    assert_string_equal(audit_type_name(AUDIT_EXECVE), "EXECVE");
    assert_string_equal(audit_type_name(AUDIT_EVENT_LISTENER), "EVENT_LISTENER");
    assert_string_equal(audit_type_name(AUDIT_USER_AVC), "USER_AVC");
    assert_string_equal(audit_type_name(AUDIT_USER_TTY), "USER_TTY");
    assert_string_equal(audit_type_name(1131), "SERVICE_STOP");
    assert_null(audit_type_name(1132));
    assert_null(audit_type_name(1301));
    assert_null(audit_type_name(0));
    assert_null(audit_type_name(UINT16_MAX));
    for (unsigned type = 0; type <= UINT16_MAX; type++)
        assert_in_range(audit_type_use((uint16_t)type), AUDIT_USE_SKIP, AUDIT_USE_CONTROL);
    assert_int_equal(audit_type_use(AUDIT_CWD), AUDIT_USE_EXEC);
    assert_int_equal(audit_type_use(AUDIT_REPLACE), AUDIT_USE_CONTROL);
    assert_int_equal(audit_type_use(AUDIT_GET), AUDIT_USE_CONTROL);
    assert_int_equal(audit_type_use(AUDIT_LOGIN), AUDIT_USE_LOGIN);
    assert_int_equal(audit_type_use(AUDIT_PATH), AUDIT_USE_KERNEL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip),
        TEST(test_cut_file),
        TEST(test_bad_files),
        TEST(test_directory_that_is_missing),
        TEST(test_pipes_in_their_place),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
