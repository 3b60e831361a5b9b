#pragma once
/*
 * Events of system calls that name a peer or take a connection: SYSCALL and SOCKADDR records become
 * FACT_AUDIT_SOCKET. Bounded: of the calls whose SOCKADDR is missing, the oldest is given up.
 */
#include "collectors/audit/audit_record.h"
#include "core/fact.h"

struct audit_socket_set;

int audit_socket_set_new(struct audit_socket_set **setp) MUST_CHECK;
struct audit_socket_set *audit_socket_set_free(struct audit_socket_set *set);
/** SYSCALL (of calls that are no exec) and SOCKADDR records. Returns 0 or -EBADMSG. */
int audit_socket_set_add(struct audit_socket_set *set, const struct audit_record *record,
                         uint64_t boot_ns, fact_handler handler, void *user) MUST_CHECK;
