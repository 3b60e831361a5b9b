#pragma once
/*
 * Exec events, put together from their records by serial. Events interleave, so several are open at
 * a time; their number and their memory are bounded. Pure.
 */
#include "collectors/audit/audit_record.h"
#include "core/fact.h"

#define AUDIT_EVENT_SLOTS 256
#define AUDIT_EVENT_MEMORY                                                                         \
    (8u * 1024 * 1024) /* bytes, arguments of all open events; one exec has at                     \
                          most 6 MiB of them */

struct audit_event_set;

int audit_event_set_new(struct audit_event_set **setp) MUST_CHECK;
struct audit_event_set *audit_event_set_free(struct audit_event_set *set);
enum { AUDIT_EVENT_TAKEN = 0, AUDIT_EVENT_OTHER = 1 };

/** Take a SYSCALL, EXECVE, CWD or EOE record that was read at @p boot_ns, and hand out what it
 *  completes, and events that have waited too long. Returns AUDIT_EVENT_TAKEN; AUDIT_EVENT_OTHER
 * for a SYSCALL record that is of no exec; or -EBADMSG. */
int audit_event_set_add(struct audit_event_set *set, const struct audit_record *record,
                        uint64_t boot_ns, fact_handler handler, void *user) MUST_CHECK;
/** Hand out the events that wait for records since before @p before_ns. */
void audit_event_set_expire(struct audit_event_set *set, uint64_t before_ns, fact_handler handler,
                            void *user);
