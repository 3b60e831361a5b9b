/* The names are those of older recordings, which have to stay readable; what a later version adds
 * has a default that gives the rows of before. */
#include "recorder/agent/recording_settings.h"

#include "recorder/masking/masking.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* The words of a setting are divided by blanks, those of a list by tabs. */
static void add_list(const char *name, const char *list, char *settings, size_t size)
{
    size_t length = strlen(settings);
    snprintf(settings + length, size - length, " %s=%s", name, list);
    for (char *at = settings + length + 1; (at = strchr(at, ' '));)
        *at = '\t';
}

static unsigned masking_kind(const struct masking *masking)
{
    if (!masking)
        return RECORDING_UNMASKED;
    return masking_has_own_rules(masking) ? RECORDING_MASKED_BY_OWN_RULES : RECORDING_MASKED;
}

void recording_settings_write(const struct tracker_options *options, char *settings, size_t size)
{
    snprintf(settings, size,
             "connector=%d taskstats=%d audit=%d settle_ms=%u fork_ms=%u unaudited_before=%" PRIu64
             " remember_s=%u remember_mib=%u resolver=%d host_names=%u bpf=%d programs=%d"
             " utmp=%d login_ms=%u masking=%u file_rate=%u kernel_events=%d sock_diag=%d"
             " devices=%d",
             options->connector_active, options->taskstats_active, options->audit_active,
             options->settle_ms, options->fork_ms, options->unaudited_before_ns, options->late_s,
             options->late_mib, options->resolver_active, options->host_names_most,
             options->bpf_active, options->programs_active, options->utmp_active, options->login_ms,
             masking_kind(options->masking), options->file_rate, options->kernel_events_active,
             options->sock_diag_active, options->ask_devices != NULL);
    add_list("exclude_programs", options->files_exclude_programs, settings, size);
    add_list("exclude_reads", options->files_exclude_reads, settings, size);
}

/* "name=number name=number ...": the number, or @p otherwise. */
static uint64_t setting(const char *settings, const char *name, uint64_t otherwise)
{
    size_t length = strlen(name);
    for (const char *at = strstr(settings, name); at; at = strstr(at + 1, name))
        if ((at == settings || at[-1] == ' ') && at[length] == '=')
            return strtoull(at + length + 1, NULL, 10);
    return otherwise;
}

/* A list of words, divided by tabs; NULL: there is none. */
static char *list_setting(const char *settings, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = strstr(settings, name); at; at = strstr(at + 1, name)) {
        if (at == settings || at[-1] != ' ' || at[length] != '=')
            continue;
        char *list = strndup(at + length + 1, strcspn(at + length + 1, " "));
        for (char *tab = list; tab && (tab = strchr(tab, '\t'));)
            *tab = ' ';
        return list;
    }
    return NULL;
}

/* What was answered is in the recording. */
static void ask_nobody(void *user)
{
    (void)user;
}

void recording_settings_read(struct tracker_options *options, struct recording_lists *lists,
                             const char *settings)
{
    options->connector_active = setting(settings, "connector", 1);
    options->taskstats_active = setting(settings, "taskstats", 1);
    options->audit_active = setting(settings, "audit", 1);
    options->bpf_active = setting(settings, "bpf", 0);
    options->sock_diag_active = setting(settings, "sock_diag", 0);
    options->ask_devices = setting(settings, "devices", 0) ? ask_nobody : NULL;
    options->resolver_active = setting(settings, "resolver", 0);
    options->kernel_events_active = setting(settings, "kernel_events", 0);
    options->programs_active = setting(settings, "programs", 0);
    options->login_ms = (unsigned)setting(settings, "login_ms", 0);
    options->utmp_active = setting(settings, "utmp", 0);
    options->host_names_most = (uint32_t)setting(settings, "host_names", 0);
    options->settle_ms = (unsigned)setting(settings, "settle_ms", 250);
    options->fork_ms = (unsigned)setting(settings, "fork_ms", 100);
    options->late_s = (unsigned)setting(settings, "remember_s", 0);
    options->late_mib = (unsigned)setting(settings, "remember_mib", 0);
    options->file_rate = (uint32_t)setting(settings, "file_rate", 0);
    options->unaudited_before_ns = setting(settings, "unaudited_before", 0);
    lists->programs = list_setting(settings, "exclude_programs");
    lists->reads = list_setting(settings, "exclude_reads");
    options->files_exclude_programs = lists->programs;
    options->files_exclude_reads = lists->reads;
}

unsigned recording_settings_masking(const char *settings)
{
    return (unsigned)setting(settings, "masking", RECORDING_MASKED);
}

void recording_lists_deinit(struct recording_lists *lists)
{
    free(lists->programs);
    free(lists->reads);
    *lists = (struct recording_lists){0};
}
