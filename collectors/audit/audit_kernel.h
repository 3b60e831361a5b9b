#pragma once
/*
 * Kernel events from their records: FACT_KERNEL_EVENT at once with the SYSCALL record, and
 * FACT_KERNEL_TARGET with each record behind it that says more. Bounded: of the calls whose records
 * are still to come the oldest are given up. Pure.
 */
#include "collectors/audit/audit_record.h"
#include "core/fact.h"

struct audit_kernel_set;

int audit_kernel_set_new(struct audit_kernel_set **setp) MUST_CHECK;
struct audit_kernel_set *audit_kernel_set_free(struct audit_kernel_set *set);
enum { AUDIT_KERNEL_SET_TAKEN = 0, AUDIT_KERNEL_SET_OTHER = 1 };

/** Take a SYSCALL, BPF, CONFIG_CHANGE, KERN_MODULE, TIME_INJOFFSET, TIME_ADJNTPVAL, OBJ_PID, CWD or
 * PATH record. Returns AUDIT_KERNEL_SET_TAKEN; AUDIT_KERNEL_SET_OTHER for a SYSCALL record of
 * another call; or -EBADMSG. */
int audit_kernel_set_add(struct audit_kernel_set *set, const struct audit_record *record,
                         uint64_t boot_ns, fact_handler handler, void *user) MUST_CHECK;
