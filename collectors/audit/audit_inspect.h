#pragma once
/*
 * How audit is set up on this host, for `vestige doctor`. Reads only.
 */
#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct audit_inspection {
    uint32_t enabled;   /* 0 off, 1 on, 2 on and locked until the next boot */
    uint32_t owner_pid; /* 0: nobody */
    uint32_t backlog_limit, backlog_wait_time, lost;
    size_t n_rules;     /* all rules */
    size_t n_own_rules; /* those with our key */
    bool task_never;    /* a rule keeps new tasks from having an audit context: they are not seen */
    bool on_at_boot;    /* audit=1 on the kernel's command line: no task is older than audit */
    bool off_at_boot;   /* audit=0 */
};

/** Needs CAP_AUDIT_CONTROL. */
int audit_inspect(struct audit_inspection *inspection, struct error_text *error) MUST_CHECK;
