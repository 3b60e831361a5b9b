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
