#pragma once
/*
 * For the case that the agent is killed. Nobody reads audit's records then, and the kernel writes
 * them to its log until an agent is started again. So a second process, the guard, waits for the
 * end of the agent. Until then it does nothing but hold the socket to which the kernel sends
 * records: while that is open they are not printed. Then it puts audit back, as the agent itself
 * would have. The next agent waits until the guard of the one before has ended.
 *
 * Agent and guard have one end each of a pair of unix sockets of sequenced packets, the channel.
 */
#include "core/error.h"

#include <stdint.h>

#define AUDIT_GUARD_WORDS_SIZE 8192
#define AUDIT_GUARD_WORDS_FILE "last_signals"

/** In the guard: returns when the agent has ended and audit is as it was before. @p agent_pid:
 * whose changes are undone; those of others, and of later runs, are not. */
void audit_guard_run(int channel, const char *state_directory, uint32_t agent_pid);

/** In the agent: wait until the guard watches over the state directory alone. -ETIMEDOUT: another
 *  guard still does. */
int audit_guard_take_place(int channel, unsigned timeout_ms) MUST_CHECK;
/** The socket to hold instead of the one of before; -1: none. Without a guard (@p channel 0) or
 *  with one that has ended nothing happens. */
void audit_guard_hold(int channel, int fd);
/** Shared memory of AUDIT_GUARD_WORDS_SIZE bytes, of which @p fd is the descriptor, -1: none. If
 * the agent is killed, it is written to the file AUDIT_GUARD_WORDS_FILE of the state directory. */
void audit_guard_keep(int channel, int fd);
/** There is nothing left to put back. */
void audit_guard_end(int channel);
