#pragma once
/* `vestige verify --arrived` of a standalone instance, every ten seconds, on a thread of ours: a
 * process would be one more row of what is recorded. */
#include "core/error.h"

struct background_verifier;

/** @p state is the directory of the instance; its server must run, and may be started again. */
int background_verifier_start(struct background_verifier **verifierp, const char *state,
                              struct error_text *error) MUST_CHECK;
/** Verify what is left, for some seconds at most, and end. NULL is allowed. Returns NULL. */
struct background_verifier *background_verifier_stop(struct background_verifier *verifier);
