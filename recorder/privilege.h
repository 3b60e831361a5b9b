#pragma once
/* What the agent may do: which capabilities it needs to open its sources, and which it keeps. See
 * capabilities(7). */
#include "core/error.h"

#include <stdbool.h>

/** @p audit: audit is to be used. Returns 0, or -EPERM with the names of what is missing and what
 * to do. */
int privilege_check(bool audit, struct error_text *error) MUST_CHECK;
/** Give up every capability but those that the sources use while they run and to restore the
 *  kernel's state at the end; no program that is executed can gain more. */
int privilege_drop(struct error_text *error) MUST_CHECK;
