#pragma once
/* Named values in SQL: `:name`, outside of strings, quoted names and comments. Pure. */
#include "core/buffer.h"

enum { STATEMENT_TEXT_PLACE = 0, STATEMENT_TEXT_REPLACED = 1 };

/** Called for each `:name`, in order. STATEMENT_TEXT_PLACE: a `?` is to stand there.
 *  STATEMENT_TEXT_REPLACED: the function has appended what is to stand there. A negative return
 * ends the reading and is passed on. */
typedef int (*statement_name_function)(void *user, struct slice name);

/** Append @p sql to @p to with a `?` for each name. @p to may be NULL. Returns 0, what the function
 *  returned, or -EINVAL: a string or comment that is not closed. */
int statement_text_translate(struct buffer *to, struct slice sql, statement_name_function function,
                             void *user) MUST_CHECK;
/** Whether @p sql uses `:name`. False when it cannot be read. */
bool statement_text_uses(const char *sql, const char *name);
