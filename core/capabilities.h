#pragma once
/* What one thread may do; see capabilities(7). */
#include "core/error.h"

#include <linux/capability.h>
#include <stdint.h>

#define CAPABILITY(number) (UINT64_C(1) << (number))

/** This thread gives up, for good, every capability but those of @p kept that it has. No program
 *  that it or its threads to come execute can gain more. */
int capabilities_keep(uint64_t kept) MUST_CHECK;
