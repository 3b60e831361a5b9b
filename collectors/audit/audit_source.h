#pragma once
/*
 * The kernel's audit subsystem (NETLINK_AUDIT): who ran what, with which arguments, and logins.
 *
 * Nobody else owns audit: the source registers as its daemon (mode `owner`) and excludes record
 * types that nobody here needs. Somebody does: it reads the multicast group and adds only rules of
 * its own (mode `guest`). It follows changes of the owner while it runs: for another daemon it lets
 * go of everything at once; when the other one leaves, it takes over after a few seconds (a daemon
 * that restarts comes back sooner). All changes are undone by stop, also those of a killed run.
 *
 * Modes in its notes: owner; guest; guest-immutable (rules cannot be changed until the next boot);
 * off (audit is disabled by its owner, or was let go of for another daemon that is starting). Other
 * notes: see audit_decoder.h.
 *
 * Needs CAP_AUDIT_CONTROL for as long as it runs, and CAP_AUDIT_READ as guest.
 */
#include "collectors/source.h"

extern const struct source_ops audit_source;
