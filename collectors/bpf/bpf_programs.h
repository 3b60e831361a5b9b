#pragma once
/*
 * The programs in the kernel: chosen by what this kernel takes, loaded, attached. They are gone
 * with their descriptors, also after kill -9.
 */
#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bpf_programs;
struct bpf_signals;

/** @p ring_size: bytes, a power of two and a multiple of the page's size. @p guard_pid: of the
 * agent's guard, 0: there is none. */
int bpf_programs_new(struct bpf_programs **programsp, size_t ring_size, uint32_t guard_pid,
                     struct error_text *error) MUST_CHECK;
/** Detach all. What is in the ring stays there. */
void bpf_programs_detach(struct bpf_programs *programs);
struct bpf_programs *bpf_programs_free(struct bpf_programs *programs);

/** Descriptor of the ring's map; stays the programs'. */
int bpf_programs_ring(const struct bpf_programs *programs);
/** What sees accepts, for a person; a constant. */
const char *bpf_programs_accept_name(const struct bpf_programs *programs);
/** What sees datagrams, likewise. */
const char *bpf_programs_datagram_name(const struct bpf_programs *programs);

/** The signals to agent and guard, and the descriptor of their map, which stay the programs'. */
struct bpf_signals *bpf_programs_signals(const struct bpf_programs *programs, int *fd);
/** Records that found no room in the ring, in all. Costs nothing. */
uint64_t bpf_programs_lost(const struct bpf_programs *programs);
/** Accepts for which the kernel did not run the program, in all; false where it does not say. One
 *  system call. */
bool bpf_programs_missed(const struct bpf_programs *programs, uint64_t *n);
