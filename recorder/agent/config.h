#pragma once
/*
 * The agent's configuration: an INI file, described by one table in config_keys.c that also makes
 * the sample in deploy/ and the output of `vestiged --dump-config`.
 */
#include "core/buffer.h"
#include "core/error.h"

#include <stdint.h>

enum {
    CONFIG_FILE_MOST = 64 << 10, /* bytes of a file */
    CONFIG_PATH_SIZE = 180,      /* a path with its terminator */
    CONFIG_LIST_SIZE = 2048      /* words, each with a blank or the terminator behind it */
};

#define SIGNING_KEY_DEFAULT "/etc/vestige/signing.key"

/* Words point to constants. */
struct config {
    char state_directory[CONFIG_PATH_SIZE];
    char defaults_file[CONFIG_PATH_SIZE];
    char signing_key[CONFIG_PATH_SIZE];
    uint64_t host_id;            /* 0: unset */
    char user[CONFIG_PATH_SIZE]; /* empty: stays who starts it */
    const char *seccomp;         /* on, log, off */

    uint32_t reader_interval_ms;
    uint32_t receive_buffer_kib;
    uint32_t queue_mib;

    const char *audit_mode;  /* auto, guest, off */
    const char *audit_rules; /* own, none */
    uint32_t audit_backlog_limit;

    const char *connector_mode; /* on, off */
    const char *taskstats_mode; /* on, off */

    uint32_t proc_interval_ms;
    uint32_t proc_full_interval_s;

    const char *sock_diag_mode; /* on, off */
    uint32_t sock_diag_interval_s;
    const char *bpf_mode;       /* on, off */
    const char *rtnetlink_mode; /* on, off */

    const char *resolve_mode; /* on, off */
    char name_servers[CONFIG_PATH_SIZE];
    uint32_t name_timeout_ms;
    uint32_t name_cache_entries;
    uint32_t user_keep_s, user_absent_s;

    const char *programs_hash; /* on, off */
    uint32_t programs_largest_mib;

    const char *files_mode; /* auto, inotify, off */
    char files_include[CONFIG_LIST_SIZE];
    char files_exclude[CONFIG_LIST_SIZE];
    char files_exclude_reads[CONFIG_LIST_SIZE];
    char files_exclude_types[CONFIG_LIST_SIZE];
    char files_exclude_programs[CONFIG_LIST_SIZE];
    char files_trees[CONFIG_LIST_SIZE];
    uint32_t files_rate_per_program; /* 0: no limit */
    uint32_t files_scan_interval_s;

    const char *devices_mode;  /* on, off */
    const char *accounts_mode; /* on, off */
    char accounts_directory[CONFIG_PATH_SIZE];
    const char *sessions_mode; /* on, off */
    char sessions_utmp[CONFIG_PATH_SIZE];
    char sessions_wtmp[CONFIG_PATH_SIZE];
    char sessions_btmp[CONFIG_PATH_SIZE];
    uint32_t sessions_merge_ms;
    const char *kernel_events_mode;  /* on, off */
    const char *kernel_events_paths; /* on, off */

    const char *masking_mode; /* on, off */
    char masking_rules[CONFIG_PATH_SIZE];

    uint32_t journal_limit_mib; /* 0: automatic */

    uint32_t settle_ms;
    uint32_t remember_s;
    uint32_t remember_mib;
    uint32_t fork_ms;

    uint32_t retry_first_ms, retry_most_ms;
};

/** The defaults. */
int config_new(struct config **configp) MUST_CHECK;
/** The defaults, overlaid by the file at @p path. -ENOENT: there is no such file; -EINVAL: its
 *  contents; @p error says file, line and what to do. */
int config_load(struct config **configp, const char *path, struct error_text *error) MUST_CHECK;
/** Overlay @p config by @p text, which came from a file called @p name. Returns 0, -EINVAL with
 *  @p error set, or another error. After an error @p config holds what came before the fault. */
int config_parse(struct config *config, const char *name, struct slice text,
                 struct error_text *error) MUST_CHECK;
/** The configuration as a file that config_load reads, with its help as comments. */
void config_dump(const struct config *config, struct buffer *to);
struct config *config_free(struct config *config);
