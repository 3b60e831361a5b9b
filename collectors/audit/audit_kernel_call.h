#pragma once
/*
 * The system calls that are kernel events, by their numbers: one table for the rules that make the
 * kernel write them down and for the decoder. Pure.
 */
#include "core/fact.h"

#include <stddef.h>

enum audit_kernel_call {
    AUDIT_CALL_INIT_MODULE,
    AUDIT_CALL_DELETE_MODULE,
    AUDIT_CALL_MOUNT,
    AUDIT_CALL_MOVE_MOUNT,
    AUDIT_CALL_MOUNT_SETATTR,
    AUDIT_CALL_UMOUNT,
    AUDIT_CALL_PTRACE,
    AUDIT_CALL_SETNS,
    AUDIT_CALL_UNSHARE,
    AUDIT_CALL_CLONE,
    AUDIT_CALL_BPF,
    AUDIT_CALL_IO_URING_SETUP,
    AUDIT_CALL_KEXEC_LOAD,
    AUDIT_CALL_SETTIMEOFDAY,
    AUDIT_CALL_CLOCK_SETTIME,
    AUDIT_CALL_ADJTIMEX,
    AUDIT_KERNEL_CALL_N
};

/* Calls of which only those with a certain first argument are wanted stand in rules of their own:
 * the others are frequent. */
enum audit_kernel_filter {
    AUDIT_KERNEL_ANY,
    AUDIT_KERNEL_ATTACH, /* ptrace: PTRACE_ATTACH */
    AUDIT_KERNEL_SEIZE,  /* ptrace: PTRACE_SEIZE */
    AUDIT_KERNEL_CLONE,  /* clone: any flag of a namespace */
    AUDIT_KERNEL_BPF,    /* bpf: BPF_PROG_LOAD */
    AUDIT_KERNEL_FILTER_N
};

enum { AUDIT_KERNEL_CALLS_MOST = 32 };

/** AUDIT_KERNEL_CALL_N: it is none of them. */
enum audit_kernel_call audit_kernel_call_find(uint32_t arch, uint32_t number);
/** The numbers of the calls that this filter is for. Returns how many. */
size_t audit_kernel_calls(uint32_t arch, enum audit_kernel_filter filter,
                          uint32_t numbers[AUDIT_KERNEL_CALLS_MOST]);
/** What the first argument is compared with; AUDIT_KERNEL_CLONE: bits of which one is enough. */
uint32_t audit_kernel_filter_value(enum audit_kernel_filter filter);
