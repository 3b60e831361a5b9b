#pragma once
/* One setting that `vestige server check` looks at: what to ask the server, and what to tell. */
#include "reports/server/server_settings.h"

/* Expressions may use f.version, f.hosts (enrolled ones) and f.networked. */
struct setting_check {
    struct server_setting setting;
    const char *found;  /* SQL: what is there */
    const char *right;  /* SQL: whether that is right */
    const char *wanted; /* SQL, where it depends on the server; NULL: as `setting` says */
};

/* Of server_audit, the plugin that logs who reads. */
extern const struct setting_check reader_log_checks[];
extern const size_t reader_log_checks_n;
