#pragma once
/*
 * What was in the kernel before we changed it, in the file `audit_state` of the state directory. It
 * is written before the first change and removed after the last one was undone, so that a start
 * after kill -9 finds it. Text, one `name value` a line:
 *
 *   vestige-audit-state 1
 *   boot BOOT_ID          from /proc/sys/kernel/random/boot_id: kernel state ends with the boot
 *   pid N                 who registered: the agent
 *   owner 0|1             whether audit was taken over, or only rules were added
 *   former_enabled N, former_backlog_limit N, former_backlog_wait_time N
 *   set_backlog_limit N   what it was changed to; put back only if it is still that
 *   former_rule HEX       struct audit_rule_data, one line a rule
 *   added_rule HEX        rules that are ours and are to be deleted
 *   end
 */
#include "collectors/audit/audit_rules.h"
#include "core/error.h"

struct audit_state {
    char boot_id[40];
    uint32_t pid;
    uint32_t owner; /* 0 or 1 */
    uint32_t former_enabled, former_backlog_limit, former_backlog_wait_time;
    uint32_t set_backlog_limit;
    struct audit_rules former_rules, added_rules;
};

#define AUDIT_STATE_NULL                                                                           \
    {                                                                                              \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

void audit_state_deinit(struct audit_state *self);
/** The id of this boot; empty when it cannot be read. */
void audit_state_read_boot_id(char boot_id[40]);
/** Durable when it returns 0. */
int audit_state_save(const struct audit_state *self, const char *directory,
                     struct error_text *error) MUST_CHECK;
/** Returns 0; -ENOENT when there is none; -EBADMSG when it cannot be understood; other errors. */
int audit_state_load(struct audit_state *self, const char *directory) MUST_CHECK;
int audit_state_remove(const char *directory) MUST_CHECK;
