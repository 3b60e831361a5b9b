#pragma once
/* Gives a directory of root's to the user that the agent becomes. */
#include "core/error.h"

#include <sys/types.h>

/** As root: @p path and what is below it belong to @p uid and @p gid afterwards, if it is root's,
 * and is empty or has an entry @p mark (NULL: only when empty). One of the user's is left as it is.
 * An error for a directory of somebody else, or below one in which others may write. */
int state_owner_give(const char *path, const char *mark, uid_t uid, gid_t gid,
                     struct error_text *error) MUST_CHECK;
