#pragma once
/*
 * The signals that were sent to agent and guard, and their moves. Those of the agent
 * before, which it could not read any more because it was killed, are in a file of the state
 * directory, written by the guard.
 */
#include "collectors/bpf/bpf_record.h"
#include "collectors/source.h"

#define BPF_SIGNALS_FILE "last_signals" /* as in collectors/audit/audit_guard.h */

struct bpf_signal_list {
    struct bpf_signals *shared;                 /* with the programs */
    struct bpf_record before[BPF_SIGNALS_MOST]; /* of the agent before */
    size_t n_before, n_before_taken;
    uint64_t n_overwritten; /* before they were read */
};

/** @p shared stays the programs'. Takes the file of @p state_directory (NULL: none) and removes it.
 */
void bpf_signals_init(struct bpf_signal_list *list, struct bpf_signals *shared,
                      const char *state_directory);
/** All that are complete into the gulp. Returns 0 or -ENOBUFS. */
int bpf_signals_drain(struct bpf_signal_list *list, struct gulp *gulp, uint64_t now_ns) MUST_CHECK;
