#pragma once
/* FNV-1a, for tables in memory. Whoever chooses the bytes can make them fall together. */
#include "core/slice.h"

#define HASH_START UINT64_C(0xcbf29ce484222325)

/** The hash of what gave @p hash (at first HASH_START) and @p bytes behind it. */
static inline uint64_t hash_slice(uint64_t hash, struct slice bytes)
{
    for (size_t i = 0; i < bytes.length; i++)
        hash = (hash ^ bytes.data[i]) * UINT64_C(0x100000001b3);
    return hash;
}
