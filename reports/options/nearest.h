#pragma once
/* The names that somebody may have meant: for "unknown ..., did you mean ...". */
#include "core/buffer.h"

/** Append `; did you mean "a" or "b"?` with the at most three nearest of @p names, if any is near
 *  (case is ignored); else nothing. */
void nearest_append(struct buffer *to, const char *word, const char *const *names, size_t n_names);
