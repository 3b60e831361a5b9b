#pragma once
/*
 * A small audit kernel for tests: what a program sends to netlink's audit is answered by rules and
 * settings in memory, with the kernel's own answers and error codes. The code under test is the
 * whole collector; the linker replaces only its system calls (fake_audit.c). The state is shared
 * with children of the test, so that an agent that is killed is a child that ends without a word.
 */
#include <linux/audit.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { FAKE_AUDIT_RULES_MOST = 32, FAKE_AUDIT_RULE_SIZE = sizeof(struct audit_rule_data) + 64 };

struct fake_audit_rule {
    uint32_t size;
    _Alignas(8) uint8_t bytes[FAKE_AUDIT_RULE_SIZE]; /* as it was given */
};

struct fake_audit {
    struct audit_status status; /* pid: who is registered */
    struct fake_audit_rule rules[FAKE_AUDIT_RULES_MOST];
    size_t n_rules;
    uint64_t clock_offset_ns; /* what the code under test reads is so much later */
    unsigned n_refused;       /* requests answered with EPERM */
    unsigned n_printed;       /* records that went to the kernel log, as nobody was registered */
    unsigned n_unwatched;     /* changes after which no rule recorded execs */
};

/** Off, without rules and owner, as after a boot. */
struct fake_audit *fake_audit_new(void);
void fake_audit_free(void);

/** What another daemon does: -EEXIST while the one that is registered lives; it is told. */
int fake_audit_register(pid_t pid);
/** What auditctl does. @p key: of a rule that records execs. */
int fake_audit_add_rule(const char *key);
int fake_audit_delete_rules(void);
int fake_audit_set_enabled(uint32_t enabled);
/** The key of the first rule that records execs; NULL: none. */
const char *fake_audit_exec_key(void);
/** Rules with this key in the list of system calls. */
size_t fake_audit_count_rules(const char *key);
