#pragma once
/* Sets of capabilities that are released at the end of their scope. */
#include "core/error.h"

#include <sys/capability.h>

static inline void cleanup_capabilities(cap_t *capabilities)
{
    if (*capabilities)
        cap_free(*capabilities);
}

#define AUTO_CAPABILITIES CLEANUP(cleanup_capabilities)
