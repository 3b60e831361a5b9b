#pragma once
/* One value of a MariaDB option file: of what its client library passes over, or does not tell. */
#include "core/error.h"

#include <stdbool.h>

enum { OPTION_FILE_MISSING = 0, OPTION_FILE_FOUND = 1 };

/** The last value of @p name (with dashes) in the group @p group, without quotes; "" for a name
 *  alone. Included files are not read. Returns one of the above, or an error: -ENOENT, -E2BIG (the
 *  value does not fit). */
int option_file_get(const char *path, const char *group, const char *name, char *value,
                    size_t size) MUST_CHECK;
/** Whether the option is there and not switched off (0, off, false). An error counts as no. */
bool option_file_is_set(const char *path, const char *group, const char *name);
