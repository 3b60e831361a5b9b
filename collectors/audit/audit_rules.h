#pragma once
/*
 * Filter rules in the kernel's own form (struct audit_rule_data): a list of them, and the rules of
 * Vestige. Rules are compared as the kernel compares them: all but the order in the list.
 */
#include "core/buffer.h"

#include <linux/audit.h>

#define AUDIT_RULES_KEY "vestige"

struct audit_rules {
    struct audit_rule_data **list; /* owned */
    size_t n;
};

#define AUDIT_RULES_NULL                                                                           \
    {                                                                                              \
        0                                                                                          \
    }

size_t audit_rule_size(const struct audit_rule_data *rule);
bool audit_rule_equal(const struct audit_rule_data *a, const struct audit_rule_data *b);
/** Whether the rule has our key. */
bool audit_rule_is_keyed(const struct audit_rule_data *rule);
/** Whether the rule keeps tasks from ever having an audit context (`-a task,never`). */
bool audit_rule_is_task_never(const struct audit_rule_data *rule);
/** Whether the rule is there so that records are not made: a type of them, or those of some calls
 * or tasks. */
bool audit_rule_suppresses(const struct audit_rule_data *rule);
/** Whether the rule stands in the list that is looked through at the end of a system call. */
bool audit_rule_is_exit(const struct audit_rule_data *rule);

void audit_rules_deinit(struct audit_rules *self);
/** Append a copy of the rule in @p size bytes at @p data (any alignment). Returns 0, -ENOMEM, or
 *  -EBADMSG when it is no whole rule. */
int audit_rules_append(struct audit_rules *self, const void *data, size_t size) MUST_CHECK;
bool audit_rules_contain(const struct audit_rules *self, const struct audit_rule_data *rule);
/** Append @p rule with its first two fields, which have no string, exchanged: it matches the same,
 *  and the kernel takes it for another rule. */
int audit_rules_append_twin(struct audit_rules *self,
                            const struct audit_rule_data *rule) MUST_CHECK;
/** Remove the first @p n rules. */
void audit_rules_drop_first(struct audit_rules *self, size_t n);
/** Whether a rule of somebody else stands behind one of ours in the list of system calls' ends. */
bool audit_rules_precede_others(const struct audit_rules *self);

/** Append our rules of what is to be recorded, for each system call table of this machine:
 * successful execs, and with @p sockets calls with an IPv4 or IPv6 address, and accepts without
 * one. */
int audit_rules_append_keyed(struct audit_rules *self, bool sockets) MUST_CHECK;
/** Append our rules of kernel events (audit_kernel_call.h), whether they succeed or not. */
int audit_rules_append_kernel(struct audit_rules *self) MUST_CHECK;
/** Append the rules of an owner: record types that are not made at all; with @p paths PATH is
 *  made. */
int audit_rules_append_exclusions(struct audit_rules *self, bool paths) MUST_CHECK;
