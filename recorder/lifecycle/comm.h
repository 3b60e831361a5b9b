#pragma once
/* The name of a task, as the kernel keeps it: up to 15 bytes, filled up with zeros; "": unknown. */
#include "core/slice.h"

static inline void comm_set(char comm[16], struct slice bytes)
{
    memset(comm, 0, 16);
    if (bytes.length)
        memcpy(comm, bytes.data, bytes.length < 16 ? bytes.length : 16);
}

static inline struct slice comm_slice(const char comm[16])
{
    return comm[0] ? slice_of(comm, strnlen(comm, 16)) : SLICE_NULL;
}
