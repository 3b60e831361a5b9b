#pragma once
/*
 * The changes that Vestige makes to the kernel's audit state, and their undoing. What was there
 * before is saved first (audit_state.h); a state file that a killed run left behind is taken over.
 */
#include "collectors/audit/audit_control.h"
#include "collectors/audit/audit_state.h"
#include "collectors/netlink/netlink_socket.h"

enum { AUDIT_SETUP_LOCKED = 2 }; /* `enabled`: nothing can be changed before the next boot */

struct audit_setup {
    struct audit_control control;
    char *directory;        /* for the state file; NULL: none is kept. Owned */
    bool wants_rules;       /* whether our keyed rules are to be loaded */
    bool wants_sockets;     /* among them those of calls on sockets */
    bool wants_kernel;      /* and those of kernel events */
    bool wants_paths;       /* PATH records are made */
    uint32_t backlog_limit; /* as owner, at least; 0: leave it */
    struct audit_state state;
    bool changed;         /* there is something to undo: `state` is valid */
    bool cannot_repair;   /* rules are not recognised in the list of the kernel */
    size_t n_missing;     /* rules that the last audit_setup_repair had to put back */
    size_t n_suppressing; /* rules of others by which records are not made, when last looked */
    size_t n_keyed;       /* of our keyed rules that the kernel has */
    int *held;            /* the socket of a registered process that is gone; NULL: none */
};

/** Opens the control socket and takes over a state file of this boot. */
int audit_setup_open(struct audit_setup *self, const struct source_options *options,
                     struct error_text *error) MUST_CHECK;
/** For undoing alone: opens the control socket and takes over the state file, if the process @p pid
 *  wrote it (`changed` says so). */
int audit_setup_inherit(struct audit_setup *self, const char *directory, uint32_t pid,
                        struct error_text *error) MUST_CHECK;
/** Does not undo anything. */
void audit_setup_close(struct audit_setup *self);

/** Whether somebody else, who is alive, is registered. */
bool audit_setup_has_other_owner(const struct audit_setup *self, const struct audit_status *status);

/** Register @p events as the socket of audit's daemon, exclude record types, load rules, enable.
 *  Returns -EEXIST when somebody else is registered. After an error: audit_setup_restore. */
int audit_setup_own(struct audit_setup *self, struct netlink_socket *events,
                    struct error_text *error) MUST_CHECK;
/** Load our keyed rules, and change nothing else. */
int audit_setup_visit(struct audit_setup *self, struct error_text *error) MUST_CHECK;
/** Where nothing can be changed: count our keyed rules that are there. */
int audit_setup_look(struct audit_setup *self, struct error_text *error) MUST_CHECK;
/** Put back those of our rules that somebody has deleted, and as a guest move ours behind those of
 *  others: the kernel gives an event the key of the first rule that matches. The number of rules
 *  put back or moved, or an error. */
int audit_setup_repair(struct audit_setup *self) MUST_CHECK;
/** Register again: the kernel lost the connection. */
int audit_setup_register(struct audit_setup *self, struct netlink_socket *events) MUST_CHECK;
/** Undo everything: rules, enabled, then wait until the kernel has sent what it has, backlog, pid.
 *  What others have changed meanwhile stays. When audit was made immutable, only the pid can be
 *  taken back; a warning says what stays. */
void audit_setup_restore(struct audit_setup *self);
