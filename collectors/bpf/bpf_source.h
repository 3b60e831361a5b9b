#pragma once
/*
 * BPF: who opened, accepted or uses a socket, exactly, with the socket's cookie, and the states of
 * TCP connections with the bytes of their payload. What the programs see and do not see stands at
 * the top of socket_programs.bpf.c.
 *
 * bpf_none.c takes its place in a build without clang or libbpf: it cannot be opened, and decodes
 * what others recorded.
 */
#include "collectors/source.h"

extern const struct source_ops bpf_source;

/** Descriptor of the map of the last signals to the agent (BPF_SIGNALS_SIZE bytes, to be mapped by
 *  whoever outlives it); stays the source's. -1: there is none. */
int bpf_source_signals(const struct source *source);
