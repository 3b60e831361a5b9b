#pragma once
#include "core/error.h"

#include <stdbool.h>
#include <stdint.h>

/**
 * Tasks forked before audit was first enabled in this boot have no audit context, ever, and no exec
 * of theirs is audited. The kernel does not say when that was; so the agent notes in its state
 * directory when it found audit switched off, before it switched it on itself.
 *
 * Returns the boot clock (nanoseconds) before which tasks have no context; 0: not known, or audit=1
 * on the kernel's command line. @p noted is false when it has to be noted and cannot be. To be
 * called before the audit source is opened.
 */
uint64_t unaudited_before(const char *state_directory, const char *boot_id, bool *noted);
/** Note it, for later runs in this boot. False: there is no room now. */
bool unaudited_note(const char *state_directory, const char *boot_id, uint64_t before_ns);
