// links: vestige_agent
/* What the tracker is told by the options is told by a recording, too: else a replay gives other
 * rows. */
#include "recorder/agent/recording_settings.h"
#include "recorder/masking/masking.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct tracker_options numbers = {.unaudited_before_ns = UINT64_C(37933974562947),
                                               .settle_ms = 1,
                                               .fork_ms = 2,
                                               .late_s = 3,
                                               .late_mib = 4,
                                               .login_ms = 5,
                                               .host_names_most = 6,
                                               .file_rate = 7,
                                               .files_exclude_programs = "/bin/a /bin/b",
                                               .files_exclude_reads = "/usr/*"};

static void ask_nobody(void *user)
{
    (void)user;
}

static void round_trip(const struct tracker_options *options)
{
    char settings[4096];
    struct recording_lists lists = {0};
    /* Whatever is not read stays what nobody would write. */
    struct tracker_options back = {.settle_ms = 99, .fork_ms = 99, .login_ms = 99, .file_rate = 99};
    recording_settings_write(options, settings, sizeof(settings));
    recording_settings_read(&back, &lists, settings);
    assert_int_equal(back.unaudited_before_ns, options->unaudited_before_ns);
    assert_int_equal(back.settle_ms, options->settle_ms);
    assert_int_equal(back.fork_ms, options->fork_ms);
    assert_int_equal(back.late_s, options->late_s);
    assert_int_equal(back.late_mib, options->late_mib);
    assert_int_equal(back.login_ms, options->login_ms);
    assert_int_equal(back.host_names_most, options->host_names_most);
    assert_int_equal(back.file_rate, options->file_rate);
    assert_int_equal(back.connector_active, options->connector_active);
    assert_int_equal(back.taskstats_active, options->taskstats_active);
    assert_int_equal(back.audit_active, options->audit_active);
    assert_int_equal(back.bpf_active, options->bpf_active);
    assert_int_equal(back.sock_diag_active, options->sock_diag_active);
    assert_int_equal(back.resolver_active, options->resolver_active);
    assert_int_equal(back.kernel_events_active, options->kernel_events_active);
    assert_int_equal(back.programs_active, options->programs_active);
    assert_int_equal(back.utmp_active, options->utmp_active);
    assert_int_equal(back.ask_devices != NULL, options->ask_devices != NULL);
    assert_string_equal(back.files_exclude_programs, options->files_exclude_programs);
    assert_string_equal(back.files_exclude_reads, options->files_exclude_reads);
    assert_int_equal(recording_settings_masking(settings), options->masking != NULL);
    recording_lists_deinit(&lists);
}

/* One source after the other: none is taken for another. */
static void each_option_comes_back(void **state)
{
    (void)state;
    const size_t sources[] = {
        offsetof(struct tracker_options, connector_active),
        offsetof(struct tracker_options, taskstats_active),
        offsetof(struct tracker_options, audit_active),
        offsetof(struct tracker_options, bpf_active),
        offsetof(struct tracker_options, sock_diag_active),
        offsetof(struct tracker_options, resolver_active),
        offsetof(struct tracker_options, kernel_events_active),
        offsetof(struct tracker_options, programs_active),
        offsetof(struct tracker_options, utmp_active),
    };
    round_trip(&numbers);
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        struct tracker_options options = numbers;
        *(bool *)((char *)&options + sources[i]) = true;
        round_trip(&options);
    }
    struct tracker_options devices = numbers;
    devices.ask_devices = ask_nobody;
    round_trip(&devices);
    struct tracker_options masked = numbers;
    struct error_text error;
    assert_int_equal(masking_open(&masked.masking, "", &error), 0);
    round_trip(&masked);
    masking_free(masked.masking);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_option_comes_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
